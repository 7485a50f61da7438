"""Read a LoRA file as trainers write it: safetensors, in the names of kohya, kohya for SDXL, diffusers or PEFT."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from likeness_engines.errors import LoraError
from likeness_engines.lora import Floats, Lora, LoraBankSize, arrange_lora
from likeness_engines.safetensors_file import Opened, Tensor, finite, open_tensors

TEXT_ENCODERS: Final = ("lora_te", "text_encoder", "text_model.")
OTHER_KINDS: Final = {
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "lora_mid.": "LoCon",
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
}
# Training that began so took something out of the pack's own weights, which a bank cannot do.
WEIGHT_CHANGING: Final = ("pissa", "olora", "corda", "loftq", "lora_ga")
SIDES: Final = {"A": "down", "B": "up"}
TENSOR: Final = re.compile(
    r"(?P<layer>.+?)(?:[._]lora[._](?P<side>down|up|A|B)(?:\.default(?:_0)?)?\.weight|\.alpha)", re.DOTALL
)
SGM_ATTENTION: Final = re.compile(r"^(?:(input|output)_blocks_([0-9]{1,2})_1|middle_block_1)(?=_)")


class AdapterConfig(msgspec.Struct, frozen=True):
    """What of PEFT's configuration changes the product, where diffusers wrote it into the metadata.

    The ranks are not among it: the tensors tell them.
    """

    lora_alpha: float | None = None
    alpha_pattern: dict[str, float] | None = None
    use_rslora: bool = False
    use_dora: bool = False
    init_lora_weights: bool | str | None = None

    def alpha(self, layer: str) -> float | None:
        """As PEFT: the first pattern that is the name's end, or all of it where it begins with "^"."""
        for pattern, alpha in (self.alpha_pattern or {}).items():
            if layer == pattern.removeprefix("^") or layer.endswith(f".{pattern}"):
                return alpha
        return self.lora_alpha


def read_lora(path: Path, size: LoraBankSize) -> Lora:
    """Read a LoRA for a bank; its key is the file's sha256. Raises LoraError, which names the file."""
    try:
        if not path.is_file():
            raise LoraError("There is no such file. Check its name and folder.")
        with path.open("rb") as file:
            return _read(open_tensors(file, path.suffix), size)
    except OSError as error:
        raise LoraError(f"{path.name}: The file cannot be read: {error.strerror}. Check its permissions.") from error
    except LoraError as error:
        raise LoraError(f"{path.name}: {error}") from error


def lora_rank(path: Path) -> int:
    """The highest rank in a LoRA file, by its header alone. Raises LoraError, which names the file."""
    try:
        with path.open("rb") as file:
            tensors = open_tensors(file, path.suffix).tensors
    except OSError as error:
        raise LoraError(f"{path.name}: The file cannot be read: {error.strerror}. Check its permissions.") from error
    except LoraError as error:
        raise LoraError(f"{path.name}: {error}") from error
    downs = [tensor.shape[0] for key, tensor in tensors.items() if _is_down(key) and tensor.shape]
    return max(downs, default=0)


def _is_down(key: str) -> bool:
    match = TENSOR.fullmatch(key)
    return match is not None and SIDES.get(match["side"], match["side"]) == "down"


def _read(opened: Opened, size: LoraBankSize) -> Lora:
    config = _config(opened.metadata)
    for key, tensor in opened.tensors.items():
        _check_kind(key, tensor)
    layers = _group(opened.tensors, size)
    weights = {layer: _weights(opened, config, layer, keys) for layer, keys in layers.items()}
    opened.file.seek(0)
    return arrange_lora(hashlib.file_digest(opened.file, "sha256").hexdigest(), weights, size)


def _config(metadata: Mapping[str, str]) -> AdapterConfig:
    """Raises LoraError for what changes the product in ways that a bank does not know."""
    try:
        entries = msgspec.json.decode(metadata.get("lora_adapter_metadata", "{}"), type=dict[str, Any])
        config = msgspec.convert({name.removeprefix("unet."): value for name, value in entries.items()}, AdapterConfig)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise LoraError(f"The LoRA's lora_adapter_metadata cannot be read ({error}). Save it again.") from error
    start = str(config.init_lora_weights).lower()
    options = {"use_rslora": config.use_rslora, "use_dora": config.use_dora, start: start.startswith(WEIGHT_CHANGING)}
    for option, used in options.items():
        if used:
            raise LoraError(f"The LoRA was trained with {option}, which is not read here. Use one trained without it.")
    for pattern in config.alpha_pattern or {}:
        if not re.fullmatch(r"\^?[\w.]+", pattern):  # an expression from a file can take for ever to match
            raise LoraError(f"The LoRA's alpha_pattern has the expression {pattern}. Save it with whole layer names.")
    return config


