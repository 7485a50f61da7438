"""With a finger: true touches of the browser's own protocol, which scroll or cancel unless the page prevents it."""

from __future__ import annotations

from tests.browser.conftest import AVATARS, Studios
from tests.browser.studio import Studio, expect

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def swipe(mine: Studio, begin: int, end: int) -> None:
    """Move a finger across the picture, in steps as a hand does."""
    protocol = mine.page.context.new_cdp_session(mine.page)
    steps = range(begin, end, 20 if end > begin else -20)
    for kind, at in [("touchStart", begin), *(("touchMove", x) for x in (*steps, end)), ("touchEnd", None)]:
        points = [] if at is None else [{"x": at, "y": 300}]
        protocol.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_a_swipe_leads_to_the_next_avatar_and_back(studio: Studios, finished: tuple[str, str, str]) -> None:
    token, route, _ = finished
    mine = studio(token, **PHONE).open(route)
    mine.drawn(AVATARS)
    mine.tiles("ready").nth(1).get_by_role("link").tap()
    picture = mine.get("viewer-image")
    expect(picture).to_be_visible()
    before = picture.get_attribute("src")
    swipe(mine, 280, 80)
    expect(picture).not_to_have_attribute("src", before)
    swipe(mine, 80, 280)
    expect(picture).to_have_attribute("src", before)
