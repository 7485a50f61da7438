"""Deciding which renders make a generation: which look of which style is drawn from which photo, with which seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

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
Counts = NDArray[np.int64]
MIRRORING = (False, True)
WARMTH_BANDS = ((-1.0, -1 / 3), (-1 / 3, 1 / 3), (1 / 3, 1.0))


def plan_renders(styles: Sequence[Style], qualities: Sequence[float], count: int, seed: int) -> list[PlannedRender]:
    """Plan `count` renders; the same arguments give the same plan.

    Styles take turns, and so do the looks of each. A style sees as many photos as it has renders for, and a look sees
    all before one twice; better photos (quality 0..1) are used more often. A (style, look, photo) that comes again is
    varied.
    """
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(style.looks)) for style in styles]
    wanted = _deal_photos(orders, qualities, count)
    used = [np.zeros_like(each) for each in wanted]
    variations = _Variations(rng)
    plan = []
    for index, render_seed in enumerate(np.random.SeedSequence(seed).generate_state(count, np.uint32)):
        turn, place = divmod(index, len(styles))
        look = int(orders[place][turn % len(orders[place])])
        photo = _next_photo(look, wanted[place], used[place], np.sum([each.sum(axis=0) for each in used], axis=0))
        variation = variations.next(place, look, photo) if used[place][look, photo] else UNCHANGED
        used[place][look, photo] += 1
        style = styles[place]
        plan.append(PlannedRender(index, style, style.looks[look], photo, int(render_seed), variation))
    return plan


def _deal_photos(orders: Sequence[Counts], qualities: Sequence[float], count: int) -> list[Counts]:
    """How many renders are drawn from each photo, as an array [look, photo] for each style.

    Dealt style by style: dealing in turns locks when the counts of styles and photos share a factor. A style gets all
    photos once, then more by Sainte-Laguë's rule over all styles so far, one at most as often as it has looks.
    """
    weights = 0.25 + np.asarray(qualities, np.float64)
    dealt = np.zeros(len(weights), np.int64)
    wanted = []
    for place, order in enumerate(orders):
        share = np.zeros_like(dealt)
        for _ in range(place, count, len(orders)):
            photo = _first(share // len(order), share > 0, -weights / (dealt + 0.5))
            share[photo] += 1
            dealt[photo] += 1
        wanted.append(_deal_to_looks(share, order, place))
    return wanted


def _deal_to_looks(share: Counts, order: Counts, start: int) -> Counts:
    """A style's photos, dealt to its looks such that none has one twice before it has all.

    Each look gets all of its photos at once, those of which most are left: by Gale and Ryser, that always comes out
    even. Styles start at different looks, so that the first avatars are not all drawn from the best photo.
    """
    dealt = np.zeros((len(order), len(share)), np.int64)
    turns = np.bincount(np.arange(share.sum()) % len(order), minlength=len(order))
    drawn = np.count_nonzero(turns)
    for turn in np.roll(np.arange(drawn), start):
        look = order[turn]
        for _ in range(turns[turn]):
            taken = dealt.sum(axis=0)
            dealt[look, _first(dealt[look], taken - share, taken)] += 1
    return dealt


def _next_photo(look: int, wanted: Counts, used: Counts, by_all: Counts) -> int:
    """Of a look's photos, the one of which the style has the largest part left, then the one least used in all."""
    part_used = used.sum(axis=0) / np.maximum(wanted.sum(axis=0), 1)
    return _first(used[look] >= wanted[look], used[look], part_used, by_all)


def _first(*keys: NDArray[Any]) -> int:
    """The photo with the smallest first key, of equals that with the smallest second key, and so on."""
    return int(np.lexsort(keys[::-1])[0])


class _Variations:
    """Hands out variations such that each look and each photo of a style gets all mirrorings and warmths in turn."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._uses: Counter[tuple[object, object]] = Counter()

    def next(self, style: int, look: int, photo: int) -> Variation:
        groups = ((style, None, None), (style, look, None), (style, None, photo), (style, look, photo))
        pairs = list(product(MIRRORING, WARMTH_BANDS))
        self._rng.shuffle(pairs)
        pair = min(pairs, key=lambda pair: sum(self._uses[group, part] for group in groups for part in (pair, *pair)))
        self._uses.update((group, part) for group in groups for part in (pair, *pair))
        mirror, band = pair
        return self._cropped(mirror, float(self._rng.uniform(*band)))

    def _cropped(self, mirror: bool, warmth: float) -> Variation:
        zoom = float(self._rng.uniform(1.06, 1.2))
        room = (1 - 1 / zoom) / 2
        shift_x, shift_y = (float(v) for v in self._rng.uniform(-room, room, 2))
        return Variation(zoom, shift_x, shift_y, mirror, warmth)
