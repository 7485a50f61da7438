"""The UNet of the per-row contract."""

from __future__ import annotations

from typing import Any, Final

import torch

from likeness_engines.lora import LoraLayer, lora_places
from likeness_engines.pack import PackFile
from likeness_engines.torch_networks.layers import BankedLinear, Conditions, IdentityAttention
from likeness_engines.torch_networks.network import Network, Tensors

ATTENTION_PROJECTIONS: Final = ("to_q", "to_k", "to_v", "to_out.0")
FEED_FORWARD: Final = ("ff.net.0.proj", "ff.net.2")


class UNet(Network):
    """The UNet of the per-row contract: timesteps, conditions and a LoRA of their own in every row."""

    outputs = ("prediction",)

    def __init__(self, part: Any, about: PackFile) -> None:
        super().__init__(part)
        self.about = about
        self.conditions = Conditions()
        self.banks = about.lora.shapes()
        added = ("text_embeds", "time_ids") if about.family == "sdxl" else ()
        identity = ("identity_tokens", "identity_scale") if about.identity else ()
        first = ("sample", "timestep", "encoder_hidden_states")
        self.inputs = (*first, *added, *identity, "lora_slot", *self.banks)
        self._bank_layers()

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        """Predict; tensors in the order of `inputs`."""
        given = dict(zip(self.inputs, tensors, strict=True))
        self.conditions.lora_slot = given["lora_slot"]
        self.conditions.bank = {name: given[name] for name in self.banks}
        if self.about.identity:
            self.conditions.identity_tokens = self._enter(given["identity_tokens"])
            self.conditions.identity_scale = self._enter(given["identity_scale"])
        added = None
        if self.about.family == "sdxl":
            added = {"text_embeds": self._enter(given["text_embeds"]), "time_ids": given["time_ids"]}
        words = self._enter(given["encoder_hidden_states"])
        found = self.part(self._enter(given["sample"]), given["timestep"], words, added_cond_kwargs=added)
        prediction: torch.Tensor = found.sample
        return prediction.float()

    def example(self, rows: int) -> Tensors:
        """Noise at random timesteps, with every slot of the bank filled."""
        config, about = self.part.config, self.about
        side, width = config.sample_size, config.cross_attention_dim
        slots = torch.arange(rows) % about.lora.slots
        every = {
            "sample": torch.randn(rows, config.in_channels, side, side),
            "timestep": torch.linspace(10, 900, rows),
            "encoder_hidden_states": torch.randn(rows, about.prompt_length, width),
            "lora_slot": slots,
            **{name: torch.randn(shape) * 0.05 for name, shape in self.banks.items()},
        }
        if about.family == "sdxl":
            pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
            every["text_embeds"] = torch.randn(rows, pooled)
            side = float(about.resolution)
            every["time_ids"] = torch.tensor([[side, side, 0.0, 0.0, side, side]] * rows)
        if about.identity:
            every["identity_tokens"] = torch.randn(rows, about.identity.tokens, about.identity.width)
            every["identity_scale"] = torch.rand(rows, about.identity.layers)
        return {name: every[name] for name in self.inputs}

    def _bank_layers(self) -> None:
        places = lora_places(self.about.lora.layers)
        for layer in self.about.lora.layers:
            parent, leaf = layer.name.rsplit(".", 1)
            owner = self.part.get_submodule(parent)
            setattr(owner, leaf, BankedLinear(getattr(owner, leaf), places[layer.name], self.conditions))
        for index, name in enumerate(cross_attentions(self.part) if self.about.identity else ()):
            self.part.get_submodule(name).processor.conditions = self.conditions
            assert self.part.get_submodule(name).processor.index == index


def lora_layers(unet: torch.nn.Module, *, feed_forward: bool) -> list[LoraLayer]:
    """The linear layers that take a LoRA, in the order of the module tree."""
    names = ATTENTION_PROJECTIONS + (FEED_FORWARD if feed_forward else ())
    return [
        LoraLayer(name, module.in_features, module.out_features)
        for name, module in unet.named_modules()
        if isinstance(module, torch.nn.Linear) and name.endswith(names)
    ]


def cross_attentions(unet: torch.nn.Module) -> list[str]:
    """The names of the attention layers that read the prompt, in the order in which IP-Adapter numbers them."""
    processors = [name.removesuffix(".processor") for name in unet.attn_processors]  # type: ignore[union-attr]
    return [name for name in processors if not name.endswith("attn1")]


def install_identity(unet: Any) -> None:
    """Give every cross-attention layer the weights, still on the meta device, that read identity tokens."""
    for index, name in enumerate(cross_attentions(unet)):
        attention = unet.get_submodule(name)
        attention.set_processor(IdentityAttention(attention, index, Conditions()))
