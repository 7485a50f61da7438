"""The part of the conformance kit for stores of keys; `likeness_plugins.testing` hands it out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from likeness_plugins.key_store import KeyStore

AT_ONCE = 8


def check_key_store(store: KeyStore, other: KeyStore | None = None) -> None:
    """Check an empty key store, and leave it empty; `other` is the same place, opened again as another process would.

    Raises AssertionError with the first problem.
    """
    other = other or store
    assert isinstance(store, KeyStore), "The store lacks methods of KeyStore: make it a subclass."
    for _ in range(2):
        store.prepare()
    assert store.names() == [], "The store is not empty: give one of a new place."
    _check_keeping(store, other)
    _check_destroying(store, other)
    _check_adding_at_once(store, other)
    store.close()
    other.close()


def _check_keeping(store: KeyStore, other: KeyStore) -> None:
    kept = {"hour-1": bytes(range(32)), "server.secret": b"\0\xff" * 16, "receipts.pem": b"-----BEGIN\n" * 500}
    for name, data in kept.items():
        assert other.read(name) is None, f"read({name!r}) must return None before it was added."
        assert store.add(name, data) == data, f"add({name!r}) must return what is kept."
        assert other.read(name) == data, f"read({name!r}) must return the bytes that were added elsewhere."
        assert other.add(name, b"another") == data, f"add({name!r}) must not replace a key, and return the one kept."
    assert sorted(other.names()) == sorted(kept), "names() must return the names of all keys, and nothing else."


def _check_destroying(store: KeyStore, other: KeyStore) -> None:
    names = sorted(store.names())
    for position, name in enumerate(names):
        for _ in range(2):
            store.destroy(name)  # a missing one is fine
        assert other.read(name) is None, f"read({name!r}) must return None once the key is destroyed elsewhere."
        left = names[position + 1 :]
        assert sorted(other.names()) == left, f"names() must not have {name!r} once it is destroyed, and all others."
        assert all(other.read(each) for each in left), f"destroy({name!r}) must leave the other keys alone."
    assert store.add("hour-1", b"new" * 8) == b"new" * 8, "A destroyed key's name can be used for a new one."
    store.destroy("hour-1")


def _check_adding_at_once(store: KeyStore, other: KeyStore) -> None:
    start = threading.Barrier(AT_ONCE)

    def add(number: int) -> bytes:
        start.wait()
        return (store, other)[number % 2].add("kept", bytes([number]) * 32)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        kept = set(threads.map(add, range(AT_ONCE)))
    assert len(kept) == 1, "Of many that add a key at once, all must get the one that is kept."
    assert kept == {store.read("kept")}, "add must return what is kept."
    store.destroy("kept")
