"""The device below TensorRT, by way of torch: memory, streams, recordings. `fake_cuda.py` plays it on a CPU."""

from __future__ import annotations

from typing import Protocol

import torch

from likeness_engines.backends.cuda_graphs import CudaRecorder
from likeness_engines.backends.row_buckets import Recorder
from likeness_engines.backends.torch_arrays import TorchArrays


class Device(Protocol):
    """One GPU. `name` tells it from every other on which an engine built here would not run."""

    name: str
    bfloat16: bool
    arrays: TorchArrays

    def stream(self) -> int:
        """The handle of the current stream, for TensorRT."""
        ...

    def recorder(self) -> Recorder:
        """What records the runs of one network."""
        ...

    def free_memory(self) -> int:
        """Bytes."""
        ...


class CudaDevice:
    """The current CUDA device."""

    def __init__(self) -> None:
        where = torch.device("cuda", torch.cuda.current_device())
        major, minor = torch.cuda.get_device_capability(where)
        self.name = f"{torch.cuda.get_device_name(where)} sm_{major}{minor}"
        self.bfloat16 = major >= 8
        self.arrays = TorchArrays(where)

    def stream(self) -> int:
        """torch's current stream, so that `TorchArrays.aside` moves TensorRT's work too."""
        return int(torch.cuda.current_stream(self.arrays.device).cuda_stream)

    def recorder(self) -> Recorder:
        """CUDA graphs."""
        return CudaRecorder()

    def free_memory(self) -> int:
        """What the driver says is free; torch's own reserve counts as used."""
        return torch.cuda.mem_get_info(self.arrays.device)[0]
