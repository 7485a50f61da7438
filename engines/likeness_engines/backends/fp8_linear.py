"""Linear layers in 8-bit floating point (e4m3): weights scaled per output channel when they are loaded, activations per
row as they come.

With three bits of mantissa each, a product of normally distributed matrices is 4% off its norm, whatever their scale
(`tests/engines/test_torch_engine.py` holds 5%). LoRAs, attention and convolutions stay in half precision.
"""

from __future__ import annotations

from typing import Final

import torch

from likeness_engines.torch_networks import BankedLinear

LARGEST: Final = 448.0  # of e4m3
_LEAST: Final = 1e-12  # a row of zeros has scale 0
# The matrix units take multiples of this many inputs and outputs.
_MULTIPLE: Final = 16


class Fp8Linear(torch.nn.Linear):
    """[..., inputs] -> [..., outputs]; `weight` e4m3 [outputs, inputs], to be multiplied by `scales` [1, outputs]."""

    scales: torch.Tensor

    def quantize(self, linear: torch.nn.Linear) -> None:
        """Take over a layer's weights. They become buffers, which say nothing of the type that the network takes."""
        weight, scales = to_e4m3(linear.weight.detach())
        del self.weight
        self.register_buffer("weight", weight)
        self.register_buffer("scales", scales.t().contiguous())
        self.bias = linear.bias

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - as nn.Linear names it
        """Multiply in 8 bits, add up in 32; answers in the type of the input."""
        rows, scales = to_e4m3(input.flatten(0, -2))
        product: torch.Tensor = torch._scaled_mm(  # pyright: ignore[reportPrivateImportUsage]
            rows, self.weight.t(), scale_a=scales, scale_b=self.scales, bias=self.bias, out_dtype=input.dtype
        )
        return product.reshape(*input.shape[:-1], self.out_features)


class Fp8BankedLinear(BankedLinear, Fp8Linear):
    """The layer in 8 bits, through the order of its bases, plus each row's LoRA in half precision."""


def to_e4m3(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[rows, columns] -> e4m3 of the same shape, and float32 [rows, 1] to multiply it by."""
    wide = matrix.float()
    scales = (wide.abs().amax(dim=1, keepdim=True) / LARGEST).clamp(min=_LEAST)
    # Conversion makes NaN, not the largest number, of what rounding took over the edge.
    return (wide / scales).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn), scales


def use_fp8(unet: torch.nn.Module) -> int:
    """Replace the linear layers of a UNet's transformers that matrix units can take; returns how many."""
    chosen = [
        (name, module)
        for name, module in unet.named_modules()
        if isinstance(module, torch.nn.Linear)
        and "attentions." in name
        and module.in_features % _MULTIPLE == module.out_features % _MULTIPLE == 0
    ]
    for name, linear in chosen:
        parent, _, leaf = name.rpartition(".")
        setattr(unet.get_submodule(parent), leaf, _quantized(linear))
    return len(chosen)


def _quantized(linear: torch.nn.Linear) -> Fp8Linear:
    layer: Fp8Linear
    if isinstance(linear, BankedLinear):
        layer = Fp8BankedLinear(linear, linear.place, linear.conditions)
    else:
        layer = Fp8Linear(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
    layer.quantize(linear)
    return layer
