"""The LoRA bank: places, padding, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from likeness_engines import LoraBank, RenderError
from likeness_engines.lora import LoraLayer, lora_places

LAYERS = [LoraLayer("a.to_q", 6, 6), LoraLayer("a.to_k", 4, 6), LoraLayer("b.to_q", 6, 6)]


def lora(rank: int, inputs: int = 6, outputs: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(rank)
    return rng.standard_normal((inputs, rank)).astype("f"), rng.standard_normal((rank, outputs)).astype("f")


def test_layers_of_one_width_share_an_array() -> None:
    bank = LoraBank(LAYERS, slots=3, rank=2)
    shapes = {name: array.shape for name, array in bank.arrays.items()}
    assert shapes == {"lora_down_6": (3, 2, 6, 2), "lora_down_4": (3, 1, 4, 2), "lora_up_6": (3, 3, 2, 6)}


def test_a_lower_rank_is_padded_and_the_product_kept() -> None:
    bank = LoraBank(LAYERS, slots=3, rank=4)
    down, up = lora(2)
    bank.fill(2, {"b.to_q": (down, up)})
    place = lora_places(LAYERS)["b.to_q"]
    kept = bank.arrays[place.down][2, place.down_index] @ bank.arrays[place.up][2, place.up_index]
    assert np.allclose(kept, down @ up)
    assert not bank.arrays["lora_down_6"][1].any()


def test_filling_again_replaces_and_clearing_empties() -> None:
    bank = LoraBank(LAYERS, slots=3, rank=4)
    bank.fill(1, {"a.to_q": lora(4)})
    bank.fill(1, {"b.to_q": lora(1)})
    assert not bank.arrays["lora_down_6"][1, 0].any()
    bank.clear(1)
    assert not any(array.any() for array in bank.arrays.values())


@pytest.mark.parametrize(
    ("slot", "weights", "words"),
    [
        (0, {"a.to_q": lora(1)}, "slots 1 to 2"),
        (3, {"a.to_q": lora(1)}, "slots 1 to 2"),
        (1, {"conv_in": lora(1)}, "conv_in"),
        (1, {"a.to_q": lora(5)}, "r up to 4"),
        (1, {"a.to_k": lora(2)}, "a.to_k"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(slot: int, weights: dict, words: str) -> None:
    bank = LoraBank(LAYERS, slots=3, rank=4)
    with pytest.raises(RenderError, match=words):
        bank.fill(slot, weights)
    assert not any(array.any() for array in bank.arrays.values())
