"""What shows a UNet a face: an IP-Adapter and the image encoder that it was trained with. Needs the `export` extra."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from diffusers.models.embeddings import ImageProjection, IPAdapterFullImageProjection, IPAdapterPlusImageProjection
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors import safe_open
from transformers import CLIPVisionModelWithProjection

from likeness_engines.errors import ExportError
from likeness_engines.importing.checkpoint_parts import UNFIT, incomplete, shortened, unfit
from likeness_engines.importing.weight_files import read_header, read_json, stated_licence
from likeness_engines.pack import Identity
from likeness_engines.torch_networks import Projection, cross_attentions

CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)
LICENCE_PARENTS: Final = 2  # the hub's repositories keep adapters and encoders that far below their README.md
NOT_STATED: Final = "not stated"


class Face(NamedTuple):
    """The two halves of the face encoder, and the UNet's further tensors, by their names in the pack's UNet."""

    vision: Any
    projection: torch.nn.Module
    layers: dict[str, torch.Tensor]
    identity: Identity
    adapter_licence: str


class FaceFiles(NamedTuple):
    """Where a face encoder comes from; a licence is None where the files themselves say it."""

    adapter: Path
    encoder: Path
    adapter_licence: str | None
    encoder_licence: str | None

    def files(self) -> tuple[Path, Path]:
        """Those with the weights."""
        return self.adapter, self.encoder / "model.safetensors"

    def stated_adapter_licence(self) -> str:
        """The adapter's licence, or that nobody stated it."""
        inside = read_header(self.adapter).metadata.get("modelspec.license")
        beside = stated_licence(self.adapter.parent, LICENCE_PARENTS)
        return self.adapter_licence or inside or beside or NOT_STATED

    def stated_encoder_licence(self) -> str:
        """The image encoder's; raises ExportError when nobody stated it: a pack shows it to whoever uses the faces."""
        licence = self.encoder_licence or stated_licence(self.encoder, LICENCE_PARENTS)
        if licence is None:
            raise ExportError(
                f"{self.encoder} has no README.md that states a licence. Give it with --image-encoder-licence."
            )
        return licence


def open_face(files: FaceFiles, unet: Mapping[str, Any]) -> Face:
    """Read an IP-Adapter for the UNet of that configuration, and its image encoder; raises ExportError."""
    adapter_licence, encoder_licence = files.stated_adapter_licence(), files.stated_encoder_licence()
    adapter = _read_adapter(files.adapter)
    vision = _read_encoder(files.encoder)
    with torch.device("meta"):
        bare: Any = UNet2DConditionModel.from_config(dict(unet))
    try:
        processors = bare._convert_ip_adapter_attn_to_diffusers([adapter], low_cpu_mem_usage=False)
        projection = bare._convert_ip_adapter_image_proj_to_diffusers(adapter["image_proj"], low_cpu_mem_usage=False)
    except UNFIT as error:
        raise ExportError(
            f"{files.adapter} was not made for this UNet, or is of a kind that is not read: {shortened(error)}."
            " Use an IP-Adapter, Plus or Full, for the checkpoint's family."
        ) from error
    about = describe_projection(projection.eval())
    _check_widths(files, vision, about, unet)
    crossing = cross_attentions(bare)
    layers = {
        f"{name}.processor.to_{side}_ip.weight": getattr(processors[f"{name}.processor"], f"to_{side}_ip")[0].weight
        for name in crossing
        for side in "kv"
    }
    identity = _identity(files.encoder, vision, about, len(crossing), encoder_licence)
    return Face(vision, projection, layers, identity, adapter_licence)


def describe_projection(projection: torch.nn.Module) -> Projection:
    """How to build the projection again, read off its weights."""
    sizes = {key: value.shape for key, value in projection.state_dict().items()}
    if isinstance(projection, ImageProjection):
        tokens, width = projection.num_image_text_embeds, sizes["norm.weight"][0]
        wide = sizes["image_embeds.weight"][1]
        arguments = {"image_embed_dim": wide, "cross_attention_dim": width, "num_image_text_embeds": tokens}
    elif isinstance(projection, IPAdapterFullImageProjection):
        arguments = {
            "image_embed_dim": sizes["ff.net.0.proj.weight"][1],
            "cross_attention_dim": sizes["norm.weight"][0],
        }
    else:
        arguments = {
            "embed_dims": sizes["proj_in.weight"][1],
            "output_dims": sizes["proj_out.weight"][0],
            "hidden_dims": sizes["latents"][2],
            "heads": sizes["layers.0.attn.to_q.weight"][0] // 64,
            "num_queries": sizes["latents"][1],
        }
    return Projection(type(projection).__name__, arguments)


