"""What the two middlewares around an upload share: knowing what is one, and how it was answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from litestar.types import ASGIApp, Message, Receive, Scope, Send


def is_no_upload(scope: Scope) -> bool:
    """Whether a request is for another route than those with `opt={"upload": True}`."""
    return not scope["route_handler"].opt.get("upload")


async def answered(
    next_app: ASGIApp, scope: Scope, receive: Receive, send: Send, settle: Callable[[int], Awaitable[None]]
) -> None:
    """Pass a request on, and tell `settle` once with what status it is answered, 0 if not at all.

    That is before the answer is sent: whoever has it in hand may come again at once.
    """
    settled = False

    async def watched(message: Message) -> None:
        nonlocal settled
        if message["type"] == "http.response.start":
            settled = True
            await settle(message["status"])
        await send(message)

    try:
        await next_app(scope, receive, watched)
    finally:
        if not settled:
            await settle(0)
