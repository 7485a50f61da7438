"""A face seen from the side, made of a frontal photo: its mesh is turned in space and painted again.

Ears and hair are only drawn out backwards, so this is a rough picture of a profile; it has one where no photo has.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from likeness.photos.landmarks import Landmarks

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]
# Outline of the face in MediaPipe's mesh, from the forehead clockwise.
OVAL: Final = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
    *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
# The head behind the face, as copies of the outline: how much wider, and how many eye distances further back.
RINGS: Final = ((1.06, 0.6), (1.12, 1.2), (1.18, 2.0))
AXIS_BEHIND: Final = 0.8
GREY: Final = 120


def turn_head(photo: Pixels, face: Landmarks, degrees: float) -> Pixels:
    """The head turned to its left by so many degrees before a grey backdrop, uint8 of the photo's shape."""
    flat, solid = _head(face)
    triangles = Delaunay(flat).simplices
    middle = np.array([*face.points[list(OVAL), :2].mean(axis=0), face.points[:, 2].mean()])
    turned = _turn(solid, np.add(middle, (0, 0, AXIS_BEHIND * face.eye_distance)), degrees)
    picture = np.full_like(photo, GREY)
    source = np.clip(flat, 0, np.array(photo.shape[1::-1]) - 1)
    for triangle in triangles[np.argsort(-turned[triangles, 2].mean(axis=1))]:  # the furthest first
        _paint(picture, photo, source[triangle], turned[triangle, :2])
    return picture


def _head(face: Landmarks) -> tuple[Points, Points]:
    """Where the head's points are in the photo, [n, 2], and in space, [n, 3]."""
    outline = face.points[list(OVAL)]
    middle = outline.mean(axis=0)
    flat, solid = [face.points[:, :2]], [face.points]
    for wider, behind in RINGS:
        ring = middle + (outline - middle) * (wider, wider, 1)
        flat.append(ring[:, :2])
        solid.append(np.add(ring, (0, 0, behind * face.eye_distance)))
    return np.concatenate(flat), np.concatenate(solid)


def _turn(points: Points, axis: Points, degrees: float) -> Points:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.asarray((points - axis) @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]) + axis)


def _paint(picture: Pixels, photo: Pixels, source: Points, target: Points) -> None:
    """Copy one triangle of the photo, [3, 2], to another place."""
    corner = np.maximum(np.floor(target.min(axis=0)).astype(int), 0)
    left, top = corner
    patch = picture[top : int(target[:, 1].max()) + 2, left : int(target[:, 0].max()) + 2]
    place = (target - corner).astype(np.float32)
    if patch.size == 0 or abs(np.linalg.det(np.column_stack([place, np.ones(3)]))) < 0.3:
        return
    matrix = cv2.getAffineTransform(source.astype(np.float32), place)
    copied = cv2.warpAffine(photo, matrix, patch.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    inside = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, np.round(place).astype(np.int32), 1)
    patch[inside > 0] = copied[inside > 0]
