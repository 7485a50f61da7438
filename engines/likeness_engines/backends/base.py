"""What a backend is: something that loads a pack's networks and runs them on batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness_engines.errors import BackendError
from likeness_engines.pack import ModelPack

Array = NDArray[Any]


class TensorSpec(msgspec.Struct, frozen=True):
    """A network's input or output; a dimension is None where it varies from call to call."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]


class Engine(Protocol):
    """One network, loaded. `run` may be called from one thread at a time."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch; raises BackendError when the inputs do not fit or the backend fails."""
        ...


class Backend(Protocol):
    """Loads networks. `max_rows` is the UNet batch at which a render is cheapest on this hardware."""

    name: str
    max_rows: int

    def load(self, pack: ModelPack, network: str) -> Engine:
        """Load `unet`, `vae_encoder`, `vae_decoder` or `text_encoder`; raises BackendError."""
        ...


def check_inputs(specs: Mapping[str, TensorSpec], inputs: Mapping[str, Array]) -> None:
    """Raise BackendError for the first input that is missing, unknown or of another shape than declared."""
    for name in specs.keys() ^ inputs.keys():
        raise BackendError(f"The input {name} is {'missing' if name in specs else 'not one of this network'}.")
    for name, spec in specs.items():
        shape = inputs[name].shape
        fits = len(shape) == len(spec.shape) and all(
            want in (None, got) for want, got in zip(spec.shape, shape, strict=True)
        )
        if not fits:
            raise BackendError(f"The input {name} is {shape}; this network takes {spec.shape}.")
