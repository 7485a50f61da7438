"""The capacity benchmark: its queue against theory and against the renderer, its search, its command."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from benchmarks import capacity
from benchmarks.capacity_day import Fleet
from benchmarks.capacity_demand import DAY_S, WARM_S, Demand
from benchmarks.capacity_fleet import (
    Question,
    least_workers,
    most_users,
    paid_hours,
    scale,
)
from benchmarks.capacity_table import square_root_estimate
from benchmarks.capacity_timed import read_report, read_steps
from benchmarks.capacity_waits import Day
from benchmarks.capacity_work import Work
from benchmarks.capacity_worker import Generation
from benchmarks.report import Figure, Report, publish
from likeness.records.queue import LITE_WAITS_S
from likeness_engines import Engines, Render, Renderer, bundled_pack
from likeness_engines.backends.fake_engine import FakeBackend

ONE_S = Work(step_s={1: 1.0}, steps=1, rows=1, avatars=1, at_once=1)
MINIATURE = Work(step_s={1: 0.03, 10: 0.2}, steps=6, rows=1, avatars=30, at_once=4, encode_s=0.1, decode_s=0.03)
QUESTION = Question(demand=Demand(), work=MINIATURE, plus_s=60, lite_s=900, wait_most_s=2700)
NEVER = math.inf


def poisson(rate: float, count: int, sizes: str = "equal", plus: float = 1.0) -> list[Generation]:
    random = np.random.default_rng(7)
    at = np.cumsum(random.exponential(1 / rate, count))
    left = random.exponential(1.0, count) if sizes == "exponential" else np.ones(count)
    tiers = random.random(count) < plus
    return [Generation(*each) for each in zip(at.tolist(), tiers.tolist(), left.tolist(), strict=True)]


def serve(work: Work, coming: Sequence[Generation], workers: int = 1) -> None:
    Fleet(work, [(0.0, workers)], NEVER).run(coming, NEVER)


def mean_wait(coming: Sequence[Generation], *, plus: bool = True) -> float:
    return float(np.mean([each.begun - each.at for each in coming if each.plus == plus]))


def erlang_c(workers: int, load: float) -> float:
    """The probability of waiting in M/M/c, by the recursion of Erlang B."""
    blocked = 1.0
    for number in range(1, workers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - load / workers * (1 - blocked))


def test_one_at_a_time_waits_as_pollaczek_and_khinchine_say() -> None:
    coming = poisson(0.7, 200_000)
    serve(ONE_S, coming)
    assert mean_wait(coming) == pytest.approx(0.7 / (2 * 0.3), rel=0.03)


@pytest.mark.parametrize("sizes", ["equal", "exponential"])
def test_a_shared_worker_takes_as_long_as_processor_sharing_whatever_the_sizes(sizes: str) -> None:
    coming = poisson(0.6, 200_000, sizes)
    serve(msgspec.structs.replace(ONE_S, at_once=60), coming)
    assert np.mean([each.ended - each.at for each in coming]) == pytest.approx(1 / (1 - 0.6), rel=0.03)


@pytest.mark.parametrize(("workers", "rate"), [(2, 1.5), (5, 4.0), (20, 17.0)])
def test_several_workers_wait_as_erlang_says(workers: int, rate: float) -> None:
    coming = poisson(rate, 200_000, "exponential")
    serve(ONE_S, coming, workers)
    assert mean_wait(coming) == pytest.approx(erlang_c(workers, rate) / (workers - rate), rel=0.05)


def test_tiers_wait_as_cobham_says_while_no_lite_one_is_due() -> None:
    coming = poisson(0.8, 300_000, plus=0.5)
    serve(ONE_S, coming)
    behind = 0.8 / 2
    assert max(each.begun - each.at for each in coming) < LITE_WAITS_S
    assert mean_wait(coming) == pytest.approx(behind / (1 - 0.4), rel=0.03)
    assert mean_wait(coming, plus=False) == pytest.approx(behind / (1 - 0.4) / (1 - 0.8), rel=0.05)


def test_lite_goes_before_plus_after_fifteen_minutes() -> None:
    """One Lite amid twice as many Plus as can be drawn: it goes before those that come once it is due."""
    lite, plus = Generation(0.25, False), [Generation(number / 2, True) for number in range(4 * LITE_WAITS_S)]
    serve(ONE_S, sorted([lite, *plus], key=lambda each: each.at))
    before = [each for each in plus if each.begun < lite.begun]
    assert {each.at <= lite.due for each in before} == {True}
    assert len(before) == sum(each.at <= lite.due for each in plus)


def test_lite_gives_its_rows_away_until_it_is_due() -> None:
    """Both share a worker with room for one: Plus draws first; from when Lite is due, each has half."""
    work = Work(step_s={1: 1.0}, steps=2000, rows=1, avatars=1, at_once=2)
    lite, plus = Generation(0.0, False), Generation(100.0, True)
    serve(work, [lite, plus])
    assert lite.begun == 0.0
    # Lite has 100 s of its 2000 by then, Plus the 800 s until 900: then half each.
    assert plus.ended == pytest.approx(900 + 2 * 1200)
    assert lite.ended == pytest.approx(4000)


def test_a_lite_one_that_gets_no_rows_has_not_begun() -> None:
    work = Work(step_s={1: 1.0}, steps=50, rows=1, avatars=1, at_once=2)
    plus, lite = Generation(0.0, True), Generation(10.0, False)
    serve(work, [plus, lite])
    assert (lite.begun, lite.ended) == pytest.approx((50, 100))


def test_rows_that_plus_leaves_go_to_lite() -> None:
    work = Work(step_s={3: 1.0}, steps=1, rows=2, avatars=1, at_once=2)
    assert work.shares(1, 1) == pytest.approx((1.0, 0.5))
    assert work.shares(2, 0) == pytest.approx((0.75, 0.0))
    assert work.shares(0, 0) == (0.0, 0.0)


def test_a_generation_takes_what_its_steps_its_photos_and_its_pictures_take() -> None:
    assert MINIATURE.full_s == pytest.approx(3 * 6 * 0.2 + 0.1 + 30 * 0.03)
    alone = msgspec.structs.replace(MINIATURE, avatars=1, at_once=1, serving=1.1)
    assert alone.full_s == pytest.approx(1.1 * (6 * 0.03 + 0.1 + 0.03))
    assert 1 / alone.shares(1, 0)[0] == pytest.approx(alone.full_s)


@pytest.mark.parametrize("priorities", [(0, 0), (1, 0)])
def test_a_worker_draws_as_the_renderer_does(priorities: tuple[int, int]) -> None:
    """Thirty and thirty, the second amid the first: both end within a render's steps of the renderer's."""
    backend = FakeBackend(max_rows=10)
    renderer, source = Renderer(Engines(bundled_pack(), backend)), np.zeros(bundled_pack().about.latents, np.float32)
    ended, step = {}, 0
    while step < 36:
        for group, comes in enumerate((0, 7)):
            for number in range(30 * (step == comes)):
                name, priority = f"{group} {number}", priorities[group]
                renderer.submit(
                    Render(
                        id=name,
                        source=source,
                        prompt="",
                        steps=6,
                        guidance=1.0,
                        group=str(group),
                        priority=priority,
                    )
                )
        step += 1
        ended |= {outcome.id[0]: step for outcome in renderer.step() if outcome.pixels is not None}
    coming = [Generation(at, not priority) for at, priority in zip((0.0, 7.0), priorities, strict=True)]
    serve(Work(step_s={10: 1.0}, steps=6, rows=1, avatars=30, at_once=4), coming)
    assert [each.ended for each in coming] == pytest.approx([ended["0"], ended["1"]], abs=6)
    assert max(each.ended for each in coming) == pytest.approx(36)


@pytest.mark.parametrize("workers", [1, 5, 40])
def test_everybody_is_drawn_refused_or_still_there(workers: int) -> None:
    at, plus = QUESTION.demand.arrivals(20_000)
    noon = WARM_S + DAY_S / 2
    coming = [Generation(*each) for each in zip(at.tolist(), plus.tolist(), strict=True) if each[0] <= noon]
    fleet = Fleet(MINIATURE, [(0.0, workers)], 2700)
    fleet.run(coming, noon)
    refused = sum(each.refused for each in coming)
    drawn = sum(not math.isnan(each.ended) for each in coming)
    there = len(fleet._plus) + len(fleet._lite) + sum(len(worker) for worker in fleet._workers)
    assert refused + drawn + there == len(coming)
    assert all(math.isnan(each.begun) for each in coming if each.refused)
    assert (refused > 0) == (workers == 1)
    assert len(fleet.busy_from) - len(fleet.busy_until) == sum(len(worker) > 0 for worker in fleet._workers)


def test_who_is_refused_would_have_waited_longer_than_is_allowed() -> None:
    """One worker, a second each: ten wait or are drawn when the others come."""
    coming = [Generation(0.0, True) for _ in range(20)]
    fleet = Fleet(ONE_S, [(0.0, 1)], 10.0)
    fleet.run(coming, NEVER)
    assert [each.refused for each in coming] == [False] * 11 + [True] * 9
    assert [each.begun for each in coming[:11]] == pytest.approx(range(11))


def test_a_worker_that_goes_finishes_and_takes_no_more() -> None:
    coming = [Generation(at, True) for at in (0.0, 0.1, 1.5, 1.6)]
    Fleet(ONE_S, [(0.0, 2), (0.5, 1), (10.0, 2)], NEVER).run(coming, NEVER)
    assert sorted(each.ended for each in coming[:2]) == pytest.approx([1.0, 1.1])
    assert [each.begun for each in coming[2:]] == pytest.approx([1.5, 2.5])


def test_a_worker_that_comes_takes_what_waits() -> None:
    coming = [Generation(0.0, True) for _ in range(3)]
    Fleet(ONE_S, [(0.0, 1), (0.5, 2)], NEVER).run(coming, NEVER)
    assert [each.begun for each in coming] == pytest.approx([0.0, 0.5, 1.0])


def test_a_day_says_who_waited_and_how_many_were_busy() -> None:
    """Two hours of one worker, in the first hour after the warm-up; one comes who is not drawn by the day's end."""
    work = msgspec.structs.replace(ONE_S, step_s={1: 3600.0})
    coming = [Generation(WARM_S + at, True) for at in (0.0, 0.0, DAY_S - 100)]
    fleet = Fleet(work, [(0.0, 1)], NEVER)
    fleet.run(coming, WARM_S + DAY_S)
    day = Day.of(fleet, coming)
    assert day.busy_by(3600.0) == pytest.approx([1, 1, *[0] * 21, 100 / 3600])
    assert day.arrivals_by(3600.0) == pytest.approx([2, *[0] * 22, 1])
    assert day.wait_s == pytest.approx([0, 3600, 0])
    assert (day.worst_p95(plus=True), day.worst_p95(plus=False), day.drawn) == (3600, 0, 2)


