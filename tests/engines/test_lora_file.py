"""LoRA files in every naming scheme, compared with the dense product; what is refused, and in which words."""

from __future__ import annotations

import errno
import hashlib
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness_engines import safetensors_file
from likeness_engines.errors import LoraError
from likeness_engines.lora import Lora, LoraBankSize, LoraLayer, lora_places
from likeness_engines.lora_file import read_lora

BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
ATTENTION = [
    LoraLayer(f"{BLOCK}.attn1.to_q", 6, 6),
    LoraLayer(f"{BLOCK}.attn1.to_out.0", 6, 6),
    LoraLayer(f"{BLOCK}.attn2.to_k", 4, 6),
    LoraLayer(f"{BLOCK}.attn2.to_out.0", 6, 6),
    LoraLayer("mid_block.attentions.0.transformer_blocks.0.attn1.to_v", 5, 7),
]
FEED_FORWARD = [LoraLayer(f"{BLOCK}.ff.net.0.proj", 6, 8), LoraLayer(f"{BLOCK}.ff.net.2", 4, 6)]
SIZE = LoraBankSize(slots=3, rank=4, layers=ATTENTION)
WITH_FEED_FORWARD = LoraBankSize(slots=3, rank=4, layers=[*ATTENTION, *FEED_FORWARD])
TO_Q = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
FORMATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "F8_E4M3": "u1"}

Tensors = dict[str, np.ndarray]
Keys = tuple[str, str, str]  # of down, up and alpha


def encode(values: np.ndarray, dtype: str) -> bytes:
    if dtype == "BF16":
        return (np.ascontiguousarray(values, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return values.astype(FORMATS[dtype]).tobytes()


def write(
    path: Path, tensors: Tensors, metadata: dict[str, str] | None = None, dtype: str = "F32", pad: int = 0
) -> Path:
    """Safetensors with the tensors in the given order; `pad` lengthens the header to that many bytes."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    data = b""
    for key, values in tensors.items():
        encoded = encode(values, dtype)
        offsets = [len(data), len(data) + len(encoded)]
        header[key] = {"dtype": dtype, "shape": values.shape, "data_offsets": offsets}
        data += encoded
    text = json.dumps(header).encode().ljust(pad)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def pair(inputs: int = 6, outputs: int = 6, rank: int = 2, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Down and up as torch stores them; every number is exact in all formats."""
    rng = np.random.default_rng(seed)
    return rng.integers(-8, 8, (rank, inputs)) / 8.0, rng.integers(-8, 8, (outputs, rank)) / 8.0


def tensors_of(layers: list[LoraLayer], keys: Callable[[str], Keys], rank: int, alpha: float | None) -> Tensors:
    tensors = {}
    for seed, layer in enumerate(layers):
        down, up, scale = keys(layer.name)
        tensors[down], tensors[up] = pair(layer.inputs, layer.outputs, rank, seed)
        if alpha is not None:
            tensors[scale] = np.array(alpha)
    return tensors


def check(lora: Lora, size: LoraBankSize, layers: list[LoraLayer], rank: int, scale: float) -> None:
    """The slot's product is the dense one where the file has weights, and nothing elsewhere."""
    places = lora_places(size.layers)
    for layer in size.layers:
        place = places[layer.name]
        product = lora.arrays[place.down][place.down_index] @ lora.arrays[place.up][place.up_index]
        dense = np.zeros((layer.outputs, layer.inputs))
        if layer in layers:
            down, up = pair(layer.inputs, layer.outputs, rank, layers.index(layer))
            dense = scale * up @ down
        assert product.dtype == np.float32
        assert np.allclose(product, dense.T, atol=1e-6), layer.name


def kohya(name: str) -> Keys:
    layer = f"lora_unet_{name.replace('.', '_')}"
    return f"{layer}.lora_down.weight", f"{layer}.lora_up.weight", f"{layer}.alpha"


def peft(prefix: str, adapter: str = "") -> Callable[[str], Keys]:
    def keys(name: str) -> Keys:
        layer = f"{prefix}{name}"
        return f"{layer}.lora_A{adapter}.weight", f"{layer}.lora_B{adapter}.weight", f"{layer}.alpha"

    return keys


def older_diffusers(name: str) -> Keys:
    return f"unet.{name}.lora.down.weight", f"unet.{name}.lora.up.weight", f"unet.{name}.alpha"


def attention_processors(name: str) -> Keys:
    attention, projection = name.removesuffix(".0").rsplit(".", 1)
    layer = f"unet.{attention}.processor.{projection}_lora"
    return f"{layer}.down.weight", f"{layer}.up.weight", f"unet.{name}.alpha"


@pytest.mark.parametrize(("alpha", "rank", "scale"), [(None, 2, 1.0), (1.0, 2, 0.5), (8.0, 4, 2.0), (3.0, 1, 3.0)])
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(kohya, id="kohya"),
        pytest.param(peft("unet."), id="peft"),
        pytest.param(peft(""), id="peft, no prefix"),
        pytest.param(peft("base_model.model."), id="peft model"),
        pytest.param(peft("base_model.model.unet.", ".default"), id="peft, named adapter"),
        pytest.param(older_diffusers, id="older diffusers"),
        pytest.param(attention_processors, id="attention processors"),
    ],
)
def test_every_naming_scheme_gives_the_dense_product(
    keys: Callable[[str], Keys], alpha: float | None, rank: int, scale: float, tmp_path: Path
) -> None:
    path = write(tmp_path / "style.safetensors", tensors_of(ATTENTION, keys, rank, alpha))
    check(read_lora(path, SIZE), SIZE, ATTENTION, rank, scale)


