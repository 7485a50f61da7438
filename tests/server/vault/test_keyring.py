"""Epoch keys: wrapped keys open until the hour of their deadline is over, and never after."""

from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

import pytest

from likeness.vault import (
    KeyGoneError,
    Keyring,
    TamperedError,
    VaultError,
    Wrapped,
    context,
    new_key,
    open_key_store,
)
from likeness.vault import durable as durable_module
from likeness.vault import keyring as keyring_module
from tests.patience import patience_s

HOUR = 490_000
UNTIL = HOUR * 3600.0 + 1800
OVER = (HOUR + 1) * 3600.0
CONTEXT = context("generation-1", 0, "photo")
KEY = bytes(range(32))  # the same in every process that imports this
PROCESSES = 4
ROUNDS = 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def keyring_of(folder: Path) -> Keyring:
    return Keyring(open_key_store(str(folder)))


@pytest.fixture
def keyring(folder: Path) -> Keyring:
    return keyring_of(folder)


@pytest.mark.parametrize(
    ("until", "epoch"),
    [(None, "kept"), (HOUR * 3600, f"hour-{HOUR}"), (UNTIL, f"hour-{HOUR}"), (OVER - 0.001, f"hour-{HOUR}")],
)
def test_round_trip(keyring: Keyring, folder: Path, until: float | None, epoch: str) -> None:
    wrapped = keyring.wrap(KEY, CONTEXT, until)
    assert wrapped.epoch == epoch
    assert KEY not in wrapped.data
    assert [path.name for path in folder.iterdir()] == [epoch]
    assert keyring_of(folder).unwrap(wrapped, CONTEXT) == KEY


def test_wraps_differ_each_time(keyring: Keyring) -> None:
    assert keyring.wrap(KEY, CONTEXT, UNTIL).data != keyring.wrap(KEY, CONTEXT, UNTIL).data


def test_refuses_another_context(keyring: Keyring) -> None:
    with pytest.raises(TamperedError):
        keyring.unwrap(keyring.wrap(KEY, CONTEXT, UNTIL), context("generation-1", 1, "photo"))


def test_refuses_another_epoch(keyring: Keyring) -> None:
    wrapped = keyring.wrap(KEY, CONTEXT, UNTIL)
    keyring.wrap(KEY, CONTEXT, None)
    with pytest.raises(TamperedError):
        keyring.unwrap(Wrapped("kept", wrapped.data), CONTEXT)


def test_binds_the_epoch_even_where_two_have_one_key(keyring: Keyring, folder: Path) -> None:
    wrapped = keyring.wrap(KEY, CONTEXT, UNTIL)
    (folder / "kept").write_bytes((folder / wrapped.epoch).read_bytes())
    with pytest.raises(TamperedError):
        keyring.unwrap(Wrapped("kept", wrapped.data), CONTEXT)


@pytest.mark.parametrize("byte", [0, 11, 12, 43, 44, 59])
def test_refuses_a_flipped_bit(keyring: Keyring, byte: int) -> None:
    wrapped = keyring.wrap(KEY, CONTEXT, UNTIL)
    data = bytearray(wrapped.data)
    data[byte] ^= 1
    with pytest.raises(TamperedError):
        keyring.unwrap(Wrapped(wrapped.epoch, bytes(data)), CONTEXT)


@pytest.mark.parametrize("length", [0, 11, 12, 27, 59])
def test_refuses_truncation(keyring: Keyring, length: int) -> None:
    wrapped = keyring.wrap(KEY, CONTEXT, UNTIL)
    with pytest.raises(TamperedError):
        keyring.unwrap(Wrapped(wrapped.epoch, wrapped.data[:length]), CONTEXT)


@pytest.mark.parametrize("epoch", ["", "../kept", "/etc/passwd", "hour-", "hour-1.draft", "hour-1\n", "receipts.pem"])
def test_refuses_an_epoch_that_is_none(keyring: Keyring, epoch: str) -> None:
    with pytest.raises(TamperedError):
        keyring.unwrap(Wrapped(epoch, bytes(60)), CONTEXT)


def test_destroys_exactly_the_hours_that_are_over(keyring: Keyring, folder: Path) -> None:
    past, current, kept = (keyring.wrap(KEY, CONTEXT, until) for until in (UNTIL, OVER, None))
    keyring.wrap(KEY, CONTEXT, UNTIL - 3600)
    secret = keyring.secret("addresses")
    assert keyring.destroy_epochs_before(OVER - 0.001) == [f"hour-{HOUR - 1}"]
    assert keyring.unwrap(past, CONTEXT) == KEY
    assert keyring.destroy_epochs_before(OVER) == [f"hour-{HOUR}"]
    assert keyring.destroy_epochs_before(OVER) == []
    assert {path.name for path in folder.iterdir()} == {f"hour-{HOUR + 1}", "kept", "addresses.secret"}
    assert keyring.unwrap(current, CONTEXT) == keyring.unwrap(kept, CONTEXT) == KEY
    assert keyring.secret("addresses") == secret
    with pytest.raises(KeyGoneError):
        keyring.unwrap(past, CONTEXT)


def test_what_one_process_destroys_another_cannot_open(keyring: Keyring, folder: Path) -> None:
    wrapped = keyring.wrap(KEY, CONTEXT, UNTIL)
    assert keyring.unwrap(wrapped, CONTEXT) == KEY
    keyring_of(folder).destroy_epochs_before(OVER)
    with pytest.raises(KeyGoneError):
        keyring.unwrap(wrapped, CONTEXT)


def test_an_epoch_made_again_does_not_open_what_the_old_one_did(keyring: Keyring) -> None:
    wrapped = keyring.wrap(KEY, CONTEXT, UNTIL)
    keyring.destroy_epochs_before(OVER)
    keyring.wrap(KEY, CONTEXT, UNTIL)
    with pytest.raises(TamperedError):
        keyring.unwrap(wrapped, CONTEXT)


