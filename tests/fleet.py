"""A fleet for tests: API nodes and workers as processes of their own, on one PostgreSQL server and one S3 server."""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import jwt

from tests.homes import FleetHome
from tests.patience import QUIET_S, patience_s, wait_until
from tests.postgres import Postgres
from tests.s3 import S3Server
from tests.serving import Server, environment_of, variables

ROOT: Final = Path(__file__).parent.parent
SIMULATED: Final = ROOT / "benchmarks" / "simulated_engine.py"
ISSUER: Final = "https://social.example"
SECRET: Final = secrets.token_hex(32)


class Worker:
    """`likeness worker` with an engine of fixed step time, in `prefix` (such as faketime) if there is one."""

    def __init__(self, fleet: Fleet, name: str, *prefix: str) -> None:
        self.name = name
        self.log = fleet.folder / f"{name}.log"
        self.hang = fleet.folder / f"{name}.hang"
        self._fleet = fleet
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start; it draws once its lease is in the database."""
        environment = self._fleet.environment | {"SIMULATED_HANG": str(self.hang)}
        command = [*self._prefix, sys.executable, str(SIMULATED), "--data", str(self._fleet.folder / self.name)]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    @property
    def alive(self) -> bool:
        """Whether the process runs, or is stopped."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, SIGSTOP and SIGCONT too."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; returns the exit code."""
        assert self._process is not None
        return self._process.wait(patience_s())

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self.alive:
            self.signal(signal.SIGCONT)
            self.kill()


class Fleet:
    """One platform's installation; `settings` are those of all its processes, `step_ms` its engines' step time."""

    def __init__(
        self,
        folder: Path,
        postgres: Postgres,
        migrated: str,
        s3: S3Server,
        *,
        step_ms: float = 20,
        **settings: object,
    ) -> None:
        self.folder = folder
        self.postgres = postgres
        self.s3 = s3
        self.home = FleetHome(postgres, migrated, s3)
        self.settings: dict[str, object] = {
            "jwt_issuer": ISSUER,
            "jwt_secret": SECRET,
            "backend": "simulated",
            "steps": 3,
            "quota_plus": 100_000,
            "quota_lite": 100_000,
            **settings,
        }
        self.step_ms = step_ms
        self.nodes: list[Server] = []
        self.workers: list[Worker] = []
        folder.mkdir(exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """Of a process of the fleet."""
        given = environment_of(self.home) | variables(self.home, self.settings)
        return given | {"SIMULATED_STEP_MS": str(self.step_ms)}

    def node(self) -> Server:
        """One more API node, started."""
        name = f"node-{len(self.nodes)}"
        # Its engines are the workers': a node reads nothing of a backend but its name.
        server = Server(self.folder / name, "--no-worker", home=self.home, **self.settings)
        self.nodes.append(server)
        server.start(ready=False)
        return server

    def worker(self, *prefix: str) -> Worker:
        """One more worker, started."""
        worker = Worker(self, f"worker-{len(self.workers)}", *prefix)
        self.workers.append(worker)
        worker.start()
        return worker

    def holder(self, location: str) -> Worker:
        """The worker that draws a generation."""
        name = location.rsplit("/", 1)[1]
        pid = int(str(self.one(f"SELECT worker FROM generations WHERE id = '{name}'")).split("-")[-2])
        return next(each for each in self.workers if each.pid == pid)

    def keep(self) -> None:
        """Start again whoever has ended, as an operator's tools do; a node that cannot start is tried again later."""
        for worker in self.workers:
            if not worker.alive:
                worker.start()
        for node in self.nodes:
            if not node.alive:
                with contextlib.suppress(AssertionError):
                    node.start(ready=False)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        return self.home.rows(query)

    def one(self, query: str) -> Any:
        """One value of it."""
        return self.rows(query)[0][0]

    def until(self, condition: Callable[[], Any], quiet_s: float = QUIET_S) -> Any:
        """Ask again and again until the answer is true, whatever does not answer meanwhile; returns it."""
        return wait_until(condition, lambda: f"the logs:\n{self.logs()}", quiet_s)

    def logs(self) -> str:
        """The end of everybody's log."""
        files = [each.log for each in (*self.nodes, *self.workers) if each.log.exists()]
        return "\n".join(f"--- {file.name}\n{file.read_text()[-1500:]}" for file in files)

    def close(self) -> None:
        """End all processes."""
        for worker in self.workers:
            worker.close()
        for node in self.nodes:
            node.close()


def headers(subject: str, tier: str = "plus") -> dict[str, str]:
    """A user's, by a token of the platform's."""
    claims = {"iss": ISSUER, "aud": "likeness", "sub": subject, "tier": tier, "exp": int(time.time()) + 7200}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}


@contextlib.contextmanager
def own_postgres(binaries: Path, **settings: str) -> Iterator[Postgres]:
    """A server for a test that kills it."""
    server = Postgres(binaries, **settings)
    try:
        server.start()
        yield server
    finally:
        server.close()
