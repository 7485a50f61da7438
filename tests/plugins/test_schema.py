"""The schema of `style.toml`: the file beside the code is what is printed, and says what the code does."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

import likeness_plugins
from likeness.cli import main
from likeness_plugins.schema import schema_text, style_schema
from likeness_plugins.style import Look, Recipe, Style

FILE = Path(likeness_plugins.__file__).with_name("style.schema.json")
STYLES = Path(__file__).parent.parent.parent / "tests" / "foreign_pack"


def test_the_file_is_the_codes_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert FILE.read_text() == schema_text()
    assert main(["styles", "schema"]) == 0
    assert capsys.readouterr().out == schema_text()


def test_how_msgspec_indents_a_docstring_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    real = msgspec.json.schema_components

    def indented(*arguments: Any, **options: Any) -> Any:
        top, parts = real(*arguments, **options)
        for kind in (Style, Look, Recipe):
            parts[kind.__name__]["description"] = kind.__doc__
        return top, parts

    before = schema_text()
    monkeypatch.setattr(msgspec.json, "schema_components", indented)
    assert schema_text() == before
    assert "\n " not in style_schema()["description"]


def test_it_names_every_key_and_no_other() -> None:
    schema = style_schema()
    described = {"Style": schema, **schema["$defs"]}
    for kind in (Style, Look, Recipe):
        assert set(described[kind.__name__]["properties"]) == set(kind.__struct_fields__)
        assert described[kind.__name__]["additionalProperties"] is False


def test_a_shipped_style_is_valid_and_an_unknown_key_is_not() -> None:
    [file, *_] = STYLES.rglob("style.toml")
    style = tomllib.loads(file.read_text())
    jsonschema.validate(style, style_schema())
    for wrong in ({"colour": "red"}, {"looks": []}, {"recipes": {"sd": {"steps": 10000}}}, {"recipes": {"flux": {}}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**style, **wrong}, style_schema())
