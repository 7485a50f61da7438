"""A hook that hangs fails, and so do all hooks of its pack until it returns; other packs go on."""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from likeness_plugins import Look, PluginError, Style, discover, hookimpl
from likeness_plugins.catalogue import REFUSED_BY_FAILURE
from likeness_plugins.watchdog import HungError, Watchdog

PICTURE = np.zeros((8, 8, 3), np.uint8)
LOOK = Look("l", "p")
STYLE = Style("s", "S", "A style.", (LOOK,), "MIT", "Me")


def test_answers_and_errors_pass() -> None:
    watchdog = Watchdog(60.0)
    assert watchdog.call("pack", lambda: 7) == 7
    with pytest.raises(TimeoutError, match="of the hook"):
        watchdog.call("pack", lambda: raising(TimeoutError("of the hook")))


def raising(error: Exception) -> None:
    raise error


def test_a_pack_that_hangs_fails_at_once_until_it_returns_and_others_go_on() -> None:
    watchdog, release, started = Watchdog(0.05), threading.Event(), threading.Event()
    with pytest.raises(HungError, match="longer than"):
        watchdog.call("slow", lambda: (started.set(), release.wait()))
    assert started.wait(60)
    with pytest.raises(HungError, match="still hangs"):
        watchdog.call("slow", lambda: 7)
    assert Watchdog(60.0).call("fast", lambda: 7) == 7
    release.set()
    [hanging] = [each for each in threading.enumerate() if each.name == "hook of slow"]
    hanging.join()
    watchdog._most_s = 60.0
    assert watchdog.call("slow", lambda: 7) == 7


def test_a_hanging_finish_is_named_and_a_hanging_review_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def likeness_finish_avatar(avatar: Any) -> None:
        release.wait()

    def likeness_review_avatar(avatar: Any) -> None:
        return None

    pack = ModuleType("hanging")
    for hook in (likeness_finish_avatar, likeness_review_avatar):
        setattr(pack, hook.__name__, hookimpl(hook))
    monkeypatch.setitem(__import__("sys").modules, "hanging", pack)
    catalogue = discover([("hanging", "hanging")]).watched(0.05)
    with pytest.raises(PluginError, match="hanging failed to finish"):
        catalogue.finish_avatar(PICTURE, STYLE, LOOK)
    assert catalogue.review_avatar(PICTURE, STYLE, LOOK) == REFUSED_BY_FAILURE
    assert any("HungError" in each.sentence for each in catalogue.problems)
    release.set()
