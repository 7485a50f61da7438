"""The bank of style LoRAs: arrays that every UNet batch reads, one slot a style, slot 0 for none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from likeness_engines.backends.base import Engine
from likeness_engines.errors import RenderError

PREFIXES = ("lora_down_", "lora_up_")


class LoraBank:
    """float32 arrays [slots, in, rank] and [slots, rank, out], named as the UNet's inputs; all zeros at first."""

    def __init__(self, unet: Engine, slots: int) -> None:
        self.slots = slots
        self.arrays: dict[str, NDArray[np.float32]] = {
            name: np.zeros((slots, *(size or slots for size in spec.shape[1:])), np.float32)
            for name, spec in unet.inputs.items()
            if name.startswith(PREFIXES)
        }

    def fill(self, slot: int, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Put a LoRA into a slot, zero-padding lower ranks; layers it does not name stay zero. Raises RenderError."""
        if not 1 <= slot < self.slots:
            raise RenderError(f"The LoRA bank has the slots 1 to {self.slots - 1}, not {slot}. Free one of them.")
        for name, weight in weights.items():
            if name not in self.arrays or any(a > b for a, b in zip(weight.shape, self.arrays[name].shape[1:], strict=True)):
                raise RenderError(f"The LoRA weight {name} {weight.shape} does not fit this pack. Use a LoRA made for it.")
        self.clear(slot)
        for name, weight in weights.items():
            self.arrays[name][slot][tuple(slice(size) for size in weight.shape)] = weight

    def clear(self, slot: int) -> None:
        """Make a slot mean "none" again."""
        for array in self.arrays.values():
            array[slot] = 0