def test_more_workers_never_wait_longer_and_the_smallest_enough_is_found() -> None:
    fewest = least_workers(QUESTION, 20_000)
    days = [QUESTION.day(20_000, [(0.0, workers)]) for workers in range(fewest - 1, fewest + 3)]
    assert [QUESTION.holds(day) for day in days] == [False, True, True, True]
    waits = [day.worst_p95(plus=False) for day in days]
    assert waits == sorted(waits, reverse=True)
    assert days[1].wait_s.tolist() == QUESTION.day(20_000, [(0.0, fewest)]).wait_s.tolist()
    assert days[1].wait_s.tolist() != (
        msgspec.structs.replace(QUESTION, demand=Demand(seed=2)).day(20_000, [(0.0, fewest)]).wait_s.tolist()
    )


def test_a_slice_carries_at_least_its_users_and_a_larger_one_no_fewer_a_worker() -> None:
    carried = {}
    for users in (10_000, 40_000):
        workers = least_workers(QUESTION, users)
        most = most_users(QUESTION, workers, users)
        assert users <= most <= users * workers / (workers - 1)
        assert QUESTION.holds(QUESTION.day(most, [(0.0, workers)]))
        carried[users] = most / workers
    assert carried[40_000] > 0.98 * carried[10_000]


@pytest.mark.parametrize("load", [0.5, 5.0, 50.0, 500.0])
def test_the_square_root_estimate_is_erlangs_within_a_worker(load: float) -> None:
    users = load / QUESTION.load(1)
    full_s, workers = MINIATURE.full_s, math.floor(load) + 1
    while erlang_c(workers, load) * math.exp(-(workers - load) * 60 / full_s) > 0.05:
        workers += 1
    assert abs(square_root_estimate(QUESTION, users) - workers) <= 1


