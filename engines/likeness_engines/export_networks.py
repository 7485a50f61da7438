"""The checkpoint's networks as the pack's engines see them: thin modules around diffusers' own, and their ONNX
inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from likeness_engines.lora import LoraLayer, lora_places

if TYPE_CHECKING:
    import torch

ATTENTION_PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")


class Network(NamedTuple):
    """One network to export: `module` computes what the engine shall, `config` tells optimum its inputs and outputs."""

    name: str
    module: torch.nn.Module
    config: Any
    state: Callable[[], dict[str, torch.Tensor]]


class LoadedCheckpoint(NamedTuple):
    """All networks of a checkpoint, rounded to half precision, and the numbers that the pack declares."""

    networks: list[Network]
    latents: tuple[int, int, int]
    latent_scale: float
    prompt_length: int
    lora_layers: list[LoraLayer]


def load_networks(checkpoint: Path, out: Path, slots: int, rank: int) -> LoadedCheckpoint:
    """Load a diffusers checkpoint with every weight rounded to half precision, and save it so below `out`."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL  # noqa: PLC0415 - the export extra's
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel  # noqa: PLC0415
    from transformers import CLIPTextModel  # noqa: PLC0415

    unet: Any = UNet2DConditionModel.from_pretrained(checkpoint / "unet", low_cpu_mem_usage=False).half()
    vae: Any = AutoencoderKL.from_pretrained(checkpoint / "vae", low_cpu_mem_usage=False).half()
    text_encoder = CLIPTextModel.from_pretrained(checkpoint / "text_encoder", attn_implementation="eager").half()
    parts = {"unet": unet, "vae": vae, "text_encoder": text_encoder}

    for name, part in parts.items():
        part.save_pretrained(out / name)
        part.float().eval()
    layers = _lora_layers(unet)
    side, latent_side = vae.config.sample_size, unet.config.sample_size
    config, length = unet.config, text_encoder.config.max_position_embeddings
    networks = [
        _text_encoder(text_encoder, length),
        _vae_encoder(vae, side),
        _vae_decoder(vae, latent_side),
        _unet(unet, layers, slots, rank, length),
    ]
    latents = (int(config.out_channels), int(latent_side), int(latent_side))
    return LoadedCheckpoint(networks, latents, float(vae.config.scaling_factor), int(length), layers)


def _config(
    inputs: dict[str, str], outputs: dict[str, str], dummies: Callable[[], dict[str, Any]], model_config: Any
) -> Any:
    """An optimum configuration; `inputs` and `outputs` map names to the name of their first, dynamic axis."""
    from optimum.exporters.onnx.model_configs import UNetOnnxConfig  # noqa: PLC0415

    class PackConfig(UNetOnnxConfig):  # type: ignore[misc, unused-ignore]
        """UNetOnnxConfig has a scalar timestep and none of our inputs: only its export machinery is wanted."""

        @property
        def inputs(self) -> dict[str, dict[int, str]]:
            return {name: {0: axis} for name, axis in inputs.items()}

        @property
        def outputs(self) -> dict[str, dict[int, str]]:
            return {name: {0: axis} for name, axis in outputs.items()}

        def generate_dummy_inputs(self, framework: str = "pt", **_: Any) -> dict[str, Any]:
            drawn = dummies()
            return {name: value.numpy() for name, value in drawn.items()} if framework == "np" else drawn

    return PackConfig(model_config, task="semantic-segmentation")


def _wrap(owner: torch.nn.Module, forward: Callable[..., torch.Tensor]) -> torch.nn.Module:
    """A module that registers `owner` as its part and computes `forward`; optimum asks it for config, dtype and
    device.
    """
    import torch  # noqa: PLC0415

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = owner
            self.config = owner.config
            self.dtype, self.device = torch.float32, torch.device("cpu")

    # torch.onnx reads the signature of `forward`, so that the function itself has to be it.
    Wrapped.forward = forward
    return Wrapped().eval()


def _text_encoder(model: Any, length: int) -> Network:
    import torch  # noqa: PLC0415

    def forward(self: Any, input_ids: torch.Tensor) -> torch.Tensor:
        return self.part(input_ids).last_hidden_state  # type: ignore[no-any-return]

    def dummies() -> dict[str, Any]:
        return {"input_ids": torch.randint(0, model.config.vocab_size, (2, length))}

    config = _config({"input_ids": "prompts"}, {"last_hidden_state": "prompts"}, dummies, model.config)
    return Network("text_encoder", _wrap(model, forward), config, model.state_dict)


