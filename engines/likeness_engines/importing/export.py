"""A pack's networks become ONNX graphs without weights, through optimum. Needs the `export` extra.

Initialisers are matched with the pack's tensors by content, and `onnx/<network>.weights.json` lists which is which.
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data
from onnx.numpy_helper import to_array
from optimum.exporters.onnx import export
from optimum.exporters.onnx.model_configs import UNetOnnxConfig

from likeness_engines.errors import ExportError
from likeness_engines.pack import ModelPack, WeightEntry
from likeness_engines.torch_networks import Network

OPSET: Final = 18
# What a graph may keep besides weights: shapes, small constants.
INLINE_BYTES: Final = 65_536
ROWS: Final = 2  # in the example that is traced: one would look like a constant
Digests = dict[bytes, tuple[str, bool]]


def export_network(pack: ModelPack, name: str, network: Network, outputs: Mapping[str, NDArray[Any]]) -> None:
    """Write the network's graph and its list of weights into the pack; raises ExportError.

    `outputs` is what it answers to anything: of an output only the first dimension varies. On the way the disk has to
    hold the weights in float32, twice when they are over 2 GB.
    """
    rough = pack.folder / "onnx" / "rough"
    shutil.rmtree(rough, ignore_errors=True)
    rough.mkdir(parents=True)
    try:
        path = rough / f"{name}.onnx"
        _trace(network, path)
        graph = onnx.load(path, load_external_data=False)
        entries = take_weights_out(graph, digests(network.part.state_dict()), rough)
        _fix_outputs(graph, outputs)
        pack.graph(name).write_bytes(graph.SerializeToString())
    finally:
        shutil.rmtree(rough)
    listing = msgspec.json.format(msgspec.json.encode(entries), indent=1)
    pack.graph(name).with_suffix(".weights.json").write_bytes(listing)


def digests(state: Mapping[str, torch.Tensor]) -> Digests:
    """The tensors' contents, and those of matrices transposed, which exporters fold into the weights -> whose."""
    found: Digests = {}
    for key, tensor in state.items():
        values = tensor.detach().float().numpy()
        if values.ndim == 2:
            found.setdefault(_digest(values.T), (key, True))
        found[_digest(values)] = (key, False)
    return found


def take_weights_out(graph: onnx.ModelProto, known: Digests, folder: Path) -> list[WeightEntry]:
    """Turn every initialiser that is one of the known tensors into one that is handed in; returns where each comes
    from. `folder` is where the graph's own external data lies.
    """
    entries, inline = [], 0
    for constant in _constants(graph.graph):
        inline += _values(constant, folder).nbytes
    for initialiser in graph.graph.initializer:
        values = _values(initialiser, folder)
        found = known.get(_digest(values)) if values.dtype == np.float32 and values.size > 1 else None
        if found is None:
            inline += values.nbytes
            continue
        key, transposed = found
        entries.append(WeightEntry(initialiser.name, key, list(values.shape), transposed))
        for field in ("raw_data", "float_data", "external_data"):
            initialiser.ClearField(field)
        initialiser.data_location = onnx.TensorProto.EXTERNAL
        initialiser.external_data.add(key="location", value="weights")
    if inline > INLINE_BYTES:
        raise ExportError(
            f"{inline} bytes of weights match no tensor of the checkpoint: the exporter changed them."
            " Use the versions of torch and optimum that the `export` extra names."
        )
    return entries


def _constants(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """The tensors that nodes hold themselves."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == onnx.AttributeProto.GRAPH:
                yield from _constants(attribute.g)


def _values(tensor: onnx.TensorProto, folder: Path) -> NDArray[Any]:
    """A tensor's values. A large one that lies in a file is let go with them; a small one comes into the graph."""
    if not uses_external_data(tensor):
        return to_array(tensor)
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    load_external_data_for_tensor(copy, str(folder))
    copy.data_location = onnx.TensorProto.DEFAULT
    copy.ClearField("external_data")
    if len(copy.raw_data) < INLINE_BYTES:
        tensor.CopyFrom(copy)
    return to_array(copy)


def _digest(values: NDArray[Any]) -> bytes:
    return blake2b(np.ascontiguousarray(values).data, digest_size=16).digest()


def _trace(network: Network, path: Path) -> None:
    """By optimum, whose own configuration of a UNet has a scalar timestep and none of our inputs."""
    banks = getattr(network, "banks", {})
    inputs = {name: {0: "slots" if name in banks else "rows"} for name in network.inputs}
    outputs = {name: {0: "rows"} for name in network.outputs}

    class PackConfig(UNetOnnxConfig):  # type: ignore[misc, unused-ignore]
        """Only the export machinery is wanted."""

        @property
        def inputs(self) -> dict[str, dict[int, str]]:
            return inputs

        @property
        def outputs(self) -> dict[str, dict[int, str]]:
            return outputs

        def generate_dummy_inputs(self, framework: str = "pt", **_: Any) -> dict[str, Any]:
            assert framework == "pt"
            return network.example(ROWS)

    config = PackConfig(network.part.config, task="semantic-segmentation")
    model: Any = _traceable(network)  # optimum's annotation asks for less than its code takes
    with torch.no_grad():
        # Its fix of the outputs' shapes would run the whole network once more, in ONNX Runtime.
        export(model=model, config=config, output=path, opset=OPSET, disable_dynamic_axes_fix=True)


def _traceable(network: Network) -> torch.nn.Module:
    """A module that computes what the network does, whose `forward` has the network's inputs as parameters: torch.onnx
    and optimum order a model's inputs by them.
    """

    class Traceable(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.config = network.part.config
            self.dtype, self.device = torch.float32, torch.device("cpu")

    Traceable.forward = _with_signature(network.inputs)
    return Traceable().eval()


def _with_signature(names: Sequence[str]) -> Callable[..., Any]:
    def forward(self: Any, *values: Any, **named: Any) -> Any:
        return self.network(*values, *(named[name] for name in names[len(values) :]))

    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("self", *names)]
    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return forward


def _fix_outputs(graph: onnx.ModelProto, outputs: Mapping[str, NDArray[Any]]) -> None:
    """Write the sizes that do not vary; the exporter does not always see them."""
    for output in graph.graph.output:
        sizes = outputs[output.name].shape[1:]
        for dimension, size in zip(output.type.tensor_type.shape.dim[1:], sizes, strict=True):
            dimension.Clear()
            dimension.dim_value = size
