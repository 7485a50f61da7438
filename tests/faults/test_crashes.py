"""The process dies before or after any one step between store and database: what it leaves is found and goes."""

from __future__ import annotations

from pathlib import Path

from tests.faults.crashes import crash_often


def test_crashes_leave_nothing_either_way(tmp_path: Path) -> None:
    mended, orphans, lost = crash_often(tmp_path, 30, seed=1)
    assert mended > 0  # some did leave something
    assert (orphans, lost) == (0, 0)
