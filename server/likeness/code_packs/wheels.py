"""Packs with code, as wheels: tried in a process of their own, then installed into this environment."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, distributions
from pathlib import Path

from likeness.code_packs.probe import probe
from likeness.style_packs.errors import StylePackError
from likeness_plugins.discovery import GROUP


def install_wheel(wheel: Path) -> Iterator[str]:
    """Try the wheel's packs, then let pip install it; says what was done. Raises StylePackError."""
    try:
        distribution("pip")
    except PackageNotFoundError:
        raise StylePackError("This environment has no pip. Install the wheel with what made the environment.") from None
    if not wheel.is_file():
        raise StylePackError(f"There is no wheel {wheel}. Check its name.")
    with tempfile.TemporaryDirectory() as folder:
        _pip(wheel, "--no-deps", "--no-index", "--no-compile", "--target", folder)
        entries = [entry for each in distributions(path=[folder]) for entry in each.entry_points.select(group=GROUP)]
        if not entries:
            raise StylePackError(f'{wheel.name} is no pack: it has no entry point in the group "{GROUP}".')
        for entry in entries:
            yield _try(wheel, entry, Path(folder))
    _pip(wheel)
    yield f"Installed {wheel.name} here. Servers and workers use it from their next start."


def _try(wheel: Path, entry: EntryPoint, folder: Path) -> str:
    verdict = probe(entry.name, entry.value, [folder])
    if verdict is None:
        raise StylePackError(
            f"The pack {entry.name} of {wheel.name} hung, crashed or used too much memory when it was tried. Nothing"
            " was installed; use another version of it."
        )
    if verdict.problems:
        raise StylePackError(
            "\n".join(
                [*verdict.problems, f"Nothing of {wheel.name} was installed. If a module is missing, install it."]
            )
        )
    return f"Tried the pack {entry.name}: {', '.join(verdict.styles) or 'no styles, hooks alone'}."


def _pip(wheel: Path, *options: str) -> None:
    """A wheel runs no code when it is installed."""
    quiet = ("--quiet", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:")
    command = [sys.executable, "-m", "pip", "install", *quiet, *options, str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the command is ours
    if done.returncode:
        raise StylePackError(f"pip could not install {wheel.name}:\n{done.stderr.strip()}")
