"""An example of every answer and body in the OpenAPI document: made of the structs and errors that the routes use."""

from __future__ import annotations

import datetime
from typing import Any, Final

import msgspec
from litestar.openapi.spec import OpenAPI, OpenAPIMediaType, OpenAPIResponse, Operation, RequestBody

from likeness.errors import BadPhoto, LikenessError, PhotoResult, PhotosRefusedError
from likeness.http.problems import MEDIA_TYPE, problem_of
from likeness.http.views import (
    AvatarChoice,
    AvatarView,
    Choice,
    Deadlines,
    Discarded,
    GalleryItem,
    GenerationSummary,
    GenerationView,
    Health,
    Items,
    NewStory,
    PhotoCheck,
    PictureView,
    PolicyView,
    Progress,
    QuotaView,
    ReceiptView,
    SavedItem,
    SessionView,
    StoryView,
    StyleView,
    Trend,
    Trends,
)
from likeness.intake import BodyTooLargeError, UnsupportedMediaTypeError, UploadTimeoutError
from likeness.policy import VERSION, policy_text
from likeness.refusals import (
    ForeignOriginError,
    GoneError,
    InProgressError,
    InputError,
    NotAcceptableError,
    NotFoundError,
    OverloadedError,
    PaymentError,
    QuotaError,
    UnauthorizedError,
)
from likeness.settings import Settings

JSON: Final = "application/json"
_AT: Final = datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.UTC)
_SOON: Final = _AT + datetime.timedelta(seconds=7)
_DAY: Final = _AT + datetime.timedelta(days=1)
_ID: Final = "39f272b461533f18431efe51"
_AVATAR: Final = "3d3eea9a850ccccf1f86bd9d"
_SUMMARY: Final = GenerationSummary(
    id=_ID, status="done", styles=["comic", "oil"], created_at=_AT, url=f"/v1/generations/{_ID}"
)
_GENERATION: Final = GenerationView(
    id=_ID,
    status="rendering",
    reason=None,
    styles=["comic", "oil"],
    photos=[
        *(PhotoResult(index, accepted=True) for index in range(3)),
        PhotoResult(3, accepted=False, reason="blurred", message="The face is blurred. Use a sharper photo."),
    ],
    seed=7,
    created_at=_AT,
    started_at=_AT,
    ended_at=None,
    progress=Progress(1, 30),
    position=None,
    eta_s=5.5,
    deadlines=Deadlines(_AT + datetime.timedelta(hours=1), _DAY, None, None),
    avatars=[AvatarView(0, "comic", "hero", "ready", f"/v1/generations/{_ID}/avatars/0", None)],
    events_url=f"/v1/generations/{_ID}/events",
    receipt_url=f"/v1/generations/{_ID}/receipt",
)
_SAVED: Final = GalleryItem(_AVATAR, "comic", "hero", _ID, 0, _AT, f"/v1/gallery/{_AVATAR}/image")
_LINK: Final = "https://avatars.example.org/p/u2bq0w"
_STORY: Final = StoryView("5b1b5d408ea27b45aa01c2d3", _AVATAR, "Hello", _LINK, _AT, _DAY)
_PICTURE: Final = PictureView(_AVATAR, _LINK, _AT)
_TREND: Final = Trends(Trend(12, 5, 2), Trend(80, 31, 9), Trend(410, 160, 55))
_POLICY: Final = PolicyView(VERSION, policy_text(Settings(), "plus", False), False, 0, 3600, 86400, 86400)
_STYLE: Final = StyleView(
    "comic", "Comic", "Ink and dots.", "Likeness", "Apache-2.0", ["hero"], "/v1/styles/comic/preview", _TREND
)
_KEY: Final = {"kty": "OKP", "crv": "Ed25519", "kid": "SQA4vTWk", "use": "sig", "alg": "EdDSA", "x": "11qYAYKxCrfVS"}

