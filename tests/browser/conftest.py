"""A Chromium and a server for each file of tests; each test has a browser context and a user of its own.

Not for all files together: while Playwright is open, its event loop would refuse the asyncio of other tests.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.http.talk import ISSUER, SECRET, Person
from tests.patience import patience_s
from tests.serving import Server

if TYPE_CHECKING:
    from tests.browser.studio import Studio

AVATARS = 15  # two batches: so there is a middle of the drawing
Studios = Callable[..., "Studio"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    from tests.browser.studio import sync_api

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Draws for users with tokens: one generation a day for Lite, as good as any number for Plus."""
    settings = {"jwt_issuer": ISSUER, "jwt_secret": SECRET, "quota_lite": 1, "quota_plus": 100}
    # A worker that a test holds is not to be taken for a dead one.
    server = Server(tmp_path_factory.mktemp("browser") / "data", steps=1, avatars=AVATARS, lease_s=600, **settings)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def held(server: Server) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Holds the worker, so that nothing is drawn meanwhile, however slow or fast the machine is."""

    @contextlib.contextmanager
    def hold() -> Iterator[None]:
        pid = server.worker_pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    return hold


@pytest.fixture(scope="module")
def portraits(astronaut: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three good photos of one person, small: most of a check's time goes into finding the face."""
    folder = tmp_path_factory.mktemp("portraits")
    crops = [astronaut[:300, 90:390], astronaut[:300, 90:390][:, ::-1], astronaut[:320, 80:400]]
    paths = [folder / f"{name}.jpg" for name in ("front", "mirrored", "wider")]
    for path, crop in zip(paths, crops, strict=True):
        Image.fromarray(np.ascontiguousarray(crop)).save(path, quality=90)
    return paths


@pytest.fixture(scope="module")
def faceless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of a slope of grey, with nobody on it."""
    path = tmp_path_factory.mktemp("faceless") / "nobody.jpg"
    slope = np.tile(np.linspace(40, 220, 400, dtype=np.uint8)[:, None, None], (1, 400, 3))
    Image.fromarray(slope).save(path, quality=90)
    return path


@pytest.fixture
def person(server: Server) -> Iterator[Callable[..., Person]]:
    """Makes users, to look at what the server has of them."""
    with contextlib.ExitStack() as stack:

        def make(**changes: Any) -> Person:
            person = Person(server, **changes)
            stack.enter_context(person.client)
            return person

        yield make


class Finished(NamedTuple):
    """A user whose avatars are drawn; the first two are saved, one is profile picture and story."""

    token: str
    route: str
    saved: str


@pytest.fixture(scope="module")
def finished(server: Server, portraits: list[Path]) -> Iterator[Finished]:
    """For all tests to look at and none to change."""
    ann = Person(server)
    with ann.client:
        location = ann.accepted([path.read_bytes() for path in portraits])
        for event in ann.events(location):
            if event.kind == "done":
                break
        [first, _] = ann.send("POST", f"{location}/save", {"avatars": [0, 1]})["items"]
        ann.send("PUT", "/v1/profile/picture", {"avatar": first["avatar"]})
        ann.send("POST", "/v1/stories", {"avatar": first["avatar"], "caption": "Look at me"}, 201)
        yield Finished(ann.token, f"/generations/{location.rsplit('/', 1)[1]}", first["avatar"])


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """Where pictures of the screens are kept: LIKENESS_SCREENSHOTS, if it is set."""
    folder = Path(os.environ.get("LIKENESS_SCREENSHOTS") or tmp_path / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def studio(browser: Any, server: Server, screenshots: Path) -> Iterator[Studios]:
    """Opens the studio in a context of its own; `token=""` for somebody who has not signed in.

    At the end none of the tabs may have complained of anything that the test did not expect.
    """
    from tests.browser.studio import Studio, expect

    expect.set_options(timeout=1000 * patience_s())
    with contextlib.ExitStack() as stack:
        opened: list[Studio] = []

        def make(
            token: str | None = None, *, at: Server = server, context: Any = None, script: str = "", **options: Any
        ):
            if context is None:
                context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
                context.set_default_timeout(1000 * patience_s())
                stack.callback(context.close)
                if script:
                    context.add_init_script(script)
                if token is None and at is server:
                    token = somebody(at)
            studio = Studio(context.new_page(), str(at.client.base_url).rstrip("/"), screenshots)
            opened.append(studio)
            return studio.open(token=token or "")

        yield make
        complaints = {each.page.url: each.complaints() for each in opened}
    assert not any(complaints.values()), complaints


def somebody(server: Server, **changes: Any) -> str:
    """The token of a user that nobody has seen yet."""
    person = Person(server, **changes)
    person.client.close()
    return person.token
