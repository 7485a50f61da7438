"""Below a path of a proxy, whether it takes the path off or not: every link works, and none is made by a stranger."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from likeness.errors import SettingsError
from likeness.http.links import LINKS, add_base
from likeness.http.middleware.base_path import BasePath
from likeness.http.views import AvatarView, GenerationView
from likeness.settings import Settings, read_settings
from tests.http.conftest import started
from tests.http.talk import ISSUER, SECRET, Person
from tests.nginx import Nginx
from tests.serving import Server

WAYS = [(way, prefix) for way in ("stripping", "passing") for prefix in ("/told", "/a/vatars", "/studio")]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Draws, and knows its path from the proxy alone."""
    data = tmp_path_factory.mktemp("told") / "data"
    yield from started(data, jwt_issuer=ISSUER, jwt_secret=SECRET, quota_plus=100, steps=1, avatars=5)


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Knows its path from the setting."""
    data = tmp_path_factory.mktemp("configured") / "data"
    yield from started(
        data, "--no-worker", jwt_issuer=ISSUER, jwt_secret=SECRET, quota_plus=100, root_path="/a/vatars", avatars=5
    )


@pytest.fixture(scope="module")
def nginx(told: Server, configured: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    one, other = (str(server.client.base_url).rstrip("/") for server in (told, configured))
    behind = {"/told": one, "/studio": one, "/a/vatars": other}
    with Nginx(tmp_path_factory.mktemp("nginx"), behind, named={"/told", "/studio"}) as nginx:
        yield nginx


class Visitor(Person):
    """Somebody who comes through the proxy: `root` is its address, `prefix` the path there."""

    def __init__(self, server: Server, root: str, prefix: str) -> None:
        super().__init__(server)
        self.root, self.prefix = root, prefix
        self.client.base_url = httpx.URL(root + prefix)

    def follow(self, link: str, **options: Any) -> httpx.Response:
        """What a link leads to, which must be below the prefix."""
        assert link.startswith((f"{self.prefix}/", f"{self.root}{self.prefix}/")), link
        response = self.get(str(httpx.URL(self.root).join(link)), **options)
        assert response.status_code == 200, (link, response.text)
        return response


@pytest.fixture(params=WAYS, ids="".join)
def visitor(request: pytest.FixtureRequest, nginx: Nginx, told: Server, configured: Server) -> Iterator[Visitor]:
    way, prefix = request.param
    visitor = Visitor(configured if prefix == "/a/vatars" else told, getattr(nginx, way), prefix)
    with visitor.client:
        yield visitor


def links(value: Any) -> Iterator[str]:
    """All links in JSON."""
    for name, each in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(each, dict | list):
            yield from links(each)
        elif str(name).endswith("url") and each:
            yield each


def test_the_links_of_an_upload_work(visitor: Visitor, jpegs: list[bytes]) -> None:
    response = visitor.upload(jpegs, headers={"Idempotency-Key": "once"})
    assert response.status_code == 202, response.text
    location = response.headers["Location"]
    assert visitor.follow(location).json()["id"] == response.json()["id"]
    assert set(links(response.json())) == {f"{location}/events", f"{location}/receipt"}
    [listed] = visitor.json("/v1/generations")["items"]
    assert listed["url"] == location
    visitor.follow(response.json()["receipt_url"])
    with visitor.client.stream("GET", visitor.root + response.json()["events_url"]) as stream:
        assert stream.status_code == 200


def test_the_page_and_its_files_are_there(visitor: Visitor) -> None:
    page = visitor.get(f"{visitor.root}{visitor.prefix}/")
    files = re.findall(r'(?:href|src)="(/[^"]+)"', page.text)
    assert len(files) > 20
    for file in files:
        visitor.follow(file)
    again = visitor.get(f"{visitor.root}{visitor.prefix}/", headers={"If-None-Match": page.headers["ETag"]})
    assert again.status_code == 304


def test_the_rest_is_below_the_path_too(visitor: Visitor) -> None:
    for url in links(visitor.json("/v1/styles")):
        visitor.follow(url)
    assert visitor.json("/schema/openapi.json")["servers"] == [{"url": visitor.prefix}]
    assert visitor.prefix in visitor.get("/schema/openapi.yaml").text
    assert f"Path={visitor.prefix};" in visitor.client.post("/v1/session").headers["Set-Cookie"] + ";"


@pytest.mark.parametrize("way", ["stripping", "passing"])
def test_avatars_and_what_is_published(nginx: Nginx, told: Server, way: str, jpegs: list[bytes]) -> None:
    ann = Visitor(told, getattr(nginx, way), "/told")
    with ann.client:
        location = ann.accepted(jpegs, headers={"Idempotency-Key": "once"}).removeprefix("/told")
        for event in ann.events(location):
            for url in links(event.data):
                ann.follow(url)
        for url in links(ann.json(location)):
            if not url.endswith("/events"):
                ann.follow(url)
        [saved] = ann.send("POST", f"{location}/save", {"avatars": [0]})["items"]
        for url in links(ann.json("/v1/gallery")):
            ann.follow(url)
        picture = ann.send("PUT", "/v1/profile/picture", saved_as := {"avatar": saved["avatar"]})
        story = ann.send("POST", "/v1/stories", saved_as, 201)
        for shown in (picture, story, ann.json("/v1/profile/picture"), ann.json("/v1/stories")["items"][0]):
            assert shown["url"].startswith(f"{ann.root}/told/p/")
            ann.follow(shown["url"])
        # What is stored has no prefix of its own: another way in, or none, gets links that work there.
        for root, prefix in ((nginx.passing, "/studio"), (str(told.client.base_url).rstrip("/"), "")):
            other = Visitor(told, root, prefix)
            with other.client:
                other.client.headers["Authorization"] = ann.client.headers["Authorization"]
                again = other.upload(jpegs, headers={"Idempotency-Key": "once"})
                assert again.headers["Location"] == prefix + location
                other.follow(again.headers["Location"])
                assert all(url.startswith(f"{prefix}/v1/") for url in links(again.json()))
                for event in other.events(location):
                    assert all(url.startswith(f"{prefix}/v1/") for url in links(event.data))


HOSTILE = [
    "//evil.example",
    "https://evil.example",
    "/../..",
    "/a/../b",
    "/.",
    "/a//b",
    "a",
    "/",
    "/a b",
    '/a"b',
    "/a?b",
]
HOSTILE += [
    "/a#b",
    "/a\\b",
    "/%2e%2e",
    "/a;b",
    "/<script>",
    "\\evil.example",
    "/a, /b",
    "/é",
    "/a\r\nx: y",
    f"/{'a' * 201}",
]


def seen(
    prefix: str | list[str] | None, path: str = "/v1/quota", client: str = "127.0.0.1", **settings: Any
) -> tuple[str, str]:
    """`root_path` and `path` of a request as the router gets it."""
    found: list[tuple[str, str]] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        found.append((scope["root_path"], scope["path"]))

    given = [prefix] if isinstance(prefix, str) else prefix or []
    headers = [(b"x-forwarded-prefix", each.encode("latin-1")) for each in given]
    scope: Any = {"type": "http", "path": path, "root_path": "", "headers": headers, "client": (client, 1)}
    based = BasePath(app, Settings(**settings), ["/", "/v1/quota", "/p/{token}", "/studio/{file}", "/health/live"])
    asyncio.run(based(scope, None, None))  # type: ignore[arg-type]
    return found[0]


@pytest.mark.parametrize("prefix", HOSTILE)
def test_a_prefix_that_is_no_plain_path_counts_as_none(prefix: str) -> None:
    assert seen(prefix) == ("", "/v1/quota")
    with pytest.raises(SettingsError, match="root_path"):
        read_settings({"root_path": prefix}, environment={})


def test_a_prefix_is_believed_of_proxies_alone() -> None:
    assert seen("/a") == ("/a", "/a/v1/quota")
    assert seen("/a/") == ("/a", "/a/v1/quota")
    assert seen("/a", client="203.0.113.7") == ("", "/v1/quota")
    assert seen("/a", client="10.1.2.3", trusted_proxies=("10.0.0.0/8",)) == ("/a", "/a/v1/quota")
    assert seen("/a", trusted_proxies=()) == ("", "/v1/quota")
    assert seen(["/a", "/b"]) == ("", "/v1/quota")  # which of them?
    assert seen("/a", root_path="/b") == ("/b", "/b/v1/quota")


@pytest.mark.parametrize(
    ("base", "came", "below"),
    [
        ("/a", "/a/v1/quota", "/v1/quota"),
        ("/a", "/a", "/"),
        ("/a", "/a/", "/"),
        ("/a", "/", "/"),
        ("/a", "/abc", "/abc"),
        ("/v1", "/v1/quota", "/v1/quota"),
        ("/v1", "/v1/v1/quota", "/v1/quota"),
        ("/p", "/p/token", "/p/token"),
        ("/p", "/p/p/token", "/p/token"),
        ("/studio", "/studio/api.js", "/studio/api.js"),
        ("/studio", "/studio", "/"),
        ("/health", "/health/live", "/health/live"),
    ],
)
def test_both_kinds_of_proxy_are_understood(base: str, came: str, below: str) -> None:
    assert seen(base, came) == (base, base + below)


@pytest.mark.parametrize(
    ("public_url", "published"),
    [("https://a.example", "https://a.example/b"), ("https://a.example/c/", "https://a.example/c")],
)
def test_a_public_address_without_a_path_gets_the_root_path(public_url: str, published: str, tmp_path: Path) -> None:
    from likeness.http.routes.published import public_url as address

    class Service(msgspec.Struct):
        settings: Settings

    class Request(msgspec.Struct):
        scope: dict[str, str]

    service: Any = Service(Settings(public_url=public_url))
    request: Any = Request({"root_path": "/b"})
    assert address(request, service) == published


@pytest.mark.parametrize("proxy", ["localhost", "10.0.0.0/33", "10.0.0.1/8", "", "*"])
def test_proxies_are_addresses(proxy: str) -> None:
    with pytest.raises(SettingsError, match="trusted_proxies"):
        read_settings({"trusted_proxies": [proxy]}, environment={})


def test_links_of_this_server_alone_get_the_base_path() -> None:
    own = dict.fromkeys(LINKS, "/v1/x")
    others = {"upgrade_url": "/plus", "preview_url": "/pre", "curl": "/c", "caption": "/v1/x", "about": ["/v1/x"]}
    elsewhere = {"url": "https://a.example/x", "events_url": None}
    document = {**own, **others, "avatars": [{**own, **others}, elsewhere]}
    based = dict.fromkeys(LINKS, "/b/v1/x")
    expected = {**based, **others, "avatars": [{**based, **others}, elsewhere]}
    assert msgspec.json.decode(add_base(msgspec.json.encode(document).decode(), "/b")) == expected


def test_every_link_in_a_stored_view_is_known() -> None:
    fields = (field.name for view in (GenerationView, AvatarView) for field in msgspec.structs.fields(view))
    assert {name for name in fields if name.endswith("url")} == set(LINKS)
