"""The plan: fair shares, no repeats before all was used, better photos more often, the same seed the same plan.

The properties hold for any number of styles and photos: round-robins that share a counter lock at some of them only.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable

import pytest

from likeness.plan import UNCHANGED, PlannedRender, plan_renders
from likeness_plugins import Look, Style


def style(name: str, looks: int = 10) -> Style:
    return Style(
        name=name,
        title=name.title(),
        description="For the tests.",
        looks=tuple(Look(name=f"look-{n}", prompt=f"{name} {n}") for n in range(looks)),
        licence="Apache-2.0",
        author="Tests",
    )


FIVE = [style(name) for name in ("comic", "neon", "oil", "sketch", "watercolour")]


QUALITIES = {
    "equal": lambda photos: [0.8] * photos,
    "falling": lambda photos: [1 - photo / photos for photo in range(photos)],
    "one good": lambda photos: [0.9] + [0.2] * (photos - 1),
    "mixed": lambda photos: [(photo * 7 % photos) / photos for photo in range(photos)],
}
COUNTS = (4, 7, 12, 20, 25, 29, 30, 31, 45, 60)


def spread(uses: Iterable[object], among: Iterable[object]) -> int:
    """The difference between how often the most and the least used of `among` come."""
    counted = Counter(uses)
    counts = [counted[each] for each in among]
    return max(counts) - min(counts)


def blocks(values: list[int], size: int) -> list[list[int]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def check_style(renders: list[PlannedRender], photos: int) -> None:
    drawn = [render.photo for render in renders]
    assert len(set(drawn)) == min(photos, len(drawn))
    assert spread([render.look.name for render in renders], [look.name for look in renders[0].style.looks]) <= 1
    by_look: dict[str, list[int]] = defaultdict(list)
    for render in renders:
        by_look[render.look.name].append(render.photo)
    for block in itertools.chain(*(blocks(each, photos) for each in by_look.values())):
        assert len(set(block)) == len(block)


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("photos", range(3, 11))
@pytest.mark.parametrize("styles", range(1, 6))
def test_nothing_locks_whatever_the_counts(styles: int, photos: int, quality: str) -> None:
    qualities = QUALITIES[quality](photos)
    for seed, count in enumerate(COUNTS):
        plan = plan_renders(FIVE[:styles], qualities, count, seed)
        by_style: dict[str, list[PlannedRender]] = defaultdict(list)
        for render in plan:
            by_style[render.style.name].append(render)
        for renders in by_style.values():
            check_style(renders, photos)
        used = Counter(render.photo for render in plan)
        for better, worse in itertools.permutations(range(photos), 2):
            if qualities[better] >= qualities[worse]:
                assert used[better] >= used[worse] - 1
        if count >= photos * styles:
            assert len(used) == photos


@pytest.mark.parametrize("photos", range(3, 8))
def test_variations_are_spread_over_looks_and_photos(photos: int) -> None:
    plan = plan_renders(FIVE[:2], [0.8] * photos, 4 * 10 * photos, seed=photos)
    varied = [render for render in plan if render.variation != UNCHANGED]
    groups: dict[tuple[object, ...], list[PlannedRender]] = defaultdict(list)
    for render in varied:
        style, look, photo = combination(render)
        groups[style,].append(render)
        groups[style, look, ""].append(render)
        groups[style, "", photo].append(render)
    assert len(varied) == len(plan) // 2
    for renders in groups.values():
        mirrored = [render.variation.mirror for render in renders]
        warmths = [round(render.variation.warmth * 1.5) for render in renders]  # three bands of equal width
        assert spread(mirrored, (False, True)) <= 3
        assert spread(warmths, (-1, 0, 1)) <= 3
        assert len({(render.variation.zoom, render.variation.shift_x) for render in renders}) == len(renders)


def test_a_combination_that_comes_often_is_varied_in_every_way() -> None:
    plan = plan_renders([style("comic")], [1, 1, 1], 7 * 30, seed=3)
    ways: dict[tuple[str, str, int], set[tuple[bool, int]]] = defaultdict(set)
    for render in plan[30:]:
        ways[combination(render)].add((render.variation.mirror, round(render.variation.warmth * 1.5)))
    assert {len({mirror for mirror, _ in each}) for each in ways.values()} == {2}
    assert {len({warmth for _, warmth in each}) for each in ways.values()} == {3}


@pytest.mark.parametrize(("qualities", "least"), [([0.8] * 5, 4), ([0.9, 0.5, 0.1], 2)])
def test_the_first_avatars_are_drawn_from_different_photos(qualities: list[float], least: int) -> None:
    for seed in range(5):
        assert len({render.photo for render in plan_renders(FIVE, qualities, 30, seed)[:5]}) >= least


def combination(render: PlannedRender) -> tuple[str, str, int]:
    return render.style.name, render.look.name, render.photo


def test_shares_differ_by_one_at_most_and_add_up() -> None:
    counts = Counter(render.style.name for render in plan_renders(FIVE, [1, 1, 1], 32, seed=1))
    assert sorted(counts.values()) == [6, 6, 6, 7, 7]
    assert counts["comic"] == 7


def test_fewer_renders_than_styles_uses_the_first_styles() -> None:
    assert [render.style.name for render in plan_renders(FIVE, [1] * 3, 2, seed=1)] == ["comic", "neon"]


def test_no_combination_repeats_until_all_were_used() -> None:
    plan = plan_renders([style("comic")], [1, 1, 1], 75, seed=3)
    first, rest = plan[:30], plan[30:]
    assert len({combination(render) for render in first}) == 30
    assert all(render.variation == UNCHANGED for render in first)
    assert len({combination(render) for render in rest[:30]}) == 30
    assert all(render.variation != UNCHANGED for render in rest)


def test_every_look_comes_once_before_any_comes_twice() -> None:
    looks = [render.look.name for render in plan_renders([style("oil", 12)], [1] * 4, 24, seed=5)]
    assert len(set(looks[:12])) == 12
    assert len(set(looks[12:])) == 12


def test_better_photos_are_used_more_often_and_none_is_left_out() -> None:
    used = Counter(render.photo for render in plan_renders(FIVE, [0.9, 0.5, 0.1], 30, seed=2))
    assert used[0] > used[1] > used[2] > 0


def test_same_seed_same_plan_and_another_seed_another() -> None:
    assert plan_renders(FIVE, [1, 1, 1], 30, seed=9) == plan_renders(FIVE, [1, 1, 1], 30, seed=9)
    assert plan_renders(FIVE, [1, 1, 1], 30, seed=9) != plan_renders(FIVE, [1, 1, 1], 30, seed=10)


def test_indices_run_through_and_styles_alternate() -> None:
    plan = plan_renders(FIVE, [1, 1, 1], 30, seed=4)
    assert [render.index for render in plan] == list(range(30))
    assert {render.style.name for render in plan[:5]} == {each.name for each in FIVE}


def test_seeds_differ() -> None:
    seeds = [render.seed for render in plan_renders(FIVE, [1, 1, 1], 30, seed=4)]
    assert len(set(seeds)) == 30
