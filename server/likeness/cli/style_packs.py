"""`likeness styles`, `install` and `remove`: the styles of this installation, also those without code, which reach all
its processes while they run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likeness.settings import Settings

Read = Callable[[argparse.Namespace], "Settings"]
ABOUT = """Install a style without code, from a folder or a wheel, which all running servers and workers offer within
seconds; or a wheel with code, which is tried in a process of its own first, and used by what is started afterwards."""


def add_style_packs(styles: argparse.ArgumentParser, commands: Any, read: Read) -> None:
    """Add the list, and the subcommands to `commands`; `read` makes settings of the arguments."""
    styles.set_defaults(run=lambda arguments: list_installed(read(arguments), as_json=arguments.json))
    _add_place(styles, None)
    install_ = commands.add_parser("install", help="install a style pack, or another version of it", description=ABOUT)
    install_.add_argument("pack", type=Path, metavar="FOLDER_OR_WHEEL", help="a pack's folder, or its wheel")
    install_.set_defaults(run=lambda arguments: install(read(arguments), arguments.pack))
    remove_ = commands.add_parser("remove", help="offer a style no more; what is being drawn is finished")
    remove_.add_argument("name", metavar="NAME", help="the style's name")
    remove_.set_defaults(run=lambda arguments: remove(read(arguments), arguments.name))
    for command in (install_, remove_):
        _add_place(command, argparse.SUPPRESS)
    schema = commands.add_parser("schema", help="print the JSON Schema of style.toml")
    schema.set_defaults(run=lambda _: print_schema())


def list_installed(settings: Settings, *, as_json: bool) -> int:
    """Print all styles of the installation; 1 when a pack has a problem."""
    from likeness.cli.installation import installed_styles  # noqa: PLC0415 - help must not wait
    from likeness.cli.listing import list_styles  # noqa: PLC0415
    from likeness.database import UnavailableError  # noqa: PLC0415
    from likeness.packs import load_catalogue  # noqa: PLC0415

    catalogue, unknown = load_catalogue(), ""
    try:
        catalogue = installed_styles(settings, catalogue)
    except UnavailableError as error:
        unknown = f"Styles that were installed without code are not listed. {error}"
    code = list_styles(catalogue, as_json=as_json)
    if unknown:
        print(unknown, file=sys.stderr)
    return 1 if unknown else code


def install(settings: Settings, pack: Path) -> int:
    """Install a pack of data alone for all processes of the installation, or one with code into this environment."""
    from likeness.cli.installation import model_in_use, open_installation  # noqa: PLC0415
    from likeness.code_packs.wheels import install_wheel  # noqa: PLC0415
    from likeness.packs import load_catalogue  # noqa: PLC0415
    from likeness.style_packs import StylePackError, install_folder  # noqa: PLC0415
    from likeness_plugins.pack_source import open_pack_source  # noqa: PLC0415

    if not pack.exists():
        raise StylePackError(f"There is no folder or wheel {pack}. Check its name.")
    base, model = load_catalogue(), model_in_use(settings)
    with open_pack_source(str(pack)) as source:
        folders = source.data_folders()
        if folders is None and pack.is_dir():
            raise StylePackError(f"{pack} has code. Build its wheel with `python -m build {pack}`, and install that.")
        if folders is None:
            for line in install_wheel(pack, source, settings, base=base, model=model):
                print(line)
            return 0
        with closing(open_installation(settings)) as safe:
            for folder in folders:
                new = install_folder(safe, settings, folder, base=base, model=model)
                print(f"Installed {new.name} {new.version}. Running servers and workers offer it within two seconds.")
    return 0


def remove(settings: Settings, name: str) -> int:
    """Withdraw a style from all processes of the installation."""
    from likeness.cli.installation import open_installation  # noqa: PLC0415
    from likeness.packs import load_catalogue  # noqa: PLC0415
    from likeness.style_packs import remove as withdraw  # noqa: PLC0415

    with closing(open_installation(settings)) as safe:
        gone = withdraw(safe, name, base=load_catalogue())
    print(f"Removed {gone.name} {gone.version}. What was begun with it is finished; its files go in two hours.")
    return 0


def print_schema() -> int:
    """The JSON Schema of style.toml."""
    from likeness_plugins.schema import schema_text  # noqa: PLC0415

    sys.stdout.write(schema_text())
    return 0


def _add_place(command: argparse.ArgumentParser, default: object) -> None:
    """Where the installation is; said before or after a subcommand."""
    about = "data folder (default ./likeness-data)"
    command.add_argument("--data", type=Path, default=default, metavar="DIR", help=about)
    about = "settings as TOML; see `likeness settings`"
    command.add_argument("--config", type=Path, default=default, metavar="FILE", help=about)
