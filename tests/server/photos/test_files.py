"""Files of phones and browsers: HEIC, further pictures in a file, spoilt parts and lost ends, and what is refused."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress

import cv2
import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image

from likeness.errors import PhotoError
from likeness.photos import crop_face, decode_photo, heif
from likeness.photos.decode import refuse_what_fails
from tests.server.photos.files import Pixels, encode, png_chunk, with_chunk

SAVE_AS = "Save it as JPEG, PNG, WebP, AVIF or HEIC."


def refusal(data: bytes) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        decode_photo(data)
    return caught.value


def difference(data: bytes, expected: Pixels) -> float:
    """Mean difference of the rows that are there."""
    pixels = decode_photo(data)
    assert pixels.shape[1:] == expected.shape[1:]
    return float(np.abs(pixels.astype(int) - expected[: len(pixels)]).mean())


def test_a_heic_is_decoded_and_shows_its_face(astronaut: Pixels) -> None:
    data = encode(astronaut, "HEIC", quality=90)
    assert difference(data, astronaut) < 4
    assert crop_face(decode_photo(data)).pixels.shape == (256, 256, 3)


def test_a_heic_of_ten_bits(astronaut: Pixels) -> None:
    deep = astronaut.astype(np.uint16) * 257
    data = encode_deep("RGB;16", deep)
    assert difference(data, astronaut) < 4


def test_a_grey_heic_of_ten_bits(astronaut: Pixels) -> None:
    grey = np.asarray(Image.fromarray(astronaut).convert("L"))
    data = encode_deep("L;16", grey.astype(np.uint16) * 257)
    assert difference(data, np.dstack([grey] * 3)) < 4


def test_a_clear_heic_is_white(astronaut: Pixels) -> None:
    clear = np.dstack([astronaut, np.zeros_like(astronaut[..., 0])])
    assert (decode_photo(encode(clear, "HEIC")) > 250).all()


@pytest.mark.parametrize("primary", [0, 1, 2])
def test_of_a_burst_the_primary_picture_is_taken(astronaut: Pixels, primary: int) -> None:
    pictures = [astronaut if index == primary else np.full((64, 64, 3), 90, np.uint8) for index in range(3)]
    burst = pillow_heif.HeifFile()
    for picture in pictures:
        burst.add_frombytes("RGB", (picture.shape[1], picture.shape[0]), picture.tobytes())
    assert difference(saved(burst, primary_index=primary), astronaut) < 6


def test_a_thumbnail_is_not_taken_for_the_picture(astronaut: Pixels) -> None:
    heic = pillow_heif.from_pillow(Image.fromarray(astronaut))
    heic.info["thumbnails"] = [128]
    assert difference(saved(heic), astronaut) < 6


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"])
def test_a_heic_goes_by_many_brands(astronaut: Pixels, brand: bytes) -> None:
    data = encode(astronaut, "HEIC", quality=90)
    assert difference(data[:8] + brand + data[12:], astronaut) < 4


@pytest.mark.parametrize("brand", [b"avif", b"mif1"])
def test_an_avif_goes_by_many_brands(astronaut: Pixels, brand: bytes) -> None:
    data = encode(astronaut, "AVIF", quality=90)
    assert difference(data[:8] + brand + data[12:], astronaut) < 4


def test_without_the_extra_a_heic_is_refused_by_its_name(astronaut: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heif, "pi_heif", None)
    error = refusal(encode(astronaut, "HEIC"))
    assert error.reason == "unsupported_format"
    assert str(error) == "This is a HEIC file, which is not read here. Save it as JPEG, PNG, WebP or AVIF."


def test_a_heic_of_too_many_pixels_is_refused_by_its_header(astronaut: Pixels) -> None:
    data = bytearray(encode(astronaut, "HEIC"))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", 20_000, 20_000)
    assert refusal(bytes(data)).reason == "too_large"


def test_a_webp_of_too_many_pixels_is_refused_by_its_header() -> None:
    size = (16_000).to_bytes(3, "little") * 2
    chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4) + size
    assert refusal(b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk).reason == "too_large"


def test_metadata_of_a_heic_is_not_looked_at(astronaut: Pixels) -> None:
    """pi_heif 1.4 ends the process where the kind of an item is not UTF-8."""
    data = bytearray(encode(astronaut, "HEIC", quality=90, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"))
    at = data.index(b"Exif\0")
    data[at : at + 4] = b"\xff" * 4
    assert difference(bytes(data), astronaut) < 4


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"GIF89a", "GIF"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"BM", "BMP"),
        (b"%PDF-1.7", "PDF"),
        (b"8BPS", "Photoshop"),
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0crx isom", "CR3"),
    ],
)
def test_other_formats_are_refused_by_name(start: bytes, name: str) -> None:
    error = refusal(start + bytes(200))
    assert (error.reason, str(error)) == ("unsupported_format", f"This is a {name} file. {SAVE_AS}")


def test_a_live_photo_s_film_is_refused_as_a_video() -> None:
    assert str(refusal(b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(200))).startswith("This is a video.")


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (30, 3000)])
def test_strips_are_refused_and_not_passed_on_to_opencv(size: tuple[int, int]) -> None:
    error = refusal(encode(Image.new("RGB", size), "PNG"))
    assert error.reason == "too_small"
    assert f"{size[0]} x {size[1]}" in str(error)


@pytest.mark.parametrize(
    "error",
    [struct.error(), TypeError(), cv2.error(), RecursionError(), OverflowError(), SystemError(), KeyError(), OSError()],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_library_raises_is_the_photo_s_refusal(error: Exception) -> None:
    with pytest.raises(PhotoError) as caught, refuse_what_fails():
        raise error
    assert caught.value.reason == "not_an_image"
    assert caught.value.__cause__ is error


def test_where_a_library_failed_can_be_found_and_nothing_of_the_photo(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"), pytest.raises(PhotoError), refuse_what_fails():
        raise KeyError("a photo's text")
    [record] = caplog.records
    assert f"KeyError in {__file__}:" in record.message
    assert record.exc_info is None
    assert "text" not in record.message


def test_too_little_memory_asks_for_a_smaller_photo() -> None:
    with pytest.raises(PhotoError) as caught, refuse_what_fails():
        raise MemoryError
    assert str(caught.value) == "The picture takes too much memory to read. Use a smaller one."


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("missing", [1, 2, 12, 100])
def test_a_file_without_its_last_bytes_is_drawn(astronaut: Pixels, kind: str, missing: int) -> None:
    data = encode(astronaut, kind, quality=90)[:-missing]
    assert difference(data, astronaut) < 4
    assert len(decode_photo(data)) >= 460


def test_an_avif_without_its_last_bytes_is_drawn_where_its_decoder_allows(astronaut: Pixels) -> None:
    """Whether it takes the zeros that stand in for them hangs on where they fall."""
    data = encode(astronaut, "AVIF", quality=90)
    drawn = 0
    for missing in range(1, 200, 20):
        with suppress(PhotoError):
            assert difference(data[:-missing], astronaut) < 4
            drawn += 1
    assert drawn > 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIC"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.7])
def test_a_file_of_which_too_little_is_there_is_refused(astronaut: Pixels, kind: str, share: float) -> None:
    data = encode(astronaut, kind, quality=90)
    error = refusal(data[: int(len(data) * share)])
    assert (error.reason, str(error)) == ("not_an_image", "The picture is damaged or cut off. Save or send it again.")


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_the_rows_that_are_lacking_are_no_part_of_the_picture(astronaut: Pixels, mode: str) -> None:
    """Nine tenths of the rows are enough; the grey that a decoder fills in would be taken for a backdrop."""
    picture = Image.fromarray(astronaut).convert(mode)
    whole = encode(picture, quality=90)
    pixels = decode_photo(whole[: int(len(whole) * 0.95)])
    assert 461 <= len(pixels) < 512
    assert np.abs(pixels.astype(int) - decode_photo(whole)[: len(pixels)])[:-16].max() == 0


def test_a_progressive_jpeg_is_whole_from_its_first_scans_on(astronaut: Pixels) -> None:
    data = encode(astronaut, progressive=True, quality=90)
    assert difference(data[: len(data) * 6 // 10], astronaut) < 8


def test_an_interlaced_png_is_whole_or_refused(astronaut: Pixels) -> None:
    """What Pillow does not write, it reads: each pass of Adam7 is a picture of its own."""
    data = interlaced(astronaut[:64, :64])
    assert difference(data, astronaut[:64, :64]) == 0
    assert refusal(data[:-200]).reason == "not_an_image"


def test_grey_at_the_bottom_of_a_whole_picture_stays(astronaut: Pixels) -> None:
    grey = astronaut.copy()
    grey[300:] = 128
    assert decode_photo(encode(grey, quality=95)).shape == astronaut.shape


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"iCCP", b"pHYs", b"gAMA", b"prVt"])
def test_a_png_with_one_spoilt_chunk_is_drawn(astronaut: Pixels, kind: bytes) -> None:
    data = bytearray(with_chunk(encode(astronaut, "PNG"), kind, b"Comment\0something that was said"))
    data[data.index(kind) + 12] ^= 1
    assert difference(bytes(data), astronaut) == 0


def test_a_png_with_a_text_that_would_fill_the_memory_is_drawn_without_it(astronaut: Pixels) -> None:
    bomb = b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9)
    assert difference(with_chunk(encode(astronaut, "PNG"), b"zTXt", bomb), astronaut) == 0


def test_a_spoilt_header_or_palette_is_no_picture(astronaut: Pixels) -> None:
    palette = bytearray(encode(Image.fromarray(astronaut).quantize(16), "PNG"))
    for kind in (b"IHDR", b"PLTE"):
        data = palette.copy()
        data[data.index(kind) + 5] ^= 1
        assert refusal(bytes(data)).reason == "not_an_image"


def test_odd_segments_of_a_jpeg_do_no_harm(astronaut: Pixels) -> None:
    data = encode(astronaut, quality=90)
    odd = [
        b"Exif\0\0",
        b"MPF\0garbage",
        b"FPXR\0",
        b"ICC_PROFILE\0",
        b"http://ns.adobe.com/xap/1.0/\0<",
        b"Adobe",
        b"JFIF\0",
    ]
    for marker in range(0xE0, 0xF0):
        for body in (b"", *odd):
            segment = bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body
            assert difference(data[:2] + segment + data[2:], astronaut) < 4, (hex(marker), body)


def test_an_animation_is_still_refused(astronaut: Pixels) -> None:
    other = Image.fromarray(astronaut[::-1].copy())
    for kind in ("WEBP", "PNG", "AVIF"):
        assert refusal(encode(astronaut, kind, save_all=True, append_images=[other])).reason == "animated"


def encode_deep(mode: str, pixels: NDArray[np.uint16]) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.encode(mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes(), buffer, quality=90)
    return buffer.getvalue()


def saved(heic: pillow_heif.HeifFile, **options: int) -> bytes:
    buffer = io.BytesIO()
    heic.save(buffer, quality=90, **options)
    return buffer.getvalue()


def interlaced(pixels: Pixels) -> bytes:
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    lines = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in passes for row in pixels[y::dy, x::dx])
    height, width = pixels.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    body = png_chunk(b"IHDR", head) + png_chunk(b"IDAT", zlib.compress(lines)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
