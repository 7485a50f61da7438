"""Not a benchmark: the style packs of `style_kit.py`, as `likeness styles new` makes them; with a LoRA if wanted, and
installed as pip would where they have code.
"""

from __future__ import annotations

import compileall
import shutil
from collections.abc import Iterator
from pathlib import Path

from likeness.cli.serve import prepare
from likeness.packs import describe_model_pack, load_catalogue
from likeness.safe import open_safe
from likeness.settings import Settings
from likeness.style_packs import install_folder
from likeness_plugins.new_pack import new_pack
from tests.style_packs.packs import write_lora

MODEL = describe_model_pack(None)


def make_data(name: str, folder: Path, *, lora: bool) -> Path:
    """A folder with style.toml and a preview; a LoRA has random weights of the full rank, in all layers of the bank."""
    data = new_pack(name, folder).parent
    if lora:
        write_lora(data / "style.safetensors", rank=MODEL.lora.rank)
        with (data / "style.toml").open("a") as description:
            description.write(f'\n[recipes.{MODEL.family}]\nlora = "style.safetensors"\n')
    return data


def install_data(data: Path, packs: Iterator[Path]) -> None:
    """A data folder, migrated, into which these are installed."""
    settings = Settings(data=data)
    prepare(settings)
    safe, base = open_safe(settings), load_catalogue()
    for pack in packs:
        install_folder(safe, settings, pack, base=base, model=MODEL)
    safe.close()


def install_code(name: str, project: Path, site: Path) -> None:
    """A pack with a hook of its own, in a folder of installed distributions."""
    module = new_pack(name, project, "code").parent
    shutil.copytree(module, site / module.name)
    compileall.compile_dir(site / module.name, quiet=1)
    info = site / f"likeness_{name.replace('-', '_')}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: likeness-{name}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[likeness]\n{name} = {module.name}\n")
    files = [path for folder in (site / module.name, info) for path in sorted(folder.rglob("*")) if path.is_file()]
    lines = [f"{path.relative_to(site)},,{path.stat().st_size}\n" for path in files]
    (info / "RECORD").write_text("".join([*lines, f"{info.name}/RECORD,,\n"]))
