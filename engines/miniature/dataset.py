"""Turning a folder of portraits into training pairs: photographs on random backdrops, and what the teachers draw of
them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from miniature.backdrops import Image, degrade, draw_backdrop, relight, tint_person
from miniature.cutout import cut_out
from miniature.teachers import draw
from miniature.vocabulary import STYLES, LookWords, draw_look

SIDE = 256
# The most that a pose enlarges a crop; the plan's variations go up to 1.2.
CLOSEST = 1.3
INPUTS_PER_POSE = 3
HELD_OUT = Path(__file__).with_name("held_out.txt")
FETCH: Final = (
    "clone https://github.com/Hainish/congress-images-225x275 (721 public-domain portraits)"
    " and pass its folder of JPEGs"
)


class PortraitsError(Exception):
    """A folder from which nothing can be learnt; the text is for whoever named it."""


class Lesson(msgspec.Struct, frozen=True):
    """What is taught: in how many poses each person is drawn, in how many looks of each style, and by whom; `teacher`
    is a function of a module, since processes hand it on.
    """

    styles: tuple[str, ...]
    looks_per_style: int
    poses: int
    teacher: Callable[[Image, Image, LookWords], Image]

    def draw_looks(self, rng: np.random.Generator) -> list[LookWords]:
        return [draw_look(style, rng) for style in self.styles for _ in range(self.looks_per_style)]


FIVE_STYLES: Final = Lesson(STYLES, looks_per_style=2, poses=2, teacher=draw)


class Pairs(msgspec.Struct, frozen=True):
    """What is on disk: pose i has inputs[i] (uint8 [3, 256, 256, 3]), targets[i] (uint8 [looks, 256, 256, 3]) and
    prompts[i].
    """

    inputs: NDArray[np.uint8]
    targets: NDArray[np.uint8]
    prompts: list[list[str]]


def prepare(photos: Path, work: Path, lesson: Lesson = FIVE_STYLES) -> Pairs:
    """Make the pairs of all people who are not held out, once; later calls read them back. Raises PortraitsError."""
    if not (work / "prompts.json").exists():
        _write_pairs(_read_people(photos), work, lesson)
    return Pairs(
        np.load(work / "inputs.npy", mmap_mode="r"),
        np.load(work / "targets.npy", mmap_mode="r"),
        json.loads((work / "prompts.json").read_text()),
    )


def cut_person(path: Path) -> tuple[NDArray[np.uint8], Image] | None:
    """Return a portrait's canonical crop and the person's mask, or None when either cannot be made well."""
    from likeness.photos import PhotoError, crop_face, decode_photo  # noqa: PLC0415 - the very crops that the server makes

    cv2.setNumThreads(1)
    try:
        crop = crop_face(decode_photo(path.read_bytes()), SIDE).pixels
    except PhotoError:
        return None
    mask = cut_out(crop)
    return None if mask is None else (crop, mask)


def _read_people(photos: Path) -> list[tuple[NDArray[np.uint8], Image]]:
    held_out = set(HELD_OUT.read_text().split())
    paths = [path for path in sorted(photos.glob("*.jpg")) if path.name not in held_out]
    if not paths:
        raise PortraitsError(f"No .jpg portraits in {photos}: {FETCH}.")
    with ProcessPoolExecutor() as pool:
        people = [person for person in pool.map(cut_person, paths, chunksize=8) if person is not None]
    print(f"{len(people)} of {len(paths)} portraits cut out", flush=True)
    if not people:
        raise PortraitsError(f"No portrait in {photos} shows a person who can be cut out: {FETCH}.")
    return people


def _write_pairs(people: list[tuple[NDArray[np.uint8], Image]], work: Path, lesson: Lesson) -> None:
    work.mkdir(parents=True, exist_ok=True)
    count = len(people) * lesson.poses
    inputs = open_memmap(work / "inputs.npy", "w+", np.uint8, (count, INPUTS_PER_POSE, SIDE, SIDE, 3))
    looks = len(lesson.styles) * lesson.looks_per_style
    targets = open_memmap(work / "targets.npy", "w+", np.uint8, (count, looks, SIDE, SIDE, 3))
    prompts: list[list[str]] = []
    with ProcessPoolExecutor(initializer=_share, initargs=([pixels for pixels, _ in people],)) as pool:
        poses = pool.map(partial(_draw_pose, lesson), _jobs(people, lesson.poses), chunksize=4)
        for index, (drawn_inputs, drawn_targets, drawn_prompts) in enumerate(poses):
            inputs[index], targets[index] = drawn_inputs, drawn_targets
            prompts.append(drawn_prompts)
            if index % 100 == 0:
                print(f"drawn {index} of {count} poses", flush=True)
    inputs.flush()
    targets.flush()
    (work / "prompts.json").write_text(json.dumps(prompts))


_PICTURES: list[Image] = []


def _share(crops: list[NDArray[np.uint8]]) -> None:
    """Hand each process the other people's photographs once, as material for backdrops."""
    cv2.setNumThreads(1)
    _PICTURES.extend(crop.astype(np.float32) / 255 for crop in crops[::6])


def _jobs(people: list[tuple[NDArray[np.uint8], Image]], poses: int) -> Iterator[tuple[int, NDArray[np.uint8], Image]]:
    for pose in range(poses):
        for index, (pixels, mask) in enumerate(people):
            yield pose * len(people) + index, pixels, mask


def _draw_pose(
    lesson: Lesson, job: tuple[int, NDArray[np.uint8], Image]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[str]]:
    index, pixels, mask = job
    rng = np.random.default_rng(index)
    rgb, alpha = _move(pixels.astype(np.float32) / 255, mask, rng)
    if rng.random() < 0.4:
        rgb = tint_person(rgb, rng)
    inputs = [_photograph(rgb, alpha, rng) for _ in range(INPUTS_PER_POSE)]
    looks = lesson.draw_looks(rng)
    targets = [lesson.teacher(rgb, alpha, look) for look in looks]
    return _bytes(inputs), _bytes(targets), [look.prompt for look in looks]


def _move(rgb: Image, mask: Image, rng: np.random.Generator) -> tuple[Image, Image]:
    """Turn, scale, shift and mirror a little: crops of the same face differ by that much."""
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.uniform(-6, 6), rng.uniform(1.0, CLOSEST))
    matrix[:, 2] += rng.uniform(-8, 8, 2)
    moved = [
        cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for image in (rgb, mask)
    ]
    if rng.random() < 0.5:
        moved = [image[:, ::-1].copy() for image in moved]
    return moved[0], moved[1]


def _photograph(rgb: Image, mask: Image, rng: np.random.Generator) -> Image:
    """Put the person before a random backdrop (one time in six: the own one) in other light, and lose some quality."""
    backdrop = rgb if rng.random() < 1 / 6 else draw_backdrop(rng, _PICTURES)
    soft = mask[..., None]
    return degrade(relight(rgb * soft + backdrop * (1 - soft), rng), rng)


def _bytes(images: list[Image]) -> NDArray[np.uint8]:
    return (np.clip(np.stack(images), 0, 1) * 255 + 0.5).astype(np.uint8)
