"""A pack's graphs in the precision that was asked for: what becomes half precision, what stays, and that it computes
the same.

ONNX Runtime computes half precision on a CPU in float32 between the roundings that it cannot leave out: types and
wiring are held here, not the rounding of a GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from likeness_engines import BackendOptions, ModelPack, bundled_pack, create_backend
from likeness_engines.backends.onnx_halving import BFLOAT16, FLOAT, FLOAT16, encode
from likeness_engines.backends.onnx_precision import write_typed_graph

onnx = pytest.importorskip("onnx", reason="the tensorrt extra is not installed")

PACK = bundled_pack()


def graph(path: Path, precision: Any, network: str = "unet", pack: ModelPack = PACK) -> Any:
    write_typed_graph(pack, network, precision, path)
    return onnx.load(path)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_graphs_hold_to_the_standard(tmp_path: Path, precision: str) -> None:
    for network in PACK.networks:
        path = tmp_path / f"{network}.onnx"
        graph(path, precision, network)
        onnx.checker.check_model(path, full_check=True)


def test_inputs_and_outputs_keep_their_types_but_for_the_bank(tmp_path: Path) -> None:
    for precision, bank in (("fp32", FLOAT), ("fp16", FLOAT16), ("bf16", FLOAT16)):
        model = graph(tmp_path / f"{precision}.onnx", precision)
        types = {each.name: each.type.tensor_type.elem_type for each in (*model.graph.input, *model.graph.output)}
        banked = {name: kind for name, kind in types.items() if name in PACK.about.lora.shapes()}
        assert set(banked.values()) == {bank}
        integers = types.pop("lora_slot")
        assert integers == onnx.TensorProto.INT64
        assert {kind for name, kind in types.items() if name not in banked} == {FLOAT}


def test_text_encoders_and_exact_networks_stay_float32(tmp_path: Path) -> None:
    exact = msgspec.structs.replace(PACK, about=msgspec.structs.replace(PACK.about, exact=("vae_decoder",)))
    for network in ("text_encoder", "vae_decoder"):
        half = graph(tmp_path / "half.onnx", "fp16", network, exact)
        assert {each.data_type for each in half.graph.initializer} == {FLOAT}
    half = graph(tmp_path / "half.onnx", "fp16", "vae_encoder", exact)
    assert {each.data_type for each in half.graph.initializer} == {FLOAT16}


@pytest.mark.parametrize(("precision", "half"), [("fp16", FLOAT16), ("bf16", BFLOAT16)])
def test_the_timestep_is_embedded_in_float32(tmp_path: Path, precision: str, half: int) -> None:
    model = graph(tmp_path / "unet.onnx", precision)
    makers = {name: node for node in model.graph.node for name in node.output}
    sines = [node for node in model.graph.node if node.op_type in ("Sin", "Cos")]
    assert len(sines) == 2
    waiting, seen = sines, []
    while waiting:
        node = waiting.pop()
        seen.append(node.op_type)
        for attribute in node.attribute:
            assert node.op_type != "Cast" or attribute.i != half
            assert attribute.t.data_type != half
        waiting += [makers[name] for name in node.input if name in makers]
    assert "Mul" in seen


def test_the_factors_of_a_resize_stay_float_constants(tmp_path: Path) -> None:
    model = graph(tmp_path / "unet.onnx", "bf16")
    makers = {name: node for node in model.graph.node for name in node.output}
    resizes = [node for node in model.graph.node if node.op_type == "Resize"]
    assert resizes
    for node in resizes:
        factors = makers[node.input[2]]
        assert factors.op_type == "Constant"
        assert factors.attribute[0].t.data_type == FLOAT


def test_the_bank_is_gathered_before_it_is_converted(tmp_path: Path) -> None:
    model = graph(tmp_path / "unet.onnx", "bf16")
    readers = [node.op_type for node in model.graph.node if set(node.input) & PACK.about.lora.shapes().keys()]
    assert set(readers) == {"Gather"}


def test_weights_are_the_packs_own(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    stored = load_file(PACK.weights("vae_decoder"))
    entries = {entry.name: entry for entry in PACK.weight_list("vae_decoder")}
    for precision, tolerance in (("fp32", 0), ("fp16", 0), ("bf16", 2**-8)):
        model = graph(tmp_path / f"{precision}.onnx", precision, "vae_decoder")
        for initializer in model.graph.initializer:
            entry = entries[initializer.name]
            expected = stored[entry.key].astype(np.float32)
            expected = (expected.T if entry.transposed else expected).reshape(entry.shape)
            found = onnx.numpy_helper.to_array(initializer).astype(np.float32)
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=0)


def test_numbers_beyond_half_precision_stay_finite_and_not_zero() -> None:
    values = np.array([1e-12, -1e-12, 0, 3.4e38, -3.4e38, 1.5], np.float32)
    halves = np.frombuffer(encode(values, FLOAT16), np.float16)
    assert halves.tolist() == [2**-24, -(2**-24), 0, 65504, -65504, 1.5]
    # bfloat16 has float32's range; ties go to even.
    ties = np.array([1 + 2**-8, 1 + 3 * 2**-8], np.float32)
    wide = np.frombuffer(encode(ties, BFLOAT16), np.uint16).astype(np.uint32) << 16
    assert wide.view(np.float32).tolist() == [1, 1 + 2**-6]


def as_float16(model: Any) -> Any:
    """A bfloat16 graph with every bfloat16 made float16, which ONNX Runtime can run on a CPU."""

    def convert(tensor: Any, name: str) -> Any:
        values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
        return onnx.numpy_helper.from_array(values.astype(np.float16), name)

    for initializer in model.graph.initializer:
        if initializer.data_type == BFLOAT16:
            initializer.CopyFrom(convert(initializer, initializer.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == BFLOAT16:
                attribute.i = FLOAT16
            if attribute.t.data_type == BFLOAT16:
                attribute.t.CopyFrom(convert(attribute.t, ""))
    return model


@pytest.mark.parametrize(("precision", "tolerance"), [("fp16", 0.005), ("bf16", 0.1)])
def test_half_precision_predicts_the_same(tmp_path: Path, precision: str, tolerance: float) -> None:
    """Predictions reach 7; bfloat16's weights alone, with 8 bits, move them by some hundredths."""
    from likeness_engines.onnx_runtime import ort

    model = as_float16(graph(tmp_path / "unet.onnx", precision))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rng, rows = np.random.default_rng(0), 3
    channels, height, width = PACK.about.latents
    inputs = {
        "sample": rng.standard_normal((rows, 2 * channels, height, width)).astype(np.float32),
        "timestep": np.array([999, 500.5, 2.5], np.float32),
        "encoder_hidden_states": rng.standard_normal((rows, PACK.about.prompt_length, 128)).astype(np.float32),
        "lora_slot": np.array([0, 3, 7]),
    }
    bank = {name: (rng.standard_normal(shape) * 0.05).astype("e") for name, shape in PACK.about.lora.shapes().items()}
    [found] = session.run(None, inputs | bank)
    wide = {name: array.astype(np.float32) for name, array in bank.items()}
    reference = create_backend("onnxruntime", BackendOptions(threads=2)).load(PACK, "unet")
    assert np.abs(found - reference.run(inputs | wide)["prediction"]).max() < tolerance
