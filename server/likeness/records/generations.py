"""Generations and their avatars, as users see them and as they begin and end. What a worker writes is in `work.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import sqlalchemy as sa

from likeness.database import clock, tables
from likeness.errors import PhotoResult
from likeness.records import deadlines, outbox, queue, quota
from likeness.records.events import add_event
from likeness.records.pages import Page, fetch_page
from likeness.refusals import ConflictError, GoneError, NotFoundError
from likeness.settings import Settings, Tier

State = Literal["queued", "rendering", "done", "failed", "cancelled", "expired"]
Ending = Literal["done", "failed", "cancelled"]
RUNNING: Final = ("queued", "rendering")
_table = tables.generations


class NewPhoto(msgspec.Struct, frozen=True):
    """A stored crop: object name, sha256 of its ciphertext, quality 0..1."""

    object: str
    digest: str
    quality: float


class NewKey(msgspec.Struct, frozen=True):
    """A wrapped key and the epoch that it is wrapped under."""

    purpose: Literal["photo", "avatar", "gallery"]
    epoch: str
    wrapped: bytes


class NewGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an accepted upload comes to; `looks` has a (style, look) for every avatar to be."""

    id: str
    owner: str
    tier: Tier
    seed: int
    styles: tuple[str, ...]
    photo_results: Sequence[PhotoResult]
    looks: Sequence[tuple[str, str]]
    consent: str
    photos: Sequence[NewPhoto]
    keys: Sequence[NewKey]
    slot: quota.Slot
    photos_until: float
    avatars_until: float


class AvatarRow(msgspec.Struct, frozen=True):
    """One avatar; `object` and `digest` are there from `ready` on."""

    index: int
    style: str
    look: str
    state: str
    object: str | None
    digest: str | None
    saved_as: str | None


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """One generation's row, with the state that its deadlines say, whatever the sweeper has got to."""

    id: str
    owner: str
    tier: Tier
    state: State
    reason: str | None
    seed: int
    styles: tuple[str, ...]
    photo_results: tuple[PhotoResult, ...]
    created_at: float
    goes_at: float
    worker: str | None
    started_at: float | None
    first_avatar_at: float | None
    ended_at: float | None
    photos_until: float
    photos_deleted_at: float | None
    avatars_until: float
    avatars_deleted_at: float | None
    fence: int
    attempts: int
    slot: quota.Slot

    @property
    def avatars_gone(self) -> bool:
        """Whether unsaved avatars can no longer be had."""
        return self.state in ("expired", "cancelled") or self.avatars_deleted_at is not None


def accept(connection: sa.Connection, new: NewGeneration, settings: Settings) -> None:
    """Write down an accepted upload: the caller adds the job in the same transaction."""
    now = clock(connection)
    connection.execute(
        sa.insert(_table).values(
            id=new.id,
            owner=new.owner,
            tier=new.tier,
            state="queued",
            seed=new.seed,
            styles=msgspec.json.encode(new.styles).decode(),
            photo_results=msgspec.json.encode(new.photo_results).decode(),
            consent=new.consent,
            created_at=now,
            goes_at=queue.turn(connection, new.owner, new.tier, now),
            photos_until=new.photos_until,
            avatars_until=new.avatars_until,
            quota_day=new.slot.day,
            quota_slot=new.slot.number,
        )
    )
    photo_rows = [{"generation": new.id, "index": i, **msgspec.structs.asdict(p)} for i, p in enumerate(new.photos)]
    avatar_rows = [
        {"generation": new.id, "index": i, "style": style, "look": look, "state": "pending"}
        for i, (style, look) in enumerate(new.looks)
    ]
    connection.execute(sa.insert(tables.photos), photo_rows)
    connection.execute(sa.insert(tables.avatars), avatar_rows)
    connection.execute(sa.insert(tables.keys), [{"subject": new.id, **msgspec.structs.asdict(key)} for key in new.keys])
    forgotten = new.avatars_until + settings.tombstone_s
    due_at: dict[deadlines.Kind, float] = {
        "photos": new.photos_until,
        "avatars": new.avatars_until,
        "tombstone": forgotten,
    }
    deadlines.set_deadlines(connection, new.id, due_at)
    add_event(connection, new.id, "queued")


def get(connection: sa.Connection, generation: str) -> Generation | None:
    """A generation by id, whoever's it is."""
    row = connection.execute(sa.select(_table).where(_table.c.id == generation)).first()
    return None if row is None else _generation(row, clock(connection))


def lock(connection: sa.Connection, generation: str) -> Generation | None:
    """The same, and nobody else changes it before this transaction ends. Whoever locks anything else of a generation
    too locks this first: so no two wait for each other.
    """
    row = connection.execute(sa.select(_table).where(_table.c.id == generation).with_for_update()).first()
    return None if row is None else _generation(row, clock(connection))


def get_owned(connection: sa.Connection, generation: str, owner: str) -> Generation:
    """A generation of this owner; raises NotFoundError for others' too."""
    found = get(connection, generation)
    if found is None or found.owner != owner:
        raise NotFoundError("generation")
    return found


