"""Folders with data-only packs, good ones and all kinds of bad ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from likeness_engines import bundled_pack

ABOUT = bundled_pack().about
HEAD = """name = "{name}"
title = "Paper"
description = "Cut paper."
licence = "MIT"
author = "Me"
version = "{version}"
"""


def pack(folder: Path, *, name: str = "paper", version: str = "1.0", more: str = "", lora: bool = False) -> Path:
    """A folder with ten looks; if wanted with a preview, and a LoRA that changes what the bundled pack draws."""
    folder.mkdir(parents=True, exist_ok=True)
    looks = "".join(f'\n[[looks]]\nname = "look-{n}"\nprompt = "comic portrait {n}"\n' for n in range(10))
    recipe = ""
    if lora:
        write_lora(folder / "paper.safetensors")
        (folder / "preview.png").write_bytes(b"\x89PNG....")
        more = 'preview = "preview.png"\n' + more
        recipe = f'\n[recipes.{ABOUT.family}]\nlora = "paper.safetensors"\n'
    (folder / "style.toml").write_text(HEAD.format(name=name, version=version) + more + recipe + looks)
    return folder


def write_lora(path: Path, *, rank: int = 4, wider: int = 0) -> Path:
    """A LoRA for every layer of the bundled pack's bank; `wider` inputs more than it has do not fit."""
    chance = np.random.default_rng(7)
    tensors = {}
    for layer in ABOUT.lora.layers:
        name = f"lora_unet_{layer.name.replace('.', '_')}"
        tensors[f"{name}.lora_down.weight"] = chance.standard_normal((rank, layer.inputs + wider)).astype(np.float32)
        tensors[f"{name}.lora_up.weight"] = chance.standard_normal((layer.outputs, rank)).astype(np.float32)
    save_file(tensors, path)
    return path
