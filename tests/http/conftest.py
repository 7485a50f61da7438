"""Servers of three kinds, started once for all of these tests, and people who talk to them."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.homes import FleetHome, Home
from tests.http.jwks import Platform
from tests.http.talk import ISSUER, REGION, SECRET, Person
from tests.patience import patience_s
from tests.serving import Server

AVATARS = 5
People = Callable[..., Person]


def jpeg(pixels: NDArray[np.uint8], **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", **{"quality": 90, **options})
    return buffer.getvalue()


@pytest.fixture(scope="session")
def jpegs(astronaut: NDArray[np.uint8]) -> list[bytes]:
    """Three good photos of one person, small: most of an upload's time goes into finding the face."""
    return [jpeg(each) for each in (astronaut[:300, 90:390], astronaut[:300, 90:390][:, ::-1], astronaut[:320, 80:400])]


def started(data: Path, *options: str, home: Home | None = None, **settings: object) -> Iterator[Server]:
    """A server from its start to its end; it answers when this yields, with or without a worker."""
    server = Server(data, *options, home=home, **settings)
    try:
        server.start(ready=False)
        server.until(lambda: alive(server))
        yield server
    finally:
        server.close()


def alive(server: Server) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return server.client.get("/health/live").status_code == 200
    return False


@pytest.fixture(scope="session", params=["embedded", "fleet"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The one that draws: tokens by shared secret, one generation a day for Lite, no end of them for Plus.

    Everything that is asked of it is asked of both: SQLite and a folder, PostgreSQL and S3.
    """
    home = None
    if request.param == "fleet":
        home = FleetHome(*(request.getfixturevalue(name) for name in ("postgres", "migrated", "s3")))
    yield from started(
        tmp_path_factory.mktemp("server") / "data",
        home=home,
        jwt_issuer=ISSUER,
        jwt_secret=SECRET,
        regions=REGION,
        steps=1,
        avatars=AVATARS,
        quota_lite=1,
        quota_plus=1000,
        refusals_per_hour=3,
    )


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """A platform that publishes its keys."""
    with Platform() as platform:
        yield platform


@pytest.fixture(scope="session")
def closed(tmp_path_factory: pytest.TempPathFactory, platform: Platform) -> Iterator[Server]:
    """One that lets nobody in: Lite must pay, the queue has no room; no worker; tokens by published RSA keys."""
    yield from started(
        tmp_path_factory.mktemp("closed") / "data",
        "--no-worker",
        jwt_issuer=ISSUER,
        jwt_jwks_url=platform.url,
        jwt_algorithm="RS256",
        paywall_tiers="lite",
        upgrade_url="https://social.example/plus",
        queue_most=0,
    )


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with the local user alone, no worker, and little patience with slow uploads."""
    yield from started(
        tmp_path_factory.mktemp("local") / "data",
        "--no-worker",
        quota_lite=1000,
        refusals_per_hour=0,
        upload_idle_s=patience_s(1),
        avatars=AVATARS,
        public_url="https://likeness.example/",
    )


@pytest.fixture(scope="session")
def waiting(local: Server, jpegs: list[bytes]) -> str:
    """The address of a generation that nobody draws."""
    return f"/v1/generations/{local.accepted(jpegs)}"


@pytest.fixture
def person(server: Server) -> Iterator[People]:
    """Makes new people; `Person`'s arguments but for the server, which is another one if it is given."""
    with contextlib.ExitStack() as stack:

        def make(at: Server = server, **options: Any) -> Person:
            person = Person(at, **options)
            stack.enter_context(person.client)
            return person

        yield make


class Finished(NamedTuple):
    """Ann's things, for all tests to look at and none to change."""

    ann: Person
    photos: list[bytes]
    generation: str
    location: str
    avatar: str
    story: str
    picture_url: str
    story_url: str
    key: str


@pytest.fixture(scope="session")
def finished(server: Server, jpegs: list[bytes]) -> Iterator[Finished]:
    """A generation that is done: 0 and 1 saved, 4 discarded, 0 the profile picture and in a story."""
    ann = Person(server)
    with ann.client:
        location = ann.done(jpegs, headers={"Idempotency-Key": "ann's first"})
        [first, _] = ann.send("POST", f"{location}/save", {"avatars": [0, 1]})["items"]
        ann.send("POST", f"{location}/discard", {"avatars": [4]})
        picture = ann.send("PUT", "/v1/profile/picture", {"avatar": first["avatar"]})
        story = ann.send("POST", "/v1/stories", {"avatar": first["avatar"], "caption": "Look at me"}, 201)
        generation = location.rsplit("/", 1)[1]
        urls = picture["url"], story["url"]
        yield Finished(ann, jpegs, generation, location, first["avatar"], story["id"], *urls, "ann's first")


# About tokens, headers, pages and words: where rows and objects lie makes no difference to them.
STORELESS = (
    "test_base_path",
    "test_browsers",
    "test_cors",
    "test_generated",
    "test_head",
    "test_jwks",
    "test_openapi",
    "test_problems",
    "test_slow_headers",
    "test_studio",
    "test_tokens",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Ask those of one server alone."""
    twice = [item for item in items if item.path.stem in STORELESS and "[fleet" in item.name]
    config.hook.pytest_deselected(items=twice)
    items[:] = [item for item in items if item not in twice]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Show what the servers of a failed test said."""
    report = (yield).get_result()
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Server) and value.log.exists():
                tail = value.log.read_text().splitlines()[-40:]
                report.sections.append((f"standard error of {name}", os.linesep.join(tail)))