@pytest.mark.parametrize("keys", [kohya, peft("unet."), older_diffusers])
def test_feed_forward_layers_are_read_where_the_bank_has_them(keys: Callable[[str], Keys], tmp_path: Path) -> None:
    path = write(tmp_path / "style.safetensors", tensors_of(FEED_FORWARD, keys, rank=2, alpha=1))
    check(read_lora(path, WITH_FEED_FORWARD), WITH_FEED_FORWARD, FEED_FORWARD, rank=2, scale=0.5)


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
def test_every_float_format_is_read(dtype: str, tmp_path: Path) -> None:
    path = write(tmp_path / "style.safetensors", tensors_of(ATTENTION, kohya, rank=4, alpha=2), dtype=dtype)
    check(read_lora(path, SIZE), SIZE, ATTENTION, rank=4, scale=0.5)


def test_what_the_safetensors_library_writes_is_read_and_an_alpha_may_be_an_integer(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    tensors = tensors_of(ATTENTION, kohya, rank=2, alpha=None)
    tensors |= {kohya(layer.name)[2]: np.array([4]) for layer in ATTENTION}
    path = tmp_path / "style.safetensors"
    save_file(tensors, path, {"ss_network_module": "networks.lora"})
    check(read_lora(path, SIZE), SIZE, ATTENTION, rank=2, scale=2)


def test_the_key_is_the_files_sha256_whatever_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "one.safetensors", tensors_of(ATTENTION, kohya, rank=2, alpha=1))
    other = write(tmp_path / "two.bin", tensors_of(ATTENTION, kohya, rank=2, alpha=1))
    assert read_lora(path, SIZE).key == read_lora(other, SIZE).key == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("length", [0x0480, int.from_bytes(b"PK", "little")])
def test_a_header_whose_length_looks_like_a_pickle_is_read(length: int, tmp_path: Path) -> None:
    tensors = tensors_of(ATTENTION[:1], kohya, rank=2, alpha=1)
    path = write(tmp_path / "style.safetensors", tensors, pad=length)
    assert path.read_bytes().startswith((b"\x80", b"PK"))
    check(read_lora(path, SIZE), SIZE, ATTENTION[:1], rank=2, scale=0.5)


