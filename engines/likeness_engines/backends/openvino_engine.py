"""OpenVINO: about three fifths of ONNX Runtime's time on CPUs that multiply bfloat16. Needs the `openvino` extra."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from likeness_engines.backends.base import Array, BackendOptions, HostArrays, TensorSpec, check_inputs
from likeness_engines.backends.onnxruntime_engine import write_whole_graph
from likeness_engines.errors import BackendError
from likeness_engines.pack import ModelPack

# Words steer every step of every render: they stay exact. The others round to bfloat16 where the CPU multiplies it.
_EXACT: Final = ("text_encoder",)


def create(options: BackendOptions) -> OpenVinoBackend:
    """Create the backend, by default with a thread for every core this process may use."""
    return OpenVinoBackend(options.threads or len(os.sched_getaffinity(0)))


class OpenVinoBackend:
    """Compiles a pack's graphs for this CPU, at load; nothing is kept on disk."""

    name = "openvino"
    # Seen on two cores: 6 to 30 rows cost about the same a row; small batches show the first avatars sooner.
    max_rows = 10
    arrays = HostArrays()

    def __init__(self, threads: int) -> None:
        try:
            import openvino  # noqa: PLC0415 - an extra's
        except ImportError as error:
            raise BackendError("OpenVINO is not installed. Run `pip install 'likeness[openvino]'`.") from error
        self._core = openvino.Core()
        self._threads = threads

    def load(self, pack: ModelPack, network: str) -> OpenVinoEngine:
        """Load one network; raises BackendError naming it."""
        options: dict[str, Any] = {"INFERENCE_NUM_THREADS": self._threads, "PERFORMANCE_HINT": "LATENCY"}
        if network in _EXACT:
            options["INFERENCE_PRECISION_HINT"] = "f32"
        try:
            with TemporaryDirectory(prefix="likeness-") as folder:
                graph = Path(folder) / f"{network}.onnx"
                write_whole_graph(pack, network, graph)
                model = self._core.read_model(graph)
            return OpenVinoEngine(model, self._core.compile_model(model, "CPU", options))
        except Exception as error:  # writing the graph may raise ONNX Runtime's own errors
            raise BackendError(
                f"OpenVINO cannot load {network} of {pack.folder}: {error}. Export the pack again."
            ) from error


class OpenVinoEngine:
    """One compiled network with one request."""

    def __init__(self, model: Any, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        # Compiling may name a port after a node that it swallowed: the names are the model's, the order is the same.
        names = [[port.any_name for port in ports] for ports in (model.inputs, model.outputs)]
        self.inputs, self.outputs = (
            {name: _spec(name, port) for name, port in zip(side, ports, strict=True)}
            for side, ports in zip(names, (compiled.inputs, compiled.outputs), strict=True)
        )

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch; raises BackendError when the inputs do not fit."""
        check_inputs(self.inputs, inputs)
        try:
            results = self._request.infer([inputs[name] for name in self.inputs])
        except (RuntimeError, ValueError) as error:
            raise BackendError(f"OpenVINO could not run a batch: {error}") from error
        return {name: np.asarray(results[index]) for index, name in enumerate(self.outputs)}


def _spec(name: str, port: Any) -> TensorSpec:
    shape = tuple(size.get_length() if size.is_static else None for size in port.get_partial_shape())
    return TensorSpec(name, np.dtype(port.get_element_type().to_dtype()), shape)
