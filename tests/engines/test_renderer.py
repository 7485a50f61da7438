"""The step-level renderer: what shares a batch, who goes first, and that renders neither touch nor fail each other."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from likeness_engines import (
    BackendError,
    BackendOptions,
    DeviceFullError,
    Engines,
    Lora,
    ModelPack,
    Outcome,
    Render,
    Renderer,
    RenderError,
    bundled_pack,
    load_engines,
)
from likeness_engines.backends.base import HostArrays
from likeness_engines.backends.fake_engine import FakeBackend, Inputs
from likeness_engines.pack import Identity

PACK = bundled_pack()
RNG = np.random.default_rng(0)
SOURCES = [RNG.standard_normal(PACK.about.latents).astype(np.float32) for _ in range(3)]
# A source by which a backend that plays failures knows its row.
MARKED = np.full(PACK.about.latents, 9.0, np.float32)


def marked(inputs: Inputs) -> np.ndarray:
    """Which rows belong to a marked render."""
    return (inputs["sample"][:, PACK.about.latents[0] :] == 9.0).all(axis=(1, 2, 3))


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
        prediction[marked(inputs) & (inputs["timestep"] < 500)] = np.nan
        return prediction

    renderer, _ = make(spoil=spoil)
    alone, _ = make()
    renderer.submit(render("good", guidance=3.0))
    renderer.submit(render("bad", source=MARKED, steps=4))
    alone.submit(render("good", guidance=3.0))
    outcomes = by_id(list(renderer.run()))
    assert outcomes["bad"].pixels is None
    assert outcomes["bad"].error == "Render bad became not a number at step 3."
    assert np.array_equal(outcomes["good"].pixels, next(alone.run()).pixels)  # type: ignore[arg-type]


def test_a_render_that_breaks_the_engine_fails_alone() -> None:
    def spoil(inputs: Inputs, prediction: np.ndarray) -> np.ndarray:
        if marked(inputs).any():
            raise BackendError("broken")
        return prediction

    renderer, _ = make(spoil=spoil)
    alone, _ = make()
    for name, source in (("a", SOURCES[0]), ("bad", MARKED), ("c", SOURCES[0])):
        renderer.submit(render(name, source=source))
    alone.submit(render("a"))
    outcomes = by_id(list(renderer.run()))
    assert outcomes["bad"].error == "broken"
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


def test_impossible_steps_and_foreign_loras_fail_alone() -> None:
    renderer, _ = make()
    renderer.submit(render("steps", steps=5000))
    renderer.submit(render("lora", lora=Lora("foreign", {"lora_down_4": np.zeros((1, 4, 2), np.float32)})))
    outcomes = by_id(list(renderer.run()))
    assert "5000 steps" in outcomes["steps"].error
    assert "another pack" in outcomes["lora"].error


def some_lora(key: str, value: float) -> Lora:
    shapes = PACK.about.lora.shapes()
    return Lora(key, {name: np.full(shape[1:], value, np.float32) for name, shape in shapes.items()})


def test_more_loras_than_slots_wait_for_their_turn_and_come_out_as_alone() -> None:
    """Seven slots besides none, and twelve LoRAs: nobody blocks, and no render reads another's LoRA."""
    renderer, backend = make(max_rows=10)
    loras = [some_lora(str(n), n / 1e5) for n in range(1, 13)]
    for n, lora in enumerate(loras):
        renderer.submit(render(str(n), lora=lora, steps=2 + n % 3))
    renderer.submit(render("none"))
    together = by_id(list(renderer.run()))
    assert max(rows_of(backend)) == 8
    assert len({outcome.pixels.tobytes() for outcome in together.values() if outcome.pixels is not None}) > 1
    for n, lora in enumerate(loras):
        alone, _ = make()
        alone.submit(render(str(n), lora=lora, steps=2 + n % 3))
        assert np.array_equal(together[str(n)].pixels, next(alone.run()).pixels)  # type: ignore[arg-type]