SGM_NAMES = {
    "input_blocks_4_1_transformer_blocks_0_attn1_to_q": "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
    "input_blocks_8_1_transformer_blocks_9_attn2_to_k": "down_blocks.2.attentions.1.transformer_blocks.9.attn2.to_k",
    "middle_block_1_transformer_blocks_0_attn1_to_out_0": "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0",
    "output_blocks_2_1_transformer_blocks_0_ff_net_2": "up_blocks.0.attentions.2.transformer_blocks.0.ff.net.2",
    "output_blocks_3_1_transformer_blocks_1_attn1_to_v": "up_blocks.1.attentions.0.transformer_blocks.1.attn1.to_v",
}


def test_kohya_files_for_sdxl_may_count_blocks_as_stability_does(tmp_path: Path) -> None:
    layers = [LoraLayer(name, 6, 6) for name in SGM_NAMES.values()]
    size = LoraBankSize(slots=2, rank=4, layers=layers)
    spelled = {name: sgm for sgm, name in SGM_NAMES.items()}
    path = write(tmp_path / "xl.safetensors", tensors_of(layers, lambda name: kohya(spelled[name]), rank=2, alpha=1))
    check(read_lora(path, size), size, layers, rank=2, scale=0.5)


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"unet.lora_alpha": 8, "unet.r": 2, "text_encoder.lora_alpha": 3}, 4),
        ({"lora_alpha": 1.0, "r": 2}, 0.5),  # as UNet2DConditionModel.save_lora_adapter writes it
        ({"unet.lora_alpha": 8, "unet.alpha_pattern": {"attn1.to_q": 2}, "unet.rank_pattern": {}}, 1),
        ({"unet.lora_alpha": 8, "unet.alpha_pattern": {"to_q": 2, "attn1.to_q": 6}}, 1),
        ({"unet.lora_alpha": 8, "unet.alpha_pattern": {f"^{BLOCK}.attn1.to_q": 6}}, 3),
        ({"unet.lora_alpha": 8, "unet.alpha_pattern": {"^attn1.to_q": 6, "n1.to_q": 6}}, 4),
        ({"unet.init_lora_weights": "gaussian", "unet.alpha_pattern": None}, 1),
    ],
)
def test_alphas_may_lie_in_the_metadata(config: dict[str, Any], scale: float, tmp_path: Path) -> None:
    metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(config)}
    tensors = tensors_of(ATTENTION[:1], peft("unet."), rank=2, alpha=None)
    lora = read_lora(write(tmp_path / "style.safetensors", tensors, metadata), SIZE)
    check(lora, SIZE, ATTENTION[:1], rank=2, scale=scale)


def test_a_tensor_with_an_alpha_counts_more_than_the_metadata(tmp_path: Path) -> None:
    metadata = {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 8})}
    tensors = tensors_of(ATTENTION[:1], peft("unet."), rank=2, alpha=1)
    lora = read_lora(write(tmp_path / "style.safetensors", tensors, metadata), SIZE)
    check(lora, SIZE, ATTENTION[:1], rank=2, scale=0.5)


def one_layer(name: str, inputs: int = 6, outputs: int = 6, rank: int = 2) -> Tensors:
    """One layer of a kohya file."""
    down, up = pair(inputs, outputs, rank)
    return {f"{name}.alpha": np.array(1.0), f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}


