"""Renders of mixed styles, steps and guidance, drawn by us together and by diffusers' own pipelines one by one: the
same pictures. The checkpoints are tiny, with the true classes and random weights.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from likeness_engines import BackendOptions, Engines, ModelPack, Outcome, Render, Renderer, load_engines
from likeness_engines.lora_file import read_lora
from likeness_engines.pixels import resize
from tests.engines import checkpoints
from tests.engines.by_diffusers import Pictures, Pixels, Reference, Style, Wish, write_styles

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]
PROMPTS = (
    "Comic portrait: crimson & gold sunburst, bold ink!",
    "sketch portrait, brown ink on cream paper",
    "oil portrait, amber backdrop, warm light, oil portrait, amber backdrop, warm light, " * 3,  # cut
)
NEGATIVES = ("", "blurry, low quality", "two people")
PLAIN = (None, None)
STYLES = 5
FAMILIES = {
    "StableDiffusionImg2ImgPipeline": "sd",
    "StableDiffusionXLImg2ImgPipeline": "sdxl",
    "StableDiffusionInstructPix2PixPipeline": "pix2pix",
}


class Sides(NamedTuple):
    """A checkpoint as a pack and as diffusers' pipeline, with what is drawn."""

    pack: ModelPack
    reference: Reference
    pictures: Pictures
    styles: Sequence[Style]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """So small networks only lose time when threads wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pictures(astronaut: NDArray[np.uint8]) -> Pictures:
    crops = [astronaut[top : top + 200, left : left + 200] for top, left in ((20, 120), (60, 140), (250, 200))]
    return Pictures(list(resize(np.stack(crops), checkpoints.SIDE)), crops)


@pytest.fixture(scope="module")
def sd(tmp_path_factory: pytest.TempPathFactory, pictures: Pictures) -> Sides:
    folder = tmp_path_factory.mktemp("sd")
    checkpoints.sd_checkpoint(folder / "checkpoint")
    return make_sides("StableDiffusionImg2ImgPipeline", folder, pictures, scheduler="ddim")


@pytest.fixture(scope="module")
def sd_with_faces(tmp_path_factory: pytest.TempPathFactory, pictures: Pictures) -> Sides:
    folder = tmp_path_factory.mktemp("sd_with_faces")
    checkpoint = checkpoints.sd_checkpoint(folder / "checkpoint")
    adapter = louder(*checkpoints.ip_adapter(folder, checkpoint / "unet"))
    return make_sides("StableDiffusionImg2ImgPipeline", folder, pictures, adapter)


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory, pictures: Pictures) -> Sides:
    folder = tmp_path_factory.mktemp("sdxl")
    checkpoint = checkpoints.sdxl_checkpoint(folder / "checkpoint")
    adapter = plain_ip_adapter(folder, checkpoint / "unet")
    return make_sides("StableDiffusionXLImg2ImgPipeline", folder, pictures, adapter)


@pytest.fixture(scope="module")
def pix2pix(tmp_path_factory: pytest.TempPathFactory, pictures: Pictures) -> Sides:
    folder = tmp_path_factory.mktemp("pix2pix")
    checkpoints.pix2pix_checkpoint(folder / "checkpoint")
    return make_sides("StableDiffusionInstructPix2PixPipeline", folder, pictures)


def make_sides(
    kind: str, folder: Path, pictures: Pictures, adapter: tuple[Path, Path] | None = None, scheduler: str | None = None
) -> Sides:
    from likeness_engines.importing import ImportRequest, import_checkpoint

    file, image_encoder = adapter or (None, None)
    request: dict[str, Any] = {
        "checkpoint": str(folder / "checkpoint"),
        "family": FAMILIES[kind],
        "out": folder / "pack",
        "ip_adapter": file,
        "image_encoder": image_encoder,
        "ip_adapter_licence": "Apache-2.0",
        "scheduler": scheduler,
        "lora_rank": 8,
        "feed_forward": True,
    }
    pack = import_checkpoint(ImportRequest(**request))
    styles = write_styles(folder, pack.about.lora, STYLES)
    reference = Reference(kind, folder / "checkpoint", pack, pictures, styles)
    if file and image_encoder:
        reference.load_ip_adapter(file, image_encoder)
    return Sides(pack, reference, pictures, styles)


def louder(file: Path, image_encoder: Path) -> tuple[Path, Path]:
    """The adapter with tokens far enough from each other that the picture shows whose they are."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(file)
    tensors["image_proj.norm_out.weight"] *= 16
    save_file(tensors, file)
    return file, image_encoder


