"""The example pack with a LoRA: the LoRA fits the bundled model, and draws what it promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likeness.photos import crop_face
from likeness_engines import Render, Renderer, bundled_pack, load_engines
from likeness_engines.lora_file import lora_rank
from likeness_plugins import style_from_folder
from miniature.medallion import oval_place
from miniature.vocabulary import parse

PROJECT = Path(__file__).parent.parent.parent / "styles" / "medallion"
STYLE = style_from_folder(PROJECT / "medallion_pack")
LORA = STYLE.recipe("pix2pix").lora


def test_its_looks_are_what_the_lora_was_trained_for() -> None:
    looks = [parse(look.prompt) for look in STYLE.looks]
    assert {look.style for look in looks} == {"sketch"}
    assert {look.kind for look in looks} == {"crosshatch", "hatching", "stipple"}


def test_the_lora_is_small_and_of_the_banks_rank() -> None:
    assert LORA is not None
    assert lora_rank(LORA) == bundled_pack().about.lora.rank
    assert LORA.stat().st_size < 300_000


def test_with_the_lora_the_ground_is_filled_and_the_paper_around_it_is_not(astronaut: NDArray[np.uint8]) -> None:
    assert LORA is not None
    engines = load_engines(bundled_pack())
    [source] = engines.encode_photos(crop_face(astronaut).pixels[None])
    renderer, looks = Renderer(engines), STYLE.looks[:2]
    for look in looks:
        for name, lora in (("with", engines.lora(LORA)), ("without", None)):
            renderer.submit(Render(id=f"{look.name} {name}", source=source, prompt=look.prompt, seed=1, lora=lora))
    drawn = {outcome.id: outcome.pixels for outcome in renderer.run()}
    for look in looks:
        filled = {name: _ground_ink(drawn[f"{look.name} {name}"]) for name in ("with", "without")}
        assert filled["with"] > 0.1, (look.name, filled)
        assert filled["without"] < 0.05, (look.name, filled)


def _ground_ink(pixels: NDArray[np.uint8] | None) -> float:
    """How much darker the oval's ground is than the paper in the corners, 0..1, to the right of the astronaut's cheek,
    where `sketch` draws nothing.
    """
    assert pixels is not None
    light, place = pixels.mean(axis=2) / 255, oval_place()
    ground = light[110:150, 160:][(place[110:150, 160:] > 0.8) & (place[110:150, 160:] < 0.95)]
    return float(light[:, 160:][place[:, 160:] > 1.1].mean() - ground.mean())
