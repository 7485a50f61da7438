"""Five teachers: each draws a cut-out portrait in one style, the way the miniature shall learn to.

Every teacher takes the crop (float32 [256, 256, 3] RGB in 0..1), the person's soft mask (float32 [256, 256]) and a
look, and returns float32 [256, 256, 3] in 0..1. They are deterministic, and every periodic texture repeats every 8
pixels or a multiple: a latent cell covers 8 x 8 pixels, so each cell sees the same phase and a small network can
learn the pattern.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from miniature.vocabulary import COLOURS, LookWords

Image = NDArray[np.float32]
SIDE = 256
YY, XX = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
CENTRE_X, CENTRE_Y = 128.0, 118.0
RADIUS = np.hypot(XX - CENTRE_X, YY - CENTRE_Y)


def draw(rgb: Image, mask: Image, look: LookWords) -> Image:
    """Draw one portrait in the look's style."""
    clean = spread_person(rgb, mask)
    return np.clip(TEACHERS[look.style](clean, mask, look), 0, 1).astype(np.float32)


def comic(rgb: Image, mask: Image, look: LookWords) -> Image:
    """Flat bands of saturated colour, halftone shadows, ink lines, a white-rimmed silhouette on a printed backdrop."""
    bold = look.touch == "bold"
    flat = _even_light(_bilateral(rgb, 4), mask)
    lab = cv2.cvtColor(flat, cv2.COLOR_RGB2LAB)
    light = lab[..., 0] / 100
    lab[..., 0] = 100 * (0.82 * _bands(light, 5) + 0.18 * light)
    lab[..., 1:] *= 1.5
    person = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)
    shadow = np.clip((0.56 - light) / 0.5, 0, 0.85)
    person *= 1 - 0.4 * _halftone(shadow)[..., None]
    person *= _ink(flat, sigma=1.5 if bold else 1.05, threshold=0.016 if bold else 0.02)[..., None]
    backdrop = _comic_backdrop(look)
    rim, line = _outline(mask, 9.0 if bold else 7.0), _outline(mask, 4.0 if bold else 2.6)
    picture = _over(backdrop, np.ones(3, np.float32), rim)
    return _over(_over(picture, person, mask), np.full(3, 0.04, np.float32), line)


def sketch(rgb: Image, mask: Image, look: LookWords) -> Image:
    """One ink on toned paper: contour lines, and strokes that thicken with darkness."""
    dark, lines = shade(rgb, mask)
    patch = 0.34 * np.clip(1.15 - np.hypot((XX - 60) / 74, (YY - 120) / 104), 0, 1)
    dark = np.maximum(dark, patch * (1 - mask)) * _vignette(0.93, 9)
    amount = np.clip(np.maximum(strokes(dark, look.kind), lines * _vignette(0.97, 9)), 0, 1)
    amount = np.maximum(amount, 0.75 * _outline(mask, 1.4) * _vignette(0.95, 9))
    return print_ink(amount, look)


def neon(rgb: Image, mask: Image, look: LookWords) -> Image:
    """Light mapped from near black over two glowing colours to white, a burning silhouette, scan lines."""
    a, b = _vivid(_colour(look.a)), _vivid(_colour(look.b))
    flat = _even_light(_bilateral(rgb, 3), mask)
    light = cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY)
    night = 0.10 * a + np.float32([0.02, 0.01, 0.05])
    stops = np.stack([night, _at_light(a, 0.3), _at_light(0.3 * a + 0.7 * b, 0.62), 0.35 * b + 0.65]).astype(np.float32)
    person = _gradient(np.clip(light, 0, 1) ** 1.2, stops)
    line = _outline(mask, 2.2)
    glow = 1.1 * line + 1.5 * cv2.GaussianBlur(line, (0, 0), 7) + 0.5 * cv2.GaussianBlur(line, (0, 0), 18)
    picture = _over(_neon_backdrop(look.kind, night, a, b), person, mask)
    picture = picture + glow[..., None] * b * 0.85 + (line**2)[..., None] * 0.35
    scan = 1 - 0.16 * ((YY % 4) < 1.5)
    return np.clip(picture, 0, 1) * scan[..., None]