def page(connection: sa.Connection, owner: str, cursor: str | None, limit: int) -> tuple[list[Generation], str | None]:
    """An owner's generations, the newest first."""
    mine = sa.select(_table).where(_table.c.owner == owner)
    found: Page = fetch_page(connection, mine, _table.c.created_at, _table.c.id, cursor=cursor, limit=limit)
    now = clock(connection)
    return [_generation(row, now) for row in found.rows], found.next


def avatars_of(connection: sa.Connection, generation: Generation) -> list[AvatarRow]:
    """All avatars; those that deadlines have taken are `expired`, however late the sweeper is."""
    columns = [tables.avatars.c[name] for name in AvatarRow.__struct_fields__]
    chosen = sa.select(*columns).where(tables.avatars.c.generation == generation.id).order_by(tables.avatars.c.index)
    rows = [AvatarRow(*row) for row in connection.execute(chosen)]
    return [_past(row) for row in rows] if generation.avatars_gone else rows


def avatar_of(connection: sa.Connection, generation: Generation, index: int) -> AvatarRow:
    """One avatar whose image can be had; raises NotFoundError, GoneError, or ConflictError while it is not drawn."""
    row = next((row for row in avatars_of(connection, generation) if row.index == index), None)
    if row is None:
        raise NotFoundError("avatar")
    if row.state in ("discarded", "expired") or (row.state == "saved" and row.object is None):
        raise GoneError("avatar")
    if row.object is None:
        raise ConflictError(f"Avatar {index} is {row.state}: there is no image of it. Follow the events.")
    return row


def discard(connection: sa.Connection, generation: Generation, indexes: Sequence[int]) -> list[AvatarRow]:
    """Mark avatars as discarded; answers those that have an object to delete."""
    chosen = [row for row in avatars_of(connection, generation) if row.index in indexes and row.state == "ready"]
    connection.execute(
        sa.update(tables.avatars)
        .where(
            tables.avatars.c.generation == generation.id,
            tables.avatars.c.index.in_([row.index for row in chosen]),
            tables.avatars.c.state == "ready",
        )
        .values(state="discarded", object=None)
    )
    return chosen


def end(
    connection: sa.Connection, generation: Generation, state: Ending, reason: str | None, settings: Settings
) -> bool:
    """End a running generation, as `lock` gave it: event, webhook, deadlines, refund. False when it had ended."""
    now = clock(connection)
    running = sa.update(_table).where(_table.c.id == generation.id, _table.c.state.in_(RUNNING))
    if not connection.execute(running.values(state=state, reason=reason, ended_at=now, worker=None)).rowcount:
        return False
    lost = sa.update(tables.avatars).where(
        tables.avatars.c.generation == generation.id, tables.avatars.c.state == "pending"
    )
    connection.execute(lost.values(state="failed"))
    why: dict[str, object] = {"reason": reason} if reason else {}
    add_event(connection, generation.id, state, why)
    outbox.tell(connection, settings, f"generation.{state}", generation.id, why)
    if state == "failed" or (state == "cancelled" and generation.first_avatar_at is None):
        quota.refund(connection, generation.slot, generation.id)
    photos_until = now + settings.photos_after_s(generation.tier)
    _bring_forward(connection, generation.id, photos_until, now + settings.avatars_after_s)
    return True


def cancel(connection: sa.Connection, generation: str, settings: Settings) -> None:
    """Cancel and let everything unsaved go now; one that is forgotten already is left alone."""
    found = lock(connection, generation)
    if found is None or found.avatars_deleted_at is not None:
        return
    if not end(connection, found, "cancelled", "cancelled", settings):
        ended = sa.update(_table).where(_table.c.id == generation, _table.c.state.in_(("done", "failed")))
        if connection.execute(ended.values(state="cancelled")).rowcount:
            add_event(connection, generation, "cancelled")
            outbox.tell(connection, settings, "generation.cancelled", generation)
    now = clock(connection)
    _bring_forward(connection, generation, now, now)


def _bring_forward(connection: sa.Connection, generation: str, photos_until: float, avatars_until: float) -> None:
    of_it = _table.c.id == generation
    sooner = {
        column: sa.case((column > until, until), else_=column)
        for column, until in ((_table.c.photos_until, photos_until), (_table.c.avatars_until, avatars_until))
    }
    connection.execute(sa.update(_table).where(of_it).values(sooner))
    deadlines.set_deadlines(connection, generation, {"photos": photos_until, "avatars": avatars_until})


def _past(row: AvatarRow) -> AvatarRow:
    return msgspec.structs.replace(row, state="expired", object=None) if row.state in ("ready", "pending") else row


def _generation(row: sa.Row[tuple[object, ...]], now: float) -> Generation:
    values = dict(row._mapping)
    state = values["state"]
    if state in ("done", "failed") and now >= values["avatars_until"]:
        state = "expired"
    named = {name: values[name] for name in Generation.__struct_fields__ if name in values}
    named["state"], named["styles"] = state, tuple(msgspec.json.decode(values["styles"]))
    named["photo_results"] = msgspec.json.decode(values["photo_results"], type=tuple[PhotoResult, ...])
    return Generation(**named, slot=quota.Slot(values["owner"], values["quota_day"], values["quota_slot"]))
