"""The LoRA bank: places, padding, refusals, and who gives way when its slots are taken."""

from __future__ import annotations

import numpy as np
import pytest

from likeness_engines.backends.base import HostArrays
from likeness_engines.errors import LoraError
from likeness_engines.lora import Lora, LoraBank, LoraBankSize, LoraLayer, arrange_lora, lora_places

LAYERS = [LoraLayer("a.to_q", 6, 6), LoraLayer("a.to_k", 4, 6), LoraLayer("b.to_q", 6, 6)]
SIZE = LoraBankSize(slots=3, rank=4, layers=LAYERS)


def new_bank(size: LoraBankSize = SIZE, dtype: type = np.float32) -> LoraBank:
    return LoraBank(size, HostArrays(), dict.fromkeys(size.shapes(), np.dtype(dtype)))


def weights(rank: int, inputs: int = 6, outputs: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(rank)
    return rng.standard_normal((inputs, rank)).astype("f"), rng.standard_normal((rank, outputs)).astype("f")


def lora(key: str, layer: str = "a.to_q", rank: int = 4) -> Lora:
    return arrange_lora(key, {layer: weights(rank)}, SIZE)


def test_layers_of_one_width_share_an_array() -> None:
    shapes = {"lora_down_4": (3, 1, 4, 4), "lora_down_6": (3, 2, 6, 4), "lora_up_6": (3, 3, 4, 6)}
    assert SIZE.shapes() == shapes
    assert list(SIZE.shapes()) == list(shapes)  # the UNet takes them in this order
    bank = new_bank()
    assert {name: array.shape for name, array in bank.arrays.items()} == shapes
    assert not any(array.any() for array in bank.arrays.values())


def test_a_lower_rank_is_padded_and_the_product_kept() -> None:
    bank = new_bank()
    down, up = weights(2)
    slot = bank.take(lora("one", "b.to_q", rank=2), ())
    place = lora_places(LAYERS)["b.to_q"]
    kept = bank.arrays[place.down][slot, place.down_index] @ bank.arrays[place.up][slot, place.up_index]
    assert np.allclose(kept, down @ up)
    assert not bank.arrays["lora_down_6"][slot, 0].any()
    assert not bank.arrays["lora_down_6"][2].any()


def test_no_lora_is_slot_0_which_stays_empty() -> None:
    bank = new_bank()
    assert bank.take(None, {0, 1, 2}) == 0
    for key in "abcd":
        bank.take(lora(key), ())
    assert not any(array[0].any() for array in bank.arrays.values())


def test_a_lora_is_put_in_once_and_found_again() -> None:
    bank = new_bank()
    first, second = bank.take(lora("one"), ()), bank.take(lora("two"), ())
    assert {first, second} == {1, 2}
    for array in bank.arrays.values():
        array[first] = 7
    assert bank.take(lora("one"), {1, 2}) == first
    assert all((array[first] == 7).all() for array in bank.arrays.values())


def test_the_least_recently_used_gives_way_and_leaves_nothing_behind() -> None:
    bank = new_bank()
    first, second = bank.take(lora("one"), ()), bank.take(lora("two"), ())
    bank.take(lora("one"), ())
    assert bank.take(lora("three", "b.to_q", rank=1), ()) == second
    assert not bank.arrays["lora_down_6"][second, 0].any()
    assert bank.take(lora("two"), ()) == first


def test_what_the_batch_needs_stays() -> None:
    bank = new_bank()
    first, second = bank.take(lora("one"), ()), bank.take(lora("two"), ())
    assert bank.take(lora("three"), {first, second}) is None
    assert bank.take(lora("three"), {first}) == second
    assert bank.take(lora("one"), {first, second}) == first


def test_a_bank_without_slots_takes_none() -> None:
    bank = new_bank(LoraBankSize(slots=1, rank=4, layers=LAYERS))
    assert bank.take(lora("one"), ()) is None


def test_the_bank_keeps_the_networks_types() -> None:
    bank = new_bank(dtype=np.float16)
    slot = bank.take(lora("one"), ())
    assert {array.dtype for array in bank.arrays.values()} == {np.dtype(np.float16)}
    assert np.allclose(bank.arrays["lora_down_6"][slot, 0], weights(4)[0], atol=2e-3)


@pytest.mark.parametrize(
    ("name", "matrices", "words"),
    [
        ("conv_in", weights(1), "conv_in, which this pack cannot adapt"),
        ("a.to_q", weights(5), "rank 5 in a.to_q; this pack takes up to 4"),
        ("a.to_k", weights(2), r"a.to_k are \(6, 2\) and \(2, 6\); this pack takes\s+\(4, r\) and \(r, 6\)"),
        ("a.to_q", weights(2, outputs=5), r"\(6, 2\) and \(2, 5\)"),
        ("a.to_q", (weights(2)[0], weights(3)[1]), r"\(6, 2\) and \(3, 6\)"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, matrices: tuple[np.ndarray, np.ndarray], words: str) -> None:
    with pytest.raises(LoraError, match=words):
        arrange_lora("one", {"b.to_q": weights(1), name: matrices}, SIZE)
