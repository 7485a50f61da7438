"""Parsing the command line, and turning every known error into one sentence and an exit code."""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness import __version__
from likeness.cli.audit import add_audit
from likeness.cli.packs import add_import
from likeness.cli.style_packs import add_style_packs
from likeness.cli.styles import add_kit
from likeness.cli.webhooks import add_webhooks

if TYPE_CHECKING:
    from likeness.settings import Settings

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, 1 for a failure, 2 for a wrong call or a refused photo, 130 after Ctrl-C."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be UTF-8
    arguments = _parser().parse_args(argv)
    from likeness.errors import LikenessError  # noqa: PLC0415 - `--help` must not wait for NumPy
    from likeness_engines import EngineError  # noqa: PLC0415
    from likeness_plugins import PluginError  # noqa: PLC0415

    try:
        return int(arguments.run(arguments))
    except LikenessError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except (EngineError, PluginError) as error:
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
    styles = commands.add_parser("styles", help="list styles, install one, or make one")
    packs = commands.add_parser("packs", help="list model packs, or import one")
    for command in (styles, packs):
        command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    of_styles = styles.add_subparsers(metavar="[COMMAND]")
    add_kit(of_styles)
    add_style_packs(styles, of_styles, _settings)
    packs.set_defaults(run=_run_packs)
    add_import(packs)
    _add_engines(commands.add_parser("engines", help="build, list and verify engines for this machine"))
    _add_provenance(commands.add_parser("provenance", help="say whether a model made a picture, and who signed that"))
    _add_server(commands)
    add_audit(commands, _settings)
    add_webhooks(commands, _settings)
    return parser


def _add_provenance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="pictures, of Likeness or anyone else")
    parser.add_argument("--json", action="store_true", help="print JSON instead of sentences")
    trust = "certificates (PEM) of authorities to believe; without it every signer is unknown"
    parser.add_argument("--trust", type=Path, metavar="FILE", help=trust)
    parser.set_defaults(run=_run_provenance)


def _add_engines(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="build a pack's engines ahead, for this machine and library version")
    build.add_argument("pack", metavar="PACK", help="a model pack's folder, or an installed one's name")
    build.add_argument("--backend", required=True, metavar="NAME", help="tensorrt, torch or onnxruntime")
    build.add_argument("--rows", type=_between(1, 1000), required=True, metavar="N", help="rows of the largest batch")
    build.add_argument("--precision", choices=("fp16", "bf16", "fp8", "fp32"), help="default: this device's best")
    build.set_defaults(run=_run_engines_build)
    listing = commands.add_parser("list", help="list built engines, and which of them this machine can use")
    listing.add_argument("--json", action="store_true", help="print JSON instead of a table")
    listing.set_defaults(run=_run_engines_list)
    verify = commands.add_parser("verify", help="compare built engines with the pack's graphs")
    verify.add_argument("pack", nargs="?", metavar="PACK", help="this pack's alone (default: all)")
    verify.set_defaults(run=_run_engines_verify)
    for command in (build, listing, verify):
        where = "folder of built engines (default $LIKENESS_ENGINE_CACHE, or ~/.cache/likeness/engines)"
        command.add_argument("--cache", type=Path, metavar="DIR", help=where)


def _add_server(commands: Any) -> None:
    serve = commands.add_parser("serve", help="serve the API, with one worker beside it")
    serve.add_argument("--host", metavar="ADDRESS", help="address to listen on (default 127.0.0.1)")
    serve.add_argument("--port", metavar="N", help="port to listen on (default 8000; 0 picks a free one)")
    serve.add_argument("--no-worker", action="store_true", help="serve the API alone; workers run elsewhere")
    serve.set_defaults(run=_run_serve)
    worker = commands.add_parser("worker", help="draw generations from the queue")
    worker.set_defaults(run=_run_worker)
    token = commands.add_parser("token", help="make a token of the platform's, for trying")
    token.add_argument("subject", metavar="USER", help="who it is for: the token's `sub`")
    token.add_argument("--tier", choices=("lite", "plus"), default="lite", help="the user's plan (default lite)")
    token.add_argument("--region", default="", metavar="CODE", help="the user's region")
    token.add_argument("--hours", type=float, default=1.0, metavar="N", help="how long it is valid (default 1)")
    token.set_defaults(run=_run_token)
    purge = commands.add_parser("purge", help="erase what is past its deadline now, or everything of one user")
    purge.add_argument("--user", metavar="USER", help="erase everything of this user (the token's `sub`)")
    purge.set_defaults(run=_run_purge)
    database = commands.add_parser("database", help="upgrade the database's tables").add_subparsers(
        required=True, metavar="COMMAND"
    )
    upgrade = database.add_parser("upgrade", help="bring the tables to this version's form, once before a new version")
    upgrade.set_defaults(run=_run_upgrade)
    for command in (serve, worker, token, purge, upgrade):
        command.add_argument("--data", type=Path, metavar="DIR", help="data folder (default ./likeness-data)")
        command.add_argument("--config", type=Path, metavar="FILE", help="settings as TOML; see `likeness settings`")
    receipt = commands.add_parser("receipt", help="check a receipt of deletion").add_subparsers(
        required=True, metavar="COMMAND"
    )
    verify = receipt.add_parser("verify", help="check a receipt's signature and print what it says")
    verify.add_argument("receipt", type=Path, metavar="FILE", help="the answer of GET /v1/generations/{id}/receipt")
    verify.add_argument("--keys", type=Path, required=True, metavar="FILE", help="the answer of GET /v1/receipts/keys")
    verify.set_defaults(run=_run_verify)
    settings = commands.add_parser("settings", help="list all settings with their defaults")
    settings.add_argument("--json", action="store_true", help="print JSON instead of a table")
    settings.set_defaults(run=_run_settings)


