"""diffusers' own pipelines, asked for one render at a time, with the noise that our renderer would draw."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from likeness_engines import ModelPack
from likeness_engines.lora import LoraBankSize

if TYPE_CHECKING:
    import torch

Pixels = NDArray[np.uint8]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A render, as both sides are asked for it. `photo`, `face` and `style` are numbers of pictures and of LoRAs; a
    pipeline with an IP-Adapter draws nobody as a face of scale 0.
    """

    prompt: str
    negative_prompt: str = ""
    steps: int = 4
    guidance: float = 1.0
    photo_guidance: float | None = None
    strength: float = 1.0
    photo: int = 0
    face: int | None = None
    identity_scale: float = 0.0
    style: int | None = None
    seed: int = 0


class Style(NamedTuple):
    """A LoRA file, and what it adds to the weights [outputs, inputs] of each layer that it names."""

    file: Path
    updates: dict[str, torch.Tensor]


class Pictures(NamedTuple):
    """What wishes count from 0: `photos` of the checkpoint's own size, and `faces`."""

    photos: Sequence[Pixels]
    faces: Sequence[Pixels]


class Reference:
    """One pipeline in float32, by the pack's scheduler, its weights rounded to half precision where the pack's are.
    Pictures are kept, since several tests ask for the same ones.
    """

    def __init__(
        self, kind: str, checkpoint: Path, pack: ModelPack, pictures: Pictures, styles: Sequence[Style]
    ) -> None:
        import diffusers

        extra = {} if "XL" in kind else {"safety_checker": None, "requires_safety_checker": False}
        self._pipeline = getattr(diffusers, kind).from_pretrained(checkpoint, **extra)
        self._pipeline.set_progress_bar_config(disable=True)
        self._scheduler: Mapping[str, Any] = pack.scheduler_config()
        self._exact = pack.about.exact
        self._pictures = pictures
        self._styles = styles
        self._unets: dict[int | None, Any] = {}
        self._drawn: dict[Wish, Pixels] = {}

    def load_ip_adapter(self, file: Path, image_encoder: Path) -> None:
        """Let renders have a face."""
        self._pipeline.load_ip_adapter(
            str(file.parent), subfolder="", weight_name=file.name, image_encoder_folder=str(image_encoder)
        )

    def by(self, scheduler: Mapping[str, Any]) -> Reference:
        """The same with another scheduler."""
        other = copy.copy(self)
        other._scheduler, other._drawn = scheduler, {}
        return other

    def draw(self, wish: Wish) -> Pixels:
        """uint8 [R, R, 3], by the UNet with the wish's LoRA alone merged into it."""
        if wish not in self._drawn:
            self._pipeline.unet = self._merged(wish.style)
            self._drawn[wish] = self._draw(wish)
        return self._drawn[wish]

    def draw_by_load_lora_weights(self, wish: Wish) -> Pixels:
        """The same, if PEFT reads the LoRA file as we do."""
        assert wish.style is not None
        self._pipeline.unet = self._merged(None)
        file = self._styles[wish.style].file
        self._pipeline.load_lora_weights(str(file.parent), weight_name=file.name)
        try:
            return self._draw(wish)
        finally:
            self._pipeline.unload_lora_weights()

    def _draw(self, wish: Wish) -> Pixels:
        import diffusers

        pipeline = self._pipeline
        pipeline.scheduler = getattr(diffusers, self._scheduler["_class_name"]).from_config(self._scheduler)
        call: dict[str, Any] = {
            "prompt": wish.prompt,
            # SDXL is given zeros, as it was trained, only where there is no negative prompt at all.
            "negative_prompt": wish.negative_prompt or None,
            "image": Image.fromarray(self._pictures.photos[wish.photo]),
            "num_inference_steps": wish.steps,
            "guidance_scale": wish.guidance,
        }
        if "Pix2Pix" in type(pipeline).__name__:
            call["image_guidance_scale"] = wish.photo_guidance or 1.0
        else:
            call["strength"] = wish.strength
        if getattr(pipeline, "image_encoder", None) is not None:
            pipeline.set_ip_adapter_scale(0.0 if wish.face is None else wish.identity_scale)
            call["ip_adapter_image"] = Image.fromarray(self._pictures.faces[wish.face or 0])
        with pytest.MonkeyPatch.context() as patch:
            self._draw_noise_as_we_do(patch, wish.seed)
            return np.asarray(pipeline(**call).images[0])

    def _draw_noise_as_we_do(self, patch: pytest.MonkeyPatch, seed: int) -> None:
        import torch

        noises = np.random.Generator(np.random.PCG64(seed))

        def randn_tensor(shape: Sequence[int], **_: Any) -> torch.Tensor:
            return torch.from_numpy(noises.standard_normal(shape[1:], np.float32))[None]

        pipeline = sys.modules[type(self._pipeline).__module__]
        for module in (pipeline, sys.modules[type(self._pipeline.scheduler).__module__]):
            if hasattr(module, "randn_tensor"):
                patch.setattr(module, "randn_tensor", randn_tensor)
        # The encoder's mean: a sample would cost noise of its own.
        patch.setattr(pipeline, "retrieve_latents", lambda encoded, *_, **__: encoded.latent_dist.mean)

    def _merged(self, style: int | None) -> Any:
        if not self._unets:
            self._round_weights()
            self._unets[None] = self._pipeline.unet
        if style is not None and style not in self._unets:
            self._unets[style] = copy.deepcopy(self._unets[None])
            for layer, update in self._styles[style].updates.items():
                self._unets[style].get_submodule(layer).weight.data += update
        return self._unets[style]

    def _round_weights(self) -> None:
        import torch

        networks = {"vae": "vae_decoder", "image_encoder": "face_encoder"}
        for name, part in self._pipeline.components.items():
            if isinstance(part, torch.nn.Module) and networks.get(name, name) not in self._exact:
                for tensor in part.state_dict().values():
                    if tensor.is_floating_point():
                        tensor.copy_(tensor.half())


def write_styles(folder: Path, size: LoraBankSize, count: int) -> list[Style]:
    """LoRA files of random weights for all layers of a bank, of ranks up to its own, in kohya's and in PEFT's
    spelling by turns.
    """
    return [_write_style(folder / f"style-{number}.safetensors", size, number) for number in range(count)]


def _write_style(file: Path, size: LoraBankSize, number: int) -> Style:
    import torch
    from safetensors.torch import save_file

    random = torch.Generator().manual_seed(number)
    rank = max(1, size.rank - number)
    tensors: dict[str, torch.Tensor] = {}
    updates: dict[str, torch.Tensor] = {}
    for layer in size.layers:
        down = torch.randn(rank, layer.inputs, generator=random) * layer.inputs**-0.5
        up = torch.randn(layer.outputs, rank, generator=random) * rank**-0.5
        if number % 2:
            tensors |= {f"unet.{layer.name}.lora_A.weight": down, f"unet.{layer.name}.lora_B.weight": up}
            updates[layer.name] = up @ down
        else:
            name, alpha = f"lora_unet_{layer.name.replace('.', '_')}", rank / 2
            tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
            tensors[f"{name}.alpha"] = torch.tensor(alpha)
            updates[layer.name] = up @ down * (alpha / rank)
    save_file(tensors, file)
    return Style(file, updates)
