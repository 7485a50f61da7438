"""Every picture that leaves the house says that a model made it: in XMP, and signed, in a C2PA manifest."""

from likeness.provenance.encode import (
    AVIF,
    COMPOSITE_SOURCE_TYPE,
    DIGITAL_SOURCE_TYPE,
    JPEG,
    MEDIA_TYPES,
    PNG,
    WEBP,
    encode_avif,
    encode_jpeg,
    encode_png,
    encode_webp,
)
from likeness.provenance.errors import SigningError, TrustFileError
from likeness.provenance.marker import Marker, open_marker
from likeness.provenance.reading import Origin, Provenance, read_provenance

__all__ = [
    "AVIF",
    "COMPOSITE_SOURCE_TYPE",
    "DIGITAL_SOURCE_TYPE",
    "JPEG",
    "MEDIA_TYPES",
    "PNG",
    "WEBP",
    "Marker",
    "Origin",
    "Provenance",
    "SigningError",
    "TrustFileError",
    "encode_avif",
    "encode_jpeg",
    "encode_png",
    "encode_webp",
    "open_marker",
    "read_provenance",
]