def test_hours_are_scaled_within_the_fleet_and_keep_the_targets() -> None:
    workers = least_workers(QUESTION, 30_000)
    opened = scale(QUESTION, 30_000, workers)
    counts = [count for _, count in opened]
    assert max(counts) == workers
    assert min(counts) < workers / 2
    assert QUESTION.holds(QUESTION.day(30_000, opened))
    assert paid_hours(opened, MINIATURE, 300) < 24 * workers


def test_starting_early_and_finishing_late_is_paid() -> None:
    work = msgspec.structs.replace(ONE_S, at_once=4)
    opened = [(hour * 3600.0, 2 if hour == 5 else 1) for hour in range(25)]
    assert paid_hours(opened, work, 360) == pytest.approx(25 + 0.1 + 4 / 3600)


def test_users_come_by_the_curve_in_their_own_time() -> None:
    curve = [0] * 20 + [10] + [0] * 3
    here, east = Demand(curve=curve), Demand(curve=curve, zones=((8.0, 1.0),))
    assert here.rates()[60:].sum() == pytest.approx(1)
    for demand, peak in ((here, 20), (east, 12)):
        at, _ = demand.arrivals(50_000)
        hours = (at - WARM_S) / 3600 + demand.starts_h
        assert np.mean(hours % 24) == pytest.approx(peak, abs=0.02)
        assert np.ptp(hours) < 2
    assert here.peak(3600) == pytest.approx(1, rel=0.02)
    both = Demand(curve=curve, zones=((0.0, 3.0), (8.0, 1.0)), generating=0.5, plus=0.3)
    at, plus = both.arrivals(100_000)
    assert len(at) == 50_000
    assert plus.mean() == pytest.approx(0.3, abs=0.01)
    assert np.mean((at - WARM_S) / 3600 + both.starts_h > 16) == pytest.approx(0.75, abs=0.01)


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str) -> Report:
    """What the command writes; its picture is `capacity.svg`."""
    out = folder / "capacity.json"
    monkeypatch.setattr(
        sys, "argv", ["capacity.py", "--out", str(out), "--plot", str(folder / "capacity.svg"), *options]
    )
    assert capacity.main() == 0
    return msgspec.json.decode(out.read_bytes(), type=Report)