GOOD = one_layer(TO_Q)
DOWN, UP = GOOD[f"{TO_Q}.lora_down.weight"], GOOD[f"{TO_Q}.lora_up.weight"]
PROJ_IN = "lora_unet_down_blocks_0_attentions_0_proj_in"
CONVOLUTION = {f"{PROJ_IN}.lora_down.weight": np.ones((2, 6, 1, 1)), f"{PROJ_IN}.lora_up.weight": np.ones((6, 2, 1, 1))}
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1"
FF = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_ff_net_0_proj"
REFUSED = {
    "convolution": ({**GOOD, **CONVOLUTION}, f"convolution {PROJ_IN}. Use one for linear layers"),
    "first convolution": (
        {"unet.conv_in.lora_A.weight": np.ones((2, 4, 3, 3)), **CONVOLUTION},
        "convolution unet.conv_in",
    ),
    "LoHa": ({**GOOD, f"{PROJ_IN}.hada_w1_a": UP}, f"LoHa .{PROJ_IN}.hada_w1_a"),
    "LoKr": ({f"{TO_Q}.lokr_w1": UP}, f"LoKr .{TO_Q}.lokr_w1"),
    "LoCon": ({f"{TO_Q}.lora_mid.weight": np.ones((2, 2, 3, 3))}, "LoCon"),
    "DoRA of kohya": ({f"{TO_Q}.dora_scale": UP, **GOOD}, f"DoRA .{TO_Q}.dora_scale"),
    "DoRA of PEFT": ({f"unet.{BLOCK}.attn1.to_q.lora_magnitude_vector": np.ones(6)}, "DoRA .unet.down_blocks.0"),
    "text encoder": (one_layer(TEXT), f"text encoder .{TEXT}.. Use one for the UNet alone"),
    "first text encoder": (
        one_layer(TEXT.replace("te_", "te1_")) | one_layer(TEXT.replace("te_", "te2_")),
        "lora_te1_",
    ),
    "second text encoder": (GOOD | one_layer(TEXT.replace("te_", "te2_")), "text encoder .lora_te2_text"),
    "text encoder of diffusers": (
        {"text_encoder.text_model.q_proj.lora_A.weight": UP},
        "text encoder .text_encoder.te",
    ),
    "feed-forward": (GOOD | one_layer(FF), f"feed-forward layer {FF}; this pack has no feed-forward"),
    "feed-forward of PEFT": ({f"unet.{BLOCK}.ff.net.2.lora_A.weight": DOWN}, "no feed-forward layers in its bank"),
    "unknown layer": (
        one_layer("lora_unet_time_embedding_linear_1"),
        "lora_unet_time_embedding_linear_1, which this pack",
    ),
    "unknown block": (
        one_layer("lora_unet_input_blocks_1_0_emb_layers_1"),
        "lora_unet_input_blocks_1_0_emb_layers_1, which",
    ),
    "unknown tensor": ({**GOOD, f"{TO_Q}.diff_b": UP}, f"{TO_Q}.diff_b, which is not read"),
    "down alone": ({f"{TO_Q}.lora_down.weight": DOWN}, f"{TO_Q}.lora_down.weight but no up"),
    "up alone": ({f"{TO_Q}.lora_up.weight": UP}, f"{TO_Q}.lora_up.weight but no down"),
    "alpha alone": ({f"{TO_Q}.alpha": np.array(1)}, "no down"),
    "twice": ({**GOOD, f"unet.{BLOCK}.attn1.to_q.lora_A.weight": DOWN}, f"{BLOCK}.attn1.to_q twice"),
    "wrong inputs": (
        one_layer(TO_Q, inputs=8),
        rf"{BLOCK}.attn1.to_q are \(8, 2\) and \(2, 6\); this pack takes \(6, r\)",
    ),
    "wrong outputs": (one_layer(TO_Q, outputs=8), r"\(6, 2\) and \(2, 8\)"),
    "two ranks": (
        {f"{TO_Q}.lora_down.weight": DOWN, f"{TO_Q}.lora_up.weight": np.ones((6, 3))},
        r"\(6, 2\) and \(3, 6\)",
    ),
    "too high a rank": (one_layer(TO_Q, rank=5), f"rank 5 in {BLOCK}.attn1.to_q; this pack takes up to 4"),
    "rank 0": (one_layer(TO_Q, rank=0), f"{BLOCK}.attn1.to_q are .*not matrices"),
    "vector": ({**GOOD, f"{TO_Q}.lora_up.weight": np.ones(6)}, r"\(6,\), not matrices"),
    "several alphas": ({**GOOD, f"{TO_Q}.alpha": np.ones(2)}, f"2 values in {TO_Q}.alpha"),
    "NaN": ({**GOOD, f"{TO_Q}.lora_up.weight": np.full((6, 2), np.nan)}, f"NaN or infinite values in {TO_Q}.lora_up"),
    "infinity": ({**GOOD, f"{TO_Q}.lora_down.weight": np.full((2, 6), np.inf)}, f"infinite values in {TO_Q}.lora_down"),
    "NaN alpha": ({**GOOD, f"{TO_Q}.alpha": np.array(np.nan)}, f"infinite values in {TO_Q}.alpha"),
    "infinite product": (
        {**GOOD, f"{TO_Q}.lora_up.weight": UP * 1e38, f"{TO_Q}.alpha": np.array(1e3)},
        "infinite values",
    ),
    "whole model": (
        {"conv_in.weight": np.ones((6, 4, 3, 3)), "time_embedding.linear_1.weight": UP},
        "Nothing in the file",
    ),
    "embedding": ({"emb_params": np.ones((2, 8))}, "Nothing in the file is a LoRA"),
    "no tensors": ({}, "Nothing in the file is a LoRA"),
}


