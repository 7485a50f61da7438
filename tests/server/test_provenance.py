"""Every avatar says, in forms machines read, that a model made it; and what was changed since says so too."""

from __future__ import annotations

import http.server
import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import c2pa
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from likeness import __version__
from likeness.provenance import (
    AVIF,
    DIGITAL_SOURCE_TYPE,
    JPEG,
    MEDIA_TYPES,
    PNG,
    WEBP,
    Marker,
    encode_avif,
    encode_jpeg,
    encode_png,
    encode_webp,
    read_provenance,
)
from likeness.provenance.credential import read_credential
from tests.certificates import Authority

EXT = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
ENCODERS: dict[str, Callable[..., bytes]] = {WEBP: encode_webp, PNG: encode_png, JPEG: encode_jpeg, AVIF: encode_avif}
every = pytest.mark.parametrize("media_type", MEDIA_TYPES)


def manifests(picture: bytes) -> dict[str, Any]:
    with c2pa.Context.from_dict({"verify": {"remote_manifest_fetch": False}}) as context:
        return dict(json.loads(c2pa.Reader(None, io.BytesIO(picture), context=context).json()))


def test_webp_carries_the_iptc_mark_and_the_pixels() -> None:
    pixels = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[:, None, None], (1, 64, 3))
    picture = Image.open(io.BytesIO(encode_webp(pixels)))
    packet = ET.fromstring(picture.info["xmp"].decode().split("?>", 1)[1].rsplit("<?xpacket", 1)[0])
    marks = [node.get(EXT) for node in packet.iter() if node.get(EXT)]
    assert marks == [DIGITAL_SOURCE_TYPE]
    assert DIGITAL_SOURCE_TYPE.endswith("/trainedAlgorithmicMedia")
    assert np.abs(np.asarray(picture.convert("RGB")).astype(int) - pixels).mean() < 3


def test_the_mark_is_valid_to_pillow() -> None:
    picture = Image.open(io.BytesIO(encode_webp(np.zeros((32, 32, 3), np.uint8))))
    assert picture.format == "WEBP"
    assert picture.size == (32, 32)


@every
def test_a_manifest_says_that_a_model_made_it_and_nothing_else(
    marker: Marker, pixels: NDArray[np.uint8], media_type: str
) -> None:
    signed, plain = marker.mark(pixels, media_type), ENCODERS[media_type](pixels)
    store = manifests(signed)
    assert store["validation_state"] == "Valid"
    assert [status["code"] for status in store["validation_status"]] == ["signingCredential.untrusted"]
    [manifest] = store["manifests"].values()
    assert manifest["claim_version"] == 2
    assert set(manifest) == {
        "claim_generator_info", "instance_id", "assertions", "signature_info", "label", "claim_version"
    }  # fmt: skip
    [generator] = manifest["claim_generator_info"]
    assert (generator["name"], generator["version"]) == ("Likeness", __version__)
    # In AVIF, C2PA shows the hash of the file's boxes among the assertions.
    [assertion] = [each for each in manifest["assertions"] if not each["label"].startswith("c2pa.hash.bmff")]
    [action] = assertion["data"]["actions"]
    assert set(action) == {"action", "when", "digitalSourceType"}
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", DIGITAL_SOURCE_TYPE)
    assert len(signed) - len(plain) < 4_000
    decoded = [np.asarray(Image.open(io.BytesIO(each)).convert("RGB")) for each in (signed, plain)]
    assert np.array_equal(*decoded)


@every
def test_what_is_read_back(marker: Marker, pixels: NDArray[np.uint8], media_type: str) -> None:
    found = read_provenance(marker.mark(pixels, media_type))
    assert (found.by_model, found.signature, found.reasons, found.parents) == (True, "untrusted", [], [])
    assert found.xmp == DIGITAL_SOURCE_TYPE
    assert found.holds
    assert found.origin is not None
    assert found.origin.development
    assert found.origin.program == f"Likeness {__version__}"


