"""Random kills of everything while people upload: what was accepted is drawn, what was promised is deleted."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Self

import msgspec
import psycopg

from likeness.retention.reconcile import Walk
from likeness.safe import Safe, open_safe
from likeness.settings import Settings
from tests.faults.load import Platform, Users
from tests.fleet import Fleet

LITE_S: Final = 20  # in place of five minutes, so that a run sees deletions amid its kills
QUIET_S: Final = 240.0
OPEN: Final = {
    "generations": "state IN ('queued', 'rendering')",
    "deadlines": "kind IN ('photos', 'refused') AND done_at IS NULL",
    "webhooks": "delivered_at IS NULL",
}


class Kills(msgspec.Struct):
    """What came of it."""

    accepted: int
    asked_again: int
    kills: dict[str, int]
    lost: list[str]
    drawn_again: int
    readable_s: dict[str, dict[str, float]]  # by tier and generation: seconds from the deadline to the key's end
    late_s: dict[str, list[float]]  # by tier: seconds from the deadline to the signed deletion of the objects
    told: int
    not_told: int
    problems: list[str]


def percentile(values: Sequence[float], share: float) -> float:
    """Of the sorted values, the one at this share; 0 without any."""
    ordered = sorted(values) or [0.0]
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def kill_at_random(
    fleet: Fleet, photos: Sequence[bytes], platform: Platform, *, uploads: int, kills: int, pause_s: float, seed: int
) -> Kills:
    """Two nodes and two workers at least must run; each that is killed is started again at once."""
    chance = random.Random(seed)
    users, watch = Users(fleet, photos, uploads).start(), KeyWatch(fleet).start()
    done: Counter[str] = Counter()
    while sum(done.values()) < kills:
        time.sleep(chance.uniform(0.5, 1.5) * pause_s)
        done[_kill_one(fleet, chance)] += 1
        fleet.keep()
        if sum(done.values()) > kills // 2:
            platform.up.set()
    platform.up.set()
    fleet.until(lambda: fleet.keep() or not users.busy, 600)
    _settle(fleet, ("generations", "deadlines"))
    # Pauses between attempts have grown to an hour by now. It passes at once.
    fleet.rows("UPDATE webhooks SET next_at = 0 WHERE delivered_at IS NULL RETURNING id")
    _settle(fleet, ("webhooks",))
    watch.stop()
    return _what_came(fleet, users, platform, watch, dict(done))


def _kill_one(fleet: Fleet, chance: random.Random) -> str:
    kind = chance.choices(("node", "worker", "database"), (4, 5, 1))[0]
    if kind == "database":
        fleet.postgres.stop("immediate")
        fleet.postgres.start()
    elif kind == "worker":
        worker = chance.choice(fleet.workers)
        worker.kill()
    else:
        node = chance.choice(fleet.nodes)
        node.kill(worker=False)
    return kind


def _settle(fleet: Fleet, tables: Sequence[str]) -> None:
    """Wait until everything is drawn, every deadline met, every webhook delivered."""

    def left() -> dict[str, int]:
        return {table: fleet.one(f"SELECT count(*) FROM {table} WHERE {OPEN[table]}") for table in tables}

    try:
        fleet.until(lambda: fleet.keep() or not any(left().values()), QUIET_S)
    except AssertionError as error:
        rows = [row for table in tables for row in fleet.rows(f"SELECT * FROM {table} WHERE {OPEN[table]} LIMIT 9")]
        raise AssertionError(f"{left()} are left, such as {rows}") from error


def _what_came(fleet: Fleet, users: Users, platform: Platform, watch: KeyWatch, kills: dict[str, int]) -> Kills:
    states: dict[str, str] = dict(fleet.rows("SELECT id, state FROM generations"))
    accepted = users.accepted
    events = fleet.rows("SELECT generation, data FROM events WHERE kind = 'avatar'")
    times = Counter((generation, msgspec.json.decode(data)["index"]) for generation, data in events)
    told = set(platform.told.values())
    wanted = {("generation.done", generation) for generation in accepted}
    wanted |= {("photos.deleted", generation) for generation in accepted}
    return Kills(
        accepted=len(accepted),
        asked_again=users.asked_again,
        kills=kills,
        lost=[f"{each}: {states.get(each)}" for each in accepted if states.get(each) != "done"],
        drawn_again=sum(count - 1 for count in times.values()),
        readable_s=watch.seconds,
        late_s=lateness(fleet),
        told=len(told & wanted),
        not_told=len(wanted - told),
        problems=users.failures
        + [f"webhook {name} changed" for name in platform.bodies if len(platform.bodies[name]) > 1],
    )


class KeyWatch:
    """Looks five times a second for keys of photos that are there past their deadline, and how long ago that was."""

    QUERY: Final = (
        "SELECT g.tier, k.subject, extract(epoch FROM clock_timestamp())::float - d.due_at"
        " FROM keys k JOIN generations g ON g.id = k.subject"
        " JOIN deadlines d ON d.kind = 'photos' AND d.subject = k.subject"
        " WHERE k.purpose = 'photo' AND d.due_at < extract(epoch FROM clock_timestamp())"
    )

    def __init__(self, fleet: Fleet) -> None:
        self.seconds: dict[str, dict[str, float]] = {"lite": {}, "plus": {}}
        self._fleet = fleet
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            with suppress(psycopg.OperationalError):
                for tier, generation, late_s in self._fleet.rows(self.QUERY):
                    self.seconds[tier][generation] = late_s


def lateness(fleet: Fleet) -> dict[str, list[float]]:
    """Seconds from the deadline of each generation's photos to their signed deletion, by tier."""
    found: dict[str, list[float]] = {"lite": [], "plus": []}
    query = "SELECT g.tier, a.at - a.due_at FROM audit a JOIN generations g ON g.id = a.subject WHERE a.kind = 'photos'"
    for tier, late_s in fleet.rows(query):
        found[tier].append(max(0.0, late_s))
    return found


def adrift(fleet: Fleet, older_than_s: float) -> tuple[int, int]:
    """Objects without a row, and rows without an object, older than that."""
    safe = safe_of(fleet)
    try:
        walk = Walk(safe, older_than_s)
        return sum(len(batch) for batch in walk.orphans()), len(walk.lost())
    finally:
        safe.close()


def safe_of(fleet: Fleet) -> Safe:
    """The fleet's own stores, opened by the test."""
    os.environ.update(fleet.home.environment)
    named: dict[str, Any] = {name: value for name, value in fleet.home.settings.items() if name != "keys"}
    return open_safe(Settings(**named, keys=str(fleet.home.settings["keys"])))
