"""A pack's networks, loaded on one backend, behind the four things that drawing needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from likeness_engines.backends import create_backend
from likeness_engines.backends.base import Backend
from likeness_engines.errors import RenderError
from likeness_engines.lora import LoraBank
from likeness_engines.pack import ModelPack
from likeness_engines.pixels import to_network, to_pixels
from likeness_engines.schedule import Schedule, make_schedule
from likeness_engines.text import Prompts

Floats = NDArray[np.float32]


def load_engines(pack: ModelPack, backend: str = "onnxruntime", threads: int | None = None) -> Engines:
    """Load all networks of a pack; `threads` None means one for every core."""
    return Engines(pack, create_backend(backend, threads))


class Engines:
    """Encodes photos and prompts, predicts, decodes. Knows the pack's numbers; keeps no state of any render."""

    def __init__(self, pack: ModelPack, backend: Backend) -> None:
        self.pack = pack
        self.max_rows = backend.max_rows
        self._text_encoder = backend.load(pack, "text_encoder")
        self._unet = backend.load(pack, "unet")
        self._vae_encoder = backend.load(pack, "vae_encoder")
        self._vae_decoder = backend.load(pack, "vae_decoder")
        self._prompts = Prompts(pack.folder / "tokenizer", pack.about.prompt_length)
        self._scheduler = pack.scheduler_config()
        self.loras = LoraBank(pack.about.lora.layers, pack.about.lora.slots, pack.about.lora.rank)

    def schedule(self, steps: int) -> Schedule:
        """The pack's schedule for a number of steps."""
        return make_schedule(self._scheduler, steps)

    def encode_photos(self, pixels: NDArray[np.uint8]) -> Floats:
        """uint8 [N, R, R, 3] crops at the pack's resolution R -> source latents float32 [N, C, h, w]."""
        side = self.pack.about.resolution
        if pixels.ndim != 4 or pixels.shape[1:] != (side, side, 3) or pixels.dtype != np.uint8:
            raise RenderError(f"Photos must be uint8 [N, {side}, {side}, 3], not {pixels.dtype} {pixels.shape}.")
        folded = to_network(pixels, self.pack.about.pixel_fold)
        return self._vae_encoder.run({"sample": folded})["latents"] * np.float32(self.pack.about.latent_scale)

    def encode_prompts(self, prompts: list[str]) -> Floats:
        """Prompts -> text states float32 [N, T, D]."""
        return self._text_encoder.run({"input_ids": self._prompts.tokens(prompts)})["last_hidden_state"]

    def predict(
        self, sample: Floats, source: Floats, timestep: Floats, words: Floats, lora_slot: NDArray[np.int64]
    ) -> Floats:
        """One UNet call on B rows: latents and sources [B, C, h, w], timesteps [B], words [B, T, D], slots [B]."""
        inputs = {
            "sample": np.concatenate([sample, source], axis=1),
            "timestep": timestep.astype(np.float32),
            "encoder_hidden_states": words,
            "lora_slot": lora_slot,
        }
        return self._unet.run({**inputs, **self.loras.arrays})["prediction"]

    def decode(self, latents: Floats) -> NDArray[np.uint8]:
        """Latents float32 [N, C, h, w] -> uint8 [N, R, R, 3] RGB."""
        unscaled = latents / np.float32(self.pack.about.latent_scale)
        return to_pixels(self._vae_decoder.run({"latents": unscaled})["sample"], self.pack.about.pixel_fold)
