"""A style that comes while the server runs: seen within two seconds by everybody, drawn with its LoRA, gone as quickly;
what was being drawn goes on.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.homes import FleetHome
from tests.http.conftest import jpegs
from tests.patience import patience_s
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
    assert time.monotonic() - started < patience_s(seconds)


def drawn(server: Server, generation: str) -> dict[str, Any]:
    """A generation that has ended well."""
    found = server.until(lambda: (view := server.generation(generation))["status"] in ("done", "failed") and view)
    assert found["status"] == "done", server.log.read_text()
    return dict(found)


def pictures(server: Server, jpegs: list[bytes]) -> dict[str, NDArray[np.float32]]:
    """What is drawn of both styles, together in one batch, with one seed: uint8 values by style."""
    fields = {"styles": ["paper", "comic"], "seed": "7"}
    found: dict[str, list[NDArray[np.float32]]] = {}
    for avatar in drawn(server, server.accepted(jpegs, fields=fields))["avatars"]:
        content = server.client.get(avatar["url"]).content
        found.setdefault(avatar["style"], []).append(np.asarray(Image.open(io.BytesIO(content)), np.float32))
    return {style: np.stack(each) for style, each in found.items()}


def test_installed_drawn_and_removed_while_it_runs(server: Server, jpegs: list[bytes], tmp_path: Path) -> None:
    worker = server.worker_pid
    assert "Installed paper 1.0" in likeness(server, "install", str(pack(tmp_path / "1", lora=True)))
    within(SEEN_S, server, lambda: "paper" in names(server))
    assert "paper 1.0" in likeness(server)
    with_lora = pictures(server, jpegs)
    preview = server.client.get("/v1/styles/paper/preview")
    assert (preview.status_code, preview.headers["content-type"]) == (200, "image/png")
    likeness(server, "install", str(pack(tmp_path / "2", version="2.0")))
    server.until(lambda: "paper 2.0" in likeness(server))
    plain = pictures(server, jpegs)
    assert np.abs(with_lora["paper"] - plain["paper"]).mean() > 10
    assert np.abs(with_lora["comic"] - plain["comic"]).mean() < 1

    under_way = server.accepted(jpegs, fields={"styles": "paper"})
    likeness(server, "remove", "paper")
    within(SEEN_S, server, lambda: "paper" not in names(server))
    refused = server.upload(jpegs, fields={"styles": "paper"})
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_style")
    drawn(server, under_way)
    assert server.worker_pid == worker  # nothing was built or started anew


def test_a_bad_pack_is_refused_and_the_server_goes_on(server: Server, tmp_path: Path) -> None:
    before = names(server)
    folder = pack(tmp_path / "paper", more='colour = "red"\n')
    with pytest.raises(AssertionError, match="colour"):
        likeness(server, "install", str(folder))
    assert names(server) == before
    assert server.client.get("/health/ready").json()["style_problems"] == []
