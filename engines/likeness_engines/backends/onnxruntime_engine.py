"""ONNX Runtime: the default backend, on CPUs, without torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from safetensors.numpy import load_file

from likeness_engines.backends.base import Array, TensorSpec, check_inputs
from likeness_engines.errors import BackendError
from likeness_engines.pack import ModelPack, WeightEntry

_DTYPES: Final = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


def create(threads: int | None = None) -> OnnxRuntimeBackend:
    """Create the backend; `threads` None means one for every core this process may use."""
    return OnnxRuntimeBackend(threads or len(os.sched_getaffinity(0)))


class OnnxRuntimeBackend:
    """Loads graphs, and hands them the pack's half-precision weights as float32 external initialisers."""

    name = "onnxruntime"
    # Seen on two cores: cost a row is flat from 5 rows on; small batches show the first avatars sooner.
    max_rows = 10

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def load(self, pack: ModelPack, network: str) -> OnnxRuntimeEngine:
        """Load one network; raises BackendError naming it."""
        try:
            return OnnxRuntimeEngine(self._session(pack, network))
        except Exception as error:  # its own errors share no narrower base
            raise BackendError(
                f"ONNX Runtime cannot load {network} of {pack.folder}: {error}. Export the pack again."
            ) from error

    def _session(self, pack: ModelPack, network: str) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        return _open_session(pack, network, options)


def write_whole_graph(pack: ModelPack, network: str, path: Path) -> None:
    """Write a network's graph as one ONNX file, float32 weights included, for backends that read files."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(path)
    _open_session(pack, network, options)


def _open_session(pack: ModelPack, network: str, options: ort.SessionOptions) -> ort.InferenceSession:
    """Open a graph with the pack's weights; `values` must outlive the options, which keep no copy of them."""
    weights = load_file(pack.weights(network))
    entries = pack.weight_list(network)
    values = [ort.OrtValue.ortvalue_from_numpy(_weight(weights[entry.key], entry)) for entry in entries]
    options.log_severity_level = 3
    options.add_external_initializers([entry.name for entry in entries], values)
    return ort.InferenceSession(str(pack.graph(network)), options, providers=["CPUExecutionProvider"])


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
