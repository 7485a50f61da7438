"""All tables. Times are seconds since 1970 by the database's clock; `owner` is `User.owner`, never a name."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, Double, Index, Integer, LargeBinary, String, Table, Text

metadata = sa.MetaData()


def _id(name: str = "id") -> Column[str]:
    return Column(name, String(64), primary_key=True)


def _text(name: str, length: int = 64) -> Column[str]:
    return Column(name, String(length), nullable=False)


def _time(name: str) -> Column[float]:
    return Column(name, Double, nullable=False)


def _number(name: str, default: int = 0) -> Column[int]:
    return Column(name, Integer, nullable=False, default=default)


generations = Table(
    "generations",
    metadata,
    _id(),
    _text("owner"),
    _text("tier", 16),
    _text("state", 16),  # queued rendering done failed cancelled expired
    Column("reason", String(64)),
    Column("seed", sa.BigInteger, nullable=False),
    Column("styles", Text, nullable=False),  # JSON list of names
    Column(
        "photo_results", Text, nullable=False, server_default="[]"
    ),  # JSON list of PhotoResult, of every photo given
    _text("consent", 16),
    _time("created_at"),  # also when consent was given
    Column("goes_at", Double, nullable=False, server_default="0"),  # the order of the queue
    Column("started_at", Double),
    Column("first_avatar_at", Double),
    Column("ended_at", Double),
    _time("photos_until"),
    Column("photos_deleted_at", Double),
    _time("avatars_until"),
    Column("avatars_deleted_at", Double),
    Column("worker", String(64)),
    _number("fence"),  # rises with every claim: a worker that lost its claim can write nothing
    _number("attempts"),
    _number("events"),
    _text("quota_day", 10),
    _number("quota_slot"),
    Index("generations_of_owner", "owner", "created_at"),
    Index("generations_by_state", "state"),
)

photos = Table(
    "photos",
    metadata,
    Column("generation", String(64), primary_key=True),
    Column("index", Integer, primary_key=True),
    _text("object", 200),
    _text("digest"),  # sha256 of the ciphertext
    Column("quality", Double, nullable=False),
)

avatars = Table(
    "avatars",
    metadata,
    Column("generation", String(64), primary_key=True),
    Column("index", Integer, primary_key=True),
    _text("style"),
    _text("look"),
    _text("state", 16),  # pending ready saved discarded refused failed expired
    Column("object", String(200)),
    Column("digest", String(64)),
    Column("saved_as", String(64)),
)

keys = Table(
    "keys",
    metadata,
    Column("subject", String(64), primary_key=True),  # a generation, or an owner
    Column("purpose", String(16), primary_key=True),  # photo avatar gallery
    _text("epoch", 32),
    Column("wrapped", LargeBinary, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", sa.BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    _text("generation"),
    Column("number", Integer, nullable=False),
    _text("kind", 32),
    Column("data", Text, nullable=False),
    Index("events_of_generation", "generation", "number", unique=True),
    sqlite_autoincrement=True,
)

gallery = Table(
    "gallery",
    metadata,
    _id(),
    _text("owner"),
    _text("generation"),
    Column("index", Integer, nullable=False),
    _text("style"),
    _text("look"),
    _text("object", 200),
    _text("digest"),
    _time("saved_at"),
    Index("gallery_of_owner", "owner", "saved_at"),
)

variants = Table(
    "variants",
    metadata,
    Column("purpose", String(16), primary_key=True),  # avatar gallery
    Column("subject", String(64), primary_key=True),  # a generation, or a saved avatar
    Column("index", Integer, primary_key=True),
    Column("kind", String(16), primary_key=True),  # such as 64.webp
    _text("object", 200),
    _text("digest"),  # sha256 of the ciphertext
)

pictures = Table("pictures", metadata, _id("owner"), _text("avatar"), _text("token"), _time("set_at"))

Index("pictures_by_token", pictures.c.token, unique=True)

stories = Table(
    "stories",
    metadata,
    _id(),
    _text("owner"),
    _text("avatar"),
    _text("caption", 500),
    _text("token"),
    _time("posted_at"),
    _time("until"),
    Index("stories_of_owner", "owner", "posted_at"),
    Index("stories_by_token", "token", unique=True),
)

quota = Table(
    "quota",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("slot", Integer, primary_key=True),
    _text("state", 16),  # reserved used
    Column("generation", String(64)),
    _time("until"),
)

refunds = Table("refunds", metadata, _id("owner"), Column("day", String(10), primary_key=True))

refusals = Table(
    "refusals",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _text("owner"),
    _time("at"),
    Index("refusals_of_owner", "owner", "at"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("key", String(64), primary_key=True),  # keyed digest of the header
    Column("digest", LargeBinary),  # of fields and photos; none while in progress
    Column("generation", String(64)),
    Column("answer", Text),  # JSON, as it was sent and will be again
    _time("until"),
)

trends = Table(
    "trends",
    metadata,
    Column("style", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),  # chosen saved published
    Column("day", String(10), primary_key=True),
    _number("count"),
)

deadlines = Table(
    "deadlines",
    metadata,
    Column("kind", String(16), primary_key=True),  # upload refused photos avatars object story account tombstone
    Column("subject", String(64), primary_key=True),
    _time("due_at"),
    Column("done_at", Double),
    Column("key", String(64)),  # public id of the key that was destroyed for it
    Column("again_at", Double, nullable=False, server_default="0"),  # until then another process is at it
    Index("deadlines_due", "done_at", "due_at"),
)

receipts = Table(
    "receipts",
    metadata,
    _id("generation"),
    _text("owner"),
    Column("deletions", Text, nullable=False),  # JSON list, as in the receipt
    Column("jws", Text, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    _id(),
    _text("place"),  # the data folder's id: whoever holds that folder's lock outlives every worker of it
    _time("started_at"),
    _time("beat_at"),
    Column("ended_at", Double),  # by itself or declared dead: never undone
    Column("stats", Text, nullable=False, default="{}"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", sa.BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    _time("at"),
    _text("kind", 16),  # upload photos avatars discarded gallery account object epoch lost
    _text("subject", 200),  # a generation, a saved avatar, an object or an epoch; nothing of whose it was
    Column("due_at", Double),
    _number("objects"),
    Index("audit_at", "at"),
    sqlite_autoincrement=True,
)

webhooks = Table(
    "webhooks",
    metadata,
    _id(),
    _text("kind", 32),
    _text("generation"),
    Column("body", Text, nullable=False),
    _time("created_at"),
    _time("next_at"),
    _time("until"),  # it is given up after the first attempt from then on that fails
    _number("attempts"),
    Column("delivered_at", Double),
    Column("given_up_at", Double),
    Index("webhooks_due", "delivered_at", "given_up_at", "next_at"),
    Index("webhooks_of_generation", "generation"),
)

chores = Table("chores", metadata, _id("name"), _time("until"))  # until then one process of the fleet is at it

style_packs = Table(
    "style_packs",
    metadata,
    _id(),
    _text("name"),  # the style's
    _text("version", 32),
    _text("object", 200),
    _text("digest"),  # sha256 of the archive
    _time("installed_at"),
    Column("withdrawn_at", Double),
)

# One of a name is offered, however many are installed at the same moment.
_offered = style_packs.c.withdrawn_at.is_(None)
Index("style_packs_offered", style_packs.c.name, unique=True, sqlite_where=_offered, postgresql_where=_offered)
