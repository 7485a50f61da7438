"""The packs that the style kit is measured with: what a user's would be."""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path

from benchmarks.style_kit_packs import MODEL, install_code, make_data
from likeness_engines import lora_rank, read_lora
from likeness_plugins import style_from_folder


def test_a_pack_of_data_has_a_lora_of_full_rank_if_wanted(tmp_path: Path) -> None:
    plain, adapted = (style_from_folder(make_data("made", tmp_path / str(lora), lora=lora)) for lora in (False, True))
    assert plain.recipe(MODEL.family).lora is None
    lora = adapted.recipe(MODEL.family).lora
    assert lora is not None
    assert lora_rank(lora) == MODEL.lora.rank
    assert all(values.any() for values in read_lora(lora, MODEL.lora).arrays.values())


def test_a_pack_with_code_is_a_distribution_whose_files_are_known(tmp_path: Path) -> None:
    install_code("made-0", tmp_path / "project", tmp_path)
    [found] = distributions(path=[str(tmp_path)])
    assert [(entry.group, entry.name, entry.value) for entry in found.entry_points] == [
        ("likeness", "made-0", "made_0_pack")
    ]
    assert {file.name for file in found.files or ()} >= {"__init__.py", "style.toml", "preview.webp", "METADATA"}
    assert all(Path(str(file.locate())).is_file() for file in found.files or ())
