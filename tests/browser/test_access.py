"""Who may do what: sessions that end, tokens that are none, and the day's quota."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.browser.conftest import Studios, somebody
from tests.browser.studio import REFUSED, expect
from tests.http.talk import Person
from tests.serving import Server


def test_a_session_that_ends_keeps_what_was_chosen(
    studio: Studios, person: Callable[..., Person], portraits: list[Path]
) -> None:
    ann = person()
    mine = studio(ann.token)
    assert "token" not in mine.page.url
    mine.choose(*portraits)
    mine.get("consent").check()
    [cookie] = mine.page.context.cookies()
    assert cookie["httpOnly"]
    mine.page.context.add_cookies([{**cookie, "value": "of yesterday"}])
    mine.forgiven += [REFUSED]
    mine.get("start").click()
    expect(mine.get("sign-in-screen")).to_be_visible()
    mine.shoot("sign-in")
    mine.page.get_by_text("I have a token").click()
    mine.page.get_by_label("Token").fill(ann.token)
    mine.get("sign-in").click()
    expect(mine.get("sign-in-screen")).to_have_count(0)
    expect(mine.photos("good", "fair")).to_have_count(3)
    expect(mine.get("consent")).to_be_checked()


def test_somebody_else_who_signs_in_sees_nothing_of_the_one_before(
    studio: Studios, server: Server, portraits: list[Path]
) -> None:
    mine = studio()
    mine.choose(portraits[0])
    mine.page.context.clear_cookies()
    mine.forgiven += [REFUSED]
    mine.go("gallery")
    expect(mine.get("sign-in-screen")).to_be_visible()
    mine.page.get_by_text("I have a token").click()
    mine.page.get_by_label("Token").fill(somebody(server))
    mine.get("sign-in").click()
    mine.heading("Gallery")
    mine.go("create")
    expect(mine.get("start")).to_be_visible()
    expect(mine.photos()).to_have_count(0)


def test_without_a_session_or_with_a_bad_token_there_is_the_sign_in(studio: Studios) -> None:
    mine = studio("")
    mine.forgiven += [REFUSED]
    expect(mine.get("sign-in-screen")).to_be_visible()
    mine.page.get_by_text("I have a token").click()
    mine.get("sign-in").click()
    expect(mine.page.get_by_role("alert")).to_contain_text("Paste a token first.")
    mine.page.get_by_label("Token").fill("no token")
    mine.get("sign-in").click()
    expect(mine.page.get_by_role("alert")).to_contain_text("The token is not valid here.")


def test_the_quota_used_up(studio: Studios, person: Callable[..., Person], portraits: list[Path]) -> None:
    ann = person(tier="lite")
    mine = studio(ann.token)
    expect(mine.get("quota")).to_contain_text("1 of 1 generation left today.")
    location = ann.accepted([path.read_bytes() for path in portraits])  # on another device
    for event in ann.events(location):
        if event.kind == "done":
            break
    mine.choose(*portraits)
    mine.get("consent").check()
    mine.forgiven += [REFUSED]
    mine.get("start").click()
    expect(mine.get("start")).to_have_text("Used up for today")
    expect(mine.get("quota")).to_contain_text("You have used today's generation. New ones at")
    mine.shoot("quota-used-up")
    mine.page.reload()  # today's generation is what there is to see
    expect(mine.page).to_have_url(re.compile(r"#/generations/\w+$"))
    mine.heading("Your avatars")
