"""What a backend is: something that loads a pack's networks and runs them on batches, where its arrays live."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness_engines.errors import BackendError, EngineError
from likeness_engines.pack import ModelPack

# NumPy's on the host, torch's on a device: a backend's `arrays` says which.
Array = Any
Precision = Literal["fp32", "fp16", "bf16", "fp8"]


class TensorSpec(msgspec.Struct, frozen=True):
    """A network's input or output; a dimension is None where it varies from call to call."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]


class Pending(Protocol):
    """Work that was started beside the batch."""

    def ready(self) -> bool:
        """Whether `result` would answer without waiting."""
        ...

    def result(self) -> NDArray[Any]:
        """Wait for the result, on the host; raises what the work raised."""
        ...


class Arrays(Protocol):
    """Where a backend keeps its arrays. `xp` is numpy or torch; only functions that both have may be called on it."""

    xp: ModuleType

    def put(self, values: NDArray[Any], dtype: np.dtype[Any] | None = None) -> Array:
        """Copy from the host, converted to `dtype`; on a device, without waiting for what runs there."""
        ...

    def fetch(self, array: Array) -> NDArray[Any]:
        """Copy to the host; waits for what computes it."""
        ...

    def cast(self, array: Array, dtype: np.dtype[Any]) -> Array:
        """Convert where it is."""
        ...

    def aside(self, work: Callable[[], Array]) -> Pending:
        """Start `work` on what has been computed so far, where it does not hold up the UNet; its result comes to the
        host.
        """
        ...

    def pace(self) -> None:
        """Called once a step: wait until all but what this step started is done, so that no one runs far ahead of a
        device.
        """
        ...


class Engine(Protocol):
    """One network, loaded. `run` may be called from one thread at a time; what it answers is the caller's to keep."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch; raises BackendError when the inputs do not fit or the backend fails."""
        ...


class Backend(Protocol):
    """Loads networks. `max_rows` is the UNet batch at which a render is cheapest on this hardware."""

    name: str
    max_rows: int
    arrays: Arrays

    def load(self, pack: ModelPack, network: str) -> Engine:
        """Load one of the pack's `networks`; raises BackendError."""
        ...


class BackendOptions(msgspec.Struct, frozen=True):
    """`threads` None means one for every core; `cache` is the folder of built engines, None for the user's own."""

    threads: int | None = None
    cache: Path | None = None


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What engines are built for; they run on the very same library version and device alone.

    `rows` is the largest UNet batch.
    """

    backend: str
    version: str
    device: str
    precision: Precision
    rows: int


class Compiler(Protocol):
    """What the module of a backend adds, as the function `compiler()`, whose engines can be built ahead."""

    def target(self, rows: int, precision: Precision | None = None) -> Target:
        """What would be built here; `precision` None means this device's best. Raises BackendError when the library
        or the device is not there, or cannot do it.
        """
        ...

    def free_memory(self) -> int:
        """Bytes of memory that are free on the device."""
        ...

    def build(self, pack: ModelPack, network: str, target: Target, folder: Path) -> None:
        """Write into `folder`, which is the pack's and this target's, what loading this network needs."""
        ...


class HostArrays:
    """NumPy arrays; nothing runs beside anything."""

    xp = np

    def put(self, values: NDArray[Any], dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
        """The very values, converted where they must be."""
        return np.asarray(values, dtype)

    def fetch(self, array: NDArray[Any]) -> NDArray[Any]:
        """The very array."""
        return array

    def cast(self, array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """A converted copy, or the array where nothing is to convert."""
        return array.astype(dtype, copy=False)

    def aside(self, work: Callable[[], NDArray[Any]]) -> Pending:
        """Do it now: on a CPU both would want the same cores."""
        try:
            return Done(work())
        except EngineError as error:
            return Done(None, error)

    def pace(self) -> None:
        """Nothing to wait for."""


class Done:
    """A result that is there, or an error that waits to be raised."""

    def __init__(self, value: NDArray[Any] | None, error: EngineError | None = None) -> None:
        self._value, self._error = value, error

    def ready(self) -> bool:
        """Always."""
        return True

    def result(self) -> NDArray[Any]:
        """The value; raises the error."""
        if self._error is not None:
            raise self._error
        assert self._value is not None
        return self._value


def check_inputs(specs: Mapping[str, TensorSpec], inputs: Mapping[str, Array]) -> None:
    """Raise BackendError for the first input that is missing, unknown or of another shape than declared."""
    for name in specs.keys() ^ inputs.keys():
        raise BackendError(f"The input {name} is {'missing' if name in specs else 'not one of this network'}.")
    for name, spec in specs.items():
        shape = tuple(inputs[name].shape)
        fits = len(shape) == len(spec.shape) and all(
            want in (None, got) for want, got in zip(spec.shape, shape, strict=True)
        )
        if not fits:
            raise BackendError(f"The input {name} is {shape}; this network takes {spec.shape}.")
