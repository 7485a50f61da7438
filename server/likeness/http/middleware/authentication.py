"""Who is asking: the platform's token, a session cookie, or the one local user; then whether a browser may ask so."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from likeness.http.openapi import SCHEMA
from likeness.http.tokens import SESSION_COOKIE, Tokens
from likeness.refusals import ForeignOriginError, UnauthorizedError
from likeness.settings import Settings, is_loopback
from likeness.users import User

SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")


class Authentication(ASGIMiddleware):
    """Sets `scope["user"]`; routes with `opt={"public": True}` have none."""

    scopes = (ScopeType.HTTP,)
    exclude_opt_key = "public"
    exclude_path_pattern = SCHEMA

    def __init__(self, settings: Settings, tokens: Tokens) -> None:
        self._settings = settings
        self._tokens = tokens
        named = urlsplit(settings.public_url).hostname
        self._hosts = {settings.host, *settings.allowed_hosts, *([named] if named else [])}

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Authenticate, or refuse before anything else is looked at."""
        connection = ASGIConnection[Any, Any, Any, Any](scope)
        scope["user"] = await self._user(connection)
        await next_app(scope, receive, send)

    async def _user(self, connection: ASGIConnection[Any, Any, Any, Any]) -> User:
        kind, _, token = connection.headers.get("authorization", "").partition(" ")
        if token:
            if kind.lower() != "bearer":
                raise UnauthorizedError("The Authorization header is no bearer token. Send `Bearer` and the token.")
            if not self._settings.local_user_only:
                return await self._tokens.user(token.strip())
        cookie = connection.cookies.get(SESSION_COOKIE)
        if not self._settings.local_user_only and not cookie:
            raise UnauthorizedError("The request has no token. Send the platform's as `Authorization: Bearer ...`.")
        # From here on a browser sends the credentials by itself, for whichever page asks it to.
        self._check_host(connection)
        self._check_origin(connection)
        return (
            self._tokens.session_user(cookie)
            if cookie and not self._settings.local_user_only
            else self._tokens.local_user
        )

    def _check_host(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """A name of ours: otherwise another site's name was pointed at this server (DNS rebinding)."""
        host = (_named(f"//{connection.headers.get('host', '')}").hostname or "").removesuffix(".")
        if host not in self._hosts and "*" not in self._hosts and not is_loopback(host):
            raise ForeignOriginError("This server does not go by that Host name. Add it to allowed_hosts if it should.")

    def _check_origin(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        origin, site = connection.headers.get("origin"), connection.headers.get("sec-fetch-site")
        # A page of an origin that is not allowed may have a GET sent, but cannot read what it returns.
        readable = origin in self._settings.allowed_origins
        if connection.scope["method"] in SAFE_METHODS and not readable:  # type: ignore[typeddict-item]
            return
        same_site = site in (None, "same-origin", "none")
        same_origin = origin is None or _named(origin).netloc == connection.headers.get("host")
        if not (same_site and same_origin):
            raise ForeignOriginError(
                "The request comes from another website's page. Send it from this server's own, or with a bearer token."
            )


def _named(url: str) -> SplitResult:
    """The parts of an address that a client sent."""
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ForeignOriginError(
            "The Host or the Origin is no address. Send the request from this server's own."
        ) from error
