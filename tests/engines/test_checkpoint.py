"""Opening checkpoints of every kind, and one clear sentence for what cannot become a pack. Nothing is exported here."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from likeness_engines import ExportError, open_pack
from likeness_engines.importing import ImportRequest, import_checkpoint
from likeness_engines.importing.request import check_request
from likeness_engines.importing.schedulers import check_settings, choose_scheduler, default_settings
from likeness_engines.importing.weight_files import read_header, stated_licence
from tests.engines import checkpoints
from tests.engines.single_files import write_single_file

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]
FAMILIES = ("sd", "sdxl", "pix2pix")
UNET, VAE = "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"


class Stop(BaseException):
    """The weights are written, and a graph would come next."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of each family, and an IP-Adapter for the first."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for family in FAMILIES:
        getattr(checkpoints, f"{family}_checkpoint")(folder / family)
    checkpoints.ip_adapter(folder / "adapter", folder / "sd" / "unet")
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy to damage."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(made / name, tmp_path / name))

    return copy


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """So small networks only lose time when threads wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def asked(checkpoint: Path | str, out: Path, family: Any = "sd", **options: Any) -> ImportRequest:
    return ImportRequest(checkpoint=str(checkpoint), family=family, out=out, **options)


def refusal(request: ImportRequest) -> str:
    """Why an import is refused; it leaves nothing behind."""
    with pytest.raises(ExportError) as caught:
        import_checkpoint(request)
    assert not request.out.exists()
    assert not request.out.with_name(f"{request.out.name}.partial").exists()
    return str(caught.value)


def laid_out(request: ImportRequest) -> tuple[Path, list[str]]:
    """The folder of an import that is stopped when its weights are written, and what was said until then."""
    said: list[str] = []

    def report(message: str) -> None:
        said.append(message)
        if message.endswith(": exporting"):
            raise Stop

    with pytest.raises(Stop):
        import_checkpoint(request, report)
    return request.out.with_name(f"{request.out.name}.partial") / "pack", said


def edit(path: Path, **options: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | options))


def change_tensor(path: Path, key: str, value: float | None) -> None:
    """Fill one value of a tensor, or take the tensor out."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    if value is None:
        del tensors[key]
    else:
        tensors[key].view(-1)[0] = value
    save_file(tensors, path, {"format": "pt"})


# --- what is read


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_a_single_file_has_the_folders_weights(made: Path, tmp_path: Path, family: Any) -> None:
    import torch

    from likeness_engines.importing.checkpoint import open_checkpoint

    file = write_single_file(made / family, tmp_path / "one.safetensors")
    whole, single = open_checkpoint(str(made / family), family, None), open_checkpoint(str(file), family, made / family)
    assert single.parts() == whole.parts()
    for part in whole.parts():
        expected, found = whole.load(part).state_dict(), single.load(part).state_dict()
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_a_single_files_licence_is_in_its_metadata(made: Path, tmp_path: Path) -> None:
    file = write_single_file(made / "sd", tmp_path / "My Model_v1.safetensors", {"modelspec.license": "CC0-1.0"})
    folder, _ = laid_out(asked(file, tmp_path / "out", config=made / "sd"))
    about = open_pack(folder).about
    assert (about.name, about.licence, about.licences) == ("my-model-v1", "CC0-1.0", {"checkpoint": "CC0-1.0"})


def test_weights_in_several_files_or_in_half_precision_alone(made: Path, tmp_path: Path) -> None:
    import torch
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    from likeness_engines.importing.checkpoint import open_checkpoint

    shutil.copytree(made / "sd", tmp_path / "sd", ignore=shutil.ignore_patterns("*.safetensors"))
    unet = UNet2DConditionModel.from_pretrained(made / "sd" / "unet", low_cpu_mem_usage=False)
    unet.save_pretrained(tmp_path / "sd" / "unet", max_shard_size="4MB")
    words = CLIPTextModel.from_pretrained(made / "sd" / "text_encoder").half()
    words.save_pretrained(tmp_path / "sd" / "text_encoder", variant="fp16")
    assert len(list((tmp_path / "sd" / "unet").glob("*.safetensors"))) > 1
    opened = open_checkpoint(str(tmp_path / "sd"), "sd", None)
    found = opened.load("unet").state_dict()
    assert all(torch.equal(found[key], value) for key, value in unet.state_dict().items())
    assert next(opened.load("text_encoder").parameters()).dtype == torch.float32


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A hub's cache of our own, and no network."""
    from huggingface_hub import constants
    from huggingface_hub.utils import reset_sessions

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    reset_sessions()
    yield tmp_path / "hub"
    reset_sessions()


