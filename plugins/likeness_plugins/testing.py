"""The conformance kit: what a pack's author runs before shipping. Needs NumPy.

def test_my_pack():
    check_pack(my_pack)


def test_my_key_store():
    check_key_store(MyKeyStore(), MyKeyStore())
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pluggy

from likeness_plugins import hookspecs
from likeness_plugins.checks import style_problems
from likeness_plugins.key_store_checks import check_key_store
from likeness_plugins.refused_photos import RefusedPhotos
from likeness_plugins.style import Look, Style

__all__ = ["check_key_store", "check_pack", "sample_picture"]

SIDES = (64, 256)
LARGE_SIDE = 1024  # once a pack, since it takes its time
NOT_YOURS = "somebody-elses://keys"
SOMEBODYS = Style(
    "somebody-elses", "Somebody Else's", "A style of another pack.", (Look("look", "portrait"),), "MIT", "Somebody"
)


def check_pack(plugin: Any, vocabulary: set[str] | None = None) -> list[Style]:
    """Check a pack, a module or object with hooks, as the server would; returns its styles.

    With a `vocabulary`, every word of every prompt must be in it. Raises AssertionError with all problems.
    """
    styles, problems = examine_pack(plugin, vocabulary)
    assert not problems, "\n".join(problems)
    return styles


def examine_pack(plugin: Any, vocabulary: set[str] | None = None) -> tuple[list[Style], list[str]]:
    """A pack's valid styles, and its problems, one sentence each; what its code raises is raised."""
    problems = [*_hook_problems(plugin)]
    styles = plugin.likeness_styles() if hasattr(plugin, "likeness_styles") else []
    if not isinstance(styles, list | tuple):
        return [], [*problems, f"likeness_styles must return a list of Style, not {styles!r:.60}: correct the pack."]
    valid = []
    for style in styles:
        wrong = style_problems(style)
        problems += wrong
        valid += [style] * (not wrong)
    names = [style.name for style in valid]
    problems += [
        f"Two styles are called {name}: rename one." for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if vocabulary is not None:
        problems += [problem for style in valid for problem in _unknown_words(style, vocabulary)]
    if not problems:
        problems += _call_hooks(plugin, valid)
    return valid, problems


def sample_picture(seed: int = 0, side: int = SIDES[0]) -> Any:
    """A picture to try hooks on: uint8 [side, side, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def _hook_problems(plugin: Any) -> list[str]:
    """Hooks with names or parameters that no specification has, or without the marker."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    unmarked = [
        f"{name} is not marked: put @hookimpl above it."
        for name in dir(plugin)
        if name.startswith("likeness_")
        and callable(getattr(plugin, name))
        and not hasattr(getattr(plugin, name), "likeness_impl")
    ]
    try:
        manager.register(plugin, "pack")
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        return [*unmarked, f"{error}. Compare with the hooks in likeness_plugins.hookspecs."]
    return unmarked


def _unknown_words(style: Style, vocabulary: set[str]) -> list[str]:
    words = {word for look in style.looks for word in look.prompt.replace(",", " ").split()}
    return [
        f"The style {style.name} uses {word!r}, which the model does not know." for word in sorted(words - vocabulary)
    ]


def _call_hooks(plugin: Any, styles: list[Style]) -> list[str]:
    """Call the hooks, and look at what comes back; each call has a picture of its own, to spoil as it likes."""
    tried = (_avatar_problems(plugin, *trial) for trial in _trials(styles))
    problems = next((found for found in tried if found), [])
    _call(plugin, "likeness_prepare_reviews", {})
    photo, *crops = (sample_picture(seed, SIDES[-1]) for seed in range(4))
    reason = _call(plugin, "likeness_review_photo", {"photo": photo})
    problems += _reason_problems("likeness_review_photo", reason)
    reason = _call(plugin, "likeness_review_photos", {"crops": crops, "user": "somebody"})
    if not (isinstance(reason, RefusedPhotos) and reason.is_valid(len(crops))):
        problems += _reason_problems("likeness_review_photos", reason)
    if _call(plugin, "likeness_key_store", {"location": NOT_YOURS}) is not None:
        problems.append(f"likeness_key_store opened {NOT_YOURS}: return None for what you do not know.")
    return problems


def _trials(styles: list[Style]) -> Iterator[tuple[Style, Look, int]]:
    """The first and the last look of each style, with the side of a picture to try it on; a large one once. Hooks for
    avatars are called for everybody's styles.
    """
    for style in (*styles, SOMEBODYS):
        for look in (style.looks[0], style.looks[-1]):
            yield from ((style, look, side) for side in SIDES)
    style = (*styles, SOMEBODYS)[0]
    yield style, style.looks[0], LARGE_SIDE


def _avatar_problems(plugin: Any, style: Style, look: Look, side: int) -> list[str]:
    picture, about = sample_picture(side=side), {"style": style, "look": look}
    finished = _call(plugin, "likeness_finish_avatar", {"avatar": picture.copy(), **about})
    problems = []
    if finished is not None and _form(finished) != _form(picture):
        problems.append(
            f"likeness_finish_avatar returned {_form(finished)} for {_form(picture)} of the look {look.name}: keep"
            " shape and type."
        )
    reason = _call(plugin, "likeness_review_avatar", {"avatar": picture, **about})
    return problems + _reason_problems("likeness_review_avatar", reason)


def _form(picture: Any) -> str:
    """An array's type and shape; of anything else, what it is."""
    return f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else f"{picture!r:.60}"


def _call(plugin: Any, hook: str, arguments: dict[str, Any]) -> Any:
    if not hasattr(plugin, hook):
        return None
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, "pack")
    results = getattr(manager.hook, hook)(**arguments)
    return results[0] if results else None


def _reason_problems(hook: str, reason: Any) -> list[str]:
    if reason is None or (isinstance(reason, str) and reason.strip()):
        return []
    return [f"{hook} returned {reason!r:.60}: return a text for the user, or None."]