@pytest.mark.parametrize(("tensors", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_weights_that_do_not_fit_are_refused_by_name(tensors: Tensors, words: str, tmp_path: Path) -> None:
    path = write(tmp_path / "style.safetensors", tensors)
    with pytest.raises(LoraError, match=rf"^style\.safetensors: .*{words}"):
        read_lora(path, SIZE)


def test_a_double_too_large_for_a_float_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "style.safetensors", {**GOOD, f"{TO_Q}.alpha": np.array(1e300)}, dtype="F64")
    with pytest.raises(LoraError, match=f"infinite values in {TO_Q}.alpha"):
        read_lora(path, SIZE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"unet.use_rslora": true}', "use_rslora"),
        ('{"use_dora": true}', "use_dora"),
        ('{"unet.init_lora_weights": "pissa_niter_4"}', "pissa_niter_4"),
        ('{"unet.alpha_pattern": {"(a+)+b": 1}}', "expression .*whole layer names"),
        ('{"unet.lora_alpha": "high"}', "lora_adapter_metadata cannot be read"),
        ("lora_alpha = 3", "lora_adapter_metadata cannot be read"),
    ],
)
def test_configurations_with_another_product_are_refused(text: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path / "style.safetensors", GOOD, {"lora_adapter_metadata": text})
    with pytest.raises(LoraError, match=rf"^style\.safetensors: .*{words}"):
        read_lora(path, SIZE)


def torch_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(GOOD))


