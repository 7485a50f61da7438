"""Colours by code points (ITU-T H.273), as AVIF, HEIC and PNG carry them: wide ones and HDR to sRGB."""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

LINEAR: Final = 8
PQ: Final = 16
HLG: Final = 18
# ITU-R BT.2408: what white paper has in HDR, and the peak that programmes are made for.
WHITE_NITS: Final = 203
PEAK_NITS: Final = 1000
# The root of light over white, up to 10,000 nits, in steps that no eye sees.
MAX_ROOT: Final = 7.1
TONE_STEPS: Final = 8192
# The light of a whole picture of 64 megapixels would take gigabytes.
BAND_ROWS: Final = 64
# Chromaticities x, y of red, green and blue by code point; the white of all is D65.
_D65: Final = (0.3127, 0.3290)
_PRIMARIES: Final = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),  # BT.709, which is sRGB's
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}

Floats = NDArray[np.float32]


class Cicp(NamedTuple):
    """Code points of the primaries and of the transfer characteristics."""

    primaries: int
    transfer: int

    @property
    def is_hdr(self) -> bool:
        """Whether values stand for light up to thousands of nits."""
        return self.transfer in (PQ, HLG)

    @property
    def is_srgb(self) -> bool:
        """Whether values can be taken as they are; unknown codes count as sRGB, as do the other codes of SDR video."""
        return self.primaries not in (9, 12) and self.transfer not in (LINEAR, PQ, HLG)


def to_srgb(pixels: NDArray[np.uint8], cicp: Cicp) -> NDArray[np.uint8]:
    """Convert uint8 [H, W, 3]; HDR is mapped to what an ordinary screen shows."""
    converted = np.empty_like(pixels)
    for top in range(0, len(pixels), BAND_ROWS):
        converted[top : top + BAND_ROWS] = _band_to_srgb(pixels[top : top + BAND_ROWS], cicp)
    return converted


def _band_to_srgb(pixels: NDArray[np.uint8], cicp: Cicp) -> NDArray[np.uint8]:
    to_xyz = _to_xyz(cicp.primaries if cicp.primaries in _PRIMARIES else 1)
    light = _linear_values(cicp.transfer)[pixels]
    if cicp.transfer == HLG:
        light *= _hlg_system_gain(light @ to_xyz[1])
    if cicp.is_hdr:
        light *= _tone_gain(np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2]))[..., None]
    light = light @ (np.linalg.inv(_to_xyz(1)) @ to_xyz).T.astype(np.float32)
    return _encode(light)


def _linear_values(transfer: int) -> Floats:
    """Linear light of the 256 code values; 1 is the white of an ordinary picture, for HLG the scene's peak."""
    values = np.linspace(0, 1, 256)
    if transfer == PQ:
        values = _pq_nits(values) / WHITE_NITS
    elif transfer == HLG:
        values = _hlg_scene(values)
    elif transfer != LINEAR:
        values = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return values.astype(np.float32)


def _pq_nits(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The EOTF of ITU-R BT.2100, table 4."""
    root = values ** (32 / 2523)
    return 10_000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (8192 / 1305)


def _pq_values(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `_pq_nits`."""
    root = (nits / 10_000) ** (1305 / 8192)
    return ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** (2523 / 32)


def _hlg_scene(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse OETF of ITU-R BT.2100, table 5."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)


def _hlg_system_gain(luminance: Floats) -> Floats:
    """The OOTF of ITU-R BT.2100, table 5, for a screen of 1,000 nits; [H, W, 1], over SDR's white."""
    return (PEAK_NITS / WHITE_NITS * np.maximum(luminance, 1e-6) ** 0.2)[..., None].astype(np.float32)


def _tone_gain(light: Floats) -> Floats:
    """By what light of [H, W], the greatest of the three channels, is to be multiplied, so that hues stay."""
    return _tone_curve()[(np.sqrt(light) * ((TONE_STEPS - 1) / MAX_ROOT)).astype(np.uint16)]


@cache
def _tone_curve() -> Floats:
    """The EETF of ITU-R BT.2390, section 5.4.1, from a peak of 1,000 nits to SDR's white, in steps of the light's root.

    In PQ values relative to the peak: below the knee nothing changes, and a Hermite spline leads from there to white.
    """
    light = np.linspace(1e-3, MAX_ROOT, TONE_STEPS) ** 2
    peak = _pq_values(np.array(float(PEAK_NITS)))
    white = _pq_values(np.array(float(WHITE_NITS))) / peak
    values = np.minimum(_pq_values(light * WHITE_NITS) / peak, 1)
    knee = 1.5 * white - 0.5
    t = np.maximum(values - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    mapped = np.where(values < knee, values, spline)
    return np.where(values < knee, 1, _pq_nits(mapped * peak) / WHITE_NITS / light).astype(np.float32)


@cache
def _to_xyz(primaries: int) -> NDArray[np.float64]:
    """The matrix from linear RGB to XYZ, with white at Y = 1."""
    corners = np.array([(x / y, 1, (1 - x - y) / y) for x, y in _PRIMARIES[primaries]]).T
    x, y = _D65
    white = np.array((x / y, 1, (1 - x - y) / y))
    return np.asarray(corners * np.linalg.solve(corners, white))


def _encode(light: Floats) -> NDArray[np.uint8]:
    """Linear light to sRGB's values, in steps of a 20th of one."""
    return srgb_values()[(light.clip(0, 1) * 65_535 + 0.5).astype(np.uint16)]


@cache
def srgb_values() -> NDArray[np.uint8]:
    """The values of linear light in 65,536 steps."""
    light = np.linspace(0, 1, 65_536)
    values = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (values * 255 + 0.5).astype(np.uint8)