ANSWERS: Final[dict[str, Any]] = {
    "createGeneration": _GENERATION,
    "listGenerations": Items([_SUMMARY]),
    "getGeneration": _GENERATION,
    "cancelGeneration": msgspec.structs.replace(_GENERATION, status="cancelled", reason="cancelled", ended_at=_SOON),
    "getReceipt": ReceiptView(_ID, "eyJhbGciOiJFZERTQSJ9.eyJnZW5lcmF0aW9uIjoi.q1xFDyHl1"),
    "saveAvatars": Items([SavedItem(0, _AVATAR)]),
    "discardAvatars": Discarded([1, 2]),
    "checkPhoto": PhotoCheck(accepted=True, quality=0.83),
    "listGallery": Items([_SAVED]),
    "setPicture": _PICTURE,
    "getPicture": _PICTURE,
    "postStory": _STORY,
    "listStories": Items([_STORY]),
    "listStyles": Items([_STYLE]),
    "getQuota": QuotaView("lite", 1, 0, _DAY),
    "getPolicy": _POLICY,
    "startSession": SessionView(_AT + datetime.timedelta(hours=1)),
    "getReceiptKeys": {"keys": [_KEY]},
    "deleteAccount": ReceiptView("account", "eyJhbGciOiJFZERTQSJ9.eyJnZW5lcmF0aW9uIjoi.q1xFDyHl1"),
    "isLive": {"live": True},
    "isReady": Health(ready=True, problems=[]),
}
BODIES: Final[dict[str, Any]] = {
    "saveAvatars": Choice([0, 3]),
    "discardAvatars": Choice("all"),
    "setPicture": AvatarChoice(_AVATAR),
    "postStory": NewStory(_AVATAR, "Hello"),
}
_BAD: Final = BadPhoto(
    1,
    "photo 2",
    "no_face",
    "No face was found. Use a photo that shows the whole face from the front, uncovered, in good light.",
)
ERRORS: Final[dict[int, LikenessError]] = {
    400: InputError("This cursor is none that the server gave. Start without one."),
    401: UnauthorizedError("The token has expired. Get a new one from the platform."),
    402: PaymentError("lite", "https://example.org/plus"),
    403: ForeignOriginError(
        "The request comes from another website's page. Send it from this server's own, or with a bearer token."
    ),
    404: NotFoundError("generation"),
    406: NotAcceptableError(),
    408: UploadTimeoutError("No byte came for 20 seconds. Send the form again, without a pause."),
    409: InProgressError(),
    410: GoneError("avatar"),
    413: BodyTooLargeError("Photo 2 has more than 15 MB. Use a smaller one."),
    415: UnsupportedMediaTypeError("The body is not declared as multipart/form-data. Send the photos as a form."),
    422: PhotosRefusedError([_BAD], 3, 3),
    429: QuotaError(1, 43200),
    503: OverloadedError(120),
}
_DOWN: Final = Health(ready=False, problems=["No worker is alive. See its log."])


def add_examples(document: OpenAPI) -> None:
    """Put the examples into a document."""
    for item in (document.paths or {}).values():
        for operation in (item.get, item.post, item.put, item.delete):
            if operation is not None:
                _add(operation)


def _add(operation: Operation) -> None:
    name = operation.operation_id or ""
    if isinstance(operation.request_body, RequestBody) and name in BODIES:
        _set(operation.request_body.content[JSON], BODIES[name])
    for status, response in (operation.responses or {}).items():
        content = response.content if isinstance(response, OpenAPIResponse) else None
        for media_type, described in (content or {}).items():
            if media_type == MEDIA_TYPE:
                _set(described, problem_of(ERRORS[int(status)])[0])
            elif media_type == JSON:
                _set(described, _DOWN if status == "503" else ANSWERS[name])


def _set(described: OpenAPIMediaType, value: object) -> None:
    described.example = msgspec.to_builtins(value)
