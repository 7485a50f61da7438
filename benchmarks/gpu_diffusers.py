"""The baseline of `gpu.py`: diffusers' own pipelines over modules of the same shapes, style by style.

A batch of theirs has one LoRA. It counts as merged already, and switching costs them nothing; photos count as encoded.
Prompts are encoded by the modules themselves, since the pipelines' tokenizers would want files.
"""

from __future__ import annotations

from typing import Any, Final

import diffusers
import numpy as np
import torch

from benchmarks.gpu_models import Case, Model
from benchmarks.gpu_modules import DTYPES
from benchmarks.gpu_shapes import PROMPT_LENGTH
from benchmarks.gpu_thirty import COUNT, STRENGTH, STYLES
from likeness_engines import bundled_pack
from likeness_engines.text import Prompts

_PIPELINES: Final = {"sd": "StableDiffusionImg2ImgPipeline", "sdxl": "StableDiffusionXLImg2ImgPipeline"}
_NOT_GIVEN: Final = {
    "sd": ("tokenizer", "safety_checker", "feature_extractor"),
    "sdxl": ("tokenizer", "tokenizer_2"),
}


class Baseline:
    """Pipelines over a model's plain modules, channels-last, eager; `compile` makes them the others."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._modules = model.theirs
        self._tokens = Prompts(bundled_pack().folder / "tokenizer", PROMPT_LENGTH)
        for module in (self._modules.unet, self._modules.vae):
            module.to(memory_format=torch.channels_last)
        self._unet, self._decode = self._modules.unet, self._modules.vae.decode

    def compile(self, mode: str) -> None:
        """As diffusers' guide to speed has it; on a CPU, where it would take minutes, in name only."""
        how: dict[str, Any] = {"mode": mode, "disable": self._model.device.type == "cpu"}
        self._unet = torch.compile(self._modules.unet, fullgraph=True, **how)
        self._modules.vae.decode = torch.compile(self._decode, fullgraph=True, **how)

    def thirty(self, case: Case) -> None:
        """Five batches of six, to pixels on the host."""
        pipeline = self._pipeline(case)
        side, device = self._model.shape.unet["sample_size"], self._model.device
        for style in range(STYLES):
            prompts = [f"style {style} portrait, look {look}" for look in range(COUNT // STYLES)]
            latents = torch.randn(len(prompts), 4, side, side, device=device, dtype=DTYPES[device.type])
            drawn = pipeline(
                image=latents,  # four channels: taken for a photo that is encoded
                strength=STRENGTH,
                num_inference_steps=case.steps,
                guidance_scale=case.guidance,
                output_type="pt",
                **self._conditions(prompts, guided=case.guidance > 1),
            ).images
            (drawn * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def _pipeline(self, case: Case) -> Any:
        family, scheduler = self._model.shape.family, case.scheduler_config
        parts: dict[str, Any] = {
            "unet": self._unet,
            "vae": self._modules.vae,
            "scheduler": getattr(diffusers, case.scheduler).from_config(scheduler),
            **dict(zip(("text_encoder", "text_encoder_2"), self._modules.encoders, strict=False)),
            **dict.fromkeys(_NOT_GIVEN[family]),
        }
        if family == "sd":
            parts["requires_safety_checker"] = False
        pipeline = getattr(diffusers, _PIPELINES[family])(**parts)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def _conditions(self, prompts: list[str], *, guided: bool) -> dict[str, Any]:
        """What the pipelines take in place of prompts, with and without their opposites."""
        given = self._encode(prompts)
        if guided:
            given |= {f"negative_{name}": value for name, value in self._encode([""] * len(prompts)).items()}
        return given

    def _encode(self, prompts: list[str]) -> dict[str, Any]:
        ids = torch.from_numpy(np.array(self._tokens.tokens(prompts))).to(self._model.device)
        with torch.no_grad():
            if self._model.shape.family == "sd":
                return {"prompt_embeds": self._modules.encoders[0](ids).last_hidden_state}
            found = [encoder(ids, output_hidden_states=True) for encoder in self._modules.encoders]
        states = torch.cat([each.hidden_states[-2] for each in found], dim=-1)
        return {"prompt_embeds": states, "pooled_prompt_embeds": found[-1].text_embeds}
