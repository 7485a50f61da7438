"""What several tests of marks need."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.provenance import Marker, open_marker
from tests.certificates import Authority


@pytest.fixture(scope="session")
def marker() -> Marker:
    """Signs with a certificate of its own making."""
    return open_marker("", "", None)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="session")
def pixels(astronaut: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A face, uint8 [256, 256, 3]."""
    return np.ascontiguousarray(astronaut[:256, 100:356])
