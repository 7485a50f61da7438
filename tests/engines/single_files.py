"""Writing a diffusers folder as one file in the names of CompVis and Stability AI: diffusers' tables, backwards."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP = {
    "text_model.encoder.layers": "transformer.resblocks",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn": "attn",
    "text_model.final_layer_norm": "ln_final",
    "text_model.embeddings.token_embedding": "token_embedding",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
}


def write_single_file(folder: Path, file: Path, metadata: dict[str, str] | None = None) -> Path:
    """All networks of the folder in one file."""
    from safetensors.torch import load_file, save_file

    from likeness_engines.importing.weight_files import read_json

    unet = read_json(folder / "unet" / "config.json")
    vae = read_json(folder / "vae" / "config.json")
    xl = (folder / "text_encoder_2").is_dir()
    first = "conditioner.embedders.0.transformer." if xl else "cond_stage_model.transformer."
    parts = {
        "model.diffusion_model.": (_unet_key(unet), "unet/diffusion_pytorch_model.safetensors"),
        "first_stage_model.": (_vae_key(len(vae["block_out_channels"])), "vae/diffusion_pytorch_model.safetensors"),
        first: (lambda key: key, "text_encoder/model.safetensors"),
    }
    tensors = {
        prefix + rename(key): _as_convolution(prefix + rename(key), value)
        for prefix, (rename, path) in parts.items()
        for key, value in load_file(folder / path).items()
    }
    if xl:
        second = open_clip(load_file(folder / "text_encoder_2" / "model.safetensors"))
        tensors |= {f"conditioner.embedders.1.model.{key}": value for key, value in second.items()}
    save_file({key: value.contiguous() for key, value in tensors.items()}, file, metadata)
    return file


def open_clip(state: dict[str, Any]) -> dict[str, Any]:
    """A text encoder in OpenCLIP's names: one matrix for queries, keys and values, the projection transposed."""
    import torch

    renamed = {_replaced(key, OPEN_CLIP): value for key, value in state.items()}
    found: dict[str, Any] = {"text_projection": renamed.pop("text_projection.weight").T}
    for key, value in renamed.items():
        match = re.fullmatch(r"(.*\.attn)\.([qkv])_proj\.(weight|bias)", key)
        if match is None:
            found[key] = value
        elif match[2] == "q":
            each = [renamed[f"{match[1]}.{side}_proj.{match[3]}"] for side in "qkv"]
            found[f"{match[1]}.in_proj_{match[3]}"] = torch.cat(each)
    return found


def _unet_key(config: dict[str, Any]) -> Any:
    from diffusers.loaders.single_file_utils import DIFFUSERS_TO_LDM_MAPPING

    table, layers = DIFFUSERS_TO_LDM_MAPPING["unet"], config["layers_per_block"]
    whole = table["layers"] | table["addition_embed_type"]

    def rename(key: str) -> str:
        if key in whole:
            return str(whole[key])
        if match := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", key):
            place = 1 if match[1] == "attentions" else 2 * int(match[2])
            return f"middle_block.{place}.{_inside(match[1], match[3])}"
        match = re.fullmatch(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.*)", key)
        assert match is not None, key
        block, kind, layer = int(match[2]), match[3], int(match[4])
        first = 1 + block * (layers + 1) if match[1] == "down" else block * (layers + 1)
        if kind == "downsamplers":
            return f"input_blocks.{first + layers}.0.op.{match[5].removeprefix('conv.')}"
        side = "input" if match[1] == "down" else "output"
        if kind == "upsamplers":
            place = 1 + ("CrossAttn" in config["up_block_types"][block])
            return f"output_blocks.{first + layers}.{place}.{match[5]}"
        return f"{side}_blocks.{first + layer}.{int(kind == 'attentions')}.{_inside(kind, match[5])}"

    return rename


def _inside(kind: str, key: str) -> str:
    return key if kind == "attentions" else _replaced(key, RESNET)


def _vae_key(blocks: int) -> Any:
    def rename(key: str) -> str:
        key = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        key = re.sub(r"mid_block\.resnets\.(\d)", lambda match: f"mid.block_{int(match[1]) + 1}", key)
        if "mid_block.attentions.0" in key:
            return _replaced(key.replace("mid_block.attentions.0", "mid.attn_1"), VAE_ATTENTION)
        key = re.sub(r"up_blocks\.(\d)", lambda match: f"up.{blocks - 1 - int(match[1])}", key)
        key = key.replace("down_blocks", "down").replace("resnets", "block")
        return key.replace("downsamplers.0", "downsample").replace("upsamplers.0", "upsample")

    return rename


def _replaced(key: str, table: dict[str, str]) -> str:
    for old, new in table.items():
        key = key.replace(old, new)
    return key


def _as_convolution(key: str, value: Any) -> Any:
    """The VAE's attention was made of 1 x 1 convolutions."""
    return value[:, :, None, None] if ".mid.attn_1." in key and value.ndim == 2 else value
