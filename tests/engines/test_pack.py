"""Model packs: complete and undamaged, or refused in one sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from likeness_engines import PackError, bundled_pack, installed_packs, open_pack


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundled_pack().folder, tmp_path / "pack"))


def edit(pack: Path, old: str, new: str) -> None:
    description = pack / "pack.toml"
    text = description.read_text()
    assert old in text
    description.write_text(text.replace(old, new, 1))


def test_the_bundled_pack_is_within_its_budget() -> None:
    pack = bundled_pack()
    size = sum(path.stat().st_size for path in pack.folder.rglob("*") if path.is_file())
    assert pack.name == "miniature"
    assert pack.about.default_steps <= 8
    assert (pack.about.lora.slots, pack.about.lora.rank) == (8, 8)
    assert size <= 30_000_000
    assert pack.folder in set(installed_packs())


def test_a_copy_opens(copy: Path) -> None:
    assert open_pack(copy).about == bundled_pack().about


def test_every_file_but_the_description_is_listed() -> None:
    pack = bundled_pack()
    there = {str(path.relative_to(pack.folder)) for path in pack.folder.rglob("*") if path.is_file()}
    assert there - set(pack.about.files) == {"pack.toml"}


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "onnx" / "unet.onnx").unlink()
    with pytest.raises(PackError, match=r"lacks the file onnx/unet\.onnx\. Copy"):
        open_pack(copy)


def test_a_damaged_file_is_named(copy: Path) -> None:
    path = copy / "vae" / "diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(PackError, match=r"vae/diffusion_pytorch_model\.safetensors is damaged"):
        open_pack(copy)


def test_a_folder_without_a_pack(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"no model pack in .* pack\.toml is missing"):
        open_pack(tmp_path)


def test_an_unknown_key_is_named(copy: Path) -> None:
    edit(copy, "format = 2", "format = 2\ncolour = 3")
    with pytest.raises(PackError, match="colour"):
        open_pack(copy)


def test_another_format_is_refused(copy: Path) -> None:
    edit(copy, "format = 2", "format = 1")
    with pytest.raises(PackError, match="format 1"):
        open_pack(copy)


def test_broken_toml_is_refused(copy: Path) -> None:
    (copy / "pack.toml").write_bytes(b"\xff\xfe not toml")
    with pytest.raises(PackError, match="not a pack description"):
        open_pack(copy)


def test_files_outside_the_pack_are_refused(copy: Path) -> None:
    edit(copy, "[files]", '[files]\n"../../etc/passwd" = "0"')
    with pytest.raises(PackError, match="outside the pack"):
        open_pack(copy)
