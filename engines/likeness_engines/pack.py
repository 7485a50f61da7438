"""Model packs: a folder in diffusers layout, graphs without weights, and `pack.toml` that says what is in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from likeness_engines.errors import PackError
from likeness_engines.lora import LoraBankSize

FORMAT: Final = 2
PACKS: Final = Path(__file__).with_name("packs")
BUNDLED_PACK: Final = PACKS / "miniature"
WEIGHTS: Final = {
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "vae_encoder": "vae/diffusion_pytorch_model.safetensors",
    "vae_decoder": "vae/diffusion_pytorch_model.safetensors",
    "text_encoder": "text_encoder/model.safetensors",
    "text_encoder_2": "text_encoder_2/model.safetensors",
    "face_encoder": "face_encoder/model.safetensors",
}
Family = Literal["pix2pix", "sd", "sdxl"]


class WeightEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One initialiser that a graph expects to be handed: the safetensors key it comes from, and its shape in the graph.

    `transposed` where the exporter folded a transposition into the weight.
    """

    name: str
    key: str
    shape: list[int]
    transposed: bool = False


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the pack is shown a person: `tokens` tokens a face, read by `layers` cross-attention layers of the UNet.

    The face encoder takes pictures of `side` pixels, normalised by `mean` and `std`; its licence is its own. `scale` is
    how much the UNet heeds the tokens, 0 to 1.
    """

    tokens: int
    width: int
    layers: int
    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    encoder: str
    licence: str
    scale: float = 0.7


class PackFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `pack.toml` says; `files` maps every other file's path to its sha256.

    `latents` is (channels, height, width); `pixel_fold` is the side of the pixel blocks folded into channels before
    the autoencoder. Latents are the encoder's output times `latent_scale`; a photo that the UNet reads beside them
    (family `pix2pix`) is the output times `source_scale`. `exact` are the networks that lose too much in half
    precision. `licences` are those of the parts that have one of their own.
    """

    format: int
    name: str
    version: str
    title: str
    family: Family
    licence: str
    author: str
    resolution: int
    pixel_fold: int
    latents: tuple[int, int, int]
    latent_scale: float
    source_scale: float
    prompt_length: int
    default_steps: int
    default_guidance: float
    lora: LoraBankSize
    files: dict[str, str]
    default_strength: float = 1.0
    zero_empty_prompt: bool = False
    exact: tuple[str, ...] = ()
    identity: Identity | None = None
    licences: dict[str, str] = {}
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

    @property
    def networks(self) -> tuple[str, ...]:
        """The names of all networks of the pack."""
        second = ("text_encoder_2",) if self.family == "sdxl" else ()
        face = ("face_encoder",) if self.about.identity else ()
        return ("text_encoder", *second, "vae_encoder", "vae_decoder", "unet", *face)

    @property
    def digest(self) -> str:
        """The sha256 of `pack.toml`, which holds those of all other files: one value for the whole pack."""
        return file_digest(self.folder / "pack.toml")

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
    pack = ModelPack(folder, read_pack(folder))
    pack.verify()
    return pack


def read_pack(folder: Path) -> PackFile:
    """Read a pack's description alone; raises PackError."""
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
    return about


def bundled_pack() -> ModelPack:
    """The pack that comes with Likeness."""
    return open_pack(BUNDLED_PACK)


def installed_packs() -> Iterator[Path]:
    """The folders of all packs that came with the installation, good or bad."""
    return (path.parent for path in sorted(PACKS.glob("*/pack.toml")))


def file_digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
