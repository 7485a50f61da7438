"""A real nginx on loopback before servers under test: at one port it takes prefixes off, at the other it does not."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pytest

from tests.patience import patience_s, wait_until

MAIN = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_max_body_size 200m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  proxy_http_version 1.1; proxy_set_header Connection "";
  {servers}
}}
"""
LOCATION = """
location {prefix}/ {{
  proxy_pass {upstream}{end};
  proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For 203.0.113.7;
  proxy_set_header X-Forwarded-Prefix {forwarded};
}}
"""


class Nginx:
    """`behind` are upstreams by prefix; those in `named` are told theirs in X-Forwarded-Prefix, the others not."""

    def __init__(self, folder: Path, behind: Mapping[str, str], named: set[str]) -> None:
        self.stripping, self.passing = (f"http://127.0.0.1:{_free_port()}" for _ in range(2))
        servers = ""
        for address, end in ((self.stripping, "/"), (self.passing, "")):
            locations = "".join(
                LOCATION.format(
                    prefix=prefix, upstream=upstream, end=end, forwarded=prefix if prefix in named else '""'
                )
                for prefix, upstream in behind.items()
            )
            servers += f"server {{ listen {address.removeprefix('http://')}; {locations} }}\n"
        self._folder = folder
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, servers=servers))

    def __enter__(self) -> Self:
        binary = shutil.which("nginx")
        if binary is None:
            pytest.skip("nginx is not installed: apt-get install nginx-light")
        command = [binary, "-c", str(self._folder / "nginx.conf"), "-p", str(self._folder), "-e", "stderr"]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(lambda: _listens(self.passing) or self._process.poll() is not None)
        assert self._process.poll() is None, (self._folder / "error.log").read_text()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(patience_s())


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _listens(address: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 1):
        return True
    return False
