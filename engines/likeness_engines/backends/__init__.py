"""Where networks run. A backend is one module here, named in the table below."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from likeness_engines.backends.base import Backend
from likeness_engines.errors import BackendError

BACKENDS: Final = {
    "onnxruntime": "likeness_engines.backends.onnxruntime_engine",
    "openvino": "likeness_engines.backends.openvino_engine",
}


def create_backend(name: str = "onnxruntime", threads: int | None = None) -> Backend:
    """Create a backend by name; `threads` None means one for every core. Raises BackendError for an unknown name."""
    if name not in BACKENDS:
        raise BackendError(f"There is no backend {name!r}. Use one of {', '.join(BACKENDS)}.")
    backend: Backend = import_module(BACKENDS[name]).create(threads)
    return backend
