"""Signatures: those of the specification's own example, and what a receiver must not believe."""

from __future__ import annotations

import base64

import pytest

from likeness import webhooks
from likeness.webhooks import SignatureError, read_secret, sign, verify
from likeness.webhooks.signing import signed_headers

# Published with the libraries of https://www.standardwebhooks.com.
KEY = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
ID, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def headers(**changes: str) -> dict[str, str]:
    given = {"webhook-id": ID, "webhook-timestamp": str(TIMESTAMP), "webhook-signature": SIGNATURE}
    return given | {f"webhook-{name}": value for name, value in changes.items()}


def test_exports_exactly_these() -> None:
    names = ["AddressError", "Sender", "SignatureError", "check_webhooks", "read_secret", "sign", "verify"]
    assert sorted(webhooks.__all__) == names
    assert all(hasattr(webhooks, name) for name in names)


def test_signs_as_the_specification_does() -> None:
    assert sign(KEY, ID, TIMESTAMP, BODY) == SIGNATURE
    assert signed_headers(KEY, ID, TIMESTAMP, BODY) == headers()


@pytest.mark.parametrize("off_s", [-300, 0, 300])
def test_a_good_one_is_believed(off_s: int) -> None:
    assert verify(KEY, headers(), BODY, TIMESTAMP + off_s) == ID


def test_one_of_several_signatures_is_enough() -> None:
    both = f"v1,{base64.b64encode(bytes(32)).decode()} v1a,other {SIGNATURE}"
    assert verify(KEY, headers(signature=both), BODY, TIMESTAMP) == ID


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({}, BODY + b" "),
        ({"id": "msg_other"}, BODY),
        ({"timestamp": str(TIMESTAMP + 1)}, BODY),
        ({"timestamp": "soon"}, BODY),
        ({"timestamp": "-5"}, BODY),
        ({"signature": ""}, BODY),
        ({"signature": SIGNATURE.removeprefix("v1,")}, BODY),
        ({"signature": SIGNATURE[:-4] + "AAA="}, BODY),
        ({"signature": "v1,ä"}, BODY),
    ],
)
def test_a_changed_one_is_not(changes: dict[str, str], body: bytes) -> None:
    with pytest.raises(SignatureError):
        verify(KEY, headers(**changes), body, TIMESTAMP)


@pytest.mark.parametrize("off_s", [-301, 301])
def test_an_old_one_is_not(off_s: int) -> None:
    with pytest.raises(SignatureError, match="last five minutes"):
        verify(KEY, headers(), BODY, TIMESTAMP + off_s)


def test_another_key_is_not() -> None:
    with pytest.raises(SignatureError, match="signature is wrong"):
        verify(bytes(24), headers(), BODY, TIMESTAMP)


def test_padding_may_be_missing() -> None:
    assert read_secret("whsec_AAAAAA") == read_secret("whsec_AAAAAA==") == bytes(4)
