"""Finding the one face in a photo, whichever way it lies, and saying what is wrong where there is none to use.

Two pieces of evidence make a face: the detector's score, and the presence that the landmarks see in its levelled crop.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np

from likeness.errors import PhotoError
from likeness.photos.canonical import canonical_square, face_width, square_below
from likeness.photos.detector import (
    EVERY_WAY,
    FULL,
    UPRIGHT,
    WITH_MARGIN,
    Detection,
    detect,
    detect_in_tiles,
    strongest,
)
from likeness.photos.features import eyes_likeness, is_painted_over, look_at_features
from likeness.photos.geometry import Square
from likeness.photos.landmarks import Landmarks, trace_face
from likeness.photos.mipmap import Mipmap

# The detector's score that is worth a look at the landmarks, and the product of score and presence that makes a face.
MIN_SCORE: Final = 0.4
MIN_EVIDENCE: Final = 0.42
EYES_WEIGHT: Final = 0.5
# An upright detection of this score is taken without trying the other three turns.
SURE_SCORE: Final = 0.7
SURE_TILT_DEG: Final = 40.0
MAX_CANDIDATES: Final = 8
MIN_WIDTH_PX: Final = 40
# A longer photo may have been shrunk while it was decoded: more pixels would not help.
SMALL_COPY_PX: Final = 1400
# Whoever is this much narrower than the widest face stands in the background.
SECOND_FACE: Final = 0.6
# The landmarks' yaw falls short of the true one: about 33 for faces turned by 45 degrees, 42 for 60. A face that shows
# neither eyes nor mouth is said to be turned away, and not covered, from the second on.
MAX_YAW_DEG: Final = 41.0
HIDING_YAW_DEG: Final = 30.0
# A face that is narrower than this share of the photo's longer side may have others beside it that only tiles show.
SMALL_SHARE: Final = 0.08
# A detection of this score that the landmarks deny is a covered face, if there is paint where eyes and mouth would be.
HIDDEN_SCORE: Final = 0.46
NO_FACE: Final = "No face was found. Use a photo that shows the whole face from the front, uncovered, in good light."
COVERED: Final = "Eyes and mouth are covered. Use a photo that shows the face."


class Face(msgspec.Struct, frozen=True):
    """The face: its width in pixels (2.4 times the distance of the eyes), and the canonical crop's place.

    `evidence` is the detector's score times the presence, 0..1.
    """

    evidence: float
    width: float
    square: Square
    landmarks: Landmarks


def find_face(photo: Mipmap) -> Face:
    """Find the one face of a photo; raises PhotoError no_face, several_faces, too_small, turned_away or
    face_covered.
    """
    faces = sorted(believed_faces(photo), key=lambda face: -face.width)
    if not faces and _is_hidden(photo):
        raise PhotoError("face_covered", COVERED)
    if not faces:
        raise PhotoError("no_face", NO_FACE)
    face = faces[0]
    if len(faces) > 1 and faces[1].width >= SECOND_FACE * face.width:
        raise PhotoError("several_faces", "There is more than one face. Use a photo of one person alone.")
    if face.width < MIN_WIDTH_PX:
        remedy = "taken from nearer" if max(photo.size) > SMALL_COPY_PX else "of more pixels, or taken from nearer"
        raise PhotoError("too_small", f"The face is too small. Use a photo {remedy}.")
    turned = abs(face.landmarks.yaw)
    seen = any(look_at_features(photo, face.landmarks))
    if turned > MAX_YAW_DEG or (not seen and turned > HIDING_YAW_DEG):
        raise PhotoError("turned_away", "The face is seen from the side. Use a photo that shows it from the front.")
    if not seen:
        raise PhotoError("face_covered", COVERED)
    return face


def _is_hidden(photo: Mipmap) -> bool:
    """Whether the detector sees a head whose eyes and mouth are painted over."""
    return any(
        is_painted_over(photo, square_below(each.eyes_x, each.eyes_y, each.eye_distance, each.tilt))
        for each in detect(photo, EVERY_WAY, FULL, HIDDEN_SCORE)
    )


def believed_faces(photo: Mipmap) -> list[Face]:
    """Faces that detector and landmarks agree on, each the right way up; looks more thoroughly while there is none."""
    faces: list[Face] = []
    for found in _looks(photo):
        faces = _confirmed(photo, found)
        if faces:
            break
    if faces and max(face.width for face in faces) < SMALL_SHARE * max(photo.size):
        faces += _confirmed(photo, detect_in_tiles(photo, UPRIGHT, MIN_SCORE))
    return _once_each(photo, faces)


def _once_each(photo: Mipmap, faces: list[Face]) -> list[Face]:
    """Of those at one place, the one with the most evidence: behind sunglasses or a mask, both ways up have some."""
    if len(faces) < 2:
        return faces

    def rank(face: Face) -> float:
        return face.evidence + EYES_WEIGHT * eyes_likeness(photo, face.landmarks)

    kept: list[Face] = []
    for face in sorted(faces, key=rank, reverse=True):
        if all(_apart(face, other) for other in kept):
            kept.append(face)
    return kept


def _apart(one: Face, other: Face) -> bool:
    distance = np.hypot(one.square.x - other.square.x, one.square.y - other.square.y)
    return bool(distance > max(one.width, other.width) / 2)


def _looks(photo: Mipmap) -> Iterator[list[Detection]]:
    """Detections from the quickest look to the most thorough."""
    found = detect(photo, UPRIGHT, FULL, MIN_SCORE)
    if found and found[0].score >= SURE_SCORE and abs(found[0].tilt) <= SURE_TILT_DEG:
        yield found
    found = strongest([*found, *detect(photo, EVERY_WAY[1:], FULL, MIN_SCORE)])
    yield found
    found = strongest([*found, *detect(photo, EVERY_WAY, WITH_MARGIN, MIN_SCORE)])
    yield found
    yield detect_in_tiles(photo, EVERY_WAY, MIN_SCORE)


def _confirmed(photo: Mipmap, found: list[Detection]) -> list[Face]:
    """The faces among the best detections."""
    faces = []
    for detection in found[:MAX_CANDIDATES]:
        landmarks = trace_face(photo, detection)
        evidence = detection.score * landmarks.presence
        if evidence >= MIN_EVIDENCE:
            faces.append(Face(evidence, face_width(landmarks), canonical_square(landmarks), landmarks))
    return faces
