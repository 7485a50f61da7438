"""The studio as a person uses it: what is pressed and seen, by the words and test ids of the page."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any, Self

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install -e .[dev]")
expect = sync_api.expect

# What Chromium says of every answer that is no success; the tests of refusals say that they expect it.
REFUSED = r"Failed to load resource: the server responded with a status of (4\d\d|503)"
UNREACHABLE = r"Failed to load resource: net::ERR_|ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_REFUSED"

# Tells of what the page's policy forbids; read back by `complaints`.
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""
DROP = """(files) => {
  const transfer = new DataTransfer();
  for (const [name, type, text] of files)
    transfer.items.add(new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], name, { type }));
  return transfer;
}"""


class Studio:
    """One tab; `forgiven` are patterns of console errors that belong to the test."""

    def __init__(self, page: Any, base: str, screenshots: Path) -> None:
        self.page = page
        self.base = base
        self.forgiven: list[str] = []
        self._screenshots = screenshots
        self._errors: list[str] = []
        page.on("console", lambda message: message.type == "error" and self._errors.append(message.text))
        page.on("pageerror", lambda error: self._errors.append(f"uncaught: {error}"))
        page.add_init_script(WATCH)

    def open(self, route: str = "/", token: str = "") -> Self:
        """Load the page at a route, with the platform's token the first time."""
        if token:
            self.page.goto(f"{self.base}/#token={token}")
            expect(self.page).to_have_url(re.compile(r"/#/"))
            expect(self.page.get_by_role("heading", level=1)).to_be_visible()
        if not token or route != "/":
            self.page.goto(f"{self.base}/#{route}")
        expect(self.page.get_by_role("heading", level=1)).to_be_attached()
        return self

    def go(self, name: str) -> None:
        """By the navigation at the top (or at the bottom of a phone)."""
        self.page.locator(f'#nav [data-route="{name}"]').click()

    def choose(self, *files: Path | dict[str, Any]) -> None:
        """Choose photos as with the file dialog, and wait until each has its words."""
        before = self.photos().count()
        self.page.get_by_test_id("photo-input").set_input_files(list(files))
        expect(self.photos()).to_have_count(before + len(files))
        expect(self.photos("reading", "checking")).to_have_count(0)

    def drop(self, files: list[tuple[str, str, bytes]]) -> None:
        """Drop files of name, type and content."""
        encoded = [(name, kind, base64.b64encode(data).decode()) for name, kind, data in files]
        transfer = self.page.evaluate_handle(DROP, encoded)
        self.page.get_by_test_id("drop-zone").dispatch_event("drop", {"dataTransfer": transfer})

    def photos(self, *states: str) -> Any:
        """The chosen photos, of some states if they are given."""
        names = ",".join(f'[data-testid="photo"][data-state="{state}"]' for state in states)
        return self.page.locator(names) if states else self.page.get_by_test_id("photo")

    def start(self, *files: Path | dict[str, Any]) -> None:
        """The whole first page: photos, consent, the button."""
        self.choose(*files)
        self.page.get_by_test_id("consent").check()
        self.page.get_by_test_id("start").click()
        self.accepted()

    def accepted(self) -> None:
        expect(self.page).to_have_url(re.compile(r"#/generations/\w+$"))

    def tiles(self, state: str = "") -> Any:
        return self.page.locator(f'[data-testid="tile"][data-state="{state}"]') if state else self.get("tile")

    def get(self, test_id: str) -> Any:
        return self.page.get_by_test_id(test_id)

    def heading(self, words: str) -> None:
        """Wait until the page's heading says this."""
        expect(self.page.locator("h1:visible").last).to_have_text(words)

    def drawn(self, number: int) -> None:
        """Wait until all is drawn, and every picture is there."""
        self.heading("Your avatars")
        expect(self.page.locator('[data-testid="tile"][data-shown]')).to_have_count(number)

    def shoot(self, name: str) -> None:
        """Keep a picture of the screen, without its motion."""
        self.page.screenshot(path=self._screenshots / f"{name}.png", animations="disabled")

    def complaints(self) -> list[str]:
        """Console errors that nobody expected, and what the policy forbade."""
        errors = [error for error in self._errors if not any(re.search(each, error) for each in self.forgiven)]
        return errors if self.page.is_closed() else errors + self.page.evaluate("window.violations")
