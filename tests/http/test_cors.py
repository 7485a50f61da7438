"""Pages of other origins: those that are listed may call with a bearer token, and nobody with what browsers add."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from likeness.errors import SettingsError
from likeness.settings import read_settings
from tests.http.conftest import started
from tests.http.talk import ISSUER, SECRET, Person, problem
from tests.serving import Server

LISTED = "https://social.example"
OTHER = "https://evil.example"
ASKED = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,idempotency-key"}
NEEDED = {"authorization", "content-type", "idempotency-key", "last-event-id", "if-none-match", "x-request-id"}


@pytest.fixture(scope="module")
def listing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Lists two origins and takes tokens."""
    yield from started(
        tmp_path_factory.mktemp("cors") / "data",
        "--no-worker",
        jwt_issuer=ISSUER,
        jwt_secret=SECRET,
        allowed_origins=f'["{LISTED}", "http://localhost:3000"]',
    )


@pytest.fixture(scope="module")
def ann(listing: Server) -> Iterator[Person]:
    ann = Person(listing)
    with ann.client:
        yield ann


def words(response: httpx.Response, name: str) -> set[str]:
    return {each.strip().lower() for each in response.headers.get(name, "").split(",")} - {""}


@pytest.mark.parametrize("path", ["/v1/generations", "/v1/generations/x/avatars/0", "/p/x", "/nothing"])
def test_a_preflight_needs_no_token(listing: Server, path: str) -> None:
    response = listing.client.options(path, headers={"Origin": LISTED, **ASKED})
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == LISTED
    assert words(response, "Access-Control-Allow-Methods") >= {"get", "head", "post", "put", "delete"}
    assert words(response, "Access-Control-Allow-Headers") >= NEEDED
    assert "Access-Control-Allow-Credentials" not in response.headers
    assert words(response, "Vary") >= {"origin"}


def test_a_preflight_of_another_origin_allows_nothing(listing: Server) -> None:
    for origin in (OTHER, "null", f"{LISTED}.evil.example", f"{LISTED}/", f"{LISTED}:444", LISTED.upper(), "*"):
        response = listing.client.options("/v1/quota", headers={"Origin": origin, **ASKED})
        assert not [name for name in response.headers if name.startswith("access-control")], origin


def test_what_a_token_may_ask_is_readable(ann: Person) -> None:
    response = ann.get("/v1/quota", headers={"Origin": LISTED})
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == LISTED
    exposed = {"location", "retry-after", "ratelimit", "ratelimit-policy", "etag", "x-request-id"}
    assert words(response, "Access-Control-Expose-Headers") >= exposed | {"content-disposition"}
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_refusals_are_readable_too(listing: Server, ann: Person) -> None:
    for response, status, code in (
        (listing.client.get("/v1/quota", headers={"Origin": LISTED}), 401, "unauthorized"),
        (ann.get("/nothing", headers={"Origin": LISTED}), 404, "not_found"),
        (ann.client.patch("/v1/quota", headers={"Origin": LISTED}), 405, "method_not_allowed"),
        (ann.client.post("/v1/stories", content=b"{", headers={"Origin": LISTED}), 400, "bad_request"),
    ):
        problem(response, status, code)
        assert response.headers["Access-Control-Allow-Origin"] == LISTED


def test_caches_keep_answers_apart_whoever_asks(ann: Person) -> None:
    for headers in ({}, {"Origin": OTHER}, {"Origin": LISTED}):
        response = ann.get("/v1/quota", headers=headers)
        assert "origin" in words(response, "Vary")
        assert ("Access-Control-Allow-Origin" in response.headers) == (headers.get("Origin") == LISTED)


def test_a_cookie_is_for_the_servers_own_pages(ann: Person) -> None:
    with httpx.Client(base_url=ann.client.base_url, cookies=ann.client.post("/v1/session").cookies) as browser:
        ann.client.cookies.clear()
        own = {"Origin": str(browser.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
        assert browser.get("/v1/quota", headers=own).status_code == 200
        for site in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
            for method, path in (("GET", "/v1/quota"), ("HEAD", "/v1/quota"), ("DELETE", "/v1/account")):
                response = browser.request(method, path, headers={"Origin": LISTED, **site})
                assert response.status_code == 403, (method, site)


def test_the_local_user_is_for_the_servers_own_pages(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = tmp_path_factory.mktemp("local-cors") / "data"
    for local in started(data, "--no-worker", allowed_origins=LISTED):
        for headers in ({}, {"Authorization": "Bearer whatever"}):
            response = local.client.get("/v1/quota", headers={"Origin": LISTED, **headers})
            problem(response, 403, "foreign_origin")
        assert local.client.get("/v1/quota").status_code == 200
        assert local.client.get("/v1/styles", headers={"Origin": LISTED}).status_code == 200  # everybody's


def test_without_the_setting_nothing_is_readable(local: Server) -> None:
    response = local.client.get("/v1/styles", headers={"Origin": LISTED})
    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "given", ['["https://a.example", "https://b.example:8443"]', "https://a.example, https://b.example:8443"]
)
def test_origins_are_a_json_array_or_a_list_with_commas(given: str) -> None:
    settings = read_settings(environment={"LIKENESS_ALLOWED_ORIGINS": given})
    assert settings.allowed_origins == ("https://a.example", "https://b.example:8443")


BAD = [
    "*",
    "null",
    "social.example",
    "https://social.example/",
    "https://social.example/a",
    "https://",
    "ftp://a.example",
]
BAD += ["https://Social.example", "https://a.example:443", "https://u@a.example", "https://a.example:x", "https://a b"]
BAD += ["https://*.example", "https://[::1", "https://a.example?", "https://a.example#"]


@pytest.mark.parametrize("origin", BAD)
def test_what_is_no_origin_is_refused_at_the_start_by_name(origin: str) -> None:
    with pytest.raises(SettingsError, match="allowed_origins") as refused:
        read_settings({"allowed_origins": [LISTED, origin]}, environment={})
    assert repr(origin) in str(refused.value)


def test_an_array_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="allowed_origins"):
        read_settings(environment={"LIKENESS_ALLOWED_ORIGINS": '["https://a.example"'})
