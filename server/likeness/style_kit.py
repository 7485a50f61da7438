"""What an author is told of a style pack: what any server would refuse, and what the bundled model makes of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from likeness.packs import BUILTIN_PACKS, describe_model_pack
from likeness_engines import BUNDLED_PACK, LoraError
from likeness_engines.lora_file import read_lora
from likeness_engines.text import Prompts
from likeness_plugins import Style
from likeness_plugins.discovery import builtin_packs, load_packs
from likeness_plugins.new_pack import NOBODY
from likeness_plugins.pack_check import check_pack_source
from likeness_plugins.pack_source import PackSource

CLIP_TOKENS: Final = 75
CLIP_WORDS: Final = re.compile(r"\w+|[^\w\s]+")  # each is a token or more


class Verdict(msgspec.Struct, frozen=True):
    """One pack: its valid styles, what must be put right, and what is worth knowing, one sentence each."""

    name: str
    styles: list[Style]
    problems: list[str]
    warnings: list[str]


def check_styles(source: PackSource) -> list[Verdict]:
    """Check all packs of a source; nothing else that is installed is imported."""
    builtin = load_packs(builtin_packs(BUILTIN_PACKS)).styles
    words = {word for style in builtin.values() for word in _words(style)}
    return [
        Verdict(
            name=pack.name,
            styles=pack.styles,
            problems=[*pack.problems, *(problem for style in pack.styles for problem in _problems(style, builtin))],
            warnings=[warning for style in pack.styles for warning in _warnings(style, words)],
        )
        for pack in check_pack_source(source)
    ]


def _problems(style: Style, builtin: Mapping[str, Style]) -> Iterator[str]:
    if style.name in builtin and not _is_same(style, builtin[style.name]):
        yield f"Likeness has a style {style.name} of its own: rename this one."
    model = describe_model_pack(None)
    lora = style.recipe(model.family).lora
    if lora is not None:
        try:
            read_lora(lora, model.lora)
        except LoraError as error:
            yield f"The {model.family} recipe of the style {style.name} does not fit {model.name}: {error}"


def _is_same(style: Style, builtin: Style) -> bool:
    """The built-in packs can be looked at too."""
    return style.preview is not None and style.preview == builtin.preview


def _warnings(style: Style, words: set[str]) -> Iterator[str]:
    if style.author == NOBODY:
        yield f"The author of the style {style.name} is {NOBODY}: put yours there before it is published."
    unknown = sorted(_words(style) - words)
    if unknown:
        yield (
            f"The style {style.name} uses {', '.join(unknown)}, which the bundled miniature does not know. Leave that"
            " to larger models, or use its words: `likeness styles new` writes them into style.toml."
        )
    yield from _cut(style)


def _cut(style: Style) -> Iterator[str]:
    """Prompts that are read in part, which nobody says when they are drawn."""
    length = describe_model_pack(None).prompt_length
    words = length - 2  # two tokens begin and end it
    miniature = Prompts(BUNDLED_PACK / "tokenizer", length + 1)
    readers: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
        ("the bundled miniature", f"{words} words and commas", lambda prompt: miniature.count(prompt) > words),
        ("Stable Diffusion", f"{CLIP_TOKENS} tokens", lambda prompt: len(CLIP_WORDS.findall(prompt)) > CLIP_TOKENS),
    )
    for reader, most, is_cut in readers:
        cut = [look.name for look in style.looks if is_cut(look.prompt)]
        if cut:
            yield (
                f"Of the prompts of {', '.join(cut)} in the style {style.name}, {reader} reads the beginning alone,"
                f" {most}: put first what it shall draw."
            )


def _words(style: Style) -> set[str]:
    """The miniature has no list of its words at hand, but the built-in looks use every one, which a test holds."""
    return {word for look in style.looks for word in look.prompt.replace(",", " ").split()}
