"""The plugin alone: what it refuses, what it lets pass."""

from __future__ import annotations

import likeness_blocklist
import numpy as np
import pytest
from likeness_blocklist import fingerprint, likeness_review_avatar, likeness_review_photo

RNG = np.random.default_rng(0)


def picture(seed: int) -> np.ndarray:
    """Smooth blobs, as different from each other as faces are."""
    cells = np.random.default_rng(seed).integers(40, 216, (6, 6, 3))
    return np.kron(cells, np.ones((48, 48, 1))).astype(np.uint8)


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    unwanted = picture(1)
    monkeypatch.setattr(likeness_blocklist, "blocklist", lambda: (fingerprint(unwanted),))
    return unwanted


def test_a_listed_photo_is_refused_with_a_remedy(blocked: np.ndarray) -> None:
    assert likeness_review_photo(blocked) == "This picture may not be used here. Use photos of yourself."


def test_so_is_the_same_photo_smaller_and_noisier(blocked: np.ndarray) -> None:
    noisy = np.clip(blocked[::2, ::2] + RNG.normal(0, 6, (144, 144, 3)), 0, 255).astype(np.uint8)
    assert likeness_review_photo(noisy)


@pytest.mark.usefixtures("blocked")
def test_other_photos_pass() -> None:
    assert [likeness_review_photo(picture(seed)) for seed in range(2, 30)] == [None] * 28


def test_an_empty_list_refuses_nothing() -> None:
    assert likeness_review_photo(picture(1)) is None


def test_an_avatar_that_shows_nothing_is_refused() -> None:
    assert likeness_review_avatar(np.full((64, 64, 3), 90, np.uint8)) == "The avatar shows nothing."
    assert likeness_review_avatar(picture(3)) is None
