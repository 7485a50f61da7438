"""One generation a day: a slot is reserved before the body is read, used in the transaction that accepts the upload,
and given back when it is refused.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from likeness.http.middleware.answer import answered, is_no_upload
from likeness.http.service import HELD_S, Service
from likeness.http.upload import ACCEPTED
from likeness.records import queue, quota
from likeness.records.quota import Slot
from likeness.refusals import PaymentError, RegionError
from likeness.settings import Settings
from likeness.users import User

# Answers that are the upload's own fault, and count towards `refusals_per_hour`.
REFUSED: Final = (400, 408, 413, 415, 422)


class Quota(ASGIMiddleware):
    """Admits an upload, or answers 402, 403, 429 or 503 before its body is read."""

    scopes = (ScopeType.HTTP,)
    should_bypass_for_scope = staticmethod(is_no_upload)

    def __init__(self, service: Service) -> None:
        self._service = service

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Reserve, pass on, and give back what was not used."""
        user: User = scope["user"]
        slot = await self._service.write(admit, user, self._service.settings)
        scope["state"]["slot"] = slot

        async def settle(status: int) -> None:
            if status != ACCEPTED:
                await self._service.write(refuse, slot, user.owner, counted=status in REFUSED)

        await answered(next_app, scope, receive, send, settle)


def admit(connection: sa.Connection, user: User, settings: Settings) -> Slot:
    """Check plan, region, refused attempts and the queue, then reserve a slot of today."""
    check_plan(user, settings)
    quota.check_refusals(connection, user.owner, settings.refusals_per_hour)
    queue.check_room(connection, settings)
    return quota.reserve(connection, user.owner, settings.quota(user.tier), HELD_S)


def check_plan(user: User, settings: Settings) -> None:
    """Raise PaymentError or RegionError where this user's photos are not to be touched at all."""
    if user.tier in settings.paywall_tiers:
        raise PaymentError(user.tier, settings.upgrade_url)
    if settings.regions and user.region not in settings.regions:
        raise RegionError


def refuse(connection: sa.Connection, slot: Slot, owner: str, counted: bool) -> None:
    """Give the slot back, and count the attempt if it was the upload's fault."""
    quota.release(connection, slot)
    if counted:
        quota.note_refusal(connection, owner)
