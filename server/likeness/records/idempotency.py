"""Idempotency keys: one request at a time, the same answer to the same content, for 24 hours."""

from __future__ import annotations

import hmac
from typing import Final

import msgspec
import sqlalchemy as sa

from likeness.database import clock, insert_unless_there, tables
from likeness.refusals import InProgressError

KEPT_S: Final = 86400
_table = tables.idempotency


class Known(msgspec.Struct, frozen=True):
    """A request that was accepted before: the digest of its content, the generation that it made, and the answer that
    it got (JSON; none where the version before accepted it).
    """

    digest: bytes
    generation: str
    answer: str | None

    def same(self, digest: bytes) -> bool:
        """Whether other content is the same."""
        return hmac.compare_digest(self.digest, digest)


def claim(connection: sa.Connection, owner: str, key: str, lives_s: float) -> Known | None:
    """Claim a key for a new request; answers what it stands for if it is known, raises InProgressError if claimed."""
    now = clock(connection)
    connection.execute(sa.delete(_table).where(*_one(owner, key), _table.c.until < now))
    if insert_unless_there(connection, _table, owner=owner, key=key, until=now + lives_s):
        return None
    columns = _table.c.digest, _table.c.generation, _table.c.answer
    row = connection.execute(sa.select(*columns).where(*_one(owner, key))).first()
    if row is None or row.digest is None:
        raise InProgressError
    return Known(*row)


def renew(connection: sa.Connection, owner: str, key: str, lives_s: float) -> None:
    """Keep a claim for so much longer."""
    claimed = sa.update(_table).where(*_one(owner, key), _table.c.digest.is_(None))
    connection.execute(claimed.values(until=clock(connection) + lives_s))


def settle(connection: sa.Connection, owner: str, key: str, digest: bytes, *, generation: str, answer: str) -> None:
    """Tie a claimed key to the generation, in the transaction that makes it."""
    until = clock(connection) + KEPT_S
    claimed = sa.update(_table).where(*_one(owner, key), _table.c.digest.is_(None))
    if not connection.execute(
        claimed.values(digest=digest, generation=generation, answer=answer, until=until)
    ).rowcount:
        raise InProgressError  # the claim ran out, and is another request's by now


def release(connection: sa.Connection, owner: str, key: str) -> None:
    """Forget a claim whose request was refused: the key may be used again."""
    connection.execute(sa.delete(_table).where(*_one(owner, key), _table.c.digest.is_(None)))


def release_all(connection: sa.Connection) -> None:
    """Forget all claims: the only server there is has just started, so no request is under way."""
    connection.execute(sa.delete(_table).where(_table.c.digest.is_(None)))


def drop_old(connection: sa.Connection) -> None:
    """Forget keys past their time."""
    connection.execute(sa.delete(_table).where(_table.c.until < clock(connection)))


def _one(owner: str, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    return _table.c.owner == owner, _table.c.key == key
