"""Bodies come as they are: nothing here unpacks one, since what is small packed may be large unpacked."""

from __future__ import annotations

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from likeness.refusals import EncodedBodyError


class PlainBodies(ASGIMiddleware):
    """Refuses a request whose body has a Content-Encoding, before the body is read."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Raises EncodedBodyError."""
        given = b",".join(value for name, value in scope["headers"] if name == b"content-encoding")
        codings = {coding.strip().lower() for coding in given.decode("latin-1").split(",")} - {"", "identity"}
        if codings and scope["method"] in ("POST", "PUT"):  # type: ignore[typeddict-item]
            raise EncodedBodyError
        await next_app(scope, receive, send)
