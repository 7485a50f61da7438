"""Runs a built TensorRT engine: row buckets, each with an execution context of its own that is recorded once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch

from likeness_engines.backends.base import Array, TensorSpec, check_inputs
from likeness_engines.backends.row_buckets import RowBuckets, Tensors, bucket_sizes
from likeness_engines.backends.tensorrt_api import ICudaEngine, IExecutionContext
from likeness_engines.backends.tensorrt_device import Device
from likeness_engines.backends.tensorrt_log import Messages
from likeness_engines.backends.torch_arrays import DTYPES, device_full
from likeness_engines.errors import BackendError

_REMEDY: Final = "Restart the worker; if it happens again, build the engines again."


class TensorRtEngine:
    """One network. Inputs with a row a first index are copied into buffers that all buckets share; the others, which
    are the LoRA bank, are read where they lie.

    A recorded graph is good only as long as its context is left as it was, so every bucket has its own context; since
    one runs at a time, all work in the same memory. For use on one stream at a time.
    """

    def __init__(self, trt: Any, engine: ICudaEngine, device: Device, messages: Messages) -> None:
        self._trt, self._engine, self._device, self._messages = trt, engine, device, messages
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        read = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self.inputs: Mapping[str, TensorSpec] = {name: self._spec(name) for name in read}
        self.outputs: Mapping[str, TensorSpec] = {name: self._spec(name) for name in names if name not in read}
        most = max(engine.get_tensor_profile_shape(name, 0)[2][0] for name in read if self._has_rows(name))
        self._contexts: dict[int, _Context] = {}
        self._buckets = RowBuckets(self._execute, bucket_sizes(most), device.recorder())
        try:
            self._memory = self._empty((max(1, engine.device_memory_size_v2),), torch.uint8)
            self._results = self._make_results(most)
        except torch.cuda.OutOfMemoryError as error:
            raise device_full(error) from error

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch, in turns if it is larger than the engine's; raises BackendError when the inputs do not fit."""
        check_inputs(self.inputs, inputs)
        rows = {name: inputs[name].to(self._dtype(name)) for name in self.inputs if self._has_rows(name)}
        shared = {name: self._in_place(name, inputs[name]) for name in self.inputs if not self._has_rows(name)}
        self._messages.forget()
        try:
            return self._buckets.run(rows, shared)
        except (RuntimeError, BackendError) as error:
            problem = self._problem(error)
        # Only past the handler are the frames of the failed batch gone, and its tensors with them. All contexts and
        # recordings go too: smaller batches may fit in what they held.
        self._contexts.clear()
        self._buckets.release()
        torch.cuda.empty_cache()
        raise problem

    def _execute(self, inputs: Tensors) -> Tensors:
        """Run one bucket on the current stream. This is what gets recorded: nothing but the launch may touch the
        context once it is bound.
        """
        size = next(len(tensor) for name, tensor in inputs.items() if self._has_rows(name))
        outputs = {name: tensor[:size] for name, tensor in self._results.items()}
        context = self._context(size)
        if not (context.bind(inputs, outputs) and context.launch(self._device.stream())):
            raise self._messages.failure(f"TensorRT could not run a batch of {size} rows", _REMEDY)
        return outputs

    def _context(self, size: int) -> _Context:
        if size not in self._contexts:
            strategy = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
            context = self._engine.create_execution_context(strategy)
            if context is None:
                raise self._messages.failure(f"TensorRT could not prepare a batch of {size} rows", _REMEDY)
            context.set_device_memory(self._memory.data_ptr(), self._memory.numel())
            self._contexts[size] = _Context(context)
        return self._contexts[size]

    def _make_results(self, most: int) -> dict[str, torch.Tensor]:
        """Buffers for the outputs of the largest batch; the engine itself may leave dimensions open."""
        context = self._context(most)
        if not context.shape({name: (most, *self._sizes(name)) for name in self.inputs if self._has_rows(name)}):
            raise self._messages.failure("TensorRT does not take the batch it was built for", _REMEDY)
        return {name: self._empty(context.shape_of(name), self._dtype(name)) for name in self.outputs}

    def _problem(self, error: BaseException) -> BackendError:
        """A new exception, which holds no frames, for one of torch's or for what a broken recording covered up."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, torch.cuda.OutOfMemoryError):
                return device_full(cause)
            if isinstance(cause, BackendError):
                return type(cause)(str(cause))
            cause = cause.__cause__ or cause.__context__
        return self._messages.failure(f"The GPU could not run a batch ({error})", _REMEDY)

    def _in_place(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dtype != self._dtype(name) or tensor.device != self._device.arrays.device:
            raise BackendError(
                f"The input {name} is {tensor.dtype} on {tensor.device}; this engine reads {self._dtype(name)} on"
                f" {self._device.arrays.device}, in place. Make it with the backend's arrays."
            )
        if not tensor.is_contiguous():
            raise BackendError(f"The input {name} is a view with gaps; this engine reads it in place. Copy it first.")
        return tensor

    def _empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device=self._device.arrays.device)

    def _has_rows(self, name: str) -> bool:
        return self.inputs[name].shape[0] is None

    def _sizes(self, name: str) -> tuple[int, ...]:
        return tuple(size or 0 for size in self.inputs[name].shape[1:])

    def _dtype(self, name: str) -> torch.dtype:
        return DTYPES[(self.inputs.get(name) or self.outputs[name]).dtype]

    def _spec(self, name: str) -> TensorSpec:
        data = self._trt.DataType
        dtypes = {data.FLOAT: np.float32, data.HALF: np.float16, data.INT64: np.int64}
        shape = tuple(None if size < 0 else int(size) for size in self._engine.get_tensor_shape(name))
        return TensorSpec(name, np.dtype(dtypes[self._engine.get_tensor_dtype(name)]), shape)


class _Context:
    """An execution context that remembers what it is bound to: to bind it again, even to the same, would make its next
    launch one that cannot be recorded.
    """

    def __init__(self, context: IExecutionContext) -> None:
        self._context = context
        self._bound: dict[str, tuple[tuple[int, ...], int]] = {}

    def bind(self, inputs: Tensors, outputs: Tensors) -> bool:
        """Point at these tensors; answers whether TensorRT took them all."""
        wanted = {name: (tuple(each.shape), each.data_ptr()) for name, each in (*inputs.items(), *outputs.items())}
        if wanted == self._bound:
            return True
        self._bound = {}
        taken = self.shape({name: wanted[name][0] for name in inputs})
        taken = taken and all(self._context.set_tensor_address(name, wanted[name][1]) for name in wanted)
        self._bound = wanted if taken else {}
        return taken

    def shape(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Set the inputs' shapes; answers whether TensorRT took them all."""
        return all(self._context.set_input_shape(name, shape) for name, shape in shapes.items())

    def shape_of(self, name: str) -> tuple[int, ...]:
        """A tensor's shape, once the inputs have theirs."""
        return tuple(int(size) for size in self._context.get_tensor_shape(name))

    def launch(self, stream: int) -> bool:
        """Start, or let a recording see; answers whether TensorRT could."""
        return self._context.execute_async_v3(stream)
