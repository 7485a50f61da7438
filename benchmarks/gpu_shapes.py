"""The architectures that `gpu.py` measures, as diffusers and transformers configure them, and tiny ones for CPUs."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from likeness_engines import Family

PROMPT_LENGTH: Final = 77
VAE: Final = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "latent_channels": 4,
}
CLIP_L: Final = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
CLIP_G: Final = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
CLIP_H_VISION: Final = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 224,
    "projection_dim": 1024,
    "hidden_act": "gelu",
}
_SDXL_BLOCKS: Final = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
}


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint without weights: its modules' arguments; `adapter` are those of IP-Adapter Plus's projection."""

    name: str
    family: Family
    resolution: int
    latent_scale: float
    unet: dict[str, Any]
    vae: dict[str, Any]
    encoders: tuple[dict[str, Any], ...]
    vision: dict[str, Any]
    adapter: dict[str, int]


SD15: Final = Shape(
    name="SD 1.5",
    family="sd",
    resolution=512,
    latent_scale=0.18215,
    unet={"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
    vae=VAE,
    encoders=(CLIP_L,),
    vision=CLIP_H_VISION,
    adapter={"embed_dims": 1280, "output_dims": 768, "hidden_dims": 768, "heads": 12, "num_queries": 16},
)
SDXL: Final = Shape(
    name="SDXL",
    family="sdxl",
    resolution=1024,
    latent_scale=0.13025,
    unet={
        **_SDXL_BLOCKS,
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
    vae=VAE,
    encoders=(CLIP_L, CLIP_G),
    vision=CLIP_H_VISION,
    adapter={"embed_dims": 1280, "output_dims": 2048, "hidden_dims": 1280, "heads": 20, "num_queries": 16},
)

_TINY_VAE: Final = {
    **VAE,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 4,
}
_TINY_CLIP: Final = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 16,
}
_TINY_VISION: Final = {**_TINY_CLIP, "patch_size": 8, "image_size": 16}
_TINY_ADAPTER: Final = {"embed_dims": 16, "hidden_dims": 16, "heads": 2, "dim_head": 8, "num_queries": 4, "depth": 1}
TINY_SD15: Final = Shape(
    name="tiny SD 1.5",
    family="sd",
    resolution=16,
    latent_scale=0.18215,
    unet={
        "sample_size": 8,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "cross_attention_dim": 16,
        "attention_head_dim": 2,
    },
    vae=_TINY_VAE,
    encoders=(_TINY_CLIP,),
    vision=_TINY_VISION,
    adapter={**_TINY_ADAPTER, "output_dims": 16},
)
TINY_SDXL: Final = Shape(
    name="tiny SDXL",
    family="sdxl",
    resolution=16,
    latent_scale=0.13025,
    unet={
        **_SDXL_BLOCKS,
        "sample_size": 8,
        "block_out_channels": (16, 16, 32),
        "layers_per_block": 1,
        "transformer_layers_per_block": (1, 1, 2),
        "norm_num_groups": 4,
        "attention_head_dim": (2, 2, 4),
        "cross_attention_dim": 32,
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 64,
    },
    vae=_TINY_VAE,
    encoders=(_TINY_CLIP, {**_TINY_CLIP, "hidden_act": "gelu"}),
    vision=_TINY_VISION,
    adapter={**_TINY_ADAPTER, "output_dims": 32},
)
FULL: Final = {"sd15": SD15, "sdxl": SDXL}
TINY: Final = {"sd15": TINY_SD15, "sdxl": TINY_SDXL}
