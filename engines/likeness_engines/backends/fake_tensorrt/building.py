"""The fake's half that builds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from likeness_engines.backends.fake_tensorrt.names import (
    VERSION,
    BuilderFlag,
    ILogger,
    IProgressMonitor,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
)
from likeness_engines.backends.fake_tensorrt.plans import Plan, complain, dims, open_session

_HEADER: Final = "timings of fake TensorRT "


class IHostMemory(bytes):
    """Memory of the library."""


class ITensor(msgspec.Struct):
    """A network's input."""

    name: str
    shape: tuple[int, ...]


class INetworkDefinition:
    """What was parsed."""

    def __init__(self) -> None:
        self._model = b""
        self._inputs: list[ITensor] = []

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    def get_input(self, index: int) -> ITensor:
        return self._inputs[index]


class ParserError(msgspec.Struct):
    """Why parsing failed."""

    _text: str

    def desc(self) -> str:
        return self._text

    def node_name(self) -> str:
        return ""

    def node_operator(self) -> str:
        return ""


class OnnxParser:
    """Reads what ONNX Runtime reads."""

    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network, self._logger = network, logger
        self._errors: list[ParserError] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]

    def parse_from_file(self, model: str) -> bool:
        import onnx  # noqa: PLC0415 - of the extras that build engines

        try:
            self._network._model = onnx.load(Path(model)).SerializeToString()
            inputs = open_session(self._network._model).get_inputs()
        except Exception as error:  # ONNX Runtime's errors share no narrower base
            self._errors.append(ParserError(str(error)))
            self._logger.log(ILogger.Severity.ERROR, f"ModelImporter: {error}")
            return False
        self._network._inputs = [ITensor(node.name, dims(node)) for node in inputs]
        return True


class IOptimizationProfile:
    """The range of each input's shape."""

    def __init__(self) -> None:
        self._ranges: dict[str, tuple[tuple[int, ...], ...]] = {}

    def set_shape(
        self,
        input: str,  # noqa: A002 - these names are TensorRT's
        min: Sequence[int],  # noqa: A002
        opt: Sequence[int],
        max: Sequence[int],  # noqa: A002
    ) -> None:
        if not all(a <= b <= c for a, b, c in zip(min, opt, max, strict=True)):
            raise ValueError("min, opt and max do not ascend")
        self._ranges[input] = (tuple(min), tuple(opt), tuple(max))


class ITimingCache:
    """A line that says whose it is."""

    def __init__(self, content: bytes) -> None:
        self._content = content or (_HEADER + VERSION).encode()

    def serialize(self) -> IHostMemory:
        return IHostMemory(self._content)


class IBuilderConfig:
    """How to build."""

    def __init__(self) -> None:
        self.progress_monitor: Any = None
        self._profiles: list[IOptimizationProfile] = []
        self._timings = ITimingCache(b"")
        self._flags = {BuilderFlag.TF32}
        self._limits: dict[MemoryPoolType, int] = {}

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        self._limits[pool] = pool_size

    def clear_flag(self, flag: BuilderFlag) -> None:
        self._flags.discard(flag)

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self._profiles.append(profile)
        return len(self._profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        if cache._content != ITimingCache(b"")._content and not ignore_mismatch:
            return False
        self._timings = cache
        return True

    def get_timing_cache(self) -> ITimingCache:
        return self._timings


class Builder:
    """Makes plans."""

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        if not flags & 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED:
            raise ValueError("the fake builds strongly typed networks only")
        return INetworkDefinition()

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> IHostMemory | None:
        [profile] = config._profiles
        for tensor in network._inputs:
            if any(size < 0 for size in tensor.shape) and tensor.name not in profile._ranges:
                complain(self._logger, f"{tensor.name} has a dynamic dimension and no profile")
                return None
        if config.progress_monitor and not self._tell(config.progress_monitor):
            return None
        return IHostMemory(msgspec.msgpack.encode(Plan(VERSION, network._model, profile._ranges)))

    def _tell(self, monitor: IProgressMonitor) -> bool:
        monitor.phase_start("Building Engine", None, 4)  # type: ignore[arg-type] # as TensorRT does for the outermost
        going = all(monitor.step_complete("Building Engine", step) for step in range(4))
        monitor.phase_finish("Building Engine")
        return going
