"""Marking every avatar as made by a model, in a form that machines read (EU AI Act, Article 50)."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

# IPTC NewsCodes, Digital Source Type: the value that C2PA and the IPTC photo metadata standard (2025.1) share.
DIGITAL_SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_XMP: Final = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Likeness"
 Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>""".encode()
QUALITY: Final = 92


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode uint8 HxWx3 RGB as a PNG that carries the mark."""
    about = PngImagePlugin.PngInfo()
    about.add_itxt("XML:com.adobe.xmp", _XMP.decode())
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=about)
    return buffer.getvalue()


def encode_webp(pixels: NDArray[np.uint8]) -> bytes:
    """Encode uint8 HxWx3 RGB as a WebP that carries the mark."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=QUALITY, method=4, xmp=_XMP)
    return buffer.getvalue()
