"""Crashes amid everything that touches both store and database: the process ends before or after any one step of it."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import sqlalchemy as sa

from likeness.database import Database, tables
from likeness.errors import PhotoResult
from likeness.generation import Avatar
from likeness.http.routes import avatars as avatar_routes
from likeness.http.upload import _commit, _expect, _Upload
from likeness.intake import DecodedPhoto, DecodedPhotos, Form
from likeness.packs import DEFAULT_STYLES, choose_styles, load_catalogue
from likeness.plan import PlannedRender, plan_renders
from likeness.provenance import PNG, Marker, open_marker
from likeness.records import chores, gallery, generations, quota, work, workers
from likeness.retention import erase_account, erase_avatars, erase_discarded, erase_photos, reconcile, sweep
from likeness.safe import Safe, open_safe
from likeness.settings import Settings
from likeness.users import User
from likeness.variants import of_generation, open_variant
from likeness.worker import jobs
from likeness.worker.artist import Artist

AVATARS: Final = 3
WORKER: Final = "worker-1-a"


class Crash(BaseException):
    """The process is gone: nothing catches this."""


class Mortal:
    """Passes calls on; the step of a number, counted over everything, crashes before or after it is done."""

    def __init__(self) -> None:
        self.left = -1
        self.after = False

    def wrap(self, of: Any, *names: str) -> None:
        """Let these methods of an object be steps."""
        for name in names:
            setattr(of, name, self._step(getattr(of, name)))

    def _step(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.after:
                raise Crash
            answer = call(*args, **kwargs)
            if self.left == 0:
                raise Crash
            return answer

        return step


class Life:
    """A generation's whole life by the service's own code, in one process that may crash; and the process after it."""

    def __init__(self, settings: Settings, marker: Marker) -> None:
        self._settings = settings
        self._marker = marker
        self._catalogue = load_catalogue()
        self._styles = choose_styles(self._catalogue, DEFAULT_STYLES[:1])
        self.mended = 0
        self.safe = self._process(None)
        self.safe.database.write(workers.register, WORKER, "here", lambda _: False)

    def run(self, chance: random.Random, left: int) -> bool:
        """Live until the step of this number; returns whether the crash came, then starts anew."""
        mortal = Mortal()
        safe = self._process(mortal)
        mortal.left, mortal.after = left, chance.random() < 0.5
        try:
            self._live(safe, chance)
        except Crash:
            return True
        finally:
            safe.close()
            self._take_over()
            sweep(self.safe, self._settings)
            self.mended += reconcile.reconcile(self.safe, self._settings).orphans
        return False

    def _take_over(self) -> None:
        """As the next worker does, which has nothing to draw with here and ends what was begun."""
        for generation in self.safe.database.read(_running):
            claim = self.safe.database.write(work.claim, generation, WORKER, self._settings)
            if claim is not None:
                self.safe.database.write(work.finish, claim, self._settings)

    def adrift(self) -> tuple[int, int]:
        """Objects without a row, and rows without an object, of any age."""
        walk = reconcile.Walk(self.safe, reconcile.ORPHAN_S)
        return sum(len(batch) for batch in walk.orphans()), len(walk.lost())

    def _process(self, mortal: Mortal | None) -> Safe:
        safe = open_safe(self._settings)
        if mortal is not None:
            mortal.wrap(safe.objects, "put", "delete", "delete_many")
            mortal.wrap(safe.database, "write")
        return safe

    def _live(self, safe: Safe, chance: random.Random) -> None:
        user = User(secrets.token_hex(16), "plus", subject="nobody")
        generation = self._upload(safe, user)
        self._draw(safe, generation)
        found = safe.database.read(generations.get_owned, generation, user.owner)
        rows = safe.database.read(generations.avatars_of, found)
        open_variant(safe, self._marker, of_generation(generation, 0, rows[0].object or ""), "64", PNG)
        service: Any = SimpleNamespace(safe=safe)
        entries = avatar_routes._copy(service, found, rows[:1])
        avatar_routes._delete_unused(service, entries, safe.database.write(gallery.save, entries))
        gone = safe.database.write(generations.discard, found, [1])
        erase_discarded(safe, generation, user.owner, gone)
        if chance.random() < 0.5:
            safe.database.write(generations.cancel, generation, self._settings)
            erase_photos(safe, generation, self._settings)
            erase_avatars(safe, generation, self._settings)
        if chance.random() < 0.5:
            erase_account(safe, user.owner, self._settings)

    def _upload(self, safe: Safe, user: User) -> str:
        slot = safe.database.write(quota.reserve, user.owner, 1, 60.0)
        nothing = SimpleNamespace(enqueue=lambda *_: None)
        service: Any = SimpleNamespace(safe=safe, settings=self._settings, jobs=nothing, catalogue=self._catalogue)
        upload = _Upload(service, user, slot)
        upload._started = safe.database.write(_expect, upload.id, 900.0)
        safe.objects.put(f"uploads/{upload.id}/0-0", b"of an original")
        form = Form((), "1", 1, 3, b"")
        results = [PhotoResult(index, accepted=True) for index in range(3)]
        decoded = DecodedPhotos([DecodedPhoto(bytes(300), 1.0)] * 3, results)
        new = upload._store(form, self._styles, decoded)
        safe.database.write(_commit, service, new, digests=[], key=None, content=b"")
        return upload.id

    def _draw(self, safe: Safe, generation: str) -> None:
        claim = safe.database.write(work.claim, generation, WORKER, self._settings)
        assert claim is not None
        easel: Any = SimpleNamespace(engines=None, shelf=None, loop=None, marker=self._marker)
        artist = Artist(safe, self._settings, easel, WORKER)
        safe.database.write(work.begin, claim)
        key = safe.key(generation, "avatar")
        pixels = np.zeros((64, 64, 3), np.uint8)
        plan: list[PlannedRender] = plan_renders(self._styles, [1.0] * 3, AVATARS, 1)
        artist._store(claim, key, [Avatar(planned, pixels, planned.seed) for planned in plan])
        assert safe.objects.missing(safe.database.read(work.stored_by, claim)) == []
        safe.database.write(work.finish, claim, self._settings)


def _running(connection: sa.Connection) -> list[str]:
    chosen = sa.select(tables.generations.c.id).where(tables.generations.c.state.in_(generations.RUNNING))
    return list(connection.execute(chosen).scalars())


def crash_often(folder: Path, count: int, seed: int) -> tuple[int, int, int]:
    """So many crashes, each as if ten minutes after the one before; objects that were found without a row and deleted,
    then objects without a row and rows without an object that are left.
    """
    settings = Settings(data=folder, avatars=AVATARS)
    database = Database(settings.database_url)
    database.migrate()
    database.close()
    jobs.migrate(settings)
    life, chance, came = Life(settings, open_marker("", "", None)), random.Random(seed), 0
    with patch.object(reconcile, "ORPHAN_S", -60.0), patch.object(chores, "take", lambda *_: True):
        while came < count:
            came += life.run(chance, chance.randint(1, 45))
        return life.mended, *life.adrift()
