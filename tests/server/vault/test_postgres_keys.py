"""Keys in PostgreSQL: gone from its disk once destroyed, never missed by a reader, plain words for what fails."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from likeness.errors import SettingsError
from likeness.settings import Settings
from likeness.vault import StorageError, VaultError, new_key, open_key_store
from likeness_plugins import KeyStore
from tests.postgres import Postgres
from tests.serving import Server

OTHERS = {"kept": new_key(), "receipts.pem": new_key() * 400}  # the second is too long for a page
DESTROYED = 20


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture
def store(url: str) -> Iterator[KeyStore]:
    store = open_(url)
    yield store
    store.close()


def open_(url: str) -> KeyStore:
    return open_key_store(Settings(keys=url).keys_location)


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]


def on_disk(postgres: Postgres, url: str, data: bytes) -> bool:
    """Whether a file of any table has it, once all are written."""
    run(url, "CHECKPOINT")
    files = (path for path in (postgres.data / "base").rglob("*") if path.is_file())
    return any(data in path.read_bytes() for path in files)


def test_a_destroyed_key_is_in_no_table_on_disk(postgres: Postgres, url: str, store: KeyStore) -> None:
    """Not even where the planner has looked at the table, and another session still wants to see the old rows."""
    keys = {f"hour-{hour}": new_key() for hour in range(40)}
    for name, data in (keys | OTHERS).items():
        store.add(name, data)
    run(url, "ANALYZE")
    assert all(on_disk(postgres, url, data) for data in (keys["hour-0"], keys["hour-39"]))
    with psycopg.connect(url) as looking:
        looking.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        looking.execute("SELECT now()")
        store.destroy("hour-0")
        assert not on_disk(postgres, url, keys.pop("hour-0"))
    assert on_disk(postgres, url, keys["hour-39"])
    assert {name: store.read(name) for name in store.names()} == keys | OTHERS


def test_who_reads_meanwhile_misses_nothing_that_stays(url: str, store: KeyStore) -> None:
    """The table is written anew with every key that is destroyed."""
    for hour in range(DESTROYED):
        store.add(f"hour-{hour}", new_key())
    for name, data in OTHERS.items():
        store.add(name, data)
    over = threading.Event()

    def look(_: int) -> set[tuple[bytes | None, ...]]:
        other = open_(url)
        seen = set()
        while not over.is_set():
            seen.add(tuple(other.read(name) for name in OTHERS))
            seen.add((other.add("kept", b"another"), OTHERS["receipts.pem"]))
        other.close()
        return seen

    with ThreadPoolExecutor() as threads:
        looking = [threads.submit(look, number) for number in range(3)]
        destroying = [threads.submit(store.destroy, f"hour-{hour}") for hour in range(DESTROYED)]
        try:
            for each in destroying:
                each.result()
        finally:
            over.set()
        assert set().union(*(each.result() for each in looking)) == {tuple(OTHERS.values())}
    assert store.names() == sorted(OTHERS)


def test_a_server_that_is_not_there_is_an_outage(postgres: Postgres, url: str) -> None:
    nowhere = open_(url.replace(f":{postgres.port}/", ":1/"))
    for call in (nowhere.names, lambda: nowhere.read("kept"), lambda: nowhere.add("kept", b"secret"), nowhere.prepare):
        with pytest.raises(StorageError, match=r"does not answer\. Try again"):
            call()


def test_lost_connections_are_opened_again(url: str, store: KeyStore) -> None:
    store.add("kept", b"key")
    run(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
        "pg_backend_pid()",
    )
    assert store.read("kept") == b"key"


def test_a_table_that_somebody_holds_is_an_outage_and_nothing_is_lost(url: str, store: KeyStore) -> None:
    store.add("hour-1", b"key")
    with psycopg.connect(url) as holding:
        holding.execute("SELECT * FROM key_store")
        with pytest.raises(StorageError):
            store.destroy("hour-1")
    assert store.read("hour-1") == b"key"
    store.destroy("hour-1")
    assert store.names() == []


def test_a_role_with_these_four_rights_is_enough(postgres: Postgres, url: str, store: KeyStore) -> None:
    role = f"r{url.rsplit('/', 1)[1]}"
    run(url, f"CREATE ROLE {role} LOGIN")
    limited = open_(url.replace("postgres@", f"{role}@"))
    for call in (limited.names, limited.prepare):
        with pytest.raises(VaultError, match=r"likeness database upgrade.*grant.*TRUNCATE"):
            call()
    store.prepare()
    with pytest.raises(VaultError, match="grant"):
        limited.names()
    run(url, f"GRANT SELECT, INSERT, DELETE, TRUNCATE ON key_store TO {role}")
    limited.prepare()
    assert limited.add("hour-1", b"key") == b"key"
    assert limited.names() == ["hour-1"]
    limited.destroy("hour-1")
    assert store.names() == []
    limited.close()
    run(url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_of_many_that_make_the_table_one_does(url: str) -> None:
    stores = [open_(url) for _ in range(8)]
    with ThreadPoolExecutor(len(stores)) as threads:
        kept = set(threads.map(lambda store: store.add("kept", new_key()), stores))
    assert len(kept) == 1
    for store in stores:
        store.close()


def test_no_key_and_no_password_is_in_an_error(url: str) -> None:
    secret = "correct-horse"
    nowhere = open_(f"postgresql://user:{secret}@127.0.0.1:1/keys")
    with pytest.raises(StorageError) as caught:
        nowhere.add("kept", b"battery-staple")
    error: BaseException | None = caught.value
    while error is not None:
        assert secret not in f"{error!r} {error}"
        assert "battery-staple" not in f"{error!r} {error}"
        error = error.__cause__


@pytest.mark.parametrize("name", ["", "a'; DROP TABLE key_store; --", "A", "../kept", "a\n"])
def test_refuses_names_that_are_no_key(store: KeyStore, name: str) -> None:
    for call in (store.read, store.destroy, lambda name: store.add(name, b"key")):
        with pytest.raises(ValueError, match="cannot name a key"):
            call(name)


def test_a_server_keeps_all_its_keys_there(url: str, store: KeyStore, tmp_path: Path) -> None:
    server = Server(tmp_path / "data", "--no-worker", keys=url)
    try:
        server.start(ready=False)
        server.until(lambda: {"server.secret", "provenance.pem"} <= set(store.names()))
    finally:
        server.close()
    assert not (tmp_path / "data" / "keys").exists()


def test_a_driver_that_is_none_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^keys is no URL.*postgresql://"):
        open_key_store("postgresql+nothing://host/keys")


def test_a_folder_loads_no_driver() -> None:
    check = (
        "import sys; from likeness import vault; vault.open_key_store('keys'); sys.exit('sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
