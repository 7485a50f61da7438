"""The whole way: photos, avatars, gallery, profile picture, story, receipt, and out."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.browser.conftest import AVATARS, Studios
from tests.browser.studio import REFUSED, Studio, expect
from tests.http.talk import Person


def test_from_photos_to_story_and_receipt(studio: Studios, portraits: list[Path]) -> None:
    mine = studio()
    page = mine.page
    mine.choose(*portraits)
    expect(mine.photos("good", "fair")).to_have_count(3)
    expect(mine.get("start-hint")).to_have_text("Agree to the policy.")
    mine.get("start").click()
    expect(page.get_by_role("alert").filter(has_text="Agree to the policy.")).to_be_visible()
    mine.get("consent").check()
    expect(mine.get("start-hint")).to_have_text("3 photos, 5 styles.")
    mine.get("start").click()
    mine.accepted()
    mine.drawn(AVATARS)
    _choose(mine)
    _publish(mine)
    _leave(mine)


def test_one_avatar_is_downloaded_discarded_and_all_are_selected(
    studio: Studios, person: Callable[..., Person], portraits: list[Path]
) -> None:
    ann = person()
    route = _drawn(ann, portraits)
    mine = studio(ann.token).open(f"{route}/0")
    expect(mine.get("viewer")).to_be_visible()
    mine.get("viewer").get_by_text("Download").click()
    with mine.page.expect_download() as download:
        mine.get("viewer").get_by_role("button", name="PNG").click()
    assert Image.open(io.BytesIO(Path(download.value.path()).read_bytes())).format == "PNG"
    mine.get("viewer-discard").click()
    expect(mine.tiles("ready")).to_have_count(AVATARS - 1)
    expect(mine.get("viewer")).to_be_visible()
    mine.page.keyboard.press("Escape")
    mine.get("select-all").click()
    expect(mine.get("save")).to_have_text(f"Save {AVATARS - 1}")
    mine.get("select-all").click()
    expect(mine.get("save")).to_have_text(f"Save all {AVATARS - 1}")
    mine.get("save").dblclick()
    expect(mine.tiles("saved")).to_have_count(AVATARS - 1)

    mine.go("account")
    mine.page.get_by_label("To be sure").fill("delete everything")
    mine.get("delete-account").dblclick()
    expect(mine.get("leaving")).to_contain_text("Everything is deleted")
    expect(mine.get("receipt")).to_contain_text(f"{AVATARS - 1} saved avatars")
    mine.go("picture")
    mine.forgiven += [REFUSED]
    expect(mine.get("empty")).to_contain_text("No profile picture is set")


def _drawn(ann: Person, portraits: list[Path]) -> str:
    location = ann.accepted([path.read_bytes() for path in portraits])
    for event in ann.events(location):
        if event.kind == "done":
            break
    return f"/generations/{location.rsplit('/', 1)[1]}"


def _choose(mine: Studio) -> None:
    """Save two, make a third the profile picture and a story."""
    page = mine.page
    mine.tiles().nth(0).locator("label").click()
    mine.tiles().nth(1).locator("label").click()
    expect(mine.get("save")).to_have_text("Save 2")
    mine.get("save").click()
    expect(mine.get("toast")).to_contain_text("2 avatars saved.")
    expect(mine.tiles("saved")).to_have_count(2)

    mine.tiles("ready").nth(0).get_by_role("link").click()
    expect(mine.get("viewer")).to_be_visible()
    mine.get("viewer-picture").click()
    expect(mine.get("viewer").get_by_text("This is your profile picture now.")).to_be_visible()
    mine.get("viewer-story").click()
    page.get_by_label("Caption").fill("Drawn, not taken")
    mine.get("confirm").click()
    expect(mine.get("viewer").get_by_text("Posted.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(mine.get("viewer")).to_be_hidden()


def _publish(mine: Studio) -> None:
    """Look at the picture, the story and the gallery."""
    page = mine.page
    mine.go("picture")
    expect(page.get_by_alt_text("Your profile picture")).to_be_visible()
    mine.go("stories")
    expect(mine.get("story")).to_contain_text("Drawn, not taken")
    expect(mine.get("story")).to_contain_text("left")
    link = page.get_by_role("link", name="Open the link").get_attribute("href")
    assert link is not None
    assert page.request.get(link).ok

    mine.go("gallery")
    expect(mine.get("saved")).to_have_count(3)
    with page.expect_download() as download:
        mine.get("export").click()
    names = zipfile.ZipFile(download.value.path()).namelist()
    assert len([name for name in names if name.endswith((".webp", ".png"))]) == 3


def _leave(mine: Studio) -> None:
    """Go back to the avatars and delete what is left: the receipt tells."""
    page = mine.page
    page.go_back()
    page.go_back()
    page.go_back()
    mine.heading("Your avatars")
    mine.get("purge").click()
    mine.get("confirm").click()
    expect(mine.get("photos-deadline")).to_contain_text("Photos deleted")
    mine.get("photos-deadline").get_by_role("link").click()
    expect(mine.get("receipt")).to_contain_text("3 photos as uploaded")
    expect(mine.get("receipt")).to_contain_text(re.compile(r"deleted [^.]*\d\d:\d\d:\d\d"))
    mine.shoot("receipt")
    expect(mine.tiles("saved").filter(visible=True)).to_have_count(3)
