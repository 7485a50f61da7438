"""What does serving cost over bare rendering, and what do users of a busy server get?

A real server on loopback, with clients in this process: so both share the machine, as they would not in real life. The
baseline draws the same thirty from the same photos with the core of `likeness render`, on as many threads and with a
worker's niceness, by turns with the server, which is stopped meanwhile. Needs Linux. The run takes some 90 generations,
64 of them for 64 clients: ten minutes on two free cores. Percentiles are by nearest rank: of a few generations, p95 and
p99 are the slowest one.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)

from PIL.Image import Image

from benchmarks.bare import start_baseline
from benchmarks.client import Client, Trip, at_once, in_a_loop, sample
from benchmarks.footprint import (
    SOAK_FROM,
    measure_greedy_uploads,
    measure_idle_streams,
    measure_memory,
    measure_soak,
)
from benchmarks.report import Figure, publish
from benchmarks.server import Server, say, start_server
from benchmarks.uploads import Form, encode, enlarge, five_pictures, make_form
from likeness.packs import is_identity_installed
from likeness.settings import Settings
from likeness.worker.lease import BEATS

UPLOADS = 20
ASK_EVERY_S = 0.025
RENDERING_S = 10.0


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that so many percent of all do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def covered_s(spans: Sequence[tuple[float, float]]) -> float:
    """Seconds that lie within at least one span of (start, end)."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def price_of_1000(price_per_hour: float, avatars: int, seconds: float) -> float:
    """What a thousand avatars cost on a machine that made so many in so many seconds."""
    return price_per_hour * seconds / 3600 / avatars * 1000


def measure_uploads(server: Server, form: Form) -> list[Figure]:
    """One client of a server that draws nothing: each generation is cancelled before the next upload."""
    say(f"{UPLOADS} uploads, one client")
    client, times = Client(server), []
    for _ in range(UPLOADS):
        sent = time.perf_counter()
        path, headers = client.queue(form)
        times.append(time.perf_counter() - sent)
        client.cancel(path, headers)
        time.sleep(1)  # the worker ends its step
    name = f"five photos, {len(form.body) / 1e6:.1f} MB, accepted"
    return [
        Figure(f"{name}, p50", percentile(times, 50), "s", "lower"),
        Figure(f"{name}, p95", percentile(times, 95), "s", "lower", 1.0),
    ]


def measure_overhead(server: Server, photos: Sequence[bytes], threads: int, repeats: int) -> list[Figure]:
    """Bare, served, and two served together, by turns; medians."""
    client, form = Client(server), make_form(photos)
    bare_s: list[float] = []
    single: list[Trip] = []
    pairs: list[list[Trip]] = []
    with start_baseline(photos, threads) as bare:
        for turn in range(repeats):
            say(f"bare, served, two together: turn {turn + 1} of {repeats}")
            with server.paused():
                bare_s.append(bare())
            single.append(client.generate(form))
            pairs.append(at_once([lambda: Client(server).generate(form)] * 2))
    alone_s = median(bare_s)
    rendering_s = median(trip.rendering_s for trip in single)
    served_s = median(trip.served_s for trip in single)
    # From the first byte of an upload to the end, as users wait: for two at once, and for two one after the other.
    together_s = median(max(one.done_s, other.done_s) for one, other in pairs)
    sequence_s = 2 * median(trip.done_s for trip in single)
    gap_s = max(abs(one.first_at - other.first_at) for one, other in pairs)
    return [
        Figure("thirty avatars, bare", alone_s, "s", "lower"),
        Figure("thirty avatars, served, begun to stored", rendering_s, "s", "lower"),
        Figure("thirty avatars, served, accepted to done", served_s, "s", "lower"),
        Figure("serving adds, begun to stored", 100 * (rendering_s / alone_s - 1), "%", "lower"),
        Figure("serving adds, accepted to done", 100 * (served_s / alone_s - 1), "%", "lower", 10),
        Figure("two together, times two in sequence", together_s / sequence_s, "x", "lower", 1.02),
        Figure("two together, between their first avatars", gap_s, "s", "lower", 8),
    ]


def measure_answers(server: Server, form: Form) -> list[Figure]:
    """How fast the API answers while the worker draws."""
    say("asking while it renders")
    asker, figures = Client(server), []
    live: list[float] = []
    look: list[float] = []
    until = time.perf_counter() + RENDERING_S
    while time.perf_counter() < until:
        more_live, more_look = _ask_while_rendering(server, asker, form)
        live, look = live + more_live, look + more_look
    for route, times in (("/health/live", live), ("/v1/generations/{id}", look)):
        name = f"GET {route} while rendering"
        figures += [
            Figure(f"{name}, p50", 1000 * percentile(times, 50), "ms", "lower"),
            Figure(f"{name}, p99", 1000 * percentile(times, 99), "ms", "lower", 20),
        ]
    return figures


