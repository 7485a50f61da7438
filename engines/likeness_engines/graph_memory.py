"""How much memory a graph's activations take, from its shapes alone: nothing is run, no weights are read.

Needs `onnx`, which the `export` extra brings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.defs import SchemaError, get_schema
from onnx.helper import make_tensor_type_proto, tensor_dtype_to_np_dtype
from onnx.reference import ReferenceEvaluator
from onnx.shape_inference import InferenceError, infer_node_outputs

# Shapes are computed with tensors of a few numbers; larger ones are data.
_SMALL: Final = 4096
# The output is the input's memory under another shape.
_VIEWS: Final = frozenset({"Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity"})
# Every runtime writes the output over an input of the same size that no one reads any more.
_IN_PLACE: Final = frozenset(
    {"Add", "Sub", "Mul", "Div", "Sigmoid", "Erf", "Tanh", "Relu", "Gelu", "Softmax", "Where", "Clip", "Pow", "Sqrt"}
)
# What stands between the two multiplications of attention.
_SCORES: Final = frozenset({"Add", "Mul", "Div", "Where", "IsNaN", "Cast", "Softmax"})


class Graph:
    """A graph whose open dimensions are filled in: the inputs named in `fixed` have those shapes, others `rows` rows.

    Shapes are followed node by node, as far as they do not depend on what the inputs hold.
    """

    def __init__(self, model: onnx.ModelProto, rows: int, fixed: Mapping[str, tuple[int, ...]]) -> None:
        self.nodes = [node for node in model.graph.node if node.op_type != "Constant"]
        self.inputs = [value.name for value in model.graph.input]
        self.outputs = [value.name for value in model.graph.output]
        self._opset = next(each.version for each in model.opset_import if not each.domain)
        self._types: dict[str, onnx.TypeProto] = {}
        self._values: dict[str, NDArray[Any]] = {}
        for tensor in model.graph.initializer:
            self._types[tensor.name] = make_tensor_type_proto(tensor.data_type, tensor.dims)
            if tensor.data_location != onnx.TensorProto.EXTERNAL and prod(tensor.dims) <= _SMALL:
                self._values[tensor.name] = numpy_helper.to_array(tensor)
        for value in model.graph.input:
            kind = value.type.tensor_type
            shape = fixed.get(value.name) or [dim.dim_value or rows for dim in kind.shape.dim]
            self._types[value.name] = make_tensor_type_proto(kind.elem_type, shape)
        for node in model.graph.node:
            self._infer(node)
            self._evaluate(node)

    @property
    def computed(self) -> list[str]:
        """The tensors that take memory while the graph runs; what is a constant does not."""
        return [name for node in self.nodes for name in node.output if name and name not in self._values]

    @property
    def unknown(self) -> int:
        """How many of them have a shape that depends on what the inputs hold."""
        return sum(self.shape(name) is None for name in self.computed)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """A tensor's shape, None where it is not known."""
        if name not in self._types or not self._types[name].tensor_type.HasField("shape"):
            return None
        dims = self._types[name].tensor_type.shape.dim
        return tuple(dim.dim_value for dim in dims) if all(dim.HasField("dim_value") for dim in dims) else None

    def bytes(self, name: str, float_bytes: int) -> int:
        """A tensor's size with floating-point numbers of `float_bytes`; nothing where it is not known."""
        shape = self.shape(name)
        if shape is None:
            return 0
        dtype = tensor_dtype_to_np_dtype(self._types[name].tensor_type.elem_type)
        return prod(shape) * (float_bytes if np.issubdtype(dtype, np.floating) else dtype.itemsize)

    def _infer(self, node: onnx.NodeProto) -> None:
        types = {name: self._types[name] for name in node.input if name in self._types}
        data = {name: numpy_helper.from_array(self._values[name]) for name in node.input if name in self._values}
        try:
            found = infer_node_outputs(get_schema(node.op_type, self._opset, node.domain), node, types, data)
        except (InferenceError, SchemaError):
            return  # counted as unknown
        self._types.update(found)

    def _evaluate(self, node: onnx.NodeProto) -> None:
        """Compute what shapes are computed with."""
        shapes = [self.shape(name) for name in node.output if name]
        if any(shape is None or prod(shape) > _SMALL for shape in shapes):
            return
        if node.op_type == "Shape" and not node.attribute:
            shape = self.shape(node.input[0])
            if shape is not None:
                self._values[node.output[0]] = np.array(shape, np.int64)
        elif all(name in self._values for name in node.input if name):
            values = ReferenceEvaluator(node).run(None, {name: self._values[name] for name in node.input if name})
            self._values.update(zip(node.output, map(np.asarray, values), strict=True))


def activation_peak(graph: Graph, float_bytes: int, *, fused_attention: bool) -> int:
    """The most bytes of activations alive at once when the nodes run in the graph's order, inputs and outputs left out.

    A tensor lives from the node that makes it to the last that reads it. With `fused_attention` the scores between
    the two multiplications of attention are never whole in memory.
    """
    held = {name: graph.bytes(name, float_bytes) for name in graph.computed}
    held |= dict.fromkeys((*graph.outputs, *(_scores(graph) if fused_attention else ())), 0)
    root = _roots(graph)
    last = {root[name]: place for place, node in enumerate(graph.nodes) for name in node.input if name in root}
    now = peak = 0
    for place, node in enumerate(graph.nodes):
        made = sum(held.get(name, 0) for name in node.output if root[name] == name)
        read = {root[name] for name in node.input if name in root}
        done = [held.get(name, 0) for name in read if last[name] == place]
        reused = made if node.op_type in _IN_PLACE and made in done else 0
        peak = max(peak, now + made - reused)
        now += made - sum(done)
    return peak


def _roots(graph: Graph) -> dict[str, str]:
    """Which tensor's memory each computed tensor is: its own, or that of the one it is a view of."""
    root: dict[str, str] = {}
    for node in graph.nodes:
        for name in node.output:
            root[name] = root.get(node.input[0], name) if node.op_type in _VIEWS else name
    return root


def _scores(graph: Graph) -> set[str]:
    """The tensors between a Softmax and the multiplications before and after it."""
    maker = {name: node for node in graph.nodes for name in node.output}
    readers = defaultdict(list)
    for node in graph.nodes:
        for name in node.input:
            readers[name].append(node)
    found: set[str] = set()
    for node in graph.nodes:
        if node.op_type == "Softmax":
            found |= _spread(graph, node.output[0], maker, readers)
    return found


def _spread(
    graph: Graph, start: str, maker: Mapping[str, onnx.NodeProto], readers: Mapping[str, Iterable[onnx.NodeProto]]
) -> set[str]:
    """All tensors of one shape that are computed from one another elementwise, up to the multiplications."""
    found, todo = set(), [start]
    while todo:
        name = todo.pop()
        if name in found or name not in maker or graph.shape(name) != graph.shape(start):
            continue
        found.add(name)
        if maker[name].op_type in _SCORES:
            todo += maker[name].input
        todo += [output for node in readers.get(name, ()) if node.op_type in _SCORES for output in node.output]
    return found
