"""Photos before an upload: each can be looked at by itself, and nothing of it is kept."""

from __future__ import annotations

from typing import Any

from litestar import Request, post

from likeness.http.checks import CheckTurns, check_photo
from likeness.http.middleware.quota import check_plan
from likeness.http.openapi import PhotoOperation
from likeness.http.problems import refusals
from likeness.http.service import Service
from likeness.http.views import PhotoCheck
from likeness.photos import MOST_BYTES
from likeness.users import User


@post(
    "/v1/photos/check",
    operation_class=PhotoOperation,
    operation_id="checkPhoto",
    tags=["photos"],
    status_code=200,
    request_max_body_size=MOST_BYTES + 1,  # ours is the exact limit, and says so in its own words
    responses=refusals(402, 408, 413, 415, 422, 429),
    raises=[],
)
async def check_one_photo(request: Request[User, Any, Any], service: Service, checks: CheckTurns) -> PhotoCheck:
    """Tell whether a photo would be accepted, before an upload; the photo is read in memory alone and not kept.

    A refusal is that of an upload, with this one photo in it. One check at a time and 120 an hour for each user.
    """
    check_plan(request.user, service.settings)
    async with checks.turn(request.user.owner):
        return PhotoCheck(accepted=True, quality=round(await check_photo(service, request), 2))


ROUTES = (check_one_photo,)
