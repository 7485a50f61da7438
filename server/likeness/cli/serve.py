"""`likeness serve`: the API on one address, and one worker beside it."""

from __future__ import annotations

import fcntl
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn
from sqlalchemy.exc import ProgrammingError

from likeness.cli.connection import timed_protocol
from likeness.database import Database, UnavailableError
from likeness.errors import SettingsError
from likeness.http import Application, create_app
from likeness.logs import configure_logs
from likeness.safe import data_folder
from likeness.settings import Settings
from likeness.webhooks import check_webhooks
from likeness.worker import jobs
from likeness.worker.supervisor import Supervisor

# What open requests may take when the server stops; event streams are ended at once.
STOP_S = 10
BACKLOG = 2048


def serve(settings: Settings, worker: bool) -> int:
    """Serve until SIGTERM or Ctrl-C; returns 0 after a graceful end."""
    configure_logs(settings.log_level)
    with _alone(settings), _socket(settings) as listening:
        prepare(settings)
        app = create_app(settings)
        app.service.safe.objects.check()
        print(f"Likeness listens on http://{_address(settings, listening)}", file=sys.stdout, flush=True)
        supervisor = Supervisor(settings) if worker else None
        if supervisor:
            supervisor.start()
        # uvicorn raises a signal that it handled once more at its end; the worker is still to be stopped then.
        for handled in (signal.SIGTERM, signal.SIGINT):
            signal.signal(handled, lambda *_: None)
        server = _Server(app, settings.headers_total_s)
        try:
            server.run([listening])
        finally:
            if supervisor:
                supervisor.stop()
    return 0 if server.started else 1


def prepare(settings: Settings) -> None:
    """With SQLite, bring the tables to this version's form. PostgreSQL is migrated by `likeness database upgrade`, once
    for the fleet: here it is looked at only. Raises SettingsError.
    """
    check_webhooks(settings)
    if settings.database_url.startswith("sqlite"):
        migrate(settings)
        return
    with _reached():
        database = Database(settings.database_url)
        database.check_migrated()
        database.close()


def migrate(settings: Settings) -> None:
    """Bring our tables and the queue's to this version's form. Raises SettingsError."""
    if settings.database_url.startswith("sqlite"):
        data_folder(settings)
    with _reached():
        database = Database(settings.database_url)
        database.migrate()
        database.close()
    jobs.migrate(settings)


@contextmanager
def _reached() -> Iterator[None]:
    """At a start, a database that does not answer is most often another one than was meant."""
    try:
        yield
    except UnavailableError as error:
        raise SettingsError(
            "The database does not answer. Check the setting database, and that its server runs and lets this user in."
        ) from error
    except ProgrammingError as error:
        raise SettingsError(
            "The database does not let this user make or read tables. Give the user of the setting database the rights."
        ) from error


class _Server(uvicorn.Server):
    """Ends the event streams when it is told to stop: they would never end by themselves."""

    def __init__(self, app: Application, headers_s: float) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=timed_protocol(headers_s),
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=STOP_S,
                server_header=False,
                proxy_headers=False,  # the application's own: it also reads X-Forwarded-Prefix
            )
        )
        self._hub = app.service.hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or Ctrl-C."""
        self._hub.end_streams()
        super().handle_exit(sig, frame)


def _address(settings: Settings, listening: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{listening.getsockname()[1]}"


@contextmanager
def _socket(settings: Settings) -> Iterator[socket.socket]:
    """Listen before anything else is done, so that a taken port is said at once and leaves nothing behind."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host.strip("[]"), settings.port))
        listening.listen(BACKLOG)  # who connects while the rest starts waits for it
    except OSError as error:
        listening.close()
        where = f"{settings.host}:{settings.port}"
        raise SettingsError(f"Cannot listen on {where}: {error.strerror}. Choose another --host or --port.") from error
    with listening:
        yield listening


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """With SQLite, one server a data folder; the kernel frees the lock with its holder."""
    if not settings.database_url.startswith("sqlite"):
        yield
        return
    path: Path = data_folder(settings) / "server.lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SettingsError(
                f"Another server uses the data folder {settings.data}. Stop it, or choose another --data."
            ) from error
        yield
