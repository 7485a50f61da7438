"""A pack's graph and weights as one typed ONNX file, for libraries that take a graph's types as they stand."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from likeness_engines.backends.base import Precision
from likeness_engines.backends.onnx_halving import BFLOAT16, FLOAT16, encode, halve
from likeness_engines.pack import ModelPack, WeightEntry

if TYPE_CHECKING:
    import onnx

_HALVES: Final = {"fp16": FLOAT16, "bf16": BFLOAT16}
_ALIGNMENT: Final = 64


def write_typed_graph(pack: ModelPack, network: str, precision: Precision, path: Path) -> None:
    """Write `path`, and its weights beside it as `<path>.weights`; text encoders and the pack's `exact` networks stay
    float32 whatever the precision.
    """
    import onnx  # noqa: PLC0415 - of the extras that build engines

    model = onnx.load(pack.graph(network), load_external_data=False)
    _fix_bank(model, pack)
    if precision in _HALVES and not is_exact(pack, network):
        halve(model, _HALVES[precision], pack.about.lora.shapes())
    del model.graph.value_info[:]  # of the types before
    weights = path.with_name(path.name + ".weights")
    with weights.open("wb") as file:
        _write_weights(model, pack, network, file)
    onnx.save(model, path)


def is_exact(pack: ModelPack, network: str) -> bool:
    """Whether a network stays float32: words steer every step, and some networks overflow."""
    return network in pack.about.exact or network.startswith("text_encoder")


def _fix_bank(model: onnx.ModelProto, pack: ModelPack) -> None:
    """Write the bank's sizes, which never vary, where the exporter left a dimension open."""
    shapes = pack.about.lora.shapes()
    for each in model.graph.input:
        for dimension, size in zip(each.type.tensor_type.shape.dim, shapes.get(each.name, ()), strict=False):
            dimension.dim_value = size


def _write_weights(model: onnx.ModelProto, pack: ModelPack, network: str, file: IO[bytes]) -> None:
    """One tensor at a time: a large pack's weights need not fit in memory."""
    from safetensors import safe_open  # noqa: PLC0415

    entries = {entry.name: entry for entry in pack.weight_list(network)}
    with safe_open(pack.weights(network), framework="numpy") as weights:
        for initializer in model.graph.initializer:
            if initializer.name in entries:
                entry = entries[initializer.name]
                file.write(b"\0" * (-file.tell() % _ALIGNMENT))
                begin = file.tell()
                size = file.write(encode(_arranged(weights.get_tensor(entry.key), entry), initializer.data_type))
                _point(initializer, Path(file.name).name, begin, size)


def _arranged(tensor: NDArray[Any], entry: WeightEntry) -> NDArray[Any]:
    return np.ascontiguousarray(tensor.T if entry.transposed else tensor).reshape(entry.shape)


def _point(initializer: onnx.TensorProto, location: str, offset: int, length: int) -> None:
    del initializer.external_data[:]
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        initializer.external_data.add(key=key, value=str(value))
