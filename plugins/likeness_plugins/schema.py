"""`style.toml` as JSON Schema, for editors: `style.schema.json` beside this file is its text."""

from __future__ import annotations

from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from likeness_plugins.checks import FAMILIES
from likeness_plugins.style import Style


def style_schema() -> dict[str, Any]:
    """The schema of the file's keys; paths are texts, relative to the folder."""
    [top], parts = msgspec.json.schema_components([Style], schema_hook=_path, ref_template="#/$defs/{name}")
    for part in parts.values():  # releases of msgspec differ in how they indent a docstring
        part["description"] = cleandoc(part["description"])
    style = parts.pop("Style")
    style["properties"]["recipes"]["propertyNames"] = {"enum": list(FAMILIES)}
    assert top == {"$ref": "#/$defs/Style"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **style, "$defs": parts}


def schema_text() -> str:
    """As it is printed and kept."""
    return msgspec.json.format(msgspec.json.encode(style_schema()), indent=2).decode() + "\n"


def _path(kind: type) -> dict[str, Any]:
    if kind is Path:
        return {"type": "string"}
    raise NotImplementedError
