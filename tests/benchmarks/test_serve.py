"""Serving's arithmetic, and its photos."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.client import at_once, sample
from benchmarks.serve import covered_s, percentile, price_of_1000
from benchmarks.uploads import encode, enlarge, five_pictures
from tests.patience import patience_s


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 10), (95, 19), (99, 20), (100, 20)])
def test_a_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    assert percentile([*range(20, 0, -1)], percent) == value


def test_percentiles_of_one_value_are_that_value() -> None:
    assert [percentile([7.0], percent) for percent in (50, 95, 99)] == [7.0, 7.0, 7.0]


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [([], 0), ([(1, 3)], 2), ([(1, 3), (5, 6)], 3), ([(2, 6), (1, 3), (4, 5)], 5), ([(1, 2), (1, 2)], 1)],
)
def test_time_in_several_spans_counts_once(spans: list[tuple[float, float]], seconds: float) -> None:
    assert covered_s(spans) == seconds


def test_a_thousand_avatars_cost_their_share_of_the_hour() -> None:
    assert price_of_1000(0.10, avatars=3000, seconds=1800) == pytest.approx(0.10 / 6)


def test_jobs_answer_in_their_order_and_the_first_failure_is_raised() -> None:
    second_ended = threading.Event()

    def second() -> int:
        second_ended.set()
        return 2

    assert at_once([lambda: 1 if second_ended.wait(patience_s()) else 0, second]) == [1, 2]
    with pytest.raises(SystemExit, match="refused"):
        at_once([second, lambda: exec("raise SystemExit('refused')")])


def test_samples_are_taken_by_turns() -> None:
    stop = threading.Event()
    first, second = sample([lambda: None, stop.set], stop, every_s=0.0)
    assert len(first) == len(second) == 1


def test_a_folder_with_few_photos_gives_five_different_ones(tmp_path: Path) -> None:
    picture = Image.radial_gradient("L").convert("RGB").rotate(30)
    for name in ("a.jpg", "b.JPEG"):
        (tmp_path / name).write_bytes(encode(picture))
    assert len(five_pictures(tmp_path)) == 5
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match="no JPEG"):
        five_pictures(tmp_path / "empty")


def test_an_enlarged_photo_keeps_to_its_bytes() -> None:
    photo = enlarge(Image.radial_gradient("L").convert("RGB"), megapixels=0.25, most_bytes=60_000, noise=6)
    assert 50_000 < len(photo) <= 60_000
