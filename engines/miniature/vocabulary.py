"""The words that the miniature understands, and the looks that they describe."""

from __future__ import annotations

import re
from typing import Final

import msgspec
import numpy as np

STYLES: Final = ("comic", "sketch", "neon", "watercolour", "oil")

COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "crimson": (214, 32, 62),
    "coral": (255, 116, 92),
    "orange": (250, 138, 24),
    "amber": (236, 172, 66),
    "gold": (255, 206, 52),
    "lime": (164, 216, 46),
    "green": (42, 146, 72),
    "teal": (0, 140, 138),
    "cyan": (26, 206, 230),
    "sky": (138, 196, 240),
    "blue": (38, 96, 222),
    "indigo": (46, 44, 122),
    "violet": (128, 62, 204),
    "magenta": (226, 40, 158),
    "pink": (250, 170, 196),
    "brown": (118, 72, 40),
    "grey": (140, 144, 150),
    "cream": (246, 234, 206),
    "white": (248, 248, 246),
    "black": (22, 22, 26),
}
INKS: Final = ("black", "indigo", "brown", "crimson", "teal", "violet", "green")
PAPERS: Final = ("white", "cream", "grey", "pink", "sky", "amber")

TEMPLATES: Final[dict[str, str]] = {
    "comic": "comic portrait, {a} and {b} {kind}, {touch} ink",
    "sketch": "sketch portrait, {a} ink on {b} paper, {kind}",
    "neon": "neon portrait, {a} and {b} glow, {kind}",
    "watercolour": "watercolour portrait, {a} and {b} wash, {kind} pigment",
    "oil": "oil portrait, {a} and {b} backdrop, {kind} light",
}
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "comic": ("sunburst", "dots", "stripes"),
    "sketch": ("crosshatch", "hatching", "stipple"),
    "neon": ("sun", "grid", "rings"),
    "watercolour": ("soft", "deep"),
    "oil": ("warm", "cool"),
}
TOUCHES: Final[dict[str, tuple[str, ...]]] = {"comic": ("fine", "bold")}


class LookWords(msgspec.Struct, frozen=True):
    """What a prompt says: two colours, the kind of backdrop or stroke, and, for comic, the weight of the ink."""

    style: str
    a: str
    b: str
    kind: str
    touch: str = ""

    @property
    def prompt(self) -> str:
        return TEMPLATES[self.style].format(a=self.a, b=self.b, kind=self.kind, touch=self.touch)


def draw_look(style: str, rng: np.random.Generator) -> LookWords:
    """Draw one look of a style, every word with the same chance."""
    first, second = (INKS, PAPERS) if style == "sketch" else (tuple(COLOURS), tuple(COLOURS))
    a = str(rng.choice(first))
    b = str(rng.choice([colour for colour in second if colour != a]))
    touch = str(rng.choice(TOUCHES[style])) if style in TOUCHES else ""
    return LookWords(style, a, b, str(rng.choice(KINDS[style])), touch)


def parse(prompt: str) -> LookWords:
    """Read a prompt back into its words; raises ValueError when it follows no template."""
    style = prompt.split(" ", 1)[0]
    pattern = re.escape(TEMPLATES.get(style, "")).replace(r"\{", "{").replace(r"\}", "}")
    found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>\\w+)", pattern), prompt)
    if not found or not style:
        raise ValueError(f"{prompt!r} follows none of the miniature's templates")
    return LookWords(style, **found.groupdict())


def words() -> list[str]:
    """Every word of every prompt, sorted: the tokenizer's vocabulary besides single letters."""
    fixed = " ".join(TEMPLATES.values()).replace(",", " , ")
    fixed_words = {word for word in fixed.split() if not word.startswith("{")}
    kinds = {kind for group in (*KINDS.values(), *TOUCHES.values()) for kind in group}
    return sorted(fixed_words | kinds | set(COLOURS))
