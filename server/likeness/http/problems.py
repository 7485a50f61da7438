"""Every error as problem details (RFC 9457), with a stable `code`; nothing of a traceback."""

from __future__ import annotations

import http
import logging
from typing import Annotated, Any, Final

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException, InternalServerException
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Meta
from sqlalchemy.exc import DataError

from likeness.errors import BadPhoto, LikenessError, PhotoError, PhotosRefusedError
from likeness.http.validation import describe
from likeness.logs import request_id
from likeness.refusals import ServiceError

MEDIA_TYPE: Final = "application/problem+json"
logger = logging.getLogger(__name__)
# Codes of what Litestar itself refuses.
_CODES: Final = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}
# What others call the end of a request whose client went away: nobody reads the answer, and it is nobody's fault here.
CLIENT_GONE: Final = 499
UNAVAILABLE: Final = 503
AGAIN_S: Final = "5"  # where nobody knows better when
_DISCONNECTED: Final = "client disconnected prematurely"  # Litestar's only sign of it
_REMEDIES: Final = {
    404: "There is nothing at this address. GET /schema lists all of them.",
    405: "This address does not take this method. GET /schema lists what it takes.",
    413: "The body is too large. Send less.",
}


class Problem(msgspec.Struct, omit_defaults=True):
    """RFC 9457 problem details."""

    type: Annotated[str, Meta(description="A URN made of the code.", examples=["urn:likeness:problem:not_found"])]
    title: Annotated[str, Meta(description="The status in words.")]
    status: int
    detail: Annotated[str, Meta(description="What happened, to which input, and what to do.")]
    code: Annotated[
        str, Meta(description="Stable: programs decide by this.", examples=["quota_exceeded", "photo_refused"])
    ]
    request_id: str = ""
    photos: Annotated[list[BadPhoto], Meta(description="Every photo that cannot be used, with its own code.")] = []
    upgrade_url: str = ""


def refusals(*statuses: int) -> dict[int, ResponseSpec]:
    """OpenAPI responses for these statuses, and for those that every route has."""
    return {
        status: ResponseSpec(
            data_container=Problem,
            generate_examples=False,
            media_type=MEDIA_TYPE,
            description=http.HTTPStatus(status).phrase,
        )
        for status in (400, 401, 403, *statuses)
    }


def problem_of(error: Exception) -> tuple[Problem, dict[str, str]]:
    """The problem and the response headers of any exception."""
    headers: dict[str, str] = {}
    extra: dict[str, Any] = {}
    if isinstance(error, PhotosRefusedError):
        extra = {"photos": list(error.photos)}
    if isinstance(error, PhotoError):
        extra = {"photos": [BadPhoto(0, "photo 1", error.reason, str(error))]}
    if isinstance(error, ServiceError):
        headers, extra = error.headers, error.extra
    if isinstance(error, LikenessError) and error.status == UNAVAILABLE:
        headers = {"Retry-After": AGAIN_S} | headers
    if isinstance(error, LikenessError) and error.status != 500:
        return _problem(error.status, error.code, str(error), extra), headers
    if isinstance(error, HTTPException) and error.status_code < 500:
        detail = _REMEDIES.get(error.status_code) or describe(error)
        code = _CODES.get(error.status_code, "bad_request")
        return _problem(error.status_code, code, detail, {}), dict(error.headers or {})
    if isinstance(error, InternalServerException) and error.detail == _DISCONNECTED:
        return _problem(CLIENT_GONE, "client_gone", "The request did not come whole. Send it again.", {}), {}
    if isinstance(error, DataError):  # a NUL in a text, a number out of bounds
        detail = "The request holds a character that cannot be stored. Leave it out."
        return _problem(400, "bad_request", detail, {}), {}
    logger.error("A request failed.", exc_info=error)
    detail = "Something failed on our side. Try again; if it lasts, tell the operator the request_id."
    return _problem(500, "internal_error", detail, {}), {}


def answer_problem(problem: Problem, headers: dict[str, str]) -> Response[bytes]:
    """A problem as a response."""
    return Response(msgspec.json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def _problem(status: int, code: str, detail: str, extra: dict[str, Any]) -> Problem:
    title = "Client Closed Request" if status == CLIENT_GONE else http.HTTPStatus(status).phrase
    return Problem(f"urn:likeness:problem:{code}", title, status, detail, code, request_id.get(), **extra)
