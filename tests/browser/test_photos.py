"""Photos that are no good, files that are no pictures, and too many of them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.browser.conftest import Studios
from tests.browser.studio import REFUSED, expect


def test_a_photo_without_a_face_is_refused_beside_its_thumbnail(
    studio: Studios, portraits: list[Path], faceless: Path
) -> None:
    mine = studio()
    mine.forgiven += [REFUSED]
    mine.choose(*portraits[:2], faceless)
    expect(mine.photos("bad")).to_have_count(1)
    expect(mine.photos("bad")).to_contain_text("No face was found.")
    expect(mine.photos("bad").get_by_role("img", name="nobody.jpg")).to_be_visible()  # its thumbnail
    expect(mine.get("start-hint")).to_have_text("Add 1 more photo.")
    mine.shoot("refused-photo")
    mine.photos("bad").get_by_role("button", name="Remove photo 3").click()
    expect(mine.photos()).to_have_count(2)
    mine.choose(portraits[2])
    expect(mine.photos("good", "fair")).to_have_count(3)


def test_a_file_that_no_browser_decodes(studio: Studios, portraits: list[Path]) -> None:
    mine = studio()
    mine.forgiven += [REFUSED]
    mine.choose(portraits[0])
    mine.choose({"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff no picture"})
    expect(mine.photos("bad")).to_have_count(1)
    expect(mine.photos("bad")).to_contain_text("broken.jpg")


def test_forty_files_dropped_at_once(studio: Studios, portraits: list[Path], faceless: Path) -> None:
    mine = studio()
    mine.forgiven += [REFUSED]
    pictures = [path.read_bytes() for path in portraits]
    files = [(f"{number}.jpg", "image/jpeg", pictures[number % 3]) for number in range(38)]
    mine.drop([("notes.txt", "text/plain", b"no picture"), ("nobody.jpg", "image/jpeg", faceless.read_bytes()), *files])
    expect(mine.photos("good", "fair")).to_have_count(10)  # another one stepped in for the refused one
    expect(mine.photos("bad")).to_have_count(1)
    expect(mine.get("photo-note")).to_contain_text("One file is not a picture and was left out.")
    expect(mine.get("photo-note")).to_contain_text("10 photos are the most")
    expect(mine.get("photo-count")).to_have_text("10 of 10")


def test_the_same_photo_twice_is_one(studio: Studios, portraits: list[Path]) -> None:
    mine = studio()
    mine.choose(portraits[0])
    mine.page.get_by_test_id("photo-input").set_input_files(portraits[:2])
    expect(mine.photos("good", "fair")).to_have_count(2)


def copy_of(photo: Path, folder: Path) -> Path:
    """The same picture, saved again."""
    Image.open(photo).save(folder / "copy.jpg", quality=60)
    return folder / "copy.jpg"


def test_three_good_photos_start_and_the_page_says_what_was_left_out(
    studio: Studios, portraits: list[Path], faceless: Path, tmp_path: Path
) -> None:
    mine = studio()
    mine.forgiven += [REFUSED]
    mine.start(*portraits, copy_of(portraits[0], tmp_path), faceless)
    left_out = "Photo 4 was left out. This is the same picture as photo 1. Use another one."
    expect(mine.get("left-out")).to_have_text(left_out)
    mine.page.reload()
    expect(mine.get("left-out")).to_have_text(left_out)


def test_too_few_usable_photos_are_said_beside_the_others(
    studio: Studios, portraits: list[Path], tmp_path: Path
) -> None:
    mine = studio()
    mine.forgiven += [REFUSED]
    mine.choose(*portraits[:2], copy_of(portraits[0], tmp_path))
    mine.get("consent").check()
    mine.get("start").click()
    expect(mine.photos("bad")).to_contain_text("This is the same picture as photo 1. Use another one.")
    expect(mine.get("start-hint")).to_have_text("Add 1 more photo.")
