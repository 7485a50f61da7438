"""What a worker writes. Every write names the claim's fence: a worker that lost its claim writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import sqlalchemy as sa

from likeness.database import now, tables
from likeness.records.events import Kind, add_events
from likeness.records.generations import RUNNING, Generation, end, get, lock
from likeness.settings import Settings

_table = tables.generations
_AVATAR: Final = (
    sa.update(tables.avatars)
    .where(tables.avatars.c.generation == sa.bindparam("of"), tables.avatars.c.index == sa.bindparam("at"))
    .values({name: sa.bindparam(f"new_{name}") for name in ("style", "look", "state", "object", "digest")})
)


class LostClaimError(Exception):
    """The generation was cancelled, ended, or is another worker's now: stop drawing it."""


class DeadWorkerError(Exception):
    """The worker has been declared dead: its jobs are others'."""


class Claim(msgspec.Struct, frozen=True):
    """The right to draw a generation until somebody claims it anew; `pending` are the indexes still to draw."""

    generation: Generation
    fence: int
    photos: Sequence[tuple[str, float]]  # object, quality
    pending: frozenset[int]
    avatars: int


class Drawn(msgspec.Struct, frozen=True):
    """A stored avatar, or one that could not be had (`failed` or `refused`), with no object."""

    index: int
    style: str
    look: str
    state: Literal["ready", "failed", "refused"]
    object: str | None = None
    digest: str | None = None


def claim(connection: sa.Connection, generation: str, worker: str, settings: Settings) -> Claim | None:
    """Claim a generation for a worker; None when there is nothing to do. One whose last attempts all came to nothing
    ends here, by what was stored before.

    Raises DeadWorkerError when this worker has been declared dead.
    """
    found = lock(connection, generation)
    if not _alive(connection, worker):
        raise DeadWorkerError(worker)
    if found is None or found.state not in RUNNING:
        return None
    if found.attempts >= settings.attempts:
        _end_by_stored(connection, found, "gave_up", settings)
        return None
    fence = found.fence + 1
    connection.execute(sa.update(_table).where(_table.c.id == generation).values(worker=worker, fence=fence))
    chosen = sa.select(tables.photos.c.object, tables.photos.c.quality)
    of_it = tables.photos.c.generation == generation
    photos = [tuple(row) for row in connection.execute(chosen.where(of_it).order_by(tables.photos.c.index))]
    states = _states(connection, generation)
    pending = frozenset(index for index, state in states.items() if state == "pending")
    return Claim(found, fence, photos, pending, len(states))


def begin(connection: sa.Connection, claim: Claim) -> None:
    """Count an attempt, before anything is opened; the first avatar that it stores takes the count back to none."""
    values = {"state": "rendering", "attempts": _table.c.attempts + 1}
    _hold(connection, claim, {**values, "started_at": sa.func.coalesce(_table.c.started_at, now(connection))})


def hand_back(connection: sa.Connection, claim: Claim) -> None:
    """Give the claim up without fault: a graceful stop is no attempt."""
    fewer = sa.case((_table.c.attempts > 0, _table.c.attempts - 1), else_=0)
    _hold(connection, claim, {"worker": None, "attempts": fewer})


def store(connection: sa.Connection, claim: Claim, drawn: Sequence[Drawn]) -> None:
    """Write down avatars of one step, each with its event, and the progress after them."""
    generation = claim.generation.id
    ready = [each for each in drawn if each.state == "ready"]
    first: object = _table.c.first_avatar_at
    progress: dict[str, object] = {"first_avatar_at": sa.func.coalesce(first, now(connection)), "attempts": 0}
    _hold(connection, claim, progress if ready else {"first_avatar_at": first})
    pending = {index for index, state in _states(connection, generation).items() if state == "pending"}
    new = [each for each in drawn if each.index in pending]  # one that came twice, for whatever reason, is one
    if new:
        connection.execute(_AVATAR, [_avatar_row(generation, each) for each in new])
    told: list[tuple[Kind, dict[str, object]]] = [
        ("avatar", _avatar_data(generation, each)) for each in new if each.state == "ready"
    ]
    so_far: dict[str, object] = {"drawn": claim.avatars - len(pending) + len(new), "of": claim.avatars}
    add_events(connection, generation, [*told, ("progress", so_far)])


