"""The plan: fair shares, no repeats before all was used, better photos more often, the same seed the same plan."""

from __future__ import annotations

from collections import Counter

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
