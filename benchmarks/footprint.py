"""What a server's processes hold in memory: under load, with idle streams, with huge uploads, over a long time."""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchmarks.client import Client, at_once
from benchmarks.report import Figure
from benchmarks.server import Server, memory, say, start_server
from benchmarks.streams import measure_idle
from benchmarks.uploads import Form, make_form

GREEDY = 8  # clients that send ten photos of 15 MB at once
SOAK_FROM = 10
WORKER, DECODER = "likeness.worker.child", "likeness.intake.decoder"
# Accepted, or refused for what is in the photos, which is known once the whole body has come.
READ_WHOLE = (202, 422)


def measure_memory(server: Server) -> list[Figure]:
    """What each process holds after all that, and has held."""
    children = server.children()
    processes = (("the API", server.pid), ("the worker", children[WORKER]), ("a waiting decoder", children[DECODER]))
    figures = []
    for name, pid in processes:
        used = memory(pid)
        figures += [
            Figure(f"memory of {name} after the load", used.now, "MB", "lower"),
            Figure(f"memory of {name}, peak", used.peak, "MB", "lower"),
        ]
    return figures


def measure_idle_streams(threads: int, form: Form, count: int) -> list[Figure]:
    """Clients that wait for events that do not come."""
    say(f"{count} idle streams")
    idle = measure_idle(threads, form, count)
    name = f"{count} idle streams"
    return [
        Figure(f"{name}, memory", idle.cost_mb, "MB", "lower", 100),
        Figure(f"{name}, database transactions", idle.transactions_per_s, "1/s", "lower", 10),
        Figure(f"{name}, the API's processor time", idle.cpu_percent, "% of a core", "lower"),
    ]


def measure_greedy_uploads(threads: int, photos: Sequence[bytes]) -> list[Figure]:
    """The API's memory while the largest uploads come in at once."""
    say(f"{GREEDY} uploads of {len(photos)} photos of {len(photos[0]) / 1e6:.1f} MB")
    form = make_form(photos)
    with start_server(threads, "--no-worker") as server:
        at_rest = memory(server.pid).now
        began = time.perf_counter()
        answers = at_once([lambda: Client(server).upload(form)[0]] * GREEDY)
        passed = time.perf_counter() - began
        peak = memory(server.pid).peak
    codes = [answer.status_code for answer in answers]
    say(f"  answered {codes}")
    if not set(codes) <= set(READ_WHOLE):
        raise SystemExit(f"Large uploads were refused before they were read: {answers[0].text}")
    name = f"{GREEDY} uploads of {len(form.body) / 1e6:.0f} MB at once"
    return [
        Figure("memory of the API at rest", at_rest, "MB", "lower"),
        Figure(f"{name}, peak memory of the API", peak, "MB", "lower", 600),
        Figure(f"{name}, until all are answered", passed, "s", "lower"),
    ]


def measure_soak(threads: int, form: Form, generations: int) -> list[Figure]:
    """Whether memory grows from the tenth generation to the last."""
    say(f"{generations} generations, one client")
    with start_server(threads) as server:
        client = Client(server)
        for _ in range(SOAK_FROM):
            client.generate(form)
        processes = {"API": server.pid, "worker": server.children()[WORKER]}
        early = {name: memory(pid).now for name, pid in processes.items()}
        for _ in range(generations - SOAK_FROM):
            client.generate(form)
        late = {name: memory(pid).now for name, pid in processes.items()}
    when = f"from generation {SOAK_FROM} to {generations}"
    return [
        Figure(f"memory of the {name} grows {when}", 100 * (late[name] / early[name] - 1), "%", "lower", 5)
        for name in processes
    ]
