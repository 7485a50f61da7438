"""Opening a checkpoint: a folder as diffusers writes it, a single file, or a repository of the hub. Needs the `export`
extra.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from likeness_engines.errors import ExportError
from likeness_engines.importing.checkpoint_parts import CLASSES, UNFIT, Checkpoint, incomplete, unfit
from likeness_engines.importing.hub import fetch_checkpoint, fetch_configs
from likeness_engines.importing.single_file import FileCheckpoint
from likeness_engines.importing.weight_files import PICKLES, Entry, read_header, read_json, stated_licence
from likeness_engines.pack import Family

HUB_ID: Final = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def open_checkpoint(named: str, family: Family, config: Path | None) -> Checkpoint:
    """A folder, a file or a hub id; `config` is the diffusers folder that a single file is read with. Raises
    ExportError.
    """
    path = Path(named)
    if path.is_file():
        read_header(path)  # a pickle is refused before anything is fetched for it
        return FileCheckpoint(path, config or fetch_configs(family))
    if config is not None:
        raise ExportError(f"{named} has configurations of its own. Leave --config out.")
    if path.is_dir():
        return FolderCheckpoint(path)
    if not HUB_ID.fullmatch(named):
        raise ExportError(f"There is no checkpoint {named}. Name a folder, a .safetensors file or a hub id.")
    author, name = named.split("/")
    return FolderCheckpoint(fetch_checkpoint(named), name, author)


class FolderCheckpoint(Checkpoint):
    """A folder in diffusers layout; its weights may be in several files, or in half precision alone."""

    def __init__(self, folder: Path, name: str | None = None, author: str = "unknown") -> None:
        super().__init__(name or folder.resolve().name, folder, stated_licence(folder), author)

    def tensors(self, part: str) -> Mapping[str, Entry]:
        """Of all of the part's files."""
        entries: dict[str, Entry] = {}
        for path in self._weights(part)[1]:
            entries |= read_header(path).tensors
        return entries

    def load(self, part: str) -> Any:
        """Through `from_pretrained`, which knows the layouts of all diffusers versions."""
        variant = self._weights(part)[0]
        options: dict[str, Any] = {"output_loading_info": True, "use_safetensors": True}
        if part.startswith("text_encoder"):
            options |= {"dtype": torch.float32}
        else:
            options |= {"torch_dtype": torch.float32, "low_cpu_mem_usage": False}
        try:
            module, info = CLASSES[part].from_pretrained(
                self.configs, subfolder=part, variant=variant, local_files_only=True, **options
            )
        except UNFIT as error:
            raise unfit(self.configs / part, error) from error
        if info["missing_keys"]:
            raise incomplete(self.configs / part, info["missing_keys"])
        return module.eval()

    def files(self) -> list[Path]:
        """Configurations and weights."""
        weights = [path for part in self.parts() for path in self._weights(part)[1]]
        return [*sorted(self.configs.glob("*/*.json")), *weights]

    def _weights(self, part: str) -> tuple[str | None, list[Path]]:
        """The variant of the part's files, None for the usual one, and the files."""
        folder = self.configs / part
        stem = "model" if part.startswith("text_encoder") else "diffusion_pytorch_model"
        for variant, ending in ((None, ""), ("fp16", ".fp16")):
            if (single := folder / f"{stem}{ending}.safetensors").is_file():
                return variant, [single]
            if (index := folder / f"{stem}.safetensors.index{ending}.json").is_file():
                names = sorted(set(read_json(index).get("weight_map", {}).values()))
                return variant, [folder / name for name in names]
        pickles = [path.name for path in sorted(folder.glob("*")) if path.suffix in PICKLES]
        if pickles:
            raise ExportError(
                f"{folder} has its weights as a pickle alone ({pickles[0]}), which can run code when it is opened."
                " Save the checkpoint as safetensors, or get one that is."
            )
        raise ExportError(f"The file {folder / stem}.safetensors is missing. Get the checkpoint again.")
