"""Row buckets: batches of any size on fixed ones, in static memory, recorded once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from unittest.mock import MagicMock, create_autospec

import pytest

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from likeness_engines.backends.cuda_graphs import WARM_UPS, CudaRecorder  # noqa: E402
from likeness_engines.backends.row_buckets import Rerun, RowBuckets, bucket_sizes  # noqa: E402


class Counting(Rerun):
    """Counts the recordings."""

    def __init__(self) -> None:
        self.recorded = 0

    def record(self, work: Any) -> Any:
        self.recorded += 1
        return super().record(work)


class Scaled:
    """x [B, 2] times the shared factor, into one output that every run overwrites, as a graph's is."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.output = torch.empty(100, 2)

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        x = inputs["x"]
        self.seen.append(x.clone())
        output = self.output[: len(x)]
        torch.mul(x, inputs["factor"], out=output)
        return {"y": output}


@pytest.fixture
def scaled() -> Scaled:
    return Scaled()


@pytest.fixture
def recorder() -> Counting:
    return Counting()


@pytest.fixture
def buckets(scaled: Scaled, recorder: Counting) -> RowBuckets:
    return RowBuckets(scaled, (1, 2, 4, 8), recorder)


FACTOR = torch.tensor(3.0)


def rows(count: int) -> dict[str, Any]:
    return {"x": torch.arange(2.0 * count).reshape(count, 2) + 1}


@pytest.mark.parametrize(
    ("most", "sizes"),
    [
        (1, (1,)),
        (3, (1, 2, 3)),
        (10, (1, 2, 4, 8, 10)),
        (60, (1, 2, 4, 8, 12, 16, 24, 32, 40, 48, 60)),
        (90, (1, 2, 4, 8, 12, 16, 24, 32, 40, 48, 60, 72, 84, 90)),
    ],
)
def test_the_last_bucket_is_the_largest_batch(most: int, sizes: tuple[int, ...]) -> None:
    assert bucket_sizes(most) == sizes


@pytest.mark.parametrize("count", range(1, 9))
def test_a_batch_is_filled_up_with_its_first_row(buckets: RowBuckets, scaled: Scaled, count: int) -> None:
    given = rows(count)
    found = buckets.run(given, {"factor": FACTOR})
    assert torch.equal(found["y"], 3 * given["x"])
    [ran] = scaled.seen
    assert len(ran) in (1, 2, 4, 8)
    assert torch.equal(ran[:count], given["x"])
    assert all(torch.equal(row, given["x"][0]) for row in ran[count:])


def test_a_batch_over_the_largest_bucket_takes_turns(buckets: RowBuckets, scaled: Scaled) -> None:
    given = rows(19)
    assert torch.equal(buckets.run(given, {"factor": FACTOR})["y"], 3 * given["x"])
    assert [len(x) for x in scaled.seen] == [8, 8, 4]


def test_a_bucket_is_recorded_once(buckets: RowBuckets, recorder: Counting) -> None:
    for count in (3, 4, 3, 1, 4):
        buckets.run(rows(count), {"factor": FACTOR})
    assert recorder.recorded == 2


def test_outputs_outlive_the_next_batch(buckets: RowBuckets) -> None:
    first = buckets.run(rows(4), {"factor": FACTOR})["y"]
    kept = first.clone()
    buckets.run({"x": torch.zeros(4, 2)}, {"factor": FACTOR})
    assert torch.equal(first, kept)


def test_shared_tensors_are_read_where_they_lie(buckets: RowBuckets, recorder: Counting) -> None:
    factor, given = torch.tensor(3.0), rows(2)
    buckets.run(given, {"factor": factor})
    factor.fill_(5)
    assert torch.equal(buckets.run(given, {"factor": factor})["y"], 5 * given["x"])
    assert recorder.recorded == 1


def test_shared_tensors_elsewhere_are_recorded_anew(buckets: RowBuckets, recorder: Counting) -> None:
    given = rows(2)
    buckets.run(given, {"factor": FACTOR})
    for factor in (torch.tensor(7.0), FACTOR):
        assert torch.equal(buckets.run(given, {"factor": factor})["y"], factor * given["x"])
    assert recorder.recorded == 3


def test_what_was_released_is_recorded_anew(buckets: RowBuckets, recorder: Counting) -> None:
    buckets.run(rows(2), {"factor": FACTOR})
    buckets.release()
    buckets.run(rows(2), {"factor": FACTOR})
    assert recorder.recorded == 2


def test_a_recording_that_fails_leaves_no_trace(scaled: Scaled, recorder: Counting) -> None:
    def work(inputs: Mapping[str, Any]) -> dict[str, Any]:
        if recorder.recorded == 1:
            raise RuntimeError("no memory")
        return scaled(inputs)

    buckets = RowBuckets(work, (2,), recorder)
    with pytest.raises(RuntimeError, match="no memory"):
        buckets.run(rows(2), {"factor": FACTOR})
    buckets.release()
    assert torch.equal(buckets.run(rows(2), {"factor": FACTOR})["y"], 3 * rows(2)["x"])


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[MagicMock]:
    """Stand-ins with the signatures of torch's own: names and arguments are held against them, nothing else."""
    stand_in = MagicMock()
    for name in ("Stream", "CUDAGraph", "graph", "stream", "current_stream", "graph_pool_handle"):
        double = create_autospec(getattr(torch.cuda, name))
        monkeypatch.setattr(torch.cuda, name, double)
        stand_in.attach_mock(double, name)
    return stand_in


def test_a_graph_is_warmed_up_captured_and_launched(cuda: MagicMock) -> None:
    ran = []

    def work() -> dict[str, Any]:
        ran.append(cuda.graph.return_value.__enter__.called)
        return {"y": FACTOR}

    replay = CudaRecorder().record(work)
    assert ran == [False] * WARM_UPS + [True]
    assert cuda.graph.return_value.__exit__.called
    launches = cuda.CUDAGraph.return_value.replay
    assert not launches.called
    assert replay()["y"] is replay()["y"] is FACTOR
    assert launches.call_count == 2
    assert len(ran) == WARM_UPS + 1
    # Both streams wait for each other.
    assert cuda.Stream.return_value.wait_stream.called
    assert cuda.current_stream.return_value.wait_stream.called
