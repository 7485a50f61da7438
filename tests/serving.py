"""A real server for tests: started on a free port of loopback, stopped, killed, and started again on its data."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx

from likeness.packs import is_identity_installed
from likeness.policy import policy_version
from tests.homes import FolderHome, Home
from tests.patience import patience_s, wait_until

# What an upload to a server of this environment has to name.
CONSENT = policy_version(is_identity_installed())


def environment_of(home: Home) -> dict[str, str]:
    """Of a process that lives there, without settings: none of this machine's either."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")}
    return environment | home.environment


def variables(home: Home, settings: dict[str, object]) -> dict[str, str]:
    """Settings as LIKENESS_... variables, those of the home too."""
    return {f"LIKENESS_{name.upper()}": str(value) for name, value in {**home.settings, **settings}.items()}


class Server:
    """`likeness serve` on a data folder, or wherever its `home` is; `settings` are LIKENESS_... variables in lower case
    without the prefix.
    """

    def __init__(self, data: Path, *options: str, home: Home | None = None, **settings: object) -> None:
        self.data = data
        self.home = home or FolderHome(data)
        self.log = data.with_suffix(".log")
        self.client = httpx.Client(timeout=patience_s())
        self._options = options
        self._settings = variables(self.home, settings)
        self._process: subprocess.Popen[str] | None = None

    def start(self, *, ready: bool = True) -> Self:
        """Start, and wait until it listens, and until it is ready."""
        command = [sys.executable, "-m", "likeness", "serve", "--data", str(self.data), "--port", "0", *self._options]
        environment = environment_of(self.home) | self._settings
        with self.log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._reap()
            raise AssertionError(self.log.read_text())
        self.client.base_url = httpx.URL(line.split()[-1])
        if ready:
            self.until(self._ready)
        return self

    @property
    def alive(self) -> bool:
        """Whether the API process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The API process."""
        assert self._process is not None
        return self._process.pid

    @property
    def worker_pid(self) -> int | None:
        """The worker process below it, if there is one."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parent = folder.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1]
                if int(parent) == self.pid and b"likeness.worker.child" in folder.joinpath("cmdline").read_bytes():
                    return int(folder.name)
        return None

    def kill(self, *, worker: bool = True, server: bool = True) -> None:
        """SIGKILL, both at the same moment if both are meant."""
        pids = [self.worker_pid] if worker else []
        pids += [self.pid] if server else []
        for pid in pids:
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        if server:
            self._reap()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self._reap()

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self.stop()
        self.client.close()

    def until(self, condition: Callable[[], Any]) -> Any:
        """Ask again and again until the answer is true; returns it."""
        return wait_until(condition, lambda: f"the log: {self.log.read_text()[-4000:]}")

    def upload(self, photos: list[bytes], **options: Any) -> httpx.Response:
        """POST an upload; `fields` are added to the consent."""
        fields = {"consent": CONSENT, **options.pop("fields", {})}
        files = [("photos", (f"{index}.jpg", photo, "image/jpeg")) for index, photo in enumerate(photos)]
        return self.client.post("/v1/generations", files=files, data=fields, **options)

    def accepted(self, photos: list[bytes], **options: Any) -> str:
        """The id of an upload's generation."""
        response = self.upload(photos, **options)
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def generation(self, generation: str, **options: Any) -> dict[str, Any]:
        """A generation as it is now."""
        response = self.client.get(f"/v1/generations/{generation}", **options)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def events(self, generation: str, last: int | None = None, **options: Any) -> Iterator[tuple[int, str, Any]]:
        """Number, kind and data of each event, until the stream ends."""
        headers = {**options.pop("headers", {}), **({"Last-Event-ID": str(last)} if last is not None else {})}
        url = f"/v1/generations/{generation}/events"
        with self.client.stream("GET", url, headers=headers, **options) as response:
            assert response.status_code == 200, response.read()
            event: dict[str, str] = {}
            for line in response.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif "id" in event:
                    yield int(event["id"]), event["event"], json.loads(event["data"])
                    event = {}

    def _ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.client.get("/health/ready").status_code == 200
        return False

    def _reap(self) -> int:
        assert self._process is not None
        code = self._process.wait(patience_s())
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code
