"""What the two middlewares around an upload share: knowing what is one, and how it was answered."""

from __future__ import annotations

from litestar.types import ASGIApp, Message, Receive, Scope, Send


def is_no_upload(scope: Scope) -> bool:
    """Whether a request is for another route than those with `opt={"upload": True}`."""
    return not scope["route_handler"].opt.get("upload")


async def answered(next_app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> int:
    """Pass a request on; returns the status that was answered, 0 if none was."""
    status = 0

    async def watched(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    await next_app(scope, receive, watched)
    return status
