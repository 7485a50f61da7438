"""Builds TensorRT engines from a pack: one strongly typed network, one optimisation profile, one plan file each."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from likeness_engines.backends.base import Precision, Target
from likeness_engines.backends.onnx_precision import write_typed_graph
from likeness_engines.backends.tensorrt_api import Builder, IBuilderConfig, INetworkDefinition, OnnxParser
from likeness_engines.backends.tensorrt_device import Device
from likeness_engines.backends.tensorrt_log import Messages, Progress, make_logger, make_monitor
from likeness_engines.backends.turns import most_at_once
from likeness_engines.errors import BackendError
from likeness_engines.pack import ModelPack

# Kernels may use this much besides activations; a convolution gains nothing from more.
_WORKSPACE_BYTES: Final = 4 << 30
_REMEDY: Final = "Send this message with the pack's name to whoever made the pack, or use the backend torch."


class TensorRtCompiler:
    """Builds for the GPU that is here."""

    def __init__(self, trt: Any, device: Device) -> None:
        self._trt, self._device, self._messages = trt, device, Messages()

    def target(self, rows: int, precision: Precision | None = None) -> Target:
        """By default fp16, which every GPU that TensorRT supports multiplies, and which rounds finer than bf16."""
        if rows < 1:
            raise BackendError(f"An engine for {rows} rows cannot be built. Give at least 1.")
        if precision == "fp8":
            raise BackendError(
                "The backend tensorrt builds no fp8 engines yet: they need calibrated scales in the graph."
                " Use --precision fp16 or bf16."
            )
        if precision == "bf16" and not self._device.bfloat16:
            raise BackendError(f"{self._device.name} does not multiply bfloat16. Use --precision fp16.")
        return Target("tensorrt", self._trt.__version__, self._device.name, precision or "fp16", rows)

    def free_memory(self) -> int:
        """Bytes."""
        return self._device.free_memory()

    def build(self, pack: ModelPack, network: str, target: Target, folder: Path) -> None:
        """Write `<network>.plan`; minutes to tens of minutes for large networks."""
        if target != self.target(target.rows, target.precision):
            raise BackendError(
                f"These engines are for {target.device} with TensorRT {target.version}; here is {self._device.name}"
                f" with {self._trt.__version__}. Build them where they are to run."
            )
        self._messages.forget()
        with TemporaryDirectory(dir=folder) as scratch:
            graph = Path(scratch) / f"{network}.onnx"
            write_typed_graph(pack, network, target.precision, graph)
            plan = self._compile(
                graph, network, most_at_once(target.backend, pack, network, target.rows), target, folder.parent
            )
        (folder / f"{network}.plan").write_bytes(plan)

    def _compile(self, graph: Path, network: str, rows: int, target: Target, cache: Path) -> memoryview:
        trt, logger = self._trt, make_logger(self._trt, self._messages)
        builder: Builder = trt.Builder(logger)
        # TensorRT 11 knows no other networks, and ignores the flag.
        definition = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser: OnnxParser = trt.OnnxParser(definition, logger)
        if not parser.parse_from_file(str(graph)):
            for error in _errors(parser):
                self._messages.add(error)
            raise self._messages.failure(f"TensorRT cannot read the graph of {network}", _REMEDY)
        config, progress = builder.create_builder_config(), Progress(network)
        self._configure(config, target)
        self._profile(builder, config, definition, rows)
        config.progress_monitor = monitor = make_monitor(trt, progress)  # noqa: F841 - to live as long as the build
        timings = cache / timing_cache_name(target)
        self._read_timings(config, timings)
        plan = builder.build_serialized_network(definition, config)
        if progress.cancelled:
            raise KeyboardInterrupt
        if plan is None:
            raise self._messages.failure(f"TensorRT could not build {network}", _REMEDY)
        _replace(timings, memoryview(config.get_timing_cache().serialize()))
        return memoryview(plan)

    def _configure(self, config: IBuilderConfig, target: Target) -> None:
        trt = self._trt
        workspace = min(_WORKSPACE_BYTES, self._device.free_memory() // 2)
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
        # TF32 rounds like fp16. Where half precision was asked for, that is good enough for networks that stay float32
        # for its range.
        if target.precision == "fp32":
            config.clear_flag(trt.BuilderFlag.TF32)

    def _profile(self, builder: Builder, config: IBuilderConfig, network: INetworkDefinition, rows: int) -> None:
        """Rows from 1 on, fastest at the most; what has no rows (the bank) has its one shape."""
        profile = builder.create_optimization_profile()
        for tensor in (network.get_input(index) for index in range(network.num_inputs)):
            least, best = ([size if size >= 0 else count for size in tensor.shape] for count in (1, rows))
            profile.set_shape(tensor.name, least, best, best)
        if config.add_optimization_profile(profile) < 0:
            raise self._messages.failure(f"TensorRT does not take batches of up to {rows} rows", _REMEDY)

    def _read_timings(self, config: IBuilderConfig, path: Path) -> None:
        """Go on with the timings of earlier builds; those of another driver or card are left."""
        earlier = path.read_bytes() if path.is_file() else b""
        if not config.set_timing_cache(config.create_timing_cache(earlier), ignore_mismatch=False):
            config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)


def timing_cache_name(target: Target) -> str:
    """One file a TensorRT version and device, beside the engines."""
    return f"tensorrt-timing-{target.version}-{re.sub(r'[^A-Za-z0-9]+', '-', target.device)}.bin"


def _errors(parser: OnnxParser) -> list[str]:
    errors = (parser.get_error(index) for index in range(parser.num_errors))
    return [f"{each.node_operator()} {each.node_name()}: {each.desc()}".strip(": ") for each in errors]


def _replace(path: Path, content: memoryview) -> None:
    """Write whole or not at all: another build may be reading."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(content)
    draft.replace(path)
