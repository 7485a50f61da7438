"""What every kind of checkpoint is: parts that are loaded one at a time. Needs the `export` extra."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizerFast

from likeness_engines.errors import ExportError
from likeness_engines.importing.weight_files import Entry, read_json

CLASSES: Final[dict[str, Any]] = {
    "unet": UNet2DConditionModel,
    "vae": AutoencoderKL,
    "text_encoder": CLIPTextModel,
    "text_encoder_2": CLIPTextModelWithProjection,
}
# What loading raises for files that do not fit each other: transformers, diffusers, torch and json have no common base.
UNFIT: Final = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError)
Config = dict[str, Any]


class Checkpoint(ABC):
    """The parts of a checkpoint, and what it says about itself. `configs` is a folder in diffusers layout."""

    def __init__(self, name: str, configs: Path, licence: str | None, author: str = "unknown") -> None:
        self.name, self.configs, self.licence, self.author = name, configs, licence, author

    @abstractmethod
    def tensors(self, part: str) -> Mapping[str, Entry]:
        """What the part's files have inside, without loading them; raises ExportError."""

    @abstractmethod
    def load(self, part: str) -> Any:
        """A part as diffusers' or transformers' module, in float32; raises ExportError."""

    @abstractmethod
    def files(self) -> list[Path]:
        """Everything that the checkpoint is read from."""

    def parts(self) -> list[str]:
        """The networks that are there."""
        return [part for part in CLASSES if (self.configs / part / "config.json").is_file()]

    def config(self, part: str) -> Config:
        """A part's configuration."""
        return read_json(self.configs / part / "config.json")

    def scheduler(self) -> Config:
        """The scheduler's configuration."""
        return read_json(self.configs / "scheduler" / "scheduler_config.json")

    def index(self) -> Config:
        """What the whole pipeline has been told; empty where the checkpoint was not saved as one."""
        path = self.configs / "model_index.json"
        return read_json(path) if path.is_file() else {}

    def tokenizer(self, folder: str) -> CLIPTokenizerFast:
        """A tokenizer by the name of its folder."""
        path = self.configs / folder
        if not (path / "tokenizer.json").is_file() and not (path / "vocab.json").is_file():
            raise ExportError(f"{path} has neither tokenizer.json nor vocab.json. Get the checkpoint again.")
        try:
            return CLIPTokenizerFast.from_pretrained(str(path), local_files_only=True)
        except Exception as error:  # tokenizers raises plain Exception
            raise ExportError(f"The tokenizer in {path} cannot be read: {error}. Get the checkpoint again.") from error


def incomplete(where: Path | str, missing: Collection[str]) -> ExportError:
    """For a part that would be left partly random."""
    return ExportError(f"{where} lacks {len(missing)} tensors, the first is {min(missing)}. Get the checkpoint again.")


def unfit(where: Path | str, error: Exception) -> ExportError:
    """For what diffusers, transformers or torch say of files that do not fit."""
    return ExportError(f"{where} does not fit its configuration: {shortened(error)}. Get the checkpoint again.")


def shortened(error: Exception) -> str:
    """The beginning of what a library says, in one line: some list every tensor."""
    return " ".join(str(error).split())[:300].removesuffix(".")
