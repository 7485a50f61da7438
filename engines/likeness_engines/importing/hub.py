"""Fetching checkpoints from the hub, and only what an import reads: safetensors, JSON and text. Never a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

from likeness_engines.errors import ExportError
from likeness_engines.pack import Family

PARTS: Final = ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")
WEIGHTS: Final = [f"{part}/*.safetensors" for part in PARTS]
TEXTS: Final = ["model_index.json", "README.md", *(f"{part}/*.{end}" for part in PARTS for end in ("json", "txt"))]
VARIANTS: Final = ["*.fp16.*", "*.non_ema.*", "*.bf16.*"]
# Whose configurations a single file has, which brings none.
CONFIGS: Final[dict[Family, str]] = {
    "sd": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "pix2pix": "timbrooks/instruct-pix2pix",
}


def fetch_checkpoint(repository: str) -> Path:
    """Download a diffusers repository into the hub's cache, or find it there; raises ExportError.

    Of weights in several precisions the full one is taken: from it this pack's own is rounded.
    """
    folder = _fetch(repository, [*TEXTS, *WEIGHTS], VARIANTS)
    if not any(folder.glob("unet/*.safetensors")):
        folder = _fetch(repository, [*TEXTS, *WEIGHTS], [])
    return folder


def fetch_configs(family: Family) -> Path:
    """The configurations and tokenizers of the family's first checkpoint; raises ExportError."""
    try:
        return _fetch(CONFIGS[family], TEXTS, [])
    except ExportError as error:
        raise ExportError(
            f"A single file has no configurations and no tokenizer, and those of {CONFIGS[family]} could not be had."
            f" Name a diffusers folder of the same family with --config. ({error})"
        ) from error


def _fetch(repository: str, wanted: list[str], unwanted: list[str]) -> Path:
    try:
        return Path(snapshot_download(repository, allow_patterns=wanted, ignore_patterns=unwanted))
    except GatedRepoError as error:
        raise ExportError(
            f"{repository} is open only to those who accepted its terms on the hub. Accept them there, then"
            " run `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise ExportError(f"There is no {repository}, neither here nor on the hub. Check the name.") from error
    except LocalEntryNotFoundError as error:
        raise ExportError(
            f"There is no folder {repository} here, nor a copy in the hub's cache, and the hub cannot be reached."
            " Check the name and the connection, or name a local folder."
        ) from error
    except (OSError, ValueError) as error:  # what requests and the hub's own checks of names raise
        raise ExportError(f"{repository} could not be had from the hub: {error}. Try again.") from error
