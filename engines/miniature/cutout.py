"""Cutting a person out of a canonical portrait crop with GrabCut, and telling when that went wrong."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 256


def cut_out(rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Return the person's soft mask, float32 [256, 256] in 0..1, or None when it looks wrong."""
    mask = _seed()
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(rgb[..., ::-1].copy(), mask, (0, 0, 1, 1), background, foreground, 5, cv2.GC_INIT_WITH_MASK)
    person = _largest_part(((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8))
    person = cv2.morphologyEx(person, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    person = cv2.morphologyEx(_largest_part(person), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    person = _fill_holes(person)
    if not _plausible(person):
        return None
    return np.clip(cv2.GaussianBlur(person.astype(np.float32), (0, 0), 1.3), 0, 1).astype(np.float32)


def _seed() -> NDArray[np.uint8]:
    """Head and shoulders are where the canonical crop puts them; the upper corners and edges are backdrop."""
    mask = np.full((SIDE, SIDE), cv2.GC_PR_BGD, np.uint8)
    cv2.ellipse(mask, (128, 122), (78, 108), 0, 0, 360, cv2.GC_PR_FGD, -1)
    mask[200:, 20:236] = cv2.GC_PR_FGD
    mask[:150, :14] = mask[:150, -14:] = mask[:5] = cv2.GC_BGD
    cv2.ellipse(mask, (128, 126), (46, 62), 0, 0, 360, cv2.GC_FGD, -1)
    mask[226:, 90:166] = cv2.GC_FGD
    return mask


def _largest_part(binary: NDArray[np.uint8]) -> NDArray[np.uint8]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(binary)
    if count < 2:
        return binary
    return (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)


def _fill_holes(binary: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Everything not reachable from the top edge without crossing the person belongs to the person."""
    outside = np.pad(1 - binary, ((1, 0), (1, 1)), constant_values=1)
    _, labels = cv2.connectedComponents(outside, connectivity=4)
    return (labels[1:, 1:-1] != labels[0, 0]).astype(np.uint8)


def _plausible(binary: NDArray[np.uint8]) -> bool:
    """A head of ordinary width on shoulders that reach the bottom, and backdrop on both sides of the head."""
    head = binary[70:150].sum(axis=1)
    area = float(binary.mean())
    shoulders = binary[-12:].mean()
    edges_free = binary[:100, :10].mean() < 0.05 and binary[:100, -10:].mean() < 0.05
    smooth = cv2.arcLength(_outline(binary), closed=True) < 1400
    return bool(
        0.33 < area < 0.75 and head.min() > 72 and head.max() < 200 and shoulders > 0.6 and edges_free and smooth
    )


def _outline(binary: NDArray[np.uint8]) -> NDArray[np.int32]:
    contours, _ = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(max(contours, key=len), np.int32)