@every
@pytest.mark.parametrize("actions", [["c2pa.resized"], ["c2pa.transcoded"], ["c2pa.resized", "c2pa.transcoded"]])
def test_a_variant_names_its_parent(
    marker: Marker, pixels: NDArray[np.uint8], media_type: str, actions: list[str]
) -> None:
    parent, small = marker.mark(pixels), pixels[::4, ::4]
    variant = marker.derive(parent, small, media_type, *actions)
    found = read_provenance(variant)
    assert (found.by_model, found.signature, found.xmp) == (True, "untrusted", DIGITAL_SOURCE_TYPE)
    assert found.origin is not None
    assert found.origin.actions == ["c2pa.opened", *actions]
    assert found.parents == [read_provenance(parent).origin]
    assert len(variant) - len(ENCODERS[media_type](small)) < 20_000
    assert b"thumbnail" not in variant


@every
def test_a_changed_pixel_breaks_the_mark(marker: Marker, pixels: NDArray[np.uint8], media_type: str) -> None:
    signed = bytearray(marker.mark(pixels, media_type))
    signed[9_000] ^= 1  # amid the pixels
    hashed = "bmffHash" if media_type == AVIF else "dataHash"
    found = read_provenance(bytes(signed))
    assert (found.signature, found.reasons) == ("broken", [f"assertion.{hashed}.mismatch"])
    assert not found.holds


def test_pixels_under_anothers_manifest_break_it(marker: Marker, pixels: NDArray[np.uint8]) -> None:
    signed, other = marker.mark(pixels), encode_webp(pixels[::-1])
    chunk = signed[signed.index(b"C2PA") :]
    body = other[8:] + chunk
    found = read_provenance(b"RIFF" + len(body).to_bytes(4, "little") + body)
    assert found.signature == "broken"


def test_a_picture_saved_anew_carries_nothing(marker: Marker, pixels: NDArray[np.uint8]) -> None:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(marker.mark(pixels))).save(buffer, "PNG")
    found = read_provenance(buffer.getvalue())
    assert (found.by_model, found.signature, found.origin, found.xmp) == (None, "none", None, None)
    assert not found.holds


def test_the_iptc_mark_alone_is_a_mark(pixels: NDArray[np.uint8]) -> None:
    found = read_provenance(encode_png(pixels))
    assert (found.by_model, found.signature, found.holds) == (True, "none", True)


@pytest.mark.parametrize("data", [b"", b"hello", b"GIF89a" + bytes(50), b"RIFF\xff\xff\xff\xffWEBP"])
def test_what_is_no_picture_carries_no_mark_that_holds(data: bytes) -> None:
    found = read_provenance(data)
    assert (found.by_model, found.origin, found.holds) == (None, None, False)


def test_a_cut_picture_is_broken(marker: Marker, pixels: NDArray[np.uint8]) -> None:
    signed = marker.mark(pixels)
    for end in (-1, -1000, len(signed) // 2):
        assert read_provenance(signed[:end]).signature == "broken"


def test_many_threads_sign_at_once(marker: Marker, pixels: NDArray[np.uint8]) -> None:
    with ThreadPoolExecutor(8) as threads:
        signed = list(threads.map(lambda _: marker.mark(pixels), range(40)))
    assert all(read_provenance(each).holds for each in signed)


class Counting(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        Counting.asked += 1
        self.send_error(404)


def test_nothing_is_fetched_that_a_picture_points_to(pixels: NDArray[np.uint8], tmp_path: Path) -> None:
    credential = read_credential(*Authority().issue(tmp_path))
    info = c2pa.C2paSignerInfo(credential.algorithm, credential.chain, credential.key, None)
    with http.server.HTTPServer(("127.0.0.1", 0), Counting) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            with c2pa.Signer.from_info(info) as signer, c2pa.Builder({"assertions": []}) as builder:
                builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.TRAINED_ALGORITHMIC_MEDIA)
                builder.set_no_embed()
                builder.set_remote_url(f"http://127.0.0.1:{server.server_port}/manifest.c2pa")
                remote = io.BytesIO()
                builder.sign(signer, PNG, io.BytesIO(encode_png(pixels)), remote)
            assert b"manifest.c2pa" in remote.getvalue()
            assert read_provenance(remote.getvalue()).origin is None
        finally:
            server.shutdown()
    assert Counting.asked == 0


@pytest.mark.parametrize("module", ["likeness.cli.main", "likeness.intake.child", "likeness.provenance"])
def test_the_library_is_loaded_only_where_pictures_are_signed_or_read(module: str) -> None:
    check = f"import sys, {module}; sys.exit('c2pa' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
