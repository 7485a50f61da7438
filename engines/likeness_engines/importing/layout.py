"""The pack's own copy of a checkpoint: half-precision safetensors in diffusers layout. The torch backend needs no more
than that. Needs the `export` extra.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file

from likeness_engines.errors import ExportError
from likeness_engines.importing.about import About
from likeness_engines.importing.face import Face, describe_projection
from likeness_engines.importing.family import text_encoders
from likeness_engines.importing.sealing import seal_pack
from likeness_engines.lora import LoraBankSize
from likeness_engines.pack import FORMAT, WEIGHTS, Family, ModelPack, PackFile, read_pack
from likeness_engines.torch_networks import FaceEncoder, lora_layers

LARGEST_HALF: Final = 65504
VAE: Final = ("vae_encoder", "vae_decoder")
Config = dict[str, Any]
Report = Callable[[str], None]


class Parts(Protocol):
    """Where parts come from, one at a time: `unet`, `vae`, `text_encoder` and, for SDXL, `text_encoder_2`."""

    def config(self, part: str) -> Config:
        """Its configuration as diffusers or transformers write it."""
        ...

    def load(self, part: str) -> Any:
        """The module, which its caller lets go before the next."""
        ...

    def tokenizer(self, folder: str) -> Any:
        """A CLIPTokenizerFast: `tokenizer`, `tokenizer_2`."""
        ...


class LoadedParts:
    """Modules and tokenizers that are in memory already, by the names of their folders in a pack."""

    def __init__(self, modules: Mapping[str, Any], tokenizers: Mapping[str, Any]) -> None:
        self._modules, self._tokenizers = modules, tokenizers

    def config(self, part: str) -> Config:
        """As the module would be saved."""
        config = self._modules[part].config
        return dict(config if isinstance(config, Mapping) else config.to_dict())

    def load(self, part: str) -> Any:
        """The very module."""
        return self._modules[part]

    def tokenizer(self, folder: str) -> Any:
        """The very tokenizer."""
        return self._tokenizers[folder]


def write_layout(
    folder: Path,
    parts: Parts,
    about: About,
    face: Face | None = None,
    report: Report = lambda _: None,
) -> ModelPack:
    """Write everything but the graphs into the new folder, and seal it; raises ExportError.

    Weights are rounded to half precision, and kept whole in networks that would overflow.
    """
    folder.mkdir(parents=True)
    exact: list[str] = []
    if face is not None and _write_face(folder, face, report):
        exact.append("face_encoder")
    for part in ("unet", "vae", *text_encoders(about.family)):
        module = parts.load(part)
        keep = part == "vae" and _vae_overflows(about.family, parts.config("vae"))
        layers = face.layers if face is not None and part == "unet" else {}
        kept = _write_part(folder, part, {**module.state_dict(), **layers}, keep=keep, report=report)
        exact += (VAE if part == "vae" else (part,)) if kept else ()
        _write_config(folder / part, module)
        del module
    for encoder in text_encoders(about.family):
        name = encoder.replace("text_encoder", "tokenizer")
        _write_tokenizer(folder / name, parts.tokenizer(name))
    _write_json(folder / "scheduler" / "scheduler_config.json", about.scheduler)
    seal_pack(folder, _describe(parts, about, face, tuple(exact)))
    return ModelPack(folder, read_pack(folder))


def _describe(parts: Parts, about: About, face: Face | None, exact: tuple[str, ...]) -> PackFile:
    unet, vae, words = parts.config("unet"), parts.config("vae"), parts.config("text_encoder")
    with torch.device("meta"):
        bare: Any = UNet2DConditionModel.from_config(unet)
    fold = math.isqrt(vae.get("in_channels", 3) // 3)
    side, scale = unet["sample_size"], vae.get("scaling_factor", 0.18215)
    return PackFile(
        format=FORMAT,
        name=about.name,
        version=about.version,
        title=about.title,
        family=about.family,
        licence=about.licence,
        author=about.author,
        resolution=side * fold * 2 ** (len(vae.get("block_out_channels", (64,))) - 1),
        pixel_fold=fold,
        latents=(vae.get("latent_channels", 4), side, side),
        latent_scale=scale,
        source_scale=1.0 if about.source_scale is None else about.source_scale,
        prompt_length=words.get("max_position_embeddings", 77),
        default_steps=about.steps,
        default_guidance=about.guidance,
        default_strength=about.strength,
        zero_empty_prompt=about.zero_empty_prompt,
        exact=exact,
        lora=LoraBankSize(about.lora_slots, about.lora_rank, lora_layers(bare, feed_forward=about.feed_forward)),
        identity=face.identity if face else None,
        licences=about.licences,
        files={},
    )


def _vae_overflows(family: Family, vae: Config) -> bool:
    """SDXL's says so itself. Of other families' it is diffusers' default, which their pipelines do not heed either."""
    return family == "sdxl" and bool(vae.get("force_upcast", True))


