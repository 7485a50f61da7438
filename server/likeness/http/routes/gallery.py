"""The gallery: saved avatars, their images, all of them as a zip."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from typing import Any

from litestar import Request, Response, delete, get
from litestar.openapi.datastructures import ResponseSpec

from likeness.http.images import SizeQuery, choose_format, image_responses
from likeness.http.middleware.base_path import base_path
from likeness.http.openapi import ImageOperation
from likeness.http.problems import refusals
from likeness.http.routes.common import PAGE, Cursor, Limit
from likeness.http.service import Service
from likeness.http.views import GalleryItem, Items, view_saved
from likeness.records import gallery
from likeness.records.gallery import Saved
from likeness.refusals import GoneError
from likeness.retention import erase_object
from likeness.users import User
from likeness.variants import of_gallery, open_original, open_variant

ZIP = "application/zip"


@get("/v1/gallery", operation_id="listGallery", tags=["gallery"], responses=refusals())
async def list_gallery(
    request: Request[User, Any, Any], service: Service, cursor: Cursor = None, limit: Limit = PAGE
) -> Items[GalleryItem]:
    """The user's saved avatars, the newest first."""
    found, following = await service.read(gallery.page, request.user.owner, cursor, limit)
    return Items([view_saved(each, base_path(request.scope)) for each in found], following)


@get(
    "/v1/gallery/{avatar:str}/image",
    operation_class=ImageOperation,
    operation_id="getSavedAvatar",
    tags=["gallery"],
    responses={**image_responses(), **refusals(404, 406, 410)},
)
async def get_saved(
    request: Request[User, Any, Any], service: Service, avatar: str, size: SizeQuery = "full"
) -> Response[bytes]:
    """A saved avatar's image: WebP, PNG, JPEG or AVIF by `Accept`."""
    media_type = choose_format(request.headers.get("accept"))
    saved = await service.read(gallery.get, avatar, request.user.owner)
    picture = await service.run(open_variant, service.safe, service.marker, of_gallery(saved), size, media_type)
    return Response(picture, media_type=media_type, headers={"Vary": "Accept"})


@delete("/v1/gallery/{avatar:str}", operation_id="deleteSavedAvatar", tags=["gallery"], responses=refusals(404))
async def delete_saved(request: Request[User, Any, Any], service: Service, avatar: str) -> None:
    """Delete a saved avatar, and with it the profile picture and the stories that show it."""
    saved = await service.read(gallery.get, avatar, request.user.owner)
    for name in await service.write(gallery.delete, saved):
        await service.run(erase_object, service.safe, name)


@get(
    "/v1/gallery/export",
    operation_id="exportGallery",
    tags=["gallery"],
    responses={
        200: ResponseSpec(data_container=bytes, generate_examples=False, media_type=ZIP, description="The archive."),
        **refusals(),
    },
)
async def export_gallery(request: Request[User, Any, Any], service: Service) -> Response[bytes]:
    """All saved avatars as a zip of WebP files."""
    saved = await service.read(gallery.everything, request.user.owner)
    archive = await service.run(_zip, service, saved)
    headers = {"Content-Disposition": 'attachment; filename="avatars.zip"'}
    return Response(archive, media_type=ZIP, headers=headers)


def _zip(service: Service, saved: list[Saved]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # WebP does not get smaller
        for number, each in enumerate(saved, start=1):
            with suppress(GoneError):  # deleted since the list was read
                picture = open_original(service.safe, of_gallery(each))
                archive.writestr(f"{number:03d}-{each.style}-{each.look}.webp", picture)
    return buffer.getvalue()


ROUTES = (list_gallery, get_saved, delete_saved, export_gallery)
