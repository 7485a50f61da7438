"""A throw-away PostgreSQL server of the installed binaries: on loopback, in a folder of its own, for tests to kill."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import psycopg

from tests.patience import patience_s, wait_until

USER: Final = "postgres"


def find_binaries() -> Path | None:
    """The folder of the newest installed server, which Debian does not put on the path."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class Postgres:
    """One server; `start` and `stop` as often as a test likes. It refuses root, so root runs it as `postgres`."""

    def __init__(self, binaries: Path, **settings: str) -> None:
        self._binaries = binaries
        self._settings = settings
        self.folder = Path(tempfile.mkdtemp(prefix="likeness-postgres-"))
        if os.geteuid() == 0:
            owner = pwd.getpwnam(USER)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._run("initdb", "--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")

    def start(self) -> None:
        """Start, and wait until it answers; after a kill it recovers first."""
        options = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""}
        flags = " ".join(f"-c {name}='{value}'" for name, value in (options | self._settings).items())
        self._run(
            "pg_ctl", "--wait", f"--timeout={patience_s():.0f}", "--log", f"{self.folder}/log", "-o", flags, "start"
        )

    def stop(self, mode: str = "fast") -> None:
        """`immediate` ends it as a crash would: nothing is written back."""
        self._run("pg_ctl", "--wait", f"--timeout={patience_s():.0f}", "--mode", mode, "stop")

    def kill(self) -> None:
        """SIGKILL the server; its children end with it."""
        pid = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{pid}").exists())

    @property
    def data(self) -> Path:
        """The folder of everything that it stores, its write-ahead log too."""
        return self.folder / "data"

    def create(self, template: str = "template0") -> str:
        """A new database's URL; with a `template` it is a copy of that one, which nobody may be using."""
        name = f"t{secrets.token_hex(6)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop(self, url: str) -> None:
        """Delete a database, whoever still uses it."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{url.rsplit("/", 1)[1]}" WITH (FORCE)')

    def url(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def close(self) -> None:
        """Stop it, whatever state it is in, and delete everything."""
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), "--pgdata", str(self.data), *arguments]
        owner = USER if os.geteuid() == 0 else None
        done = subprocess.run(
            command,
            check=False,
            user=owner,
            group=owner,
            extra_groups=[] if owner else None,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise AssertionError(f"{program} failed:\n{done.stdout}")
