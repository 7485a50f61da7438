"""Whether built engines compute what the pack's graphs say: each network beside ONNX Runtime without optimisation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness_engines.backends import create_backend, create_compiler
from likeness_engines.backends.base import Backend, BackendOptions, Precision, Target, TensorSpec
from likeness_engines.backends.onnxruntime_engine import open_reference
from likeness_engines.built import Built
from likeness_engines.errors import BackendError, PackError
from likeness_engines.pack import ModelPack

ROWS: Final = 2  # one alone would not show that rows keep apart
TIMESTEPS: Final = 1000


class Bound(NamedTuple):
    """The largest and the mean error that rounding explains, as parts of the reference's root mean square."""

    largest: float
    mean: float


# About ten times what the miniature shows (fp16: 0.005 and 0.0006, bf16: 0.07 and 0.005), as networks ten times as deep
# round more often; what was built wrong is off by as much as the output itself. fp32 leaves room for TF32, in which
# GPUs convolve unless told otherwise.
BOUNDS: Final[dict[Precision, Bound]] = {
    "fp32": Bound(0.01, 0.001),
    "fp16": Bound(0.05, 0.005),
    "bf16": Bound(0.5, 0.05),
    "fp8": Bound(1.0, 0.15),
}


class Verdict(msgspec.Struct, frozen=True):
    """How far one network is from the reference: errors as parts of its root mean square, not finite ones infinite."""

    network: str
    largest: float
    mean: float
    good: bool


def verify_built(built: Built, pack: ModelPack, seed: int = 0) -> Iterator[Verdict]:
    """Check the build's files, then run every network on the same random inputs as the reference, one by one.

    Raises BackendError when a file is damaged, when this machine cannot run the engines, or the pack is another.
    """
    if built.about.pack_digest != pack.digest:
        raise BackendError(
            f"The engines in {built.folder} were built from another version of {pack.folder}. Build them again."
        )
    built.verify()
    with _cache_of(built) as cache:
        backend = create_backend(built.target.backend, BackendOptions(cache=cache))
        for number, network in enumerate(pack.networks):
            rng = np.random.default_rng((seed, number))
            yield _compare(backend, pack, network, BOUNDS[built.target.precision], rng)


def why_not_here(target: Target) -> str | None:
    """Why engines for a target do not run on this machine; None when they do."""
    try:
        here = create_compiler(target.backend).target(target.rows, target.precision)
    except BackendError as error:
        return str(error)
    if (here.version, here.device) == (target.version, target.device):
        return None
    return (
        f"Built for {target.device} with {target.backend} {target.version}; this machine has {here.device} with"
        f" {here.backend} {here.version}."
    )


def _compare(backend: Backend, pack: ModelPack, network: str, bound: Bound, rng: np.random.Generator) -> Verdict:
    engine, reference = backend.load(pack, network), open_reference(pack, network)
    inputs = {name: _values(pack, network, spec, rng) for name, spec in reference.inputs.items()}
    # Both read what the engine's types leave of the values.
    given = {name: inputs[name].astype(spec.dtype) for name, spec in engine.inputs.items()}
    expected = reference.run({name: values.astype(inputs[name].dtype) for name, values in given.items()})
    outputs = engine.run({name: backend.arrays.put(values) for name, values in given.items()})
    errors = [_errors(backend.arrays.fetch(outputs[name]), values) for name, values in expected.items()]
    largest, mean = (max(column) for column in zip(*errors, strict=True))
    return Verdict(network, largest, mean, largest <= bound.largest and mean <= bound.mean)


def _errors(got: NDArray[Any], want: NDArray[Any]) -> tuple[float, float]:
    if got.shape != want.shape or not np.isfinite(got).all():
        return float("inf"), float("inf")
    differences = np.abs(got.astype(np.float64) - want) / np.sqrt(np.square(want, dtype=np.float64).mean())
    return float(differences.max()), float(differences.mean())


def _values(pack: ModelPack, network: str, spec: TensorSpec, rng: np.random.Generator) -> NDArray[Any]:
    """Random values of the kind that an input takes."""
    bank = pack.about.lora.shapes()
    if spec.name in bank:
        return _bank(bank[spec.name], rng).astype(spec.dtype)
    shape = tuple(ROWS if size is None else size for size in spec.shape)
    most = {"timestep": TIMESTEPS, "lora_slot": pack.about.lora.slots, "presence": 2}
    if spec.name == "input_ids":
        most["input_ids"] = _vocabulary(pack, network)
    if spec.name in most:
        return rng.integers(0, most[spec.name], shape).astype(spec.dtype)
    return rng.standard_normal(shape).astype(spec.dtype)


def _bank(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """LoRAs that change a layer's outputs by about a tenth; slot 0 stays none."""
    values = rng.normal(0, (10 * shape[2]) ** -0.5, shape)
    values[0] = 0
    return values


def _vocabulary(pack: ModelPack, network: str) -> int:
    path = pack.folder / network / "config.json"
    try:
        return int(msgspec.json.decode(path.read_bytes())["vocab_size"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError) as error:
        raise PackError(f"{path} does not say its vocab_size. Import the pack again.") from error


@contextmanager
def _cache_of(built: Built) -> Iterator[Path]:
    """A cache that holds this build alone, so that it is the one that a backend finds."""
    with TemporaryDirectory(prefix="likeness-") as folder:
        (Path(folder) / built.folder.name).symlink_to(built.folder.resolve(), target_is_directory=True)
        yield Path(folder)
