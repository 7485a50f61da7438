"""Building a pack's networks with their weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.embeddings import ImageProjection, IPAdapterFullImageProjection, IPAdapterPlusImageProjection
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from likeness_engines.pack import ModelPack
from likeness_engines.torch_networks.encoders import FaceEncoder, TextEncoder, VaeDecoder, VaeEncoder
from likeness_engines.torch_networks.network import Network
from likeness_engines.torch_networks.unet import UNet, install_identity

PROJECTIONS: Final = {
    kind.__name__: kind for kind in (ImageProjection, IPAdapterFullImageProjection, IPAdapterPlusImageProjection)
}


class Projection(msgspec.Struct, frozen=True):
    """`face_encoder/projection.json`: the diffusers module that turns a picture's embedding into identity tokens."""

    class_name: str
    arguments: dict[str, int]


def open_network(pack: ModelPack, network: str) -> Network:
    """Build one of a pack's networks with its weights, in float32 on the CPU."""
    return _OPEN[network](pack)


def _open_text_encoder(pack: ModelPack, folder: str, kind: type[Any]) -> Network:
    config = CLIPTextConfig.from_pretrained(pack.folder / folder)
    config._attn_implementation = "eager"  # with its causal mask, the one that the exporter traces
    return TextEncoder(_fill(kind(config), pack, folder), penultimate=pack.family == "sdxl").eval()


def _open_vae(pack: ModelPack) -> AutoencoderKL:
    with torch.device("meta"):
        vae = AutoencoderKL.from_config(_config(pack, "vae"))
    return _fill(vae, pack, "vae_decoder")


def _open_vae_encoder(pack: ModelPack) -> Network:
    return VaeEncoder(_open_vae(pack), pack.about.resolution // pack.about.pixel_fold).eval()


def _open_vae_decoder(pack: ModelPack) -> Network:
    return VaeDecoder(_open_vae(pack), pack.about.latents[1]).eval()


def _open_unet(pack: ModelPack) -> Network:
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(_config(pack, "unet"))
        if pack.about.identity:
            install_identity(unet)
    return UNet(_fill(unet, pack, "unet"), pack.about).eval()


def _open_face_encoder(pack: ModelPack) -> Network:
    folder = pack.folder / "face_encoder"
    vision = CLIPVisionModelWithProjection(CLIPVisionConfig.from_pretrained(folder))
    about = msgspec.json.decode((folder / "projection.json").read_bytes(), type=Projection)
    part = FaceEncoder.Part(vision, PROJECTIONS[about.class_name](**about.arguments))
    return FaceEncoder(_fill(part, pack, "face_encoder")).eval()


def _config(pack: ModelPack, part: str) -> dict[str, Any]:
    return dict(msgspec.json.decode((pack.folder / part / "config.json").read_bytes()))


def _fill(module: Any, pack: ModelPack, network: str) -> Any:
    """Load the safetensors of a network, upcast, in place of what the module was built with."""
    state = {key: tensor.float() for key, tensor in load_file(pack.weights(network)).items()}
    module.load_state_dict(state, strict=True, assign=True)
    return module


_OPEN: Final[dict[str, Callable[[ModelPack], Network]]] = {
    "text_encoder": lambda pack: _open_text_encoder(pack, "text_encoder", CLIPTextModel),
    "text_encoder_2": lambda pack: _open_text_encoder(pack, "text_encoder_2", CLIPTextModelWithProjection),
    "vae_encoder": _open_vae_encoder,
    "vae_decoder": _open_vae_decoder,
    "unet": _open_unet,
    "face_encoder": _open_face_encoder,
}
