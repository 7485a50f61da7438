"""PyTorch: compiled and replayed as CUDA graphs on a GPU without TensorRT; on a CPU the reference that the other
backends are compared with. Needs the `torch` extra.
"""

from __future__ import annotations

import warnings

from likeness_engines.backends.base import Backend, BackendOptions, Compiler
from likeness_engines.errors import BackendError


def create(options: BackendOptions) -> Backend:
    """Create the backend on the first GPU, or on the CPU where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # diffusers says on import that there is no CUDA
            from likeness_engines.backends import torch_backend  # noqa: PLC0415 - takes seconds, and an extra's
    except ImportError as error:
        raise _missing(error) from error
    return torch_backend.create(options)


def compiler() -> Compiler:
    """What builds its engines ahead."""
    try:
        from likeness_engines.backends import torch_compiler  # noqa: PLC0415 - as above
    except ImportError as error:
        raise _missing(error) from error
    return torch_compiler.TorchCompiler()


def _missing(error: ImportError) -> BackendError:
    return BackendError(
        f"PyTorch with diffusers and transformers is not installed ({error}). Run `pip install 'likeness[torch]'`."
    )
