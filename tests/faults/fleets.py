"""A fleet on servers of its own, for tests that kill those too."""

from __future__ import annotations

import base64
import io
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from likeness.database import Database
from likeness.settings import Settings
from likeness.worker import jobs
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
