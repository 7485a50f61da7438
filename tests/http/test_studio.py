"""The studio's files: served as they are, with headers that let nothing in from elsewhere, in the wheel, and light."""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

import likeness
from likeness.http.routes.studio import MEDIA_TYPES
from tests.http.talk import problem
from tests.serving import Server

ROOT = Path(__file__).parents[2]
FOLDER = Path(likeness.__file__).parent / "studio"
NAMES = sorted(path.name for path in FOLDER.iterdir() if path.suffix in MEDIA_TYPES)
MODULES = [name for name in NAMES if name.endswith(".js")]
# Not addresses to load: the names of XML vocabularies.
VOCABULARIES = ("http://www.w3.org/2000/svg",)


def text(name: str) -> str:
    return (FOLDER / name).read_text()


def fetch(server: Server, name: str, **headers: str) -> httpx.Response:
    path = "/" if name == "index.html" else f"/studio/{name}"
    return httpx.get(f"{server.client.base_url}{path}", headers={"Accept-Encoding": "identity", **headers})


def test_encodings_may_come_as_several_headers(local: Server) -> None:
    headers = [("Accept-Encoding", "br"), ("Accept-Encoding", "gzip")]
    assert local.client.get("/studio/main.js", headers=headers).headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_served_as_it_is(server: Server, name: str) -> None:
    response = fetch(server, name)
    assert response.status_code == 200
    assert response.content == (FOLDER / name).read_bytes()
    media_type = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
    assert response.headers["Content-Type"].partition(";")[0] == media_type[Path(name).suffix]
    if not name.endswith(".svg"):
        assert response.headers["Content-Type"].endswith("; charset=utf-8")
    again = fetch(server, name, **{"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["index.html", "main.js", "studio.css", "favicon.svg"])
def test_zipped_it_is_the_same_under_another_tag(server: Server, name: str) -> None:
    plain, zipped = fetch(server, name), fetch(server, name, **{"Accept-Encoding": "gzip"})
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert zipped.content == plain.content  # httpx unzips
    assert zipped.headers["ETag"] != plain.headers["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', zipped.headers["ETag"])  # a strong one
    assert "Accept-Encoding" in zipped.headers["Vary"]


@pytest.mark.parametrize("name", NAMES)
def test_the_headers_let_nothing_in_from_elsewhere(server: Server, name: str) -> None:
    headers = fetch(server, name).headers
    rules = dict(rule.strip().partition(" ")[::2] for rule in headers["Content-Security-Policy"].split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert headers["Cache-Control"] == "no-cache"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]


@pytest.mark.parametrize(
    "name", ["nothing.js", "__init__.py", "types.d.ts", "..%2fsettings.py", "%2e%2e%2fsettings.py"]
)
def test_nothing_else_is_served(server: Server, name: str) -> None:
    problem(httpx.get(f"{server.client.base_url}/studio/{name}"), 404, "not_found")


def test_a_page_of_another_version_is_never_mixed_in(server: Server) -> None:
    assert fetch(server, "main.js", **{"If-None-Match": '"of an older one"'}).status_code == 200


def test_it_weighs_little(server: Server) -> None:
    assert sum(len(text(name).encode()) for name in NAMES) < 150_000
    sent = [fetch(server, name, **{"Accept-Encoding": "gzip"}) for name in NAMES]
    assert sum(int(response.headers["Content-Length"]) for response in sent) < 70_000


def test_every_file_that_is_named_exists_and_every_file_is_named() -> None:
    named = set(re.findall(r'(?:href|src)="/studio/([\w.-]+)"', text("index.html")))
    for module in MODULES:
        named |= set(re.findall(r'from "\./([\w.-]+)"', text(module)))
    assert named == set(NAMES) - {"index.html"}


def test_every_module_is_fetched_at_once() -> None:
    """No module is found only when another one has come."""
    preloaded = set(re.findall(r'rel="modulepreload" href="/studio/([\w.-]+)"', text("index.html")))
    assert preloaded == set(MODULES) - {"main.js"}


def test_every_symbol_and_element_that_is_named_is_there() -> None:
    page = text("index.html")
    symbols = set(re.findall(r'<symbol id="i-([\w-]+)"', page))
    used = set(re.findall(r'href="#i-([\w-]+)"', page))
    for module in MODULES:
        used |= set(re.findall(r'icon\("([\w-]+)"\)', text(module)))
        used |= set(re.findall(r'icon: "([\w-]+)"', text(module)))
    assert used <= symbols
    for module in MODULES:
        for name in re.findall(r'byId\("([\w-]+)"\)', text(module)):
            assert f'id="{name}"' in page, name


@pytest.mark.parametrize("name", NAMES)
def test_no_file_names_another_server(name: str) -> None:
    addresses = re.findall(r'(?:https?:)?//[\w-][\w.-]*\.\w{2,}[^\s"\')]*', text(name))
    assert [each for each in addresses if not each.startswith(VOCABULARIES)] == []
    assert not re.search(r"@import|url\(", text(name))


def test_the_page_has_no_script_or_style_in_its_text() -> None:
    page = text("index.html")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page, re.IGNORECASE)
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page) == [""]


@pytest.mark.parametrize("name", MODULES)
def test_no_module_makes_markup_or_code_of_strings_or_keeps_things_in_the_browser(name: str) -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|localStorage"
    assert not re.search(rf"{forbidden}|sessionStorage|indexedDB|document\.cookie", text(name))


def test_the_numbers_of_the_policy_come_from_the_server() -> None:
    told = "\n".join(text(name) for name in [*MODULES, "index.html"])
    assert not re.search(r"\b(24|five|5) (hours?|minutes?)\b(?!\")", re.sub(r"//.*|/\*\*.*", "", told))


def test_all_of_it_is_in_the_wheel(build_wheel: Callable[[Path], Path]) -> None:
    with zipfile.ZipFile(build_wheel(ROOT)) as wheel:
        packed = {Path(name).name for name in wheel.namelist() if name.startswith("likeness/studio/")}
    assert set(NAMES) <= packed


def test_the_wheel_serves_it(fresh_python: Path, tmp_path: Path) -> None:
    script = (
        "import likeness; from likeness.http.routes.studio import studio_files;"
        "print(likeness.__file__, len(studio_files()))"
    )
    done = subprocess.run([str(fresh_python), "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    where, count = done.stdout.split()
    assert Path(where).is_relative_to(fresh_python.parent.parent), done.stderr
    assert int(count) == len(NAMES)
