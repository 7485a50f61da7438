"""What all networks have in common."""

from __future__ import annotations

from typing import Any

import torch

Tensors = dict[str, torch.Tensor]


class Network(torch.nn.Module):
    """One network of a pack. `forward` takes tensors in the order of `inputs` and answers those of `outputs`.

    Tensors come and go in float32, whatever `part` computes in; `part` has the weights, by their safetensors keys.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __init__(self, part: torch.nn.Module) -> None:
        super().__init__()
        self.part: Any = part

    def example(self, rows: int) -> Tensors:
        """Random inputs of the right shapes, on the CPU."""
        raise NotImplementedError

    def _enter(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.part.dtype)
