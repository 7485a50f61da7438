"""Variations stay inside the crop, keep its size, and change it."""

from __future__ import annotations

import numpy as np
import pytest

from likeness.plan import UNCHANGED, Variation
from likeness.variation import vary

CROP = np.random.default_rng(0).integers(40, 200, (64, 64, 3), np.uint8)


def test_unchanged_is_the_crop_itself() -> None:
    assert vary(CROP, UNCHANGED) is CROP


@pytest.mark.parametrize("shift", [-0.5, -0.05, 0.0, 0.05, 0.5])
def test_shifts_never_leave_the_crop(shift: float) -> None:
    varied = vary(CROP, Variation(zoom=1.2, shift_x=shift, shift_y=-shift))
    assert varied.shape == CROP.shape
    assert varied.dtype == np.uint8
    # Bicubic resampling of values from 40 to 199 cannot give the 0 of an invented black border over whole rows.
    assert varied.mean(axis=(1, 2)).min() > 60
    assert varied.mean(axis=(0, 2)).min() > 60


def test_mirror_mirrors_and_warmth_warms() -> None:
    mirrored = vary(CROP, Variation(mirror=True))
    assert np.array_equal(mirrored, CROP[:, ::-1])
    warm = vary(CROP, Variation(warmth=1.0)).astype(int) - CROP
    assert warm[..., 0].mean() > 10 > -10 > warm[..., 2].mean()
