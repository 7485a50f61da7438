"""TensorRT: engines built ahead for one GPU and library version. Needs the `tensorrt` extra and an NVIDIA GPU."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from likeness_engines.backends.base import BackendOptions
from likeness_engines.backends.tensorrt_log import Messages, make_logger
from likeness_engines.built import find_built
from likeness_engines.errors import BackendError
from likeness_engines.pack import ModelPack

if TYPE_CHECKING:
    from likeness_engines.backends.tensorrt_api import Runtime
    from likeness_engines.backends.tensorrt_build import TensorRtCompiler
    from likeness_engines.backends.tensorrt_device import Device
    from likeness_engines.backends.tensorrt_runtime import TensorRtEngine

_ELSEWHERE: Final = "Choose the backend torch or onnxruntime on this machine."


def create(options: BackendOptions) -> TensorRtBackend:
    """Create the backend; raises BackendError when TensorRT or the GPU is not there."""
    return TensorRtBackend(*_open(), options.cache)


def compiler() -> TensorRtCompiler:
    """What builds for this GPU; raises BackendError when TensorRT or the GPU is not there."""
    from likeness_engines.backends.tensorrt_build import TensorRtCompiler  # noqa: PLC0415 - after the check

    return TensorRtCompiler(*_open())


def _open() -> tuple[Any, Device]:
    """TensorRT and the device, both of which may be missing."""
    try:
        trt, torch = import_module("tensorrt"), import_module("torch")
        import_module("onnx")
    except (ImportError, OSError) as error:  # OSError: the bindings are there, the libraries are not
        raise BackendError(f"TensorRT is not installed ({error}). Run `pip install 'likeness[tensorrt]'`.") from error
    if not torch.cuda.is_available():
        raise BackendError(f"The backend tensorrt finds no NVIDIA GPU, or no driver for it. {_ELSEWHERE}")
    from likeness_engines.backends.tensorrt_device import CudaDevice  # noqa: PLC0415 - after the check

    return trt, CudaDevice()


class TensorRtBackend:
    """Loads what was built for exactly this pack, TensorRT version and GPU.

    `max_rows` is the built engines' own, known once a network is loaded; until then 1.
    """

    name = "tensorrt"

    def __init__(self, trt: Any, device: Device, cache: Path | None) -> None:
        self.max_rows = 1
        self.arrays = device.arrays
        self._trt, self._device, self._cache = trt, device, cache
        self._messages = Messages()
        self._logger = make_logger(trt, self._messages)
        self._runtime: Runtime = trt.Runtime(self._logger)

    def load(self, pack: ModelPack, network: str) -> TensorRtEngine:
        """Load one network; raises BackendError, with the command that builds it when it is not there."""
        from likeness_engines.backends.tensorrt_runtime import TensorRtEngine  # noqa: PLC0415 - torch is there by now

        built = find_built(self._cache, pack, self.name, self._trt.__version__, self._device.name)
        plan = built.file(f"{network}.plan")
        self._messages.forget()
        engine = self._runtime.deserialize_cuda_engine(plan.read_bytes())
        if engine is None:
            raise self._messages.failure(
                f"TensorRT cannot load {plan}", f"Remove the folder {built.folder} and build the engines again."
            )
        self.max_rows = built.target.rows
        return TensorRtEngine(self._trt, engine, self._device, self._messages)
