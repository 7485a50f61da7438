"""Modules with random weights, made on the device: time does not depend on the values. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.embeddings import IPAdapterPlusImageProjection
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from benchmarks.gpu_shapes import PROMPT_LENGTH, Shape
from likeness_engines.torch_networks import FaceEncoder, cross_attentions, install_identity

DTYPES: Final = {"cuda": torch.bfloat16, "cpu": torch.float32}


class Modules(NamedTuple):
    """A checkpoint's plain modules, in half precision on a GPU."""

    unet: Any
    vae: Any
    encoders: list[Any]


def make_modules(shape: Shape, device: torch.device, *, identity: bool = False) -> Modules:
    """All but the face encoder; the UNet with IP-Adapter's layers, if it is to read an `identity`."""
    with _made_on(device):
        encoders = [_text_encoder(place, arguments) for place, arguments in enumerate(shape.encoders)]
        vae = _randomized(AutoencoderKL(**shape.vae))
    return Modules(make_unet(shape, device, identity=identity), vae, encoders)


def make_unet(shape: Shape, device: torch.device, *, identity: bool) -> Any:
    """A UNet alone."""
    with _made_on(device):
        unet = UNet2DConditionModel(**shape.unet)
        if identity:
            install_identity(unet)
            for name in cross_attentions(unet):
                unet.get_submodule(name).processor.to_empty(device=device)
        return _randomized(unet)


def make_face_encoder(shape: Shape, device: torch.device) -> FaceEncoder.Part:
    """CLIP's picture encoder and IP-Adapter Plus's projection."""
    with _made_on(device):
        vision = CLIPVisionModelWithProjection(CLIPVisionConfig(**shape.vision))
        part: FaceEncoder.Part = _randomized(FaceEncoder.Part(vision, IPAdapterPlusImageProjection(**shape.adapter)))
        return part


def flops(shape: Shape) -> tuple[float, float]:
    """What one row of the UNet costs, and one decoded picture: a multiplication and an addition are two."""
    side, width = shape.unet["sample_size"], shape.unet["cross_attention_dim"]
    pooled = shape.unet.get("projection_class_embeddings_input_dim", 0)
    pooled -= 6 * shape.unet.get("addition_time_embed_dim", 0)
    with torch.device("meta"), torch.no_grad():
        unet, vae = UNet2DConditionModel(**shape.unet), AutoencoderKL(**shape.vae)
        added = {"text_embeds": torch.randn(1, pooled), "time_ids": torch.randn(1, 6)}
        latents, words = torch.randn(1, 4, side, side), torch.randn(1, PROMPT_LENGTH, width)
        with FlopCounterMode(display=False) as row:
            unet(latents, torch.ones(1), words, added_cond_kwargs=added)
        with FlopCounterMode(display=False) as picture:
            vae.decode(latents)
    return row.get_total_flops(), picture.get_total_flops()


@contextmanager
def _made_on(device: torch.device) -> Iterator[None]:
    """Modules are made where and as they will run: SDXL's would take a minute and 10 GB on the way."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(DTYPES[device.type])
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


def _text_encoder(place: int, arguments: dict[str, Any]) -> Any:
    """The second one, which SDXL has, pools."""
    config = CLIPTextConfig(**arguments)
    config._attn_implementation = "eager"  # as our own are opened
    return _randomized((CLIPTextModel, CLIPTextModelWithProjection)[place](config))


def _randomized(module: Any) -> Any:
    """Normal weights that keep the size of what passes; zeros would need less power, and so less time."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
    return module.eval().requires_grad_(False)
