"""The long form of the fault tests, about half an hour: `make faults` prints what was promised and what was held."""

from __future__ import annotations

import argparse
import base64
import io
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from benchmarks.report import Figure, publish
from likeness.database import Database
from likeness.settings import Settings
from likeness.worker import jobs
from tests.faults import kills
from tests.faults.load import Platform
from tests.fleet import Fleet, own_postgres
from tests.postgres import find_binaries
from tests.s3 import S3Server

ORPHAN_S = 600.0
LATE_S = {"lite": 60.0, "plus": 5.0}


def photos_of_a_person() -> list[bytes]:
    """Three small JPEGs of the astronaut: most of an upload's time goes into finding the face."""
    whole = skimage.data.astronaut()
    found = []
    for each in (whole[:300, 90:390], whole[:300, 90:390][:, ::-1], whole[:320, 80:400]):
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(each)).save(buffer, "JPEG", quality=85)
        found.append(buffer.getvalue())
    return found


@contextmanager
def running_fleet(folder: Path, *, nodes: int, workers: int, step_ms: float, **settings: object) -> Iterator[Fleet]:
    """Its own PostgreSQL server, which may be killed, an S3 server, and so many processes."""
    binaries = find_binaries()
    if binaries is None:
        sys.exit("No PostgreSQL server is installed. Install one (Debian: apt-get install postgresql).")
    with own_postgres(binaries, max_connections="200") as postgres:
        upgraded = Settings(database=postgres.create(), keys="elsewhere")
        database = Database(upgraded.database_url)
        database.migrate()
        database.close()
        jobs.migrate(upgraded)
        s3 = S3Server().start()
        os.environ.update(s3.environment)
        fleet = Fleet(folder, postgres, upgraded.database.rsplit("/", 1)[1], s3, step_ms=step_ms, **settings)
        try:
            for _ in range(nodes):
                fleet.node()
            for _ in range(workers):
                fleet.worker()
            yield fleet
        finally:
            fleet.close()
            s3.close()


def new_secret() -> str:
    """What webhooks are signed with."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def kill_figures(folder: Path, uploads: int, count: int, pause_s: float, seed: int) -> list[Figure]:
    """Random kills of everything."""
    secret = new_secret()
    platform = Platform(secret).start()
    settings = {
        "photos_after_lite_s": kills.LITE_S,
        "avatars": 30,
        "webhook_url": platform.url,
        "webhook_secret": secret,
        "webhook_private": "true",
    }
    with running_fleet(folder, nodes=2, workers=2, step_ms=150, **settings) as fleet:
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


def main() -> int:
    """Run and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--pause", type=float, default=2.5, metavar="SECONDS", help="between two kills (default 2.5)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="likeness-faults-") as name:
        folder = Path(name)
        figures = kill_figures(folder / "kills", arguments.uploads, arguments.kills, arguments.pause, arguments.seed)
    settings = {"uploads": str(arguments.uploads), "kills": str(arguments.kills), "seed": str(arguments.seed)}
    return publish("faults", figures, settings, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