@pytest.mark.parametrize(
    "spoil",
    [
        torch_zip,
        lambda path: path.write_bytes(pickle.dumps(GOOD, protocol=2)),
        lambda path: path.write_bytes(pickle.dumps(GOOD, protocol=5)),
    ],
)
def test_a_pickle_is_refused_whatever_its_name(spoil: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    spoil(path)
    with pytest.raises(LoraError, match=r"style\.safetensors: .*is a pickle, which can run code; ask for safetensors"):
        read_lora(path, SIZE)


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".ckpt", ".PTH"])
def test_so_is_what_is_named_like_one_and_is_not_safetensors(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"style{suffix}"
    path.write_bytes(pickle.dumps([1.5], protocol=0))
    with pytest.raises(LoraError, match="is a pickle, which can run code; ask for safetensors"):
        read_lora(path, SIZE)


def spoiled_header(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    def spoil(whole: bytes) -> bytes:
        length = int.from_bytes(whole[:8], "little")
        header = json.loads(whole[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + whole[8 + length :]

    return spoil


def header_bytes(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda _: b"", "not safetensors, or is cut short"),
        (lambda whole: whole[:5], "not safetensors, or is cut short"),
        (lambda _: b"<!DOCTYPE html><html>", "not safetensors"),
        (lambda whole: whole[:40], "cut short"),
        (lambda whole: whole[:-1], "cut short"),
        (lambda whole: whole + b"\0", "too long"),
        (lambda _: (1 << 62).to_bytes(8, "little") + b"{}", "cut short"),
        (lambda _: header_bytes(b"{broken"), "header cannot be read"),
        (lambda _: header_bytes(b'{"\xff": 1}'), "header cannot be read"),
        (lambda _: header_bytes(b'{"a": ' + b"[" * 100_000 + b"}"), "header cannot be read"),
        (lambda _: header_bytes(b'{"a": {"dtype": "F32"}}'), "header cannot be read"),
        (spoiled_header(lambda header: header[f"{TO_Q}.alpha"].update(shape=[-1, -1])), "header cannot be read"),
        (spoiled_header(lambda header: header[f"{TO_Q}.alpha"].update(shape=[2])), f"damaged at {TO_Q}.alpha"),
        (spoiled_header(lambda header: header[f"{TO_Q}.alpha"].update(data_offsets=[4, 0])), f"damaged at {TO_Q}"),
        (spoiled_header(lambda header: header.pop(f"{TO_Q}.alpha")), f"damaged at {TO_Q}.lora_down"),
        (spoiled_header(lambda header: header[f"{TO_Q}.alpha"].update(dtype="F8_E4M3")), f"{TO_Q}.alpha in F8_E4M3"),
    ],
)
def test_a_damaged_file_is_refused(spoil: Callable[[bytes], bytes], words: str, tmp_path: Path) -> None:
    path = write(tmp_path / "style.safetensors", GOOD)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(LoraError, match=rf"^style\.safetensors: .*{words}"):
        read_lora(path, SIZE)


def refuse(*_: Any) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")  # root, who runs tests in containers, may read anything


def test_no_file_no_permission_and_too_large_a_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for missing in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(LoraError, match=f"^{missing.name}: There is no such file"):
            read_lora(missing, SIZE)
    path = write(tmp_path / "style.safetensors", GOOD)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(LoraError, match=r"^style\.safetensors: The file cannot be read: Permission denied"):
            read_lora(path, SIZE)
    monkeypatch.setattr(safetensors_file, "MOST_BYTES", 100)
    with pytest.raises(LoraError, match=r"^style\.safetensors: The file has \d+ bytes; a LoRA may have 100"):
        read_lora(path, SIZE)


def every_linear(unet: Any) -> list[LoraLayer]:
    """The linear layers of a diffusers UNet's transformers."""
    import torch

    return [
        LoraLayer(name, module.in_features, module.out_features)
        for name, module in unet.named_modules()
        if isinstance(module, torch.nn.Linear) and ".transformer_blocks." in name
    ]


@pytest.mark.export
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_what_diffusers_saves_is_read(dtype: str, tmp_path: Path) -> None:
    import torch
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel

    unet = UNet2DConditionModel(
        block_out_channels=(4, 8), norm_num_groups=2, cross_attention_dim=6, attention_head_dim=2, layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    layers = every_linear(unet)
    high = next(layer.name for layer in layers if layer.name.endswith("attn2.to_out.0"))
    ranks = {layer.name: 4 if layer.name == high else 2 for layer in layers}
    state = {}
    for seed, layer in enumerate(layers):
        down, up = pair(layer.inputs, layer.outputs, ranks[layer.name], seed)
        state[f"{layer.name}.lora_A.weight"] = torch.tensor(down).to(getattr(torch, dtype))
        state[f"{layer.name}.lora_B.weight"] = torch.tensor(up).to(getattr(torch, dtype))
    config = {
        "r": 2,
        "lora_alpha": 1,
        "rank_pattern": {f"^{high}": 4},
        "alpha_pattern": {high: 12},
        "use_rslora": False,
    }
    config |= {"peft_type": "LORA", "target_modules": {"to_q", "to_k"}, "init_lora_weights": True, "use_dora": False}
    StableDiffusionPipeline.save_lora_weights(tmp_path, unet_lora_layers=state, unet_lora_adapter_metadata=config)

    size = LoraBankSize(slots=2, rank=4, layers=layers)
    lora, places = read_lora(tmp_path / "pytorch_lora_weights.safetensors", size), lora_places(layers)
    for seed, layer in enumerate(layers):
        place = places[layer.name]
        product = lora.arrays[place.down][place.down_index] @ lora.arrays[place.up][place.up_index]
        down, up = pair(layer.inputs, layer.outputs, ranks[layer.name], seed)
        assert np.allclose(product, ((3 if layer.name == high else 0.5) * up @ down).T, atol=1e-6)


def sdxl_in_sgm() -> Iterator[str]:
    """Every linear layer of SDXL's transformers, in the names of Stability's own code."""
    depths = {f"input_blocks_{n}_1": 2 for n in (4, 5)} | {f"input_blocks_{n}_1": 10 for n in (7, 8)}
    depths |= {"middle_block_1": 10}
    depths |= {f"output_blocks_{n}_1": 10 for n in (0, 1, 2)} | {f"output_blocks_{n}_1": 2 for n in (3, 4, 5)}
    attention = [f"{attn}_{part}" for attn in ("attn1", "attn2") for part in ("to_q", "to_k", "to_v", "to_out_0")]
    for block, depth in depths.items():
        for index in range(depth):
            for part in (*attention, "ff_net_0_proj", "ff_net_2"):
                yield f"lora_unet_{block}_transformer_blocks_{index}_{part}"


@pytest.mark.export
@pytest.mark.filterwarnings("ignore")
def test_sdxls_names_are_mapped_as_diffusers_does(tmp_path: Path) -> None:
    import torch
    from diffusers import UNet2DConditionModel
    from diffusers.loaders import lora_conversion_utils as theirs
    from diffusers.utils.state_dict_utils import convert_unet_state_dict_to_peft

    with torch.device("meta"):
        unet = UNet2DConditionModel(
            block_out_channels=(4, 8, 16), norm_num_groups=2, cross_attention_dim=6, attention_head_dim=(1, 2, 4),
            transformer_layers_per_block=(1, 2, 10), use_linear_projection=True,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        )  # fmt: skip
    layers = [LoraLayer(layer.name, 2, 2) for layer in every_linear(unet)]
    size = LoraBankSize(slots=2, rank=1, layers=layers)
    tensors: Tensors = {}
    for number, name in enumerate(sdxl_in_sgm()):
        tensors[f"{name}.lora_down.weight"] = np.full((1, 2), 1.0)
        tensors[f"{name}.lora_up.weight"] = np.full((2, 1), 1.0 + number)
    lora = read_lora(write(tmp_path / "xl.safetensors", tensors), size)

    state = {key: torch.tensor(value) for key, value in tensors.items()}
    state = theirs._maybe_map_sgm_blocks_to_diffusers(state, unet.config)
    state, _ = theirs._convert_non_diffusers_lora_to_diffusers(state)
    state = convert_unet_state_dict_to_peft(state)
    places = lora_places(layers)
    expected = {key.removeprefix("unet."): value for key, value in state.items() if ".lora_B" in key}
    assert len(expected) == len(layers) == 700
    for layer in layers:
        place = places[layer.name]
        up = lora.arrays[place.up][place.up_index].T
        assert np.array_equal(up, expected[f"{layer.name}.lora_B.weight"]), layer.name
