"""Batches of any size on networks that run a few fixed sizes, the *buckets*.

A CUDA graph replays one batch size on the memory that it was recorded with. So every bucket is recorded once, at first
use; from then on a batch is copied into the static inputs, filled up to its bucket by repeating its first row, the
recording repeated, and the rows that were asked for copied out. Tensors that all rows share, such as the LoRA bank,
are never copied: they are recorded where they lie, and recorded anew should they lie elsewhere.

What repeats a recording is the `Recorder`: `cuda_graphs.CudaRecorder` on a GPU, `Rerun` on a CPU, where tests see to it
that buffers, padding and addresses are right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain, count, takewhile
from typing import NamedTuple, Protocol

import torch

Tensors = Mapping[str, torch.Tensor]
Work = Callable[[Tensors], Tensors]
Replay = Callable[[], Tensors]


def bucket_sizes(most: int) -> tuple[int, ...]:
    """1, 2, 4, 8, 12, 16, 24, 32, 40, 48, 60, 72 and so on; the last is `most`.

    From 4 rows on, the batch is filled up by a third at most, and by an eighth where GPUs are kept busy.
    """
    every = chain((1, 2, 4, 8, 12, 16, 24, 32, 40), count(48, 12))
    return (*takewhile(lambda size: size < most, every), most)


class Recorder(Protocol):
    """What makes work on fixed memory repeatable."""

    def record(self, work: Replay) -> Replay:
        """Return what does `work` again on the same memory: the outputs are the same tensors at every call,
        overwritten. Recording may run `work` any number of times.
        """
        ...


class Rerun:
    """Repeats by calling again: for a CPU, which has nothing to record."""

    def record(self, work: Replay) -> Replay:
        """The very work."""
        return work


class _Recording(NamedTuple):
    """`addresses` are those of the shared tensors that were recorded."""

    addresses: tuple[int, ...]
    replay: Replay


class RowBuckets:
    """Runs `work` (inputs by name -> outputs by name, all with a row a first index) in buckets of `sizes`, ascending.

    For use on one stream at a time: a batch overwrites the static inputs of the one before.
    """

    def __init__(self, work: Work, sizes: tuple[int, ...], recorder: Recorder) -> None:
        self._work = work
        self._sizes = sizes
        self._recorder = recorder
        self._static: dict[str, torch.Tensor] = {}
        self._recordings: dict[int, _Recording] = {}

    def run(self, rows: Tensors, shared: Tensors) -> dict[str, torch.Tensor]:
        """Run one batch, in several turns if it is larger than the largest bucket; the outputs are the caller's."""
        total, most = _length(rows), self._sizes[-1]
        turns = [
            self._turn({name: tensor[first : first + most] for name, tensor in rows.items()}, shared)
            for first in range(0, total, most)
        ]
        return turns[0] if len(turns) == 1 else {name: torch.cat([turn[name] for turn in turns]) for name in turns[0]}

    def release(self) -> None:
        """Forget all recordings, so that their memory is free for smaller batches, which are recorded anew."""
        self._recordings.clear()

    def _turn(self, rows: Tensors, shared: Tensors) -> dict[str, torch.Tensor]:
        total = _length(rows)
        size = next(size for size in self._sizes if size >= total)
        self._fill(rows, total, size)
        outputs = self._recording(size, shared).replay()
        return {name: tensor[:total].clone() for name, tensor in outputs.items()}

    def _fill(self, rows: Tensors, total: int, size: int) -> None:
        """Copy a batch in; all buckets start at the same addresses."""
        for name, tensor in rows.items():
            if name not in self._static:
                shape = (self._sizes[-1], *tensor.shape[1:])
                self._static[name] = torch.empty(shape, dtype=tensor.dtype, device=tensor.device)
            self._static[name][:total] = tensor
            self._static[name][total:size] = tensor[0]

    def _recording(self, size: int, shared: Tensors) -> _Recording:
        addresses = tuple(tensor.data_ptr() for tensor in shared.values())
        known = self._recordings.get(size)
        if known is None or known.addresses != addresses:
            self._recordings.pop(size, None)  # its memory first
            inputs = {**{name: tensor[:size] for name, tensor in self._static.items()}, **shared}
            known = _Recording(addresses, self._recorder.record(lambda: self._work(inputs)))
            self._recordings[size] = known
        return known


def _length(rows: Tensors) -> int:
    return len(next(iter(rows.values())))
