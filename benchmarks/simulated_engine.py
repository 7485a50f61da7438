"""Not a benchmark: a backend whose step takes a fixed time, for what is not about the arithmetic: fleets and faults.

`SIMULATED_STEP_MS` is the time of a UNet batch, whatever its rows; while the file that `SIMULATED_HANG` names is there,
a batch does not end.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)

from likeness.cli import main
from likeness_engines.backends import BACKENDS
from likeness_engines.backends.base import Array, BackendOptions
from likeness_engines.backends.fake_engine import FakeBackend, FakeEngine
from likeness_engines.pack import ModelPack

NAME: Final = "simulated"
ROWS: Final = 30


class SimulatedBackend(FakeBackend):
    """The pack's shapes, without its work."""

    name = NAME

    def __init__(self) -> None:
        super().__init__(max_rows=ROWS)
        self.step_s = float(os.environ.get("SIMULATED_STEP_MS", "0")) / 1000
        self.hang = Path(os.environ.get("SIMULATED_HANG", "/nonexistent"))

    def load(self, pack: ModelPack, network: str) -> FakeEngine:
        """Any network, at once."""
        self.calls[network] = _Forgetful()
        return _SimulatedEngine(self, pack, network)


class _SimulatedEngine(FakeEngine):
    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Take the time that a step is given."""
        backend = self._backend
        assert isinstance(backend, SimulatedBackend)
        if self._network == "unet":
            time.sleep(backend.step_s)
            while backend.hang.exists():
                time.sleep(0.05)
        return super().run(inputs)


class _Forgetful(list[Any]):
    def append(self, _: Any) -> None:
        """A worker runs for longer than a test: keep no inputs."""


def create(_options: BackendOptions) -> SimulatedBackend:
    """As every module of a backend does."""
    return SimulatedBackend()


if __name__ == "__main__":
    BACKENDS[NAME] = "benchmarks.simulated_engine"  # type: ignore[index]
    sys.exit(main(["worker", *sys.argv[1:]]))
