"""The studio: the web page at `/` and the files it is made of, straight from the package."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter

from likeness.http.middleware.base_path import base_path
from likeness.http.openapi import StudioOperation
from likeness.http.problems import refusals
from likeness.refusals import NotFoundError

PAGE: Final = "index.html"
MEDIA_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
KnownTag = Annotated[
    str | None,
    HeaderParameter(name="If-None-Match", description="ETag of the file that the client has.", required=False),
]
UNCHANGED: Final = {
    304: ResponseSpec(data_container=None, description="The file that the client has is still the one.")
}


class StudioFile(msgspec.Struct, frozen=True):
    """A file as it is and gzipped, and its media type."""

    plain: bytes
    zipped: bytes
    media_type: str


@get(
    "/",
    operation_class=StudioOperation,
    operation_id="getStudio",
    tags=["studio"],
    opt={"public": True},
    security=[{}],
    responses={**UNCHANGED, **refusals(404)},
)
async def get_studio(request: Request[Any, Any, Any], if_none_match: KnownTag = None) -> Response[bytes]:
    """The studio: a web page for all of the API."""
    return _answer(request, PAGE, if_none_match)


@get(
    "/studio/{file:str}",
    operation_class=StudioOperation,
    operation_id="getStudioFile",
    tags=["studio"],
    opt={"public": True},
    security=[{}],
    responses={**UNCHANGED, **refusals(404)},
)
async def get_studio_file(
    request: Request[Any, Any, Any], file: str, if_none_match: KnownTag = None
) -> Response[bytes]:
    """A script, style sheet or picture of the studio."""
    return _answer(request, file, if_none_match)


def _answer(request: Request[Any, Any, Any], name: str, known: str | None) -> Response[bytes]:
    file = studio_files().get(name)
    if file is None:
        raise NotFoundError("file of the studio")
    base = base_path(request.scope)
    if base and name == PAGE:
        file = _page_below(base)
    zipped = "gzip" in request.headers.get("accept-encoding", "")
    data = file.zipped if zipped else file.plain
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'  # strong, so another for each encoding
    headers = {**HEADERS, "ETag": tag, **({"Content-Encoding": "gzip"} if zipped else {})}
    if known and (tag in known or known.strip() == "*"):
        return Response(b"", status_code=304, headers=headers)
    return Response(data, media_type=file.media_type, headers=headers)


@cache
def studio_files() -> dict[str, StudioFile]:
    """All files by name, read once a process: the folder is the table, so that no path can lead out of it."""
    return {each.name: _read(each) for each in (files("likeness") / "studio").iterdir() if _suffix(each) in MEDIA_TYPES}


@lru_cache(8)
def _page_below(base: str) -> StudioFile:
    """The page with the base path before the paths of its files; what those ask for, they work out from their own."""
    page = studio_files()[PAGE]
    return _packed(page.plain.replace(b'"/studio/', f'"{base}/studio/'.encode()), page.media_type)


def _read(path: Traversable) -> StudioFile:
    return _packed(path.read_bytes(), MEDIA_TYPES[_suffix(path)])


def _packed(data: bytes, media_type: str) -> StudioFile:
    return StudioFile(data, gzip.compress(data, mtime=0), media_type)


def _suffix(path: Traversable) -> str:
    return f".{path.name.rpartition('.')[2]}"


ROUTES = (get_studio, get_studio_file)
