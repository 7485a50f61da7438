"""What is asked of a fleet, in any size: each answers what it saw, which the short tests and the long run judge."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx

from tests.fleet import Fleet, headers
from tests.patience import patience_s
from tests.serving import CONSENT


def files_of(photos: Sequence[bytes]) -> list[tuple[str, tuple[str, bytes, str]]]:
    """Photos as httpx takes them."""
    return [("photos", (f"{index}.jpg", photo, "image/jpeg")) for index, photo in enumerate(photos)]


def upload(fleet: Fleet, photos: Sequence[bytes], user: dict[str, str], node: int = 0) -> str:
    """The address of an accepted generation."""
    client = fleet.nodes[node].client
    answer = client.post("/v1/generations", files=files_of(photos), data={"consent": CONSENT}, headers=user)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["Location"])


def state(fleet: Fleet, location: str) -> str:
    """A generation's state by the database."""
    return str(fleet.one(f"SELECT state FROM generations WHERE id = '{location.rsplit('/', 1)[1]}'"))


def ended(fleet: Fleet, locations: Sequence[str]) -> bool:
    """Whether none is waited for any more."""
    return all(state(fleet, each) not in ("queued", "rendering") for each in locations)


def simultaneous(fleet: Fleet, photos: Sequence[bytes], count: int, user: dict[str, str]) -> Counter[int]:
    """So many uploads of one user at once, over all nodes; the statuses."""

    async def one(client: httpx.AsyncClient, number: int) -> int:
        url = fleet.nodes[number % len(fleet.nodes)].client.base_url.join("/v1/generations")
        answer = await client.post(url, files=files_of(photos), data={"consent": CONSENT}, headers=user)
        return answer.status_code

    async def every() -> Counter[int]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(timeout=patience_s(300), limits=limits) as client:
            return Counter(await asyncio.gather(*(one(client, number) for number in range(count))))

    return asyncio.run(every())


def replays(fleet: Fleet, photos: Sequence[bytes], count: int) -> tuple[int, int]:
    """One upload sent again and again under its key, to all nodes; generations made, and different bodies."""
    user = headers(f"replays-{secrets.token_hex(4)}") | {"Idempotency-Key": secrets.token_hex(16)}
    bodies, locations = set[bytes](), set[str]()
    with httpx.Client(timeout=patience_s()) as client:
        for number in range(count):
            url = fleet.nodes[number % len(fleet.nodes)].client.base_url.join("/v1/generations")
            answer = client.post(url, files=files_of(photos), data={"consent": CONSENT}, headers=user)
            assert answer.status_code == 202, answer.text
            bodies.add(answer.content)
            locations.add(answer.headers["Location"])
    return len(locations), len(bodies)


def reconnects(fleet: Fleet, photos: Sequence[bytes], count: int, seed: int = 1) -> dict[str, int]:
    """Follow generations, cutting the stream after each few events and coming back to another node, so many times."""
    chance, seen = random.Random(seed), Counter[str]()
    while seen["reconnects"] < count:
        user = headers(f"streams-{secrets.token_hex(4)}")
        location = upload(fleet, photos, user, chance.randrange(len(fleet.nodes)))
        events = _follow(fleet, location, user, chance, seen)
        numbers = [number for number, _ in events]
        kinds = Counter(kind for _, kind in events)
        seen["lost"] += len(set(range(1, max(numbers) + 1)) - set(numbers))
        seen["doubled"] += len(numbers) - len(set(numbers))
        seen["ends"] += kinds["done"]
        seen["generations"] += 1
    return dict(seen)


def _follow(
    fleet: Fleet, location: str, user: dict[str, str], chance: random.Random, seen: Counter[str]
) -> list[tuple[int, str]]:
    events: list[tuple[int, str]] = []
    while not {"done", "photos_deleted"} <= {kind for _, kind in events}:
        node = chance.choice(fleet.nodes)
        last = {"Last-Event-ID": str(events[-1][0])} if events else {}
        events += _some(node.client, f"{location}/events", user | last, chance.randint(1, 3))
        seen["reconnects"] += 1
    return events


def _some(client: httpx.Client, url: str, headers_: dict[str, str], most: int) -> list[tuple[int, str]]:
    """At most so many events, then the connection is cut."""
    found: list[tuple[int, str]] = []
    with client.stream("GET", url, headers=headers_) as response:
        number = 0
        for line in response.iter_lines():
            if line.startswith("id: "):
                number = int(line[4:])
            if line.startswith("event: "):
                found.append((number, line[7:]))
                if len(found) == most:
                    break
    return found


def cancels(fleet: Fleet, photos: Sequence[bytes], count: int) -> list[float]:
    """Seconds from each cancelling to the moment that the worker draws what waited behind.

    The fleet has one worker, which draws one generation at a time and takes long for each.
    """
    seconds = []
    user = headers(f"cancels-{secrets.token_hex(4)}")
    now = upload(fleet, photos, user)
    fleet.until(lambda: state(fleet, now) == "rendering")
    for _ in range(count):
        behind = upload(fleet, photos, user)
        began = time.perf_counter()
        answer = fleet.nodes[0].client.delete(now, headers=user)
        assert answer.json()["status"] == "cancelled"
        fleet.until(lambda at=behind: state(fleet, at) == "rendering")  # type: ignore[misc]
        seconds.append(time.perf_counter() - began)
        now = behind
    fleet.nodes[0].client.delete(now, headers=user)
    return seconds


def avatars_told(fleet: Fleet, location: str) -> Counter[int]:
    """How often each avatar of a generation was told of."""
    name = location.rsplit("/", 1)[1]
    rows = fleet.rows(f"SELECT data FROM events WHERE generation = '{name}' AND kind = 'avatar'")
    return Counter(json.loads(data)["index"] for (data,) in rows)


def fences(fleet: Fleet, locations: Sequence[str]) -> list[Any]:
    """How often each generation was claimed."""
    names = ", ".join(f"'{each.rsplit('/', 1)[1]}'" for each in locations)
    return [fence for (fence,) in fleet.rows(f"SELECT fence FROM generations WHERE id IN ({names})")]
