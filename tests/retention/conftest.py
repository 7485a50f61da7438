"""A store and a database with everything that a service in use has in them, and ways to break either."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from likeness.database import Database, clock, tables
from likeness.errors import PhotoResult
from likeness.records import deadlines, gallery, generations, quota, variants
from likeness.records.gallery import Saved
from likeness.records.generations import NewGeneration, NewPhoto
from likeness.records.variants import Purpose, Variant
from likeness.safe import Safe, open_safe
from likeness.settings import Settings
from likeness.worker import jobs
from tests.s3 import S3Server

HOUR = 3600.0


class World:
    """Makes things as the service does, with objects whose content nobody looks at."""

    def __init__(self, safe: Safe) -> None:
        self.safe = safe

    def put(self, name: str) -> str:
        self.safe.objects.put(name, b"ciphertext")
        return name

    def names(self) -> set[str]:
        return set(self.safe.objects.names()) - set(self.safe.objects.names("deployment/"))

    def execute(self, statement: sa.Executable) -> None:
        self.safe.database.write(lambda connection: connection.execute(statement))

    def generation(self, state: str = "done", *, tier: str = "lite", ended_s: float = HOUR, owner: str = "anna") -> str:
        """A generation of five avatars to be, with its photos; what has ended did so `ended_s` ago."""
        generation, now = secrets.token_hex(12), self.safe.now()
        slot = self.safe.database.write(quota.reserve, owner, 100, 60.0)
        new = NewGeneration(
            id=generation,
            owner=owner,
            tier=tier,  # type: ignore[arg-type]
            seed=1,
            styles=("comic",),
            photo_results=[PhotoResult(index, accepted=True) for index in range(3)],
            looks=[("comic", f"look{index}") for index in range(5)],
            consent="1",
            photos=[NewPhoto(self.put(f"photos/{generation}/{index}"), "00", 1.0) for index in range(3)],
            keys=[self.safe.new_key(generation, purpose, now + HOUR)[1] for purpose in ("photo", "avatar")],
            slot=slot,
            photos_until=now + HOUR,
            avatars_until=now + 24 * HOUR,
        )
        self.safe.database.write(quota.use, slot, generation)
        self.safe.database.write(generations.accept, new, Settings(avatars=5))
        ended = now - ended_s if state not in generations.RUNNING else None
        row = sa.update(tables.generations).where(tables.generations.c.id == generation)
        self.execute(row.values(state=state, ended_at=ended, fence=3))
        return generation

    def avatar(self, generation: str, index: int, fence: int = 3) -> str:
        """A drawn avatar's object."""
        name = self.put(f"avatars/{generation}/{index}-{fence}")
        table = tables.avatars
        row = sa.update(table).where(table.c.generation == generation, table.c.index == index)
        self.execute(row.values(state="ready", object=name, digest="00"))
        return name

    def saved(self, generation: str, index: int, owner: str = "anna", ago_s: float = HOUR) -> str:
        """A saved avatar's id, which is its object's too."""
        avatar = secrets.token_hex(12)
        self.safe.gallery_key(owner)
        name = self.put(f"gallery/{avatar}/0")
        saved = Saved(avatar, owner, generation, index, "comic", "look", name, "00", 0.0)
        self.safe.database.write(deadlines.expect, name, HOUR)
        assert self.safe.database.write(gallery.save, [saved]) == {index: avatar}
        self.execute(sa.update(tables.gallery).values(saved_at=self.safe.now() - ago_s))
        return avatar

    def variant(self, purpose: Purpose, subject: str, index: int) -> str:
        """A kept variant's object."""
        folder = "avatars" if purpose == "avatar" else "gallery"
        name = self.put(f"{folder}/{subject}/{index}-64.webp-{secrets.token_hex(4)}")
        made = Variant(purpose, subject, index, "64.webp", name, "00")
        table = tables.avatars if purpose == "avatar" else tables.gallery
        which = (
            sa.and_(table.c.generation == subject, table.c.index == index)
            if purpose == "avatar"
            else table.c.id == subject
        )
        original, keeper = self.safe.database.read(
            lambda connection: connection.execute(
                sa.select(table.c.object, table.c.generation if purpose == "avatar" else table.c.owner).where(which)
            ).one()
        )
        self.safe.database.write(deadlines.expect, name, HOUR)
        assert self.safe.database.write(variants.enter, made, original, keeper)
        return name

    def upload(self) -> str:
        """An upload under way, with two pieces of an original and a crop."""
        upload = secrets.token_hex(12)

        def expect(connection: sa.Connection) -> None:
            deadlines.set_deadline(connection, "upload", upload, clock(connection) + 900)

        self.safe.database.write(expect)
        for name in (f"uploads/{upload}/0-0", f"uploads/{upload}/0-1", f"photos/{upload}/0"):
            self.put(name)
        return upload

    def expected(self, name: str) -> str:
        """An object whose row is still to come."""
        self.safe.database.write(deadlines.expect, name, 600.0)
        return self.put(name)

    def everything(self) -> str:
        """Everything that a service in use has; answers the generation that has ended."""
        done, drawn = self.generation(), self.generation("rendering")
        self.avatar(done, 0)
        self.avatar(done, 1)
        self.variant("avatar", done, 0)
        avatar = self.saved(done, 1)
        self.variant("gallery", avatar, 0)
        self.avatar(drawn, 0)
        self.put(f"avatars/{drawn}/1-3")  # its row comes next
        self.upload()
        self.expected(f"avatars/{done}/0-128.png-{secrets.token_hex(4)}")
        self.expected(f"gallery/{secrets.token_hex(12)}/0")
        return done

    def orphans(self) -> set[str]:
        """Everything that can be left over when a process dies between an object and its row."""
        done, drawn, nobody = self.generation(), self.generation("rendering"), secrets.token_hex(12)
        erased = self.generation()
        self.safe.database.write(deadlines.meet, "photos", erased)
        return {f"photos/{erased}/{index}" for index in range(3)} | {
            self.put(name)
            for name in (
                f"uploads/{nobody}/0-0",  # a stalled server's last piece, after the upload's deadline
                f"uploads/{nobody}/1",
                f"uploads/{done}/0-0",  # originals go before the upload is accepted
                f"photos/{nobody}/0",
                f"avatars/{nobody}/0-1",
                f"avatars/{done}/4-3",  # stored when the generation ended
                f"avatars/{drawn}/4-2",  # by a worker that has lost its claim
                f"avatars/{done}/0-64.webp-0123abcd",
                f"gallery/{nobody}/0",
                f"gallery/{nobody}/0-full.png-0123abcd",
                f"check-{secrets.token_hex(8)}",
                f"clock-{secrets.token_hex(8)}",
            )
        }

    def audited(self, kind: str) -> list[str]:
        table = tables.audit
        chosen = sa.select(table.c.subject).where(table.c.kind == kind)
        return sorted(self.safe.database.read(lambda connection: connection.execute(chosen).scalars().all()))


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A migrated database's file: migrating takes a second."""
    settings = Settings(data=tmp_path_factory.mktemp("migrated"))
    database = Database(settings.database_url)
    database.migrate()
    jobs.migrate(settings)
    assert database.forget_deleted()
    database.close()
    return (settings.data / "likeness.db").read_bytes()


@pytest.fixture(params=["one machine", "postgresql", "fleet"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """SQLite and a folder, PostgreSQL and a folder, PostgreSQL and S3."""
    if request.param == "one machine":
        (tmp_path / "likeness.db").write_bytes(request.getfixturevalue("migrated_file"))
        return Settings(data=tmp_path)
    database, kept = request.getfixturevalue("fleet_database"), str(tmp_path / "keys")
    if request.param == "postgresql":
        return Settings(data=tmp_path, database=database, keys=kept)
    server: S3Server = request.getfixturevalue("s3")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return Settings(data=tmp_path, database=database, keys=kept, objects=server.bucket())


@pytest.fixture
def safe(settings: Settings) -> Iterator[Safe]:
    safe = open_safe(settings)
    yield safe
    safe.close()


@pytest.fixture
def world(safe: Safe) -> World:
    return World(safe)


@pytest.fixture
def later(safe: Safe, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its clock the store has stored everything an hour ago."""
    now = safe.objects.clock
    monkeypatch.setattr(safe.objects, "clock", lambda: now() + HOUR)
