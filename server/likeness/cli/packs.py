"""`likeness packs import`: a checkpoint becomes a model pack."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from likeness_engines import ModelPack

ABOUT: Final = """Make a model pack of a Stable Diffusion checkpoint: weights in half precision where that is safe, and
one ONNX graph a network, each compared with PyTorch. An import that was stopped goes on when it is called again.
Needs the `export` extra."""


def add_import(packs: argparse.ArgumentParser) -> None:
    """Add the subcommand `import`."""
    commands = packs.add_subparsers(metavar="[COMMAND]")
    parser = commands.add_parser("import", help="make a model pack of a checkpoint", description=ABOUT)
    add = parser.add_argument
    add("checkpoint", metavar="CHECKPOINT", help="diffusers folder, .safetensors file, or hub id such as owner/name")
    add("--family", required=True, choices=("sd", "sdxl", "pix2pix"), help="Stable Diffusion 1.x, XL, InstructPix2Pix")
    add("--out", required=True, type=Path, metavar="DIR", help="a new folder for the pack")
    add("--config", type=Path, metavar="DIR", help="diffusers folder with the configurations of a .safetensors file")
    add("--ip-adapter", type=Path, metavar="FILE", help="IP-Adapter as safetensors, so that the pack is shown faces")
    add("--image-encoder", type=Path, metavar="DIR", help="the CLIP image encoder that the IP-Adapter was trained with")
    for option, whose in (("--licence", "checkpoint"), ("--ip-adapter-licence", "IP-Adapter")):
        add(option, metavar="NAME", help=f"the {whose}'s licence (default: as its README.md or its metadata states)")
    add("--image-encoder-licence", metavar="NAME", help="the image encoder's (default: as its README.md states)")
    add("--name", help="the pack's name (default: the checkpoint's)")
    add("--title", help="the pack's title (default: its name)")
    add("--author", help="who made the checkpoint (default: the hub id's owner)")
    add("--version", default="1", help="the pack's version (default 1)")
    names = "ddim, euler, euler-ancestral, dpm++2m, lcm"
    add("--scheduler", metavar="NAME", help=f"{names} (default: the checkpoint's own; dpm++2m for PNDM)")
    few = "4 where the schedule is a few-step one"
    add("--steps", type=int, metavar="N", help=f"default steps (default 20; {few})")
    add("--guidance", type=float, metavar="X", help="default guidance, 1 for none (default: the family's)")
    add("--strength", type=float, metavar="X", help="how much of the photo is redrawn, 0 to 1 (default: the family's)")
    add("--lora-slots", type=int, default=8, metavar="N", help="LoRAs that a batch can mix, with none (default 8)")
    add("--lora-rank", type=int, default=16, metavar="N", help="largest rank of a LoRA (default 16)")
    add("--feed-forward", action="store_true", help="LoRAs may change feed-forward layers too")
    parser.set_defaults(run=import_pack)


def import_pack(arguments: argparse.Namespace) -> int:
    """Import with progress, and say what became of it."""
    from likeness_engines.importing import ImportRequest, import_checkpoint  # noqa: PLC0415 - help must not wait

    given = {name: getattr(arguments, name) for name in ImportRequest.__struct_fields__ if hasattr(arguments, name)}
    with _progress() as report:
        pack = import_checkpoint(ImportRequest(**given), report)
    _summarise(pack)
    return 0


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What is said, with the seconds since the start; on a terminal the last of it goes on turning."""
    from rich.console import Console  # noqa: PLC0415

    console, started = Console(highlight=False), time.monotonic()
    with console.status("opening the checkpoint") as status:

        def report(message: str) -> None:
            console.print(f"{time.monotonic() - started:7.1f} s  {message}", markup=False, soft_wrap=True)
            status.update(message)

        yield report


def _summarise(pack: ModelPack) -> None:
    from likeness_engines.importing import read_errors  # noqa: PLC0415

    size = sum(path.stat().st_size for path in pack.folder.rglob("*") if path.is_file())
    worst = read_errors(pack).worst
    kept = f", in float32: {', '.join(pack.about.exact)}" if pack.about.exact else ""
    print(f"The pack {pack.name} {pack.version} is in {pack.folder}: {_readable(size)}{kept}")
    print(
        f"Its graphs compute what PyTorch does. Furthest off is {worst.output} of {worst.network}: by"
        f" {worst.max_abs:.1e}, of {worst.scale:.3g}. All of them are in errors.json."
    )
    licences: dict[str, Any] = pack.about.licences
    print("Licences: " + ", ".join(f"{part.replace('_', ' ')} {licence}" for part, licence in licences.items()))


def _readable(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size > 1e9 else f"{size / 1e6:.1f} MB"
