"""The memory estimate: by hand on small graphs, and beside what ONNX Runtime really takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("onnx", reason="the export extra has it")
import onnx
from onnx import TensorProto, helper, numpy_helper

from likeness_engines import BackendError, ModelPack, PackError, bundled_pack
from likeness_engines.backends.base import Target
from likeness_engines.graph_memory import Graph, activation_peak
from likeness_engines.memory import check_memory, estimate_memory, gigabytes, megabytes

PACK = bundled_pack()
CPU = Target("onnxruntime", "1", "a CPU", "fp32", 10)
GPU = Target("tensorrt", "1", "a GPU", "fp16", 10)
ROW = 1000  # numbers in a row of x
MEASURE = """
import sys
import numpy as np
from likeness_engines import BackendOptions, bundled_pack, create_backend

def status(key):
    return int(next(line for line in open("/proc/self/status") if line.startswith(key)).split()[1]) * 1024

network, rows = sys.argv[1], int(sys.argv[2])
pack = bundled_pack()
bank = pack.about.lora.shapes()
engine = create_backend("onnxruntime", BackendOptions(1)).load(pack, network)

def inputs(rows):
    shapes = {n: bank.get(n) or [rows if size is None else size for size in s.shape] for n, s in engine.inputs.items()}
    return {name: np.ones(shape, engine.inputs[name].dtype) for name, shape in shapes.items()}

engine.run(inputs(1))
given = inputs(rows)
before = status("VmRSS")
engine.run(given)
print(status("VmHWM") - before)
"""


def graph(nodes: Sequence[onnx.NodeProto], outputs: Sequence[str], rows: int = 10) -> Graph:
    """x [rows, 1000] and y [rows, 20, 50], both float32, go in."""
    model = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", ROW]),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 20, 50]),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.array([0, -1, 50], np.int64), "thirds")],
    )
    return Graph(helper.make_model(model, opset_imports=[helper.make_opsetid("", 18)]), rows, {})


def peak(nodes: Sequence[onnx.NodeProto], outputs: Sequence[str], *, fused: bool = True) -> int:
    """In numbers of x's rows of ten."""
    small = graph(nodes, outputs)
    assert small.unknown == 0
    return activation_peak(small, 4, fused_attention=fused) // (10 * ROW * 4)


def test_a_tensor_lives_until_it_was_last_read() -> None:
    nodes = [
        helper.make_node("Concat", ["x", "x"], ["two"], axis=1),
        helper.make_node("Concat", ["two", "x"], ["three"], axis=1),  # five rows now
        helper.make_node("Concat", ["three", "x"], ["four"], axis=1),  # seven: the two have gone
        helper.make_node("ReduceMean", ["four"], ["mean"], keepdims=1),
    ]
    assert peak(nodes, ["mean"]) == 7
    kept = [*nodes[:3], helper.make_node("Concat", ["four", "two"], ["six"], axis=1)]
    assert peak(kept, ["six"]) == 9  # as the two are read once more; what goes out is counted elsewhere


def test_views_and_what_is_written_in_place_take_nothing() -> None:
    nodes = [
        helper.make_node("Concat", ["x", "x"], ["two"], axis=1),
        helper.make_node("Reshape", ["two", "thirds"], ["folded"]),
        helper.make_node("Sigmoid", ["folded"], ["gate"]),  # read once more below: not in place
        helper.make_node("Mul", ["folded", "gate"], ["silu"]),
        helper.make_node("Transpose", ["silu"], ["turned"], perm=[0, 2, 1]),
    ]
    assert peak(nodes[:3], ["gate"]) == 2
    assert peak([*nodes, helper.make_node("Add", ["turned", "turned"], ["out"])], ["out"]) == 4


def test_attentions_scores_are_counted_where_they_are_whole() -> None:
    nodes = [
        helper.make_node("Constant", [], ["scale"], value_float=0.5),
        helper.make_node("Concat", ["y", "y"], ["q"], axis=1),  # [10, 40, 50]: 2 rows
        helper.make_node("Transpose", ["q"], ["k"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "k"], ["scores"]),  # [10, 40, 40]: 1.6 rows
        helper.make_node("Mul", ["scores", "scale"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "q"], ["mixed"]),
        helper.make_node("ReduceMean", ["mixed"], ["mean"], keepdims=1),
    ]
    assert peak(nodes, ["mean"], fused=True) == 4  # q and k, then q and mixed
    assert peak(nodes, ["mean"], fused=False) == 5  # q, k and scores


