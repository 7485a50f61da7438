"""What the intake of an upload refuses or fails at, besides the photos themselves.

LikenessError
├── BadFormError                 the form cannot be read, or has a part that does not belong there
├── BodyTooLargeError            a photo or the whole body is over its limit
├── UnsupportedMediaTypeError    the body is no multipart/form-data
├── UploadTimeoutError           the body comes too slowly
└── DecoderStartError            no decoder process could be started: the server's fault
"""

from __future__ import annotations

from likeness.errors import LikenessError


class BadFormError(LikenessError):
    """The form cannot be read, or has a part that does not belong there."""

    code = "bad_form"
    status = 400
    exit_code = 2


class BodyTooLargeError(LikenessError):
    """A photo or the whole body is over its limit; found before the rest of it is read."""

    code = "too_large"
    status = 413
    exit_code = 2


class UnsupportedMediaTypeError(LikenessError):
    """The body is something else than a multipart form."""

    code = "unsupported_media_type"
    status = 415
    exit_code = 2


class UploadTimeoutError(LikenessError):
    """The body stopped coming, or takes too long in all."""

    code = "upload_timeout"
    status = 408
    exit_code = 2


class DecoderStartError(LikenessError):
    """A decoder process ended or hung before it was ready; what it said is on the server's stderr."""

    def __init__(self) -> None:
        super().__init__("Photos cannot be read at the moment. Try again later.")