def _ask_while_rendering(server: Server, asker: Client, form: Form) -> list[list[float]]:
    follower = Client(server)
    path, headers = follower.queue(form)
    while asker.get(path, headers)["status"] == "queued":
        time.sleep(0.02)
    ended = threading.Event()
    asks = [lambda: asker.get("/health/live", {}), lambda: asker.get(path, headers)]

    def follow() -> list[list[float]]:
        follower.follow(path, headers, 0.0, 0.0)
        ended.set()
        return []

    return at_once([follow, lambda: sample(asks, ended, ASK_EVERY_S)])[1]


def measure_loop(server: Server, form: Form, clients: int, generations: int, price: float) -> list[Figure]:
    """What each of so many clients gets, and what the worker does meanwhile."""
    say(f"{clients} clients, {generations} generations")
    step_s = server.metric("likeness_worker_step_seconds_total")
    began = time.perf_counter()
    trips = in_a_loop(server, form, clients, generations)
    passed = time.perf_counter() - began
    _wait_for_beat()
    step_s = server.metric("likeness_worker_step_seconds_total") - step_s
    who = f"{clients} client{'s' * (clients > 1)}"
    figures = []
    for name, times in (
        ("accepted", [trip.accepted_s for trip in trips]),
        ("first avatar", [trip.first_s for trip in trips]),
        ("thirtieth avatar", [trip.last_s for trip in trips]),
    ):
        figures += [Figure(f"{who}, {name}, p{p}", percentile(times, p), "s", "lower") for p in (50, 95, 99)]
    busy_s = covered_s([(trip.began, trip.ended) for trip in trips])
    avatars = sum(trip.avatars for trip in trips)
    return [
        *figures,
        Figure(f"{who}, generations an hour", 3600 * len(trips) / passed, "1/h", "higher"),
        Figure(f"{who}, worker outside render steps", 100 * (1 - step_s / busy_s), "%", "lower"),
        Figure(f"{who}, price of 1000 avatars", price_of_1000(price, avatars, passed), "$", "lower"),
    ]


def _wait_for_beat() -> None:
    """A worker tells its totals with every beat."""
    time.sleep(Settings().lease_s / BEATS + 1)


def measure(arguments: argparse.Namespace, pictures: Sequence[Image]) -> list[Figure]:
    """Everything, in the order of the table."""
    say("making photos")
    small = [encode(picture) for picture in pictures]
    phone = [enlarge(picture, megapixels=12, most_bytes=3_000_000, noise=6) for picture in pictures]
    large = [enlarge(picture, megapixels=24, most_bytes=14_950_000, noise=14) for picture in pictures]
    small_form, phone_form = make_form(small), make_form(phone)
    threads = arguments.threads
    with start_server(threads) as server:
        say("warming up")
        Client(server).generate(small_form)
        figures = measure_uploads(server, phone_form)
        figures += measure_overhead(server, small, threads, arguments.repeats)
        figures += measure_answers(server, small_form)
        _wait_for_beat()
        for clients, generations in zip(arguments.clients, arguments.generations, strict=True):
            figures += measure_loop(server, phone_form, clients, generations, arguments.price_per_hour)
        figures += measure_memory(server)
    figures += measure_idle_streams(threads, small_form, arguments.streams)
    figures += measure_greedy_uploads(threads, large * 2)
    if arguments.soak:
        figures += measure_soak(threads, phone_form, arguments.soak)
    return figures


def _counts(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, metavar="DIR", help="JPEGs of one person (default: the astronaut)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="turns of bare and served (default 3)")
    parser.add_argument("--clients", type=_counts, default=[1, 8, 64], metavar="N,N", help="default 1,8,64")
    parser.add_argument(
        "--generations", type=_counts, default=[3, 8, 64], metavar="N,N", help="of each of those (default 3,8,64)"
    )
    parser.add_argument("--streams", type=int, default=1000, help="idle event streams (default 1000)")
    parser.add_argument("--soak", type=int, default=0, metavar="N", help="watch memory over N generations (claim: 100)")
    parser.add_argument(
        "--price-per-hour", type=float, default=0.10, metavar="X", help="dollars for the machine (default 0.10)"
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if len(arguments.clients) != len(arguments.generations):
        parser.error("--generations needs one number for each of --clients")
    if any(most < clients for clients, most in zip(arguments.clients, arguments.generations, strict=True)):
        parser.error("--generations must give each client at least one")
    if arguments.soak and arguments.soak <= SOAK_FROM:
        parser.error(f"--soak compares with generation {SOAK_FROM}: give it more")
    return arguments


def main() -> int:
    """Measure and publish."""
    arguments = _parse()
    # An end by `kill` or `timeout` cleans up like any other.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    settings = {
        "photos": str(arguments.photos or "the astronaut"),
        "threads": str(arguments.threads),
        "turns": str(arguments.repeats),
        "generations": ", ".join(map(str, arguments.generations)),
        "soak": str(arguments.soak),
        "dollars an hour": f"{arguments.price_per_hour:g}",
        "faces compared": str(is_identity_installed()),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }
    return publish("serve", measure(arguments, five_pictures(arguments.photos)), settings, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
