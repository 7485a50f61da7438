"""PyTorch: compiled and replayed as CUDA graphs on a GPU without TensorRT; on a CPU the reference that the other
backends are compared with. Needs the `torch` extra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from likeness_engines.backends.base import BackendOptions
from likeness_engines.errors import BackendError

if TYPE_CHECKING:
    from likeness_engines.backends.torch_backend import TorchBackend
    from likeness_engines.backends.torch_compiler import TorchCompiler


def create(options: BackendOptions) -> TorchBackend:
    """Create the backend on the first GPU, or on the CPU where there is none."""
    try:
        from likeness_engines.backends import torch_backend  # noqa: PLC0415 - takes seconds, and an extra's libraries
    except ImportError as error:
        raise _missing(error) from error
    return torch_backend.create(options)


def compiler() -> TorchCompiler:
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
