"""ONNX Runtime: the default backend, on CPUs, without torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.numpy import load_file

from likeness_engines.backends.base import (
    Array,
    BackendOptions,
    HostArrays,
    Precision,
    Target,
    TensorSpec,
    check_inputs,
)
from likeness_engines.built import Built, find_built
from likeness_engines.errors import BackendError
from likeness_engines.hardware import Gpu, cpu_name, find_gpu, free_ram
from likeness_engines.onnx_runtime import ort
from likeness_engines.pack import ModelPack, WeightEntry

_DTYPES: Final = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


def create(options: BackendOptions) -> OnnxRuntimeBackend:
    """Create the backend, by default with a thread for every core this process may use."""
    return OnnxRuntimeBackend(options.threads or len(os.sched_getaffinity(0)), options.cache)


def compiler() -> OnnxRuntimeCompiler:
    """What optimises graphs ahead."""
    return OnnxRuntimeCompiler()


class OnnxRuntimeBackend:
    """Loads graphs, and hands them the pack's half-precision weights as float32 external initialisers.

    Where engines were built for this pack on this machine, they are loaded instead.
    """

    name = "onnxruntime"
    arrays = HostArrays()

    def __init__(self, threads: int, cache: Path | None = None) -> None:
        # Seen on two cores: cost a row is flat from 5 rows on; small batches show the first avatars sooner.
        self.max_rows = 10
        self._threads = threads
        self._cache = cache

    def load(self, pack: ModelPack, network: str) -> OnnxRuntimeEngine:
        """Load one network; raises BackendError naming it."""
        try:
            return OnnxRuntimeEngine(self._session(pack, network))
        except BackendError:
            raise
        except Exception as error:  # its own errors share no narrower base
            raise BackendError(
                f"ONNX Runtime cannot load {network} of {pack.folder}: {error}. Export the pack again."
            ) from error

    def _session(self, pack: ModelPack, network: str) -> ort.InferenceSession:
        options = _options()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        built = self._built(pack)
        if built is None:
            return _open_session(pack, network, options)
        built.verify(network)
        self.max_rows = built.target.rows
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        return ort.InferenceSession(str(built.folder / f"{network}.onnx"), options, providers=_providers())

    def _built(self, pack: ModelPack) -> Built | None:
        try:
            return find_built(self._cache, pack, self.name, ort.__version__, _device())
        except BackendError:  # nothing is lost but seconds: it loads a pack as it is
            return None


class OnnxRuntimeCompiler:
    """Writes graphs as ONNX Runtime optimises them for this machine, which saves it the work at every start."""

    def target(self, rows: int, precision: Precision | None = None) -> Target:
        """This machine, in float32."""
        if precision not in {None, "fp32"}:
            raise BackendError(
                f"The backend onnxruntime builds fp32 engines alone, not {precision}. Use --precision fp32, or the"
                " backend tensorrt or torch."
            )
        return Target("onnxruntime", ort.__version__, _device(), "fp32", rows)

    def free_memory(self) -> int:
        """Bytes of memory that are free, on the GPU if it runs there."""
        gpu = _gpu()
        return gpu.free if gpu else free_ram()

    def build(self, pack: ModelPack, network: str, target: Target, folder: Path) -> None:
        """Write `<network>.onnx`, and its weights beside it, which are mapped into memory at load."""
        del target  # there is one kind
        options = _options()
        options.optimized_model_filepath = str(folder / f"{network}.onnx")
        entry = "session.optimized_model_external_initializers"
        options.add_session_config_entry(f"{entry}_file_name", f"{network}.onnx.data")
        options.add_session_config_entry(f"{entry}_min_size_in_bytes", "1024")
        try:
            _open_session(pack, network, options)
        except Exception as error:  # its own errors share no narrower base
            raise BackendError(
                f"ONNX Runtime cannot optimise {network} of {pack.folder}: {error}. Import the pack again."
            ) from error


def open_reference(pack: ModelPack, network: str) -> OnnxRuntimeEngine:
    """A network computed as its graph says, without any optimisation: what others are compared with."""
    options = _options()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return OnnxRuntimeEngine(_open_session(pack, network, options, ["CPUExecutionProvider"]))


def write_whole_graph(pack: ModelPack, network: str, path: Path) -> None:
    """Write a network's graph as one ONNX file, float32 weights included, for backends that read files."""
    options = _options()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(path)
    _open_session(pack, network, options, ["CPUExecutionProvider"])


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return options


def _providers() -> list[str]:
    """CUDA first, where an ONNX Runtime that has it is installed."""
    return [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in ort.get_available_providers()]


def _gpu() -> Gpu | None:
    return find_gpu() if "CUDAExecutionProvider" in _providers() else None


def _device() -> str:
    gpu = _gpu()
    return gpu.name if gpu else cpu_name()


def _open_session(
    pack: ModelPack, network: str, options: ort.SessionOptions, providers: list[str] | None = None
) -> ort.InferenceSession:
    """Open a graph with the pack's weights; `values` must outlive the options, which keep no copy of them."""
    weights = load_file(pack.weights(network))
    entries = pack.weight_list(network)
    values = [ort.OrtValue.ortvalue_from_numpy(_weight(weights[entry.key], entry)) for entry in entries]
    options.add_external_initializers([entry.name for entry in entries], values)
    return ort.InferenceSession(str(pack.graph(network)), options, providers=providers or _providers())


def _weight(tensor: Array, entry: WeightEntry) -> Array:
    upcast = tensor.astype(np.float32)
    return np.ascontiguousarray(upcast.T if entry.transposed else upcast).reshape(entry.shape)


class OnnxRuntimeEngine:
    """One network in one session."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self.inputs = {node.name: _spec(node) for node in session.get_inputs()}
        self.outputs = {node.name: _spec(node) for node in session.get_outputs()}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch; raises BackendError when the inputs do not fit."""
        check_inputs(self.inputs, inputs)
        names = list(self.outputs)
        try:
            outputs = self._session.run(names, dict(inputs))
        except Exception as error:  # its own errors share no narrower base
            raise BackendError(f"ONNX Runtime could not run a batch: {error}") from error
        return {name: np.asarray(value) for name, value in zip(names, outputs, strict=True)}


def _spec(node: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorSpec(node.name, np.dtype(_DTYPES[node.type]), shape)
