"""Signatures by the Standard Webhooks specification: https://www.standardwebhooks.com, version 1.0.0, HMAC-SHA256."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Final

from likeness.webhooks.errors import SignatureError

PREFIX: Final = "whsec_"
TOLERANCE_S: Final = 300


def read_secret(secret: str) -> bytes:
    """The key that `whsec_` and base64 stand for; raises ValueError."""
    text = secret.removeprefix(PREFIX)
    if text == secret:
        raise ValueError(f"it does not begin with {PREFIX}")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"what follows {PREFIX} is not base64") from error


def sign(key: bytes, webhook: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`; `timestamp` in whole seconds since 1970."""
    digest = hmac.digest(key, f"{webhook}.{timestamp}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def signed_headers(key: bytes, webhook: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of one attempt."""
    return {
        "webhook-id": webhook,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(key, webhook, timestamp, body),
    }


def verify(key: bytes, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The id of a webhook that was signed with this key within five minutes of `now`; raises SignatureError.

    The names of the headers are in small letters; the body is as it came, not parsed and written anew.
    """
    names = "webhook-id", "webhook-timestamp", "webhook-signature"
    webhook, moment, signatures = (headers.get(name, "") for name in names)
    if not (moment.isascii() and moment.isdecimal()) or abs(now - int(moment)) > TOLERANCE_S:
        raise SignatureError("The webhook is not of the last five minutes. Check the clock, and answer with an error.")
    expected = sign(key, webhook, int(moment), body).encode()
    # Several while a secret is being changed: one of them has to hold.
    if not any(hmac.compare_digest(expected, each.encode()) for each in signatures.split()):
        raise SignatureError("The webhook's signature is wrong. Check the secret, and answer with an error.")
    return webhook
