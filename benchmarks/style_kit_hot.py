"""Not a benchmark: installing styles into a running server, and removing them, a part of `style_kit.py`."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from benchmarks.client import Client, at_once
from benchmarks.report import Figure
from benchmarks.server import LIKENESS, Server, environment_with, say, start_server
from benchmarks.style_kit_packs import make_data

MOST_S: Final = 2.0
PATIENCE_S: Final = 30.0
ASK_EVERY_S: Final = 0.02


class Seen(msgspec.Struct, frozen=True):
    """Seconds until `GET /v1/styles` says so: from the command's start, and from the moment that it says it is done."""

    begun_s: float
    told_s: float


def measure_hot(threads: int, installs: int) -> list[Figure]:
    """Packs with a LoRA, installed from outside and removed, one after the other; the slowest counts."""
    with tempfile.TemporaryDirectory(prefix="likeness-styles-") as name, start_server(threads) as server:
        names = [f"made-{index}" for index in range(installs)]
        packs = [make_data(each, Path(name) / each, lora=True) for each in names]
        client = Client(server)
        installed: list[Seen] = []
        removed: list[Seen] = []
        for index, (each, pack) in enumerate(zip(names, packs, strict=True)):
            say(f"installing into a running server: {index + 1} of {installs}")
            installed.append(_seen(server, client, ["install", str(pack)], each, offered=True))
            removed.append(_seen(server, client, ["remove", each], each, offered=False))
    return [*_figures("installed", installed), *_figures("removed", removed)]


def _figures(what: str, seen: list[Seen]) -> list[Figure]:
    told, begun = [each.told_s for each in seen], [each.begun_s for each in seen]
    return [
        Figure(f"{what} to seen in GET /v1/styles, p50", median(told), "s", "lower"),
        Figure(f"{what} to seen in GET /v1/styles, slowest", max(told), "s", "lower", MOST_S),
        Figure(f"{what}, with the command itself, p50", median(begun), "s", "lower"),
        Figure(f"{what}, with the command itself, slowest", max(begun), "s", "lower"),
    ]


def _seen(server: Server, client: Client, words: list[str], style: str, *, offered: bool) -> Seen:
    command = [*LIKENESS, "styles", *words, "--data", str(server.data)]
    began = time.perf_counter()
    told, seen = at_once([lambda: _run(command), lambda: _ask(server, client, style, offered=offered)])
    return Seen(seen - began, max(0.0, seen - told))


def _run(command: list[str]) -> float:
    """The moment of the command's first line, which says that it is done."""
    environment = environment_with(PYTHONUNBUFFERED="1")
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        told = time.perf_counter()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}.")
    return told


def _ask(server: Server, client: Client, style: str, *, offered: bool) -> float:
    """The moment at which the server first offers the style, or does no more."""
    headers = {"Authorization": f"Bearer {server.token()}"}
    until = time.perf_counter() + PATIENCE_S
    while time.perf_counter() < until:
        names = {each["name"] for each in client.get("/v1/styles", headers)["items"]}
        if (style in names) == offered:
            return time.perf_counter()
        time.sleep(ASK_EVERY_S)
    raise SystemExit(f"After {PATIENCE_S:.0f} s GET /v1/styles still has the styles from before.")