def _vae_encoder(model: Any, side: int) -> Network:
    import torch  # noqa: PLC0415

    def forward(self: Any, sample: torch.Tensor) -> torch.Tensor:
        return self.part.encode(sample).latent_dist.mean  # type: ignore[no-any-return]

    def dummies() -> dict[str, Any]:
        return {"sample": torch.randn(2, model.config.in_channels, side, side)}

    config = _config({"sample": "photos"}, {"latents": "photos"}, dummies, model.config)
    return Network("vae_encoder", _wrap(model, forward), config, model.state_dict)


def _vae_decoder(model: Any, side: int) -> Network:
    import torch  # noqa: PLC0415

    def forward(self: Any, latents: torch.Tensor) -> torch.Tensor:
        return self.part.decode(latents).sample  # type: ignore[no-any-return]

    def dummies() -> dict[str, Any]:
        return {"latents": torch.randn(2, model.config.latent_channels, side, side)}

    config = _config({"latents": "avatars"}, {"sample": "avatars"}, dummies, model.config)
    return Network("vae_decoder", _wrap(model, forward), config, model.state_dict)


def _lora_layers(unet: Any) -> list[LoraLayer]:
    """The attention projections, in the order of the module tree."""
    import torch  # noqa: PLC0415

    return [
        LoraLayer(name, module.in_features, module.out_features)
        for name, module in unet.named_modules()
        if isinstance(module, torch.nn.Linear) and name.endswith(ATTENTION_PROJECTIONS)
    ]


def _unet(model: Any, layers: Sequence[LoraLayer], slots: int, rank: int, length: int) -> Network:
    """The UNet with per-row timesteps, and a LoRA of the bank in every attention projection."""
    import torch  # noqa: PLC0415

    state = dict(model.state_dict())  # before banked layers change the names
    gathered: dict[str, torch.Tensor] = {}  # this call's rows of the bank, which all layers of one call share

    class BankedLinear(torch.nn.Module):
        """A linear layer plus each row's own low-rank update."""

        def __init__(self, layer: LoraLayer) -> None:
            super().__init__()
            self.linear = model.get_submodule(layer.name)
            self.place = places[layer.name]

        def forward(self, x: torch.Tensor, *_: Any) -> torch.Tensor:
            down = gathered[self.place.down][:, self.place.down_index]
            up = gathered[self.place.up][:, self.place.up_index]
            return self.linear(x) + (x @ down) @ up  # type: ignore[no-any-return]

    places = lora_places(layers)
    for layer in layers:
        parent, leaf = layer.name.rsplit(".", 1)
        setattr(model.get_submodule(parent), leaf, BankedLinear(layer))
    downs, ups = sorted({layer.inputs for layer in layers}), sorted({layer.outputs for layer in layers})
    banks = [*(f"lora_down_{size}" for size in downs), *(f"lora_up_{size}" for size in ups)]

    def compute(self: Any, sample: Any, timestep: Any, encoder_hidden_states: Any, lora_slot: Any, *bank: Any) -> Any:
        gathered.update({name: array[lora_slot] for name, array in zip(banks, bank, strict=True)})
        return self.part(sample, timestep, encoder_hidden_states).sample

    rows = ("sample", "timestep", "encoder_hidden_states", "lora_slot")
    names = {name: index for index, name in enumerate(banks)}

    def dummies() -> dict[str, Any]:
        side, width = model.config.sample_size, model.config.cross_attention_dim
        inputs = {
            "sample": torch.randn(2, model.config.in_channels, side, side),
            "timestep": torch.tensor([10.0, 900.0]),
            "encoder_hidden_states": torch.randn(2, length, width),
            "lora_slot": torch.tensor([0, 1]),
        }
        for name in names:
            kind, size = name.rsplit("_", 1)
            count = sum(getattr(layer, "inputs" if kind == "lora_down" else "outputs") == int(size) for layer in layers)
            shape = (int(size), rank) if kind == "lora_down" else (rank, int(size))
            inputs[name] = torch.randn(slots, count, *shape) * 0.05
        return inputs

    axes = dict.fromkeys(rows, "rows") | dict.fromkeys(banks, "slots")
    config = _config(axes, {"prediction": "rows"}, dummies, model.config)
    forward = _with_signature(compute, [*rows, *banks])
    return Network("unet", _wrap(model, forward), config, lambda: state)


def _with_signature(compute: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """Give a function the named parameters that torch.onnx and optimum order a model's inputs by."""
    import inspect  # noqa: PLC0415

    def forward(self: Any, *values: Any, **named: Any) -> Any:
        return compute(self, *values, *(named[name] for name in names[len(values) :]))

    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("self", *names)]
    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return forward