def test_a_hub_id_from_the_cache(made: Path, tmp_path: Path, offline: Path) -> None:
    place = offline / "models--tiny--Portraits"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0" * 40)
    shutil.copytree(made / "sd", place / "snapshots" / ("0" * 40))
    folder, _ = laid_out(asked("tiny/Portraits", tmp_path / "out"))
    about = open_pack(folder).about
    assert (about.name, about.author, about.licence) == ("portraits", "tiny", checkpoints.LICENCE)


def test_a_hub_id_that_cannot_be_had(tmp_path: Path, offline: Path) -> None:
    said = refusal(asked("tiny/nothing", tmp_path / "out"))
    assert "no folder tiny/nothing here" in said
    assert "the hub cannot be reached" in said


def test_a_single_file_without_configurations(made: Path, tmp_path: Path, offline: Path) -> None:
    file = write_single_file(made / "sd", tmp_path / "one.safetensors")
    assert "with --config" in refusal(asked(file, tmp_path / "out"))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_pack_says(made: Path, tmp_path: Path, family: Any) -> None:
    about = open_pack(laid_out(asked(made / family, tmp_path / "out", family))[0]).about
    assert (about.resolution, about.latents, about.pixel_fold, about.prompt_length) == (64, (4, 16, 16), 1, 77)
    assert about.latent_scale == {"sd": 0.18215, "sdxl": 0.13025, "pix2pix": 0.18215}[family]
    assert about.source_scale == 1.0
    assert about.zero_empty_prompt == (family == "sdxl")
    assert (about.default_steps, about.default_guidance, about.default_strength) == {
        "sd": (20, 7.0, 0.75),
        "sdxl": (20, 5.0, 0.75),
        "pix2pix": (20, 7.5, 1.0),
    }[family]
    assert (about.lora.slots, about.lora.rank) == (8, 16)
    assert about.licence == checkpoints.LICENCE


def test_options_have_the_last_word(made: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"name": "mine", "title": "Mine", "author": "Me", "version": "2", "licence": "MIT"}
    numbers: dict[str, Any] = {"steps": 5, "guidance": 2.5, "strength": 0.5, "lora_slots": 3, "lora_rank": 4}
    request = asked(made / "sd", tmp_path / "out", **options, **numbers, scheduler="euler", feed_forward=True)
    pack = open_pack(laid_out(request)[0])
    about = pack.about
    assert [getattr(about, name) for name in options] == list(options.values())
    assert (about.default_steps, about.default_guidance, about.default_strength) == (5, 2.5, 0.5)
    assert (about.lora.slots, about.lora.rank) == (3, 4)
    assert any(".ff.net." in layer.name for layer in about.lora.layers)
    assert pack.scheduler_config()["_class_name"] == "EulerDiscreteScheduler"


def test_a_face_encoder_and_its_licences(made: Path, tmp_path: Path) -> None:
    face = {"ip_adapter": made / "adapter" / "ip-adapter-plus-face.safetensors"}
    request = asked(made / "sd", tmp_path / "out", **face, image_encoder=made / "adapter" / "image_encoder")
    about = open_pack(laid_out(request)[0]).about
    identity = about.identity
    assert identity is not None
    assert (identity.tokens, identity.width, identity.side) == (4, checkpoints.WORDS, checkpoints.FACE_SIDE)
    assert identity.layers == 10
    assert identity.licence == "mit"
    assert about.licences == {
        "checkpoint": checkpoints.LICENCE,
        "ip_adapter": "not stated",
        "image_encoder": "mit",
    }


