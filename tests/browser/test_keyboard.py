"""Without a mouse: the first page, the tiles, the viewer, the dialogs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.browser.conftest import AVATARS, Studios
from tests.browser.studio import Studio, expect

MOST_STEPS = 80


def tab_to(mine: Studio, place: Any) -> None:
    """Press Tab until the place has the focus, which must be within reach."""
    handle = place.element_handle()
    for _ in range(MOST_STEPS):
        mine.page.keyboard.press("Tab")
        if handle.evaluate("(element) => element === document.activeElement"):
            return
    raise AssertionError(f"Tab does not reach {place}")


def test_the_first_page(studio: Studios, portraits: list[Path]) -> None:
    mine = studio()
    mine.page.keyboard.press("Tab")
    expect(mine.page.locator("#skip")).to_be_focused()
    mine.page.keyboard.press("Enter")
    expect(mine.page.locator("#main")).to_be_focused()
    tab_to(mine, mine.get("photo-input"))
    # What Enter opens is the browser's own window, which a headless one does not reliably show.
    mine.get("photo-input").set_input_files(portraits)
    expect(mine.photos("good", "fair")).to_have_count(3)
    style = mine.get("style-comic").locator("input")
    tab_to(mine, style)
    mine.page.keyboard.press("Space")
    expect(style).not_to_be_checked()
    tab_to(mine, mine.get("consent"))
    mine.page.keyboard.press("Space")
    expect(mine.get("start-hint")).to_have_text("3 photos, 4 styles.")
    tab_to(mine, mine.get("start"))
    expect(mine.get("start")).to_be_focused()


def test_the_tiles_and_the_viewer(studio: Studios, finished: tuple[str, str, str]) -> None:
    token, route, _ = finished
    mine = studio(token).open(route)
    page = mine.page
    mine.drawn(AVATARS)
    box = mine.tiles("ready").first.get_by_role("checkbox")
    tab_to(mine, box)
    page.keyboard.press("Space")
    expect(mine.get("selection-bar")).to_contain_text("1 selected")
    page.keyboard.press("Space")
    link = mine.tiles("ready").nth(1).get_by_role("link")
    tab_to(mine, link)
    page.keyboard.press("Enter")
    expect(mine.get("viewer")).to_be_visible()
    before = mine.get("viewer-image").get_attribute("src")
    page.keyboard.press("ArrowRight")
    expect(mine.get("viewer-image")).not_to_have_attribute("src", before)
    page.keyboard.press("ArrowLeft")
    expect(mine.get("viewer-image")).to_have_attribute("src", before)
    tab_to(mine, mine.get("viewer-discard"))  # the focus stays in the dialog, and all of it is in reach
    tab_to(mine, mine.get("viewer").get_by_role("button", name="Close"))
    page.keyboard.press("Escape")
    expect(mine.get("viewer")).to_be_hidden()
    expect(page).to_have_url(re.compile(rf"#{route}$"))
    expect(link).to_be_focused()
