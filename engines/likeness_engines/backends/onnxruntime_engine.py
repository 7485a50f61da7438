"""ONNX Runtime: the default backend, on CPUs, without torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from safetensors.numpy import load_file

from likeness_engines.backends.base import Array, TensorSpec
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
        except (RuntimeError, ValueError, KeyError, OSError) as error:
            raise BackendError(
                f"ONNX Runtime cannot load {network} of {pack.folder}: {error}. Export the pack again."
            ) from error

    def _session(self, pack: ModelPack, network: str) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin between runs would take the cores from decoding and from the neighbours.
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        names, values = self._initialisers(pack, network)
        options.add_external_initializers(names, values)
        return ort.InferenceSession(str(pack.graph(network)), options, providers=["CPUExecutionProvider"])

    def _initialisers(self, pack: ModelPack, network: str) -> tuple[list[str], list[ort.OrtValue]]:
        weights = load_file(pack.weights(network))
        entries = pack.weight_list(network)
        values = [ort.OrtValue.ortvalue_from_numpy(_weight(weights[entry.key], entry)) for entry in entries]
        return [entry.name for entry in entries], values


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
        names = list(self.outputs)
        try:
            outputs = self._session.run(names, dict(inputs))
        except (RuntimeError, ValueError) as error:
            raise BackendError(f"ONNX Runtime could not run a batch: {error}") from error
        return {name: np.asarray(value) for name, value in zip(names, outputs, strict=True)}


def _spec(node: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorSpec(node.name, np.dtype(_DTYPES[node.type]), shape)
