"""Model packs: a folder in diffusers layout, graphs without weights, and `pack.toml` that says what is in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from likeness_engines.errors import PackError
from likeness_engines.lora import LoraLayer

FORMAT: Final = 1
BUNDLED: Final = "miniature"
PACKS: Final = Path(__file__).with_name("packs")
WEIGHTS: Final = {
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "vae_encoder": "vae/diffusion_pytorch_model.safetensors",
    "vae_decoder": "vae/diffusion_pytorch_model.safetensors",
    "text_encoder": "text_encoder/model.safetensors",
}


class LoraBankSize(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many style LoRAs a batch can mix, slot 0 being none, up to which rank, and in which layers."""

    slots: int
    rank: int
    layers: list[LoraLayer]


class WeightEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One initialiser that a graph expects to be handed: the safetensors key it comes from, and its shape in the graph.

    `transposed` where the exporter folded a transposition into the weight.
    """

    name: str
    key: str
    shape: list[int]
    transposed: bool = False


class PackFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `pack.toml` says; `files` maps every other file's path to its sha256.

    `latents` is (channels, height, width); `pixel_fold` is the side of the pixel blocks folded into channels before
    the autoencoder; latents are the encoder's output times `latent_scale`.
    """

    format: int
    name: str
    version: str
    title: str
    family: str
    licence: str
    author: str
    resolution: int
    pixel_fold: int
    latents: tuple[int, int, int]
    latent_scale: float
    prompt_length: int
    default_steps: int
    default_guidance: float
    lora: LoraBankSize
    files: dict[str, str]
    preview: str | None = None


class ModelPack(msgspec.Struct, frozen=True):
    """An opened pack: `about` is its description, `folder` where it lies."""

    folder: Path
    about: PackFile

    @property
    def name(self) -> str:
        return self.about.name

    @property
    def version(self) -> str:
        return self.about.version

    @property
    def family(self) -> str:
        return self.about.family

    def graph(self, network: str) -> Path:
        """The network's ONNX graph, which has no weights of its own."""
        return self.folder / "onnx" / f"{network}.onnx"

    def weights(self, network: str) -> Path:
        """The safetensors file that the graph's initialisers are named after."""
        return self.folder / WEIGHTS[network]

    def weight_list(self, network: str) -> list[WeightEntry]:
        """The initialisers of the network's graph, in no order."""
        listing = self.folder / "onnx" / f"{network}.weights.json"
        return msgspec.json.decode(listing.read_bytes(), type=list[WeightEntry])

    def scheduler_config(self) -> dict[str, Any]:
        """The diffusers scheduler's configuration."""
        return dict(msgspec.json.decode((self.folder / "scheduler" / "scheduler_config.json").read_bytes()))

    def verify(self) -> None:
        """Compare every file with its sha256; raises PackError for the first that is missing or differs."""
        for name, expected in self.about.files.items():
            path = self.folder / name
            if not path.is_file():
                raise PackError(f"The model pack {self.folder} lacks the file {name}. Copy the whole pack again.")
            if file_digest(path) != expected:
                raise PackError(
                    f"In the model pack {self.folder} the file {name} is damaged. Copy the whole pack again."
                )


def open_pack(folder: Path) -> ModelPack:
    """Read and verify a pack; raises PackError."""
    description = folder / "pack.toml"
    if not description.is_file():
        raise PackError(f"There is no model pack in {folder}: pack.toml is missing. Name a folder that has one.")
    try:
        about = msgspec.toml.decode(description.read_bytes(), type=PackFile)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PackError(f"{description} is not a pack description: {error}. Copy the whole pack again.") from error
    if about.format != FORMAT:
        raise PackError(
            f"The model pack {folder} has format {about.format}, this version reads {FORMAT}. Export it again."
        )
    escaping = [name for name in about.files if not (folder / name).resolve().is_relative_to(folder.resolve())]
    if escaping:
        raise PackError(
            f"{description} names {escaping[0]}, which is outside the pack. Do not use packs you do not trust."
        )
    pack = ModelPack(folder, about)
    pack.verify()
    return pack


def bundled_pack() -> ModelPack:
    """The pack that comes with Likeness."""
    return open_pack(PACKS / BUNDLED)


def installed_packs() -> Iterator[Path]:
    """The folders of all packs that came with the installation, good or bad."""
    return (path.parent for path in sorted(PACKS.glob("*/pack.toml")))


def file_digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
