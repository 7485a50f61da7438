"""The device that `gpu.py` measures on: what it is, how fast it multiplies matrices, its clock and its memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import Final

import torch

NO_GPU: Final = "no GPU: tiny shapes, these figures say nothing about a GPU"
LIBRARIES: Final = ("torch", "diffusers", "transformers", "triton")
ROUNDS = 5


def describe(device: torch.device) -> dict[str, str]:
    """Card, driver, versions and date, as the report's settings."""
    versions = {name: found for name in LIBRARIES if (found := _version(name))}
    date = datetime.now(UTC).date().isoformat()
    if device.type == "cpu":
        threads = str(torch.get_num_threads())
        return {"card": NO_GPU, "threads": threads, "date": date, **versions}
    cuda, name = str(torch.version.cuda), torch.cuda.get_device_name(device)
    return {"card": name, "driver": _driver(), "CUDA": cuda, "date": date, **versions}


def say(what: str) -> None:
    """Progress, for whoever waits."""
    print(what, file=sys.stderr, flush=True)


def now(device: torch.device) -> float:
    """Seconds, once everything that was started is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of one large multiplication: the roof of every share that is told."""
    side, times = (8192, 20) if device.type == "cuda" else (512, 2)
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    rates = []
    for _ in range(ROUNDS + 1):  # the first sets the library up
        began = now(device)
        for _ in range(times):
            left @ right
        rates.append(2 * side**3 * times / (now(device) - began))
    return median(rates[1:])


def forget_peak(device: torch.device) -> None:
    """From now on `peak_gb` is of what comes."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_gb(device: torch.device) -> float:
    """The most memory that torch held of the device, caches and graphs included; on a CPU, the process ever."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.split(os.linesep)[0].strip()


def _version(library: str) -> str:
    try:
        return version(library)
    except ModuleNotFoundError:  # importlib's PackageNotFoundError is one
        return ""
