"""Parsing the command line, and turning every known error into one sentence and an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from likeness import __version__

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, 1 for a failure, 2 for a wrong call or a refused photo, 130 after Ctrl-C."""
    arguments = _parser().parse_args(argv)
    from likeness.errors import LikenessError  # noqa: PLC0415 - `--help` must not wait for NumPy
    from likeness_engines import EngineError  # noqa: PLC0415

    try:
        return int(arguments.run(arguments))
    except LikenessError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, `head` for one, has gone: nothing is left to say. Python would complain once more at exit.
        sys.stderr.close()
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="likeness", description="Avatars in many styles from a few photos of a person."
    )
    parser.add_argument("--version", action="version", version=f"likeness {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_render(commands.add_parser("render", help="draw avatars from 3 to 10 photos of one person"))
    for name, about in (("styles", "list the installed styles"), ("packs", "list the installed model packs")):
        command = commands.add_parser(name, help=about)
        command.add_argument("--json", action="store_true", help="print JSON instead of a table")
        command.set_defaults(run=_run_styles if name == "styles" else _run_packs)
    return parser


def _add_render(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="3 to 10 photos, JPEG, PNG, WebP or AVIF")
    parser.add_argument("--styles", type=_names, metavar="A,B", help="styles by name (default: the five built-in ones)")
    parser.add_argument("--count", type=_between(1, 300), default=30, metavar="N", help="how many avatars (default 30)")
    parser.add_argument("--steps", type=_between(1, 50), metavar="N", help="denoising steps (default: the pack's)")
    parser.add_argument("--seed", type=_between(0, 2**32 - 1), metavar="N", help="makes a run repeatable")
    parser.add_argument("--pack", type=Path, metavar="DIR", help="model pack (default: the bundled miniature)")
    parser.add_argument(
        "--backend",
        default="onnxruntime",
        metavar="NAME",
        help="what runs the networks: onnxruntime (default), openvino",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="an empty or new folder (default: ./avatars, avatars-2, ...)"
    )
    parser.set_defaults(run=_run_render)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError("name at least one style, such as comic,neon")
    return names


class _between:  # noqa: N801 - used like a function; a class so that argparse shows `int` in its message
    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = self._low - 1
        if not self._low <= value <= self._high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {self._low} to {self._high}")
        return value


def _run_render(arguments: argparse.Namespace) -> int:
    from likeness.cli.render import RenderCommand, render  # noqa: PLC0415

    command = RenderCommand(
        photos=arguments.photos,
        styles=arguments.styles,
        count=arguments.count,
        steps=arguments.steps,
        seed=arguments.seed,
        pack=arguments.pack,
        backend=arguments.backend,
        out=arguments.out,
    )
    return render(command)


def _run_styles(arguments: argparse.Namespace) -> int:
    from likeness.cli.listing import list_styles  # noqa: PLC0415

    return list_styles(as_json=arguments.json)


def _run_packs(arguments: argparse.Namespace) -> int:
    from likeness.cli.listing import list_packs  # noqa: PLC0415

    return list_packs(as_json=arguments.json)
