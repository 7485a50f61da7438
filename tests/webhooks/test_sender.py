"""The sender with a platform on loopback: down, hanging, failing, and back; and which address it connects to."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import sqlalchemy as sa

from likeness.database import Database, clock, tables
from likeness.errors import SettingsError
from likeness.records import outbox
from likeness.settings import Settings
from likeness.webhooks import Sender, addresses, sender
from tests.patience import patience_s
from tests.webhooks.certificate import tls_for
from tests.webhooks.platform import SECRET, Platform

HOST: Final = "receiver.test"
LEASE_S: Final = 100_000.0  # longer than every pause


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "EVERY_S", 0.02)
    monkeypatch.setattr(sender, "LEASE_S", LEASE_S)
    monkeypatch.setattr(outbox, "FIRST_S", outbox.MOST_S)  # nothing is tried again before the test lets it


def settings_of(platform: Platform, **changes: Any) -> Settings:
    given: dict[str, Any] = {"webhook_url": platform.url(), "webhook_secret": SECRET, "webhook_private": True}
    return Settings(**(given | changes))


def tell(database: Database, *generations: str) -> None:
    for generation in generations:
        database.write(outbox.tell, Settings(webhook_url="set"), "generation.done", generation)


def hasten(database: Database) -> None:
    """Make every row due now."""
    due = sa.update(tables.webhooks).values(next_at=0.0)
    database.write(lambda connection: connection.execute(due))


def open_rows(database: Database) -> int:
    return database.read(outbox.counts).waiting


def attempts(database: Database) -> list[int]:
    return [each.attempts for each in database.read(outbox.undelivered, 100)]


def postponed(database: Database) -> bool:
    """Whether every row has failed since it was taken."""
    leased = database.read(clock) + LEASE_S / 2
    return all(each.attempts and each.next_at < leased for each in database.read(outbox.undelivered, 100))


@asynccontextmanager
async def sending(database: Database, settings: Settings) -> AsyncIterator[Sender]:
    async def write(query: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.to_thread(database.write, query, *args)

    running = Sender(write, settings)
    await running.start()
    try:
        yield running
    finally:
        await running.close()


async def until(condition: Callable[[], bool]) -> None:
    begun = time.monotonic()
    while not await asyncio.to_thread(condition):
        assert time.monotonic() - begun < patience_s()
        await asyncio.sleep(0.01)


def run(database: Database, settings: Settings, work: Callable[[], Awaitable[None]]) -> None:
    """Do something while a sender runs."""

    async def whole() -> None:
        async with sending(database, settings):
            await work()

    asyncio.run(whole())


def delivered(database: Database) -> Callable[[], Awaitable[None]]:
    """Wait until nothing waits."""
    return lambda: until(lambda: open_rows(database) == 0)


def test_told_and_signed(database: Database, platform: Platform) -> None:
    tell(database, "a", "b")
    run(database, settings_of(platform), delivered(database))
    assert sorted(each.generation() for each in platform.received) == ["a", "b"]
    for each in platform.received:
        each.check(database.read(clock))
        assert each.path == "/hook?token=hidden"
        assert each.headers["content-type"] == "application/json"
        assert each.headers["host"] == f"127.0.0.1:{platform.port}"
        assert msgspec.json.decode(each.body)["type"] == "generation.done"


def test_down_then_back(database: Database, platform: Platform) -> None:
    platform.down()
    tell(database, *(f"g{number}" for number in range(20)))

    async def work() -> None:
        await until(lambda: postponed(database))
        assert platform.received == []
        platform.up()
        hasten(database)
        await delivered(database)()

    run(database, settings_of(platform), work)
    assert sorted(each.generation() for each in platform.received) == sorted(f"g{number}" for number in range(20))


@pytest.mark.parametrize("status", [100, 300, 400, 404, 410, 429, 500, 503])
def test_the_same_bytes_until_a_2xx(
    database: Database, platform: Platform, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([status, status, 299])
    platform.answer = lambda _: next(answers)
    moments = iter(range(2_000_000_000, 2_000_000_100, 10))
    take = outbox.take

    def later(*args: Any) -> list[outbox.Delivery]:
        return [msgspec.structs.replace(each, taken_at=float(next(moments))) for each in take(*args)]

    monkeypatch.setattr(outbox, "take", later)
    tell(database, "g")

    async def work() -> None:
        for count in (1, 2):
            await until(lambda count=count: attempts(database) == [count] and postponed(database))  # type: ignore[misc]
            hasten(database)
        await delivered(database)()

    run(database, settings_of(platform), work)
    first, second, third = platform.received
    assert first.body == second.body == third.body
    assert first.id == second.id == third.id
    assert len({each.headers["webhook-timestamp"] for each in platform.received}) == 3
    assert len({each.headers["webhook-signature"] for each in platform.received}) == 3
    for each, now in zip(platform.received, range(2_000_000_000, 2_000_000_100, 10), strict=False):
        each.check(now)


def test_redirects_are_not_followed(database: Database, platform: Platform) -> None:
    with Platform() as elsewhere:
        platform.answer = lambda _: 307
        platform.headers["location"] = elsewhere.url()
        tell(database, "g")
        run(database, settings_of(platform), lambda: until(lambda: postponed(database)))
        assert len(platform.received) == 1
        assert elsewhere.received == []


def test_proxies_of_the_environment_are_not_asked(
    database: Database, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Platform() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        tell(database, "g")
        run(database, settings_of(platform), delivered(database))
        assert len(platform.received) == 1
        assert proxy.received == []


def test_a_receiver_that_hangs_holds_up_no_other_row(database: Database, platform: Platform) -> None:
    platform.answer = lambda received: None if received.generation().startswith("hang") else 204
    tell(database, *(f"hang{number}" for number in range(sender.AT_ONCE - 1)), *(f"g{number}" for number in range(30)))
    run(database, settings_of(platform), lambda: until(lambda: open_rows(database) == sender.AT_ONCE - 1))
    assert sum(each.generation().startswith("g") for each in platform.received) == 30


def test_one_that_hangs_is_given_its_time_only(
    database: Database, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "ATTEMPT_S", 0.2)
    platform.answer = lambda _: None
    tell(database, *(f"g{number}" for number in range(2 * sender.AT_ONCE)))
    # All places hang, and yet those behind have their turn.
    run(database, settings_of(platform), lambda: until(lambda: postponed(database)))
    assert len(attempts(database)) == 2 * sender.AT_ONCE


def test_a_name_server_that_hangs_is_given_its_time_only(
    database: Database, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    monkeypatch.setattr(sender, "ATTEMPT_S", 0.2)
    monkeypatch.setattr(sender, "resolve", lambda *_, **__: answer.wait() and ["127.0.0.1"])
    tell(database, "g")
    try:
        run(database, settings_of(platform), lambda: until(lambda: postponed(database)))
    finally:
        answer.set()
    assert platform.received == []


def test_a_sender_that_ends_amid_a_delivery_sends_again(database: Database, platform: Platform) -> None:
    platform.answer = lambda _: None
    tell(database, "g")
    run(database, settings_of(platform), lambda: until(lambda: len(platform.received) == 1))
    platform.answer = lambda _: 204
    assert attempts(database) == [1]
    hasten(database)  # the lease is over
    run(database, settings_of(platform), delivered(database))
    first, second = platform.received
    assert (first.id, first.body) == (second.id, second.body)


def test_two_servers_send_each_row_once(database: Database, platform: Platform) -> None:
    tell(database, *(f"g{number}" for number in range(60)))
    settings = settings_of(platform)

    async def beside() -> None:
        async with sending(database, settings):
            await delivered(database)()

    run(database, settings, beside)
    assert len(platform.received) == 60
    assert len({each.id for each in platform.received}) == 60


def test_a_database_that_fails_is_asked_again(
    database: Database, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = iter([OSError("the database is away"), OSError("still")])
    take = outbox.take

    def failing(*args: Any) -> list[outbox.Delivery]:
        for fault in faults:
            raise fault
        return take(*args)

    monkeypatch.setattr(outbox, "take", failing)
    tell(database, "g")
    run(database, settings_of(platform), delivered(database))
    assert len(platform.received) == 1


def test_logs_tell_id_status_and_attempt_and_no_secret(
    database: Database, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    platform.answer = lambda _: 500
    tell(database, "g")
    [row] = database.read(outbox.undelivered, 1)

    async def work() -> None:
        await until(lambda: len(caplog.records) == 1)
        lost = sa.update(tables.webhooks).values(next_at=0.0, until=0.0)
        database.write(lambda connection: connection.execute(lost))
        await until(lambda: len(caplog.records) == 2)
        platform.answer = lambda _: 204
        database.write(outbox.redrive)
        await until(lambda: len(caplog.records) == 3)

    run(database, settings_of(platform), work)
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"Webhook {row.id}, attempt 1: status 500; it is tried again.",
        f"Webhook {row.id}, attempt 2: status 500; it is given up. `likeness webhooks redrive` sends it again.",
        f"Webhook {row.id}, attempt 1: status 204.",
    ]
    assert "hidden" not in caplog.text
    assert SECRET not in caplog.text


def test_nothing_runs_without_a_receiver(database: Database, platform: Platform) -> None:
    tell(database, "g")

    async def work() -> None:
        assert len(asyncio.all_tasks()) == 1

    run(database, Settings(), work)
    assert attempts(database) == [0]


def test_bad_settings_do_not_start(database: Database, platform: Platform) -> None:
    with pytest.raises(SettingsError, match="without webhook_secret"):
        run(database, settings_of(platform, webhook_secret=""), delivered(database))


class Names:
    """A name server that answers HOST with one address after the other; the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0
        self._look_up = socket.getaddrinfo

    def getaddrinfo(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if host != HOST:
            return self._look_up(host, port, *args, **kwargs)
        if kwargs.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not an address")
        self.asked += 1
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Names]:
    def make(*answers: list[str]) -> Names:
        names = Names(*answers)
        monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
        return names

    return make


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A platform with a certificate for HOST, of an authority that this machine trusts."""
    context, authority = tls_for(HOST, tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with Platform(context) as platform:
        yield platform


def test_the_checked_address_is_connected_to(
    database: Database, platform: Platform, names: Callable[..., Names]
) -> None:
    name_server = names(["127.0.0.1"], ["127.0.0.2"])  # where nobody listens
    tell(database, "g")
    run(database, settings_of(platform, webhook_url=platform.url(HOST)), delivered(database))
    assert name_server.asked == 1
    assert platform.received[0].headers["host"] == f"{HOST}:{platform.port}"


def test_an_address_that_cannot_be_reached_is_passed_over(
    database: Database, platform: Platform, names: Callable[..., Names]
) -> None:
    names(["127.0.0.2", "127.0.0.1"])
    tell(database, "g")
    run(database, settings_of(platform, webhook_url=platform.url(HOST)), delivered(database))
    assert len(platform.received) == 1


def test_tls_is_with_the_host_whatever_the_address(
    database: Database, secure: Platform, names: Callable[..., Names]
) -> None:
    names(["127.0.0.1"])
    tell(database, "g")
    run(database, settings_of(secure, webhook_url=secure.url(HOST)), delivered(database))
    assert secure.received[0].headers["host"] == f"{HOST}:{secure.port}"


def test_tls_with_another_host_is_a_failure(
    database: Database, secure: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    tell(database, "g")
    run(database, settings_of(secure), lambda: until(lambda: "ConnectError; it is tried again" in caplog.text))
    assert secure.received == []


def test_a_name_that_comes_to_mean_a_private_address(
    database: Database,
    secure: Platform,
    names: Callable[..., Names],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # The platform is on loopback, which counts as public here.
    is_public = addresses.is_public
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1" or is_public(address))
    names(["127.0.0.1"], ["127.0.0.1", "10.0.0.1"])
    settings = settings_of(secure, webhook_url=secure.url(HOST), webhook_private=False)
    tell(database, "first")

    async def work() -> None:
        await delivered(database)()
        tell(database, "second")
        await until(lambda: "leads to 10.0.0.1, which is not a public address" in caplog.text)

    run(database, settings, work)
    assert [each.generation() for each in secure.received] == ["first"]


def test_an_answer_without_end_is_not_read(database: Database, platform: Platform) -> None:
    platform.answer, platform.endless = lambda _: 200, True
    tell(database, "g")
    run(database, settings_of(platform), delivered(database))
    assert len(platform.received) == 1
