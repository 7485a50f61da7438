"""Nothing past its deadline leaves, whatever the sweeper has got to; and nothing that leaves is kept on the way."""

from __future__ import annotations

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from likeness.http.openapi import SCHEMA
from likeness.http.service import Service
from likeness.records import generations
from likeness.refusals import GoneError


class Retention(ASGIMiddleware):
    """For routes below a generation: finds it, 404 unless it is the user's. Those with `opt={"avatars": True}` answer
    410 once its unsaved avatars are past their deadline. Handlers take it from `scope["state"]["generation"]`.
    """

    scopes = (ScopeType.HTTP,)
    exclude_opt_key = "public"
    exclude_path_pattern = SCHEMA

    def __init__(self, service: Service) -> None:
        self._service = service

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Look the generation up by the deadlines of its row, then pass on."""
        wanted = scope["path_params"].get("generation")
        if wanted is not None:
            found = await self._service.read(generations.get_owned, str(wanted), scope["user"].owner)
            if found.avatars_gone and scope["route_handler"].opt.get("avatars"):
                raise GoneError("generation")
            scope["state"]["generation"] = found

        async def uncached(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"cache-control", b"private, no-store")]
            await send(message)

        await next_app(scope, receive, uncached)
