"""`likeness engines build` and `verify`: engines that are built ahead, for one device and library version."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from likeness_engines import (
    BackendError,
    EngineError,
    ModelPack,
    PackError,
    create_compiler,
    installed_packs,
    open_pack,
)
from likeness_engines.backends.base import Precision
from likeness_engines.building import Report, build_engines, whole_build
from likeness_engines.built import Built, BuiltNetwork, cache_folder, list_built
from likeness_engines.memory import Estimate, check_memory, gigabytes, megabytes
from likeness_engines.verify import Verdict, verify_built, why_not_here

CACHE_VARIABLE: Final = "LIKENESS_ENGINE_CACHE"


def build(pack_name: str, backend: str, rows: int, precision: Precision | None, cache: Path | None) -> int:
    """Build a pack's engines for this machine; says beforehand how much memory they will take, and refuses when that
    is more than there is.
    """
    pack, compiler = open_named_pack(pack_name), create_compiler(backend)
    target, console = compiler.target(rows, precision), Console(highlight=False)
    console.print(
        f"{pack.name} {pack.version} for {target.backend} {target.version} on {target.device}, {target.precision},"
        f" up to {rows} rows",
        soft_wrap=True,
    )
    built = whole_build(pack, target, cache)
    if built is not None:
        console.print("These engines are there already, and whole.")
    else:
        free = compiler.free_memory()
        _print_estimate(console, check_memory(pack, target, free), free)
        with _progress(console, len(pack.networks)) as report:
            built = build_engines(pack, compiler, target, cache, report)
    seconds = sum(network.seconds for network in built.about.networks.values())
    console.print(f"Built in {seconds:.1f} s, {megabytes(built.bytes)}:\n  {built.folder}", soft_wrap=True)
    return 0


def verify(pack_name: str | None, cache: Path | None) -> int:
    """Compare built engines with the reference; 1 when one differs, is damaged, or none could be compared."""
    pack = None if pack_name is None else open_named_pack(pack_name)
    chosen = [built for built in list_built(cache) if pack is None or built.about.pack == pack.name]
    if not chosen:
        what = "There are no engines" if pack is None else f"There are no engines of {pack.name}"
        raise BackendError(f"{what} in {cache_folder(cache)}. Build some with `likeness engines build`.")
    results = [_verify(built, pack) for built in chosen]
    return 0 if all(result is not False for result in results) and True in results else 1


def default_cache(given: Path | None) -> Path | None:
    """The folder of engines that a command works on: as the server's setting says, None for the user's own."""
    told = os.environ.get(CACHE_VARIABLE)
    return given or (Path(told) if told else None)


def open_named_pack(name: str) -> ModelPack:
    """Open the pack in a folder, or an installed one by its name."""
    if (Path(name) / "pack.toml").is_file():
        return open_pack(Path(name))
    installed = {folder.name: folder for folder in installed_packs()}
    if name in installed:
        return open_pack(installed[name])
    raise PackError(
        f"There is no model pack {name!r}. Name a folder that has a pack.toml, or one of {', '.join(installed)}."
    )


def _print_estimate(console: Console, estimate: Estimate, free: int) -> None:
    weights = sum(network.weights for network in estimate.networks.values())
    unknown = sum(network.unknown for network in estimate.networks.values())
    console.print(
        f"Memory, estimated: {gigabytes(estimate.total)} of {gigabytes(free)} free (weights {gigabytes(weights)}, LoRA"
        f" bank {gigabytes(estimate.bank)}, activations {gigabytes(estimate.total - weights - estimate.bank)})",
        soft_wrap=True,
    )
    if unknown:
        console.print(f"Not counted: {unknown} tensors whose size depends on what the network is given.")


@contextmanager
def _progress(console: Console, networks: int) -> Iterator[Report]:
    """A bar on a terminal; everywhere, a line for each network that is there."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Building", total=networks)

        def report(network: str, built: BuiltNetwork | None) -> None:
            if built is None:
                progress.update(task, description=f"Building {network}")
            else:
                console.print(f"  {network:<16} {built.seconds:8.1f} s  {megabytes(built.bytes):>12}")
                progress.advance(task)

        yield report


def _verify(built: Built, pack: ModelPack | None) -> bool | None:
    """Print one build's verdicts; whether all are good, None where this machine cannot run it."""
    print(built.folder.name)
    problem = why_not_here(built.target)
    if problem:
        print(f"  not compared: {problem}")
        return None
    good = True
    try:
        for verdict in verify_built(built, pack or open_named_pack(built.about.source)):
            print(_sentence(verdict))
            good = good and verdict.good
    except EngineError as error:
        print(error, file=sys.stderr)
        return False
    return good


def _sentence(verdict: Verdict) -> str:
    word = "good" if verdict.good else "DIFFERS"
    return f"  {verdict.network:<16} largest error {verdict.largest:.1e}, mean {verdict.mean:.1e}: {word}"
