"""Writing `pack.toml`: the description of a pack, with the sha256 of every other file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from likeness_engines.pack import PackFile, file_digest


def seal_pack(folder: Path, about: PackFile) -> None:
    """Write `pack.toml`; once more after adding a file, such as a preview."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / "pack.toml")
    files = {str(path.relative_to(folder)): file_digest(path) for path in paths}
    sealed = msgspec.structs.replace(about, files=files)
    (folder / "pack.toml").write_text("\n".join(_lines(msgspec.to_builtins(sealed))) + "\n")


def _lines(description: dict[str, Any]) -> Iterator[str]:
    """The standard library reads TOML but does not write it. Values come first: below a heading they are its own."""
    tables = {key: value for key, value in description.items() if isinstance(value, dict)}
    for key, value in description.items():
        if value is not None and key not in tables:
            yield f"{key} = {_value(value)}"
    for heading in sorted(tables, key=lambda name: name == "files"):
        yield from ("", f"[{heading}]")
        for key, value in tables[heading].items():
            yield f"{key if key.isascii() and key.isidentifier() else _value(key)} = {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + "".join(f"    {_inline(each)},\n" for each in value) + "]"
    # A TOML basic string, an array of numbers and a number are all written as JSON writes them, but for one character.
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


def _inline(table: dict[str, Any]) -> str:
    return "{ " + ", ".join(f"{key} = {_value(value)}" for key, value in table.items()) + " }"
