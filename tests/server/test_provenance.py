"""Every avatar says, in a form machines read, that a model made it."""

from __future__ import annotations

import io
from xml.etree import ElementTree as ET

import numpy as np
from PIL import Image

from likeness.provenance import DIGITAL_SOURCE_TYPE, encode_webp

EXT = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


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