def plain_ip_adapter(folder: Path, unet_folder: Path) -> tuple[Path, Path]:
    """The first kind of IP-Adapter, which reads a picture's embedding alone."""
    import torch
    from diffusers import UNet2DConditionModel
    from safetensors.torch import save_file

    unet = UNet2DConditionModel.from_pretrained(unet_folder, low_cpu_mem_usage=False)
    image_encoder = checkpoints.image_encoder(folder / "image_encoder")
    width, tokens = unet.config.cross_attention_dim, checkpoints.FACE_TOKENS
    with checkpoints.seeded(6):
        projection = {
            "proj.weight": torch.randn(tokens * width, 24) / 24**0.5,
            "proj.bias": torch.randn(tokens * width),
            "norm.weight": torch.randn(width),
            "norm.bias": torch.randn(width),
        }
        layers = checkpoints.adapter_layers(unet)
    parts = {"image_proj": projection, "ip_adapter": layers}
    file = folder / "ip-adapter.safetensors"
    save_file({f"{part}.{key}": value for part, values in parts.items() for key, value in values.items()}, file)
    return file, image_encoder


def thirty(**choices: Sequence[Any]) -> list[Wish]:
    """Renders as people mix them: each a random one of all `choices`."""
    dice = random.Random(30)
    return [Wish(seed=seed, **{name: dice.choice(of) for name, of in choices.items()}) for seed in range(30)]


def open_engines(pack: ModelPack, backend: str = "onnxruntime") -> Engines:
    return load_engines(pack, backend, BackendOptions(threads=1))


def submit(engines: Engines, sides: Sides, wishes: Sequence[Wish], max_rows: int | None = None) -> Renderer:
    """A renderer that has the wishes to draw, numbered."""
    renderer = Renderer(engines, max_rows)
    sources = engines.encode_photos(np.stack(sides.pictures.photos))
    faces = [engines.encode_identity(face[None], [1.0]) for face in sides.pictures.faces]
    loras = [read_lora(style.file, engines.pack.about.lora) for style in sides.styles]
    for number, wish in enumerate(wishes):
        renderer.submit(
            Render(
                id=str(number),
                source=sources[wish.photo],
                prompt=wish.prompt,
                negative_prompt=wish.negative_prompt,
                steps=wish.steps,
                guidance=wish.guidance,
                photo_guidance=wish.photo_guidance,
                strength=wish.strength,
                identity=None if wish.face is None else faces[wish.face],
                identity_scale=wish.identity_scale,
                lora=None if wish.style is None else loras[wish.style],
                seed=wish.seed,
            )
        )
    return renderer


def draw(renderer: Renderer) -> list[Pixels]:
    """The pictures, in the order of the wishes."""
    return in_order(list(renderer.run()))


def in_order(outcomes: list[Outcome]) -> list[Pixels]:
    """Their pictures, in the order of the wishes."""
    outcomes.sort(key=lambda outcome: int(outcome.id))
    assert [outcome.error for outcome in outcomes] == [""] * len(outcomes)
    return [outcome.pixels for outcome in outcomes if outcome.pixels is not None]


def largest_difference(one: Pixels, other: Pixels) -> int:
    return int(np.abs(one.astype(int) - other).max())


def check(sides: Sides, wishes: Sequence[Wish], drawn: Sequence[Pixels]) -> None:
    """Every picture is the pipeline's to within 2/255."""
    differences = [
        largest_difference(pixels, sides.reference.draw(wish)) for wish, pixels in zip(wishes, drawn, strict=True)
    ]
    assert max(differences) <= 2, differences


OF_FIVE_STYLES = thirty(
    prompt=PROMPTS,
    negative_prompt=NEGATIVES,
    steps=range(3, 9),
    guidance=(1.0, 5.0),
    strength=(0.4, 0.75, 1.0),
    photo=(0, 1),
    style=(*PLAIN, *range(STYLES)),
)


@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
def test_thirty_of_five_styles_are_what_image_to_image_draws(sd: Sides, backend: str) -> None:
    engines = open_engines(sd.pack, backend)
    check(sd, OF_FIVE_STYLES, draw(submit(engines, sd, OF_FIVE_STYLES)))


def test_two_slots_draw_five_styles(sd: Sides) -> None:
    about = sd.pack.about
    few = msgspec.structs.replace(about, lora=msgspec.structs.replace(about.lora, slots=3))
    engines = open_engines(msgspec.structs.replace(sd.pack, about=few))
    check(sd, OF_FIVE_STYLES, draw(submit(engines, sd, OF_FIVE_STYLES, max_rows=7)))


@pytest.mark.parametrize("change", ["prompt", "negative_prompt", "guidance", "strength", "photo", "style", "seed"])
def test_each_choice_can_be_seen_in_the_picture(sd: Sides, change: str) -> None:
    """Otherwise what is compared above would not tell whether it was heeded."""
    wish = Wish(prompt=PROMPTS[0], guidance=5.0, strength=0.5, style=0)
    others = {"prompt": PROMPTS[1], "negative_prompt": NEGATIVES[1], "guidance": 2.0, "strength": 1.0}
    other = msgspec.structs.replace(wish, **{change: others.get(change, 1)})
    assert largest_difference(sd.reference.draw(wish), sd.reference.draw(other)) > 10


