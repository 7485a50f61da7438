"""Who is told: the settings of webhooks, checked."""

from __future__ import annotations

import socket
from typing import Final

import httpx
import msgspec

from likeness.errors import SettingsError
from likeness.settings import Settings, is_loopback
from likeness.webhooks.addresses import resolve
from likeness.webhooks.errors import AddressError
from likeness.webhooks.signing import read_secret

SECRET_BYTES: Final = (24, 64)
PORTS: Final = {"http": 80, "https": 443}


class Receiver(msgspec.Struct, frozen=True):
    """Where webhooks go, the key that they are signed with, and whether it may be a private address."""

    url: httpx.URL
    key: bytes
    private: bool

    @property
    def host(self) -> str:
        """As it is looked up: in ASCII, an IPv6 address without brackets."""
        return self.url.raw_host.decode("ascii")

    @property
    def port(self) -> int:
        """The port to connect to."""
        return self.url.port or PORTS[self.url.scheme]


def check_webhooks(settings: Settings) -> None:
    """Raise SettingsError when webhooks are configured and could not be sent."""
    if settings.webhook_url:
        read_receiver(settings)


def read_receiver(settings: Settings) -> Receiver:
    """The receiver that the settings name; raises SettingsError, whose text has neither secret nor query."""
    receiver = Receiver(_read_url(settings), _read_key(settings), settings.webhook_private)
    if not settings.webhook_private:
        _check_host(receiver.host, receiver.port)
    return receiver


def _read_url(settings: Settings) -> httpx.URL:
    try:
        url = httpx.URL(settings.webhook_url)
    except httpx.InvalidURL as error:
        raise SettingsError("webhook_url is not a URL. Set it to one such as https://example.org/hook.") from error
    if url.scheme not in PORTS or not url.host:
        raise SettingsError("webhook_url is no URL of http or https. Set it to one such as https://example.org/hook.")
    if url.scheme == "http" and not settings.webhook_private:
        raise SettingsError("webhook_url is not encrypted. Let it begin with https://, or set webhook_private.")
    return url


def _read_key(settings: Settings) -> bytes:
    remedy = "Set it to whsec_ and 24 to 64 random bytes in base64"
    if not settings.webhook_secret:
        raise SettingsError(f"webhook_url is set without webhook_secret. {remedy}.")
    try:
        key = read_secret(settings.webhook_secret)
    except ValueError as error:
        raise SettingsError(f"webhook_secret cannot be used: {error}. {remedy}.") from error
    fewest, most = SECRET_BYTES
    if not fewest <= len(key) <= most:
        raise SettingsError(f"webhook_secret has {len(key)} bytes. {remedy}.")
    return key


def _check_host(host: str, port: int) -> None:
    """What can be told without a name server: addresses, however they are written."""
    if is_loopback(host):
        raise SettingsError("webhook_url is this machine. Choose another receiver, or set webhook_private.")
    try:
        resolve(host, port, private=True, flags=socket.AI_NUMERICHOST)
    except AddressError:
        return  # a name: its addresses are checked at each attempt
    try:
        resolve(host, port, private=False, flags=socket.AI_NUMERICHOST)
    except AddressError as error:
        raise SettingsError(str(error)) from error
