"""`Idempotency-Key`: the same request sent twice makes one generation, and the second gets the first one's answer."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

from litestar import Request
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from likeness.http.middleware.answer import answered, is_no_upload
from likeness.http.middleware.base_path import base_path
from likeness.http.service import HELD_S, Service
from likeness.http.upload import ACCEPTED, accepted_response, encode_answer, read_upload, view_of
from likeness.intake import DiscardingSink
from likeness.records import idempotency
from likeness.refusals import InputError, KeyReusedError


class Idempotency(ASGIMiddleware):
    """Claims the key before the body is read; the claim is settled in the transaction that accepts the upload."""

    scopes = (ScopeType.HTTP,)
    should_bypass_for_scope = staticmethod(is_no_upload)

    def __init__(self, service: Service) -> None:
        self._service = service

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Without a key, pass on; with a known one, compare and answer; with a new one, claim it."""
        request = Request[Any, Any, Any](scope, receive=receive, send=send)
        key = self._key(request)
        if key is None:
            await next_app(scope, receive, send)
            return
        owner = scope["user"].owner
        known = await self._service.write(idempotency.claim, owner, key, HELD_S)
        if known is not None:
            form = await read_upload(self._service, request, DiscardingSink())
            if not known.same(form.digest):
                raise KeyReusedError
            answer = known.answer or encode_answer(await view_of(self._service, known.generation, owner, base=""))
            response = accepted_response(known.generation, answer, base_path(scope))
            await response.to_asgi_response(app=None, request=request)(scope, receive, send)
            return
        scope["state"]["idempotency_key"] = key

        async def settle(status: int) -> None:
            if status != ACCEPTED:
                await self._service.write(idempotency.release, owner, key)

        await answered(next_app, scope, receive, send, settle)

    def _key(self, request: Request[Any, Any, Any]) -> str | None:
        """The header's keyed digest: what clients put there may be personal."""
        given = request.headers.get("idempotency-key")
        if given is None:
            return None
        given = unquoted(given.strip())
        if not 0 < len(given) <= 255 or not given.isprintable():
            raise InputError("The Idempotency-Key must have 1 to 255 printable characters. Use a UUID.")
        return hmac.new(self._service.secret, given.encode(), hashlib.sha256).hexdigest()


def unquoted(given: str) -> str:
    """The key in quotes, as the draft of this header wants it (a string of RFC 8941), or as it is without them."""
    if len(given) < 2 or not given[0] == given[-1] == '"':
        return given
    return re.sub(r"\\([\\\"])", r"\1", given[1:-1])
