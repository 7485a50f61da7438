"""The proof: with the ciphertext of deleted photos and avatars in hand, and everything that the service still has,
nothing opens.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from likeness.safe import Place
from likeness.vault import TamperedError, context, decrypt
from tests.serving import Server

KEY = 32
CHUNK = 64 * 1024 + 16  # of the ciphertext, with its tag
HEADER = 8
WRAPPED = 12 + KEY + 16  # nonce, key, tag


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    server = Server(tmp_path / "data", "--no-worker", avatars=2, steps=1, local_tier="plus", quota_plus=10)
    server._settings["TMPDIR"] = str(scratch)
    yield server
    server.close()


def everything(folder: Path) -> bytes:
    """Database, write-ahead log, key folder, temporary folder, logs: all that is left but the objects."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "objects" not in path.parts]
    assert any(path.name == "likeness.db" for path in files)
    assert any(path.suffix == ".log" for path in files)
    return b"\0".join(path.read_bytes() for path in files)


def windows(data: bytes, size: int) -> set[bytes]:
    return {data[start : start + size] for start in range(len(data) - size + 1)}


def opens(key: bytes, sealed: bytes, place: Place) -> bool:
    """Whether a key opens the first chunk, which is what it takes to see a face."""
    header, chunk = sealed[:HEADER], sealed[HEADER : HEADER + CHUNK]
    nonce = header[1:] + bytes(4) + bytes([len(sealed) <= HEADER + CHUNK])
    try:
        AESGCM(key).decrypt(nonce, chunk, header + place.context)
    except InvalidTag:
        return False
    return True


def unwrapped(left: bytes, folder: Path, generation: str, purpose: str = "photo") -> set[bytes]:
    """Every key that any remaining epoch key unwraps from any place in what is left."""
    bound = context(generation, 0, f"key of {purpose}")
    found = set()
    for file in (folder / "data" / "keys").glob("*"):
        epoch = file.read_bytes()
        if len(epoch) != KEY:
            continue
        opener = AESGCM(epoch)
        for window in windows(left, WRAPPED):
            try:
                found.add(opener.decrypt(window[:12], window[12:], file.name.encode() + b"\0" + bound))
            except InvalidTag:
                continue
    return found


def test_nothing_that_is_left_opens_a_deleted_photo(server: Server, photos: list[Path], tmp_path: Path) -> None:
    server.start(ready=False)
    generation = server.accepted([path.read_bytes() for path in photos])
    captured = {
        index: path.read_bytes()
        for index, path in enumerate(sorted((server.data / "objects" / "photos" / generation).iterdir()))
    }
    assert len(captured) == len(photos)
    # While the photos live, the search below does find their key: it can fail.
    [key] = unwrapped(everything(tmp_path), tmp_path, generation)
    assert all(opens(key, sealed, Place(generation, index, "photo")) for index, sealed in captured.items())
    assert len(decrypt(key, Place(generation, 0, "photo").context, captured[0])) == 256 * 256 * 3

    server.stop()
    server._options = ()
    server.start()
    server.until(lambda: server.generation(generation)["deadlines"]["photos_deleted_at"])

    left = everything(tmp_path)
    assert not (server.data / "objects" / "photos" / generation).exists() or not list(
        (server.data / "objects" / "photos" / generation).iterdir()
    )
    assert key not in left
    assert unwrapped(left, tmp_path, generation) == set()
    sealed, place = captured[0], Place(generation, 0, "photo")
    assert not any(opens(window, sealed, place) for window in windows(left, KEY))
    server.stop()
    assert key not in everything(tmp_path)
    with pytest.raises(TamperedError):
        decrypt(bytes(KEY), place.context, sealed)


def test_nothing_that_is_left_opens_a_deleted_avatar_or_its_sizes(
    server: Server, photos: list[Path], tmp_path: Path
) -> None:
    server._options = ()
    server.start()
    generation = server.accepted([path.read_bytes() for path in photos])
    server.until(lambda: server.generation(generation)["status"] == "done")
    location, types = f"/v1/generations/{generation}", {"png": "image/png", "webp": "image/webp"}
    for size, ending in (("64", "png"), ("128", "webp"), ("full", "png")):
        shown = server.client.get(f"{location}/avatars/0?size={size}", headers={"Accept": types[ending]})
        assert shown.status_code == 200
    captured = {path.name: path.read_bytes() for path in (server.data / "objects" / "avatars" / generation).iterdir()}
    variants = {name.split("-")[1]: sealed for name, sealed in captured.items() if "." in name}
    assert set(variants) == {"64.png", "128.webp", "full.png"}
    places = {kind: Place(generation, 0, "avatar", kind) for kind in variants}
    # While the avatars live, the search below does find their key, and it opens every size: it can fail.
    [key] = unwrapped(everything(tmp_path), tmp_path, generation, "avatar")
    assert all(opens(key, sealed, places[kind]) for kind, sealed in variants.items())
    assert decrypt(key, places["64.png"].context, variants["64.png"]).startswith(b"\x89PNG")

    assert server.client.delete(location).status_code == 200

    left = everything(tmp_path)
    assert not list((server.data / "objects" / "avatars").rglob("*.*"))
    assert key not in left
    assert unwrapped(left, tmp_path, generation, "avatar") == set()
    server.stop()
    assert key not in everything(tmp_path)
