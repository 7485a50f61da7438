"""What users show: the profile picture, stories, and the public links to both."""

from __future__ import annotations

import secrets
from typing import Annotated, Any
from urllib.parse import urlsplit

from litestar import Request, Response, delete, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter

from likeness.http.images import Picture, SizeQuery, choose_format, image_responses
from likeness.http.middleware.base_path import base_path
from likeness.http.openapi import ImageOperation
from likeness.http.problems import refusals
from likeness.http.routes.common import PAGE, Cursor, Limit
from likeness.http.service import Service
from likeness.http.views import (
    AvatarChoice,
    Items,
    NewStory,
    PictureView,
    StoryView,
    view_picture,
    view_story,
)
from likeness.records import gallery
from likeness.refusals import NotFoundError
from likeness.users import User
from likeness.variants import of_gallery, open_variant
from likeness_plugins import Publication

KnownTag = Annotated[
    str | None,
    HeaderParameter(name="If-None-Match", description="ETag of the image that the client has.", required=False),
]


@put("/v1/profile/picture", operation_id="setPicture", tags=["published"], responses=refusals(404, 408, 415))
async def set_picture(request: Request[User, Any, Any], service: Service, data: AvatarChoice) -> PictureView:
    """Make a saved avatar the profile picture; its public URL stays the same when the picture changes."""
    picture = await service.write(gallery.set_picture, data.avatar, request.user.owner, token=secrets.token_urlsafe(24))
    view = view_picture(picture, public_url(request, service))
    service.announcer.announce(Publication("picture", request.user.subject, view.url))
    return view


@get("/v1/profile/picture", operation_id="getPicture", tags=["published"], responses=refusals(404))
async def get_picture(request: Request[User, Any, Any], service: Service) -> PictureView:
    """The current profile picture."""
    picture = await service.read(gallery.get_picture, request.user.owner)
    if picture is None:
        raise NotFoundError("profile picture")
    return view_picture(picture, public_url(request, service))


@delete("/v1/profile/picture", operation_id="deletePicture", tags=["published"], responses=refusals(404))
async def delete_picture(request: Request[User, Any, Any], service: Service) -> None:
    """Take the profile picture back; its public URL ends, the avatar stays saved."""
    if not await service.write(gallery.delete_picture, request.user.owner):
        raise NotFoundError("profile picture")


@post("/v1/stories", operation_id="postStory", tags=["published"], responses=refusals(404, 408, 415))
async def post_story(request: Request[User, Any, Any], service: Service, data: NewStory) -> StoryView:
    """Post a saved avatar as a story; its public URL ends after 24 hours."""
    posted = await service.write(
        gallery.post_story,
        data.avatar,
        request.user.owner,
        story=secrets.token_hex(12),
        token=secrets.token_urlsafe(24),
        caption=data.caption,
        lives_s=service.settings.story_s,
    )
    view = view_story(posted, public_url(request, service))
    service.announcer.announce(Publication("story", request.user.subject, view.url, view.caption, view.until))
    return view


@get("/v1/stories", operation_id="listStories", tags=["published"], responses=refusals())
async def list_stories(
    request: Request[User, Any, Any], service: Service, cursor: Cursor = None, limit: Limit = PAGE
) -> Items[StoryView]:
    """The user's stories that can still be seen, the newest first."""
    found, following = await service.read(gallery.stories, request.user.owner, cursor, limit)
    return Items([view_story(each, public_url(request, service)) for each in found], following)


@delete("/v1/stories/{story:str}", operation_id="deleteStory", tags=["published"], responses=refusals(404))
async def delete_story(request: Request[User, Any, Any], service: Service, story: str) -> None:
    """Take a story back."""
    found = await service.read(gallery.get_story, story, request.user.owner)
    await service.write(gallery.delete_story, found.id)


@get(
    "/p/{token:str}",
    operation_class=ImageOperation,
    operation_id="getPublished",
    tags=["published"],
    opt={"public": True},
    security=[{}],
    responses={
        **image_responses(),
        304: ResponseSpec(data_container=None, description="The image that the client has is still the one."),
        **refusals(404, 406, 410),
    },
)
async def get_published(
    request: Request[Any, Any, Any],
    service: Service,
    token: str,
    size: SizeQuery = "full",
    if_none_match: KnownTag = None,
) -> Response[bytes]:
    """The published image, for everybody; 304 by `If-None-Match`. Revoked with the avatar."""
    media_type = choose_format(request.headers.get("accept"))
    saved = await service.read(gallery.published, token)
    data = await service.run(open_variant, service.safe, service.marker, of_gallery(saved), size, media_type)
    picture = Picture(data, media_type)
    # Caches must ask every time: a revoked link has to end at once.
    headers = {"ETag": picture.tag, "Cache-Control": "public, no-cache", "Vary": "Accept"}
    if if_none_match and (picture.tag in if_none_match or if_none_match.strip() == "*"):
        return Response(b"", status_code=304, headers=headers)
    return Response(picture.data, media_type=picture.media_type, headers=headers)


def public_url(request: Request[Any, Any, Any], service: Service) -> str:
    """Where users reach the server: the setting, or else the address that this request came to, with its base path."""
    configured = service.settings.public_url.rstrip("/")
    if not configured:
        return str(request.base_url).rstrip("/")
    return configured if urlsplit(configured).path else configured + base_path(request.scope)


ROUTES = (set_picture, get_picture, delete_picture, post_story, list_stories, delete_story, get_published)