def test_shapes_are_followed_through_arithmetic() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Constant", [], ["one"], value=numpy_helper.from_array(np.array(1, np.int64))),
        helper.make_node("Gather", ["shape", "one"], ["width"], axis=0),
        helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.array([2], np.int64))),
        helper.make_node("Div", ["width", "two"], ["half"]),
        helper.make_node("Constant", [], ["zero"], value=numpy_helper.from_array(np.array([0], np.int64))),
        helper.make_node("Slice", ["x", "zero", "half", "two_axis"], ["left"]),
        helper.make_node("Relu", ["left"], ["out"]),
    ]
    nodes.insert(0, helper.make_node("Constant", [], ["two_axis"], value=numpy_helper.from_array(np.array([1]))))
    small = graph(nodes, ["out"])
    assert (small.shape("left"), small.unknown) == ((10, ROW // 2), 0)


def test_what_depends_on_values_is_owned_up_to() -> None:
    nodes = [helper.make_node("NonZero", ["x"], ["where"]), helper.make_node("Cast", ["where"], ["out"], to=1)]
    assert graph(nodes, ["out"]).unknown == 2


def test_the_miniature_is_known_whole() -> None:
    estimate = estimate_memory(PACK, CPU)
    assert tuple(estimate.networks) == PACK.networks
    assert all(network.unknown == 0 and network.batch == 10 for network in estimate.networks.values())
    assert estimate.bank == 4 * sum(int(np.prod(shape)) for shape in PACK.about.lora.shapes().values())
    unet = estimate.networks["unet"]
    half = PACK.weights("unet").stat().st_size
    assert 1.9 * half < unet.weights <= 2 * half  # the file holds half precision, and a header
    row = 32 * 32 * (32 + 16) + 24 * 128 + 1  # sample, prediction, words, timestep
    assert unet.ends == 10 * (4 * row + 8)  # and lora_slot


def test_half_precision_takes_half_but_for_exact_networks() -> None:
    single, half = estimate_memory(PACK, msgspec.structs.replace(CPU, backend="tensorrt")), estimate_memory(PACK, GPU)
    assert half.networks["unet"].activations * 2 == single.networks["unet"].activations
    assert half.networks["unet"].weights * 2 == single.networks["unet"].weights
    assert half.networks["text_encoder"] == single.networks["text_encoder"]
    assert half.bank * 2 == single.bank
    eighth = estimate_memory(PACK, msgspec.structs.replace(GPU, precision="fp8"))
    assert half.networks["unet"].weights / 2 < eighth.networks["unet"].weights < half.networks["unet"].weights


def rise(network: str, rows: int) -> int:
    """Bytes that a first batch of so many rows adds to a process at its peak."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, network, str(rows)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.parametrize("network", ["unet", "vae_encoder", "vae_decoder"])
def test_activations_grow_as_measured(network: str) -> None:
    """What a row adds; the rest of a first batch's rise is workspaces, which do not grow."""
    few, many = 10, 60
    measured = rise(network, many) - rise(network, few)
    small, large = (
        estimate_memory(PACK, msgspec.structs.replace(CPU, rows=rows)).networks[network] for rows in (few, many)
    )
    outputs = (large.ends - small.ends) / 2  # about; the inputs were there before
    expected = large.activations - small.activations + outputs
    assert 0.75 * measured < expected < 1.25 * measured


def test_too_little_memory_is_refused_with_the_rows_that_fit() -> None:
    many = msgspec.structs.replace(CPU, rows=60)
    whole = estimate_memory(PACK, many).total
    assert check_memory(PACK, many, whole).total == whole
    with pytest.raises(BackendError) as caught:
        check_memory(PACK, many, whole // 2)
    said = str(caught.value)
    assert f"take about {gigabytes(whole)} of memory, but a CPU has {gigabytes(whole // 2)} free" in said
    rows = int(said.partition("Use --rows ")[2].partition(",")[0])
    assert check_memory(PACK, msgspec.structs.replace(CPU, rows=rows), whole // 2)
    with pytest.raises(BackendError):
        check_memory(PACK, msgspec.structs.replace(CPU, rows=rows + 1), whole // 2)


def test_not_even_one_row() -> None:
    with pytest.raises(BackendError, match="Not even one row fits"):
        check_memory(PACK, CPU, 1_000_000)


def test_without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BackendError, match="pip install onnx"):
        estimate_memory(PACK, msgspec.structs.replace(CPU, rows=13))


def test_a_pack_without_a_graph(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="Import the pack again"):
        estimate_memory(ModelPack(tmp_path, PACK.about), CPU)


def test_sizes_are_readable() -> None:
    assert (gigabytes(1_234_567_890), megabytes(1_234_567)) == ("1.23 GB", "1.2 MB")
