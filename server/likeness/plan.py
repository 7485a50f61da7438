"""Deciding which renders make a generation: which look of which style is drawn from which photo, with which seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from likeness_plugins import Look, Style


class Variation(msgspec.Struct, frozen=True):
    """How a photo is changed before it is drawn once more: zoom factor, shift as share of the side, mirroring, warmth
    -1..1.
    """

    zoom: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    mirror: bool = False
    warmth: float = 0.0


class PlannedRender(msgspec.Struct, frozen=True):
    """One avatar to be: `photo` is an index into the generation's crops."""

    index: int
    style: Style
    look: Look
    photo: int
    seed: int
    variation: Variation


UNCHANGED = Variation()
Choice = tuple[Style, Look, int, Variation]


def plan_renders(styles: Sequence[Style], qualities: Sequence[float], count: int, seed: int) -> list[PlannedRender]:
    """Plan `count` renders; the same arguments give the same plan.

    No (style, look, photo) comes twice before all of a style's were used; from then on crop, mirroring and warmth vary
    too. Better photos (quality 0..1) are used more often. Styles alternate, so that the first avatars show them all.
    """
    rng = np.random.default_rng(seed)
    photos = _PhotoTurns(qualities)
    queues = [
        _style_renders(style, share, photos, rng)
        for style, share in zip(styles, _shares(count, len(styles)), strict=True)
    ]
    seeds = np.random.SeedSequence(seed).generate_state(count, np.uint32)
    return [
        PlannedRender(index, style, look, photo, int(seeds[index]), variation)
        for index, (style, look, photo, variation) in enumerate(_alternate(queues))
    ]


def _shares(count: int, parts: int) -> list[int]:
    """Split evenly by largest remainder; with equal weights, the earlier styles get what is left over."""
    return [count // parts + (part < count % parts) for part in range(parts)]


def _style_renders(style: Style, count: int, photos: _PhotoTurns, rng: np.random.Generator) -> Iterator[Choice]:
    order = [style.looks[i] for i in rng.permutation(len(style.looks))]
    photos_of: dict[str, list[int]] = {look.name: [] for look in order}
    for turn in range(count):
        look = order[turn % len(order)]
        drawn = photos_of[look.name]
        repeats = len(drawn) >= photos.count
        photo = photos.next(avoid=drawn[len(drawn) - len(drawn) % photos.count :])
        drawn.append(photo)
        yield style, look, photo, _vary(rng) if repeats else UNCHANGED


def _alternate(queues: Sequence[Iterator[Choice]]) -> Iterator[Choice]:
    waiting = list(queues)
    while waiting:
        for queue in tuple(waiting):
            try:
                yield next(queue)
            except StopIteration:
                waiting.remove(queue)


def _vary(rng: np.random.Generator) -> Variation:
    zoom = float(rng.uniform(1.06, 1.2))
    room = (1 - 1 / zoom) / 2
    shift_x, shift_y = (float(v) for v in rng.uniform(-room, room, 2))
    return Variation(zoom, shift_x, shift_y, bool(rng.random() < 0.5), float(rng.uniform(-1, 1)))


class _PhotoTurns:
    """Hands out photos in proportion to their weight: always the one that is furthest behind its due."""

    def __init__(self, qualities: Sequence[float]) -> None:
        weights = 0.25 + np.asarray(qualities, np.float64)
        self._weights = weights / weights.sum()
        self._used = np.zeros(len(weights))
        self.count = len(weights)

    def next(self, avoid: Sequence[int]) -> int:
        due = self._weights * (self._used.sum() + 1) - self._used
        due[list(avoid)] = -np.inf
        photo = int(due.argmax())
        self._used[photo] += 1
        return photo
