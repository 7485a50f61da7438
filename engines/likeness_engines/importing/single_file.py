"""Checkpoints of one file, named as CompVis and Stability AI did; configurations and tokenizers come from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from diffusers.loaders import single_file_utils
from safetensors import safe_open
from transformers import CLIPTextConfig

from likeness_engines.errors import ExportError
from likeness_engines.importing.checkpoint_parts import CLASSES, UNFIT, Checkpoint, Config, incomplete, unfit
from likeness_engines.importing.weight_files import Entry, read_header

# Where a part's tensors lie.
PREFIXES: Final = {
    "unet": ("model.diffusion_model.",),
    "vae": ("first_stage_model.",),
    "text_encoder": ("cond_stage_model.", "conditioner.embedders.0."),
    "text_encoder_2": ("conditioner.embedders.1.",),
}


class FileCheckpoint(Checkpoint):
    """One file with everything in it, named as CompVis and Stability AI did; configurations come from elsewhere."""

    def __init__(self, file: Path, configs: Path) -> None:
        self.file, self.header = file, read_header(file)
        if not self.tensors("unet"):
            raise ExportError(
                f"{file} is no Stable Diffusion checkpoint: it has no tensors of a UNet (model.diffusion_model.*)."
                " Name a whole checkpoint, not a LoRA or a part of one."
            )
        super().__init__(file.stem, configs, self.header.metadata.get("modelspec.license"))

    def tensors(self, part: str) -> Mapping[str, Entry]:
        """Of the part, by their names in the file."""
        return {key: entry for key, entry in self.header.tensors.items() if key.startswith(PREFIXES[part])}

    def parts(self) -> list[str]:
        """The networks that are in the file."""
        return [part for part in CLASSES if self.tensors(part)]

    def config(self, part: str) -> Config:
        """A part's configuration; what the file's own tensors tell takes precedence where families differ."""
        config = super().config(part)
        if part == "unet":
            tensors = {key.removeprefix(PREFIXES["unet"][0]): entry for key, entry in self.tensors("unet").items()}
            if first := tensors.get("input_blocks.0.0.weight"):
                config["in_channels"] = first.shape[1]
            added = "label_emb.0.0.weight" in tensors
            config["addition_embed_type"] = "text_time" if added else None
        return config

    def load(self, part: str) -> Any:
        """By diffusers' own tables of names, and strictly: `from_single_file` leaves what it misses random."""
        try:
            with safe_open(self.file, "pt") as file:
                tensors = {key: file.get_tensor(key) for key in self.tensors(part)}
            module, state = self._convert(part, tensors)
            missing = sorted(module.state_dict().keys() - state.keys())
            if missing:
                raise incomplete(f"The {part} in {self.file}", missing)
            wanted = {key: state[key].float() for key in module.state_dict()}
            module.load_state_dict(wanted, strict=True, assign=True)
        except UNFIT as error:
            raise unfit(f"The {part} in {self.file}", error) from error
        return module.eval()

    def files(self) -> list[Path]:
        """The file, and the configurations that it is read with."""
        return [self.file, *sorted(self.configs.glob("*/*.json"))]

    def _convert(self, part: str, tensors: dict[str, torch.Tensor]) -> tuple[Any, dict[str, torch.Tensor]]:
        config = self.config(part)
        if part.startswith("text_encoder"):
            module = CLASSES[part](CLIPTextConfig.from_dict(config))
            return module, _clip_state(module, tensors, PREFIXES[part])
        with torch.device("meta"):
            module = CLASSES[part].from_config(config)
        convert = "convert_ldm_unet_checkpoint" if part == "unet" else "convert_ldm_vae_checkpoint"
        return module, getattr(single_file_utils, convert)(tensors, config)


def _clip_state(module: Any, tensors: dict[str, torch.Tensor], prefixes: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """A text encoder's tensors, whether OpenAI's CLIP or OpenCLIP, whose names and shapes differ."""
    for prefix in (f"{each}model." for each in prefixes):
        if f"{prefix}positional_embedding" in tensors:
            state: dict[str, torch.Tensor] = single_file_utils.convert_open_clip_checkpoint(module, tensors, prefix)
            return state
    clip: dict[str, torch.Tensor] = single_file_utils.convert_ldm_clip_checkpoint(tensors)
    return clip