def test_tokenizers_pad_as_the_checkpoints_do(made: Path, tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    from likeness_engines.text import Prompts

    folder, _ = laid_out(asked(made / "sdxl", tmp_path / "out", "sdxl"))
    for name in ("tokenizer", "tokenizer_2"):
        slow = CLIPTokenizer.from_pretrained(made / "sdxl" / name)
        prompts = ["Oil portrait, GOLD backdrop!", "", "neon glow, " * 60]
        expected = slow(prompts, padding="max_length", truncation=True, return_tensors="np").input_ids
        assert (Prompts(folder / name, checkpoints.LENGTH).tokens(prompts) == expected).all()


# --- precision


def test_the_sdxl_vae_is_kept_whole(made: Path, tmp_path: Path) -> None:
    folder, said = laid_out(asked(made / "sdxl", tmp_path / "out", "sdxl"))
    assert open_pack(folder).about.exact == ("vae_encoder", "vae_decoder")
    assert {entry.dtype for entry in read_header(folder / VAE).tensors.values()} == {"F32"}
    assert {entry.dtype for entry in read_header(folder / UNET).tensors.values()} == {"F16"}
    assert any("vae: kept in float32" in line for line in said)


def test_the_fixed_sdxl_vae_and_others_are_not(copied: Callable[[str], Path], tmp_path: Path) -> None:
    edit(copied("sdxl") / "vae" / "config.json", force_upcast=False)
    folder, _ = laid_out(asked(tmp_path / "sdxl", tmp_path / "out", "sdxl"))
    assert open_pack(folder).about.exact == ()
    assert {entry.dtype for entry in read_header(folder / VAE).tensors.values()} == {"F16"}


def test_weights_beyond_half_precision_are_kept_whole(copied: Callable[[str], Path], tmp_path: Path) -> None:
    change_tensor(copied("sd") / UNET, "conv_in.bias", 70_000.0)
    folder, said = laid_out(asked(tmp_path / "sd", tmp_path / "out"))
    assert open_pack(folder).about.exact == ("unet",)
    assert any("conv_in.bias" in line for line in said)


def test_weights_that_are_no_numbers_are_refused(copied: Callable[[str], Path], tmp_path: Path) -> None:
    change_tensor(copied("sd") / UNET, "conv_in.bias", float("nan"))
    assert "NaN or infinite weights in conv_in.bias" in refusal(asked(tmp_path / "sd", tmp_path / "out"))


# --- schedules

PNDM = {"_class_name": "PNDMScheduler", **checkpoints.BETAS, "steps_offset": 1, "skip_prk_steps": True}


def test_pndm_becomes_dpm_over_the_same_noise(made: Path, tmp_path: Path) -> None:
    folder, said = laid_out(asked(made / "sd", tmp_path / "out"))
    config = open_pack(folder).scheduler_config()
    assert config["_class_name"] == "DPMSolverMultistepScheduler"
    assert {name: config[name] for name in checkpoints.BETAS} == checkpoints.BETAS
    assert any("DPMSolverMultistepScheduler over the noise levels of PNDMScheduler" in line for line in said)


@pytest.mark.parametrize("name", ["ddim", "euler", "euler-ancestral", "dpm++2m", "lcm"])
def test_every_scheduler_that_can_be_asked_for_has_a_table(name: str) -> None:
    """Whatever the checkpoint's own was told to do besides."""
    config = choose_scheduler(PNDM | {"use_karras_sigmas": True, "thresholding": True}, name)
    check_settings(config, default_settings("sd", config))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"_class_name": "UniPCMultistepScheduler"}, "UniPCMultistepScheduler has no table"),
        ({"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": True}, "use_karras_sigmas"),
        ({"_class_name": "DDIMScheduler", "clip_sample": True}, "clip_sample"),
    ],
)
def test_schedules_without_a_table(
    made: Path, copied: Callable[[str], Path], tmp_path: Path, config: Any, reason: str
) -> None:
    path = copied("sd") / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(config))
    said = refusal(asked(tmp_path / "sd", tmp_path / "out"))
    assert reason in said
    assert "--scheduler" in said


@pytest.mark.parametrize(
    ("config", "steps"),
    [
        ({"_class_name": "LCMScheduler"}, 4),
        ({"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}, 4),
        ({"_class_name": "DDIMScheduler", "timestep_spacing": "trailing", "rescale_betas_zero_snr": True}, 20),
    ],
)
def test_few_step_checkpoints_draw_in_few_steps_without_guidance(config: Any, steps: int) -> None:
    defaults = default_settings("sd", choose_scheduler(config, None))
    assert (defaults.steps, defaults.guidance) == (steps, 7.0 if steps == 20 else 1.0)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"scheduler": "heun"}, "no scheduler 'heun'"),
        ({"steps": 0}, "0 steps"),
        ({"strength": 1.5}, "strength is 1.5"),
        ({"guidance": 0.0}, "guidance is 0.0"),
        ({"lora_slots": 0}, "LoRA bank"),
        ({"ip_adapter": Path("x")}, "--image-encoder"),
        ({"config": Path("x")}, "Leave --config out"),
    ],
)
def test_options_that_cannot_be(made: Path, tmp_path: Path, options: Any, reason: str) -> None:
    assert reason in refusal(asked(made / "sd", tmp_path / "out", **options))


