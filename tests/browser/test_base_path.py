"""The studio below a path of a proxy, which takes the path off or passes it on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.browser.conftest import AVATARS, Studios, somebody
from tests.browser.studio import expect
from tests.nginx import Nginx
from tests.serving import Server


class Proxied:
    """Where the studio is to be opened, in the place of a server."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address)


@pytest.fixture(scope="module")
def nginx(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    upstream = str(server.client.base_url).rstrip("/")
    with Nginx(tmp_path_factory.mktemp("nginx"), {"/made/avatars": upstream}, named={"/made/avatars"}) as nginx:
        yield nginx


@pytest.mark.parametrize("way", ["stripping", "passing"])
def test_the_way_from_photos_to_a_story(
    nginx: Nginx, server: Server, studio: Studios, portraits: list[Path], way: str
) -> None:
    address = f"{getattr(nginx, way)}/made/avatars"
    mine = studio(somebody(server), at=Proxied(address))  # type: ignore[arg-type] # it needs no more of a server
    elsewhere: list[str] = []
    mine.page.on(
        "request", lambda request: request.url.startswith((f"{address}/", "blob:")) or elsewhere.append(request.url)
    )
    [cookie] = mine.page.context.cookies()
    assert cookie["path"] == "/made/avatars"
    mine.start(*portraits)
    mine.drawn(AVATARS)
    mine.tiles("ready").first.get_by_role("link").click()
    mine.get("viewer-story").click()
    mine.get("confirm").click()
    expect(mine.get("viewer").get_by_text("Posted.")).to_be_visible()
    mine.page.keyboard.press("Escape")
    mine.go("stories")
    link = mine.page.get_by_role("link", name="Open the link").get_attribute("href")
    assert link is not None
    assert link.startswith(f"{address}/p/")
    assert mine.page.request.get(link).ok
    assert not elsewhere