def test_styles_are_what_load_lora_weights_draws(sd: Sides) -> None:
    pytest.importorskip("peft")
    wishes = [Wish(prompt=PROMPTS[0], guidance=5.0, style=style) for style in range(STYLES)]
    drawn = draw(submit(open_engines(sd.pack), sd, wishes))
    for wish, pixels in zip(wishes, drawn, strict=True):
        assert largest_difference(pixels, sd.reference.draw_by_load_lora_weights(wish)) <= 2


def test_faces_are_what_load_ip_adapter_draws(sd_with_faces: Sides) -> None:
    wishes = thirty(
        prompt=PROMPTS,
        negative_prompt=NEGATIVES,
        steps=range(3, 6),
        guidance=(1.0, 5.0),
        strength=(0.4, 0.75, 1.0),
        photo=(0, 1),
        face=(None, 0, 1, 2),
        identity_scale=(0.0, 0.6, 1.0),
        style=(*PLAIN, 0, 1),
    )
    check(sd_with_faces, wishes, draw(submit(open_engines(sd_with_faces.pack), sd_with_faces, wishes)))


def test_a_face_can_be_seen_in_the_picture(sd_with_faces: Sides) -> None:
    wish = Wish(prompt=PROMPTS[0], face=0, identity_scale=1.0)
    drawn = [
        sd_with_faces.reference.draw(msgspec.structs.replace(wish, **change))
        for change in ({}, {"face": 1}, {"identity_scale": 0.0})
    ]
    assert min(largest_difference(drawn[0], other) for other in drawn[1:]) > 10


def test_several_photos_are_pooled_by_quality(sd_with_faces: Sides) -> None:
    engines, faces = open_engines(sd_with_faces.pack), np.stack(sd_with_faces.pictures.faces)
    tokens = [engines.encode_identity(face[None], [0.3]) for face in faces]
    pooled = engines.encode_identity(faces, [0.9, 0.1, 0.5])
    assert pooled is not None
    columns = np.stack([np.ravel(np.asarray(each)) for each in tokens], axis=1)
    weights, *_ = np.linalg.lstsq(columns, pooled.ravel())
    assert np.abs(columns @ weights - pooled.ravel()).max() < 1e-5
    assert weights.sum() == pytest.approx(1, abs=1e-4)
    assert weights[0] > weights[2] > weights[1] > 0.05


def test_thirty_are_what_the_sdxl_pipeline_draws(sdxl: Sides) -> None:
    wishes = thirty(
        prompt=PROMPTS,
        negative_prompt=NEGATIVES,
        steps=range(3, 7),
        guidance=(1.0, 5.0),
        strength=(0.4, 0.75, 1.0),
        photo=(0, 1),
        face=(None, 0, 1),
        identity_scale=(0.0, 0.6),
        style=(*PLAIN, *range(STYLES)),
    )
    check(sdxl, wishes, draw(submit(open_engines(sdxl.pack), sdxl, wishes)))


def test_thirty_are_what_instruct_pix2pix_draws(pix2pix: Sides) -> None:
    wishes = thirty(
        prompt=PROMPTS,
        negative_prompt=NEGATIVES,
        steps=range(3, 6),
        guidance=(3.0, 7.5),
        photo_guidance=(None, 1.5, 2.0),
        photo=(0, 1),
        style=(*PLAIN, *range(STYLES)),
    )
    wishes[::6] = [msgspec.structs.replace(wish, guidance=1.0, photo_guidance=None) for wish in wishes[::6]]
    check(pix2pix, wishes, draw(submit(open_engines(pix2pix.pack), pix2pix, wishes)))


LCM = {"_class_name": "LCMScheduler", **checkpoints.BETAS}
TRAILING = {"_class_name": "EulerDiscreteScheduler", **checkpoints.BETAS, "timestep_spacing": "trailing"}


@pytest.mark.parametrize(("family", "scheduler"), [("sd", LCM), ("sdxl", TRAILING)])
def test_few_steps_without_guidance_cost_a_row_each(
    request: pytest.FixtureRequest, tmp_path: Path, family: str, scheduler: dict[str, Any]
) -> None:
    sides = with_scheduler(request.getfixturevalue(family), scheduler, tmp_path / "pack")
    wishes = thirty(
        prompt=PROMPTS, steps=range(2, 5), strength=(0.5, 1.0), photo=(0, 1), style=(*PLAIN, *range(STYLES))
    )
    renderer, rows, outcomes = submit(open_engines(sides.pack), sides, wishes), 0, []
    while renderer.busy:
        outcomes += renderer.step()
        rows += renderer.rows
    check(sides, wishes, in_order(outcomes))
    assert rows == sum(int(wish.steps * wish.strength) for wish in wishes)


def with_scheduler(sides: Sides, scheduler: dict[str, Any], folder: Path) -> Sides:
    """Both sides with another schedule."""
    shutil.copytree(sides.pack.folder, folder)
    (folder / "scheduler" / "scheduler_config.json").write_bytes(msgspec.json.encode(scheduler))
    pack = msgspec.structs.replace(sides.pack, folder=folder)
    return sides._replace(pack=pack, reference=sides.reference.by(scheduler))
