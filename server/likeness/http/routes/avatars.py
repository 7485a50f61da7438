"""A generation's avatars: their images, saving and discarding them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from litestar import Request, Response, get, post

from likeness.http.images import SizeQuery, choose_format, image_responses
from likeness.http.openapi import ImageOperation
from likeness.http.problems import refusals
from likeness.http.service import Service
from likeness.http.views import Choice, Discarded, Items, SavedItem
from likeness.records import deadlines, gallery, generations
from likeness.records.gallery import Saved
from likeness.records.generations import AvatarRow, Generation
from likeness.refusals import ConflictError, GoneError, NotFoundError
from likeness.retention import erase_discarded, erase_object
from likeness.safe import Place
from likeness.users import User
from likeness.variants import of_generation, open_original, open_variant

# What saving all avatars may take.
SAVING_S: Final = 600.0


@get(
    "/v1/generations/{generation:str}/avatars/{index:int}",
    operation_class=ImageOperation,
    operation_id="getAvatar",
    tags=["avatars"],
    opt={"avatars": True},
    responses={**image_responses(), **refusals(404, 406, 409, 410)},
)
async def get_avatar(
    request: Request[User, Any, Any], service: Service, index: int, size: SizeQuery = "full"
) -> Response[bytes]:
    """An avatar's image: WebP, PNG, JPEG or AVIF by `Accept`."""
    media_type = choose_format(request.headers.get("accept"))
    found: Generation = request.scope["state"]["generation"]
    row = await service.read(generations.avatar_of, found, index)
    original = of_generation(found.id, row.index, row.object or "")
    picture = await service.run(open_variant, service.safe, service.marker, original, size, media_type)
    return Response(picture, media_type=media_type, headers={"Vary": "Accept"})


@post(
    "/v1/generations/{generation:str}/save",
    operation_id="saveAvatars",
    tags=["avatars"],
    status_code=200,
    opt={"avatars": True},
    responses=refusals(404, 408, 409, 410, 415),
)
async def save_avatars(request: Request[User, Any, Any], service: Service, data: Choice) -> Items[SavedItem]:
    """Keep avatars in the gallery, under the user's own key; saving one twice answers the same gallery id."""
    found: Generation = request.scope["state"]["generation"]
    rows = await _chosen(service, found, data)
    entries = await service.run(_copy, service, found, [row for row in rows if row.state == "ready"])
    saved = await service.write(gallery.save, entries)
    await service.run(_delete_unused, service, entries, saved)
    known = {row.index: row.saved_as for row in await service.read(generations.avatars_of, found)}
    return Items([SavedItem(row.index, known[row.index] or "") for row in rows if known[row.index]])


@post(
    "/v1/generations/{generation:str}/discard",
    operation_id="discardAvatars",
    tags=["avatars"],
    status_code=200,
    opt={"avatars": True},
    responses=refusals(404, 408, 409, 410, 415),
)
async def discard_avatars(request: Request[User, Any, Any], service: Service, data: Choice) -> Discarded:
    """Delete avatars now; saved ones stay in the gallery. `all` means all that are not saved."""
    found: Generation = request.scope["state"]["generation"]
    rows = await _chosen(service, found, data, discarding=True)
    gone = await service.write(generations.discard, found, [row.index for row in rows])
    await service.run(erase_discarded, service.safe, found.id, found.owner, gone)
    return Discarded([row.index for row in gone])


async def _chosen(service: Service, found: Generation, choice: Choice, discarding: bool = False) -> list[AvatarRow]:
    """The avatars that are meant; raises NotFoundError, GoneError or ConflictError for the first that cannot be."""
    rows = {row.index: row for row in await service.read(generations.avatars_of, found)}
    if choice.avatars == "all":
        wanted = ("ready",) if discarding else ("ready", "saved")
        return [row for row in rows.values() if row.state in wanted]
    chosen = []
    for index in dict.fromkeys(choice.avatars):
        row = rows.get(int(index))
        if row is None:
            raise NotFoundError("avatar")
        if row.state in ("discarded", "expired") and not discarding:
            raise GoneError("avatar")
        if row.state not in ("ready", "saved", "discarded", "expired"):
            raise ConflictError(f"Avatar {index} is {row.state}. Choose among those that are ready.")
        chosen.append(row)
    return chosen


def _copy(service: Service, found: Generation, rows: Sequence[AvatarRow]) -> list[Saved]:
    """Encrypt anew under the owner's key, in objects of the gallery; not in the database yet."""
    key = service.safe.gallery_key(found.owner) if rows else b""
    entries = []
    for row in rows:
        avatar = secrets.token_hex(12)
        place = Place(avatar, 0, "gallery")
        # Until the row is there, the object is due: a process that dies in between leaves it to the sweeper.
        service.safe.database.write(deadlines.expect, place.name, SAVING_S)
        stored = open_original(service.safe, of_generation(found.id, row.index, row.object or ""))
        name, digest = service.safe.put(place, key, stored)
        entries.append(Saved(avatar, found.owner, found.id, row.index, row.style, row.look, name, digest, 0.0))
    return entries


def _delete_unused(service: Service, entries: Sequence[Saved], saved: dict[int, str]) -> None:
    """Copies of avatars that another request saved at the same moment."""
    for each in entries:
        if saved.get(each.index) != each.id:
            erase_object(service.safe, each.object)


ROUTES = (get_avatar, save_avatars, discard_avatars)
