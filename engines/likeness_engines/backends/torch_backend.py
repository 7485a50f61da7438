"""The torch backend itself; `torch_engine.py` imports it when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from likeness_engines.backends.base import Arrays, BackendOptions, TensorSpec, check_inputs
from likeness_engines.backends.cuda_graphs import CudaRecorder
from likeness_engines.backends.fp8_linear import use_fp8
from likeness_engines.backends.row_buckets import Rerun, RowBuckets, Tensors, Work
from likeness_engines.backends.torch_arrays import TorchArrays, device_full
from likeness_engines.backends.torch_plan import (
    COMPILED,
    Plan,
    best_device,
    best_plan,
    built_for,
    built_plan,
    use_threads,
)
from likeness_engines.errors import BackendError
from likeness_engines.pack import ModelPack
from likeness_engines.torch_networks import Network, open_network

ARTIFACTS: Final = "{}.torch"
MOST_BUCKETS: Final = 100
_NUMPY: Final = {torch.float32: np.float32, torch.int64: np.int64}


def create(options: BackendOptions) -> TorchBackend:
    """Create the backend on the best device."""
    use_threads(options)
    return TorchBackend(best_plan(best_device()), options)


class TorchBackend:
    """Runs a pack's networks as PyTorch modules, as `plan` says unless engines were built for the pack; with `options`
    None, nobody looks.
    """

    name = "torch"

    def __init__(self, plan: Plan, options: BackendOptions | None) -> None:
        self._planned = plan
        self.max_rows = plan.rows
        self.arrays: Arrays = TorchArrays(plan.device)
        self._options = options
        # Every batch has the size of a bucket: trying the ways to convolve it pays off. For a GPU alone.
        torch.backends.cudnn.benchmark = plan.buckets

    def load(self, pack: ModelPack, network: str) -> TorchEngine:
        """Load one network; raises BackendError naming it."""
        try:
            return self.host(pack, network, self._open(pack, network))
        except torch.cuda.OutOfMemoryError as error:
            raise device_full(error) from error
        except (OSError, ValueError, KeyError, RuntimeError) as error:  # what diffusers and safetensors raise
            raise BackendError(
                f"PyTorch cannot load {network} of {pack.folder}: {error}. Import the pack again."
            ) from error

    def host(self, pack: ModelPack, network: str, module: Network) -> TorchEngine:
        """Run a network that is on the CPU: moved to the device, in its precision, as was built or as planned."""
        plan = self._plan(pack, network)
        self.max_rows = plan.rows
        specs = _specs(module, plan.bank_dtype(pack))
        module.requires_grad_(False).to(plan.device, plan.dtype(pack, network))
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
        if plan.precision == "fp8" and network == "unet" and network not in pack.about.exact:
            use_fp8(module.part)
        work = _work(module, compiled=plan.compiled and network in COMPILED)
        if not plan.buckets:
            return TorchEngine(specs, work)
        recorder = CudaRecorder() if plan.device.type == "cuda" else Rerun()
        return TorchEngine(specs, work, RowBuckets(work, plan.sizes(pack, network), recorder))

    def _open(self, pack: ModelPack, network: str) -> Network:
        return open_network(pack, network)

    def _plan(self, pack: ModelPack, network: str) -> Plan:
        """That of the engines that were built for this pack here, whose compiled kernels torch will find."""
        built = None if self._options is None else built_for(self._options, pack, self._planned.device)
        if built is None:
            return self._planned
        artifacts = ARTIFACTS.format(network)
        if artifacts in built.about.files:
            torch.compiler.load_cache_artifacts(built.file(artifacts).read_bytes())
        return built_plan(built.target, self._planned.device)


class Specs(NamedTuple):
    """What a network takes and answers, by name."""

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


class TorchEngine:
    """One network on the device; with `buckets`, it runs only there. `rows` are the inputs with a row a first index.

    Not for two streams at once.
    """

    def __init__(self, specs: Specs, work: Work, buckets: RowBuckets | None = None) -> None:
        self.inputs: Mapping[str, TensorSpec] = specs.inputs
        self.outputs: Mapping[str, TensorSpec] = specs.outputs
        self._work = work
        self.rows = {name for name, spec in self.inputs.items() if spec.shape[0] is None}
        self._buckets = buckets

    def run(self, inputs: Tensors) -> dict[str, torch.Tensor]:
        """Run one batch; raises BackendError when the inputs do not fit, DeviceFullError when memory is short."""
        check_inputs(self.inputs, inputs)
        try:
            return self._run({name: inputs[name] for name in self.inputs})
        except RuntimeError as error:
            if not _is_shortage(error):
                raise BackendError(f"PyTorch could not run a batch: {error}. Restart if it happens again.") from error
            full = device_full(error)
        # Only past the handler are the frames of the failed batch gone, and its tensors with them.
        if self._buckets is not None:
            self._buckets.release()
        torch.cuda.empty_cache()
        raise full

    def _run(self, inputs: Tensors) -> dict[str, torch.Tensor]:
        if self._buckets is None:
            return dict(self._work(inputs))
        rows, shared = ({n: t for n, t in inputs.items() if (n in self.rows) is each} for each in (True, False))
        return self._buckets.run(rows, shared)


def _work(module: Network, *, compiled: bool) -> Work:
    call = _compiled(module) if compiled else module

    def work(inputs: Tensors) -> Tensors:
        with torch.no_grad():
            found = call(*(inputs[name] for name in module.inputs))
        return dict(zip(module.outputs, found if isinstance(found, tuple) else (found,), strict=True))

    return work


def _compiled(module: Network) -> Callable[..., Any]:
    call = torch.compile(module, dynamic=False, fullgraph=True)

    def run(*tensors: torch.Tensor) -> Any:
        # Every bucket is a compilation of its own; past torch's usual eight it would refuse.
        with torch._dynamo.config.patch(recompile_limit=MOST_BUCKETS):
            return call(*tensors)

    return run


def _specs(module: Network, bank: np.dtype[Any]) -> Specs:
    """Shapes as the module itself makes them, on a device that has shapes only."""
    state = {name: tensor.to("meta") for name, tensor in (*module.named_parameters(), *module.named_buffers())}
    with torch.device("meta"), torch.no_grad():
        inputs = module.example(1)
        found = torch.func.functional_call(module, state, tuple(inputs.values()))
    outputs = zip(module.outputs, found if isinstance(found, tuple) else (found,), strict=True)
    return Specs(
        {name: _spec(name, tensor, bank) for name, tensor in inputs.items()},
        {name: _spec(name, tensor, bank) for name, tensor in outputs},
    )


def _spec(name: str, tensor: torch.Tensor, bank: np.dtype[Any]) -> TensorSpec:
    if name.startswith("lora_") and name != "lora_slot":
        return TensorSpec(name, bank, tuple(tensor.shape))
    return TensorSpec(name, np.dtype(_NUMPY[tensor.dtype]), (None, *tensor.shape[1:]))


def _is_shortage(error: BaseException | None) -> bool:
    """Whether memory ran out, or something else failed because it had."""
    while error is not None:
        if isinstance(error, torch.cuda.OutOfMemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False
