"""What is refused of style packs."""

from __future__ import annotations

from likeness.errors import LikenessError


class StylePackError(LikenessError):
    """A style pack cannot be installed, removed or used; the text names it and says what to do."""

    code = "bad_style_pack"
    exit_code = 2
