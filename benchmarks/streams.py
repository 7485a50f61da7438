"""Idle event streams: opened over bare sockets, so that thousands of clients cost this process little."""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from benchmarks import counted
from benchmarks.client import Client
from benchmarks.server import Server, cpu_s, memory, start_server
from benchmarks.uploads import Form

WARM: Final = 20
AT_A_TIME: Final = 50
IDLE_S: Final = 15  # from one ping of a stream to the next: each gets one, whenever it was opened
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Idle(msgspec.Struct, frozen=True):
    """What idle streams cost the API: MB, database transactions a second, percent of a core."""

    cost_mb: float
    transactions_per_s: float
    cpu_percent: float


def measure_idle(threads: int, form: Form, count: int) -> Idle:
    """Hold so many streams on a generation that stays queued."""
    _allow_files(count + 200)
    with tempfile.TemporaryDirectory(prefix="likeness-count-") as name:
        file = Path(name) / "count"
        program = (sys.executable, str(counted.__file__), str(file))
        with start_server(threads, "--no-worker", program=program) as server:
            path, headers = Client(server).queue(form)
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            request = f"GET {path}/events HTTP/1.1\r\nHost: {urlsplit(server.address).netloc}\r\n{head}\r\n"
            return asyncio.run(_hold(server, request.encode(), count, file))


async def _hold(server: Server, request: bytes, count: int, file: Path) -> Idle:
    _close(await _open(server, request, WARM))  # what the first streams of a server import and make counts for none
    before = memory(server.pid).now
    streams = await _open(server, request, count)
    transactions, cpu, began = counted.read_count(file), cpu_s(server.pid), time.perf_counter()
    await asyncio.sleep(IDLE_S)
    passed = time.perf_counter() - began
    transactions, cpu = counted.read_count(file) - transactions, cpu_s(server.pid) - cpu
    after = memory(server.pid).now
    if any(reader.at_eof() for reader, _ in streams):
        raise SystemExit("The server ended streams of a generation that waits.")
    _close(streams)
    return Idle(after - before, transactions / passed, 100 * cpu / passed)


async def _open(server: Server, request: bytes, count: int) -> list[Connection]:
    streams: list[Connection] = []
    while len(streams) < count:
        more = min(AT_A_TIME, count - len(streams))
        streams += await asyncio.gather(*(_stream(server, request) for _ in range(more)))
    return streams


async def _stream(server: Server, request: bytes) -> Connection:
    """One stream, open and past its first event."""
    where = urlsplit(server.address)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(request)
    async with asyncio.timeout(60):
        await reader.readuntil(b"event: queued")
    return reader, writer


def _close(streams: list[Connection]) -> None:
    for _, writer in streams:
        writer.close()


def _allow_files(wanted: int) -> None:
    """Raise this process's limit of open files; the server's, as it is handed down."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise SystemExit(f"This machine allows {hard} open files, and {wanted} are needed. Lower --streams.")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