# --- other families, and what the contract lacks


@pytest.mark.parametrize(
    ("checkpoint", "family", "looks"),
    [
        ("sd", "sdxl", "looks like sd, not like sdxl"),
        ("sd", "pix2pix", "looks like sd"),
        ("sdxl", "sd", "looks like sdxl, not like sd: its UNet reads 4 channels"),
        ("pix2pix", "sd", "reads 8 channels and draws 4"),
    ],
)
def test_another_family_is_named(made: Path, tmp_path: Path, checkpoint: str, family: str, looks: str) -> None:
    said = refusal(asked(made / checkpoint, tmp_path / "out", family))
    assert looks in said
    assert f"--family {checkpoint}" in said


@pytest.mark.parametrize(
    ("checkpoint", "options", "looks"),
    [
        ("sd", {"in_channels": 9}, "an inpainting checkpoint"),
        ("sdxl", {"in_channels": 8}, "an SDXL checkpoint for InstructPix2Pix"),
        ("sd", {"in_channels": 7}, "a checkpoint for another task"),
    ],
)
def test_families_that_are_not_read(
    copied: Callable[[str], Path], tmp_path: Path, checkpoint: str, options: Any, looks: str
) -> None:
    edit(copied(checkpoint) / "unet" / "config.json", **options)
    said = refusal(asked(tmp_path / checkpoint, tmp_path / "out", checkpoint))
    assert looks in said
    assert "Only sd, sdxl and pix2pix" in said


def test_a_single_file_of_another_family(made: Path, tmp_path: Path) -> None:
    file = write_single_file(made / "sdxl", tmp_path / "one.safetensors")
    assert "looks like sdxl" in refusal(asked(file, tmp_path / "out", "sd", config=made / "sd"))


def test_sdxl_without_its_first_text_encoder(copied: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.rmtree(copied("sdxl") / "text_encoder")
    assert "the SDXL refiner" in refusal(asked(tmp_path / "sdxl", tmp_path / "out", "sdxl"))


@pytest.mark.parametrize(
    ("part", "options"),
    [
        ("unet", {"time_cond_proj_dim": 8}),
        ("unet", {"class_embed_type": "timestep"}),
        ("unet", {"encoder_hid_dim": 32}),
        ("vae", {"shift_factor": 0.1}),
        ("vae", {"latents_mean": [0.0] * 4}),
    ],
)
def test_what_the_contract_lacks_is_named(
    copied: Callable[[str], Path], tmp_path: Path, part: str, options: dict[str, Any]
) -> None:
    edit(copied("sd") / part / "config.json", **options)
    assert f"The {part} of sd has {next(iter(options))} =" in refusal(asked(tmp_path / "sd", tmp_path / "out"))


@pytest.mark.parametrize(
    ("part", "options", "reason"),
    [
        ("vae", {"_class_name": "AutoencoderTiny"}, "AutoencoderTiny"),
        ("vae", {"latent_channels": 8}, "its VAE decodes 8"),
        ("text_encoder", {"hidden_size": 16}, "its text encoders make them 16 wide"),
        ("unet", {"sample_size": [16, 24]}, "square"),
        ("text_encoder", {"num_hidden_layers": 4}, "text_encoder lacks"),
    ],
)
def test_parts_that_do_not_belong_together(
    copied: Callable[[str], Path], tmp_path: Path, part: str, options: Any, reason: str
) -> None:
    edit(copied("sd") / part / "config.json", **options)
    assert reason in refusal(asked(tmp_path / "sd", tmp_path / "out"))


# --- files


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1000)


def pickle_instead(path: Path) -> None:
    path.write_bytes(b"\x80\x04\x95" + bytes(100))


def zipped_pickle_instead(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + bytes(100))


def pickle_alone(path: Path) -> None:
    path.unlink()
    path.with_name("diffusion_pytorch_model.bin").write_bytes(b"\x80\x04\x95")


def header_damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[9:12] = b"\xff\xff\xff"
    path.write_bytes(content)


