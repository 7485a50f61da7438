"""Keys in a plugin's service: nobody answers, somebody fails, and what fails later is an outage."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from likeness.errors import SettingsError
from likeness.vault import Keyring, StorageError, context, open_key_store
from likeness_plugins import KeyStore, hookimpl

Install = Callable[..., None]
SECRET = "hunter2"
LOCATION = f"vault://user:{SECRET}@host/keys"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install packs that answer the hook, for this test."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, hook: Callable[[str], Any]) -> None:
        def likeness_key_store(location: str) -> Any:
            return hook(location)

        plugin = ModuleType(name)
        vars(plugin)["likeness_key_store"] = hookimpl(likeness_key_store)
        monkeypatch.setitem(sys.modules, name, plugin)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[likeness]\n{name} = {name}\n")

    return make


class Down(KeyStore):
    """A service that does not answer."""

    def read(self, name: str) -> bytes | None:
        raise ConnectionError("no route to host")

    def add(self, name: str, data: bytes) -> bytes:
        raise ConnectionError("no route to host")

    def names(self) -> list[str]:
        raise ConnectionError("no route to host")

    def destroy(self, name: str) -> None:
        raise ConnectionError("no route to host")


def fails(location: str) -> KeyStore:
    raise RuntimeError(f"cannot log in to {location}")


def refusal() -> str:
    with pytest.raises(SettingsError) as caught:
        open_key_store(LOCATION)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_a_scheme_that_nobody_knows_is_named(install: Install) -> None:
    install("other", lambda location: None)
    assert refusal() == (
        "No installed plugin serves keys at vault://. Install one that does, or set keys to a folder or a postgresql://"
        " URL."
    )


def test_a_pack_that_cannot_be_loaded_is_named_where_nobody_answers(install: Install) -> None:
    install("broken", lambda location: None)
    vars(sys.modules["broken"])["likeness_styles"] = hookimpl(lambda: 1 / 0)
    assert "The pack broken cannot be loaded: ZeroDivisionError" in refusal()


def test_a_pack_that_raises_is_named(install: Install) -> None:
    install("vaults", fails)
    assert refusal().startswith(
        "The setting keys (vault://) cannot be used. The pack vaults failed to open the keys: R"
    )


def test_a_pack_that_opens_something_else_is_named(install: Install) -> None:
    install("vaults", lambda location: {})
    assert "The pack vaults opened a dict for the keys, which is no KeyStore." in refusal()


def test_the_first_that_knows_the_scheme_answers(install: Install) -> None:
    asked: list[str] = []
    install("a", asked.append)
    install("b", lambda location: Down())
    install("c", fails)
    open_key_store(LOCATION)
    assert asked == [LOCATION]


def test_a_service_that_does_not_answer_is_an_outage(install: Install) -> None:
    install("vaults", lambda location: Down())
    store = open_key_store(LOCATION)
    keyring = Keyring(store)
    for call in (
        lambda: keyring.wrap(b"key", context("g", 0, "photo"), None),
        lambda: keyring.destroy_epochs_before(0.0),
        lambda: store.destroy("kept"),
    ):
        with pytest.raises(StorageError, match=r"the pack vaults failed \(ConnectionError\)\. Try again"):
            call()


def test_a_store_without_all_methods_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        type("Half", (KeyStore,), {"read": Down.read})()
