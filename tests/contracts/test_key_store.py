"""What every store of keys keeps; one class, inherited once a store."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from likeness.provenance.credential import development_credential
from likeness.settings import Settings
from likeness.vault import (
    Deletion,
    KeyGoneError,
    Keyring,
    Receipt,
    ReceiptSigner,
    context,
    new_key,
    open_key_store,
    verify_receipt,
)
from likeness_plugins import KeyStore, hookimpl
from likeness_plugins.testing import check_key_store
from tests.postgres import Postgres

HOUR_S = 3600.0
CONTEXT = context("generation-1", 0, "photo")


class KeyStoreContract:
    """Subclasses give a new place as a `keys` setting."""

    @pytest.fixture
    def location(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def opened(self, location: str) -> Iterator[Callable[[], KeyStore]]:
        """Open the place again, as every process does for itself."""
        stores: list[KeyStore] = []

        def open_again() -> KeyStore:
            stores.append(open_key_store(location))
            return stores[-1]

        yield open_again
        for store in stores:
            store.close()

    def test_conforms(self, opened: Callable[[], KeyStore]) -> None:
        check_key_store(opened(), opened())

    def test_is_made_with_the_first_key(self, opened: Callable[[], KeyStore]) -> None:
        assert opened().read("kept") is None
        assert opened().names() == []
        opened().destroy("kept")
        assert opened().add("kept", b"key") == b"key"

    def test_what_one_process_destroys_another_cannot_open(self, opened: Callable[[], KeyStore]) -> None:
        one, other = Keyring(opened()), Keyring(opened())
        key = new_key()
        past, present, kept = (one.wrap(key, CONTEXT, until) for until in (1.5 * HOUR_S, 2.5 * HOUR_S, None))
        assert [other.unwrap(each, CONTEXT) for each in (past, present, kept)] == [key] * 3
        assert one.destroy_epochs_before(2 * HOUR_S) == ["hour-1"]
        assert other.destroy_epochs_before(2 * HOUR_S) == []
        with pytest.raises(KeyGoneError):
            other.unwrap(past, CONTEXT)
        assert [other.unwrap(each, CONTEXT) for each in (present, kept)] == [key] * 2
        assert one.secret("server") == other.secret("server")

    def test_receipts_of_all_processes_have_one_key(self, opened: Callable[[], KeyStore]) -> None:
        one, other = ReceiptSigner(opened()), ReceiptSigner(opened())
        receipt = Receipt("g", [Deletion("photos", "2026-11-24T12:00:00Z", [], "")])
        assert verify_receipt(one.sign(receipt), other.keys()) == receipt

    def test_avatars_of_all_processes_have_one_certificate(self, opened: Callable[[], KeyStore]) -> None:
        assert development_credential(opened()) == development_credential(opened())


class TestFolder(KeyStoreContract):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return str(tmp_path / "keys")


class TestFolderByUrl(KeyStoreContract):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return (tmp_path / "the keys").as_uri()


class TestPostgres(KeyStoreContract):
    @pytest.fixture
    def location(self, postgres: Postgres) -> Iterator[str]:
        url = postgres.create()
        yield Settings(keys=url).keys_location
        postgres.drop(url)


class MemoryKeyStore(KeyStore):
    """The least that a plugin writes; its place is this process."""

    places: dict[str, dict[str, bytes]]

    def __init__(self, location: str) -> None:
        self._kept = self.places.setdefault(location, {})

    def read(self, name: str) -> bytes | None:
        return self._kept.get(name)

    def add(self, name: str, data: bytes) -> bytes:
        return self._kept.setdefault(name, data)

    def names(self) -> list[str]:
        return list(self._kept)

    def destroy(self, name: str) -> None:
        self._kept.pop(name, None)


class TestPlugin(KeyStoreContract):
    @pytest.fixture
    def location(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        @hookimpl
        def likeness_key_store(location: str) -> KeyStore | None:
            return MemoryKeyStore(location) if location.startswith("memory://") else None

        plugin = ModuleType("memory_keys")
        vars(plugin)["likeness_key_store"] = likeness_key_store
        monkeypatch.setitem(sys.modules, "memory_keys", plugin)
        monkeypatch.setattr(MemoryKeyStore, "places", {}, raising=False)
        info = tmp_path / "memory_keys-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: memory-keys\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[likeness]\nmemory-keys = memory_keys\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        return "memory://here"