def test_a_full_device_gets_smaller_batches_and_the_server_stays_up() -> None:
    def spoil(inputs: Inputs, prediction: np.ndarray) -> np.ndarray:
        if len(inputs["timestep"]) > 2:
            raise DeviceFullError("The GPU has no memory left.")
        return prediction

    renderer, backend = make(max_rows=8, spoil=spoil)
    for n in range(8):
        renderer.submit(render(str(n), steps=2))
    renderer.submit(render("large", steps=1, guidance=4.0, photo_guidance=1.5))
    outcomes = by_id(list(renderer.run()))
    assert rows_of(backend)[:3] == [8, 4, 2]
    assert outcomes["large"].error == "The GPU has no memory left."
    assert all(outcomes[str(n)].pixels is not None for n in range(8))


class SlowArrays(HostArrays):
    """Pictures that are ready only when somebody waits for them, as on a device."""

    def __init__(self) -> None:
        self.waited: list[bool] = []

    def aside(self, work: Any) -> Any:
        arrays, value = self, work()

        class Slow:
            def ready(self) -> bool:
                return False

            def result(self) -> np.ndarray:
                arrays.waited.append(True)
                return value

        return Slow()


def test_decoding_holds_up_no_step() -> None:
    backend = FakeBackend(4)
    arrays = SlowArrays()
    backend.arrays = arrays
    renderer = Renderer(Engines(PACK, backend))
    renderer.submit(render("short", steps=1))
    renderer.submit(render("long", steps=3))
    assert renderer.step() == []
    assert renderer.step() == []
    assert not arrays.waited
    assert sorted(outcome.id for outcome in renderer.run()) == ["long", "short"]


SD = ModelPack(PACK.folder, msgspec.structs.replace(PACK.about, family="sd", default_strength=0.5))


def test_image_to_image_starts_from_the_photo_and_leaves_out_the_first_steps() -> None:
    backend = FakeBackend(4)
    engines = Engines(SD, backend)
    renderer = Renderer(engines)
    renderer.submit(render("half", steps=8))
    renderer.submit(render("whole", steps=8, strength=1.0))
    first = (renderer.step(), backend.calls["unet"][0])[1]
    list(renderer.run())
    assert rows_of(backend) == [2] * 4 + [1] * 4
    schedule = engines.schedule(8, 0.5)
    noise = np.random.Generator(np.random.PCG64(1)).standard_normal(PACK.about.latents, np.float32)
    assert np.allclose(first["sample"][0], SOURCES[0] * schedule.signal + noise * schedule.sigma, atol=1e-6)
    assert first["timestep"][0] == schedule.table[0][0] < first["timestep"][1]


def test_an_identity_goes_to_its_rows_and_nobody_to_those_it_is_steered_away_from() -> None:
    identity = Identity(
        tokens=2, width=8, layers=3, side=4, mean=(0.5,) * 3, std=(0.5,) * 3, encoder="test", licence="MIT", scale=0.6
    )
    backend = FakeBackend(8)
    engines = Engines(ModelPack(PACK.folder, msgspec.structs.replace(SD.about, identity=identity)), backend)
    crops = np.stack([np.full((8, 8, 3), level, np.uint8) for level in (0, 255)])
    person = engines.encode_identity(crops, [0.0, 0.75])
    assert person is not None
    assert np.allclose(person, (0.25 * -1 + 1.0 * 1) / 1.25)  # weighed by 0.25 + quality; black is -1, white 1
    renderer = Renderer(engines)
    renderer.submit(render("someone", steps=1, guidance=3.0, identity=person))
    renderer.submit(render("scaled", steps=1, identity=person, identity_scale=0.2))
    renderer.submit(render("no one", steps=1))
    list(renderer.run())
    [call] = backend.calls["unet"]
    assert np.allclose(call["identity_scale"][:, 0], [0.6, 0.6, 0.2, 0.0])
    assert np.allclose(call["identity_tokens"][:, 0, 0], [person[0, 0], 0, person[0, 0], 0])


def test_an_id_cannot_be_under_way_twice() -> None:
    renderer, _ = make()
    renderer.submit(render("a"))
    with pytest.raises(RenderError, match="own id"):
        renderer.submit(render("a"))


def test_what_shares_the_batch_does_not_change_the_picture() -> None:
    """On the real backend and pack: alone or among renders of other styles, step counts and guidance."""
    engines = load_engines(PACK, options=BackendOptions(threads=1))
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
