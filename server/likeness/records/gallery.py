"""What users keep and show: saved avatars, the profile picture, stories, and the public links to them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from likeness.database import clock, insert_unless_there, tables
from likeness.records import deadlines, trends, variants
from likeness.records.pages import fetch_page
from likeness.refusals import ConflictError, NotFoundError

_saved, _pictures, _stories = tables.gallery, tables.pictures, tables.stories


class Saved(msgspec.Struct, frozen=True):
    """A saved avatar."""

    id: str
    owner: str
    generation: str
    index: int
    style: str
    look: str
    object: str
    digest: str
    saved_at: float


class Story(msgspec.Struct, frozen=True):
    """A posted story; `until` in seconds since 1970."""

    id: str
    owner: str
    avatar: str
    caption: str
    token: str
    posted_at: float
    until: float


class Picture(msgspec.Struct, frozen=True):
    """The current profile picture."""

    owner: str
    avatar: str
    token: str
    set_at: float


def save(connection: sa.Connection, saved: Sequence[Saved]) -> dict[int, str]:
    """Enter saved avatars whose objects are stored, and due; answers gallery ids of those that were ready, by index.

    Raises ConflictError, and nothing is saved, when the sweeper was faster.
    """
    ids, styles = {}, list[str]()
    for each in saved:
        ready = sa.update(tables.avatars).where(
            tables.avatars.c.generation == each.generation,
            tables.avatars.c.index == each.index,
            tables.avatars.c.state == "ready",
        )
        if connection.execute(ready.values(state="saved", saved_as=each.id)).rowcount:
            if not deadlines.drop(connection, "object", each.object):
                raise ConflictError("Saving took so long that the copies were deleted again. Save once more.")
            row = msgspec.structs.asdict(each) | {"saved_at": clock(connection)}
            connection.execute(sa.insert(_saved).values(row))
            styles.append(each.style)
            ids[each.index] = each.id
    trends.count(connection, "saved", styles)
    return ids


def get(connection: sa.Connection, avatar: str, owner: str) -> Saved:
    """A saved avatar of this owner; raises NotFoundError for others' too."""
    row = connection.execute(sa.select(_saved).where(_saved.c.id == avatar, _saved.c.owner == owner)).first()
    if row is None:
        raise NotFoundError("saved avatar")
    return Saved(**row._mapping)


def page(connection: sa.Connection, owner: str, cursor: str | None, limit: int) -> tuple[list[Saved], str | None]:
    """An owner's saved avatars, the newest first."""
    mine = sa.select(_saved).where(_saved.c.owner == owner)
    found = fetch_page(connection, mine, _saved.c.saved_at, _saved.c.id, cursor=cursor, limit=limit)
    return [Saved(**row._mapping) for row in found.rows], found.next


def everything(connection: sa.Connection, owner: str) -> list[Saved]:
    """All of an owner's saved avatars, the oldest first."""
    chosen = sa.select(_saved).where(_saved.c.owner == owner).order_by(_saved.c.saved_at, _saved.c.id)
    return [Saved(**row._mapping) for row in connection.execute(chosen)]


def delete(connection: sa.Connection, saved: Saved) -> list[str]:
    """Remove a saved avatar and everything that shows it; answers its objects, variants' too, which are due now."""
    # The row first: from then on no variant is entered.
    connection.execute(sa.delete(_saved).where(_saved.c.id == saved.id))
    objects = [saved.object, *(each.object for each in variants.take(connection, "gallery", saved.id))]
    for name in objects:
        deadlines.set_deadline(connection, "object", name, clock(connection))
    connection.execute(sa.delete(_pictures).where(_pictures.c.avatar == saved.id))
    for story in connection.execute(sa.select(_stories.c.id).where(_stories.c.avatar == saved.id)).scalars().all():
        delete_story(connection, story)
    return objects


def set_picture(connection: sa.Connection, avatar: str, owner: str, *, token: str) -> Picture:
    """Make a saved avatar the profile picture; the public link of an earlier one stays the same.

    Raises NotFoundError; the same one again counts once.
    """
    saved, before = get(connection, avatar, owner), get_picture(connection, owner)
    now = clock(connection)
    if not insert_unless_there(connection, _pictures, owner=owner, avatar=avatar, token=token, set_at=now):
        changed = sa.update(_pictures).where(_pictures.c.owner == owner)
        connection.execute(changed.values(avatar=avatar, set_at=now))
    if before is None or before.avatar != avatar:
        trends.count(connection, "published", [saved.style])
    picture = get_picture(connection, owner)
    assert picture is not None
    return picture


def get_picture(connection: sa.Connection, owner: str) -> Picture | None:
    """The current profile picture, or None."""
    row = connection.execute(sa.select(_pictures).where(_pictures.c.owner == owner)).first()
    return None if row is None else Picture(**row._mapping)


def delete_picture(connection: sa.Connection, owner: str) -> bool:
    """Take the profile picture back; its public link ends. False when there was none."""
    return connection.execute(sa.delete(_pictures).where(_pictures.c.owner == owner)).rowcount == 1


def post_story(
    connection: sa.Connection, avatar: str, owner: str, *, story: str, token: str, caption: str, lives_s: float
) -> Story:
    """Post a saved avatar as a story that ends by itself; raises NotFoundError."""
    saved, now = get(connection, avatar, owner), clock(connection)
    posted = Story(story, saved.owner, saved.id, caption, token, now, now + lives_s)
    connection.execute(sa.insert(_stories).values(msgspec.structs.asdict(posted)))
    deadlines.set_deadline(connection, "story", story, posted.until)
    trends.count(connection, "published", [saved.style])
    return posted


def stories(connection: sa.Connection, owner: str, cursor: str | None, limit: int) -> tuple[list[Story], str | None]:
    """An owner's stories that can still be seen, the newest first."""
    mine = sa.select(_stories).where(_stories.c.owner == owner, _stories.c.until > clock(connection))
    found = fetch_page(connection, mine, _stories.c.posted_at, _stories.c.id, cursor=cursor, limit=limit)
    return [Story(**row._mapping) for row in found.rows], found.next


def get_story(connection: sa.Connection, story: str, owner: str) -> Story:
    """A story of this owner; raises NotFoundError for others' too."""
    row = connection.execute(sa.select(_stories).where(_stories.c.id == story, _stories.c.owner == owner)).first()
    if row is None:
        raise NotFoundError("story")
    return Story(**row._mapping)


def delete_story(connection: sa.Connection, story: str) -> None:
    """Remove a story and its deadline; its public link ends."""
    connection.execute(sa.delete(_stories).where(_stories.c.id == story))
    deadlines.drop(connection, "story", story)


def published(connection: sa.Connection, token: str) -> Saved:
    """What a public link shows; raises NotFoundError when it is unknown, revoked or past its time."""
    avatar = connection.execute(sa.select(_pictures.c.avatar).where(_pictures.c.token == token)).scalar()
    if avatar is None:
        live = _stories.c.token == token, _stories.c.until > clock(connection)
        avatar = connection.execute(sa.select(_stories.c.avatar).where(*live)).scalar()
    row = connection.execute(sa.select(_saved).where(_saved.c.id == avatar)).first()
    if row is None:
        raise NotFoundError("picture")
    return Saved(**row._mapping)
