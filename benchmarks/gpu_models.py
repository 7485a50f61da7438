"""A checkpoint with random weights in a pack that needs no files but a tokenizer's: what `gpu.py` draws with."""

from __future__ import annotations

import shutil
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from benchmarks.gpu_modules import Modules, make_face_encoder, make_modules, make_unet
from benchmarks.gpu_shapes import PROMPT_LENGTH, Shape
from likeness_engines import Engines, ModelPack, PackFile, bundled_pack
from likeness_engines.backends.torch_backend import TorchBackend, TorchEngine
from likeness_engines.backends.torch_plan import Plan
from likeness_engines.lora import LoraBankSize
from likeness_engines.pack import FORMAT, Identity
from likeness_engines.torch_networks import (
    FaceEncoder,
    Network,
    TextEncoder,
    UNet,
    VaeDecoder,
    VaeEncoder,
    cross_attentions,
    lora_layers,
)

SLOTS, RANK = 8, 16
NOISE_LEVELS: Final = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


class Case(NamedTuple):
    """How the thirty are drawn, with guidance or in few steps without."""

    steps: int
    guidance: float
    scheduler: str

    @property
    def guided(self) -> bool:
        """Whether a render costs two rows a step."""
        return self.guidance != 1

    @property
    def rows(self) -> int:
        """What a render costs a step."""
        return 2 if self.guided else 1

    @property
    def name(self) -> str:
        """In the table."""
        return f"{self.steps} steps" if self.guided else f"{self.steps} steps, no guidance"

    @property
    def scheduler_config(self) -> dict[str, Any]:
        """As diffusers reads it."""
        return {"_class_name": self.scheduler, **NOISE_LEVELS}


class Hosted(TorchBackend):
    """The torch backend over modules in memory. Every network is hosted once, whichever pack asks for it."""

    def __init__(self, plan: Plan, networks: dict[str, Network], engines: dict[str, TorchEngine]) -> None:
        super().__init__(plan, None)
        self._networks, self._engines = networks, engines

    def load(self, pack: ModelPack, network: str) -> TorchEngine:
        """The hosted one."""
        if network not in self._engines:
            self._engines[network] = self.host(pack, network, self._networks[network])
        return self._engines[network]

    def with_unet(self, unet: Network) -> Hosted:
        """Another UNet among the same other networks."""
        others = {name: engine for name, engine in self._engines.items() if name != "unet"}
        return Hosted(self._planned, {**self._networks, "unet": unet}, others)


class Model:
    """One checkpoint as our backend has it, with a LoRA bank and as if one LoRA was merged, and as diffusers has it."""

    def __init__(self, shape: Shape, plan: Plan, folder: Path, *, identity: bool) -> None:
        self.shape, self.device = shape, plan.device
        self._folder = folder
        with torch.device("meta"):
            unet = UNet2DConditionModel(**shape.unet)
        about = _identity(shape, unet) if identity else None
        self.about = _about(shape, LoraBankSize(SLOTS, RANK, lora_layers(unet, feed_forward=False)), about)
        self._plain = _about(shape, LoraBankSize(1, RANK, []), about)
        self._banked = Hosted(plan, _networks(self.about, shape, plan.device), {})
        self._engines: dict[Case, Engines] = {}

    def engines(self, case: Case) -> Engines:
        """Ours, with the bank."""
        if case not in self._engines:
            self._engines[case] = Engines(self._pack(case, self.about), self._banked)
        return self._engines[case]

    def merged_engines(self, case: Case) -> Engines:
        """Ours, as if every layer had its LoRA in its weights: no bank to read."""
        return Engines(self._pack(case, self._plain), self._merged)

    @cached_property
    def theirs(self) -> Modules:
        """Plain modules, for diffusers."""
        return make_modules(self.shape, self.device)

    @cached_property
    def _merged(self) -> Hosted:
        unet = make_unet(self.shape, self.device, identity=self._plain.identity is not None)
        return self._banked.with_unet(UNet(unet, self._plain))

    def _pack(self, case: Case, about: PackFile) -> ModelPack:
        """In a folder of its own, with the bundled pack's tokenizer: ids are ids."""
        folder = self._folder / f"{self.shape.family}-{case.steps}"
        for tokenizer in ("tokenizer", "tokenizer_2"):
            shutil.copytree(bundled_pack().folder / "tokenizer", folder / tokenizer, dirs_exist_ok=True)
        (folder / "scheduler").mkdir(exist_ok=True)
        (folder / "scheduler" / "scheduler_config.json").write_bytes(msgspec.json.encode(case.scheduler_config))
        return ModelPack(folder, about)


def _about(shape: Shape, bank: LoraBankSize, identity: Identity | None) -> PackFile:
    side = shape.unet["sample_size"]
    return PackFile(
        format=FORMAT,
        name=shape.name,
        version="0",
        title=shape.name,
        family=shape.family,
        licence="none: random weights",
        author="benchmarks/gpu.py",
        resolution=shape.resolution,
        pixel_fold=1,
        latents=(4, side, side),
        latent_scale=shape.latent_scale,
        source_scale=1.0,
        prompt_length=PROMPT_LENGTH,
        default_steps=20,
        default_guidance=1.0,
        lora=bank,
        files={},
        identity=identity,
    )


def _identity(shape: Shape, unet: UNet2DConditionModel) -> Identity:
    tokens, width = shape.adapter["num_queries"], shape.adapter["output_dims"]
    half = (0.5, 0.5, 0.5)
    return Identity(
        tokens, width, len(cross_attentions(unet)), shape.vision["image_size"], half, half, "random", "none"
    )


def _networks(about: PackFile, shape: Shape, device: torch.device) -> dict[str, Network]:
    modules = make_modules(shape, device, identity=about.identity is not None)
    networks: dict[str, Network] = {
        "unet": UNet(modules.unet, about),
        "vae_encoder": VaeEncoder(modules.vae, shape.resolution),
        "vae_decoder": VaeDecoder(modules.vae, shape.unet["sample_size"]),
    }
    for name, encoder in zip(("text_encoder", "text_encoder_2"), modules.encoders, strict=False):
        networks[name] = TextEncoder(encoder, penultimate=shape.family == "sdxl")
    if about.identity:
        networks["face_encoder"] = FaceEncoder(make_face_encoder(shape, device))
    return networks
