"""The one reader of events: what is committed late, behind a larger number, comes to its streams all the same."""

from __future__ import annotations

import asyncio
from typing import Any

from likeness.http import hub as hub_module
from likeness.http.hub import Hub
from likeness.records.events import Event, existing, last_event_id


class Table:
    """Events as a database shows them: an id may become visible after larger ones."""

    def __init__(self) -> None:
        self.visible: dict[int, Event] = {}

    def commit(self, *ids: int) -> None:
        for number in ids:
            self.visible[number] = Event(number, "g", number, "avatar", "{}")

    async def read(self, query: Any, *args: Any) -> Any:
        if query is last_event_id:
            return max(self.visible, default=0)
        if query is existing:
            return {"g"}
        after, missed = args
        return [event for number, event in sorted(self.visible.items()) if number > after or number in missed]


async def collect(table: Table, *commits: tuple[int, ...]) -> list[int]:
    """Ids in the order in which a stream's inbox gets them."""
    hub = Hub(table.read)
    with hub.listen("g") as inbox:
        await hub._turn()
        for ids in commits:
            table.commit(*ids)
            await hub._turn()
        await hub._turn()
        found = []
        while not inbox.empty():
            event = inbox.get_nowait()
            assert event is not None
            found.append(event.id)
    return found


def test_an_event_that_is_committed_late_still_comes() -> None:
    assert asyncio.run(collect(Table(), (1, 2), (5,), (4,), (3, 6))) == [1, 2, 5, 4, 3, 6]


def test_each_comes_once_however_often_it_is_looked_for() -> None:
    assert sorted(asyncio.run(collect(Table(), (1,), (), (3,), (), ()))) == [1, 3]


def test_one_under_way_when_the_listening_began_comes_too() -> None:
    table = Table()
    table.commit(1, 3)  # 2 is not committed yet
    found = asyncio.run(collect(table, (2,)))
    assert 2 in found


def test_an_id_that_was_undone_is_given_up(monkeypatch: Any) -> None:
    monkeypatch.setattr(hub_module, "GAPS_LIVE_S", -1.0)
    assert asyncio.run(collect(Table(), (1,), (3,), (2,))) == [1, 3]
