"""The fake's half that runs."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness_engines.backends.fake_tensorrt.names import (
    VERSION,
    DataType,
    ExecutionContextAllocationStrategy,
    ILogger,
    TensorIOMode,
)
from likeness_engines.backends.fake_tensorrt.plans import TYPES, Plan, complain, dims, numpy_type, open_session

_BYTES_A_ROW: Final = 1024


class Runtime:
    """Loads plans of its own version."""

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        try:
            plan = msgspec.msgpack.decode(serialized_engine, type=Plan)
        except msgspec.MsgspecError:
            complain(self._logger, "Serialization assertion magicTagRead == kMAGIC_TAG failed")
            return None
        if plan.version != VERSION:
            complain(self._logger, f"the plan is of version {plan.version}, expecting {VERSION}")
            return None
        return ICudaEngine(plan, self._logger)


class ICudaEngine:
    """A loaded plan."""

    def __init__(self, plan: Plan, logger: ILogger) -> None:
        self._ranges, self._logger = plan.ranges, logger
        self._run = open_session(plan.model)
        self._inputs: dict[str, Any] = {node.name: node for node in self._run.get_inputs()}
        self._outputs: dict[str, Any] = {node.name: node for node in self._run.get_outputs()}
        self._nodes = {**self._inputs, **self._outputs}

    @property
    def num_io_tensors(self) -> int:
        return len(self._nodes)

    @property
    def device_memory_size_v2(self) -> int:
        return _BYTES_A_ROW * max(largest[0] for _, _, largest in self._ranges.values())

    def get_tensor_name(self, index: int) -> str:
        return list(self._nodes)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return TYPES[self._nodes[name].type][0]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return dims(self._nodes[name])

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        if profile_index:
            raise ValueError("there is one profile")
        return list(self._ranges[name])

    def create_execution_context(self, strategy: ExecutionContextAllocationStrategy) -> IExecutionContext:
        assert strategy == ExecutionContextAllocationStrategy.USER_MANAGED
        return IExecutionContext(self)

    def _result_shape(self, name: str, rows: int) -> tuple[int, ...]:
        """By a run on zeros, where the graph leaves more than the rows open."""
        declared = dims(self._nodes[name])[1:]
        if min(declared) < 0:
            zeros = {each: np.zeros(self._ranges[each][0], numpy_type(node)) for each, node in self._inputs.items()}
            declared = self._run.run([name], zeros)[0].shape[1:]
        return (rows, *declared)


class IExecutionContext:
    """Runs an engine."""

    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._memory = 0
        self._changes = 0
        self._settled = -1

    def set_device_memory(self, memory: int, size: int) -> None:
        self._changes += 1
        self._memory = size if memory else 0

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, _, largest = self._engine._ranges[name]
        if len(shape) != len(least) or not all(a <= b <= c for a, b, c in zip(least, shape, largest, strict=True)):
            return self._refuse(f"{name}: {shape} is outside the profile, {least} to {largest}")
        self._changes += 1
        self._shapes[name] = shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name in self._engine._inputs:
            return self._shapes[name]
        rows = max(self._shapes[each][0] for each in self._shapes if dims(self._engine._inputs[each])[0] < 0)
        return self._engine._result_shape(name, rows)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._changes += 1
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        from likeness_engines.backends.fake_cuda import is_recording, launch  # noqa: PLC0415 - torch

        engine = self._engine
        if self._memory < engine.device_memory_size_v2:
            return self._refuse("the memory for activations is not set, or too small")
        missing = [name for name in engine._nodes if not self._addresses.get(name)]
        missing += [name for name in engine._inputs if name not in self._shapes]
        if missing:
            return self._refuse(f"the address or shape of {missing[0]} is not set")
        if is_recording(stream_handle) and self._settled != self._changes:
            return self._refuse("what a change of shape or address puts off cannot be recorded; launch once before")
        launch(stream_handle, self._kernel())
        self._settled = self._changes
        return True

    def _kernel(self) -> Callable[[], None]:
        """The work as bound now; a recording of it is good as long as the context is left as it is."""
        engine, addresses, changes = self._engine, dict(self._addresses), self._changes
        nodes = engine._nodes.items()
        places = {name: (addresses[name], self.get_tensor_shape(name), numpy_type(node)) for name, node in nodes}

        def kernel() -> None:
            if self._changes != changes:
                raise RuntimeError("the context of a recorded graph was changed")
            results = engine._run.run(list(engine._outputs), {name: _at(*places[name]) for name in engine._inputs})
            for name, result in zip(engine._outputs, results, strict=True):
                _at(*places[name])[...] = result

        return kernel

    def _refuse(self, reason: str) -> bool:
        complain(self._engine._logger, reason)
        return False


def _at(address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The array at an address, as it stands when it is read."""
    size = int(np.prod(shape)) * dtype.itemsize
    return np.frombuffer(memoryview((ctypes.c_char * size).from_address(address)), dtype).reshape(shape)
