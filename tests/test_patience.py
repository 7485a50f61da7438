"""Waits of tests end on their condition, and give up later the busier the machine is."""

from __future__ import annotations

import os

import pytest

from tests.patience import patience_s, wait_until


@pytest.mark.parametrize(("load", "expected"), [(0.1, 90.0), (2.0, 90.0), (12.0, 540.0)])
def test_patience_grows_with_the_load_a_core(monkeypatch: pytest.MonkeyPatch, load: float, expected: float) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    assert patience_s(90.0) == expected


def test_a_wait_returns_what_it_waited_for() -> None:
    answers = iter([None, 0, "there"])
    assert wait_until(lambda: next(answers)) == "there"


def test_a_wait_in_vain_says_what_was_there() -> None:
    with pytest.raises(AssertionError, match=r"^waited in vain for 0 s\nthe log$"):
        wait_until(lambda: False, lambda: "the log", quiet_s=0.0)