def watercolour(rgb: Image, mask: Image, look: LookWords) -> Image:
    """Small patches of thin paint with darker edges, on a two-colour wash with an uneven white margin."""
    deep = look.kind == "deep"
    flat = _even_light(rgb, mask)
    patches = _features(_kuwahara(_kuwahara(flat, 3), 2), flat, 0.55, ink=0.45)
    lab = cv2.cvtColor(patches, cv2.COLOR_RGB2LAB)
    light = lab[..., 0] / 100
    banded = 0.6 * _bands(light, 6) + 0.4 * light
    lab[..., 0] = 100 * (1 - (1 - banded) * (0.98 if deep else 0.76))
    lab[..., 1:] *= 1.45 if deep else 1.1
    person = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)
    edge = np.abs(cv2.Laplacian(cv2.GaussianBlur(banded, (0, 0), 1.4), cv2.CV_32F))
    person = person * (1 - np.clip(edge * 3.2, 0, 0.35))[..., None]
    wash = _wash(_colour(look.a), _colour(look.b), 0.95 if deep else 0.62)
    pool = 1 - 0.22 * _outline(1 - mask, 5)[..., None] * (1 - mask)[..., None]
    picture = _over(wash * pool, person, mask)
    paper = np.float32([0.985, 0.975, 0.95])
    margin = _vignette(0.96, 12)
    dried = np.clip(1 - np.abs(margin - 0.5) * 2.6, 0, 1) * 0.14
    return _over(np.broadcast_to(paper, picture.shape), picture * (1 - dried)[..., None], margin)


def oil(rgb: Image, mask: Image, look: LookWords) -> Image:
    """Facets of thick paint under a directed light, before a dark two-colour backdrop with visible strokes."""
    warm = look.kind == "warm"
    flat = _even_light(rgb, mask)
    paint = _kuwahara(_kuwahara(_kuwahara(flat, 3), 3), 2)
    paint = _features(np.clip(0.5 + (paint - 0.5) * 1.15, 0, 1), flat, 0.5, ink=0.2)
    across = (XX - 128) / 128
    lit = np.clip(1.04 - 0.34 * (across if warm else -across) - 0.12 * (YY / SIDE), 0.5, 1.3)
    tint = np.float32([1.08, 0.97, 0.80] if warm else [0.90, 0.99, 1.12])
    person = paint * lit[..., None] * tint
    spot = np.clip(1 - np.hypot(XX - (78 if warm else 178), YY - 88) / 190, 0, 1) ** 1.3
    a, b = _colour(look.a), _colour(look.b)
    backdrop = _gradient(np.clip(spot + 0.16 * STROKES, 0, 1), np.stack([0.22 * b, 0.55 * b, 0.72 * a]))
    picture = _over(backdrop, person, mask)
    luminance = cv2.GaussianBlur(picture.mean(axis=2), (0, 0), 0.9) + 0.06 * STROKES * (0.55 + 0.45 * (1 - mask))
    relief = cv2.filter2D(luminance, -1, np.float32([[-1, -1, 0], [-1, 0, 1], [0, 1, 1]]))
    vignette = 1 - 0.3 * np.clip(RADIUS / 180, 0, 1) ** 2
    return (picture + 0.33 * relief[..., None]) * vignette[..., None]


TEACHERS: dict[str, Callable[[Image, Image, LookWords], Image]] = {
    "comic": comic,
    "sketch": sketch,
    "neon": neon,
    "watercolour": watercolour,
    "oil": oil,
}


def shade(rgb: Image, mask: Image) -> tuple[Image, Image]:
    """How dark an ink drawing makes each place of the person, and its contour lines, both 0..1."""
    flat = _even_light(_bilateral(rgb, 2), mask)
    light = cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY)
    dodge = np.clip(light / (cv2.GaussianBlur(light, (0, 0), 9) + 0.02), 0, 1)
    dark = np.clip(1 - (0.55 * light + 0.45 * dodge) * 1.12, 0, 1) * mask
    return dark, (1 - _ink(flat, sigma=1.0, threshold=0.014)) * mask


def print_ink(amount: Image, look: LookWords) -> Image:
    """Print the look's ink on its toned paper, where `amount` is 0..1."""
    paper = 0.62 * _colour(look.b) + 0.38 * np.float32([0.97, 0.95, 0.91])
    return _over(np.broadcast_to(paper, (SIDE, SIDE, 3)), _colour(look.a) * 0.8, amount * 0.96)


def _colour(name: str) -> Image:
    return np.float32(COLOURS[name]) / 255


def _vivid(colour: Image) -> Image:
    """Lift dark colours so that they can glow."""
    return np.clip(colour * (0.95 / max(float(colour.max()), 0.3)), 0, 1).astype(np.float32)


def _at_light(colour: Image, light: float) -> Image:
    """Darken towards black or lighten towards white until the colour has this luminance: a gradient map must not
    fold.
    """
    own = float(colour @ np.float32([0.299, 0.587, 0.114]))
    if own > light:
        return colour * (light / own)
    return colour + (1 - colour) * ((light - own) / (1 - own))


def _over(below: Image, above: Image, alpha: Image) -> Image:
    return below + (above - below) * alpha[..., None]