def _add_render(parser: argparse.ArgumentParser) -> None:
    kinds = "3 to 10 photos, JPEG, PNG, WebP, AVIF or HEIC"
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help=kinds)
    parser.add_argument("--styles", type=_names, metavar="A,B", help="styles by name (default: the five built-in ones)")
    parser.add_argument("--count", type=_between(1, 300), default=30, metavar="N", help="how many avatars (default 30)")
    parser.add_argument("--steps", type=_between(1, 50), metavar="N", help="denoising steps (default: the pack's)")
    parser.add_argument("--seed", type=_between(0, 2**32 - 1), metavar="N", help="makes a run repeatable")
    installation = "data folder in which styles without code are installed (default ./likeness-data)"
    parser.add_argument("--data", type=Path, metavar="DIR", help=installation)
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of that installation as TOML")
    parser.add_argument("--pack", type=Path, metavar="DIR", help="model pack (default: the bundled miniature)")
    parser.add_argument(
        "--backend",
        default="onnxruntime",
        metavar="NAME",
        help="what runs the networks: onnxruntime (default), openvino, tensorrt, torch",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="an empty or new folder (default: ./avatars, avatars-2, ...)"
    )
    for name, about in (("certificate", "certificates to sign avatars with"), ("key", "the first one's private key")):
        default = os.environ.get(f"LIKENESS_C2PA_{name.upper()}", "")
        parser.add_argument(f"--{name}", default=default, metavar="FILE", help=f"PEM file of the {about}")
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
        certificate=arguments.certificate,
        key=arguments.key,
    )
    return render(command, lambda: _settings(arguments))


def _run_provenance(arguments: argparse.Namespace) -> int:
    from likeness.cli.provenance import show_provenance  # noqa: PLC0415

    return show_provenance(arguments.files, arguments.trust, as_json=arguments.json)


def _run_packs(arguments: argparse.Namespace) -> int:
    from likeness.cli.listing import list_packs  # noqa: PLC0415

    return list_packs(as_json=arguments.json)


def _run_engines_build(arguments: argparse.Namespace) -> int:
    from likeness.cli.engines import build, default_cache  # noqa: PLC0415

    cache = default_cache(arguments.cache)
    return build(arguments.pack, arguments.backend, arguments.rows, arguments.precision, cache)


def _run_engines_list(arguments: argparse.Namespace) -> int:
    from likeness.cli.engine_list import list_engines  # noqa: PLC0415
    from likeness.cli.engines import default_cache  # noqa: PLC0415

    return list_engines(default_cache(arguments.cache), as_json=arguments.json)


def _run_engines_verify(arguments: argparse.Namespace) -> int:
    from likeness.cli.engines import default_cache, verify  # noqa: PLC0415

    return verify(arguments.pack, default_cache(arguments.cache))


def _settings(arguments: argparse.Namespace) -> Settings:
    from likeness.settings import read_settings  # noqa: PLC0415

    given = {name: getattr(arguments, name, None) for name in ("host", "port", "data")}
    with warnings.catch_warnings(record=True) as unknown:
        warnings.simplefilter("always")
        settings = read_settings(given, arguments.config)
    for warning in unknown:
        print(warning.message, file=sys.stderr)
    return settings


def _run_serve(arguments: argparse.Namespace) -> int:
    from likeness.cli.serve import serve  # noqa: PLC0415

    return serve(_settings(arguments), worker=not arguments.no_worker)


def _run_worker(arguments: argparse.Namespace) -> int:
    from likeness.cli.operate import work  # noqa: PLC0415

    return work(_settings(arguments))


def _run_upgrade(arguments: argparse.Namespace) -> int:
    from likeness.cli.operate import upgrade_database  # noqa: PLC0415

    return upgrade_database(_settings(arguments))


def _run_token(arguments: argparse.Namespace) -> int:
    from likeness.cli.operate import make_token  # noqa: PLC0415

    return make_token(_settings(arguments), arguments.subject, arguments.tier, arguments.region, arguments.hours)


def _run_purge(arguments: argparse.Namespace) -> int:
    from likeness.cli.operate import purge  # noqa: PLC0415

    return purge(_settings(arguments), arguments.user)


def _run_verify(arguments: argparse.Namespace) -> int:
    from likeness.cli.operate import verify  # noqa: PLC0415

    return verify(arguments.receipt, arguments.keys)


def _run_settings(arguments: argparse.Namespace) -> int:
    from likeness.cli.operate import show_settings  # noqa: PLC0415

    return show_settings(arguments.json)
