"""The UNet's layers that read more than their own input: a LoRA of the bank, the tokens of an identity."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch.nn import functional

from likeness_engines.lora import LoraPlace
from likeness_engines.torch_networks.network import Tensors


class Conditions:
    """What the layers of one call of the UNet read besides their own input."""

    def __init__(self) -> None:
        self.lora_slot: torch.Tensor
        self.bank: Tensors = {}
        self.identity_tokens: torch.Tensor
        self.identity_scale: torch.Tensor


class BankedLinear(torch.nn.Linear):
    """A linear layer plus each row's own low-rank update, which it looks up in the bank."""

    def __init__(self, linear: torch.nn.Linear, place: LoraPlace, conditions: Conditions) -> None:
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.place, self.conditions = place, conditions

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - as nn.Linear names it
        """[B, T, inputs] -> [B, T, outputs]."""
        place, slot, bank = self.place, self.conditions.lora_slot, self.conditions.bank
        # The layer's own matrices first: a view, so that only this layer's are gathered.
        down = bank[place.down][:, place.down_index][slot].to(input.dtype)
        up = bank[place.up][:, place.up_index][slot].to(input.dtype)
        return super().forward(input) + (input @ down) @ up


class IdentityAttention(torch.nn.Module):
    """Cross-attention to the prompt, plus `identity_scale` times the same queries' attention to the identity tokens
    (Ye et al., IP-Adapter, 2023, equation 5).
    """

    def __init__(self, attention: Attention, index: int, conditions: Conditions) -> None:
        super().__init__()
        assert attention.to_k is not None
        inputs, outputs = attention.to_k.in_features, attention.to_k.out_features
        self.to_k_ip, self.to_v_ip = (torch.nn.Linear(inputs, outputs, bias=False, device="meta") for _ in range(2))
        self.index, self.conditions = index, conditions

    def forward(
        self, attn: Any, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor, *_: Any, **__: Any
    ) -> torch.Tensor:
        """One layer; a processor of diffusers' `Attention`, whose other arguments its transformer blocks leave out."""
        tokens = self.conditions.identity_tokens
        query = attn.to_q(hidden_states)
        words = self._attend(attn, query, attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states))
        face = self._attend(attn, query, self.to_k_ip(tokens), self.to_v_ip(tokens))
        scale = self.conditions.identity_scale[:, self.index, None, None]
        output: torch.Tensor = attn.to_out[0](words + scale * face)
        return output

    @staticmethod
    def _attend(attn: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        q, k, v = (each.reshape(*each.shape[:2], attn.heads, -1).transpose(1, 2) for each in (query, key, value))
        return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
