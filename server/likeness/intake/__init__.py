"""From a request's body to crops: the form read as it comes, the photos decoded in processes that can do no harm."""

from likeness.intake.body import FormLimits
from likeness.intake.decoders import DecodedPhoto, DecodedPhotos, Decoder, Decoders
from likeness.intake.errors import (
    BadFormError,
    BodyTooLargeError,
    DecoderStartError,
    UnsupportedMediaTypeError,
    UploadTimeoutError,
)
from likeness.intake.messages import DecoderLimits
from likeness.intake.multipart_body import Form, read_form
from likeness.intake.sink import DiscardingSink, PhotoSink, PhotoWriter

__all__ = [
    "BadFormError",
    "BodyTooLargeError",
    "DecodedPhoto",
    "DecodedPhotos",
    "Decoder",
    "DecoderLimits",
    "DecoderStartError",
    "Decoders",
    "DiscardingSink",
    "Form",
    "FormLimits",
    "PhotoSink",
    "PhotoWriter",
    "UnsupportedMediaTypeError",
    "UploadTimeoutError",
    "read_form",
]
