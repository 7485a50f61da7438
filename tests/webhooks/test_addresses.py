"""Where webhooks may go, and settings that are refused when a server starts."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from likeness.errors import SettingsError
from likeness.settings import Settings
from likeness.webhooks import AddressError, check_webhooks
from likeness.webhooks.addresses import is_public, resolve
from tests.webhooks.platform import SECRET

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%2",
    "fc00::1",
    "fec0::1",
    "ff0e::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::10.0.0.1",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
]


def answers(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name have these addresses."""

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_ones_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"],
)
def test_these_are(address: str) -> None:
    assert is_public(address)


def test_one_private_address_of_several_is_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "1.1.1.1", "10.0.0.1")
    with pytest.raises(AddressError, match=r"10\.0\.0\.1, which is not a public address"):
        resolve("receiver.test", 443, private=False)
    assert resolve("receiver.test", 443, private=True) == ["1.1.1.1", "10.0.0.1"]


def test_each_address_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "1.1.1.1", "8.8.8.8", "1.1.1.1")
    assert resolve("receiver.test", 443, private=False) == ["1.1.1.1", "8.8.8.8"]


@pytest.mark.parametrize("fault", [socket.gaierror(-2, "unknown"), UnicodeError("label too long")])
def test_a_name_without_address(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(AddressError, match=r"receiver\.test of webhook_url has no address"):
        resolve("receiver.test", 443, private=True)


def settings(**changes: Any) -> Settings:
    return Settings(**({"webhook_url": "https://receiver.test/hook?token=hidden", "webhook_secret": SECRET} | changes))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"webhook_url": "ftp://receiver.test"}, "no URL of http or https"),
        ({"webhook_url": "receiver.test/hook"}, "no URL of http or https"),
        ({"webhook_url": "https:///hook"}, "no URL of http or https"),
        ({"webhook_url": "https://receiver.test:port/"}, "is not a URL"),
        ({"webhook_url": "http://receiver.test/hook"}, "is not encrypted"),
        ({"webhook_url": "https://10.0.0.1/hook"}, "10.0.0.1, which is not a public address"),
        ({"webhook_url": "https://[::ffff:a00:1]/hook"}, "which is not a public address"),
        ({"webhook_url": "https://2852039166/hook"}, "169.254.169.254, which is not a public address"),
        ({"webhook_url": "https://127.1/hook"}, "127.0.0.1, which is not a public address"),
        ({"webhook_url": "https://localhost/hook"}, "is this machine"),
        ({"webhook_secret": ""}, "without webhook_secret"),
        ({"webhook_secret": "dGhlIHNlY3JldA=="}, "does not begin with whsec_"),
        ({"webhook_secret": "whsec_not base64!"}, "is not base64"),
        ({"webhook_secret": "whsec_" + "AAAA" * 7 + "AAA="}, "has 23 bytes"),
        ({"webhook_secret": "whsec_" + "AAAA" * 22}, "has 66 bytes"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as refused:
        check_webhooks(settings(**changes))
    said = str(refused.value)
    assert problem in said
    assert said.endswith(".")
    assert "hidden" not in said
    assert not changes.get("webhook_secret") or changes["webhook_secret"].removeprefix("whsec_") not in said


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"webhook_url": ""},
        {"webhook_url": "", "webhook_secret": "anything"},
        {"webhook_url": "https://1.1.1.1:8443/hook"},
        {"webhook_url": "http://10.0.0.1/hook", "webhook_private": True},
        {"webhook_url": "http://localhost:8000", "webhook_private": True},
    ],
)
def test_good_settings_are_not(changes: dict[str, Any]) -> None:
    check_webhooks(settings(**changes))
