"""The networks around the UNet: prompts, pictures and faces in, pictures out."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.embeddings import ImageProjection
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

from likeness_engines.torch_networks.network import Network, Tensors


class TextEncoder(Network):
    """input_ids [N, T] -> last_hidden_state [N, T, D], for SDXL the one before the last; and text_embeds [N, P]."""

    inputs = ("input_ids",)

    def __init__(self, part: Any, *, penultimate: bool) -> None:
        super().__init__(part)
        self.penultimate = penultimate
        self.pools = isinstance(part, CLIPTextModelWithProjection)
        self.outputs = ("last_hidden_state", "text_embeds") if self.pools else ("last_hidden_state",)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Encode prompts."""
        found = self.part(input_ids, output_hidden_states=self.penultimate)
        states = found.hidden_states[-2] if self.penultimate else found.last_hidden_state
        return (states.float(), found.text_embeds.float()) if self.pools else states.float()

    def example(self, rows: int) -> Tensors:
        """Prompts of random words."""
        config = self.part.config
        ids = torch.randint(0, config.vocab_size, (rows, config.max_position_embeddings))
        ids[:, -1] = config.eos_token_id
        return {"input_ids": ids}


class VaeEncoder(Network):
    """sample [N, 3f^2, H, W] in -1..1 -> latents [N, C, h, w], the mean, not yet scaled."""

    inputs, outputs = ("sample",), ("latents",)

    def __init__(self, part: Any, side: int) -> None:
        super().__init__(part)
        self.side = side

    def forward(self, sample: torch.Tensor) -> torch.Tensor:
        """Encode pictures."""
        mean: torch.Tensor = self.part.encode(self._enter(sample)).latent_dist.mean
        return mean.float()

    def example(self, rows: int) -> Tensors:
        """Pictures of noise."""
        return {"sample": torch.randn(rows, self.part.config.in_channels, self.side, self.side)}


class VaeDecoder(Network):
    """latents [N, C, h, w], unscaled -> sample [N, 3f^2, H, W] in about -1..1."""

    inputs, outputs = ("latents",), ("sample",)

    def __init__(self, part: Any, side: int) -> None:
        super().__init__(part)
        self.side = side

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents."""
        sample: torch.Tensor = self.part.decode(self._enter(latents)).sample
        return sample.float()

    def example(self, rows: int) -> Tensors:
        """Latents of noise."""
        return {"latents": torch.randn(rows, self.part.config.latent_channels, self.side, self.side)}


class FaceEncoder(Network):
    """pixel_values [N, 3, S, S], presence [N] -> identity_tokens [N, Ti, D].

    Where `presence` is 0, the tokens are those that IP-Adapter was trained to take for nobody: of a black picture, or
    of an embedding of zeros, as the adapter has it.
    """

    inputs, outputs = ("pixel_values", "presence"), ("identity_tokens",)

    class Part(torch.nn.Module):
        """Both halves under one roof, as in the safetensors file."""

        def __init__(self, vision: CLIPVisionModelWithProjection, projection: torch.nn.Module) -> None:
            super().__init__()
            self.vision, self.projection = vision, projection
            self.config = vision.config

        @property
        def dtype(self) -> torch.dtype:
            """That of the weights."""
            dtype: torch.dtype = self.vision.dtype
            return dtype

    def forward(self, pixel_values: torch.Tensor, presence: torch.Tensor) -> torch.Tensor:
        """Encode faces."""
        pixels, present = self._enter(pixel_values), self._enter(presence)
        if isinstance(self.part.projection, ImageProjection):
            found = self.part.vision(pixels).image_embeds * present[:, None]
        else:
            pixels = pixels * present[:, None, None, None]
            found = self.part.vision(pixels, output_hidden_states=True).hidden_states[-2]
        tokens: torch.Tensor = self.part.projection(found)
        return tokens.float()

    def example(self, rows: int) -> Tensors:
        """Pictures of noise, the first of nobody."""
        side = self.part.config.image_size
        return {"pixel_values": torch.randn(rows, 3, side, side), "presence": (torch.arange(rows) > 0).float()}
