"""What goes wrong with webhooks.

LikenessError
├── AddressError            the receiver's name has no address, or one that is not public
└── SignatureError          a webhook whose signature does not hold, or that is too old
"""

from __future__ import annotations

from likeness.errors import LikenessError


class AddressError(LikenessError):
    """The receiver cannot be connected to; a later try may work."""

    code = "bad_webhook_address"


class SignatureError(LikenessError):
    """For receivers: do nothing with what came."""

    code = "bad_webhook_signature"
    status = 401
