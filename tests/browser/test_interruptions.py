"""Refresh, lost connection, a server that goes and comes back, two tabs, back, a double click, no storage."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable
from pathlib import Path

from tests.browser.conftest import AVATARS, Studios
from tests.browser.studio import REFUSED, UNREACHABLE, expect
from tests.http.talk import Person
from tests.patience import patience_s
from tests.serving import Server

Held = Callable[[], contextlib.AbstractContextManager[None]]
NO_STORAGE = """
for (const name of ["localStorage", "sessionStorage", "indexedDB", "caches"])
  Object.defineProperty(window, name, { get() { throw new DOMException("switched off", "SecurityError"); } });
window.BroadcastChannel = class { constructor() { throw new DOMException("switched off", "SecurityError"); } };
"""


def test_refresh_lost_connection_and_another_tab_in_the_middle_of_drawing(
    studio: Studios, held: Held, portraits: list[Path]
) -> None:
    mine = studio()
    with held():
        mine.start(*portraits)
        mine.heading("Waiting for your turn")
        mine.shoot("waiting")
        mine.page.reload()
        mine.heading("Waiting for your turn")
    expect(mine.tiles("ready").first).to_be_visible()
    with held():
        mine.shoot("drawing")
        mine.page.reload()
        expect(mine.tiles("ready").first).to_be_visible()
        mine.page.goto(f"{mine.base}/#/")  # the start page knows that something is being drawn
        mine.accepted()

        mine.forgiven += [UNREACHABLE]
        mine.page.context.set_offline(True)
        mine.go("gallery")
        expect(mine.page.locator("#connection")).to_have_text("Connection lost. Trying again.")
        mine.shoot("connection-lost")
        mine.page.context.set_offline(False)
        mine.heading("Gallery")
        expect(mine.page.locator("#connection")).to_be_hidden()
        mine.page.go_back()
        other = studio(context=mine.page.context)
        other.accepted()
    mine.drawn(AVATARS)
    other.drawn(AVATARS)
    mine.tiles("ready").first.locator("label").click()
    mine.get("save").click()
    expect(other.tiles("saved")).to_have_count(1)  # it hears of it


def test_a_server_that_is_killed_and_comes_back(studio: Studios, portraits: list[Path], tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(tmp_path / "data", "--port", str(port), steps=1, avatars=5, lease_s=patience_s(2))
    try:
        mine = studio(at=server.start())
        mine.forgiven += [UNREACHABLE, REFUSED, "ERR_"]
        mine.start(*portraits)
        mine.page.evaluate("window.same = true")
        server.kill()
        expect(mine.page.locator("#connection")).to_be_visible()
        server.start()
        mine.drawn(5)
        expect(mine.page.locator("#connection")).to_be_hidden()
        assert mine.page.evaluate("window.same")  # without a refresh
    finally:
        server.close()


def test_a_double_click_makes_one_generation_and_back_leads_to_it(
    studio: Studios, person: Callable[..., Person], held: Held, portraits: list[Path]
) -> None:
    ann = person()
    mine = studio(ann.token)
    with held():
        mine.choose(*portraits)
        mine.get("consent").check()
        mine.get("start").dblclick()
        mine.accepted()
        assert len(ann.json("/v1/generations")["items"]) == 1
        mine.page.go_back()
        mine.accepted()
        mine.get("cancel").click()
        mine.get("confirm").dblclick()
        mine.heading("Cancelled")
    assert len(ann.json("/v1/generations")["items"]) == 1


def test_an_upload_whose_connection_is_lost_is_sent_again_once(
    studio: Studios, person: Callable[..., Person], held: Held, portraits: list[Path]
) -> None:
    ann = person()
    mine = studio(ann.token)
    mine.forgiven += [UNREACHABLE, REFUSED]
    with held():
        mine.choose(*portraits)
        mine.get("consent").check()
        mine.page.context.set_offline(True)
        mine.get("start").click()
        expect(mine.page.locator("#connection")).to_be_visible()
        mine.page.context.set_offline(False)
        mine.accepted()
        [made] = ann.json("/v1/generations")["items"]
    assert ann.client.delete(f"/v1/generations/{made['id']}").is_success


def test_back_closes_the_viewer_and_keeps_the_page(studio: Studios, finished: tuple[str, str, str]) -> None:
    token, route, _ = finished
    mine = studio(token).open(route)
    mine.drawn(AVATARS)
    mine.tiles().nth(2).get_by_role("link").click()
    expect(mine.get("viewer")).to_be_visible()
    mine.page.go_back()
    expect(mine.get("viewer")).to_be_hidden()
    expect(mine.page).to_have_url(re.compile(rf"#{route}$"))


def test_with_the_browsers_storage_off(studio: Studios, finished: tuple[str, str, str], portraits: list[Path]) -> None:
    mine = studio(script=NO_STORAGE)
    mine.choose(*portraits)
    expect(mine.photos("good", "fair")).to_have_count(3)
    theirs = studio(finished[0], script=NO_STORAGE).open(finished[1])
    theirs.drawn(AVATARS)
