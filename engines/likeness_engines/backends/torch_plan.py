"""How the torch backend runs a pack: where, how exactly, in which batch sizes."""

from __future__ import annotations

import os
from typing import Final

import msgspec
import numpy as np
import torch

from likeness_engines.backends.base import BackendOptions, Precision, Target
from likeness_engines.backends.row_buckets import bucket_sizes
from likeness_engines.backends.turns import most_at_once
from likeness_engines.built import Built, find_built
from likeness_engines.errors import BackendError
from likeness_engines.pack import ModelPack

DTYPES: Final[dict[Precision, torch.dtype]] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp8": torch.bfloat16,  # whatever is not a linear layer of a transformer
}
CPU_ROWS: Final = 10  # as ONNX Runtime: small batches show the first avatars sooner
GPU_ROWS: Final = 60  # thirty renders with guidance
# What takes most of the time; compiling the others would delay the first avatar by more than it saves.
COMPILED: Final = ("unet", "vae_decoder")


class Plan(msgspec.Struct, frozen=True):
    """`rows` is the largest UNet batch. Where `buckets`, batches are filled up to a bucket's size and repeated from a
    recording; where `compiled`, the networks that take most of the time go through torch.compile.
    """

    device: torch.device
    precision: Precision
    rows: int
    buckets: bool
    compiled: bool

    def dtype(self, pack: ModelPack, network: str) -> torch.dtype:
        """What a network computes in. Words steer every step of every render: they stay exact."""
        exact = network.startswith("text_encoder") or network in pack.about.exact
        return torch.float32 if exact else DTYPES[self.precision]

    def bank_dtype(self, pack: ModelPack) -> np.dtype[np.floating]:
        """What the LoRA bank is kept in: NumPy has no bfloat16."""
        return np.dtype(np.float32 if self.dtype(pack, "unet") == torch.float32 else np.float16)

    def sizes(self, pack: ModelPack, network: str) -> tuple[int, ...]:
        """The buckets of a network, ascending."""
        return bucket_sizes(most_at_once("torch", pack, network, self.rows))


def best_plan(device: torch.device) -> Plan:
    """How a device is used best when nothing was built for it."""
    if device.type == "cpu":
        return Plan(device, "fp32", CPU_ROWS, buckets=False, compiled=False)
    return Plan(device, best_precision(device), GPU_ROWS, buckets=True, compiled=True)


def built_plan(target: Target, device: torch.device) -> Plan:
    """How what was built for a device runs there."""
    return Plan(device, target.precision, target.rows, buckets=True, compiled=True)


def best_precision(device: torch.device) -> Precision:
    """Half precision, with the exponents of single where the GPU multiplies such."""
    return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"


def best_device() -> torch.device:
    """The current GPU, or the CPU where there is none."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def version() -> str:
    """The release and what it was built for; torch's own type only looks like a str."""
    return str(torch.__version__)


def describe(device: torch.device) -> str:
    """What engines are built for: a GPU's name and compute capability."""
    if device.type == "cpu":
        return "CPU"
    major, minor = torch.cuda.get_device_capability(device)
    return f"{torch.cuda.get_device_name(device)} sm_{major}{minor}"


def built_for(options: BackendOptions, pack: ModelPack, device: torch.device) -> Built | None:
    """What `likeness engines build` left for this pack here, if anything."""
    try:
        return find_built(options.cache, pack, "torch", version(), describe(device))
    except BackendError:  # it compiles at first use as well
        return None


def use_threads(options: BackendOptions) -> None:
    """Let torch use so many threads of the CPU, by default one for every core this process may use."""
    torch.set_num_threads(options.threads or len(os.sched_getaffinity(0)))
