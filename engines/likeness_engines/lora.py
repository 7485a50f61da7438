"""The bank of style LoRAs: arrays that every UNet batch reads, one slot a style, slot 0 for none.

Layers of one width share an array, so that the UNet has a handful of inputs however many layers take a LoRA:
`lora_down_<inputs>` [slots, layers, inputs, rank] and `lora_up_<outputs>` [slots, layers, rank, outputs].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness_engines.errors import RenderError

Floats = NDArray[np.float32]


class LoraLayer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A linear layer of the UNet that takes a LoRA: its name in diffusers, its input and output features."""

    name: str
    inputs: int
    outputs: int


class LoraPlace(msgspec.Struct, frozen=True):
    """Where a layer's two matrices lie: input name and index within it, for down and for up."""

    down: str
    down_index: int
    up: str
    up_index: int


def lora_places(layers: Sequence[LoraLayer]) -> dict[str, LoraPlace]:
    """Number the layers of each width in order; exporter and bank both count this way."""
    seen: Counter[str] = Counter()
    places = {}
    for layer in layers:
        down, up = f"lora_down_{layer.inputs}", f"lora_up_{layer.outputs}"
        places[layer.name] = LoraPlace(down, seen[down], up, seen[up])
        seen.update((down, up))
    return places


class LoraBank:
    """The arrays, float32, all zeros at first: every slot means "none" until it is filled."""

    def __init__(self, layers: Sequence[LoraLayer], slots: int, rank: int) -> None:
        self.slots = slots
        self._rank = rank
        self._layers = {layer.name: layer for layer in layers}
        self._places = lora_places(layers)
        shapes = Counter(layer.inputs for layer in layers), Counter(layer.outputs for layer in layers)
        self.arrays: dict[str, Floats] = {
            **{f"lora_down_{size}": np.zeros((slots, n, size, rank), np.float32) for size, n in shapes[0].items()},
            **{f"lora_up_{size}": np.zeros((slots, n, rank, size), np.float32) for size, n in shapes[1].items()},
        }

    def fill(self, slot: int, weights: Mapping[str, tuple[Floats, Floats]]) -> None:
        """Put a LoRA into a slot: layer name -> (down [inputs, r], up [r, outputs]), scale multiplied in, r up to the
        rank.

        Layers that it does not name stay zero. Raises RenderError, and changes nothing, when it does not fit.
        """
        if not 1 <= slot < self.slots:
            raise RenderError(f"The LoRA bank has the slots 1 to {self.slots - 1}, not {slot}. Use one of them.")
        for name, (down, up) in weights.items():
            self._check(name, down, up)
        self.clear(slot)
        for name, (down, up) in weights.items():
            place = self._places[name]
            self.arrays[place.down][slot, place.down_index, :, : down.shape[1]] = down
            self.arrays[place.up][slot, place.up_index, : up.shape[0]] = up

    def clear(self, slot: int) -> None:
        """Make a slot mean "none" again."""
        for array in self.arrays.values():
            array[slot] = 0

    def _check(self, name: str, down: Floats, up: Floats) -> None:
        layer = self._layers.get(name)
        if layer is None:
            raise RenderError(
                f"The LoRA has weights for {name}, which this pack cannot adapt. Use a LoRA made for this pack."
            )
        rank = down.shape[1]
        if down.shape[0] != layer.inputs or up.shape != (rank, layer.outputs) or rank > self._rank:
            raise RenderError(
                f"The LoRA weights for {name} are {down.shape} and {up.shape}; this pack takes"
                f" ({layer.inputs}, r) and (r, {layer.outputs}) r up to {self._rank}. Use a LoRA made for this pack."
            )