def _read_adapter(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    """The two groups of tensors, as diffusers' converter takes them."""
    keys = read_header(path).tensors.keys()
    inside = {key.removeprefix("image_proj.") for key in keys if key.startswith("image_proj.")}
    if any(key.startswith("perceiver_resampler.") for key in inside) or {"norm.weight", "proj.0.weight"} <= inside:
        raise ExportError(
            f"{path} is a FaceID adapter: it reads embeddings of InsightFace's models, which are licensed for research"
            " only. Use an IP-Adapter Plus or Plus Face, which reads CLIP's."
        )
    if not inside or not any(key.startswith("ip_adapter.") for key in keys):
        raise ExportError(f"{path} is no IP-Adapter: it lacks image_proj.* or ip_adapter.*. Name another file.")
    with safe_open(path, "pt") as file:
        groups = ("image_proj", "ip_adapter")
        return {
            group: {key.split(".", 1)[1]: file.get_tensor(key).float() for key in keys if key.startswith(f"{group}.")}
            for group in groups
        }


def _read_encoder(folder: Path) -> Any:
    read_json(folder / "config.json")
    read_header(folder / "model.safetensors")
    kind: Any = CLIPVisionModelWithProjection  # whose annotation leaves out the loading info
    try:
        vision, info = kind.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, dtype=torch.float32, output_loading_info=True
        )
    except UNFIT as error:
        raise unfit(folder, error) from error
    if info["missing_keys"]:
        raise incomplete(folder, info["missing_keys"])
    return vision.eval()


def _check_widths(files: FaceFiles, vision: Any, about: Projection, unet: Mapping[str, Any]) -> None:
    """An image encoder of another size than the adapter was trained with, or an adapter for another UNet."""
    reads, width = projection_widths(about)
    pooled = about.class_name == ImageProjection.__name__
    gives = vision.config.projection_dim if pooled else vision.config.hidden_size
    if reads != gives:
        raise ExportError(
            f"{files.adapter} reads embeddings {reads} wide, and the image encoder {files.encoder} makes them {gives}"
            " wide. Use the image encoder that the adapter was trained with."
        )
    if width != unet["cross_attention_dim"]:
        raise ExportError(
            f"{files.adapter} makes tokens {width} wide, and the UNet reads {unet['cross_attention_dim']}."
            " Use an IP-Adapter for the checkpoint's family."
        )


def projection_widths(about: Projection) -> tuple[int, int]:
    """How wide its inputs and its tokens are."""
    sizes = about.arguments
    if about.class_name == IPAdapterPlusImageProjection.__name__:
        return sizes["embed_dims"], sizes["output_dims"]
    return sizes["image_embed_dim"], sizes["cross_attention_dim"]


def _identity(folder: Path, vision: Any, about: Projection, layers: int, licence: str) -> Identity:
    config, path = vision.config, folder / "preprocessor_config.json"
    steps = read_json(path) if path.is_file() else {}
    crop = steps.get("crop_size", config.image_size)
    side = crop["height"] if isinstance(crop, dict) else crop
    if side != config.image_size:
        raise ExportError(f"{path} crops to {side} pixels; the image encoder takes {config.image_size}. Correct it.")
    patches = (config.image_size // config.patch_size) ** 2
    tokens = about.arguments.get("num_image_text_embeds") or about.arguments.get("num_queries") or patches + 1
    return Identity(
        tokens=tokens,
        width=projection_widths(about)[1],
        layers=layers,
        side=side,
        mean=tuple(steps.get("image_mean", CLIP_MEAN)),
        std=tuple(steps.get("image_std", CLIP_STD)),
        encoder=f"CLIP, {config.num_hidden_layers} layers {config.hidden_size} wide, patches of {config.patch_size}",
        licence=licence,
    )
