"""Export from a diffusers folder: every network computes what PyTorch computes, and a LoRA slot what merging would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness_engines import Engines, ExportError, ModelPack, load_engines

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]
SIDE = 8


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random checkpoint in the miniature's layout."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel

    from miniature.prompts import WIDTH, build_text_encoder, write_tokenizer
    from miniature.unet import build_scheduler

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoint")
    build_text_encoder(write_tokenizer(folder / "tokenizer")).save_pretrained(folder / "text_encoder")
    build_scheduler().save_pretrained(folder / "scheduler")
    AutoencoderKL(
        in_channels=12,
        out_channels=12,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16),
        latent_channels=4,
        norm_num_groups=4,
        sample_size=2 * SIDE,
        scaling_factor=0.7,
    ).save_pretrained(folder / "vae")
    UNet2DConditionModel(
        sample_size=SIDE,
        in_channels=8,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    ).save_pretrained(folder / "unet")
    return folder


@pytest.fixture(scope="module")
def pack(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelPack:
    from likeness_engines.export import About, export_pack

    about = About(
        name="tiny",
        version="1",
        title="Tiny",
        family="pix2pix",
        licence="Apache-2.0",
        author="Tests",
        resolution=4 * SIDE,
        pixel_fold=2,
        default_steps=2,
        lora_slots=3,
        lora_rank=4,
    )
    return export_pack(checkpoint, tmp_path_factory.mktemp("out") / "pack", about)


@pytest.fixture(scope="module")
def engines(pack: ModelPack) -> Engines:
    return load_engines(pack, threads=1)


def load(cls: Any, pack: ModelPack, part: str) -> Any:
    import torch

    return cls.from_pretrained(pack.folder / part, torch_dtype=torch.float32).eval()


def test_graphs_have_no_weights_of_their_own(pack: ModelPack) -> None:
    import onnx

    for network in ("unet", "vae_encoder", "vae_decoder", "text_encoder"):
        graph = onnx.load(pack.graph(network), load_external_data=False).graph
        inline = sum(len(each.raw_data) for each in graph.initializer)
        assert inline < 10_000
        external = [each for each in graph.initializer if each.data_location == onnx.TensorProto.EXTERNAL]
        assert len(external) == len(pack.weight_list(network)) > 10


def test_text_encoder(pack: ModelPack, engines: Engines) -> None:
    import torch
    from transformers import CLIPTextModel, CLIPTokenizerFast

    prompts = ["oil portrait, gold and black backdrop, warm light", "zebra"]
    tokenizer = CLIPTokenizerFast.from_pretrained(pack.folder / "tokenizer")
    with torch.no_grad():
        tokens = tokenizer(prompts, padding="max_length", return_tensors="pt").input_ids
        expected = load(CLIPTextModel, pack, "text_encoder")(tokens).last_hidden_state.numpy()
    assert np.abs(engines.encode_prompts(prompts) - expected).max() < 1e-4


def test_autoencoder(pack: ModelPack, engines: Engines) -> None:
    import torch
    from diffusers import AutoencoderKL

    vae = load(AutoencoderKL, pack, "vae")
    photos = np.random.default_rng(0).integers(0, 256, (3, 4 * SIDE, 4 * SIDE, 3), np.uint8)
    with torch.no_grad():
        folded = torch.nn.functional.pixel_unshuffle(
            torch.from_numpy(photos).permute(0, 3, 1, 2).float() / 127.5 - 1, 2
        )
        latents = vae.encode(folded).latent_dist.mean * 0.7
        drawn = torch.nn.functional.pixel_shuffle(vae.decode(latents / 0.7).sample, 2)
        pixels = ((drawn.clamp(-1, 1) + 1) * 127.5).round().permute(0, 2, 3, 1).numpy()
    assert np.abs(engines.encode_photos(photos) - latents.numpy()).max() < 1e-4
    assert np.abs(engines.decode(latents.numpy()).astype(int) - pixels).max() <= 1


def batch(pack: ModelPack, engines: Engines) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    sample, source = (rng.standard_normal((3, *pack.about.latents)).astype(np.float32) for _ in range(2))
    words = engines.encode_prompts(["oil portrait", "neon portrait", ""])
    return {"sample": sample, "source": source, "timestep": np.float32([3, 400, 999]), "words": words}


def by_torch(unet: Any, inputs: dict[str, Any], row: int) -> np.ndarray:
    import torch

    tensors = {name: torch.from_numpy(value[row : row + 1]) for name, value in inputs.items()}
    with torch.no_grad():
        sample = torch.cat([tensors["sample"], tensors["source"]], dim=1)
        return np.asarray(unet(sample, tensors["timestep"], tensors["words"]).sample[0])


def test_unet_with_a_timestep_of_its_own_in_every_row(pack: ModelPack, engines: Engines) -> None:
    from diffusers import UNet2DConditionModel

    unet, inputs = load(UNet2DConditionModel, pack, "unet"), batch(pack, engines)
    drawn = engines.predict(**inputs, lora_slot=np.zeros(3, np.int64))
    for row in range(3):
        assert np.abs(drawn[row] - by_torch(unet, inputs, row)).max() < 1e-4


def test_every_row_reads_its_own_lora_slot(pack: ModelPack, engines: Engines) -> None:
    """Row by row as PyTorch with that LoRA alone merged into the weights."""
    import torch
    from diffusers import UNet2DConditionModel

    rng, loras = np.random.default_rng(2), {}
    for slot in (1, 2):
        loras[slot] = {
            layer.name: tuple(
                (rng.standard_normal(shape) * 0.3).astype(np.float32)
                for shape in ((layer.inputs, 3), (3, layer.outputs))
            )
            for layer in pack.about.lora.layers
        }
        engines.loras.fill(slot, loras[slot])  # type: ignore[arg-type]
    inputs = batch(pack, engines)
    drawn = engines.predict(**inputs, lora_slot=np.array([0, 1, 2]))
    plain = by_torch(load(UNet2DConditionModel, pack, "unet"), inputs, 1)
    for row in (1, 2):
        unet = load(UNet2DConditionModel, pack, "unet")
        for name, (down, up) in loras[row].items():
            unet.get_submodule(name).weight.data += torch.from_numpy((down @ up).T)
        merged = by_torch(unet, inputs, row)
        assert np.abs(drawn[row] - merged).max() < 1e-4
        if row == 1:
            assert np.abs(merged - plain).max() > 0.01
    engines.loras.clear(1)
    engines.loras.clear(2)


def test_a_folder_that_is_no_checkpoint_names_what_is_missing(tmp_path: Path, checkpoint: Path) -> None:
    from likeness_engines.export import export_pack

    with pytest.raises(ExportError, match="text_encoder"):
        export_pack(tmp_path, tmp_path / "out", None)  # type: ignore[arg-type]
    with pytest.raises(ExportError, match="exists already"):
        export_pack(checkpoint, tmp_path, None)  # type: ignore[arg-type]