def _gradient(position: Image, stops: Image) -> Image:
    """Interpolate between colour stops spread evenly over 0..1."""
    scaled = np.clip(position, 0, 1) * (len(stops) - 1)
    left = np.minimum(scaled.astype(np.int32), len(stops) - 2)
    return stops[left] + (stops[left + 1] - stops[left]) * (scaled - left)[..., None]


def _bilateral(rgb: Image, times: int) -> Image:
    for _ in range(times):
        rgb = cv2.bilateralFilter(rgb, 7, 0.12, 4)
    return rgb


def _even_light(rgb: Image, mask: Image) -> Image:
    """Stretch the person's luminance to one range with some local contrast; without it dark photos drown in ink."""
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    light = lab[..., 0]
    low, high = np.percentile(light[mask > 0.5], (2, 98))
    stretched = np.clip((light - low) / max(high - low, 25), 0, 1)
    local = cv2.createCLAHE(1.6, (4, 4)).apply((stretched * 255).astype(np.uint8)).astype(np.float32) / 255
    lab[..., 0] = 100 * np.clip(0.04 + 0.94 * (0.5 * stretched + 0.5 * local), 0, 1)
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)


def spread_person(rgb: Image, mask: Image) -> Image:
    """Replace what is around the person by the person's own nearest colours, so that no old backdrop rims the
    cut-out.
    """
    core = (cv2.erode(mask, np.ones((5, 5), np.uint8)) > 0.95).astype(np.float32)
    weight = cv2.GaussianBlur(core, (0, 0), 3) + 1e-4 * cv2.GaussianBlur(core, (0, 0), 24) + 1e-9
    near = cv2.GaussianBlur(rgb * core[..., None], (0, 0), 3) + 1e-4 * cv2.GaussianBlur(
        rgb * core[..., None], (0, 0), 24
    )
    keep = np.clip(cv2.GaussianBlur(core, (0, 0), 1.5) * 2 - 0.5, 0, 1)
    return _over((near / weight[..., None]).astype(np.float32), rgb, keep)


def _features(paint: Image, rgb: Image, amount: float, ink: float) -> Image:
    """Give painted patches the eyes, mouth and hair lines back that smoothing took."""
    flat = _bilateral(rgb, 1)
    detail = cv2.GaussianBlur(flat, (0, 0), 0.7) - cv2.GaussianBlur(flat, (0, 0), 4)
    lost = detail - (cv2.GaussianBlur(paint, (0, 0), 0.7) - cv2.GaussianBlur(paint, (0, 0), 4))
    return np.clip(paint + amount * lost, 0, 1) * (1 - ink * (1 - _ink(flat, 1.0, 0.018)))[..., None]


def _bands(light: Image, count: int) -> Image:
    """Posterise to `count` levels with soft steps."""
    scaled = np.clip(light, 0, 0.9999) * count
    level = np.floor(scaled)
    rise = np.clip((scaled - level - 0.5) * 5 + 0.5, 0, 1)
    return (level - 0.5 + rise + 0.5) / count


def _ink(rgb: Image, sigma: float, threshold: float) -> Image:
    """1 on paper, 0 on lines: a thresholded difference of Gaussians (Winnemoeller et al., XDoG, 2012), kept free of
    specks.
    """
    light = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    difference = cv2.GaussianBlur(light, (0, 0), sigma) - cv2.GaussianBlur(light, (0, 0), sigma * 1.6)
    return 1 - np.clip((-difference - threshold * 0.5) / threshold, 0, 1)


def _halftone(tone: Image) -> Image:
    """Dots at 45 degrees, two in every 8 x 8 cell, that grow with the tone."""
    wave = (np.cos(XX * np.pi / 4) + np.cos(YY * np.pi / 4)) / 4 + 0.5
    diamond = np.abs(wave - 0.5) * 2
    return np.clip((diamond - (1 - tone)) * 5 + 0.5, 0, 1) * (tone > 0.02)


def strokes(dark: Image, kind: str) -> Image:
    """Ink coverage 0..1 that renders darkness by lines or dots of changing thickness, with an 8-pixel period."""
    rising = np.abs(((XX + YY) / 8) % 1 - 0.5) * 2
    falling = np.abs(((XX - YY) / 8) % 1 - 0.5) * 2
    if kind == "stipple":
        return _halftone(np.clip(dark * 1.15, 0, 1))
    if kind == "hatching":
        return np.clip((rising - (1 - dark * 1.1)) * 3.5 + 0.3, 0, 1) * (dark > 0.08)
    first = np.clip((rising - (1 - dark * 0.85)) * 3.5 + 0.3, 0, 1) * (dark > 0.1)
    second = np.clip((falling - (1 - (dark - 0.3) * 1.05)) * 3.5 + 0.3, 0, 1) * (dark > 0.36)
    return np.maximum(first, second)