def tensor_gone(path: Path) -> None:
    change_tensor(path, "conv_in.bias", None)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (Path.unlink, "is missing"),
        (cut, "where its header says"),
        (lambda path: path.write_bytes(b""), "not a safetensors file, or is cut short"),
        (header_damaged, "its header cannot be read"),
        (pickle_instead, "is a pickle, which can run code"),
        (zipped_pickle_instead, "is a pickle, which can run code"),
        (pickle_alone, "as a pickle alone (diffusion_pytorch_model.bin)"),
        (tensor_gone, "lacks 1 tensors, the first is conv_in.bias"),
    ],
)
def test_weights_that_cannot_be_used(
    copied: Callable[[str], Path], tmp_path: Path, damage: Callable[[Path], Any], reason: str
) -> None:
    damage(copied("sd") / UNET)
    said = refusal(asked(tmp_path / "sd", tmp_path / "out"))
    assert reason in said
    assert str(tmp_path / "sd" / "unet") in said


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("vae", "config.json is missing"),
        ("text_encoder/config.json", "config.json is missing"),
        ("tokenizer", "neither tokenizer.json nor vocab.json"),
        ("scheduler", "scheduler_config.json is missing"),
        ("unet", "it lacks unet"),
        ("README.md", "--licence"),
    ],
)
def test_what_is_missing_is_named(copied: Callable[[str], Path], tmp_path: Path, missing: str, reason: str) -> None:
    path = copied("sd") / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert reason in refusal(asked(tmp_path / "sd", tmp_path / "out"))


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.safetensors"])
def test_single_files_that_are_no_checkpoints(tmp_path: Path, name: str) -> None:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / name
    save_file({"lora_unet_down.weight": torch.zeros(1)}, path)
    reason = "no Stable Diffusion checkpoint" if name.endswith("safetensors") else "is a pickle"
    assert reason in refusal(asked(path, tmp_path / "out", config=tmp_path))


def test_a_path_that_is_nowhere(tmp_path: Path) -> None:
    assert "There is no checkpoint" in refusal(asked(tmp_path / "nowhere", tmp_path / "out"))


def test_a_licence_as_the_hub_writes_it(tmp_path: Path) -> None:
    assert stated_licence(tmp_path) is None
    (tmp_path / "README.md").write_text(
        "---\ntags:\n- x\nlicense: other\nlicense_name: 'fair-ai'\n---\nlicense: none\n"
    )
    (tmp_path / "models").mkdir()
    assert stated_licence(tmp_path / "models", parents=1) == "fair-ai"
    assert stated_licence(tmp_path / "models") is None


# --- faces


@pytest.mark.parametrize(("kind", "tokens"), [("plain", 4), ("plus", 4), ("full", 17)])
def test_every_kind_of_ip_adapter(made: Path, tmp_path: Path, kind: str, tokens: int) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    from likeness_engines.torch_networks import open_network

    wide, width = checkpoints.FACE_WIDTH, checkpoints.WORDS
    shapes = {
        "plain": {
            "proj.weight": (4 * width, 24),
            "proj.bias": (4 * width,),
            "norm.weight": (width,),
            "norm.bias": (width,),
        },
        "full": {
            **{f"proj.{layer}.bias": (size,) for layer, size in ((0, wide), (2, width), (3, width))},
            "proj.0.weight": (wide, wide),
            "proj.2.weight": (width, wide),
            "proj.3.weight": (width,),
        },
    }
    tensors = load_file(made / "adapter" / "ip-adapter-plus-face.safetensors")
    if kind != "plus":
        tensors = {key: value for key, value in tensors.items() if key.startswith("ip_adapter.")}
        tensors |= {f"image_proj.{key}": torch.randn(shape) for key, shape in shapes[kind].items()}
    file = tmp_path / f"{kind}.safetensors"
    save_file(tensors, file)
    request = asked(made / "sd", tmp_path / "out", ip_adapter=file, image_encoder=made / "adapter" / "image_encoder")
    pack = open_pack(laid_out(request)[0])
    assert pack.about.identity is not None
    assert pack.about.identity.tokens == tokens
    faces = open_network(pack, "face_encoder")
    with torch.no_grad():
        assert faces(*faces.example(2).values()).shape == (2, tokens, width)