def _check_kind(key: str, tensor: Tensor) -> None:
    match = TENSOR.fullmatch(key)
    layer = match["layer"] if match else key
    if key.removeprefix("base_model.model.").startswith(TEXT_ENCODERS):
        raise LoraError(f"The LoRA has weights for the text encoder ({layer}). Use one for the UNet alone.")
    for mark, kind in OTHER_KINDS.items():
        if mark in key:
            raise LoraError(f"The LoRA is a {kind} ({key}), which is not read here. Use an ordinary LoRA.")
    if match and len(tensor.shape) == 4:
        raise LoraError(f"The LoRA has weights for the convolution {layer}. Use one for linear layers alone.")


def _group(tensors: Mapping[str, Tensor], size: LoraBankSize) -> dict[str, dict[str, str]]:
    """The pack's layer names -> "down", "up" and "alpha" -> the file's keys."""
    if not any(map(TENSOR.fullmatch, tensors)):
        raise LoraError("Nothing in the file is a LoRA for Stable Diffusion. Use one that is.")
    names = {spelling: layer.name for layer in size.layers for spelling in (layer.name, layer.name.replace(".", "_"))}
    layers: dict[str, dict[str, str]] = {}
    for key in tensors:
        match = TENSOR.fullmatch(key)
        if match is None:
            raise LoraError(f"The LoRA has {key}, which is not read here. Use an ordinary LoRA.")
        name = names.get(_spelling(match["layer"]))
        if name is None:
            raise LoraError(_unknown(match["layer"], size))
        side = match["side"] or "alpha"
        if layers.setdefault(name, {}).setdefault(SIDES.get(side, side), key) != key:
            raise LoraError(f"The LoRA has weights for {name} twice, under different names. Use another.")
    return layers


def _spelling(layer: str) -> str:
    """The layer's name in diffusers, or that with underscores for dots."""
    name = layer.removeprefix("base_model.model.").removeprefix("unet.").removeprefix("lora_unet_")
    name = SGM_ATTENTION.sub(_from_sgm, name).replace(".processor.", ".")
    return f"{name}.0" if name.endswith(".to_out") else name  # attention processors had to_out_lora


def _from_sgm(match: re.Match[str]) -> str:
    """SGM counts the blocks through, three a resolution; SDXL's first input block is conv_in."""
    if match[1] is None:
        return "mid_block_attentions_0"
    side, block = ("down", int(match[2]) - 1) if match[1] == "input" else ("up", int(match[2]))
    return f"{side}_blocks_{block // 3}_attentions_{block % 3}"


def _unknown(layer: str, size: LoraBankSize) -> str:
    if "_ff_net_" in layer.replace(".", "_") and not any(".ff.net." in known.name for known in size.layers):
        return (
            f"The LoRA has weights for the feed-forward layer {layer}; this pack has no feed-forward layers in its"
            " bank. Use a LoRA for attention alone, or import the pack again with them."
        )
    return f"The LoRA has weights for {layer}, which this pack cannot adapt. Use a LoRA made for this pack."


def _weights(opened: Opened, config: AdapterConfig, layer: str, keys: Mapping[str, str]) -> tuple[Floats, Floats]:
    """A layer's (down [inputs, r], up [r, outputs]), the scale in `up`; torch stores both transposed."""
    for side in ("down", "up"):
        if side not in keys:
            raise LoraError(f"The LoRA has {next(iter(keys.values()))} but no {side} weights beside it. Get it again.")
    down, up = opened.read(keys["down"]), opened.read(keys["up"])
    if down.ndim != 2 or up.ndim != 2 or not len(down):
        raise LoraError(f"The LoRA weights for {layer} are {down.shape} and {up.shape}, not matrices. Use another.")
    alpha = _alpha(opened, keys["alpha"]) if "alpha" in keys else config.alpha(layer)
    with np.errstate(over="ignore", invalid="ignore"):
        scale = np.float32(1 if alpha is None else alpha / len(down))
        return down.T, finite(keys["up"], up * scale).T


def _alpha(opened: Opened, key: str) -> float:
    values = opened.read(key)
    if values.size != 1:
        raise LoraError(f"The LoRA has {values.size} values in {key} instead of one. Use another.")
    return float(values.item())
