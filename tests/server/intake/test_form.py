"""The form: what is read out of it, whatever the chunks, and each thing that it is refused for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from likeness.errors import LikenessError, PhotoCountError
from likeness.intake import (
    BadFormError,
    BodyTooLargeError,
    DiscardingSink,
    Form,
    FormLimits,
    UnsupportedMediaTypeError,
    UploadTimeoutError,
    read_form,
)

BOUNDARY = "X-likeness-X"
KIND = f"multipart/form-data; boundary={BOUNDARY}"
# A photo that looks like the form around it: line breaks, and the boundary but for its last letter.
PHOTO = b"\xff\xd8" + bytes(range(256)) * 40 + b"\r\n--X-likeness-\r\n--\r\r\n"


class KeepingSink:
    """Keeps photos in memory, and notes which were closed."""

    def __init__(self) -> None:
        self.photos: list[bytes] = []
        self.closed: list[int] = []

    async def open(self, index: int) -> _Writer:
        assert index == len(self.photos)
        self.photos.append(b"")
        return _Writer(self, index)


class _Writer:
    def __init__(self, sink: KeepingSink, index: int) -> None:
        self.sink, self.index = sink, index

    async def write(self, data: bytes) -> None:
        self.sink.photos[self.index] += data

    async def close(self) -> None:
        self.sink.closed.append(self.index)


def part(disposition: str, content: bytes, boundary: str = BOUNDARY) -> bytes:
    return f"--{boundary}\r\nContent-Disposition: form-data{disposition}\r\n\r\n".encode() + content + b"\r\n"


def text(name: str, value: str, boundary: str = BOUNDARY) -> bytes:
    return part(f'; name="{name}"', value.encode(), boundary)


def photo(content: bytes = PHOTO, boundary: str = BOUNDARY, name: str = "a.jpg") -> bytes:
    return part(f'; name="photos"; filename="{name}"', content, boundary)


def whole(*parts: bytes, boundary: str = BOUNDARY) -> bytes:
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


GOOD = whole(
    photo(),
    text("styles", "comic"),
    photo(b"two"),
    text("styles", "öl"),
    photo(b""),
    text("consent", "1"),
    text("seed", "7"),
)


async def cut(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def read(
    body: bytes, *, size: int = 65_536, kind: str | None = KIND, sink: Any = None, key: bytes = b"k", **options: Any
) -> Form:
    limits = options.pop("limits", FormLimits())
    return asyncio.run(read_form(kind, cut(body, size), sink or DiscardingSink(), limits, key=key, **options))


@pytest.mark.parametrize("size", [1, 7, 65_536])
def test_a_form_is_the_same_whatever_the_chunks(size: int) -> None:
    sink = KeepingSink()
    form = read(GOOD, size=size, sink=sink, content_length=len(GOOD))
    assert form == read(GOOD)
    assert (form.styles, form.consent, form.seed, form.photo_count) == (("comic", "öl"), "1", 7, 3)
    assert sink.photos == [PHOTO, b"two", b""]
    assert sink.closed == [0, 1, 2]


def test_the_least_form_has_nothing() -> None:
    form = read(whole(text("styles", "comic")))
    assert (form.consent, form.seed, form.photo_count) == (None, None, 0)


def test_empty_fields_count_as_not_given() -> None:
    empty = [text(name, "") for name in ("styles", "styles", "consent", "seed")]
    assert read(whole(*empty, photo())) == read(whole(photo()))
    assert read(whole(*empty, photo(), text("consent", "1"), text("seed", "7"), text("styles", "oil"))) == read(
        whole(photo(), text("consent", "1"), text("seed", "7"), text("styles", "oil"))
    )


NAMES = {
    "none": b"",
    "empty": b'; filename=""',
    "UTF-8": '; filename="Fräulein 😀.jpg"'.encode(),
    "Latin-1": '; filename="Fräulein.jpg"'.encode("latin-1"),
    "no charset at all": b'; filename="\xff\xfe\x80.jpg"',
    "extended alone": b"; filename*=UTF-8''Fr%C3%A4ulein.jpg",
    "extended of another charset": b"; filename*=nonsense''%ff%fe.jpg",
    "both": b"; filename=\"a.jpg\"; filename*=UTF-8''a.jpg",
    "5,000 letters": b'; filename="' + b"x" * 5000 + b'.jpg"',
    "5,000 letters in percent": b"; filename*=UTF-8''" + b"%C3%A4" * 5000,
    "a path": b'; filename="C:\\me\\..\\a.jpg"',
    "quotes": b'; filename="a\\"b; name=x.jpg"',
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [700, 65_536])
def test_a_photos_file_name_does_not_matter(name: str, size: int) -> None:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="photos"'.encode() + NAMES[name]
    sink = KeepingSink()
    form = read(head + b"\r\nContent-Type: image/jpeg\r\n\r\n" + PHOTO + b"\r\n" + whole(), size=size, sink=sink)
    assert sink.photos == [PHOTO]
    assert form == read(whole(photo()))


def test_the_digest_is_blind_to_boundary_order_and_file_names() -> None:
    other = whole(
        text("seed", "7", "other"),
        text("consent", "1", "other"),
        text("styles", "comic", "other"),
        text("styles", "öl", "other"),
        *(photo(content, "other", "b.png") for content in (PHOTO, b"two", b"")),
        boundary="other",
    )
    assert read(other, kind='multipart/form-data; boundary="other"') == read(GOOD)


@pytest.mark.parametrize(
    "other",
    [
        whole(photo(b"a"), photo(b"bc"), text("styles", "x")),
        whole(photo(b"ab"), photo(b""), photo(b"c"), text("styles", "x")),
        whole(photo(b"c"), photo(b"ab"), text("styles", "x")),
        whole(photo(b"ab"), photo(b"c"), text("consent", "x")),
        whole(photo(b"ab"), photo(b"c"), text("styles", "x"), text("seed", "0")),
    ],
)
def test_other_content_has_another_digest(other: bytes) -> None:
    body = whole(photo(b"ab"), photo(b"c"), text("styles", "x"))
    assert read(body).digest != read(other).digest


def test_the_digest_is_keyed() -> None:
    assert read(GOOD).digest != read(GOOD, key=b"another").digest
    assert len(read(GOOD).digest) == 32


BAD_FORMS = {
    "long field": (whole(text("styles", "x" * 1001)), "The field styles has more than 1000 bytes. Shorten it."),
    "unknown field": (
        whole(text("colour", "red")),
        "The form has no field 'colour'. Use photos, styles, consent and seed.",
    ),
    "no name": (whole(part("", b"x")), "A part of the form has no name. Use photos, styles, consent and seed."),
    "empty name": (whole(text("", "x")), "A part of the form has no name. Use photos, styles, consent and seed."),
    "41 parts": (whole(*[text("styles", "x")] * 41), "The form has more than 40 parts. Name each style once."),
    "consent twice": (
        whole(text("consent", "1"), text("consent", "1")),
        "The field consent is there twice. Send it once.",
    ),
    "seed twice": (whole(text("seed", "1"), text("seed", "1")), "The field seed is there twice. Send it once."),
    "not UTF-8": (whole(part('; name="styles"', b"\xff")), "The field styles is not UTF-8. Send it as UTF-8."),
    "half": (GOOD[: len(GOOD) // 2], "The form stops half-way. Send it again, whole."),
    "no end": (GOOD[:-6], "The form stops half-way. Send it again, whole."),
    "empty": (b"", "The form stops half-way. Send it again, whole."),
    "broken": (
        f"--{BOUNDARY}\r\nnonsense\r\n\r\nx\r\n--{BOUNDARY}--".encode(),
        "The form is not valid multipart/form-data. Build it with a library, and send it again.",
    ),
    "wrong disposition": (
        f"--{BOUNDARY}\r\nContent-Disposition: attachment\r\n\r\nx\r\n--{BOUNDARY}--".encode(),
        "The form is not valid multipart/form-data. Build it with a library, and send it again.",
    ),
    "long header": (
        part(f'; name="{"x" * 40_000}"', b"x"),
        "The form is not valid multipart/form-data. Build it with a library, and send it again.",
    ),
    **{
        f"seed {seed!r}": (
            whole(text("seed", seed)),
            "The seed is no whole number from 0 to 4294967295. Correct it or leave it out.",
        )
        for seed in (" ", "x", "-1", "1.5", "1_0", "²", "4294967296", "9" * 1000)
    },
}


@pytest.mark.parametrize("size", [1, 65_536])
@pytest.mark.parametrize("name", BAD_FORMS)
def test_bad_forms_are_refused_with_a_remedy(name: str, size: int) -> None:
    body, message = BAD_FORMS[name]
    with pytest.raises(BadFormError) as caught:
        read(body, size=size)
    assert str(caught.value) == message
    assert (caught.value.code, caught.value.status) == ("bad_form", 400)


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_first_and_last_seed(seed: int) -> None:
    assert read(whole(text("seed", str(seed)))).seed == seed


@pytest.mark.parametrize("kind", [None, "", "application/json", "multipart/mixed; boundary=x", "text/plain"])
def test_another_content_type_is_refused(kind: str | None) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match=r"Send the photos as a form\.$") as caught:
        read(GOOD, kind=kind)
    assert (caught.value.code, caught.value.status) == ("unsupported_media_type", 415)


@pytest.mark.parametrize("options", ["", "; boundary=", "; boundary=" + "x" * 71, "; boundary=ä", '; boundary="a\tb"'])
def test_a_bad_boundary_is_refused(options: str) -> None:
    with pytest.raises(BadFormError, match="The Content-Type has no valid boundary"):
        read(GOOD, kind="multipart/form-data" + options)


def test_the_eleventh_photo_is_one_too_many() -> None:
    assert read(whole(*[photo(b"x")] * 10)).photo_count == 10
    sink = KeepingSink()
    with pytest.raises(PhotoCountError, match="11 photos given: give 3 to 10"):
        read(whole(*[photo(b"x")] * 11), sink=sink)
    assert len(sink.photos) == 10


def test_a_large_photo_is_refused_by_number_and_not_closed() -> None:
    sink = KeepingSink()
    with pytest.raises(BodyTooLargeError) as caught:
        read(whole(photo(b"x"), photo(bytes(15_000_001))), sink=sink)
    assert str(caught.value) == "Photo 2 has more than 15 MB. Use a smaller photo."
    assert (caught.value.code, caught.value.status) == ("too_large", 413)
    assert sink.closed == [0]
    assert len(sink.photos[1]) <= 15_000_000


def test_15_megabytes_are_not_too_large() -> None:
    assert read(whole(photo(bytes(15_000_000)))).photo_count == 1


@pytest.mark.parametrize("declared", [None, 155_000_001])
def test_a_large_body_is_refused(declared: int | None) -> None:
    limits = FormLimits(body_bytes=len(GOOD) - 1) if declared is None else FormLimits()
    with pytest.raises(BodyTooLargeError, match=r"The form has more than .* MB. Use smaller photos\.$"):
        read(GOOD, limits=limits, content_length=declared)


@pytest.mark.parametrize("size", [1, 65_536])
@pytest.mark.parametrize(("more", "message"), [(-1, "more than the"), (1, f"{len(GOOD)} of the")])
def test_a_content_length_that_lies_is_refused(more: int, message: str, size: int) -> None:
    declared = len(GOOD) + more
    with pytest.raises(BadFormError) as caught:
        read(GOOD, size=size, content_length=declared)
    assert str(caught.value) == f"The body has {message} {declared} bytes that it declared. Send it again, whole."


async def silent(*first: bytes) -> AsyncIterator[bytes]:
    for chunk in first:
        yield chunk
    await asyncio.Event().wait()


async def endless() -> AsyncIterator[bytes]:
    yield GOOD[:20]
    while True:
        yield b""
        await asyncio.sleep(0)


async def at_once() -> AsyncIterator[bytes]:
    yield f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=photos; filename=a\r\n\r\n".encode()
    while True:
        yield b"x"


async def broken() -> AsyncIterator[bytes]:
    raise TimeoutError("the source's own")
    yield b""


def timed(chunks: AsyncIterator[bytes], **limits: float) -> Form:
    return asyncio.run(read_form(KIND, chunks, DiscardingSink(), FormLimits(**limits), key=b"k"))  # type: ignore[arg-type]


@pytest.mark.parametrize("chunks", [silent, lambda: silent(GOOD[:100]), endless])
def test_silence_ends_an_upload(chunks: Any) -> None:
    with pytest.raises(UploadTimeoutError) as caught:
        timed(chunks(), idle_s=0.02)
    assert str(caught.value) == "No byte came for 0.02 s. Check the connection and send the form again."
    assert (caught.value.code, caught.value.status) == ("upload_timeout", 408)


@pytest.mark.parametrize("chunks", [silent, at_once])
def test_slowness_ends_an_upload(chunks: Any) -> None:
    with pytest.raises(UploadTimeoutError, match=r"more than 0\.05 s\. Use a faster connection or smaller photos\.$"):
        timed(chunks(), total_s=0.05)


def test_the_sources_own_timeout_is_not_the_users() -> None:
    with pytest.raises(TimeoutError, match="the source's own"):
        timed(broken())


def test_every_refusal_ends_with_a_full_stop() -> None:
    assert all(message.endswith(".") for _, message in BAD_FORMS.values())
    assert all(issubclass(kind, LikenessError) for kind in (BadFormError, BodyTooLargeError, UploadTimeoutError))
