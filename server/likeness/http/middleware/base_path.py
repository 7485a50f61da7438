"""The path below which users see this server, where a proxy serves it beside others: `/avatars` for one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from likeness.addresses import is_base_path
from likeness.settings import Settings

HEADER: Final = b"x-forwarded-prefix"


class BasePath:
    """Sets `root_path`, ASGI's name for it, and a `path` that begins with it, whether the proxy took it off or not.

    The setting `root_path` counts; without it `X-Forwarded-Prefix`, from `trusted_proxies` alone, as their other
    `X-Forwarded-` headers. A value that is no plain path counts as none: it would go into links.
    """

    def __init__(self, app: ASGIApp, settings: Settings, paths: Iterable[str]) -> None:
        trusting: Any = ProxyHeadersMiddleware(app, list(settings.trusted_proxies))  # type: ignore[arg-type]
        self._app: ASGIApp = trusting
        self._trusted = trusting.trusted_hosts
        self._root_path = settings.root_path
        self._ours = {_first(path) for path in paths}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == ScopeType.HTTP:
            base = self._root_path or self._forwarded(scope)
            path = self._below(base, scope["path"])
            scope["root_path"], scope["path"] = base, base + path
        await self._app(scope, receive, send)

    def _forwarded(self, scope: Scope) -> str:
        values = [value for name, value in scope["headers"] if name == HEADER]
        client = scope.get("client")
        if len(values) != 1 or client is None or client[0] not in self._trusted:
            return ""
        base = values[0].decode("latin-1").strip().removesuffix("/")
        return base if is_base_path(base) else ""

    def _below(self, base: str, path: str) -> str:
        """The path without the base. Where the base is also one of our own names, such as /studio, it is taken off only
        if one of ours is left.
        """
        rest = path.removeprefix(base)
        if rest == path or not (rest == "" or rest.startswith("/")) or _first(rest) not in self._ours:
            return path
        return rest or "/"


def _first(path: str) -> str:
    return path.lstrip("/").partition("/")[0]


def base_path(scope: Scope) -> str:
    """What goes before every path of this server in what this request gets."""
    return scope["root_path"]
