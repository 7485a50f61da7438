"""CUDA graphs: a network's kernels of one batch size, recorded once and launched as one."""

from __future__ import annotations

from typing import Final

import torch

from likeness_engines.backends.row_buckets import Replay, Tensors

# The first run may compile, the next may still tune; libraries want to have set themselves up before a capture.
WARM_UPS: Final = 2


class CudaRecorder:
    """Records for one network. Its graphs share one pool of memory, since only one of them runs at a time."""

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, work: Replay) -> Replay:
        """Warm up beside the current stream, then capture."""
        graph, caller = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        self._stream.wait_stream(caller)
        # A capture that fails leaves its own stream the current one: this block, unlike torch's, always restores.
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UPS):
                work()
            # Other threads may use the GPU meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                outputs = work()
        caller.wait_stream(self._stream)

        def replay() -> Tensors:
            graph.replay()
            return outputs

        return replay
