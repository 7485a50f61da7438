"""The application: settings in, ASGI out. Nothing is read or opened before it starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp

from likeness.http.checks import CheckTurns
from likeness.http.examples import add_examples
from likeness.http.fields import join_lists
from likeness.http.metrics import Metrics
from likeness.http.middleware.authentication import Authentication
from likeness.http.middleware.base_path import BasePath
from likeness.http.middleware.cors import Cors
from likeness.http.middleware.encoding import PlainBodies
from likeness.http.middleware.head import Head
from likeness.http.middleware.idempotency import Idempotency
from likeness.http.middleware.observe import Observe
from likeness.http.middleware.quota import Quota
from likeness.http.middleware.retention import Retention
from likeness.http.openapi import openapi_config
from likeness.http.problems import answer_problem, problem_of
from likeness.http.routes import ROUTES
from likeness.http.service import Service
from likeness.http.tokens import Tokens
from likeness.intake import UploadTimeoutError
from likeness.refusals import InputError
from likeness.safe import open_safe
from likeness.settings import Settings

NOWHERE = "/nothing-has-this-address"


def create_app(settings: Settings) -> Application:
    """The service over the data that the settings name; its database must have been migrated."""
    return Application(settings)


class Application:
    """An ASGI application: Litestar, observed from outside, so that what its router refuses is seen too."""

    def __init__(self, settings: Settings) -> None:
        safe = open_safe(settings)
        self.service = Service(settings, safe)
        self._metrics = Metrics(safe.database, settings)
        self._tokens = Tokens(settings, self.service.secret)
        self._checks = CheckTurns()
        self.litestar = self._litestar(settings)
        observed = Observe(Cors(Head(self.litestar), settings.allowed_origins), self._metrics)
        self._asgi: ASGIApp = BasePath(observed, settings, (route.path for route in self.litestar.routes))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One connection, or the lifespan."""
        scope = dict(scope)  # whoever serves us goes by its own
        if "headers" in scope:
            scope["headers"] = join_lists(scope["headers"])
        if "\0" in scope.get("path", ""):
            scope["path"] = NOWHERE  # no id or token has a NUL, and PostgreSQL takes none in a text
        await self._asgi(scope, receive, send)

    def _litestar(self, settings: Settings) -> Litestar:
        service = self.service

        @asynccontextmanager
        async def lifespan(_app: Litestar) -> AsyncIterator[None]:
            await service.start()
            try:
                yield
            finally:
                await service.close()

        litestar = Litestar(
            ROUTES,
            # In the order in which a request meets them; the last two are for uploads alone.
            middleware=[
                Authentication(settings, self._tokens),
                PlainBodies(),
                Retention(service),
                Idempotency(service),
                Quota(service),
            ],
            dependencies={
                "service": Provide(lambda: service, sync_to_thread=False),
                "checks": Provide(lambda: self._checks, sync_to_thread=False),
                "tokens": Provide(lambda: self._tokens, sync_to_thread=False),
                "metrics": Provide(lambda: self._metrics, sync_to_thread=False),
            },
            exception_handlers={Exception: self._answer},
            openapi_config=openapi_config(),
            request_class=_Request,
            state=State({"body_s": settings.headers_total_s}),
            lifespan=[lifespan],
            logging_config=None,
        )
        add_examples(litestar.openapi_schema)
        return litestar

    def _answer(self, _request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        problem, headers = problem_of(error)
        self._metrics.refusal(problem.code)
        return answer_problem(problem, headers)


class _Request(Request[Any, Any, Any]):
    """Refuses JSON that comes too slowly, breaks the reader in ways that Litestar does not expect, or has a NUL."""

    async def body(self) -> bytes:
        """The whole body, which Litestar awaits before it parses JSON; an upload's is streamed instead."""
        most_s = self.app.state.body_s
        try:
            async with asyncio.timeout(most_s):
                return await super().body()
        except TimeoutError as error:
            said = f"The body did not come within {most_s:g} s. Check the connection and send the request again."
            raise UploadTimeoutError(said) from error

    async def json(self) -> Any:
        """The body as Python's own types."""
        try:
            body = await super().json()
        except UnicodeDecodeError as error:
            raise InputError("The body is not UTF-8. Send JSON as UTF-8.") from error
        except RecursionError as error:
            raise InputError("The body has too many brackets in brackets. GET /schema says what to send.") from error
        _check_texts(body)
        return body


def _check_texts(body: object) -> None:
    """Raise InputError where a text has a NUL: PostgreSQL takes none, SQLite would."""
    for name, value in body.items() if isinstance(body, dict) else ():
        if isinstance(value, str) and "\0" in value:
            raise InputError(f"The field {name[:40]} holds a NUL character. Leave it out.")
