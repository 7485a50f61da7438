"""A style that comes while the server runs: seen within two seconds by everybody, drawn with its LoRA, gone as quickly;
what was being drawn goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.homes import FleetHome
from tests.http.conftest import jpegs
from tests.serving import Server
from tests.style_packs.packs import pack

__all__ = ["jpegs"]
SEEN_S = 2.0


@pytest.fixture(params=["embedded", "fleet"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    home = None
    if request.param == "fleet":
        home = FleetHome(*(request.getfixturevalue(name) for name in ("postgres", "migrated", "s3")))
    server = Server(tmp_path / "data", home=home, avatars=6, steps=2, quota_lite=100).start()
    try:
        yield server
    finally:
        server.close()


def likeness(server: Server, *arguments: str) -> str:
    environment = {**os.environ, **server.home.environment}
    environment |= {f"LIKENESS_{name.upper()}": str(value) for name, value in server.home.settings.items()}
    command = [sys.executable, "-m", "likeness", "styles", *arguments, "--data", str(server.data)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(server: Server) -> set[str]:
    return {each["name"] for each in server.client.get("/v1/styles").json()["items"]}


def within(seconds: float, server: Server, condition: Any) -> None:
    started = time.monotonic()
    server.until(condition)
    assert time.monotonic() - started < seconds


def drawn(server: Server, generation: str) -> dict[str, Any]:
    return server.until(lambda: (found := server.generation(generation))["state"] in ("done", "failed") and found)


def pixels(server: Server, generation: str) -> list[bytes]:
    """The avatars as they were drawn: their files differ in their signatures."""
    import io

    from PIL import Image

    urls = [each["url"] for each in server.generation(generation)["avatars"]]
    return [Image.open(io.BytesIO(server.client.get(url).content)).tobytes() for url in urls]


def test_installed_drawn_and_removed_while_it_runs(server: Server, jpegs: list[bytes], tmp_path: Path) -> None:
    worker = server.worker_pid
    assert "Installed paper 1.0" in likeness(server, "install", str(pack(tmp_path / "paper", lora=True)))
    within(SEEN_S, server, lambda: "paper" in names(server))
    assert "paper 1.0" in likeness(server)
    mixed = server.accepted(jpegs, fields={"styles": ["paper", "comic"]})
    found = drawn(server, mixed)
    assert found["state"] == "done", server.log.read_text()
    assert {each["style"] for each in found["avatars"]} == {"paper", "comic"}
    assert len({*pixels(server, mixed)}) == 6

    under_way = server.accepted(jpegs, fields={"styles": "paper"})
    likeness(server, "remove", "paper")
    within(SEEN_S, server, lambda: "paper" not in names(server))
    refused = server.upload(jpegs, fields={"styles": "paper"})
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_style")
    assert drawn(server, under_way)["state"] == "done", server.log.read_text()
    assert server.worker_pid == worker  # nothing was built or started anew


def test_a_bad_pack_is_refused_and_the_server_goes_on(server: Server, tmp_path: Path) -> None:
    before = names(server)
    folder = pack(tmp_path / "paper", more='colour = "red"\n')
    with pytest.raises(AssertionError, match="colour"):
        likeness(server, "install", str(folder))
    assert names(server) == before
    assert server.client.get("/health/ready").json()["style_problems"] == []
