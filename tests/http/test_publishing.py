"""A platform's plugin in a server of its own is told of every profile picture and story, past one that fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http.conftest import started
from tests.http.talk import ISSUER, SECRET, Person
from tests.serving import Server

NOTING = """
import json
from pathlib import Path

from likeness_plugins import hookimpl


@hookimpl
def likeness_avatar_published(publication):
    line = {"kind": publication.kind, "user": publication.user, "url": publication.url, "caption": publication.caption,
            "until": publication.until and publication.until.isoformat()}
    with Path(__file__).with_name("told.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\\\\n")
"""
FAILING = """
from likeness_plugins import hookimpl


@hookimpl
def likeness_avatar_published(publication):
    raise RuntimeError(publication.user)
"""


def install(folder: Path, name: str, code: str) -> None:
    """A distribution as it lies in site-packages."""
    (folder / f"{name}.py").write_text(code.replace("\\\\n", "\\n"))
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[likeness]\n{name} = {name}\n")


@pytest.fixture
def ann(platform_server: Server) -> Iterator[Person]:
    person = Person(platform_server)
    with person.client:
        yield person


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder, "failing", FAILING)
    install(folder, "noting", NOTING)
    return folder


@pytest.fixture(scope="module")
def platform_server(plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(plugins))
        data = tmp_path_factory.mktemp("publishing") / "data"
        yield from started(data, jwt_issuer=ISSUER, jwt_secret=SECRET, steps=1, avatars=5)


def told(plugins: Path) -> list[dict[str, Any]]:
    file = plugins / "told.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_plugins_are_told_who_shows_what_where_and_how_long(
    platform_server: Server, ann: Person, plugins: Path, jpegs: list[bytes]
) -> None:
    generation = ann.done(jpegs)
    [saved] = ann.send("POST", f"{generation}/save", {"avatars": [0]})["items"]
    picture = ann.send("PUT", "/v1/profile/picture", {"avatar": saved["avatar"]})
    story = ann.send("POST", "/v1/stories", {"avatar": saved["avatar"], "caption": "Hello"}, status=201)
    platform_server.until(lambda: len(told(plugins)) == 2)
    first, second = told(plugins)
    assert (first["kind"], first["user"], first["url"], first["until"]) == (
        "picture",
        ann.subject,
        picture["url"],
        None,
    )
    assert (second["kind"], second["url"], second["caption"]) == ("story", story["url"], "Hello")
    assert second["until"][:19] == story["until"][:19]
    # Its failure is everybody's to see, and names nobody.
    health = platform_server.client.get("/health/ready").json()
    assert any("failing: likeness_avatar_published failed: RuntimeError" in each for each in health["style_problems"])
    assert ann.subject not in json.dumps(health) + platform_server.log.read_text()
