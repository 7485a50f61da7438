"""A generation's form, read as it comes in: photos go to a sink piece by piece, the few short fields are kept."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Iterator
from typing import Final

import msgspec
from multipart import (  # type: ignore[import-untyped] # it has types, but no py.typed
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from likeness.errors import PhotoCountError
from likeness.intake.body import Body, FormLimits, megabytes
from likeness.intake.errors import BadFormError, BodyTooLargeError, UnsupportedMediaTypeError
from likeness.intake.sink import PhotoSink, PhotoWriter
from likeness.photos import FEWEST

HEADER_BYTES: Final = 32768
MOST_SEED: Final = 2**32 - 1
_BOUNDARY_LETTERS: Final = 70  # RFC 2046
_TEXTS: Final = ("styles", "consent", "seed")
_BROKEN: Final = "The form is not valid multipart/form-data. Build it with a library, and send it again."


class Form(msgspec.Struct, frozen=True):
    """A form's fields, and how many photos went to the sink.

    `digest` is an HMAC-SHA256 over the fields and the photos' contents, equal for equal forms however they were cut
    into chunks. File names are not in it.
    """

    styles: tuple[str, ...]
    consent: str | None
    seed: int | None
    photo_count: int
    digest: bytes


async def read_form(
    content_type: str | None,
    chunks: AsyncIterator[bytes],
    sink: PhotoSink,
    limits: FormLimits,
    *,
    key: bytes,
    content_length: int | None = None,
) -> Form:
    """Read a form whole; raises PhotoCountError for too many photos alone, and the errors of `likeness.intake.errors`.

    `key` keys the digest. After an error the rest of the body was not read, and what the sink took is to be dropped.
    """
    boundary = _boundary(content_type)
    body = Body(chunks, limits, content_length)
    parts = _Parts(sink, limits)
    # Strict, the parser would refuse what stands before and after the form in some chunkings and let it pass in others:
    # the line break that many clients end with, for one. What strictness checks besides is checked here.
    # File names are not used: Latin-1 reads any bytes, and a long name is no reason to refuse a photo.
    parser = PushMultipartParser(boundary, max_header_size=HEADER_BYTES, header_charset="latin-1", strict=False)
    while chunk := await body.next():
        for event in _events(parser, chunk):
            await parts.take(event)
    _finish(parser)
    return parts.form(key)


def _boundary(content_type: str | None) -> str:
    kind, options = parse_options_header(content_type or "")
    if kind != "multipart/form-data":
        raise UnsupportedMediaTypeError("The body is not declared as multipart/form-data. Send the photos as a form.")
    boundary: str = options.get("boundary", "")
    if not 0 < len(boundary) <= _BOUNDARY_LETTERS or not boundary.isascii() or not boundary.isprintable():
        raise BadFormError("The Content-Type has no valid boundary. Let the library that builds the form set it.")
    return boundary


def _events(parser: PushMultipartParser, chunk: bytes) -> Iterator[MultipartSegment | bytes | None]:
    try:
        yield from parser.parse(chunk)
    except MultipartError as error:
        raise BadFormError(_BROKEN) from error


def _finish(parser: PushMultipartParser) -> None:
    try:
        parser.close()
    except MultipartError as error:
        raise BadFormError("The form stops half-way. Send it again, whole.") from error


class _Parts:
    """The parts so far. A part is open from its MultipartSegment to its None."""

    def __init__(self, sink: PhotoSink, limits: FormLimits) -> None:
        self._sink = sink
        self._limits = limits
        self._count = 0
        self._texts: dict[str, list[str]] = {name: [] for name in _TEXTS}
        self._photos: list[tuple[int, bytes]] = []
        self._open: _Photo | _Text | None = None

    async def take(self, event: MultipartSegment | bytes | None) -> None:
        """One event of the parser: a part's head, a piece of it, or its end."""
        if isinstance(event, MultipartSegment):
            self._open = await self._begin(event)
            return
        assert self._open is not None
        if event is not None:
            await self._open.take(bytes(event))
        elif isinstance(self._open, _Photo):
            self._photos.append(await self._open.end())
        elif text := self._open.end():  # an empty field counts as not given
            self._texts[self._open.name].append(text)

    def form(self, key: bytes) -> Form:
        styles = tuple(self._texts["styles"])
        consent = self._texts["consent"][0] if self._texts["consent"] else None
        seed = _seed(self._texts["seed"][0]) if self._texts["seed"] else None
        # msgpack writes each length before what it belongs to, so that no two forms share an encoding.
        content = msgspec.msgpack.encode(("form 1", styles, consent, seed, self._photos))
        return Form(styles, consent, seed, len(self._photos), hmac.digest(key, content, "sha256"))

    async def _begin(self, head: MultipartSegment) -> _Photo | _Text:
        self._count += 1
        if self._count > self._limits.parts:
            raise BadFormError(f"The form has more than {self._limits.parts} parts. Name each style once.")
        if head.name == "photos":
            return await self._begin_photo()
        if not head.name:
            raise BadFormError("A part of the form has no name. Use photos, styles, consent and seed.")
        if head.name not in _TEXTS:
            name = head.name.encode("latin-1").decode("utf-8", "replace")[:40]
            raise BadFormError(f"The form has no field {name!r}. Use photos, styles, consent and seed.")
        if head.name != "styles" and self._texts[head.name]:
            raise BadFormError(f"The field {head.name} is there twice. Send it once.")
        return _Text(head.name, self._limits)

    async def _begin_photo(self) -> _Photo:
        index = len(self._photos)
        if index == self._limits.photos:
            raise PhotoCountError(index + 1, FEWEST, self._limits.photos)
        return _Photo(index, await self._sink.open(index), self._limits)


class _Photo:
    """A photo on its way to the sink."""

    def __init__(self, index: int, writer: PhotoWriter, limits: FormLimits) -> None:
        self._index = index
        self._writer = writer
        self._limits = limits
        self._length = 0
        self._hash = hashlib.sha256()

    async def take(self, piece: bytes) -> None:
        self._length += len(piece)
        if self._length > self._limits.photo_bytes:
            most = megabytes(self._limits.photo_bytes)
            raise BodyTooLargeError(f"Photo {self._index + 1} has more than {most}. Use a smaller photo.")
        self._hash.update(piece)
        await self._writer.write(piece)

    async def end(self) -> tuple[int, bytes]:
        """Length and SHA-256, for the form's digest alone: an unkeyed digest of a photo goes nowhere else."""
        await self._writer.close()
        return self._length, self._hash.digest()


class _Text:
    """A short text field."""

    def __init__(self, name: str, limits: FormLimits) -> None:
        self.name = name
        self._limits = limits
        self._content = bytearray()

    async def take(self, piece: bytes) -> None:
        if len(self._content) + len(piece) > self._limits.field_bytes:
            raise BadFormError(f"The field {self.name} has more than {self._limits.field_bytes} bytes. Shorten it.")
        self._content += piece

    def end(self) -> str:
        try:
            return self._content.decode()
        except UnicodeDecodeError as error:
            raise BadFormError(f"The field {self.name} is not UTF-8. Send it as UTF-8.") from error


def _seed(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= MOST_SEED:  # a field is too short to be a slow number
        return int(text)
    raise BadFormError(f"The seed is no whole number from 0 to {MOST_SEED}. Correct it or leave it out.")
