"""The part of TensorRT's Python API that is used here, under its own names.

TensorRT ships no types. mypy holds the code to these, and `tests/engines/test_tensorrt_api.py` holds these to the real
bindings of two versions. Where TensorRT answers a null pointer on failure, the type says None. What is left are the
names in the module itself (`trt.Builder`, enumerations), which the same test collects from the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

Dims = Sequence[int]


class ILogger(Protocol):
    """Base of our logger."""

    def log(self, severity: object, msg: str) -> None:
        """Called by TensorRT, from any thread."""
        ...


class IProgressMonitor(Protocol):
    """Base of our monitor; called by TensorRT, from any thread."""

    def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:
        """`parent_phase` is None for an outermost phase."""
        ...

    def step_complete(self, phase_name: str, step: int) -> bool:
        """Answer False to break the build off."""
        ...

    def phase_finish(self, phase_name: str) -> None:
        """Also called for a phase that was broken off."""
        ...


class IHostMemory(Protocol):
    """Memory of TensorRT's own, readable as a buffer."""

    def __buffer__(self, flags: int, /) -> memoryview: ...


class ITensor(Protocol):
    """A tensor of a network definition; a dimension that varies is -1."""

    name: str
    shape: Dims


class INetworkDefinition(Protocol):
    """What the parser fills."""

    num_inputs: int

    def get_input(self, index: int) -> ITensor: ...


class IOptimizationProfile(Protocol):
    """The range of shapes that an engine takes, and the one that it is tuned for."""

    def set_shape(
        self,
        input: str,  # noqa: A002 - these names are TensorRT's
        min: Dims,  # noqa: A002
        opt: Dims,
        max: Dims,  # noqa: A002
    ) -> None: ...


class ITimingCache(Protocol):
    """How long kernels took, so that they need not be timed again."""

    def serialize(self) -> IHostMemory: ...


class IBuilderConfig(Protocol):
    """How to build."""

    progress_monitor: IProgressMonitor

    def set_memory_pool_limit(self, pool: object, pool_size: int) -> None: ...

    def clear_flag(self, flag: object) -> None: ...

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        """Answers -1 for one that is not valid."""
        ...

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache: ...

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        """Answers False for a cache of another device."""
        ...

    def get_timing_cache(self) -> ITimingCache: ...


class Builder(Protocol):
    """Makes engines."""

    def create_network(self, flags: int) -> INetworkDefinition: ...

    def create_builder_config(self) -> IBuilderConfig: ...

    def create_optimization_profile(self) -> IOptimizationProfile: ...

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> IHostMemory | None: ...


class ParserError(Protocol):
    """Why a graph cannot be read."""

    def desc(self) -> str: ...

    def node_name(self) -> str: ...

    def node_operator(self) -> str: ...


class OnnxParser(Protocol):
    """Fills a network definition from an ONNX file and the weights beside it."""

    num_errors: int

    def parse_from_file(self, model: str) -> bool: ...

    def get_error(self, index: int) -> ParserError: ...


class IExecutionContext(Protocol):
    """Runs an engine: one shape at a time, on addresses that stay its caller's."""

    def set_device_memory(self, memory: int, size: int) -> None: ...

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool: ...

    def get_tensor_shape(self, name: str) -> Dims: ...

    def set_tensor_address(self, name: str, memory: int) -> bool: ...

    def execute_async_v3(self, stream_handle: int) -> bool: ...


class ICudaEngine(Protocol):
    """A built network with its weights on the device."""

    num_io_tensors: int
    device_memory_size_v2: int

    def get_tensor_name(self, index: int) -> str: ...

    def get_tensor_mode(self, name: str) -> object: ...

    def get_tensor_dtype(self, name: str) -> object: ...

    def get_tensor_shape(self, name: str) -> Dims: ...

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Dims]:
        """The least, the best and the largest shape."""
        ...

    def create_execution_context(self, strategy: object) -> IExecutionContext | None: ...


class Runtime(Protocol):
    """Loads engines."""

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None: ...
