"""The bank of style LoRAs: arrays that every UNet batch reads, one slot a style, slot 0 for none.

Layers of one width share an array, so that the UNet has a handful of inputs however many layers take a LoRA:
`lora_down_<inputs>` [slots, layers, inputs, rank] and `lora_up_<outputs>` [slots, layers, rank, outputs].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness_engines.errors import LoraError

if TYPE_CHECKING:
    from likeness_engines.backends.base import Arrays

Floats = NDArray[np.float32]


class LoraLayer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A linear layer of the UNet that takes a LoRA: its name in diffusers, its input and output features."""

    name: str
    inputs: int
    outputs: int


class LoraBankSize(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many style LoRAs a batch can mix, slot 0 being none, up to which rank, and in which layers."""

    slots: int
    rank: int
    layers: list[LoraLayer]

    def shapes(self) -> dict[str, tuple[int, int, int, int]]:
        """The bank's inputs of the UNet, by name, in the order in which it takes them."""
        downs, ups = (Counter(getattr(layer, side) for layer in self.layers) for side in ("inputs", "outputs"))
        return {
            **{f"lora_down_{size}": (self.slots, downs[size], size, self.rank) for size in sorted(downs)},
            **{f"lora_up_{size}": (self.slots, ups[size], self.rank, size) for size in sorted(ups)},
        }


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


class Lora(msgspec.Struct, frozen=True):
    """A LoRA in the shape of one slot: the bank's input names -> float32 [layers, ...]; `key` tells two apart."""

    key: str
    arrays: dict[str, Floats]


def arrange_lora(key: str, weights: Mapping[str, tuple[Floats, Floats]], size: LoraBankSize) -> Lora:
    """Lay a LoRA out as a slot: layer name -> (down [inputs, r], up [r, outputs]), scale multiplied in, r up to the
    bank's rank.

    Layers that it does not name stay zero. Raises LoraError for the first that does not fit.
    """
    layers, places = {layer.name: layer for layer in size.layers}, lora_places(size.layers)
    arrays = {name: np.zeros(shape[1:], np.float32) for name, shape in size.shapes().items()}
    for name, (down, up) in weights.items():
        _check(name, down, up, layers, size.rank)
        place = places[name]
        arrays[place.down][place.down_index, :, : down.shape[1]] = down
        arrays[place.up][place.up_index, : up.shape[0]] = up
    return Lora(key, arrays)


def _check(name: str, down: Floats, up: Floats, layers: Mapping[str, LoraLayer], most: int) -> None:
    layer = layers.get(name)
    if layer is None:
        raise LoraError(
            f"The LoRA has weights for {name}, which this pack cannot adapt. Use a LoRA made for this pack."
        )
    rank = down.shape[1]
    if down.shape[0] != layer.inputs or up.shape != (rank, layer.outputs):
        raise LoraError(
            f"The LoRA weights for {name} are {down.shape} and {up.shape}; this pack takes"
            f" ({layer.inputs}, r) and (r, {layer.outputs}). Use a LoRA made for this pack."
        )
    if rank > most:
        raise LoraError(
            f"The LoRA has rank {rank} in {name}; this pack takes up to {most}."
            " Use a LoRA of lower rank, or import the pack again with a higher one."
        )


class LoraBank:
    """The bank on a backend. All zeros at first: every slot means "none" until it is filled.

    When all slots are taken, the least recently used one that the batch does not need gives way.
    """

    def __init__(self, size: LoraBankSize, arrays: Arrays, dtypes: Mapping[str, np.dtype[Any]]) -> None:
        self.slots = size.slots
        self._put = arrays.put
        self._slot_shapes = {name: shape[1:] for name, shape in size.shapes().items()}
        self._dtypes = dtypes
        self.arrays = {name: arrays.put(np.zeros(shape, dtypes[name])) for name, shape in size.shapes().items()}
        self._held: dict[str, int] = {}  # LoRA key -> slot, least recently used first

    def check(self, lora: Lora) -> None:
        """Raise LoraError unless the LoRA was laid out for this bank."""
        if self.slots < 2:
            raise LoraError("This pack takes no LoRA. Import it again with LoRA slots.")
        if {name: array.shape for name, array in lora.arrays.items()} != self._slot_shapes:
            raise LoraError("The LoRA was read for another pack. Read it again for this one.")

    def take(self, lora: Lora | None, needed: Collection[int]) -> int | None:
        """The slot where a LoRA lies, put there if it was not; None when all slots are `needed` by others."""
        if lora is None:
            return 0
        slot = self._held.pop(lora.key, None)
        if slot is None:
            slot = self._free(needed)
            if slot is None:
                return None
            self._fill(slot, lora)
        self._held[lora.key] = slot
        return slot

    def _free(self, needed: Collection[int]) -> int | None:
        for slot in range(1, self.slots):
            if slot not in self._held.values():
                return slot
        for key, slot in self._held.items():
            if slot not in needed:
                del self._held[key]
                return slot
        return None

    def _fill(self, slot: int, lora: Lora) -> None:
        for name, values in lora.arrays.items():
            self.arrays[name][slot] = self._put(values, self._dtypes[name])
