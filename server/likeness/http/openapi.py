"""The OpenAPI document: what Litestar reads off the handlers, and the multipart body, which it cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, get_args

from litestar import Request
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import (
    Components,
    Encoding,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
    SecurityScheme,
)

from likeness import __version__
from likeness.http.middleware.base_path import base_path
from likeness.photos import FEWEST, MOST
from likeness.policy import VERSION
from likeness.provenance import MEDIA_TYPES
from likeness.records.events import Kind

# Public, as the errors point there.
SCHEMA: Final = "^/schema"
PHOTO_TYPES: Final = ("image/jpeg", "image/png", "image/webp", "image/avif", "application/octet-stream")


def openapi_config() -> OpenAPIConfig:
    """The document at /schema, as JSON and YAML; Litestar's HTML pages load scripts from elsewhere."""
    bearer = SecurityScheme(type="http", scheme="bearer", bearer_format="JWT", description="The platform's token.")
    cookie = SecurityScheme(type="apiKey", name="likeness_session", security_scheme_in="cookie")
    return OpenAPIConfig(
        title="Likeness",
        version=__version__,
        description="Avatars in many styles from a few photos of a person. Errors are problem details (RFC 9457).",
        path="/schema",
        render_plugins=[_Json(path="/openapi.json"), _Yaml(path="/openapi.yaml")],
        components=Components(security_schemes={"bearer": bearer, "session": cookie}),
        security=[{"bearer": []}, {"session": []}, {}],
        use_handler_docstrings=True,
    )


class _Json(JsonRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, _at_base(request, openapi_schema))


class _Yaml(YamlRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, _at_base(request, openapi_schema))


def _at_base(request: Request[Any, Any, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The document with the address that this request's paths are below."""
    return {**document, "servers": [{"url": base_path(request.scope) or "/"}]}


@dataclass
class UploadOperation(Operation):
    """`POST /v1/generations`: its body is read as a stream, so its form is declared by hand."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            required=True,
            content={
                "multipart/form-data": OpenAPIMediaType(
                    schema=upload_schema(),
                    encoding={"photos": Encoding(content_type=", ".join(PHOTO_TYPES[:-1]))},
                )
            },
        )


@dataclass
class PhotoOperation(Operation):
    """`POST /v1/photos/check`: the body is the photo itself, read as a stream."""

    def __post_init__(self) -> None:
        photo = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format="binary"))  # type: ignore[arg-type]
        self.request_body = RequestBody(required=True, content=dict.fromkeys(PHOTO_TYPES, photo))


@dataclass
class StreamOperation(Operation):
    """`GET .../events`: the answer is a stream of events; the schema is each one's."""

    def __post_init__(self) -> None:
        answer: Any = (self.responses or {}).get("200")
        if answer is not None:
            answer.content = {"text/event-stream": OpenAPIMediaType(schema=event_schema())}


@dataclass
class ImageOperation(Operation):
    """Routes that answer an image in the format that the client accepts."""

    def __post_init__(self) -> None:
        answer: Any = (self.responses or {}).get("200")
        if answer is not None and answer.content:
            [image] = answer.content.values()
            answer.content = dict.fromkeys(MEDIA_TYPES, image)


@dataclass
class StudioOperation(Operation):
    """The studio's page and files, which are no JSON."""

    def __post_init__(self) -> None:
        answer: Any = (self.responses or {}).get("200")
        if answer is not None:
            text = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))
            answer.content = dict.fromkeys(("text/html", "text/css", "text/javascript", "image/svg+xml"), text)


def event_schema() -> Schema:
    """One server-sent event."""
    text = OpenAPIType.STRING
    return Schema(
        type=OpenAPIType.OBJECT,
        required=["id", "event", "data"],
        properties={
            "id": Schema(type=text, description="Its number, from 1 and without gaps: what Last-Event-ID names."),
            "event": Schema(type=text, enum=list(get_args(Kind))),
            "data": Schema(
                type=text,
                content_media_type="application/json",
                description="The generation; of an avatar also index, style, look and url; of progress, counts.",
            ),
        },
    )


def upload_schema() -> Schema:
    """The form of an upload."""
    text = OpenAPIType.STRING
    return Schema(
        type=OpenAPIType.OBJECT,
        required=["photos", "consent"],
        properties={
            "photos": Schema(
                type=OpenAPIType.ARRAY,
                min_items=FEWEST,
                max_items=MOST,
                items=Schema(type=text, format="binary"),  # type: ignore[arg-type]
                description="JPEG, PNG, WebP, AVIF or, where installed, HEIC files of at most 15 MB, one face each.",
            ),
            "styles": Schema(
                type=OpenAPIType.ARRAY,
                items=Schema(type=text),
                description="Names of GET /v1/styles; default: the five built-in ones.",
            ),
            "consent": Schema(
                type=text, description="The version of GET /v1/policy that the user agreed to.", examples=[VERSION]
            ),
            "seed": Schema(
                type=OpenAPIType.INTEGER, minimum=0, maximum=2**32 - 1, description="Makes a generation repeatable."
            ),
        },
    )
