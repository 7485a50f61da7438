"""`likeness styles new`, `check` and `preview`: the kit for whoever makes a style."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from likeness.style_kit import Verdict

NEW: Final = """Write a whole pack, to be changed: a style of twelve looks, a preview, a licence, a README, and around
them a project with tests. It passes `likeness styles check` as it comes, which is run at its end."""
CHECK: Final = """Say what an author must put right, one sentence each; 1 if there is anything. Code of a pack runs in a
process of its own, for up to a minute and in up to 4 GB: that is no sandbox, so check the code of those whom you trust.
A pack of data alone is read, and none of its code runs."""
PREVIEW: Final = """Draw every look of a pack's styles from sample photos on one sheet, and each style's preview, which
is its first look. The pack's own code runs here, once it has passed `check`, and its hooks for avatars in a process of
their own."""
PLACE: Final = "a folder with a style.toml or that file, a pack's project folder, a wheel, or an installed distribution"


def add_kit(commands: Any) -> None:
    """Add the subcommands to those of `likeness styles`."""
    new = commands.add_parser("new", help="write a new style pack", description=NEW)
    new.add_argument("name", metavar="NAME", help="the style's name: lower-case letters, digits, hyphens")
    kind = new.add_mutually_exclusive_group()
    about = "with a module that finishes avatars, not with data alone"
    kind.add_argument("--code", dest="kind", action="store_const", const="code", default="data", help=about)
    about = "the style's folder alone: no project, so nothing to build"
    kind.add_argument("--folder", dest="kind", action="store_const", const="folder", default="data", help=about)
    new.add_argument("--out", type=Path, metavar="DIR", help="a new folder for it (default ./NAME)")
    new.set_defaults(run=_run_new)
    check = commands.add_parser("check", help="say what is wrong with a style pack", description=CHECK)
    check.add_argument("pack", metavar="PACK", help=PLACE)
    check.set_defaults(run=_run_check)
    preview = commands.add_parser("preview", help="draw a style pack's looks", description=PREVIEW)
    preview.add_argument("pack", metavar="PACK", help=PLACE)
    preview.add_argument("--photos", type=Path, required=True, metavar="DIR", help="a folder of 3 to 10 photos")
    preview.add_argument("--out", type=Path, metavar="FILE", help="the sheet, a .webp (default ./PACK-sheet.webp)")
    preview.add_argument("--model", type=Path, metavar="DIR", help="model pack (default: the bundled miniature)")
    preview.set_defaults(run=_run_preview)


def _run_new(arguments: argparse.Namespace) -> int:
    from likeness.packs import load_catalogue  # noqa: PLC0415 - help must not wait
    from likeness_plugins import PackSourceError  # noqa: PLC0415
    from likeness_plugins.new_pack import new_pack  # noqa: PLC0415

    if arguments.name in load_catalogue().styles:
        raise PackSourceError(f"There is a style {arguments.name} already: choose another name.")
    folder = arguments.out or Path(arguments.name)
    described = new_pack(arguments.name, folder, arguments.kind)
    print(f"The pack is in {folder}. Edit {described}, which has its looks, then:")
    print(f"  likeness styles preview {folder} --photos DIR\n  likeness styles check {folder}")
    if arguments.kind == "code":
        print(f"  python -m build {folder}\n  likeness styles install {folder}/dist/*.whl")
    else:
        print(f"  likeness styles install {folder}")
    return _check(str(folder))


def _run_check(arguments: argparse.Namespace) -> int:
    return _check(arguments.pack)


def _check(place: str) -> int:
    from likeness.style_kit import check_styles  # noqa: PLC0415
    from likeness_plugins.pack_source import open_pack_source  # noqa: PLC0415

    with open_pack_source(place) as source:
        verdicts = check_styles(source)
    for verdict in verdicts:
        _print(verdict)
        if not verdict.problems:
            looks = ", ".join(f"{style.name} with {len(style.looks)} looks" for style in verdict.styles)
            print(f"{verdict.name}: nothing to put right ({looks or 'no styles, hooks alone'}).")
    return 1 if any(verdict.problems for verdict in verdicts) else 0


def _run_preview(arguments: argparse.Namespace) -> int:
    from likeness.cli.style_preview import preview_styles  # noqa: PLC0415
    from likeness.style_kit import check_styles  # noqa: PLC0415
    from likeness_plugins.pack_source import open_pack_source  # noqa: PLC0415

    with open_pack_source(arguments.pack) as source:
        verdicts = check_styles(source)
        for verdict in verdicts:
            _print(verdict)
        if any(verdict.problems for verdict in verdicts):
            return 1
        return preview_styles(source, arguments.photos, arguments.out, arguments.model)


def _print(verdict: Verdict) -> None:
    for problem in verdict.problems:
        print(f"{verdict.name}: {problem}", file=sys.stderr)
    for warning in verdict.warnings:
        print(f"{verdict.name}: Note: {warning}", file=sys.stderr)
