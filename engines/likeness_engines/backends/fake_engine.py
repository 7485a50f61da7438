"""A backend of fixed arithmetic: any pack's shapes, no weights, every call recorded. For tests, here and elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from likeness_engines.backends.base import Array, TensorSpec, check_inputs
from likeness_engines.lora import LoraBank
from likeness_engines.pack import ModelPack

Inputs = Mapping[str, Array]
WIDTH = 8


class FakeBackend:
    """`calls[network]` has the inputs of every run; a `spoil` that raises or changes the UNet's output plays
    failures.
    """

    name = "fake"

    def __init__(self, max_rows: int = 4, spoil: Callable[[Inputs, Array], Array] | None = None) -> None:
        self.max_rows = max_rows
        self.spoil = spoil or (lambda _, prediction: prediction)
        self.calls: dict[str, list[Inputs]] = {}

    def load(self, pack: ModelPack, network: str) -> FakeEngine:
        """Any of the four networks, at once."""
        self.calls[network] = []
        return FakeEngine(self, pack, network)


class FakeEngine:
    """One network; every row is computed from that row's inputs alone."""

    def __init__(self, backend: FakeBackend, pack: ModelPack, network: str) -> None:
        channels, height, width = pack.about.latents
        folded = 3 * pack.about.pixel_fold**2
        side = pack.about.resolution // pack.about.pixel_fold
        latents, pixels = (None, channels, height, width), (None, folded, side, side)
        bank = LoraBank(pack.about.lora.layers, pack.about.lora.slots, pack.about.lora.rank)
        words = (None, pack.about.prompt_length, WIDTH)
        signatures: dict[str, tuple[dict[str, tuple[int | None, ...]], dict[str, tuple[int | None, ...]]]] = {
            "text_encoder": ({"input_ids": (None, pack.about.prompt_length)}, {"last_hidden_state": words}),
            "vae_encoder": ({"sample": pixels}, {"latents": latents}),
            "vae_decoder": ({"latents": latents}, {"sample": pixels}),
            "unet": (
                {
                    "sample": (None, 2 * channels, height, width),
                    "timestep": (None,),
                    "encoder_hidden_states": words,
                    "lora_slot": (None,),
                    **{name: array.shape for name, array in bank.arrays.items()},
                },
                {"prediction": latents},
            ),
        }
        self._backend = backend
        self._network = network
        self.inputs, self.outputs = (_specs(part) for part in signatures[network])

    def run(self, inputs: Inputs) -> dict[str, Array]:
        """Compute one batch; raises BackendError when an input is missing or has the wrong shape."""
        check_inputs(self.inputs, inputs)
        self._backend.calls[self._network].append(dict(inputs))
        output: Array = getattr(self, f"_{self._network}")(inputs)
        return dict.fromkeys(self.outputs, output)

    def _text_encoder(self, inputs: Inputs) -> Array:
        ids = inputs["input_ids"].astype(np.float32)[..., None]
        return np.sin(ids * np.arange(1, WIDTH + 1, dtype=np.float32))

    def _vae_encoder(self, inputs: Inputs) -> Array:
        channels, height, width = (size or 0 for size in self.outputs["latents"].shape[1:])
        means = inputs["sample"].mean(axis=1)
        step = means.shape[1] // height
        small = means[:, ::step, ::step][:, :height, :width]
        return np.repeat(small[:, None], channels, axis=1).astype(np.float32)

    def _vae_decoder(self, inputs: Inputs) -> Array:
        folded, side = (size or 0 for size in self.outputs["sample"].shape[1:3])
        grey = inputs["latents"].mean(axis=1, keepdims=True)
        large = grey.repeat(side // grey.shape[2], axis=2).repeat(side // grey.shape[3], axis=3)
        return np.asarray(np.tanh(large).repeat(folded, axis=1), np.float32)

    def _unet(self, inputs: Inputs) -> Array:
        sample, channels = inputs["sample"], inputs["sample"].shape[1] // 2
        words = inputs["encoder_hidden_states"].mean(axis=(1, 2)).reshape(-1, 1, 1, 1)
        shift = (inputs["timestep"] / 1000 + 0.1 * inputs["lora_slot"]).reshape(-1, 1, 1, 1)
        prediction = np.tanh(0.5 * sample[:, :channels] - 0.3 * sample[:, channels:] + words + shift)
        return self._backend.spoil(inputs, prediction.astype(np.float32))


def _specs(shapes: Mapping[str, tuple[int | None, ...]]) -> dict[str, TensorSpec]:
    integers = ("input_ids", "lora_slot")
    return {
        name: TensorSpec(name, np.dtype(np.int64 if name in integers else np.float32), shape)
        for name, shape in shapes.items()
    }