def test_overwrites_before_it_unlinks(keyring: Keyring, folder: Path, tmp_path: Path) -> None:
    keyring.wrap(KEY, CONTEXT, UNTIL)
    (tmp_path / "same_blocks").hardlink_to(folder / f"hour-{HOUR}")
    keyring.destroy_epochs_before(OVER)
    assert (tmp_path / "same_blocks").read_bytes() == bytes(32)


def test_destroys_drafts_that_a_crash_left(keyring: Keyring, folder: Path) -> None:
    keyring.wrap(KEY, CONTEXT, OVER)
    (folder / f"hour-{HOUR}.0a1b.draft").write_bytes(new_key())
    assert keyring.destroy_epochs_before(OVER) == [f"hour-{HOUR}"]
    assert [path.name for path in folder.iterdir()] == [f"hour-{HOUR + 1}"]


def test_one_file_that_resists_does_not_keep_the_others(keyring: Keyring, folder: Path) -> None:
    keyring.wrap(KEY, CONTEXT, UNTIL)
    (folder / f"hour-{HOUR - 1}").mkdir()
    with pytest.raises(VaultError, match="could not be destroyed"):
        keyring.destroy_epochs_before(OVER)
    assert [path.name for path in folder.iterdir()] == [f"hour-{HOUR - 1}"]


def test_a_file_just_overwritten_is_no_key(keyring: Keyring, folder: Path) -> None:
    wrapped = keyring.wrap(KEY, CONTEXT, UNTIL)
    (folder / wrapped.epoch).write_bytes(bytes(32))
    with pytest.raises(KeyGoneError):
        keyring.unwrap(wrapped, CONTEXT)
    with pytest.raises(KeyGoneError):
        keyring.wrap(KEY, CONTEXT, UNTIL)


def test_names_a_damaged_key_file(keyring: Keyring, folder: Path) -> None:
    wrapped = keyring.wrap(KEY, CONTEXT, None)
    (folder / "kept").write_bytes(b"short")
    with pytest.raises(VaultError, match="kept"):
        keyring.unwrap(wrapped, CONTEXT)


def test_names_a_key_file_that_cannot_be_used(keyring: Keyring, folder: Path) -> None:
    wrapped = keyring.wrap(KEY, CONTEXT, UNTIL)
    (folder / "kept").mkdir()
    with pytest.raises(VaultError, match=r"kept.*Check"):
        keyring.wrap(KEY, CONTEXT, None)
    with pytest.raises(VaultError, match=r"kept.*Check"):
        keyring.unwrap(Wrapped("kept", wrapped.data), CONTEXT)


def test_destroys_nothing_where_there_is_no_folder(keyring: Keyring, folder: Path) -> None:
    assert keyring.destroy_epochs_before(OVER) == []
    assert not folder.exists()


def test_files_are_private(keyring: Keyring, folder: Path) -> None:
    folder.mkdir(mode=0o755)
    keyring.wrap(KEY, CONTEXT, UNTIL)
    keyring.wrap(KEY, CONTEXT, None)
    keyring.secret("addresses")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600] * 3


def test_secrets_last_and_differ(keyring: Keyring, folder: Path) -> None:
    assert len(keyring.secret("addresses")) == 32
    assert keyring_of(folder).secret("addresses") == keyring.secret("addresses")
    assert keyring.secret("addresses") != keyring.secret("links")


@pytest.mark.parametrize("name", ["", "../up", "a/b", "A", "a.b", "a\n"])
def test_refuses_names_that_are_no_secret(keyring: Keyring, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a secret"):
        keyring.secret(name)


def test_the_loser_of_a_race_uses_what_the_winner_wrote(
    keyring: Keyring, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process publishes its key after this one has found none and made its own."""
    winner = new_key()

    def make() -> bytes:
        (folder / "kept").write_bytes(winner)
        return new_key()

    folder.mkdir()
    monkeypatch.setattr(keyring_module, "new_key", make)
    wrapped = keyring.wrap(KEY, CONTEXT, None)
    assert (folder / "kept").read_bytes() == winner
    assert keyring.unwrap(wrapped, CONTEXT) == KEY
    assert [path.name for path in folder.iterdir()] == ["kept"]


def test_a_failed_write_leaves_nothing(keyring: Keyring, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable_module.os, "fsync", full)
    folder.mkdir()
    with pytest.raises(VaultError, match="No space left"):
        keyring.wrap(KEY, CONTEXT, UNTIL)
    assert list(folder.iterdir()) == []


def test_processes_that_create_at_once_get_the_same_keys(folder: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(PROCESSES)
    with spawn.Pool(PROCESSES, _share, (barrier,)) as pool:
        results = pool.map(_create_at_once, [folder] * PROCESSES, chunksize=1)
        pool.close()
        pool.join()
    assert len({tuple(secrets) for secrets, _ in results}) == 1
    keyring = keyring_of(folder)
    assert all(keyring.unwrap(wrapped, CONTEXT) == KEY for _, all_wrapped in results for wrapped in all_wrapped)
    assert len(list(folder.iterdir())) == 2 * ROUNDS


def _share(barrier: object) -> None:
    globals()["_barrier"] = barrier


def _create_at_once(folder: Path) -> tuple[list[bytes], list[Wrapped]]:
    keyring = keyring_of(folder)
    secrets, wrapped = [], []
    for turn in range(ROUNDS):
        globals()["_barrier"].wait(patience_s())
        secrets.append(keyring.secret(f"race-{turn}"))
        wrapped.append(keyring.wrap(KEY, CONTEXT, UNTIL + 3600 * turn))
    return secrets, wrapped
