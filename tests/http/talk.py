"""How these tests talk to a server: people with tokens, uploads that stop half-way, and what every problem has."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import httpx
import jwt

from tests.patience import patience_s
from tests.serving import CONSENT, Server

SECRET = "a secret that only these tests and their servers know"
ISSUER = "https://social.example"
REGION = "eu"
_numbers = itertools.count()


def claims(subject: str, **changes: Any) -> dict[str, Any]:
    """A good token's claims; a change to None takes one out."""
    base = {"iss": ISSUER, "aud": "likeness", "sub": subject, "exp": int(time.time()) + 3600}
    base |= {"tier": "plus", "region": REGION}
    return {name: value for name, value in {**base, **changes}.items() if value is not None}


def sign(subject: str, key: Any = SECRET, algorithm: str = "HS256", headers: Any = None, **changes: Any) -> str:
    """A platform's token."""
    return jwt.encode(claims(subject, **changes), key, algorithm, headers)


class Event(NamedTuple):
    """One server-sent event."""

    number: int
    kind: str
    data: dict[str, Any]


class Person:
    """A user of the platform, of a subject that nobody else has; Plus, so that the day's quota is no matter."""

    tokens: ClassVar[set[str]] = set()

    def __init__(self, server: Server, token: str | None = None, **changes: Any) -> None:
        self.server = server
        self.subject = f"subject-{next(_numbers)}-of-these-tests"
        self.token = token or sign(self.subject, **changes)
        self.client = httpx.Client(
            base_url=server.client.base_url,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=patience_s(),
            verify=False,
        )
        Person.tokens.add(self.token)

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self.client.get(url, **options)

    def json(self, url: str, **options: Any) -> Any:
        """What a GET answers, which must be 200."""
        response = self.get(url, **options)
        assert response.status_code == 200, response.text
        return response.json()

    def send(self, method: str, url: str, body: Any = None, status: int = 200) -> Any:
        """Send JSON, expect a status, answer what came."""
        response = self.client.request(method, url, json=body)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def upload(self, photos: Sequence[bytes], consent: str | None = CONSENT, **options: Any) -> httpx.Response:
        """POST an upload; `fields` are added to the consent."""
        fields = {**({} if consent is None else {"consent": consent}), **options.pop("fields", {})}
        return self.client.post("/v1/generations", files=named(photos), data=fields, **options)

    def accepted(self, photos: Sequence[bytes], **options: Any) -> str:
        """The address of the generation that an upload makes."""
        response = self.upload(photos, **options)
        assert response.status_code == 202, response.text
        return str(response.headers["Location"])

    def done(self, photos: Sequence[bytes], **options: Any) -> str:
        """The same, once all is drawn and the photos are deleted."""
        location = self.accepted(photos, **options)
        assert [event.kind for event in self.events(location)][-2:] == ["done", "photos_deleted"]
        return location

    def events(self, location: str, last: int | None = None) -> Iterator[Event]:
        """The events of a generation as they come, until the stream ends."""
        headers = {} if last is None else {"Last-Event-ID": str(last)}
        with self.client.stream("GET", f"{location}/events", headers=headers) as response:
            assert response.status_code == 200, response.read()
            assert response.headers["Content-Type"].startswith("text/event-stream")
            yield from parse_events(response.iter_lines())

    def remaining(self) -> int:
        """How many generations are left today."""
        return int(self.json("/v1/quota")["remaining"])


def parse_events(lines: Iterator[str]) -> Iterator[Event]:
    """Events from the lines of a stream; comments are left out."""
    event: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif "id" in event:
            yield Event(int(event["id"]), event["event"], json.loads(event["data"]))
            event = {}


def named(photos: Sequence[bytes], prefix: str = "photo") -> list[tuple[str, tuple[str, bytes, str]]]:
    """Photos as httpx takes them."""
    return [("photos", (f"{prefix}-{number}.jpg", photo, "image/jpeg")) for number, photo in enumerate(photos)]


class RawUpload:
    """An upload by hand: its head is sent at once, its body as the test says."""

    def __init__(self, person: Person, photos: Sequence[bytes], **changes: str) -> None:
        request = self.request(person.client, photos)
        self.body = request.read()
        headers = {**dict(request.headers), "connection": "close", **changes}
        self._socket = socket.create_connection((request.url.host, request.url.port or 80), timeout=patience_s())
        lines = [f"{name}: {value}" for name, value in headers.items() if value]
        self._socket.sendall("\r\n".join([f"POST {request.url.path} HTTP/1.1", *lines, "", ""]).encode())
        self._sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def request(self, client: httpx.Client, photos: Sequence[bytes]) -> httpx.Request:
        """What is sent."""
        return client.build_request("POST", "/v1/generations", files=named(photos), data={"consent": CONSENT})

    def send(self, until: float = 1.0) -> Self:
        """Send the body up to a share of it, the rest by default."""
        end = int(len(self.body) * until)
        self._socket.sendall(self.body[self._sent : end])
        self._sent = end
        return self

    def shut(self) -> Self:
        """Say that nothing more comes, but listen on."""
        self._socket.shutdown(socket.SHUT_WR)
        return self

    def answer(self) -> httpx.Response:
        """The response, once it is there."""
        response = http.client.HTTPResponse(self._socket)
        response.begin()
        body = response.read()
        return httpx.Response(response.status, headers=list(response.headers.items()), content=body)


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem details of a refusal, with what all of them must have."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["status"] == status
    assert found["code"] == code, found
    assert found["type"] == f"urn:likeness:problem:{code}"
    assert found["title"]
    assert found["detail"].endswith("."), found["detail"]
    assert found["request_id"] == response.headers["X-Request-ID"]
    assert not any(sign in response.text for sign in ("Traceback", 'File "', ".py", "site-packages"))
    return found


def stored(server: Server) -> list[str]:
    """The names of all objects in a server's store, temporary ones too."""
    passing = ("check-", "clock-")  # the server's own, to see whether and when the store stores
    return [name for name in server.home.objects() if not name.startswith(passing)]
