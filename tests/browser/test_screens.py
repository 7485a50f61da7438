"""Each screen, wide and on a phone, light and dark: no barrier that axe finds, nothing wider than the screen."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import AVATARS, Finished, Studios
from tests.browser.studio import REFUSED, Studio, expect

LOOKS = [(1440, "light"), (1440, "dark"), (360, "light"), (360, "dark")]
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def screens(mine: Studio, finished: Finished, portraits: list[Path]) -> dict[str, Callable[[], Any]]:
    """By name, how each is reached, until what is on it is there."""
    get = mine.get

    def chosen() -> None:
        mine.open("/")
        mine.choose(*portraits)
        get("consent").check()

    def caption() -> None:
        mine.open(f"{finished.route}/0")
        get("viewer-story").click()
        expect(mine.page.get_by_label("Caption")).to_be_visible()

    def viewer() -> None:
        mine.open(f"{finished.route}/2")
        expect(get("viewer-image")).to_be_visible()

    return {
        "start": chosen,
        "avatars": lambda: mine.open(finished.route).drawn(AVATARS),
        "viewer": viewer,
        "caption": caption,
        "gallery": lambda: expect(mine.open("/gallery").get("saved")).to_have_count(2),
        "picture": lambda: expect(mine.open("/picture").page.get_by_alt_text("Your profile picture")).to_be_visible(),
        "stories": lambda: expect(mine.open("/stories").get("story")).to_have_count(1),
        "styles": lambda: expect(mine.open("/styles").get("trend-comic")).to_be_visible(),
        "account": lambda: expect(mine.open("/account").page.locator(".lead")).to_contain_text("left today"),
        "lost": lambda: expect(mine.open("/nowhere").get("empty")).to_be_visible(),
    }


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_screen(studio: Studios, finished: Finished, portraits: list[Path], width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install -e .[dev]").Axe()
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "reduced_motion": "reduce"}
    mine = studio(finished.token, **options, has_touch=width < 500)
    found: dict[str, str] = {}
    wide: dict[str, int] = {}
    for name, reach in screens(mine, finished, portraits).items():
        reach()
        mine.shoot(f"{name}-{width}-{scheme}")
        results = axe.run(mine.page)
        if results.violations_count:
            found[name] = results.generate_report()
        if over := mine.page.evaluate(WIDER):
            wide[name] = over
        mine.page.goto("about:blank")  # a screen begins anew
    assert not found, "\n".join(f"{name}: {report}" for name, report in found.items())
    assert not wide


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screens_that_say_no(studio: Studios, portraits: list[Path], faceless: Path, scheme: str) -> None:
    """The sign-in, and a photo that is refused."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install -e .[dev]").Axe()
    theirs = studio("", viewport={"width": 360, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    theirs.forgiven += [REFUSED]
    expect(theirs.get("sign-in-screen")).to_be_visible()
    mine = studio(viewport={"width": 360, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    mine.forgiven += [REFUSED]
    mine.choose(portraits[0], faceless)
    expect(mine.photos("bad")).to_have_count(1)
    for each in (theirs, mine):
        results = axe.run(each.page)
        assert not results.violations_count, results.generate_report()
        assert each.page.evaluate(WIDER) == 0


def test_what_these_tests_rely_on_would_tell(studio: Studios) -> None:
    """Axe works under the page's policy, and what that forbids is noticed."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install -e .[dev]").Axe()
    mine = studio()
    mine.page.evaluate("document.documentElement.removeAttribute('lang')")
    assert "html-has-lang" in axe.run(mine.page).generate_report()
    mine.forgiven += ["Content Security Policy", "TrustedHTML", "Trusted Type"]
    mine.page.evaluate("() => { const image = new Image(); image.src = 'https://elsewhere.example/'; }")
    mine.page.wait_for_function("window.violations.length")
    assert "img-src" in mine.complaints()[-1]
    mine.page.evaluate("window.violations = []")


def test_dark_is_dark(studio: Studios) -> None:
    def brightness(scheme: str) -> float:
        mine = studio(color_scheme=scheme)
        pixels = np.asarray(Image.open(io.BytesIO(mine.page.screenshot(animations="disabled"))).convert("L"))
        return float(np.median(pixels))

    assert brightness("light") > 200
    assert brightness("dark") < 60
