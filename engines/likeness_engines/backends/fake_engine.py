"""A backend of fixed arithmetic: any pack's shapes, no weights, every call recorded. For tests, here and elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from likeness_engines.backends.base import Array, HostArrays, TensorSpec, check_inputs
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
        self.arrays = HostArrays()
        self.spoil = spoil or (lambda _, prediction: prediction)
        self.calls: dict[str, list[Inputs]] = {}

    def load(self, pack: ModelPack, network: str) -> FakeEngine:
        """Any network, at once."""
        self.calls[network] = []
        return FakeEngine(self, pack, network)


class FakeEngine:
    """One network; every row is computed from that row's inputs alone."""

    def __init__(self, backend: FakeBackend, pack: ModelPack, network: str) -> None:
        self._backend = backend
        self._network = network
        self.inputs, self.outputs = (_specs(part) for part in _signature(pack, network))

    def run(self, inputs: Inputs) -> dict[str, Array]:
        """Compute one batch; raises BackendError when an input is missing or has the wrong shape."""
        check_inputs(self.inputs, inputs)
        self._backend.calls[self._network].append(dict(inputs))
        outputs: dict[str, Array] = getattr(self, f"_{self._network}")(inputs)
        return outputs

    def _text_encoder(self, inputs: Inputs) -> dict[str, Array]:
        ids = inputs["input_ids"].astype(np.float32)[..., None]
        return {"last_hidden_state": np.sin(ids * np.arange(1, WIDTH + 1, dtype=np.float32))}

    def _text_encoder_2(self, inputs: Inputs) -> dict[str, Array]:
        states = self._text_encoder(inputs)["last_hidden_state"]
        return {"last_hidden_state": states, "text_embeds": states.mean(axis=1)}

    def _vae_encoder(self, inputs: Inputs) -> dict[str, Array]:
        channels, height, width = (size or 0 for size in self.outputs["latents"].shape[1:])
        means = inputs["sample"].mean(axis=1)
        step = means.shape[1] // height
        small = means[:, ::step, ::step][:, :height, :width]
        return {"latents": np.repeat(small[:, None], channels, axis=1).astype(np.float32)}

    def _vae_decoder(self, inputs: Inputs) -> dict[str, Array]:
        folded, side = (size or 0 for size in self.outputs["sample"].shape[1:3])
        grey = inputs["latents"].mean(axis=1, keepdims=True)
        large = grey.repeat(side // grey.shape[2], axis=2).repeat(side // grey.shape[3], axis=3)
        return {"sample": np.asarray(np.tanh(large).repeat(folded, axis=1), np.float32)}

    def _face_encoder(self, inputs: Inputs) -> dict[str, Array]:
        tokens = self.outputs["identity_tokens"].shape[1] or 0
        means = inputs["pixel_values"].mean(axis=(2, 3)) * inputs["presence"][:, None]
        return {"identity_tokens": np.tile(means.mean(axis=1).reshape(-1, 1, 1), (1, tokens, WIDTH)).astype("f")}

    def _unet(self, inputs: Inputs) -> dict[str, Array]:
        channels = self.outputs["prediction"].shape[1] or 0
        sample, source = inputs["sample"][:, :channels], inputs["sample"][:, channels:]
        marks = [inputs["encoder_hidden_states"].mean(axis=(1, 2)), inputs["timestep"] / 1000]
        marks += [np.array([sum(a[slot].sum() for a in self._bank(inputs)) for slot in inputs["lora_slot"]])]
        if "text_embeds" in inputs:
            marks += [inputs["text_embeds"].mean(axis=1)]
        if "identity_tokens" in inputs:
            marks += [inputs["identity_tokens"].mean(axis=(1, 2)) * inputs["identity_scale"].mean(axis=1)]
        shift = np.sum(marks, axis=0).reshape(-1, 1, 1, 1)
        beside = 0.3 * source if source.shape[1] else 0
        prediction = np.tanh(0.5 * sample - beside + shift)
        return {"prediction": self._backend.spoil(inputs, prediction.astype(np.float32))}

    def _bank(self, inputs: Inputs) -> list[Array]:
        return [array for name, array in inputs.items() if name.startswith(("lora_down", "lora_up"))]


Shapes = Mapping[str, tuple[int | None, ...]]


def _signature(pack: ModelPack, network: str) -> tuple[Shapes, Shapes]:
    about = pack.about
    channels, height, width = about.latents
    latents = (None, channels, height, width)
    side = about.resolution // about.pixel_fold
    pixels = (None, 3 * about.pixel_fold**2, side, side)
    ids: Shapes = {"input_ids": (None, about.prompt_length)}
    states = (None, about.prompt_length, WIDTH)
    if network == "text_encoder":
        return ids, {"last_hidden_state": states}
    if network == "text_encoder_2":
        return ids, {"last_hidden_state": states, "text_embeds": (None, WIDTH)}
    if network == "vae_encoder":
        return {"sample": pixels}, {"latents": latents}
    if network == "vae_decoder":
        return {"latents": latents}, {"sample": pixels}
    if network == "face_encoder":
        assert about.identity is not None
        face = (None, 3, about.identity.side, about.identity.side)
        tokens = (None, about.identity.tokens, WIDTH)
        return {"pixel_values": face, "presence": (None,)}, {"identity_tokens": tokens}
    return _unet_inputs(pack), {"prediction": latents}


def _unet_inputs(pack: ModelPack) -> Shapes:
    about = pack.about
    channels, height, width = about.latents
    read = 2 * channels if about.family == "pix2pix" else channels
    texts = 2 if about.family == "sdxl" else 1
    inputs: dict[str, tuple[int | None, ...]] = {
        "sample": (None, read, height, width),
        "timestep": (None,),
        "encoder_hidden_states": (None, about.prompt_length, texts * WIDTH),
        "lora_slot": (None,),
        **about.lora.shapes(),
    }
    if about.family == "sdxl":
        inputs |= {"text_embeds": (None, WIDTH), "time_ids": (None, 6)}
    if about.identity:
        inputs |= {
            "identity_tokens": (None, about.identity.tokens, WIDTH),
            "identity_scale": (None, about.identity.layers),
        }
    return inputs


def _specs(shapes: Mapping[str, tuple[int | None, ...]]) -> dict[str, TensorSpec]:
    integers = ("input_ids", "lora_slot")
    return {
        name: TensorSpec(name, np.dtype(np.int64 if name in integers else np.float32), shape)
        for name, shape in shapes.items()
    }