def _write_part(folder: Path, network: str, state: Mapping[str, torch.Tensor], *, keep: bool, report: Report) -> bool:
    """Save tensors, in half precision where that is safe; returns whether they were kept whole."""
    count = sum(tensor.numel() for tensor in state.values())
    too_large = next(_overflowing(network, state), None)
    if too_large is not None:
        report(f"{network}: {too_large} has values over {LARGEST_HALF}, so that the part is kept in float32")
    elif keep:
        report(f"{network}: kept in float32, because it overflows in half precision")
    whole = keep or too_large is not None
    report(f"{network}: writing {count / 1e6:.1f} million weights")
    path = folder / WEIGHTS[network if network != "vae" else VAE[0]]
    path.parent.mkdir(parents=True, exist_ok=True)
    dtype = torch.float32 if whole else torch.float16
    tensors = {key: tensor.detach().to("cpu", dtype).contiguous() for key, tensor in state.items()}
    save_file(tensors, path, {"format": "pt"})
    return whole


def _overflowing(network: str, state: Mapping[str, torch.Tensor]) -> Iterator[str]:
    """The tensors that half precision cannot hold; raises ExportError for one that is no number anywhere."""
    for key, tensor in state.items():
        largest = float(tensor.detach().abs().max()) if tensor.numel() else 0.0
        if not math.isfinite(largest):
            raise ExportError(f"The {network} has NaN or infinite weights in {key}. Get the checkpoint again.")
        if largest > LARGEST_HALF:
            yield key


def _write_face(folder: Path, face: Face, report: Report) -> bool:
    part = FaceEncoder.Part(face.vision, face.projection)
    kept = _write_part(folder, "face_encoder", part.state_dict(), keep=False, report=report)
    _write_config(folder / "face_encoder", face.vision)
    projection = msgspec.to_builtins(describe_projection(face.projection))
    _write_json(folder / "face_encoder" / "projection.json", projection)
    return kept


def _write_config(folder: Path, module: Any) -> None:
    """Without the path that the module was loaded from."""
    writer = module if hasattr(module, "to_json_string") else module.config
    config = msgspec.json.decode(writer.to_json_string())
    config.pop("_name_or_path", None)
    _write_json(folder / "config.json", config)


def _write_tokenizer(folder: Path, tokenizer: Any) -> None:
    """`tokenizer.json` for the tokenizers library, and which token pads."""
    tokenizer.save_pretrained(folder)
    pad = str(tokenizer.pad_token)
    if tokenizer.backend_tokenizer.token_to_id(pad) is None:
        raise ExportError(
            f"The {folder.name} pads with {pad!r}, which is none of its tokens. Correct its configuration."
        )
    path = folder / "tokenizer_config.json"
    _write_json(path, msgspec.json.decode(path.read_bytes()) | {"pad_token": pad})


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2))
