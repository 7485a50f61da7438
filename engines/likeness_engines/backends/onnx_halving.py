"""Half precision for an ONNX graph of float32: float16 or bfloat16 inside, inputs and outputs as they were.

Some of the inside stays float32: the sinusoidal embedding of the timestep, where half precision cannot tell one step
from the next, with all that leads to it; and the factors of a Resize, as ONNX wants them. ONNX Runtime's own converter
is not used: it rounds between any two neighbours that are to stay exact, and needs the weights in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from likeness_engines.errors import BackendError

if TYPE_CHECKING:
    import onnx

# Numbers of TensorProto.DataType, which the ONNX standard fixes.
FLOAT: Final = 1
FLOAT16: Final = 10
BFLOAT16: Final = 16
_EMBEDDINGS: Final = ("time_proj",)  # also add_time_proj, which embeds SDXL's sizes
# These move values and compute none: their type is that of what they are given.
_MOVES: Final = frozenset(
    {"Expand", "Flatten", "Gather", "Identity", "Reshape", "Shape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)
_FLOAT_INPUTS: Final = {("Resize", 2)}


def halve(model: onnx.ModelProto, half: int, bank: Collection[str]) -> None:
    """Rewrite a model, whose weights may be elsewhere, to compute in FLOAT16 or BFLOAT16.

    The inputs named in `bank` become float16, and stay it until they are computed with. Weights are retyped, not
    converted: their bytes are the caller's to write. Raises BackendError when the graph does not tell its types.
    """
    _Halving(model, half, bank).run()


def encode(values: NDArray[Any], kind: int) -> bytes:
    """Little-endian bytes in an ONNX type, rounded to nearest even.

    What half precision cannot hold becomes its largest number, or its smallest that is not zero, so that masks stay
    finite and nothing is divided by zero.
    """
    if kind == FLOAT16 and values.dtype != np.float16:
        wide = np.clip(values, -65504, 65504).astype(np.float32)
        tiny = (wide != 0) & (np.abs(wide) < 2**-24)
        return bytes(np.where(tiny, np.copysign(np.float32(2**-24), wide), wide).astype("<f2").tobytes())
    if kind == BFLOAT16:
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        return bytes(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes())
    return bytes(values.astype("<f2" if kind == FLOAT16 else "<f4").tobytes())


class _Halving:
    """One pass over the nodes in their order. `homes` has the type in which each float tensor is made."""

    def __init__(self, model: onnx.ModelProto, half: int, bank: Collection[str]) -> None:
        self._graph = model.graph
        self._half = half
        self._floats = set(_float_tensors(model))
        self._exact = _exact_nodes(model.graph)
        self._homes: dict[str, int] = {}
        self._constants: dict[str, NDArray[np.float32]] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._casts: dict[tuple[str, int], str] = {}
        self._bank = bank

    def run(self) -> None:
        """Rewrite the graph."""
        self._enter()
        for node in self._graph.node:
            self._convert(node)
        self._leave()
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)

    def _enter(self) -> None:
        for each in self._graph.input:
            if each.name in self._bank:
                each.type.tensor_type.elem_type = FLOAT16
            self._homes[each.name] = each.type.tensor_type.elem_type
        read_exactly = {name for node in self._graph.node if node.output[0] in self._exact for name in node.input}
        for weight in self._graph.initializer:
            if weight.name in self._floats and weight.name not in read_exactly:
                weight.data_type = self._half
            self._homes[weight.name] = weight.data_type

    def _convert(self, node: onnx.NodeProto) -> None:
        value = _constant(node)
        if value is not None and value.dtype == np.float32:
            self._constants[node.output[0]] = value
            return
        wanted = FLOAT if node.output[0] in self._exact else self._half
        if wanted != FLOAT and node.op_type in _MOVES:
            wanted = self._homes.get(node.input[0], self._half)
        for index, name in enumerate(node.input):
            if name in self._floats:
                node.input[index] = self._typed(name, self._read_as(node, index, wanted))
        if wanted != FLOAT:
            _retype(node, wanted)
        self._nodes.append(node)
        self._homes.update((name, wanted) for name in node.output if name in self._floats)

    def _read_as(self, node: onnx.NodeProto, index: int, wanted: int) -> int:
        if (node.op_type, index) in _FLOAT_INPUTS:
            return FLOAT
        return self._homes.get(node.input[index], FLOAT) if node.op_type == "Cast" else wanted

    def _typed(self, name: str, wanted: int) -> str:
        """The name under which a tensor can be read in a type; made at first need."""
        if name not in self._constants and self._homes[name] == wanted:
            return name
        if (name, wanted) not in self._casts:
            self._casts[name, wanted] = typed = f"{name}_as_{wanted}"
            self._nodes.append(self._constant_node(name, typed, wanted) or _cast(name, typed, wanted))
        return self._casts[name, wanted]

    def _constant_node(self, name: str, typed: str, wanted: int) -> onnx.NodeProto | None:
        from onnx import helper  # noqa: PLC0415

        if name not in self._constants:
            return None
        value = _tensor(self._constants[name], typed, wanted)
        return helper.make_node("Constant", [], [typed], name=typed, value=value)

    def _leave(self) -> None:
        """Outputs are float32: what is made in half precision gets another name, and a cast to the old one."""
        for each in self._graph.output:
            if each.name in self._floats and self._homes[each.name] != FLOAT:
                inner = f"{each.name}_in_half"
                for node in self._nodes:
                    _rename(node.input, each.name, inner)
                    _rename(node.output, each.name, inner)
                self._nodes.append(_cast(inner, each.name, FLOAT))


def _float_tensors(model: onnx.ModelProto) -> Iterator[str]:
    """The names of all float32 tensors; raises BackendError when a type cannot be inferred."""
    from onnx import shape_inference  # noqa: PLC0415

    graph = shape_inference.infer_shapes(model).graph
    typed = {each.name: each.type.tensor_type.elem_type for each in (*graph.input, *graph.output, *graph.value_info)}
    typed |= {each.name: each.data_type for each in graph.initializer}
    for name in (name for node in graph.node for name in node.output):
        if name and not typed.get(name):
            raise BackendError(f"The type of the tensor {name} cannot be inferred. Import the pack again, or use fp32.")
    return (name for name, kind in typed.items() if kind == FLOAT)


def _exact_nodes(graph: onnx.GraphProto) -> set[str]:
    """The nodes that embed timesteps, and all that lead to them, by their first output."""
    makers = {name: node for node in graph.node for name in node.output}
    waiting = [node for node in graph.node if any(word in node.name for word in _EMBEDDINGS)]
    exact: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.output[0] not in exact and node.op_type != "Shape":  # what leads to a shape has no part in the values
            exact.add(node.output[0])
            waiting += [makers[name] for name in node.input if name in makers]
    return exact


def _constant(node: onnx.NodeProto) -> NDArray[Any] | None:
    from onnx import numpy_helper  # noqa: PLC0415

    values = [attribute.t for attribute in node.attribute if attribute.name == "value"]
    return numpy_helper.to_array(values[0]) if node.op_type == "Constant" and values else None


def _retype(node: onnx.NodeProto, wanted: int) -> None:
    """Change the types that a node's attributes name."""
    from onnx import numpy_helper  # noqa: PLC0415

    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == FLOAT:
            attribute.i = wanted
        if node.op_type == "ConstantOfShape" and attribute.t.data_type == FLOAT:
            attribute.t.CopyFrom(_tensor(numpy_helper.to_array(attribute.t), "", wanted))


def _rename(names: Any, old: str, new: str) -> None:
    for index, name in enumerate(names):
        if name == old:
            names[index] = new


def _cast(name: str, typed: str, wanted: int) -> onnx.NodeProto:
    from onnx import helper  # noqa: PLC0415

    return helper.make_node("Cast", [name], [typed], name=typed, to=wanted)


def _tensor(values: NDArray[np.float32], name: str, kind: int) -> onnx.TensorProto:
    from onnx import helper  # noqa: PLC0415

    return helper.make_tensor(name, kind, values.shape, encode(values, kind), raw=True)
