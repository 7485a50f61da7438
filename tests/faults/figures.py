"""What the long run measures, each with its goal."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from benchmarks.report import Figure
from tests.faults import kills, scenarios
from tests.faults.crashes import crash_often
from tests.faults.fleets import new_secret, photos_of_a_person, running_fleet
from tests.faults.load import Platform
from tests.fleet import Fleet, Worker, headers

ORPHAN_S = 600.0
LATE_S = {"lite": 60.0, "plus": 5.0}


def kill_figures(folder: Path, uploads: int, count: int, pause_s: float, seed: int) -> list[Figure]:
    """Random kills of everything."""
    secret = new_secret()
    platform = Platform(secret).start()
    settings = {
        "photos_after_lite_s": kills.LITE_S,
        "avatars": 12,
        "webhook_url": platform.url,
        "webhook_secret": secret,
        "webhook_private": "true",
    }
    with running_fleet(folder, nodes=2, workers=2, step_ms=50, **settings) as fleet:
        found = kills.kill_at_random(
            fleet, photos_of_a_person(), platform, uploads=uploads, kills=count, pause_s=pause_s, seed=seed
        )
        time.sleep(ORPHAN_S)
        orphans, lost_objects = kills.adrift(fleet, ORPHAN_S)
    platform.close()
    for line in (*found.lost, *found.problems):
        print(line, file=sys.stderr)
    figures = [
        Figure(f"kills ({_counted(found.kills)})", sum(found.kills.values()), "", "higher", count),
        Figure("generations accepted", found.accepted, "", "higher", uploads),
        Figure("uploads that had to be sent again", found.asked_again, "", "lower"),
        Figure("accepted generations lost", len(found.lost), "", "lower", 0),
        Figure("answers that were neither an acceptance nor a refusal for now", len(found.problems), "", "lower", 0),
        Figure("stored avatars drawn again", found.drawn_again, "", "lower", 0),
        Figure("objects without a row, after 10 minutes", orphans, "", "lower", 0),
        Figure("rows without an object, after 10 minutes", lost_objects, "", "lower", 0),
        Figure("webhooks told", found.told, "", "higher", 2 * found.accepted),
    ]
    for tier, most_s in LATE_S.items():
        keys, late = list(found.readable_s[tier].values()), found.late_s[tier]
        readable = sum(each > most_s for each in keys)
        figures += [
            Figure(f"photos of {tier} readable over {most_s:.0f} s after their deadline", readable, "", "lower", 0),
            Figure(f"photos of {tier} deleted late, p99", kills.percentile(late, 0.99), "s", "lower", most_s),
            Figure(f"photos of {tier} deleted late, most of {len(late)}", max(late, default=0.0), "s", "lower"),
        ]
    return figures


def _counted(kinds: dict[str, int]) -> str:
    return ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items()))


def crash_figures(folder: Path, count: int) -> list[Figure]:
    """Crashes between any two steps."""
    folder.mkdir()
    mended, orphans, lost = crash_often(folder, count, seed=2)
    return [
        Figure(f"objects without a row, found after {count} crashes", mended, "", "lower"),
        Figure("objects without a row that stayed", orphans, "", "lower", 0),
        Figure("rows without an object that stayed", lost, "", "lower", 0),
    ]


def quota_figures(folder: Path, count: int) -> list[Figure]:
    """All uploads of one user at the same moment."""
    with running_fleet(folder, nodes=3, workers=0, step_ms=0, quota_plus=1) as fleet:
        statuses = scenarios.simultaneous(fleet, photos_of_a_person(), count, headers("ann"))
        made = fleet.one("SELECT count(*) FROM generations")
    print(f"{count} uploads at once were answered {dict(statuses)}.", file=sys.stderr)
    return [Figure(f"of {count} simultaneous uploads of one user over 3 nodes, accepted", made, "", "lower", 1)]


def takeover_figures(folder: Path, jobs: int) -> list[Figure]:
    """Long jobs, then a worker that is killed and one that is stopped while it draws, with the default lease."""
    photos, slow = photos_of_a_person(), {"steps": 50, "avatars": 1, "generations_at_once": 50, "wait_most_s": 1e9}
    with running_fleet(folder, nodes=1, workers=2, step_ms=1000, **slow) as fleet:
        locations = [scenarios.upload(fleet, photos, headers(f"long-{number}")) for number in range(jobs)]
        fleet.until(lambda: scenarios.ended(fleet, locations), 600)
        false = sum(fence != 1 for fence in scenarios.fences(fleet, locations))
        killed, location = _holder_of(fleet, photos, "killed")
        killed.kill()
        killed_s = _until_taken_over(fleet, location)
        fleet.worker()
        stopped, location = _holder_of(fleet, photos, "stopped")
        stopped.signal(signal.SIGSTOP)
        stopped_s = _until_taken_over(fleet, location)
        stopped.signal(signal.SIGCONT)
        stopped.wait()
        fleet.until(lambda: scenarios.ended(fleet, [location]), 120)
        stale = sum(count - 1 for count in scenarios.avatars_told(fleet, location).values())
    return [
        Figure(f"false takeovers in {jobs} long jobs", false, "", "lower", 0),
        Figure("takeover after SIGKILL of a worker", killed_s, "s", "lower", 45),
        Figure("takeover after SIGSTOP of a worker", stopped_s, "s", "lower", 45),
        Figure("writes of the stopped worker after SIGCONT", stale, "", "lower", 0),
    ]


def _holder_of(fleet: Fleet, photos: list[bytes], user: str) -> tuple[Worker, str]:
    location = scenarios.upload(fleet, photos, headers(user))
    fleet.until(lambda: scenarios.state(fleet, location) == "rendering")
    return fleet.holder(location), location


def _until_taken_over(fleet: Fleet, location: str) -> float:
    began, [fence] = time.perf_counter(), scenarios.fences(fleet, [location])
    fleet.until(lambda: scenarios.fences(fleet, [location])[0] > fence, 120)
    return time.perf_counter() - began


def client_figures(folder: Path, count: int) -> list[Figure]:
    """Replays and broken streams over two nodes."""
    photos = photos_of_a_person()
    with running_fleet(folder, nodes=2, workers=1, step_ms=30, photos_after_lite_s=0) as fleet:
        made, bodies = scenarios.replays(fleet, photos, count)
        streams = scenarios.reconnects(fleet, photos, count)
    return [
        Figure(f"generations of {count} uploads with one Idempotency-Key", made, "", "lower", 1),
        Figure("different bodies that they were answered", bodies, "", "lower", 1),
        Figure(f"events lost in {streams['reconnects']} reconnects", streams.get("lost", 0), "", "lower", 0),
        Figure("events doubled", streams.get("doubled", 0), "", "lower", 0),
        Figure("ends told, less generations", streams["ends"] - streams["generations"], "", "lower", 0),
    ]


def cancel_figures(folder: Path, count: int) -> list[Figure]:
    """One after the other is cancelled while it is drawn."""
    one = {"steps": 50, "avatars": 60, "generations_at_once": 1, "wait_most_s": 1e9}
    with running_fleet(folder, nodes=1, workers=1, step_ms=1000, **one) as fleet:
        seconds = scenarios.cancels(fleet, photos_of_a_person(), count)
    p99 = kills.percentile(seconds, 0.99)
    return [Figure(f"cancelled to the next one begun, p99 of {count}, steps of 1 s", p99, "s", "lower", 10)]
