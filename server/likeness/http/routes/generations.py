"""Generations: upload, list, look, follow, cancel."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, delete, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter
from litestar.response import Stream

from likeness.http.middleware.base_path import base_path
from likeness.http.openapi import StreamOperation, UploadOperation
from likeness.http.problems import refusals
from likeness.http.routes.common import PAGE, Cursor, Limit
from likeness.http.service import Service
from likeness.http.streams import check_last_event, finished, follow
from likeness.http.upload import accepted_response, receive_upload, view_of
from likeness.http.views import GenerationSummary, GenerationView, Items, ReceiptView, view_summary
from likeness.intake.body import BODY_BYTES
from likeness.records import events, generations, receipts
from likeness.refusals import NotFoundError
from likeness.retention import erase_avatars, erase_photos
from likeness.users import User

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="Sent again with the same content, gets the same answer; 24 h.",
        required=False,
    ),
]
LastEvent = Annotated[
    str | None, HeaderParameter(name="Last-Event-ID", description="Number of the last event that came.", required=False)
]


@post(
    "/v1/generations",
    operation_class=UploadOperation,
    operation_id="createGeneration",
    tags=["generations"],
    status_code=202,
    request_max_body_size=BODY_BYTES + 1,  # ours is the exact limit, and says so in its own words
    opt={"upload": True},
    responses=refusals(402, 408, 409, 413, 415, 422, 429, 503),
    raises=[],
)
async def create_generation(
    request: Request[User, Any, Any],
    service: Service,
    idempotency_key: IdempotencyKey = None,  # noqa: ARG001 - the middleware reads it; here it is declared
) -> Response[GenerationView]:
    """Upload 3 to 10 photos of one person and queue the avatars; `Location` is where to look.

    Three usable photos are enough: `photos` in the answer names those that are left out, and why.
    Refused before the body is read when the plan, the region, the day's quota or the queue do not allow it.
    """
    generation, answer = await receive_upload(service, request, request.user, request.scope["state"]["slot"])
    return accepted_response(generation, answer, base_path(request.scope))


@get("/v1/generations", operation_id="listGenerations", tags=["generations"], responses=refusals())
async def list_generations(
    request: Request[User, Any, Any], service: Service, cursor: Cursor = None, limit: Limit = PAGE
) -> Items[GenerationSummary]:
    """The user's generations, the newest first; each is listed until 30 days after its end."""
    found, following = await service.read(generations.page, request.user.owner, cursor, limit)
    return Items([view_summary(each, base_path(request.scope)) for each in found], following)


@get("/v1/generations/{generation:str}", operation_id="getGeneration", tags=["generations"], responses=refusals(404))
async def get_generation(request: Request[User, Any, Any], service: Service, generation: str) -> GenerationView:
    """Status, progress, deadlines and avatars of a generation."""
    return await view_of(service, generation, request.user.owner, base_path(request.scope))


@get(
    "/v1/generations/{generation:str}/events",
    operation_class=StreamOperation,
    operation_id="followGeneration",
    tags=["generations"],
    responses={
        204: ResponseSpec(data_container=None, description="Nothing comes after this event: do not reconnect."),
        **refusals(404),
    },
)
async def follow_generation(
    request: Request[User, Any, Any], service: Service, generation: str, last_event_id: LastEvent = None
) -> Response[Any]:
    """Server-sent events: queued, progress, avatar, done, failed, cancelled, photos_deleted, expired.

    Numbered from 1 and stored: come back with `Last-Event-ID` after a lost connection or a restart. A comment comes
    every 15 seconds, and the stream ends when the generation has ended and its photos are deleted.
    """
    seen = await check_last_event(service, generation, last_event_id)
    stored = await service.read(events.events_after, generation, 0)
    if finished({event.kind for event in stored}) and seen == stored[-1].number:
        return Response(None, status_code=204)
    headers = {"X-Accel-Buffering": "no"}
    stream = follow(service, generation, seen, base_path(request.scope))
    return Stream(stream, media_type="text/event-stream", headers=headers)


@delete(
    "/v1/generations/{generation:str}",
    operation_id="cancelGeneration",
    tags=["generations"],
    status_code=200,
    responses=refusals(404),
)
async def cancel_generation(request: Request[User, Any, Any], service: Service, generation: str) -> GenerationView:
    """Cancel, and delete photos and unsaved avatars now; what was saved stays in the gallery."""
    if request.scope["state"]["generation"].avatars_deleted_at is None:
        await service.write(generations.cancel, generation, service.settings)
        await service.run(erase_photos, service.safe, generation, service.settings)
        await service.run(erase_avatars, service.safe, generation, service.settings)
    return await view_of(service, generation, request.user.owner, base_path(request.scope))


@get(
    "/v1/generations/{generation:str}/receipt", operation_id="getReceipt", tags=["generations"], responses=refusals(404)
)
async def get_receipt(service: Service, generation: str) -> ReceiptView:
    """What of this generation was deleted so far, signed; it grows with every deletion."""
    jws = await service.read(receipts.jws_of, generation)
    if jws is None:
        raise NotFoundError("receipt")
    return ReceiptView(generation, jws)


ROUTES = (create_generation, list_generations, get_generation, follow_generation, cancel_generation, get_receipt)
