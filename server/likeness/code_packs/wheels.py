"""Packs with code, as wheels: tried in a process of their own, then installed into this environment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from likeness.settings import Settings
from likeness.style_packs.errors import StylePackError
from likeness.style_packs.limits import style_problems_here
from likeness_engines import PackFile
from likeness_plugins import Catalogue
from likeness_plugins.pack_check import Checked, check_pack_source
from likeness_plugins.pack_source import PackSource


def install_wheel(
    wheel: Path, source: PackSource, settings: Settings, *, base: Catalogue, model: PackFile
) -> Iterator[str]:
    """Try the packs of a wheel, which `source` looks at, then let pip install it; says what was done. `base` is what is
    installed as code, `model` the model pack in use. Raises StylePackError.
    """
    try:
        distribution("pip")
    except PackageNotFoundError:
        raise StylePackError("This environment has no pip. Install the wheel with what made the environment.") from None
    for pack in check_pack_source(source):
        if problems := [*pack.problems, *_problems_here(pack, source, settings, base, model)]:
            raise StylePackError("\n".join([*problems, f"Nothing of {wheel.name} was installed."]))
        styles = ", ".join(style.name for style in pack.styles)
        yield f"Tried the pack {pack.name}: {styles or 'no styles, hooks alone'}."
    _pip(wheel)
    yield f"Installed {wheel.name} here. Servers and workers use it from their next start."


def _problems_here(
    pack: Checked, source: PackSource, settings: Settings, base: Catalogue, model: PackFile
) -> Iterator[str]:
    taken = {style: other for other in base.packs for style in other.styles}
    for style in pack.styles:
        other = taken.get(style.name)
        if other is not None and other.distribution != source.distribution:
            yield (
                f"The distribution {other.distribution} already has a style {style.name}: rename one of them, or remove"
                " that."
            )
        yield from style_problems_here(style, settings, model)


def _pip(wheel: Path) -> None:
    """A wheel runs no code when it is installed."""
    quiet = ("--quiet", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:")
    command = [sys.executable, "-m", "pip", "install", *quiet, str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the command is ours
    if done.returncode:
        raise StylePackError(f"pip could not install {wheel.name}:\n{done.stderr.strip()}")
