"""How large a batch a GPU backend runs at once: the UNet's is asked for, of other networks larger ones go in turns."""

from __future__ import annotations

from typing import Final, NamedTuple

from likeness_engines.pack import ModelPack


class _Most(NamedTuple):
    """Pixels of pictures that go through the autoencoder together, and prompts or faces that are encoded together."""

    pixels: int
    encoded: int


# An autoencoder is at its best with few pictures, and its memory grows by a gigabyte a megapixel.
_MOST: Final = {"tensorrt": _Most(2 << 20, 16), "torch": _Most(4 << 20, 12)}
_PICTURES: Final = 16


def most_at_once(backend: str, pack: ModelPack, network: str, rows: int) -> int:
    """The largest batch of a network, where `rows` is that of the UNet. Backends on a CPU have no such limit."""
    if network == "unet" or backend not in _MOST:
        return rows
    most = _MOST[backend]
    if network.startswith("vae"):
        return max(1, min(_PICTURES, most.pixels // pack.about.resolution**2))
    return most.encoded