def _outline(mask: Image, width: float) -> Image:
    """A soft line of the given width in pixels along the mask's border."""
    distance = cv2.GaussianBlur(np.abs(signed_distance(mask)).astype(np.float32), (0, 0), 0.6)
    return np.clip(width / 2 - distance + 0.8, 0, 1)


def signed_distance(mask: Image) -> Image:
    inside = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((mask <= 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    return inside - outside


def _kuwahara(rgb: Image, size: int) -> Image:
    """The mean of the calmest of four neighbouring `size` x `size` windows (Kuwahara et al., 1976)."""
    mean, square = cv2.blur(rgb, (size, size)), cv2.blur(rgb * rgb, (size, size))
    variance = (square - mean * mean).sum(axis=2)
    shift = size // 2 + size % 2
    padded_mean = cv2.copyMakeBorder(mean, shift, shift, shift, shift, cv2.BORDER_REFLECT)
    padded_variance = cv2.copyMakeBorder(variance, shift, shift, shift, shift, cv2.BORDER_REFLECT)
    best, result = np.full((SIDE, SIDE), np.inf, np.float32), mean
    for dy in (0, 2 * shift):
        for dx in (0, 2 * shift):
            window = (slice(dy, dy + SIDE), slice(dx, dx + SIDE))
            calmer = padded_variance[window] < best
            best = np.where(calmer, padded_variance[window], best)
            result = np.where(calmer[..., None], padded_mean[window], result)
    return result.astype(np.float32)


def _field(seed: int, sigma: float, sigma_y: float | None = None) -> Image:
    """One fixed smooth random field of unit variance; the same in every picture, so that it can be learnt."""
    noise = np.random.default_rng(seed).standard_normal((SIDE, SIDE)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), sigmaX=sigma, sigmaY=sigma_y or sigma)
    return (smooth / smooth.std()).astype(np.float32)


BLOTCHES, RAGGED = _field(3, 30), _field(5, 14)
STROKES = _field(9, 9, 2.2)


def _vignette(extent: float, hardness: float) -> Image:
    """1 in the middle, 0 at the margin, with a ragged border."""
    distance = np.maximum(np.abs(XX - 127.5), np.abs(YY - 127.5)) / 128
    rounded = 0.5 * distance + 0.5 * np.hypot(XX - 127.5, YY - 127.5) / 150
    return np.clip((extent - rounded + 0.035 * RAGGED) * hardness, 0, 1)


def _wash(a: Image, b: Image, strength: float) -> Image:
    position = 1 / (1 + np.exp(-2.2 * (BLOTCHES * 0.8 + (YY - 128) / 110)))
    pigment = a + (b - a) * position[..., None]
    density = strength * (0.72 + 0.28 * np.tanh(RAGGED))
    return 1 - (1 - pigment) * density[..., None]


def _comic_backdrop(look: LookWords) -> Image:
    a, b = _colour(look.a), _colour(look.b)
    if look.kind == "sunburst":
        wave = np.sin(np.arctan2(YY - CENTRE_Y, XX - CENTRE_X) * 12)
        share = np.clip(wave * RADIUS * 0.09 + 0.5, 0, 1)
    elif look.kind == "stripes":
        share = np.clip((np.abs(((XX + YY) / 32) % 1 - 0.5) * 2 - 0.5) * 11 + 0.5, 0, 1)
    else:
        x, y = (XX + 16 * (np.floor(YY / 16) % 2)) % 32 - 16, YY % 16 - 8
        size = 3.0 + 5.0 * YY / SIDE
        share = np.clip(size - np.hypot(x, y) + 0.5, 0, 1)
    return a + (b - a) * share[..., None]


def _neon_backdrop(kind: str, night: Image, a: Image, b: Image) -> Image:
    sky = night * (0.7 + 0.9 * YY / SIDE)[..., None]
    if kind == "sun":
        disc = np.clip(98 - np.hypot(XX - 128, YY - 112), 0, 1)
        gaps = np.where(YY > 96, ((YY % 16) > (2 + (YY - 96) / 14)).astype(np.float32), 1.0)
        light, colour = (
            0.85 * disc * cv2.GaussianBlur(gaps.astype(np.float32), (0, 0), 0.7),
            _gradient(YY / 220, np.stack([b, a])),
        )
    elif kind == "rings":
        light, colour = np.clip(np.cos(RADIUS * 2 * np.pi / 32) * 3 - 1.7, 0, 1) * 0.8, a
    else:
        cell = np.minimum(np.abs((XX % 32) - 16), np.abs((YY % 32) - 16))
        light, colour = np.clip(1.9 - cell, 0, 1) * 0.75, a
    glow = light + 0.5 * cv2.GaussianBlur(light.astype(np.float32), (0, 0), 6)
    return sky + glow[..., None] * colour
