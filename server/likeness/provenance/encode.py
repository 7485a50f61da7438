"""Encoding avatars with the IPTC mark in XMP: the mark that every program reads which reads a photo's metadata."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

WEBP: Final = "image/webp"
PNG: Final = "image/png"
# IPTC NewsCodes, Digital Source Type: the values that C2PA and the IPTC photo metadata standard (2025.1) share.
_CODES: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
DIGITAL_SOURCE_TYPE: Final = f"{_CODES}trainedAlgorithmicMedia"
COMPOSITE_SOURCE_TYPE: Final = f"{_CODES}compositeWithTrainedAlgorithmicMedia"
_XMP: Final = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Likeness"
 Iptc4xmpExt:DigitalSourceType="{source}"/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""
QUALITY: Final = 92


def encode(pixels: NDArray[np.uint8], media_type: str, source: str = DIGITAL_SOURCE_TYPE) -> bytes:
    """Encode uint8 HxWx3 RGB as WebP or PNG that carries the mark, not signed."""
    return encode_png(pixels, source) if media_type == PNG else encode_webp(pixels, source)


def encode_png(pixels: NDArray[np.uint8], source: str = DIGITAL_SOURCE_TYPE) -> bytes:
    """Encode uint8 HxWx3 RGB as a PNG that carries the mark."""
    about = PngImagePlugin.PngInfo()
    about.add_itxt("XML:com.adobe.xmp", _XMP.format(source=source))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=about)
    return buffer.getvalue()


def encode_webp(pixels: NDArray[np.uint8], source: str = DIGITAL_SOURCE_TYPE) -> bytes:
    """Encode uint8 HxWx3 RGB as a WebP that carries the mark."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=QUALITY, method=4, xmp=_XMP.format(source=source).encode())
    return buffer.getvalue()
