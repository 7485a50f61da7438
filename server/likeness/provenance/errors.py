"""What marking and reading marks fail at.

LikenessError
├── SigningError            the certificate does not sign any more: it ended, or C2PA does not take it
└── TrustFileError          a file of trusted certificates that holds none (command line)
"""

from __future__ import annotations

from likeness.errors import LikenessError


class SigningError(LikenessError):
    """No picture may leave unsigned, so that none does."""

    code = "signing_unavailable"
    status = 503

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__("Avatars cannot be signed now, and none leaves unsigned. Try again later.")


class TrustFileError(LikenessError):
    """What was given as trusted certificates is none."""

    code = "bad_trust_file"
    exit_code = 2
