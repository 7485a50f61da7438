"""What this machine is: the words that tell it from one on which engines built here would not run."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

# Kernels and layouts are chosen by these; a CPU with others runs other code.
_INSTRUCTIONS: Final = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve", "bf16")
_ANSWER_S: Final = 10


class Gpu(NamedTuple):
    """The first NVIDIA GPU: its name, and the bytes of its memory that are free."""

    name: str
    free: int


def cpu_name(info: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU's model and the instruction sets that matter, such as `AMD EPYC (avx2 avx512f)`."""
    lines = info.read_text().splitlines() if info.exists() else []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    model = facts.get("model name") or platform.processor() or platform.machine()
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    known = " ".join(flag for flag in _INSTRUCTIONS if flag in flags)
    return f"{model} ({known})" if known else model


def free_ram(info: Path = Path("/proc/meminfo")) -> int:
    """Bytes of memory that programs can still take without swapping."""
    [line] = [line for line in info.read_text().splitlines() if line.startswith("MemAvailable:")]
    return int(line.split()[1]) * 1024


def find_gpu() -> Gpu | None:
    """Ask the driver, which says no more than this without libraries of its own."""
    query = ["nvidia-smi", "--id=0", "--query-gpu=name,memory.free", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=_ANSWER_S, check=True).stdout  # noqa: S603 - fixed words
    except (OSError, subprocess.SubprocessError):
        return None
    name, _, free = said.strip().rpartition(", ")
    return Gpu(name, int(free) * 1024**2)
