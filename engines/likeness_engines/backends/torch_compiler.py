"""Building for the torch backend: every bucket is compiled once, and what torch's compiler keeps is kept in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch.compiler._cache import CacheArtifactManager

from likeness_engines.backends.base import Precision, Target
from likeness_engines.backends.torch_backend import ARTIFACTS, TorchBackend
from likeness_engines.backends.torch_plan import COMPILED, best_device, best_precision, built_plan, describe, version
from likeness_engines.errors import BackendError
from likeness_engines.pack import ModelPack
from likeness_engines.torch_networks import open_network

# The first GPUs with matrix units for these.
_NEEDS: Final[dict[Precision, tuple[int, int]]] = {"bf16": (8, 0), "fp8": (8, 9)}


class TorchCompiler:
    """Compiles on the GPU of this machine, for it alone."""

    def __init__(self, device: torch.device | None = None) -> None:
        self._device = device or best_device()

    def target(self, rows: int, precision: Precision | None = None) -> Target:
        """This GPU, by default in half precision."""
        if self._device.type == "cpu":
            raise BackendError(
                "torch engines are built for a GPU; this machine has none. On a CPU the torch backend needs no"
                " building."
            )
        chosen, has = precision or best_precision(self._device), torch.cuda.get_device_capability(self._device)
        if has < _NEEDS.get(chosen, (0, 0)):
            raise BackendError(
                f"{describe(self._device)} does not multiply {chosen}. Build with --precision"
                f" {best_precision(self._device)}."
            )
        return Target("torch", version(), describe(self._device), chosen, rows)

    def free_memory(self) -> int:
        """Bytes that are free on the GPU."""
        return 0 if self._device.type == "cpu" else torch.cuda.mem_get_info(self._device)[0]

    def build(self, pack: ModelPack, network: str, target: Target, folder: Path) -> None:
        """Run every bucket once, which shows that it fits as well, and write what was compiled."""
        # Of what a process has compiled or saved before, torch saves nothing again.
        torch.compiler.reset()
        with CacheArtifactManager.with_fresh_cache():
            self._run_buckets(pack, network, target)
            saved = torch.compiler.save_cache_artifacts()
        if network in COMPILED and saved is not None:
            (folder / ARTIFACTS.format(network)).write_bytes(saved[0])

    def _run_buckets(self, pack: ModelPack, network: str, target: Target) -> None:
        module, plan = open_network(pack, network), built_plan(target, self._device)
        backend, sizes = TorchBackend(plan, None), plan.sizes(pack, network)
        engine = backend.host(pack, network, module)
        inputs = {
            name: backend.arrays.put(tensor.numpy(), engine.inputs[name].dtype)
            for name, tensor in module.example(sizes[-1]).items()
        }
        for size in sizes:
            engine.run({name: tensor[:size] if name in engine.rows else tensor for name, tensor in inputs.items()})
