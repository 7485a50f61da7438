"""An S3 server for tests, of moto's making: on loopback, for this process and its children, with faults on demand."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any, Final, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import FakeDeleteMarker, s3_backends
from werkzeug.serving import WSGIRequestHandler, make_server

REGION: Final = "us-east-1"
# Longer than any test waits for an answer, so that a stall ends by its release alone.
FOREVER_S: Final = 600.0
ALL: Final = -1


class Call(NamedTuple):
    """A request as it came; `name` is empty where it is about the bucket."""

    method: str
    bucket: str
    name: str
    query: dict[str, list[str]]


class Fault:
    """Something that a server does wrong, from now until `end` or the end of the `with` block; `hits` counts."""

    def __init__(self, matches: Callable[[Call], bool], most: int, act: Callable[[Fault], str | None]) -> None:
        self.hits = 0
        self.ended = threading.Event()
        self._matches = matches
        self._most = most
        self._act = act

    def claims(self, call: Call) -> bool:
        """Whether this call is one of its own."""
        if self.ended.is_set() or self.hits == self._most or not self._matches(call):
            return False
        self.hits += 1
        return True

    def answer(self) -> str | None:
        """The status that the client gets in place of moto's answer, or None to let moto answer."""
        return self._act(self)

    def end(self) -> None:
        """Do right again, and let go whoever waits."""
        self.ended.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def about(url: str) -> Callable[[Call], bool]:
    """Matches the calls about one bucket: sweepers of a test session's other servers may call at any time."""
    return lambda call: call.bucket == _bucket_of(url)


class S3Server:
    """An S3 server whose buckets are in this process's memory; child processes reach it through `environment`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._faults: list[Fault] = []
        self._suspended: set[str] = set()
        self._lock = threading.Lock()
        self._serving = threading.Lock()
        self._moto: Callable[..., Iterable[bytes]] = create_backend_app("s3")
        self._backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=_Silent)
        self._thread = threading.Thread(target=self._server.serve_forever, name="s3", daemon=True)

    def start(self) -> Self:
        """Answer from now on."""
        self._thread.start()
        return self

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a client finds the server and may use it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ALLOW_HTTP": "true",
        }

    def bucket(self, *, versioned: bool = False, suspended: bool = False) -> str:
        """A new bucket's URL; `suspended` is one whose versioning was turned off again."""
        name = f"bucket-{secrets.token_hex(6)}"
        self._backend.create_bucket(name, REGION)
        if versioned or suspended:
            self._backend.put_bucket_versioning(name, "Suspended" if suspended else "Enabled")
        if suspended:
            self._suspended.add(name)
        return f"s3://{name}"

    def names(self, url: str) -> list[str]:
        """The names of what is stored in a bucket, sorted."""
        keys = self._backend.get_bucket(_bucket_of(url)).keys
        return sorted(name for name, key in keys.items() if not isinstance(key, FakeDeleteMarker))

    def versions(self, url: str) -> int:
        """How many objects a bucket keeps, old versions too."""
        keys = self._backend.get_bucket(_bucket_of(url)).keys
        return sum(not isinstance(key, FakeDeleteMarker) for _, kept in keys.iterlists() for key in kept)

    def calls_to(self, url: str) -> list[Call]:
        """What was asked of a bucket, in order."""
        return [*filter(about(url), self.calls)]

    def parts(self) -> list[Call]:
        """Whatever anyone sent of an upload in parts."""
        return [call for call in self.calls if call.query.keys() & {"uploads", "uploadId"}]

    def fail(self, which: Callable[[Call], bool], status: str = "503 Slow Down", times: int = ALL) -> Fault:
        """Refuse all calls that match, or the next so many; a client's retries are calls of their own."""
        return self._begin(Fault(which, times, lambda _: status))

    def stall(self, seconds: float = FOREVER_S, which: Callable[[Call], bool] = lambda _: True) -> Fault:
        """Take calls that match and do nothing about them for so long or until the fault ends; then serve them."""

        def wait(fault: Fault) -> None:
            fault.ended.wait(seconds)

        return self._begin(Fault(which, ALL, wait))

    def lose(self, part: str = "", times: int = 1) -> Fault:
        """Acknowledge the next object, or so many, whose name has this part in it, and store nothing."""
        return self._begin(Fault(lambda call: call.method == "PUT" and part in call.name, times, lambda _: "200 OK"))

    def heal(self) -> None:
        """End every fault."""
        for fault in self._faults:
            fault.end()
        self._faults.clear()

    def close(self) -> None:
        """Stop, and forget all buckets of this process."""
        self.heal()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._backend.reset()

    def _begin(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        call = _call_of(environ)
        # Read to the end whatever becomes of it: a client that is still sending would see a broken connection.
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        with self._lock:
            self.calls.append(call)
            fault = next((fault for fault in self._faults if fault.claims(call)), None)
        status = fault.answer() if fault else None
        if status is not None:
            start_response(status, [("Content-Length", "0"), ("ETag", '"0"')])
            return []
        start = self._as_suspended(start_response) if call.bucket in self._suspended else start_response
        with self._serving:  # a list while another call deletes breaks in moto
            return [b"".join(self._moto(environ, start))]

    def _as_suspended(self, start_response: Callable[..., Any]) -> Callable[..., Any]:
        """moto names no version where S3 names one, "null"."""
        return lambda status, headers, *rest: start_response(status, [*headers, ("x-amz-version-id", "null")], *rest)


class _Silent(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing of each request."""


def _bucket_of(url: str) -> str:
    return urlsplit(url).netloc


def _call_of(environ: dict[str, Any]) -> Call:
    bucket, _, name = environ["PATH_INFO"].lstrip("/").partition("/")
    query = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
    return Call(environ["REQUEST_METHOD"], bucket, name, query)
