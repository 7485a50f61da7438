"""Prometheus metrics: of this process's requests, and of the whole service, read from the database when scraped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from likeness.database import Database, clock, tables
from likeness.records import outbox, queue, workers
from likeness.settings import Settings

# A deadline met later than this after it was due counts as late.
LATE_S: Final = 60.0
HOUR_S: Final = 3600.0
_BUCKETS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 180)


class Metrics:
    """One registry an application, so that several in one process do not mix."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Service(database, settings))
        self._seconds = Histogram(
            "likeness_request_seconds",
            "Requests.",
            ("method", "route", "status"),
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self._refusals = Counter("likeness_refusals", "Refused requests, by code.", ("code",), registry=self._registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._seconds.labels(method, route, str(status)).observe(seconds)

    def refusal(self, code: str) -> None:
        """Count a refusal."""
        self._refusals.labels(code).inc()

    def text(self) -> bytes:
        """All metrics in the text format; reads the database."""
        return generate_latest(self._registry)


class _Service(Collector):
    """Numbers of the whole service, the same whichever process is asked."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def collect(self) -> Iterator[Metric]:
        counted = self._database.read(_count, self._settings)
        yield from counted

    def describe(self) -> list[Metric]:
        return []  # registering must not read the database


def _count(connection: sa.Connection, settings: Settings) -> list[Metric]:
    return [
        *_queue(connection, settings),
        *_deletions(connection),
        *_webhooks(connection),
        *_workers(connection, settings.lease_s),
    ]


def _queue(connection: sa.Connection, settings: Settings) -> Iterator[Metric]:
    table = tables.generations
    states = GaugeMetricFamily("likeness_generations", "Generations by state.", labels=["state"])
    for state, count in connection.execute(sa.select(table.c.state, sa.func.count()).group_by(table.c.state)):
        states.add_metric([state], count)
    yield states
    oldest = connection.execute(sa.select(sa.func.min(table.c.created_at)).where(table.c.state == "queued")).scalar()
    age = 0.0 if oldest is None else clock(connection) - oldest
    yield GaugeMetricFamily("likeness_queue_age_seconds", "Age of the oldest waiting generation.", value=age)
    wait_s = queue.estimate(connection, settings).wait_s
    yield GaugeMetricFamily("likeness_queue_wait_seconds", "Estimated wait of a new generation.", value=wait_s)
    lately = table.c.ended_at > clock(connection) - HOUR_S
    mean = sa.select(sa.func.coalesce(sa.func.avg(table.c.ended_at - table.c.created_at), 0.0)).where(lately)
    seconds = connection.execute(mean).scalar_one()
    about = "Seconds from upload to end, mean of the last hour."
    yield GaugeMetricFamily("likeness_generation_seconds", about, value=seconds)


def _deletions(connection: sa.Connection) -> Iterator[Metric]:
    table = tables.deadlines
    now = clock(connection)
    late = sa.func.coalesce(table.c.done_at, now) > table.c.due_at + LATE_S
    numbers = (
        (
            "likeness_deletions_due",
            "Deadlines due and not met yet.",
            (table.c.done_at.is_(None), table.c.due_at <= now),
        ),
        (
            "likeness_deletions_done",
            "Deadlines met, of generations not forgotten yet.",
            (table.c.done_at.is_not(None),),
        ),
        ("likeness_deletions_late", "Deadlines met, or still open, over a minute late.", (late,)),
    )
    for name, meaning, chosen in numbers:
        value = connection.execute(sa.select(sa.func.count()).select_from(table).where(*chosen)).scalar_one()
        yield GaugeMetricFamily(name, meaning, value=value)


def _webhooks(connection: sa.Connection) -> Iterator[Metric]:
    counts = outbox.counts(connection)
    for name, meaning, value in (
        ("likeness_webhooks_waiting", "Webhooks to be sent.", counts.waiting),
        ("likeness_webhooks_given_up", "Webhooks that were given up.", counts.given_up),
        ("likeness_webhooks_age_seconds", "Age of the oldest webhook to be sent.", counts.oldest_s),
    ):
        yield GaugeMetricFamily(name, meaning, value=value)


_WORKER: Final = (
    ("likeness_worker_steps", "Denoising steps.", "steps"),
    ("likeness_worker_step_seconds", "Seconds in denoising steps.", "step_s"),
    ("likeness_worker_rows", "Rows of the batch that were used.", "rows"),
    ("likeness_worker_room", "Rows of the batch that could have been used.", "room"),
    ("likeness_worker_avatars", "Avatars rendered.", "avatars"),
)


def _workers(connection: sa.Connection, lease_s: float) -> Iterator[Metric]:
    """Totals of each live worker: batch fill is rows over room, step time is step_seconds over steps."""
    stats = workers.stats_of_living(connection, lease_s)
    yield GaugeMetricFamily("likeness_workers", "Workers with a lease.", value=len(stats))
    for name, meaning, key in _WORKER:
        family = CounterMetricFamily(name, meaning, labels=["worker"])
        for worker, numbers in stats.items():
            family.add_metric([worker], numbers.get(key, 0.0))
        yield family
