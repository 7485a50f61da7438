"""Where networks run. A backend is one module here, named in the table below."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Final

from likeness_engines.backends.base import Backend, BackendOptions, Compiler
from likeness_engines.errors import BackendError

BACKENDS: Final = {
    "onnxruntime": "likeness_engines.backends.onnxruntime_engine",
    "openvino": "likeness_engines.backends.openvino_engine",
    "tensorrt": "likeness_engines.backends.tensorrt_engine",
    "torch": "likeness_engines.backends.torch_engine",
}


def create_backend(name: str = "onnxruntime", options: BackendOptions | None = None) -> Backend:
    """Create a backend by name; raises BackendError for an unknown one, or when its library or device is missing."""
    backend: Backend = _module(name).create(options or BackendOptions())
    return backend


def create_compiler(name: str) -> Compiler:
    """What builds engines for a backend ahead; raises BackendError when there is nothing to build for it."""
    module = _module(name)
    if not hasattr(module, "compiler"):
        raise BackendError(f"The backend {name} builds no engines ahead: it loads a pack as it is.")
    compiler: Compiler = module.compiler()
    return compiler


def _module(name: str) -> ModuleType:
    if name not in BACKENDS:
        raise BackendError(f"There is no backend {name!r}. Use one of {', '.join(BACKENDS)}.")
    return import_module(BACKENDS[name])
