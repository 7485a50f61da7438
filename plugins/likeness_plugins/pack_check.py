"""Everything that a pack's author must put right; code of the pack runs in a process of its own, with limits."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from likeness_plugins.errors import StyleError
from likeness_plugins.folder import style_from_folder
from likeness_plugins.pack_source import Entry, PackSource
from likeness_plugins.style import Style
from likeness_plugins.trial import try_pack


class Checked(msgspec.Struct, frozen=True):
    """One pack of a source: its valid styles, and what must be put right, one sentence each."""

    name: str
    styles: list[Style]
    problems: list[str]


def check_pack_source(source: PackSource) -> list[Checked]:
    """Check every pack of a source as a server would, and that no file of a style lies elsewhere."""
    found = [_check(source, entry) for entry in source.entries] or [_check_folder(source.name, source)]
    seen: set[str] = set()
    checked = []
    for pack in found:
        problems = [*pack.problems, *_strays(pack, source), *_twice(pack, seen), *_versions(pack, source)]
        seen |= {style.name for style in pack.styles}
        checked.append(msgspec.structs.replace(pack, problems=problems))
    return checked


def _check(source: PackSource, entry: Entry) -> Checked:
    folder = source.data_folder(entry)
    if folder is not None:
        return _check_folder(entry.name, msgspec.structs.replace(source, root=folder))
    if source.module(entry) is None:
        return Checked(entry.name, [], [f"The module of {entry.name} = {entry.value!r} is not there: add or name it."])
    trial = try_pack(entry.name, entry.value, source.paths)
    return Checked(entry.name, trial.styles, trial.problems)


def _check_folder(name: str, source: PackSource) -> Checked:
    try:
        return Checked(name, [style_from_folder(source.root)], [])
    except StyleError as error:
        return Checked(name, [], list(error.problems))


def _strays(pack: Checked, source: PackSource) -> Iterator[str]:
    """Files of styles that lie elsewhere: on another machine they are not there."""
    for style in pack.styles:
        for path in (style.preview, *(recipe.lora for recipe in style.recipes.values())):
            if path is not None and not path.resolve().is_relative_to(source.root):
                yield f"The path {path} of the style {style.name} leads out of the pack: keep all files inside."


def _versions(pack: Checked, source: PackSource) -> Iterator[str]:
    """Of a style that is installed without code, its own version is what is listed."""
    if source.data_folders() is None or not source.version or source.distribution == "likeness":
        return
    for style in pack.styles:
        if style.version not in ("0", source.version):
            yield (
                f"The style {style.name} is version {style.version} and its project {source.version}: give both the"
                " same, or leave out the style's."
            )


def _twice(pack: Checked, seen: set[str]) -> Iterator[str]:
    for style in pack.styles:
        if style.name in seen:
            yield f"Another pack of this source already has a style {style.name}: rename one of them."
