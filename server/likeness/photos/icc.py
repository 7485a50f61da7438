"""RGB profiles of a curve for each channel and a matrix, which phones and cameras write, through tables: LittleCMS
takes three times as long for the same values.

Source: ICC.1:2022, sections 10.6 and 10.18 (the two kinds of curves) and annex F (the model).
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.photos.cicp import srgb_values

Floats = NDArray[np.float64]
_COLORANTS: Final = (b"rXYZ", b"gXYZ", b"bXYZ")
_CURVES: Final = (b"rTRC", b"gTRC", b"bTRC")
# Columns are sRGB's red, green and blue as XYZ under D50, as profiles give them.
_SRGB: Final = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
# Those of common profiles are under twenty.
MAX_TAGS: Final = 100
# What stays in a processor's cache between the steps.
BAND_ROWS: Final = 32


class MatrixProfile(NamedTuple):
    """Linear light of the 256 values, uint16 [256, 1, 3] up to 65,535, and the matrix from there to linear sRGB."""

    light: NDArray[np.uint16]
    matrix: Floats

    def to_srgb(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Convert uint8 [H, W, 3]."""
        converted = np.empty_like(pixels)
        for top in range(0, len(pixels), BAND_ROWS):
            light = cv2.LUT(pixels[top : top + BAND_ROWS], self.light)
            converted[top : top + BAND_ROWS] = cv2.LUT(cv2.transform(light, self.matrix), srgb_values())
        return converted


def read_matrix_profile(profile: bytes) -> MatrixProfile | None:
    """None for a profile of another kind, and for one that is broken."""
    if profile[16:24] != b"RGB XYZ " or profile[36:40] != b"acsp":
        return None
    try:
        places = _places(profile)
        if any(tag.startswith((b"A2B", b"D2B")) for tag in places):  # these count before matrix and curves
            return None
        curves = np.stack([_curve(profile, places[name]) for name in _CURVES], axis=-1)
        colorants = np.array([struct.unpack_from(">3i", profile, places[name] + 8) for name in _COLORANTS]).T / 65_536
    except (KeyError, ValueError, struct.error):
        return None
    if not np.isfinite(curves).all():
        return None
    light = (curves.clip(0, 1) * 65_535 + 0.5).astype(np.uint16)
    return MatrixProfile(light[:, None], np.linalg.inv(_SRGB) @ colorants)


def _places(profile: bytes) -> dict[bytes, int]:
    """Where each tag's content begins; raises ValueError and struct.error."""
    [count] = struct.unpack_from(">I", profile, 128)
    if count > MAX_TAGS:
        raise ValueError(f"{count} tags")
    entries = (struct.unpack_from(">4sI", profile, 132 + 12 * index) for index in range(count))
    return dict(entries)


def _curve(profile: bytes, at: int) -> Floats:
    """Linear light, 0..1, of the 256 values; raises ValueError for a kind that is not known here, and struct.error."""
    values = np.linspace(0, 1, 256)
    kind, count, function = *struct.unpack_from(">4s4xI", profile, at), *struct.unpack_from(">H", profile, at + 8)
    if kind == b"curv" and count > 1:
        table = np.frombuffer(profile, ">u2", count, at + 12)
        return np.asarray(np.interp(values, np.linspace(0, 1, count), table / 65_535))
    if kind == b"curv":
        [gamma] = struct.unpack_from(">H", profile, at + 12) if count else [256]
        return np.asarray(values ** (gamma / 256))
    if kind == b"para" and function == 0:
        [gamma] = struct.unpack_from(">i", profile, at + 12)
        return np.asarray(values ** (gamma / 65_536))
    if kind == b"para" and function == 3:
        gamma, a, b, c, d = (value / 65_536 for value in struct.unpack_from(">5i", profile, at + 12))
        return np.asarray(np.where(values >= d, np.maximum(a * values + b, 0) ** gamma, c * values))
    raise ValueError(f"a curve of kind {kind!r}")
