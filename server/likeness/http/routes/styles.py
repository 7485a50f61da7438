"""The installed styles, with their previews and trends."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from litestar import Request, Response, get

from likeness.http.images import image_responses
from likeness.http.middleware.base_path import base_path
from likeness.http.problems import refusals
from likeness.http.service import Service
from likeness.http.views import Items, StyleView, Trend, Trends
from likeness.provenance import JPEG, PNG, WEBP
from likeness.records import trends
from likeness.refusals import NotFoundError
from likeness_plugins import Style

# A pack brings WebP, PNG or JPEG.
OTHERS: Final = {b"\x89PNG": PNG, b"\xff\xd8\xff": JPEG}
Counts = dict[tuple[str, str], int]


@get(
    "/v1/styles", operation_id="listStyles", tags=["styles"], opt={"public": True}, security=[{}], responses=refusals()
)
async def list_styles(request: Request[Any, Any, Any], service: Service) -> Items[StyleView]:
    """All installed styles, the trending ones of this week first."""
    day, week, ever = await service.read(_totals)
    base = base_path(request.scope)
    views = [_view(style, base, day, week, ever) for style in service.catalogue.styles.values()]
    return Items(sorted(views, key=lambda view: -view.trend.week.score))


@get(
    "/v1/styles/{name:str}/preview",
    operation_id="getPreview",
    tags=["styles"],
    opt={"public": True},
    security=[{}],
    responses={**image_responses(), **refusals(404)},
)
async def get_preview(service: Service, name: str) -> Response[bytes]:
    """A style's preview image."""
    style = service.catalogue.styles.get(name)
    if style is None or style.preview is None:
        raise NotFoundError("style preview")
    data = await service.run(style.preview.read_bytes)
    media_type = next((kind for head, kind in OTHERS.items() if data.startswith(head)), WEBP)
    return Response(data, media_type=media_type, headers={"Cache-Control": "public, max-age=3600"})


def _totals(connection: sa.Connection) -> tuple[Counts, Counts, Counts]:
    return trends.totals(connection, 1), trends.totals(connection, 7), trends.totals(connection)


def _view(style: Style, base: str, day: Counts, week: Counts, ever: Counts) -> StyleView:
    return StyleView(
        name=style.name,
        title=style.title,
        description=style.description,
        author=style.author,
        licence=style.licence,
        looks=[look.name for look in style.looks],
        preview_url=f"{base}/v1/styles/{style.name}/preview" if style.preview else None,
        trend=Trends(*(_trend(style.name, counts) for counts in (day, week, ever))),
    )


def _trend(style: str, counts: Counts) -> Trend:
    return Trend(*(counts.get((style, kind), 0) for kind in ("chosen", "saved", "published")))


ROUTES = (list_styles, get_preview)
