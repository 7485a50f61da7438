"""Telling the platform: signed by the Standard Webhooks specification, sent from the outbox until it is received."""

from likeness.webhooks.errors import AddressError, SignatureError
from likeness.webhooks.receiver import check_webhooks
from likeness.webhooks.sender import Sender
from likeness.webhooks.signing import read_secret, sign, verify

__all__ = ["AddressError", "Sender", "SignatureError", "check_webhooks", "read_secret", "sign", "verify"]
