"""Tokens by the platform's published keys: RSA and elliptic curves, new keys, keys that cannot be had."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from likeness.refusals import UnauthorizedError
from likeness.settings import Settings
from tests.http.conftest import People, started
from tests.http.jwks import Platform
from tests.http.talk import ISSUER, SECRET, problem, sign
from tests.serving import Server

# Where advanced-alchemy happens to be installed, Litestar imports it, and it uses what SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The declarative_mixin decorator", "ignore:.*Inferred dependency")


@pytest.fixture(scope="module")
def curved(tmp_path_factory: pytest.TempPathFactory, platform: Platform) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("curved") / "data"
    yield from started(
        data, "--no-worker", jwt_issuer=ISSUER, jwt_jwks_url=platform.url, jwt_algorithm="ES256", log_level="warning"
    )


def test_a_key_of_the_configured_algorithm_lets_in(
    closed: Server, curved: Server, person: People, platform: Platform
) -> None:
    for server, mine, other in ((closed, "rsa", "ec"), (curved, "ec", "rsa")):
        assert person(at=server, token=platform.token(key=mine)).json("/v1/quota")["tier"] == "plus"
        for bad in (
            platform.token(key=other),
            platform.token(key=other, kid=mine),
            platform.token(key=mine, kid=other),
            platform.token(key=mine, exp=1),
            platform.token(key=mine, aud="other"),
            sign("ann", headers={"kid": mine}),
            sign("ann"),
            platform.confused(),
            "abc",
        ):
            problem(person(at=server, token=bad).get("/v1/quota"), 401, "unauthorized")


def test_a_flood_of_unknown_key_ids_makes_us_ask_a_few_times(
    closed: Server, person: People, platform: Platform
) -> None:
    ann = person(at=closed, token=platform.token())
    ann.json("/v1/quota")
    before = platform.asked
    for number in range(20):
        token = platform.token(kid=f"unknown-{number}")
        response = ann.get("/v1/quota", headers={"Authorization": f"Bearer {token}"})
        problem(response, 401, "unauthorized")
    assert platform.asked - before <= 3
    ann.json("/v1/quota")


@pytest.fixture
def own() -> Iterator[Platform]:
    with Platform() as platform:
        yield platform


def ask(verifier: Any, *given: str) -> list[str]:
    """The tiers of users, or the refusal's text."""

    async def one(token: str) -> str:
        try:
            return (await verifier.user(token)).tier
        except UnauthorizedError as error:
            return str(error)

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*map(one, given))

    return asyncio.run(all_at_once())


def verifier(url: str) -> Any:
    """What verifies tokens in the server, without one around it."""
    from likeness.http.tokens import Tokens

    settings = Settings(data=Path("nowhere"), jwt_issuer=ISSUER, jwt_jwks_url=url, jwt_algorithm="RS256")
    return Tokens(settings, SECRET.encode())


@pytest.mark.parametrize("answer", [b"", b"{", b"\xff", b"[]", b"{}", b'{"keys": []}', b'{"keys": [{"kty": "x"}]}'])
def test_a_platform_that_answers_nonsense_lets_nobody_in(own: Platform, answer: bytes) -> None:
    own.answer = answer
    [said] = ask(verifier(own.url), own.token())
    assert said == "The platform's keys cannot be had right now. Try again in a minute."


def test_a_platform_that_is_not_there_lets_nobody_in(own: Platform) -> None:
    [said] = ask(verifier("http://127.0.0.1:9/keys"), own.token())
    assert said == "The platform's keys cannot be had right now. Try again in a minute."


def test_many_at_once_ask_once(own: Platform) -> None:
    assert ask(verifier(own.url), *[own.token(f"user {number}") for number in range(20)]) == ["plus"] * 20
    assert own.asked == 1


def test_a_new_key_is_found_at_once_and_a_withdrawn_one_is_forgotten(
    own: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify, old = verifier(own.url), own.answer
    assert ask(verify, own.token()) == ["plus"]
    own.answer = old.replace(b'"rsa"', b'"rsa-2"')
    assert ask(verify, own.token(kid="rsa-2")) == ["plus"]
    own.answer = old
    monkeypatch.setattr("likeness.http.platform_keys.KEYS_LIVE_S", 0.0)
    assert ask(verify, own.token(kid="rsa-2")) == ["The token's key is none of the platform's. Get a new token."]
    own.answer = json.dumps({"keys": []}).encode()
    assert ask(verify, own.token()) == ["plus"]


def without_kid(own: Platform, *kinds: str) -> bytes:
    """The platform's keys of some kinds, without their names."""
    keys = [key for key in json.loads(own.answer)["keys"] if key["kty"] in kinds]
    return json.dumps({"keys": [{name: each for name, each in key.items() if name != "kid"} for key in keys]}).encode()


def nameless(own: Platform) -> str:
    """A token without a kid."""
    return sign("ann", own.rsa, "RS256")


def test_names_of_keys_are_optional(own: Platform) -> None:
    assert ask(verifier(own.url), nameless(own)) == ["plus"]  # the one key of the two that fits
    own.answer = without_kid(own, "RSA", "EC")
    assert ask(verifier(own.url), nameless(own), own.token(), own.token(kid="other")) == ["plus"] * 3
    own.answer = without_kid(own, "EC")
    assert "plus" not in ask(verifier(own.url), nameless(own), own.token())


def test_of_several_keys_without_a_name_the_one_that_signed_is_found(own: Platform) -> None:
    with Platform() as other:
        keys = [json.loads(without_kid(each, "RSA"))["keys"][0] for each in (other, own)]
        own.answer = json.dumps({"keys": keys}).encode()
        verify = verifier(own.url)
        assert ask(verify, nameless(own), nameless(other), own.token(kid="x")) == ["plus"] * 3
        with Platform() as stranger:
            assert ask(verify, nameless(stranger)) == ["The token is not valid here. Get one from the platform."]


def test_a_key_without_a_name_may_give_way_to_another(own: Platform) -> None:
    verify = verifier(own.url)
    own.answer = without_kid(own, "RSA")
    assert ask(verify, nameless(own)) == ["plus"]
    with Platform() as other:
        own.answer = without_kid(other, "RSA")
        assert ask(verify, nameless(other)) == ["plus"]


def test_a_flood_is_throttled_and_a_new_key_is_served_once_it_is_over(
    own: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = verifier(own.url)
    assert ask(verify, own.token()) == ["plus"]
    for number in range(20):
        ask(verify, own.token(kid=f"unknown-{number}"))
    assert own.asked <= 1 + 3
    own.answer = own.answer.replace(b'"rsa"', b'"rsa-2"')
    monkeypatch.setattr("likeness.http.platform_keys.FETCH_AGAIN_S", 1e-9)
    assert ask(verify, own.token(kid="rsa-2")) == ["plus"]


def test_asking_often_gains_no_fetches(own: Platform) -> None:
    from likeness.http.platform_keys import PlatformKeys

    now = 0.0
    keys = PlatformKeys(own.url, "RS256", clock=lambda: now)

    async def ask_for(seconds: int) -> None:
        nonlocal now
        for _ in range(500 * seconds):
            now += 1 / 500
            with pytest.raises(UnauthorizedError):
                await keys.fitting("unknown")
            await keys.renew()

    asyncio.run(ask_for(10))
    assert 3 <= own.asked <= 3 + 1
    asyncio.run(ask_for(20))
    assert 3 + 1 <= own.asked <= 3 + 3
