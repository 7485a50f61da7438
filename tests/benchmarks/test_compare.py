"""Reports and their comparison: what counts as worse, what a missed goal does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import compare
from benchmarks.report import Figure, publish


def report(path: Path, **values: float) -> Path:
    figures = [
        Figure("time", values.get("time", 10), "s", "lower"),
        Figure("rate", values.get("rate", 10), "1/s", "higher"),
    ]
    publish("render", figures[: int(values.get("figures", 2))], {}, path)
    return path


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, 0),
        ({"time": 10.9, "rate": 9.1}, 0),
        ({"time": 5, "rate": 20}, 0),
        ({"time": 11.2}, 1),
        ({"rate": 8.9}, 1),
        ({"figures": 1}, 1),
    ],
)
def test_ten_percent_worse_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, float], code: int
) -> None:
    old, new = report(tmp_path / "old.json"), report(tmp_path / "new.json", **values)
    monkeypatch.setattr(sys, "argv", ["compare.py", str(old), str(new)])
    assert compare.main() == code


def test_another_benchmark_or_no_report_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = report(tmp_path / "old.json")
    publish("photos", [], {}, tmp_path / "other.json")
    (tmp_path / "text.json").write_text("hello")
    for name, words in (
        ("other.json", "like with like"),
        ("text.json", "is not a benchmark's JSON"),
        ("no.json", "No such file"),
    ):
        monkeypatch.setattr(sys, "argv", ["compare.py", str(old), str(tmp_path / name)])
        with pytest.raises(SystemExit, match=words):
            compare.main()


@pytest.mark.parametrize(("value", "code"), [(14.9, 0), (15.0, 0), (15.1, 1)])
def test_a_missed_goal_is_an_exit_code(tmp_path: Path, value: float, code: int) -> None:
    assert publish("render", [Figure("time", value, "s", "lower", 15)], {}, tmp_path / "r.json") == code
