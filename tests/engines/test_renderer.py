"""The step-level renderer: what shares a batch, who goes first, and that renders neither touch nor fail each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likeness_engines import BackendError, Engines, Outcome, Render, Renderer, RenderError, bundled_pack, load_engines
from likeness_engines.backends.fake_engine import FakeBackend, Inputs

PACK = bundled_pack()
RNG = np.random.default_rng(0)
SOURCES = [RNG.standard_normal(PACK.about.latents).astype(np.float32) for _ in range(3)]


def make(max_rows: int = 4, spoil: Any = None) -> tuple[Renderer, FakeBackend]:
    backend = FakeBackend(max_rows, spoil)
    return Renderer(Engines(PACK, backend)), backend


def render(name: str, **changes: Any) -> Render:
    settings: dict[str, Any] = {"source": SOURCES[0], "prompt": "oil portrait", "steps": 3, "seed": 1, **changes}
    return Render(id=name, **settings)


def rows_of(backend: FakeBackend) -> list[int]:
    return [len(call["timestep"]) for call in backend.calls["unet"]]


def by_id(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {outcome.id: outcome for outcome in outcomes}


def test_one_batch_mixes_styles_step_counts_and_photos() -> None:
    renderer, backend = make()
    renderer.submit(render("a", steps=2, prompt="oil portrait"))
    renderer.submit(render("b", steps=5, prompt="neon portrait", source=SOURCES[1]))
    outcomes = by_id(list(renderer.run()))
    assert rows_of(backend) == [2, 2, 1, 1, 1]
    assert len(set(backend.calls["unet"][1]["timestep"])) == 2
    assert outcomes["a"].pixels is not None
    assert outcomes["a"].pixels.shape == (256, 256, 3)
    assert outcomes["a"].pixels.dtype == np.uint8


def test_a_late_arrival_joins_at_the_next_step() -> None:
    renderer, backend = make()
    renderer.submit(render("early"))
    assert renderer.step() == []
    renderer.submit(render("late"))
    ended = [outcome.id for outcome in renderer.run()]
    assert rows_of(backend) == [1, 2, 2, 1]
    assert ended == ["early", "late"]


def test_a_cancelled_render_takes_no_part_in_the_next_step() -> None:
    renderer, backend = make()
    renderer.submit(render("stays"))
    renderer.submit(render("goes"))
    renderer.step()
    renderer.cancel("goes")
    renderer.cancel("was never there")
    assert [outcome.id for outcome in renderer.run()] == ["stays"]
    assert rows_of(backend) == [2, 1, 1]


@pytest.mark.parametrize("max_rows", [1, 3, 4, 7])
def test_the_batch_never_exceeds_its_rows_and_is_kept_full(max_rows: int) -> None:
    renderer, backend = make(max_rows)
    for number in range(7):
        renderer.submit(render(str(number), steps=2))
    assert len(list(renderer.run())) == 7
    assert max(rows_of(backend)) == max_rows
    assert sum(rows_of(backend)) == 14


def test_oldest_first_so_that_pictures_come_early() -> None:
    renderer, _ = make(max_rows=2)
    for number in range(4):
        renderer.submit(render(str(number)))
    assert [outcome.id for outcome in renderer.run()] == ["0", "1", "2", "3"]


def test_groups_take_turns() -> None:
    renderer, _ = make(max_rows=2)
    for name in ("a0", "a1", "a2", "b0", "b1"):
        renderer.submit(render(name, group=name[0]))
    assert [outcome.id for outcome in renderer.run()] == ["a0", "b0", "a1", "b1", "a2"]


def test_lower_priority_value_goes_first() -> None:
    renderer, _ = make(max_rows=1)
    renderer.submit(render("lite", priority=900))
    renderer.submit(render("plus", priority=0))
    assert [outcome.id for outcome in renderer.run()] == ["plus", "lite"]


def test_guidance_costs_rows() -> None:
    renderer, backend = make(max_rows=6)
    renderer.submit(render("none", steps=1))
    renderer.submit(render("text", steps=1, guidance=4.0))
    renderer.submit(render("both", steps=1, guidance=4.0, photo_guidance=1.5))
    list(renderer.run())
    assert rows_of(backend) == [6]


def test_guidance_is_the_weighted_sum_of_its_rows() -> None:
    """With a network that only reads words, guidance g is empty + g * (words - empty)."""
    seen: dict[str, np.ndarray] = {}

    def words_only(inputs: Inputs, prediction: np.ndarray) -> np.ndarray:
        means = inputs["encoder_hidden_states"].mean(axis=(1, 2)).reshape(-1, 1, 1, 1)
        seen["means"] = means
        return np.broadcast_to(means, prediction.shape).astype(np.float32)

    renderer, _ = make(spoil=words_only)
    engines = renderer._engines
    start = np.random.Generator(np.random.PCG64(1)).standard_normal(PACK.about.latents, np.float32)
    _, _, _, a, b, _, _ = engines.schedule(1).table[0]
    finals: list[np.ndarray] = []
    decode = engines.decode
    engines.decode = lambda latents: (finals.append(latents), decode(latents))[1]  # type: ignore[method-assign]
    renderer.submit(render("g", steps=1, guidance=3.0))
    list(renderer.run())
    words, empty = seen["means"].ravel()
    expected = a * start + b * (empty + 3.0 * (words - empty))
    assert np.allclose(finals[0][0], expected, atol=1e-5)


def test_not_a_number_fails_alone() -> None:
    def spoil(inputs: Inputs, prediction: np.ndarray) -> np.ndarray:
        prediction[inputs["lora_slot"] == 5] = np.nan
        return prediction

    renderer, _ = make(spoil=spoil)
    renderer.submit(render("good"))
    renderer.submit(render("bad", lora_slot=5))
    outcomes = by_id(list(renderer.run()))
    assert outcomes["bad"].pixels is None
    assert "not a number" in outcomes["bad"].error
    assert outcomes["good"].pixels is not None


def test_a_render_that_breaks_the_engine_fails_alone() -> None:
    def spoil(inputs: Inputs, prediction: np.ndarray) -> np.ndarray:
        if 5 in inputs["lora_slot"]:
            raise BackendError("out of memory")
        return prediction

    renderer, _ = make(spoil=spoil)
    alone, _ = make()
    for name, slot in (("a", 0), ("bad", 5), ("c", 0)):
        renderer.submit(render(name, lora_slot=slot))
    alone.submit(render("a"))
    outcomes = by_id(list(renderer.run()))
    assert outcomes["bad"].error == "out of memory"
    expected = next(alone.run()).pixels
    assert expected is not None
    for name in ("a", "c"):
        pixels = outcomes[name].pixels
        assert pixels is not None
        assert np.array_equal(pixels, expected)


def test_a_source_of_the_wrong_shape_fails_alone() -> None:
    renderer, _ = make()
    renderer.submit(render("bad", source=np.zeros((1, 2, 3), np.float32)))
    renderer.submit(render("good"))
    outcomes = by_id(list(renderer.run()))
    assert "(1, 2, 3)" in outcomes["bad"].error
    assert outcomes["good"].pixels is not None


def test_impossible_steps_and_slots_fail_alone() -> None:
    renderer, _ = make()
    renderer.submit(render("steps", steps=5000))
    renderer.submit(render("slot", lora_slot=8))
    outcomes = by_id(list(renderer.run()))
    assert "5000 steps" in outcomes["steps"].error
    assert "slot 8" in outcomes["slot"].error


def test_an_id_cannot_be_under_way_twice() -> None:
    renderer, _ = make()
    renderer.submit(render("a"))
    with pytest.raises(RenderError, match="own id"):
        renderer.submit(render("a"))


def test_what_shares_the_batch_does_not_change_the_picture() -> None:
    """On the real backend and pack: alone or among renders of other styles, step counts and guidance."""
    engines = load_engines(PACK, threads=1)
    mixed = Renderer(engines, max_rows=3)
    prompts = [
        "comic portrait, blue and sky sunburst, fine ink",
        "neon portrait, teal and lime glow, sun",
        "oil portrait",
    ]
    renders = [
        render(str(n), prompt=prompt, steps=2 + n, seed=n, source=SOURCES[n], guidance=2.0 if n == 1 else None)
        for n, prompt in enumerate(prompts)
    ]
    for each in renders:
        mixed.submit(each)
    together = by_id(list(mixed.run()))
    for each in renders:
        alone = Renderer(engines)
        alone.submit(each)
        expected, pixels = next(alone.run()).pixels, together[each.id].pixels
        assert expected is not None
        assert pixels is not None
        assert np.abs(expected.astype(int) - pixels).max() <= 2


def test_the_same_seed_draws_the_same_and_another_seed_another() -> None:
    renderer, _ = make()
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        renderer.submit(render(name, seed=seed))
    pixels = {outcome.id: outcome.pixels for outcome in renderer.run()}
    assert np.array_equal(pixels["a"], pixels["b"])  # type: ignore[arg-type]
    assert not np.array_equal(pixels["a"], pixels["c"])  # type: ignore[arg-type]