GIVEN = ("--step-ms", "10:200,30:500", "--encode-ms", "50", "--decode-ms", "5", "--users", "2000,20000")


def test_the_command_answers_for_gpus_from_given_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report = run(monkeypatch, tmp_path, *GIVEN, "--slice", "9000")
    values = {figure.name: figure.value for figure in report.figures}
    assert len(values) == len(report.figures)
    assert 0 < values["2,000 users: GPUs"] < values["20,000 users: GPUs"]
    assert "20,000 users: GPUs, by slices half as large" in values
    assert values["20,000 users: GPU hours a day, scaled"] < values["20,000 users: GPU hours a day, fixed"]
    assert values["2,000 users: price of a day, fixed"] == pytest.approx(3 * 24 * values["2,000 users: GPUs"])
    assert "GPUs" not in report.settings
    assert all(
        f"{part}" in report.settings["assumed"] for part in ("evening peak", "20% of them Plus", "$3", "20 steps")
    )
    texts = [
        each.text or "" for each in ElementTree.parse(tmp_path / "capacity.svg").iter() if each.tag.endswith("text")
    ]
    assert any(text.startswith("20,000 users a day") for text in texts)
    assert [figure.value for figure in run(monkeypatch, tmp_path, *GIVEN, "--slice", "9000").figures] == list(
        values.values()
    )


def test_without_times_it_measures_this_cpu_and_says_nothing_about_gpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report = run(monkeypatch, tmp_path, "--users", "300", "--threads", "1", "--price-per-hour", "0.5")
    assert report.settings["GPUs"] == capacity.NO_GPU
    assert "this CPU, threads 1" in report.settings["times"]
    names = [figure.name for figure in report.figures]
    assert names[0] == "300 users: workers"
    assert not any("GPU" in name for name in names)


@pytest.mark.parametrize(("card", "unit"), [("NVIDIA H200", "GPUs"), ("no GPU: tiny shapes", "workers")])
def test_a_report_is_read_by_the_card_it_names(tmp_path: Path, card: str, unit: str) -> None:
    path, known = tmp_path / "gpu.json", {"avatars": 60, "at_once": 4}
    names = ("SDXL, 20 steps: thirty, five LoRAs mixed", "SDXL, 4 steps: thirty, five LoRAs mixed", "SDXL: other")
    publish("gpu", [Figure(name, 9.0, "s", "lower") for name in names], {"card": card}, path)
    timed = read_report(path, "20 steps", **known)
    assert (timed.unit, timed.work.full_s) == (unit, pytest.approx(18.0))
    assert card in timed.source
    with pytest.raises(SystemExit, match=r"2 figures .*Pick one with --figure"):
        read_report(path, "SDXL", **known)


def test_reports_and_steps_that_say_nothing_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    publish("photos", [], {}, path)
    for wrong, words in ((path, "is of photos.py"), (tmp_path / "none.json", "No such file")):
        with pytest.raises(SystemExit, match=words):
            read_report(wrong, "")
    for text in ("8", "a:b", "0:5", "8:-1"):
        with pytest.raises(SystemExit, match="--step-ms is"):
            read_steps(text, steps=1, rows=1, avatars=1, at_once=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--step-ms", "8:12"), "--encode-ms and --decode-ms"),
        (("--curve", "1,2,3"), "24 numbers"),
        (("--zones", "8"), "hours:share"),
        (("--users", "0"), "at least 1"),
    ],
)
def test_a_wrong_call_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["capacity.py", *options])
    with pytest.raises(SystemExit):
        capacity.main()
    assert words in capsys.readouterr().err
