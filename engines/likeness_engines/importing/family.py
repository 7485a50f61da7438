"""Whether a checkpoint is what it is said to be, and computes nothing that the per-row contract lacks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, get_args

from likeness_engines.errors import ExportError
from likeness_engines.pack import Family

Config = Mapping[str, Any]
# Options of the UNet that need inputs of their own, and the values with which they do not.
UNET_NEEDS: Final[dict[str, tuple[Any, ...]]] = {
    "time_cond_proj_dim": (None,),
    "class_embed_type": (None,),
    "num_class_embeds": (None,),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "addition_embed_type": (None, "text", "text_time"),
    "attention_type": (None, "default"),
    "cross_attention_norm": (None,),
}
VAE_NEEDS: Final[dict[str, tuple[Any, ...]]] = {
    "shift_factor": (None,),
    "latents_mean": (None,),
    "latents_std": (None,),
}


def text_encoders(family: Family) -> tuple[str, ...]:
    """The text encoders of a family, the tokenizers are named alike."""
    return ("text_encoder", "text_encoder_2") if family == "sdxl" else ("text_encoder",)


def check_family(name: str, family: Family, unet: Config, present: Collection[str]) -> None:
    """Raise ExportError, which says what it looks like, unless the checkpoint is of the family; `present` names its
    networks.
    """
    kind = _kind(unet, present)
    if kind == family:
        return
    remedy = f"Import it with --family {kind}." if kind in get_args(Family) else "Only sd, sdxl and pix2pix are read."
    raise ExportError(f"{name} looks like {kind}, not like {family}: {_features(unet, present)}. {remedy}")


def check_parts(name: str, family: Family, configs: Mapping[str, Config]) -> None:
    """Raise ExportError for parts of other classes, for options that the contract lacks and for widths that differ."""
    for part, kind in (("unet", "UNet2DConditionModel"), ("vae", "AutoencoderKL")):
        found = configs[part].get("_class_name", kind)
        if found != kind:
            raise ExportError(f"The {part} of {name} is a {found}; packs have a {kind}. Use another checkpoint.")
    for part, needs in (("unet", UNET_NEEDS), ("vae", VAE_NEEDS)):
        for option, fine in needs.items():
            value = configs[part].get(option)
            if value not in fine:
                raise ExportError(
                    f"The {part} of {name} has {option} = {value!r}, which packs have no input for."
                    " Use a checkpoint without it."
                )
    _check_sizes(name, family, configs)


def _kind(unet: Config, present: Collection[str]) -> str:
    reads, draws = unet.get("in_channels", 4), unet.get("out_channels", 4)
    with_photo = reads == 2 * draws
    if reads == 2 * draws + 1:
        return "an inpainting checkpoint"
    if reads != draws and not with_photo:
        return "a checkpoint for another task"
    if unet.get("addition_embed_type") == "text_time":
        if with_photo:
            return "an SDXL checkpoint for InstructPix2Pix"
        both = {"text_encoder", "text_encoder_2"} <= set(present)
        return "sdxl" if both else "the SDXL refiner, or SDXL without one of its text encoders"
    return "pix2pix" if with_photo else "sd"


def _features(unet: Config, present: Collection[str]) -> str:
    added = "with" if unet.get("addition_embed_type") == "text_time" else "without"
    encoders = [part for part in present if part.startswith("text_encoder")]
    return (
        f"its UNet reads {unet.get('in_channels', 4)} channels and draws {unet.get('out_channels', 4)}, words"
        f" {unet.get('cross_attention_dim', 1280)} wide, {added} picture sizes, and it has {len(encoders)} text"
        f" encoder{'s' * (len(encoders) != 1)}"
    )


def _check_sizes(name: str, family: Family, configs: Mapping[str, Config]) -> None:
    unet, vae, words = configs["unet"], configs["vae"], [configs[part] for part in text_encoders(family)]
    reads, gives = unet.get("cross_attention_dim", 1280), sum(each.get("hidden_size", 512) for each in words)
    if reads != gives:
        raise ExportError(
            f"The UNet of {name} reads words {reads} wide, and its text encoders make them {gives} wide."
            " Use parts that belong together."
        )
    if unet.get("out_channels", 4) != vae.get("latent_channels", 4):
        raise ExportError(
            f"The UNet of {name} draws {unet.get('out_channels', 4)} channels, and its VAE decodes"
            f" {vae.get('latent_channels', 4)}. Use parts that belong together."
        )
    if not isinstance(unet.get("sample_size"), int):
        raise ExportError(f"The UNet of {name} has no square sample_size. Set it in unet/config.json.")
    if len({each.get("max_position_embeddings", 77) for each in words}) > 1:
        raise ExportError(f"The text encoders of {name} read prompts of different lengths. Use another checkpoint.")
    if family == "sdxl":
        gets = words[-1].get("projection_dim", 512) + 6 * unet.get("addition_time_embed_dim", 256)
        if unet.get("projection_class_embeddings_input_dim") != gets:
            raise ExportError(f"The UNet of {name} takes other conditions than SDXL 1.0 does. Use another checkpoint.")