def take_back(connection: sa.Connection, claim: Claim, lost: Sequence[str]) -> None:
    """Make avatars pending again whose objects the store has lost, to be drawn anew. This attempt counts, whatever it
    stored: else a store that loses everything would be drawn for without end.
    """
    _hold(connection, claim, {"attempts": claim.generation.attempts + 1})
    of_it = tables.avatars.c.generation == claim.generation.id, tables.avatars.c.object.in_(lost)
    connection.execute(sa.update(tables.avatars).where(*of_it).values(state="pending", object=None, digest=None))


def stored_by(connection: sa.Connection, claim: Claim) -> list[str]:
    """The objects of a claimed generation's avatars."""
    of_it = tables.avatars.c.generation == claim.generation.id, tables.avatars.c.object.is_not(None)
    return [str(name) for name in connection.execute(sa.select(tables.avatars.c.object).where(*of_it)).scalars()]


def finish(connection: sa.Connection, claim: Claim, settings: Settings) -> None:
    """End a generation by what was stored: done with at least four fifths of its avatars, else failed."""
    current = lock(connection, claim.generation.id)
    if current is None or current.fence != claim.fence or current.state not in RUNNING:
        raise LostClaimError(claim.generation.id)
    _end_by_stored(connection, current, "too_few_avatars", settings)


def is_running(connection: sa.Connection, generation: str) -> bool:
    """Whether a generation has not ended."""
    found = get(connection, generation)
    return found is not None and found.state in RUNNING


def give_up(connection: sa.Connection, generation: str, settings: Settings) -> None:
    """End a generation that nobody draws any more."""
    found = lock(connection, generation)
    if found is not None:
        _end_by_stored(connection, found, "gave_up", settings)


def still_claimed(connection: sa.Connection, claims: Sequence[tuple[str, int]]) -> set[str]:
    """Which of these (generation, fence) claims still hold."""
    ids = [generation for generation, _ in claims]
    chosen = sa.select(_table.c.id, _table.c.fence).where(_table.c.id.in_(ids), _table.c.state.in_(RUNNING))
    held = {(generation, fence) for generation, fence in connection.execute(chosen)}
    return {generation for generation, fence in claims if (generation, fence) in held}


def _end_by_stored(connection: sa.Connection, found: Generation, otherwise: str, settings: Settings) -> None:
    """End as done with at least four fifths of the avatars, else as failed for this reason."""
    kept = [state not in ("failed", "refused", "pending") for state in _states(connection, found.id).values()]
    enough = sum(kept) * 5 >= len(kept) * 4
    end(connection, found, "done" if enough else "failed", None if enough else otherwise, settings)


def _hold(connection: sa.Connection, claim: Claim, values: dict[str, object]) -> None:
    held = sa.update(_table).where(
        _table.c.id == claim.generation.id, _table.c.fence == claim.fence, _table.c.state.in_(RUNNING)
    )
    if not connection.execute(held.values(values)).rowcount:
        raise LostClaimError(claim.generation.id)


def _states(connection: sa.Connection, generation: str) -> dict[int, str]:
    """The state of each avatar, by its index."""
    table = tables.avatars
    rows = connection.execute(sa.select(table.c.index, table.c.state).where(table.c.generation == generation))
    return {int(index): str(state) for index, state in rows}


def _avatar_row(generation: str, drawn: Drawn) -> dict[str, object]:
    values = msgspec.structs.asdict(drawn)
    return {"of": generation, "at": values.pop("index"), **{f"new_{name}": value for name, value in values.items()}}


def _avatar_data(generation: str, drawn: Drawn) -> dict[str, object]:
    url = f"/v1/generations/{generation}/avatars/{drawn.index}"
    return {"index": drawn.index, "style": drawn.style, "look": drawn.look, "url": url}


def _alive(connection: sa.Connection, worker: str) -> bool:
    """Whether a worker may claim; until this transaction ends nobody declares it dead and hands its jobs on."""
    chosen = sa.select(tables.workers.c.ended_at).where(tables.workers.c.id == worker)
    row = connection.execute(chosen.with_for_update(read=True)).first()
    return row is not None and row.ended_at is None
