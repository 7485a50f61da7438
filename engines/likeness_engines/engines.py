"""A pack's networks, loaded on one backend, behind the five things that drawing needs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from likeness_engines.backends import create_backend
from likeness_engines.backends.base import Array, Backend, BackendOptions, Pending
from likeness_engines.errors import RenderError
from likeness_engines.lora import Lora, LoraBank
from likeness_engines.lora_file import read_lora
from likeness_engines.pack import ModelPack
from likeness_engines.pixels import resize, to_face_encoder, to_network, to_pixels
from likeness_engines.schedule import Schedule, make_schedule
from likeness_engines.text import Prompts

# Photos that are used more weigh more, but none is left out: as in the plan, a quality of 0..1 counts from here.
LEAST_WEIGHT = 0.25
# A LoRA of SDXL's size is some 100 MB.
LORAS_KEPT = 16


class Words(NamedTuple):
    """An encoded prompt: states [T, D], and for the family sdxl the pooled embedding [P]."""

    states: Array
    pooled: Array | None


class UNetRow(NamedTuple):
    """One row of a UNet batch: latents [C, h, w] at a timestep, and what they are denoised towards.

    `source` (the photo's latents) goes in where the family reads it beside the noisy ones; `identity` are tokens
    [Ti, D], None for nobody.
    """

    latents: Array
    timestep: float
    words: Words
    source: Array | None = None
    identity: Array | None = None
    identity_scale: float = 0.0
    lora_slot: int = 0


def load_engines(pack: ModelPack, backend: str = "onnxruntime", options: BackendOptions | None = None) -> Engines:
    """Load all networks of a pack."""
    return Engines(pack, create_backend(backend, options))


class Engines:
    """Encodes photos, faces and prompts, predicts, decodes. Knows the pack's numbers; keeps no state of any render.

    Arrays are the backend's: NumPy's on the host, torch's on a device.
    """

    def __init__(self, pack: ModelPack, backend: Backend) -> None:
        self.pack = pack
        self.arrays = backend.arrays
        self._networks = {network: backend.load(pack, network) for network in pack.networks}
        self.max_rows = backend.max_rows  # only now does a backend of built engines know
        self._prompts = {
            network: Prompts(pack.folder / network.replace("text_encoder", "tokenizer"), pack.about.prompt_length)
            for network in pack.networks
            if network.startswith("text_encoder")
        }
        self._scheduler = pack.scheduler_config()
        dtypes = {name: spec.dtype for name, spec in self._networks["unet"].inputs.items()}
        self.loras = LoraBank(pack.about.lora, self.arrays, dtypes)
        self._nobody: Array | None = None
        self._read_lora = lru_cache(LORAS_KEPT)(lambda path, _: read_lora(path, pack.about.lora))

    def lora(self, path: Path) -> Lora:
        """Read a style's LoRA for this pack, once while it is in use; from any thread. Raises LoraError."""
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            changed = 0  # reading it says what is wrong
        return self._read_lora(path, changed)

    def schedule(self, steps: int, strength: float = 1.0) -> Schedule:
        """The pack's schedule for a number of steps."""
        return make_schedule(self._scheduler, steps, strength)

    def encode_photos(self, pixels: NDArray[np.uint8]) -> Array:
        """Square crops, uint8 [N, H, H, 3] -> source latents float32 [N, C, h, w]."""
        _check_pictures(pixels)
        about = self.pack.about
        folded = to_network(resize(pixels, about.resolution), about.pixel_fold)
        latents = self._networks["vae_encoder"].run({"sample": self.arrays.put(folded)})["latents"]
        return latents * (about.source_scale if about.family == "pix2pix" else about.latent_scale)

    def encode_identity(self, pixels: NDArray[np.uint8], qualities: Sequence[float]) -> Array | None:
        """One person's crops, uint8 [N, H, H, 3], of qualities 0..1 -> tokens [Ti, D], better photos counting more;
        None when the pack reads no identity.
        """
        identity = self.pack.about.identity
        if identity is None:
            return None
        _check_pictures(pixels)
        tokens = self._faces(to_face_encoder(pixels, identity), 1.0)
        weights = LEAST_WEIGHT + np.asarray(qualities, np.float32)
        return (tokens * self.arrays.put((weights / weights.sum()).reshape(-1, 1, 1))).sum(0)

    @property
    def nobody(self) -> Array | None:
        """The identity tokens that mean no one, which guidance steers away from."""
        identity = self.pack.about.identity
        if identity is not None and self._nobody is None:
            self._nobody = self._faces(np.zeros((1, 3, identity.side, identity.side), np.float32), 0.0)[0]
        return self._nobody

    def encode_prompts(self, prompts: Sequence[str]) -> list[Words]:
        """Prompts as the UNet reads them."""
        outputs = [
            self._networks[network].run({"input_ids": self.arrays.put(tokens.tokens(list(prompts)))})
            for network, tokens in self._prompts.items()
        ]
        states = self.arrays.xp.concatenate([output["last_hidden_state"] for output in outputs], axis=2)
        pooled = outputs[-1].get("text_embeds")
        words = [Words(states[i], None if pooled is None else pooled[i]) for i in range(len(prompts))]
        return [self._blank(each) if prompt == "" else each for prompt, each in zip(prompts, words, strict=True)]

    def predict(self, rows: Sequence[UNetRow]) -> Array:
        """One UNet call: predictions [B, C, h, w]."""
        xp = self.arrays.xp
        inputs = {
            "sample": xp.stack([row.latents for row in rows]),
            "timestep": self._vector([row.timestep for row in rows], np.float32),
            "encoder_hidden_states": xp.stack([row.words.states for row in rows]),
            "lora_slot": self._vector([row.lora_slot for row in rows], np.int64),
        }
        if self.pack.family == "pix2pix":
            inputs["sample"] = xp.concatenate([inputs["sample"], xp.stack([row.source for row in rows])], axis=1)
        if self.pack.family == "sdxl":
            inputs["text_embeds"] = xp.stack([row.words.pooled for row in rows])
            inputs["time_ids"] = self._vector([self._sizes()] * len(rows), np.float32)
        if self.pack.about.identity:
            inputs |= self._identities(rows)
        return self._networks["unet"].run({**inputs, **self.loras.arrays})["prediction"]

    def decode(self, latents: Array) -> Pending:
        """Latents float32 [N, C, h, w] -> uint8 [N, R, R, 3] RGB, made beside the UNet."""
        about = self.pack.about

        def develop() -> Array:
            sample = self._networks["vae_decoder"].run({"latents": latents / about.latent_scale})["sample"]
            return to_pixels(self.arrays, sample, about.pixel_fold)

        return self.arrays.aside(develop)

    def _faces(self, pictures: NDArray[np.float32], presence: float) -> Array:
        inputs = {"pixel_values": pictures, "presence": np.full(len(pictures), presence, np.float32)}
        outputs = self._networks["face_encoder"].run({name: self.arrays.put(each) for name, each in inputs.items()})
        return outputs["identity_tokens"]

    def _identities(self, rows: Sequence[UNetRow]) -> dict[str, Array]:
        assert self.pack.about.identity is not None
        tokens = [self.nobody if row.identity is None else row.identity for row in rows]
        scales = [0.0 if row.identity is None else row.identity_scale for row in rows]
        layers = np.repeat(np.array(scales, np.float32)[:, None], self.pack.about.identity.layers, axis=1)
        return {"identity_tokens": self.arrays.xp.stack(tokens), "identity_scale": self.arrays.put(layers)}

    def _blank(self, words: Words) -> Words:
        """SDXL was trained with zeros for the empty prompt, not with its encoding."""
        if not self.pack.about.zero_empty_prompt:
            return words
        zero = self.arrays.xp.zeros_like
        return Words(zero(words.states), None if words.pooled is None else zero(words.pooled))

    def _sizes(self) -> list[int]:
        """SDXL's original size, crop and target size (Podell et al., SDXL, 2023, section 2.2): the whole picture."""
        side = self.pack.about.resolution
        return [side, side, 0, 0, side, side]

    def _vector(self, values: Sequence[Any], dtype: type[np.generic]) -> Array:
        return self.arrays.put(np.array(values, dtype))


def _check_pictures(pixels: NDArray[np.uint8]) -> None:
    if pixels.ndim != 4 or pixels.shape[1] != pixels.shape[2] or pixels.shape[3] != 3 or pixels.dtype != np.uint8:
        raise RenderError(f"Photos must be square, uint8 [N, H, H, 3], not {pixels.dtype} {pixels.shape}.")
