"""Who a request is made for."""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from likeness.settings import Tier


class User(msgspec.Struct, frozen=True):
    """A platform's user. `owner` is a keyed digest of (platform, subject): the only form in which users are stored.

    `subject`, the token's `sub`, is for the platform's own plugins; it is neither stored nor logged.
    """

    owner: str
    tier: Tier
    region: str = ""
    local: bool = False
    subject: str = ""


def owner_of(secret: bytes, platform: str, subject: str) -> str:
    """HMAC-SHA256 of platform and subject, hex; without the secret nobody can test a name against it."""
    message = f"{len(platform)}:{platform}{subject}".encode()
    return hmac.new(secret, message, hashlib.sha256).hexdigest()
