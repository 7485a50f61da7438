"""A started server: the real processes on loopback, with a data folder of its own; and what they use, as Linux says."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import httpx
import jwt
import msgspec
from prometheus_client.parser import text_string_to_metric_families

ISSUER: Final = "benchmark"
READY_S: Final = 60
STOP_S: Final = 40
LIKENESS: Final = (sys.executable, "-m", "likeness")


class Memory(msgspec.Struct, frozen=True):
    """Of one process, in MB of 10**6 bytes: resident now, and the most that ever was."""

    now: float
    peak: float


class Server(msgspec.Struct, frozen=True):
    """Where it listens, the process of the API, the secret of the platform's tokens, and its data folder."""

    address: str
    pid: int
    secret: str
    data: Path

    def token(self) -> str:
        """A token of a Plus user whom nobody has seen before."""
        claims = {"iss": ISSUER, "aud": "likeness", "sub": secrets.token_hex(8), "tier": "plus"}
        return jwt.encode({**claims, "exp": int(time.time()) + 3600}, self.secret, algorithm="HS256")

    def children(self) -> dict[str, int]:
        """Process ids by module: `likeness.worker.child`, and `likeness.intake.decoder`, of which any one is taken."""
        found: dict[str, int] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) == self.pid:
                    words = (folder / "cmdline").read_bytes().decode().split("\0")
                    found |= {word: int(folder.name) for word in words if word.startswith("likeness.")}
        return found

    def metric(self, name: str) -> float:
        """A metric's sum over its labels."""
        families = text_string_to_metric_families(httpx.get(f"{self.address}/metrics").text)
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The machine without it: for a baseline that an idle server's looking for work would slow down."""
        processes = [self.pid, *self.children().values()]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)


@contextmanager
def start_server(threads: int, *options: str, program: Sequence[str] = LIKENESS) -> Iterator[Server]:
    """Serve until the block ends; then the processes and all that they stored are gone."""
    secret = secrets.token_hex(32)
    with tempfile.TemporaryDirectory(prefix="likeness-serve-") as name, (Path(name) / "log").open("w+") as log:
        settings = {**_settings(threads, secret), "STYLE_CACHE": f"{name}/styles"}
        environment = environment_with(**{f"LIKENESS_{key}": value for key, value in settings.items()})
        data = Path(name) / "data"
        command = [*program, "serve", "--data", str(data), "--port", "0", *options]
        process = subprocess.Popen(command, cwd=name, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        server = None
        try:
            assert process.stdout is not None
            server = Server(process.stdout.readline().rpartition(" ")[2].strip(), process.pid, secret, data)
            _wait_until_ready(server, process)
            yield server
        except BaseException:
            _show_end(log)
            raise
        finally:
            _stop(process, server)


def environment_with(**variables: str) -> dict[str, str]:
    """This process's environment without settings of a server, and with these variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")} | variables


def say(what: str) -> None:
    """Progress, for whoever waits."""
    print(what, file=sys.stderr, flush=True)


def memory(pid: int) -> Memory:
    """What a process uses and has used."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    now, peak = (int(lines[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
    return Memory(now, peak)


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _settings(threads: int, secret: str) -> dict[str, str]:
    return {"THREADS": str(threads), "JWT_SECRET": secret, "JWT_ISSUER": ISSUER}


def _wait_until_ready(server: Server, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{server.address}/health/live").is_success:
                return
        time.sleep(0.05)
    raise SystemExit("The server did not start. Its log is above.")


def _show_end(log: IO[str]) -> None:
    log.seek(0)
    print("The end of the server's log:\n", *log.readlines()[-20:], sep="", file=sys.stderr)


def _stop(process: subprocess.Popen[str], server: Server | None) -> None:
    """Ask, then kill; nobody is left behind who would write into the folder that is deleted next."""
    children = server.children().values() if server and process.poll() is None else ()
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        print(f"The server did not stop in {STOP_S} s and is killed.", file=sys.stderr)
        for pid in (process.pid, *children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
