"""Whether a pack's graphs compute what PyTorch computes: every network, on random inputs."""

from __future__ import annotations

import gc
from importlib.metadata import version
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness_engines.backends import create_backend
from likeness_engines.errors import ExportError
from likeness_engines.pack import ModelPack

FILE: Final = "errors.json"
ROWS: Final = 3
SEED: Final = 0
# Of the largest value. Float32 on both sides: only the order of additions differs, over hundreds of layers.
BOUND: Final = 1e-3
LIBRARIES: Final = ("torch", "transformers", "diffusers", "optimum", "optimum-onnx", "onnx", "onnxruntime")
Outputs = dict[str, NDArray[np.float32]]


class OutputError(msgspec.Struct, frozen=True):
    """How far an output of the graph is from PyTorch's; `scale` is the largest value that PyTorch has."""

    network: str
    output: str
    max_abs: float
    mean_abs: float
    scale: float

    @property
    def share(self) -> float:
        """The largest error as a share of the largest value."""
        return self.max_abs / self.scale if self.scale else self.max_abs


class ErrorTable(msgspec.Struct, frozen=True):
    """`errors.json`: the errors of all outputs for batches of `rows`, the bound, and what was compared."""

    rows: int
    bound: float
    versions: dict[str, str]
    outputs: list[OutputError]

    @property
    def worst(self) -> OutputError:
        """The output that is furthest off."""
        return max(self.outputs, key=lambda each: each.share)


def read_errors(pack: ModelPack) -> ErrorTable:
    """The table of a pack that was imported."""
    return msgspec.json.decode((pack.folder / FILE).read_bytes(), type=ErrorTable)


def write_errors(pack: ModelPack, outputs: list[OutputError]) -> None:
    """Write the table into the pack, which has to be sealed after that."""
    import torch  # noqa: PLC0415 - as below

    versions = {library: version(library) for library in LIBRARIES}
    versions["torch"] = str(torch.__version__)  # tells its CPU and CUDA builds apart, which its distribution may not
    table = msgspec.json.encode(ErrorTable(ROWS, BOUND, versions, outputs))
    (pack.folder / FILE).write_bytes(msgspec.json.format(table, indent=1))


def by_torch(network: Any) -> tuple[dict[str, NDArray[Any]], Outputs]:
    """The same random inputs at every call, and what PyTorch answers."""
    import torch  # noqa: PLC0415 - the command line reads tables without it

    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(SEED)
        inputs = network.example(ROWS)
        found = network(*inputs.values())
    tensors = found if isinstance(found, tuple) else (found,)
    outputs = {name: each.numpy() for name, each in zip(network.outputs, tensors, strict=True)}
    return {name: each.numpy() for name, each in inputs.items()}, outputs


def compare(pack: ModelPack, name: str, inputs: dict[str, NDArray[Any]], expected: Outputs) -> list[OutputError]:
    """Run the network's graph in ONNX Runtime; raises ExportError when it is further off than the bound."""
    gc.collect()  # PyTorch's copy of the weights
    found = create_backend("onnxruntime").load(pack, name).run(inputs)
    errors = [_error(name, output, found[output], values) for output, values in expected.items()]
    for error in errors:
        if not error.share <= BOUND:  # NaN too
            raise ExportError(
                f"{error.output} of {name} is up to {error.max_abs:.2g} off what PyTorch computes, of"
                f" {error.scale:.2g}; at most {BOUND:g} of it is right. Use the versions of torch, optimum and"
                " onnxruntime that the `export` extra names."
            )
    return errors


def _error(network: str, output: str, found: NDArray[np.float32], expected: NDArray[np.float32]) -> OutputError:
    difference = np.abs(found.astype(np.float64) - expected)
    scale = float(np.abs(expected).max())
    return OutputError(network, output, float(difference.max()), float(difference.mean()), scale)
