"""The queue of generations, on DBOS: durable, in the database of our own rows, and holding ids only.

DBOS recovers only what its own process left; what dead workers left is put back here (`hand_on`), which calls a
function of it that is not public, as `stop` looks at its list of what runs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from likeness.database import tables
from likeness.records.generations import RUNNING
from likeness.settings import Settings

QUEUE: Final = "generations"
WORKFLOW: Final = "draw_generation"
APPLICATION: Final = "likeness"
# Pinned: by default DBOS hashes our code, and would leave jobs of the version before alone for ever.
VERSION: Final = "1"
POLL_S: Final = 0.1
# Attempts are counted in our own rows; DBOS's limit would end a job without a word to us.
NO_LIMIT: Final = 1_000_000
WRITING_S: Final = 5.0
_OPEN: Final = ("ENQUEUED", "PENDING", "DELAYED")


def migrate(settings: Settings) -> None:
    """Create or upgrade DBOS's own tables."""
    from dbos import DBOS  # noqa: PLC0415 - a second of imports

    _quiet()
    DBOS.migrate(settings.database_url)


def forget(connection: sa.Connection, generation: str) -> None:
    """Delete a generation's job, in the transaction that forgets the generation: DBOS itself keeps them for ever.

    As DBOS's own `delete_workflows` does, which would do it in a transaction of its own.
    """
    for name in ("workflow_input", "workflow_output", "operation_outputs", "workflow_status"):
        table = sa.table(name, sa.column("workflow_uuid"), schema=_schema(connection))
        connection.execute(sa.delete(table).where(table.c.workflow_uuid == generation))


def holders(connection: sa.Connection) -> set[str]:
    """The workers that hold jobs, dead ones too."""
    table = _status(connection)
    held = sa.select(table.c.executor_id).where(table.c.status == "PENDING", table.c.queue_name == QUEUE)
    return set(connection.execute(held.distinct()).scalars())


def abandoned(connection: sa.Connection) -> list[str]:
    """Generations that run although their job has ended, however it did."""
    table, running = _status(connection), tables.generations.c.state.in_(RUNNING)
    ended = sa.select(tables.generations.c.id).join(table, table.c.workflow_uuid == tables.generations.c.id)
    return list(connection.execute(ended.where(running, table.c.status.not_in(_OPEN))).scalars())


class JobClient:
    """Puts generations into the queue; for processes that draw none."""

    def __init__(self, settings: Settings) -> None:
        from dbos import DBOSClient  # noqa: PLC0415
        from dbos._serialization import DBOSPortableJSONSerializer  # noqa: PLC0415

        _quiet()
        self._client = DBOSClient(
            system_database_url=settings.database_url,
            application_name=APPLICATION,
            serializer=DBOSPortableJSONSerializer(),
        )

    def enqueue(self, connection: sa.Connection, generation: str, goes_at: float) -> None:
        """Queue a generation in the caller's transaction; the lowest `goes_at` (seconds since 1970) is drawn first."""
        self._client.enqueue_in_transaction(
            connection,
            {
                "queue_name": QUEUE,
                "workflow_name": WORKFLOW,
                "workflow_id": generation,
                "app_version": VERSION,
                "priority": int(goes_at),
            },
            generation,
        )

    def close(self) -> None:
        """Give the connections back."""
        self._client.destroy()


class JobRunner:
    """Takes generations from the queue and calls `draw(generation)` for each, in a thread of its own.

    DBOS allows one of these a process. `draw` may raise a BaseException to leave its job where it is.
    """

    def __init__(self, settings: Settings, worker: str, draw: Callable[[str], None]) -> None:
        from dbos import DBOS  # noqa: PLC0415
        from dbos._serialization import DBOSPortableJSONSerializer  # noqa: PLC0415

        self._at_once = settings.generations_at_once
        _quiet()
        self._dbos = DBOS(
            config={
                "name": APPLICATION,
                "system_database_url": settings.database_url,
                "application_version": VERSION,
                "executor_id": worker,
                "serializer": DBOSPortableJSONSerializer(),
                "log_level": "WARNING",
                "run_migrations": False,
            }
        )

        def run(generation: str) -> None:
            draw(generation)

        DBOS.workflow(name=WORKFLOW, max_recovery_attempts=NO_LIMIT)(run)

    def start(self) -> None:
        """Begin to take jobs."""
        self._dbos.launch()
        self._dbos.register_queue(QUEUE, worker_concurrency=self._at_once, polling_interval_sec=POLL_S)

    def hand_on(self, dead: list[str]) -> None:
        """Put the jobs that dead workers held back into the queue."""
        self._dbos._recover_pending_workflows(dead)

    def stop(self) -> None:
        """Take no more jobs; those under way must have ended or raised, and DBOS has a moment to write that down: what
        it could not, it would go on trying after its connections are closed, and keep the process.
        """
        late = time.monotonic() + WRITING_S
        while self._dbos._active_workflows_set.activeList() and time.monotonic() < late:
            time.sleep(0.01)
        self._dbos.destroy(workflow_completion_timeout_sec=0)


def _schema(connection: sa.Connection) -> str | None:
    return None if connection.dialect.name == "sqlite" else "dbos"


def _status(connection: sa.Connection) -> sa.TableClause:
    columns: list[sa.ColumnClause[str]] = [
        sa.column(name) for name in ("workflow_uuid", "status", "executor_id", "queue_name")
    ]
    return sa.table("workflow_status", *columns, schema=_schema(connection))


def _quiet() -> None:
    """DBOS logs to the console by a handler of its own; let ours have its warnings instead."""
    logger = logging.getLogger("dbos")
    logger.setLevel(logging.WARNING)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
