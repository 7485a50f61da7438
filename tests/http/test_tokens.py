"""Who gets in by a token of the shared secret, and why nobody else does; region and plan."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from tests.http.conftest import Finished, People
from tests.http.jwks import Platform, encode
from tests.http.talk import SECRET, RawUpload, claims, problem, sign
from tests.serving import Server

HOUR = 3600


def unsigned(header: dict[str, Any], signature: str = "") -> str:
    return f"{encode(header)}.{encode(claims('eve'))}.{signature}"


good = sign("eve")
BAD_TOKENS = {
    "nothing of a token": "abc",
    "two dots": "..",
    "empty parts": "e30.e30.",
    "expired": sign("eve", exp=int(time.time()) - HOUR),
    "not valid yet": sign("eve", nbf=int(time.time()) + HOUR),
    "forged": sign("eve", key="another secret of more than 32 letters"),
    "altered": f"{good.split('.')[0]}.{encode(claims('ann'))}.{good.split('.')[2]}",
    "cut": good[:-4],
    "algorithm none": unsigned({"alg": "none", "typ": "JWT"}),
    "algorithm None": unsigned({"alg": "None"}, "x"),
    "no algorithm": unsigned({"typ": "JWT"}),
    "another algorithm": sign("eve", algorithm="HS512", key=SECRET * 2),
    "another issuer": sign("eve", iss="https://other.example"),
    "another audience": sign("eve", aud="somebody else"),
    "the session's audience": sign("eve", aud="likeness_session"),
    **{f"no {name}": sign("eve", **{name: None}) for name in ("iss", "aud", "exp", "sub")},
    "empty subject": sign("", sub=""),
    "a number as tier": sign("eve", tier=1),
    "unknown tier": sign("eve", tier="gold"),
    "empty tier": sign("eve", tier=""),
    "a list as tier": sign("eve", tier=["plus"]),
    "never ends": sign("eve", exp="never"),
    "half a letter as subject": sign("\ud800"),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_a_bad_token_is_refused(server: Server, name: str) -> None:
    headers = {"Authorization": f"Bearer {BAD_TOKENS[name]}"}
    found = problem(server.client.get("/v1/quota", headers=headers), 401, "unauthorized")
    assert BAD_TOKENS[name] not in json.dumps(found)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YTpi", good, f"Token {good}"])
def test_a_missing_token_is_refused_and_how_to_come_back_is_said(server: Server, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    for method, url in (("GET", "/v1/gallery"), ("POST", "/v1/generations"), ("DELETE", "/v1/account")):
        response = server.client.request(method, url, headers=headers)
        problem(response, 401, "unauthorized")
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_good_token_is_let_in(server: Server, scheme: str) -> None:
    response = server.client.get("/v1/quota", headers={"Authorization": f"{scheme} {good}"})
    assert response.json()["tier"] == "plus"


def test_a_token_without_a_tier_is_lite_and_clocks_may_differ_a_little(server: Server) -> None:
    token = sign("eve", tier=None, exp=int(time.time()) - 5)
    response = server.client.get("/v1/quota", headers={"Authorization": f"Bearer {token}"})
    assert (response.json()["tier"], response.json()["limit"]) == ("lite", 1)


def test_a_user_is_the_subject_whatever_else_the_token_says(finished: Finished, person: People) -> None:
    again = person(token=sign(finished.ann.subject, tier="lite", region="elsewhere", jti="another"))
    assert again.json("/v1/generations")["items"][0]["id"] == finished.generation
    near = [finished.ann.subject.upper(), f"{finished.ann.subject} ", finished.ann.subject[:-1]]
    for subject in near:
        assert person(token=sign(subject)).json("/v1/generations")["items"] == []


@pytest.mark.parametrize("region", [None, "us", "EU", "", 1])
def test_a_region_that_is_not_enabled_is_told_before_the_body_is_read(person: People, region: Any) -> None:
    ann = person(region=region)
    with RawUpload(ann, [b"never sent"]) as upload:
        problem(upload.answer(), 403, "region_not_enabled")
    assert ann.remaining() == 1000


def test_a_plan_that_does_not_include_it_is_told_before_the_body_is_read(
    closed: Server, person: People, platform: Platform
) -> None:
    ann = person(at=closed, token=platform.token(tier="lite"))
    with RawUpload(ann, [b"never sent"]) as upload:
        found = problem(upload.answer(), 402, "payment_required")
    assert found["upgrade_url"] == "https://social.example/plus"
    assert ann.remaining() == 1


def test_public_routes_need_no_token(server: Server, finished: Finished) -> None:
    for url in ("/v1/styles", "/v1/receipts/keys", "/health/live", "/metrics", finished.picture_url):
        assert httpx.get(server.client.base_url.join(url), headers={"Authorization": "Bearer x"}).status_code == 200
