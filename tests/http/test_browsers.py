"""What a browser sends by itself: the session cookie and the local user, guarded by Origin, Sec-Fetch-Site and Host."""

from __future__ import annotations

import datetime
from email.utils import parsedate_to_datetime
from http.cookies import SimpleCookie

import httpx
import jwt
import pytest

from tests.http.conftest import Finished, People
from tests.http.talk import SECRET, Person, claims, problem
from tests.serving import Server

COOKIE = "likeness_session"


@pytest.fixture
def ann(person: People) -> Person:
    """Somebody whose client sends a session's cookie, and no token."""
    ann = person()
    ann.send("POST", "/v1/session")
    del ann.client.headers["Authorization"]
    return ann


def test_a_session_is_a_cookie_that_scripts_and_other_sites_do_not_get(person: People) -> None:
    response = person().client.post("/v1/session")
    assert response.status_code == 200
    cookie = SimpleCookie(response.headers["Set-Cookie"])[COOKIE]
    assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"]) == (True, "strict", "/")
    until = datetime.datetime.fromisoformat(response.json()["until"])
    left = until - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(minutes=59) < left <= datetime.timedelta(hours=1)
    assert int(cookie["max-age"]) == 3600
    if cookie["expires"]:
        assert abs(parsedate_to_datetime(cookie["expires"]) - until) < datetime.timedelta(seconds=5)


def test_a_session_shows_its_users_things_and_no_others(finished: Finished, person: People, ann: Person) -> None:
    assert ann.json("/v1/generations")["items"] == []
    problem(ann.get(finished.location), 404, "not_found")
    cookie = finished.ann.client.post("/v1/session").cookies[COOKIE]
    finished.ann.client.cookies.clear()
    ann.client.cookies.clear()
    ann.client.cookies.set(COOKIE, cookie)
    assert ann.get(f"{finished.location}/avatars/0").status_code == 200
    assert ann.json("/v1/quota")["tier"] == "plus"


def test_a_session_does_not_make_itself_longer(ann: Person) -> None:
    problem(ann.client.post("/v1/session"), 401, "unauthorized")


def test_a_forged_or_ended_session_is_none(server: Server, person: People, ann: Person) -> None:
    whole = ann.client.cookies[COOKIE]
    named = jwt.decode(whole, options={"verify_signature": False})
    forged = [
        "",
        "abc",
        whole[:-3],
        jwt.encode(named, SECRET, "HS256"),
        jwt.encode(claims("ann", aud=COOKIE), SECRET, "HS256"),
        f"{jwt.encode(named, None, 'none')}",
        person().token,
    ]
    for value in forged:
        response = httpx.get(f"{server.client.base_url}/v1/quota", headers={"Cookie": f"{COOKIE}={value}"})
        problem(response, 401, "unauthorized")
    problem(ann.get("/v1/quota", headers={"Authorization": f"Bearer {whole}"}), 401, "unauthorized")


def foreign(server: Server) -> list[dict[str, str]]:
    """What a browser adds to a request that another site's page makes it send."""
    port = server.client.base_url.port
    origins = ["null", "https://evil.example", f"http://evil.example:{port}", "http://127.0.0.1:1", "http://["]
    origins += [f"http://127.0.0.1.evil.example:{port}", f"http://127.0.0.1:{port}@evil.example"]
    sites = [{"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "nonsense")]
    mixed = {"Sec-Fetch-Site": "cross-site", "Origin": str(server.client.base_url).rstrip("/")}
    return [*({"Origin": origin} for origin in origins), *sites, mixed]


def own(server: Server) -> list[dict[str, str]]:
    origin = str(server.client.base_url).rstrip("/")
    return [{}, {"Origin": origin}, {"Origin": origin, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}]


def test_another_sites_page_changes_nothing_by_the_cookie(server: Server, ann: Person) -> None:
    for headers in foreign(server):
        for method, url in (
            ("POST", "/v1/generations"),
            ("DELETE", "/v1/account"),
            ("PUT", "/v1/profile/picture"),
            ("DELETE", "/v1/gallery/x"),
            ("POST", "/v1/session"),
        ):
            problem(ann.client.request(method, url, headers=headers), 403, "foreign_origin")
        assert ann.get("/v1/quota", headers=headers).status_code == 200  # reading changes nothing, and is not readable
    for headers in own(server):
        problem(ann.client.delete("/v1/profile/picture", headers=headers), 404, "not_found")


def test_a_token_comes_from_no_browser_by_itself(server: Server, person: People) -> None:
    bob = person()
    for headers in foreign(server):
        problem(bob.client.delete("/v1/profile/picture", headers=headers), 404, "not_found")
    assert bob.get("/v1/quota", headers={"Host": "likeness.example"}).status_code == 200


def test_another_sites_page_changes_nothing_of_the_local_user(local: Server) -> None:
    form = {"Content-Type": "text/plain"}
    for headers in foreign(local):
        response = local.client.post("/v1/stories", content=b'{"avatar": "x"}', headers={**headers, **form})
        problem(response, 403, "foreign_origin")
        problem(local.client.delete("/v1/account", headers=headers), 403, "foreign_origin")
    for headers in own(local):
        problem(local.client.post("/v1/stories", json={"avatar": "x"}, headers=headers), 404, "not_found")


REBOUND = [
    "evil.example",
    "evil.example:80",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "localhost..",
    "[::1",
    "",
    "0.0.0.0",
]


@pytest.mark.parametrize("host", REBOUND)
def test_a_name_that_is_not_ours_reads_nothing(local: Server, ann: Person, host: str) -> None:
    problem(local.client.get("/v1/quota", headers={"Host": host}), 403, "foreign_origin")
    problem(ann.get("/v1/quota", headers={"Host": host}), 403, "foreign_origin")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:80",
        "LOCALHOST",
        "localhost.",
        "localhost.:80",
        "likeness.example",
        "likeness.example.",
    ],
)
def test_our_own_names_do(local: Server, host: str) -> None:
    assert local.client.get("/v1/quota", headers={"Host": host}).status_code == 200


def test_the_local_user_needs_no_token_and_any_is_ignored(local: Server) -> None:
    for headers in ({}, {"Authorization": "Bearer abc"}, {"Cookie": f"{COOKIE}=abc"}):
        assert local.client.get("/v1/quota", headers=headers).json()["tier"] == "lite"
    problem(local.client.get("/v1/quota", headers={"Authorization": "Basic abc"}), 401, "unauthorized")
    assert local.client.post("/v1/session").status_code == 200
    local.client.cookies.clear()


def test_public_links_carry_the_configured_address(finished: Finished, server: Server) -> None:
    assert finished.picture_url.startswith(f"{server.client.base_url}/p/")
