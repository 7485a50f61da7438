"""Finding the one face in a photo, upright or tilted, with the cascades that OpenCV's wheel carries."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness.errors import PhotoError

Grey = NDArray[np.uint8]

# Cascades find faces tilted by up to about 15 degrees; copies turned by these angles cover 45 either way.
ANGLES: Final = (0, -18, 18, -36, 36)
SEARCH_SIDE: Final = 480
SMALLEST_FACE: Final = 44
# Neighbouring detections, summed over the angles: a face has dozens, a pattern that resembles one has few.
ENOUGH_VOTES: Final = 6
SECOND_FACE_AREA: Final = 0.4
# Neighbours that make an upright face sure; then the least size of others that matter, in its sizes (under the square
# root of SECOND_FACE_AREA, by what two measurements of a face differ), and the angles that they are looked for at.
SURE_VOTES: Final = 14
SMALLEST_OTHER: Final = 0.5
ANGLES_OF_OTHERS: Final = (-30, 30)
LEAST_WINDOW: Final = 26  # the cascade looks at windows of 24 pixels
# A second face's share of the first one's votes: one with eyes is believed sooner than a pattern without.
SECOND_FACE_VOTES: Final = {True: 0.12, False: 0.5}
PATCH: Final = 200
SETTLED: Final = 0.05


class Face(msgspec.Struct, frozen=True):
    """A face in a picture: centre and width of the frontal-face box in pixels, clockwise tilt in degrees.

    `eyes` tells whether both eyes were found, and levelled the tilt.
    """

    x: float
    y: float
    size: float
    tilt: float
    eyes: bool
    votes: float


def find_face(rgb: NDArray[np.uint8]) -> Face:
    """Find the one face of uint8 [H, W, 3]; raises PhotoError no_face, several_faces or too_small."""
    grey = _bytes(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
    scale = min(1.0, SEARCH_SIDE / max(grey.shape))
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    faces = _confirmed(grey, _group(list(_votes(_bytes(small)))), scale)
    if not faces:
        raise PhotoError("no_face", "No face was found. Use a photo that shows the face from the front, in good light.")
    best = max(faces, key=lambda face: face.votes * face.size)
    for other in faces:
        large = (other.size / best.size) ** 2 >= SECOND_FACE_AREA
        if other is not best and large and other.votes >= SECOND_FACE_VOTES[other.eyes] * best.votes:
            raise PhotoError("several_faces", "There is more than one face. Use a photo of one person alone.")
    if best.size < SMALLEST_FACE:
        raise PhotoError("too_small", "The face is too small. Use a photo taken from nearer, or of more pixels.")
    return best


def _votes(grey: Grey) -> Iterator[Face]:
    """Detections in turned copies, each at its place in the upright picture, with its count of neighbours."""
    even = _bytes(cv2.createCLAHE(2.0, (8, 8)).apply(grey))
    smallest = max(20, round(min(grey.shape) * 0.06))
    for turn, angle in enumerate(ANGLES):
        found = _look(even, angle, smallest, 1.0)
        yield from found
        best = max(found, key=lambda face: face.votes * face.size, default=None)
        if best is not None and best.votes >= SURE_VOTES and turn == 0:
            # One upright face is sure. Others matter only if they are not much smaller: coarser copies show those too.
            least = max(smallest, round(best.size * SMALLEST_OTHER))
            scale = min(1.0, LEAST_WINDOW / least)
            for other in ANGLES_OF_OTHERS:
                yield from _look(_resize(even, scale), other, round(least * scale), scale)
            return


def _look(grey: Grey, angle: float, smallest: int, scale: float) -> list[Face]:
    """Detections of at least `smallest` pixels in one turned copy; places and sizes are divided by `scale`."""
    turned, back = _turn(grey, angle)
    cascade = _cascade("haarcascade_frontalface_default")
    boxes, neighbours = cascade.detectMultiScale2(turned, 1.12, 4, minSize=(smallest, smallest))
    found = []
    for (x, y, width, _), votes in zip(boxes, neighbours, strict=True):
        centre = back @ np.array([x + width / 2, y + width / 2, 1.0]) / scale
        found.append(Face(float(centre[0]), float(centre[1]), width / scale, angle, eyes=False, votes=float(votes)))
    return found


def _resize(grey: Grey, scale: float) -> Grey:
    return grey if scale == 1.0 else _bytes(cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _turn(grey: Grey, angle: float) -> tuple[Grey, NDArray[np.float64]]:
    """Turn so that a face tilted clockwise by `angle` stands upright; returns the way back, 2x3."""
    if not angle:
        return grey, np.eye(2, 3)
    height, width = grey.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    wide, high = int(height * sin + width * cos), int(height * cos + width * sin)
    matrix[:, 2] += (wide - width) / 2, (high - height) / 2
    turned = cv2.warpAffine(grey, matrix, (wide, high), flags=cv2.INTER_LINEAR, borderValue=int(grey.mean()))
    return _bytes(turned), np.asarray(cv2.invertAffineTransform(matrix), np.float64)


def _group(votes: list[Face]) -> list[Face]:
    """Merge detections of the same place, weighted by their votes, the strongest first."""
    groups: list[list[Face]] = []
    for vote in sorted(votes, key=lambda face: -face.votes):
        for group in groups:
            head = group[0]
            near = np.hypot(vote.x - head.x, vote.y - head.y) < 0.45 * head.size
            if near and 0.55 < vote.size / head.size < 1.8:
                group.append(vote)
                break
        else:
            groups.append([vote])
    return [_mean(group) for group in groups]


def _mean(group: list[Face]) -> Face:
    weights = np.array([face.votes for face in group])

    def mean(values: list[float]) -> float:
        return float(np.average(values, weights=weights))

    return Face(
        mean([face.x for face in group]),
        mean([face.y for face in group]),
        mean([face.size for face in group]),
        mean([face.tilt for face in group]),
        eyes=False,
        votes=float(weights.sum()),
    )


def _confirmed(grey: Grey, faces: list[Face], scale: float) -> list[Face]:
    """Look at each candidate again, upright and enlarged, and keep those that a second cascade or the eyes confirm."""
    kept = []
    strongest = max((face.votes for face in faces), default=0.0)
    for face in faces:
        if face.votes < max(ENOUGH_VOTES, 0.1 * strongest):
            continue
        whole = Face(face.x / scale, face.y / scale, face.size / scale, face.tilt, eyes=False, votes=face.votes)
        if (better := _refine(grey, whole)) is not None:
            kept.append(better)
    return kept


def _refine(grey: Grey, face: Face) -> Face | None:
    """Level the eyes, then measure the box again in an upright patch; None when nothing there looks like a face."""
    refined = face
    for _ in range(2):
        patch, back = _patch(grey, refined)
        level = _eye_tilt(patch)
        if level is not None:
            tilt = refined.tilt + level
            refined = Face(refined.x, refined.y, refined.size, tilt, eyes=True, votes=face.votes)
            patch, back = _patch(grey, refined)
        box = _box(patch)
        if box is None:
            return refined if refined.eyes else None
        x, y, size = box
        centre = back @ np.array([x, y, 1.0])
        scale = 2 * refined.size / PATCH
        before = refined
        refined = Face(float(centre[0]), float(centre[1]), size * scale, refined.tilt, refined.eyes, face.votes)
        if _settled(before, refined):
            break
    return refined


def _settled(before: Face, after: Face) -> bool:
    """Whether a patch around the new place would show the same."""
    moved = np.hypot(after.x - before.x, after.y - before.y) + abs(after.size - before.size)
    return bool(moved < SETTLED * after.size)


def _patch(grey: Grey, face: Face) -> tuple[Grey, NDArray[np.float64]]:
    """An upright square of twice the face's size, 200 pixels wide, and the way back, 2x3."""
    scale = 2 * face.size / PATCH
    cos, sin = np.cos(np.radians(face.tilt)) * scale, np.sin(np.radians(face.tilt)) * scale
    half = PATCH / 2
    back = np.array([[cos, -sin, face.x - cos * half + sin * half], [sin, cos, face.y - sin * half - cos * half]])
    mode = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    flags = mode | cv2.WARP_INVERSE_MAP
    patch = cv2.warpAffine(grey, back, (PATCH, PATCH), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return _bytes(cv2.createCLAHE(2.0, (4, 4)).apply(_bytes(patch))), np.asarray(back, np.float64)


def _box(patch: Grey) -> tuple[float, float, float] | None:
    """Centre and width of the face in a patch: the mean over two cascades and fine scale steps, to steady the box."""
    found = []
    for name, share in (("haarcascade_frontalface_default", 1.0), ("haarcascade_frontalface_alt2", 1.0)):
        cascade = _cascade(name)
        boxes, votes = cascade.detectMultiScale2(patch, 1.04, 3, minSize=(60, 60), maxSize=(160, 160))
        found += [
            (x + w / 2, y + w / 2, w * share, n)
            for (x, y, w, _), n in zip(boxes, votes, strict=True)
            if np.hypot(x + w / 2 - PATCH / 2, y + w / 2 - PATCH / 2) < 0.25 * PATCH
        ]
    if not found:
        return None
    x, y, size, weights = np.array(found).T
    return (
        float(np.average(x, weights=weights)),
        float(np.average(y, weights=weights)),
        float(np.average(size, weights=weights)),
    )


def _eye_tilt(patch: Grey) -> float | None:
    """The clockwise angle in degrees by which the line through the eyes leaves the horizontal, or None."""
    middle = patch[int(PATCH * 0.28) : int(PATCH * 0.56), int(PATCH * 0.22) : int(PATCH * 0.78)]
    for name in ("haarcascade_eye_tree_eyeglasses", "haarcascade_eye"):
        boxes, votes = _cascade(name).detectMultiScale2(middle, 1.05, 3, minSize=(14, 14), maxSize=(44, 44))
        eyes = sorted(zip(boxes, votes, strict=True), key=lambda found: -found[1])
        centres = [(x + w / 2, y + h / 2) for (x, y, w, h), _ in eyes]
        for i, first in enumerate(centres[:4]):
            for second in centres[i + 1 : 5]:
                (x0, y0), (x1, y1) = sorted((first, second))
                middle_x = (x0 + x1) / 2
                if 0.15 * PATCH < x1 - x0 < 0.3 * PATCH and abs(middle_x - middle.shape[1] / 2) < 0.07 * PATCH:
                    angle = float(np.degrees(np.arctan2(y1 - y0, x1 - x0)))
                    if abs(angle) < 22:
                        return angle
    return None


def _bytes(picture: NDArray[Any]) -> Grey:
    """OpenCV's stubs promise any kind of number where pixels of 8 bits go in and come out."""
    return np.asarray(picture, np.uint8)


@cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    """Load once: a cascade is not changed by detecting."""
    return cv2.CascadeClassifier(str(files("cv2") / "data" / f"{name}.xml"))
