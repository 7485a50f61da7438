"""How much of a device's memory engines will take, estimated from a pack's graphs before anything is built."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from likeness_engines.backends.base import Target
from likeness_engines.backends.onnx_precision import is_exact
from likeness_engines.backends.turns import most_at_once
from likeness_engines.errors import BackendError, PackError
from likeness_engines.pack import ModelPack

Bank = tuple[tuple[str, tuple[int, ...]], ...]
_BYTES: Final = {"fp32": 4, "fp16": 2, "bf16": 2, "fp8": 2}  # fp8 is for the weights of linear layers alone


class NetworkMemory(msgspec.Struct, frozen=True):
    """Bytes that one network takes: its weights, its inputs and outputs, and what lives between them at the most.

    `batch` is the largest that it is run with; `unknown` counts tensors whose size cannot be told beforehand.
    """

    batch: int
    weights: int
    ends: int
    activations: int
    unknown: int

    @property
    def total(self) -> int:
        """All together."""
        return self.weights + self.ends + self.activations


class Estimate(msgspec.Struct, frozen=True):
    """Bytes that a pack's engines take on a device, with a LoRA bank of `bank` bytes.

    Every network's activations are counted, not the largest alone: all backends keep each network's memory for its next
    batch. Left out are what libraries reserve besides (CUDA's context, workspaces of convolutions, packed weights),
    fragmentation, and padding: a device needs some 10% more than this, and on a GPU another half a gigabyte.
    """

    bank: int
    networks: dict[str, NetworkMemory]

    @property
    def total(self) -> int:
        """All together."""
        return self.bank + sum(network.total for network in self.networks.values())


def estimate_memory(pack: ModelPack, target: Target) -> Estimate:
    """Estimate what a pack's engines take; raises BackendError when `onnx` is not installed, PackError when the pack
    lacks a graph.
    """
    bank_bytes = 4 if target.precision == "fp32" or is_exact(pack, "unet") else 2
    bank = sum(int(np.prod(shape)) for shape in pack.about.lora.shapes().values()) * bank_bytes
    try:
        return Estimate(bank, {network: _network(pack, network, target) for network in pack.networks})
    except (OSError, msgspec.MsgspecError) as error:
        raise PackError(f"A graph of {pack.folder} cannot be read: {error}. Import the pack again.") from error


def check_memory(pack: ModelPack, target: Target, free: int) -> Estimate:
    """Estimate, and raise BackendError when it is more than `free` bytes, with the rows that would fit."""
    estimate = estimate_memory(pack, target)
    if estimate.total <= free:
        return estimate
    rows = _most_rows(pack, target, free)
    remedy = (
        f"Use --rows {rows}, the most that fits." if rows else "Not even one row fits: use a device with more memory."
    )
    raise BackendError(
        f"The engines of {pack.name} for {target.rows} rows take about {gigabytes(estimate.total)} of memory, but"
        f" {target.device} has {gigabytes(free)} free. {remedy}"
    )


def gigabytes(count: int) -> str:
    """Bytes, as people read them."""
    return f"{count / 1e9:.2f} GB"


def megabytes(count: int) -> str:
    """The same, for less."""
    return f"{count / 1e6:.1f} MB"


def _most_rows(pack: ModelPack, target: Target, free: int) -> int:
    """The most rows that fit, by bisection; 0 when none do."""
    fits, too_many = 0, target.rows
    while too_many - fits > 1:
        rows = (fits + too_many) // 2
        if estimate_memory(pack, msgspec.structs.replace(target, rows=rows)).total <= free:
            fits = rows
        else:
            too_many = rows
    return fits


def _network(pack: ModelPack, network: str, target: Target) -> NetworkMemory:
    number = 4 if is_exact(pack, network) else _BYTES[target.precision]
    linear = 1 if target.precision == "fp8" and network == "unet" and number == 2 else number
    weights = sum(
        int(np.prod(entry.shape)) * (linear if len(entry.shape) == 2 else number) for entry in pack.weight_list(network)
    )
    batch = most_at_once(target.backend, pack, network, target.rows)
    # ONNX Runtime's CPU kernels multiply attention out; on GPUs all backends fuse it.
    bank = tuple(pack.about.lora.shapes().items()) if network == "unet" else ()
    ends, activations, unknown = _walk(pack.graph(network), bank, batch, number, target.backend != "onnxruntime")
    return NetworkMemory(batch, weights, ends, activations, unknown)


@lru_cache(maxsize=64)  # a search for the rows that fit asks for the same encoders again and again
def _walk(path: Path, bank: Bank, batch: int, number: int, fused_attention: bool) -> tuple[int, int, int]:
    try:
        import onnx  # noqa: PLC0415 - of the extras that build engines

        from likeness_engines.graph_memory import Graph, activation_peak  # noqa: PLC0415 - as above
    except ImportError as error:
        raise BackendError("Estimating memory needs onnx. Run `pip install onnx`.") from error
    graph = Graph(onnx.load(path, load_external_data=False), batch, dict(bank))
    ends = {*graph.inputs, *graph.outputs} - dict(bank).keys()
    return (
        sum(graph.bytes(name, number) for name in ends),
        activation_peak(graph, number, fused_attention=fused_attention),
        graph.unknown,
    )