def test_adapters_for_faceid_are_refused_with_the_reason(made: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    kinds = {"plus": ["perceiver_resampler.proj_in.weight"], "plain": ["norm.weight", "proj.0.weight"]}
    for name, keys in kinds.items():
        file = tmp_path / f"{name}.safetensors"
        save_file({**{f"image_proj.{key}": torch.zeros(1) for key in keys}, "ip_adapter.1.x": torch.zeros(1)}, file)
        encoder = made / "adapter" / "image_encoder"
        said = refusal(asked(made / "sd", tmp_path / "out", ip_adapter=file, image_encoder=encoder))
        assert "FaceID" in said
        assert "research" in said


def test_adapters_that_do_not_fit(made: Path, copied: Callable[[str], Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    face = {"ip_adapter": copied("adapter") / "ip-adapter-plus-face.safetensors"}
    face["image_encoder"] = tmp_path / "adapter" / "image_encoder"
    assert "not made for this UNet" in refusal(asked(made / "sdxl", tmp_path / "out", "sdxl", **face))
    assert "takes no IP-Adapter" in refusal(asked(made / "pix2pix", tmp_path / "out", "pix2pix", **face))

    tensors = load_file(face["ip_adapter"])
    tensors["image_proj.proj_in.weight"] = tensors["image_proj.proj_in.weight"][:, :16].contiguous()
    save_file(tensors, tmp_path / "other.safetensors")
    other = face | {"ip_adapter": tmp_path / "other.safetensors"}
    assert "Use the image encoder that the adapter" in refusal(asked(made / "sd", tmp_path / "out", **other))

    shutil.copy(face["ip_adapter"], tmp_path / "adapter.bin")
    pickled = face | {"ip_adapter": tmp_path / "adapter.bin"}
    assert "is a pickle" in refusal(asked(made / "sd", tmp_path / "out", **pickled))

    (face["image_encoder"] / "README.md").unlink()
    assert "--image-encoder-licence" in refusal(asked(made / "sd", tmp_path / "out", **face))


# --- the disk, and what lies on it


def test_room_is_checked_before_anything_is_written(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**7))  # type: ignore[attr-defined]
    said = refusal(asked(made / "sdxl", tmp_path / "out", "sdxl"))
    assert "needs 0.1 GB" in said
    assert "0.0 GB are free" in said


def test_an_existing_folder_is_left_alone(made: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ExportError, match="exists already"):
        import_checkpoint(asked(made / "sd", tmp_path / "out"))


def test_what_another_import_left_is_refused(made: Path, tmp_path: Path) -> None:
    laid_out(asked(made / "sd", tmp_path / "out"))
    with pytest.raises(ExportError, match=r"of another checkpoint left. Remove .*out\.partial"):
        import_checkpoint(asked(made / "pix2pix", tmp_path / "out", "pix2pix"))
    with pytest.raises(ExportError, match="begun with another lora_rank and steps"):
        import_checkpoint(asked(made / "sd", tmp_path / "out", steps=3, lora_rank=2))
    (tmp_path / "out.partial" / "import.json").unlink()
    with pytest.raises(ExportError, match="is in the way"):
        import_checkpoint(asked(made / "sd", tmp_path / "out"))


def test_two_imports_into_one_folder(made: Path, tmp_path: Path) -> None:
    from likeness_engines.importing.work import begin

    request = asked(made / "sd", tmp_path / "out")
    other = pytest.raises(ExportError, match="Another process is importing")
    with begin(request, []) as work, other, begin(request, []):
        pass
    work.discard()


def test_a_folder_that_cannot_be_written(made: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "The import failed at" in refusal(asked(made / "sd", tmp_path / "file" / "out"))


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "optimum", None)
    with pytest.raises(ExportError, match=r"needs optimum, which is .* `pip install 'likeness\[export\]'`"):
        check_request(asked("x", tmp_path / "out"))


# --- in memory


def test_parts_in_memory_become_a_pack_that_pytorch_runs(made: Path, tmp_path: Path) -> None:
    import torch
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTokenizerFast

    from likeness_engines.importing.about import About
    from likeness_engines.importing.layout import LoadedParts, write_layout
    from likeness_engines.torch_networks import open_network

    unet = UNet2DConditionModel.from_pretrained(made / "sd" / "unet", low_cpu_mem_usage=False).bfloat16()
    modules = {"unet": unet, "vae": checkpoints.small_vae(), "text_encoder": checkpoints.text_encoder(32)}
    tokenizers = {"tokenizer": CLIPTokenizerFast.from_pretrained(made / "sd" / "tokenizer")}
    about = About(
        name="random",
        title="Random",
        family="sd",
        licence="none",
        scheduler={"_class_name": "DDIMScheduler", "clip_sample": False},
        feed_forward=True,
    )
    write_layout(tmp_path / "pack", LoadedParts(modules, tokenizers), about)
    pack = open_pack(tmp_path / "pack")
    for name in pack.networks:
        network = open_network(pack, name)
        with torch.no_grad():
            assert network(*network.example(1).values()) is not None
