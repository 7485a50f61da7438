"""What an import is asked for."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

import msgspec

from likeness_engines.errors import ExportError
from likeness_engines.pack import Family

LIBRARIES: Final = ("torch", "transformers", "diffusers", "optimum", "huggingface_hub", "onnx")


class ImportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What shall become a pack, and what it is called; None where the checkpoint or its family says it.

    `checkpoint` is a diffusers folder, a safetensors file, which is read with the configurations of the diffusers
    folder `config`, or a hub id. Steps, guidance and strength are the pack's defaults. `source_scale` is what the
    photo's latents are multiplied by before a pix2pix UNet reads them: 1 for InstructPix2Pix.
    """

    checkpoint: str
    family: Family
    out: Path
    ip_adapter: Path | None = None
    ip_adapter_licence: str | None = None
    image_encoder: Path | None = None
    image_encoder_licence: str | None = None
    config: Path | None = None
    name: str | None = None
    title: str | None = None
    author: str | None = None
    licence: str | None = None
    version: str = "1"
    scheduler: str | None = None
    steps: int | None = None
    guidance: float | None = None
    strength: float | None = None
    source_scale: float | None = None
    lora_slots: int = 8
    lora_rank: int = 16
    feed_forward: bool = False


def check_request(request: ImportRequest) -> None:
    """Refuse what can be refused before anything is loaded."""
    for library in LIBRARIES:
        if importlib.util.find_spec(library) is None:
            raise ExportError(
                f"Importing needs {library}, which is not installed. Run `pip install 'likeness[export]'`."
            )
    if request.out.exists():
        raise ExportError(f"{request.out} exists already. Remove it or choose another folder.")
    if (request.ip_adapter is None) != (request.image_encoder is None):
        raise ExportError("An IP-Adapter and its image encoder belong together. Give --ip-adapter and --image-encoder.")
    if request.ip_adapter is not None and request.family == "pix2pix":
        raise ExportError("The family pix2pix is shown the photo itself and takes no IP-Adapter. Leave it out.")
    if request.lora_slots < 1 or request.lora_rank < 1:
        raise ExportError("The LoRA bank needs a slot, which stands for none, and a rank of 1. Give 1 or more.")
