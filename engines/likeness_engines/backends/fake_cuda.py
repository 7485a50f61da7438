"""A device for tests: the CPU plays a GPU with one stream, whose work can be recorded instead of done.

`launch` is where the fake TensorRT hands in its kernels. Work in torch is done at once even while recording, as the
buffers that it fills are the same at every replay.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Final
from weakref import WeakValueDictionary

import torch

from likeness_engines.backends.row_buckets import Recorder, Replay, Tensors
from likeness_engines.backends.torch_arrays import TorchArrays

Kernel = Callable[[], None]
_handles = count(1)  # 0 is CUDA's default stream, which cannot be recorded
_devices: Final[WeakValueDictionary[int, FakeDevice]] = WeakValueDictionary()


def launch(stream: int, kernel: Kernel) -> None:
    """Do the work of a kernel on a stream, or record it; the kernel holds the addresses of this moment."""
    device = _devices[stream]
    device.launches += 1
    if device.recording is None:
        kernel()
    else:
        device.recording.append(kernel)


def is_recording(stream: int) -> bool:
    """Whether what is launched on a stream now is recorded."""
    return _devices[stream].recording is not None


class FakeDevice:
    """`launches`, `records` and `replays` count what was done."""

    def __init__(self, name: str = "Fake GPU sm_00", *, bfloat16: bool = True, free: int = 1 << 33) -> None:
        self.name, self.bfloat16, self.free = name, bfloat16, free
        self.arrays = TorchArrays(torch.device("cpu"))
        self.recording: list[Kernel] | None = None
        self.launches = self.records = self.replays = 0
        self._handle = next(_handles)
        _devices[self._handle] = self

    def stream(self) -> int:
        """The only one."""
        return self._handle

    def recorder(self) -> Recorder:
        """Records on this device."""
        return FakeRecorder(self)

    def free_memory(self) -> int:
        """As said at the start."""
        return self.free


class FakeRecorder:
    """A recording is the list of kernels that one run launched, with their shapes and addresses: only the numbers at
    those addresses may change from replay to replay, as in a CUDA graph.
    """

    def __init__(self, device: FakeDevice) -> None:
        self._device = device

    def record(self, work: Replay) -> Replay:
        """Run once, then record."""
        device = self._device
        work()
        kernels: list[Kernel] = []
        device.recording = kernels
        try:
            outputs = work()
        finally:
            device.recording = None
        device.records += 1

        def replay() -> Tensors:
            device.replays += 1
            for kernel in kernels:
                kernel()
            return outputs

        return replay
