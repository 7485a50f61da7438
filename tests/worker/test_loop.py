"""The render loop: generations share its batch, leave at the next step, and end with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from likeness.records.work import LostClaimError
from likeness.worker.loop import LoopFailedError, RenderLoop, StoppingError, Stream
from likeness_engines import Engines, Outcome, Render, bundled_pack
from likeness_engines.backends.fake_engine import FakeBackend
from tests.patience import patience_s

PACK = bundled_pack()


class Claims:
    """Which claims hold; the test takes them away."""

    def __init__(self) -> None:
        self.lost: set[str] = set()
        self.asked = 0

    def __call__(self, claims: list[tuple[str, int]]) -> set[str]:
        self.asked += 1
        return {generation for generation, _ in claims} - self.lost


@pytest.fixture
def claims() -> Claims:
    return Claims()


@pytest.fixture
def loop(claims: Claims) -> Iterator[RenderLoop]:
    loop = RenderLoop(Engines(PACK, FakeBackend()), claims)
    yield loop
    if loop.alive:
        loop.stop()


def renders(group: str, count: int, steps: int = 2) -> list[Render]:
    source = np.zeros(PACK.about.latents, np.float32)
    return [
        Render(id=f"{group}/{index}", source=source, prompt="a person", steps=steps, group=group)
        for index in range(count)
    ]


def follow(stream: Stream) -> list[Outcome]:
    return [outcome for outcomes in stream for outcome in outcomes]


def submitted(loop: RenderLoop, group: str, count: int, steps: int = 2) -> Stream:
    stream = loop.open(group, fence=1)
    stream.submit(renders(group, count, steps))
    return stream


def test_each_stream_ends_with_all_its_outcomes(loop: RenderLoop) -> None:
    loop.start()
    streams = [submitted(loop, name, 7) for name in ("one", "two")]
    for stream in streams:
        outcomes = follow(stream)
        assert sorted(outcome.id for outcome in outcomes) == sorted(f"{stream.generation}/{i}" for i in range(7))
        assert all(outcome.pixels is not None for outcome in outcomes)
        loop.close(stream)
    assert loop.stats.avatars == 14
    assert 0 < loop.stats.rows <= loop.stats.room


def test_generations_share_the_batch(claims: Claims) -> None:
    backend = FakeBackend(max_rows=4)
    loop = RenderLoop(Engines(PACK, backend), claims)
    loop.start()
    streams = [submitted(loop, name, 2, steps=50) for name in ("one", "two")]
    for stream in streams:
        follow(stream)
    loop.stop()
    # Two renders of each, a row each: never more than both together, and together as soon as both are there.
    assert max(len(call["sample"]) for call in backend.calls["unet"]) == 4


def test_one_whose_turn_has_come_gives_way_no_more(claims: Claims) -> None:
    backend = FakeBackend(max_rows=2)
    loop = RenderLoop(Engines(PACK, backend), claims)
    loop.start()
    waited = loop.open("waited", fence=1, turn_in_s=-1.0)
    urgent = loop.open("urgent", fence=1)
    source = np.zeros(PACK.about.latents, np.float32)
    many = [Render(id=f"u{index}", source=source, prompt="x", steps=4, group="urgent") for index in range(6)]
    late = Render(id="w", source=source, prompt="x", steps=4, group="waited", priority=1)
    order: list[str] = []
    step = loop._renderer.step

    def noted() -> list[Outcome]:
        outcomes = step()
        order.extend(outcome.id for outcome in outcomes)
        return outcomes

    loop.do(lambda: setattr(loop._renderer, "step", noted))
    loop.do(lambda: (loop.join(urgent, many), loop.join(waited, [late])))
    urgent._awaited, waited._awaited = 6, 1
    for stream in (waited, urgent):
        follow(stream)
    loop.stop()
    assert len(order) == 7
    assert order.index("w") <= 2  # a row of each step is its own, as long as it takes


def test_a_lost_claim_leaves_at_the_next_step(loop: RenderLoop, claims: Claims) -> None:
    loop.start()
    lost, kept = submitted(loop, "lost", 3, steps=50), submitted(loop, "kept", 3)
    claims.lost.add("lost")
    with pytest.raises(LostClaimError):
        follow(lost)
    assert len(follow(kept)) == 3


def test_stopping_ends_every_stream_after_the_step(loop: RenderLoop) -> None:
    loop.start()
    stream = submitted(loop, "one", 3, steps=50)
    loop.stop()
    with pytest.raises(StoppingError) as caught:
        follow(stream)
    assert not isinstance(caught.value, LoopFailedError)
    with pytest.raises(StoppingError):
        loop.do(lambda: None)


def test_a_loop_that_fails_says_so_to_all(loop: RenderLoop, caplog: pytest.LogCaptureFixture) -> None:
    loop.start()
    stream = submitted(loop, "one", 3, steps=50)
    entered = threading.Event()

    def fail() -> Any:
        entered.set()
        raise MemoryError

    loop.do(lambda: setattr(loop._renderer, "step", fail))
    entered.wait(patience_s())
    with pytest.raises(LoopFailedError):
        follow(stream)
    assert "The render loop failed" in caplog.text


def test_a_job_on_the_loops_thread_answers_or_raises(loop: RenderLoop) -> None:
    loop.start()
    assert loop.do(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        loop.do(lambda: 1 / 0)
    assert loop.alive
