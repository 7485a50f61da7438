"""Arrays on a device, as torch tensors: for every backend whose engines compute there."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from likeness_engines.backends.base import Done
from likeness_engines.errors import BackendError, DeviceFullError, EngineError

DTYPES: Final = {
    np.dtype(np.float32): torch.float32,
    np.dtype(np.float16): torch.float16,
    np.dtype(np.int64): torch.int64,
    np.dtype(np.uint8): torch.uint8,
}


class TorchArrays:
    """Tensors on one device. On a GPU copies go through pinned memory, and `aside` has a stream of its own.

    Work on one stream runs in the order in which it was started, so that nothing but `fetch` and `result` ever waits.
    """

    xp: ModuleType = torch

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._aside = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._step_before: torch.cuda.Event | None = None

    def put(self, values: NDArray[Any], dtype: np.dtype[Any] | None = None) -> torch.Tensor:
        """Copy to the device; the pinned copy is kept until it has been read."""
        tensor = torch.from_numpy(np.array(values, dtype))
        if self.device.type == "cuda":
            tensor = tensor.pin_memory()  # its allocator waits for the copy before it reuses the memory
        return tensor.to(self.device, non_blocking=True)

    def fetch(self, array: torch.Tensor) -> NDArray[Any]:
        """Copy to the host, after all that computes it."""
        return np.asarray(array.cpu())

    def cast(self, array: torch.Tensor, dtype: np.dtype[Any]) -> torch.Tensor:
        """Convert on the device."""
        return array.to(DTYPES[dtype])

    def aside(self, work: Callable[[], torch.Tensor]) -> Done | OnStream:
        """Start on the second stream, once the first has done what it was given until now."""
        try:
            if self._aside is None:
                return Done(self.fetch(work()))
            return OnStream(self._aside, work)
        except torch.cuda.OutOfMemoryError as error:
            return Done(None, device_full(error))
        except EngineError as error:
            return Done(None, error)

    def pace(self) -> None:
        """Wait for the step before; this one's work keeps the GPU busy meanwhile."""
        if self.device.type != "cuda":
            return
        step = torch.cuda.Event()
        step.record()
        if self._step_before is not None:
            self._step_before.synchronize()
        self._step_before = step


class OnStream:
    """A result on its way to pinned memory of the host."""

    def __init__(self, stream: torch.cuda.Stream, work: Callable[[], torch.Tensor]) -> None:
        stream.wait_stream(torch.cuda.current_stream())
        self._work = work  # and with it what it reads: the first stream would reuse that memory too soon
        with torch.cuda.stream(stream):
            result = work()
            self._host = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
            self._host.copy_(result, non_blocking=True)
            self._done = torch.cuda.Event()
            self._done.record()

    def ready(self) -> bool:
        """Whether the copy has arrived."""
        return bool(self._done.query())

    def result(self) -> NDArray[Any]:
        """Wait for the copy."""
        try:
            self._done.synchronize()
        except RuntimeError as error:
            raise BackendError(f"The GPU failed: {error}. Restart the worker.") from error
        return self._host.numpy()


def device_full(error: Exception) -> DeviceFullError:
    """What users are told when the device is out of memory."""
    return DeviceFullError(
        f"The GPU has no memory left for this batch ({str(error).splitlines()[0]})."
        " Build the engines for fewer rows, or stop what else uses the GPU."
    )
