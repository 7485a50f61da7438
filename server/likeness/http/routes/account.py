"""The user's account: quota, policy, session, receipts' keys, and leaving."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, delete, get, post

from likeness.http.middleware.base_path import base_path
from likeness.http.problems import refusals
from likeness.http.service import Service
from likeness.http.tokens import SESSION_COOKIE, SESSION_S, Tokens
from likeness.http.views import PolicyView, QuotaView, ReceiptView, SessionView, moment, view_quota
from likeness.packs import faces_compared
from likeness.policy import policy_text, policy_version
from likeness.records import quota
from likeness.refusals import UnauthorizedError
from likeness.retention import erase_account
from likeness.users import User


@get("/v1/quota", operation_id="getQuota", tags=["account"], responses=refusals())
async def get_quota(request: Request[User, Any, Any], service: Service) -> QuotaView:
    """How many generations the user may still start today (UTC)."""
    user = request.user
    left = await service.read(quota.left_today, user.owner, service.settings.quota(user.tier))
    return view_quota(user.tier, left)


@get("/v1/policy", operation_id="getPolicy", tags=["account"], responses=refusals())
async def get_policy(request: Request[User, Any, Any], service: Service) -> PolicyView:
    """The policy to show before an upload, and the deadlines that it promises to this user."""
    settings, tier, compared = service.settings, request.user.tier, faces_compared(service.catalogue)
    return PolicyView(
        version=policy_version(compared),
        text=policy_text(settings, tier, compared),
        faces_compared=compared,
        photos_deleted_after_s=settings.photos_after_s(tier),
        photos_live_at_most_s=settings.photos_most_s,
        unsaved_avatars_live_s=settings.avatars_after_s,
        stories_live_s=settings.story_s,
    )


@post("/v1/session", operation_id="startSession", tags=["account"], status_code=200, responses=refusals())
async def start_session(request: Request[User, Any, Any], tokens: Tokens) -> Response[SessionView]:
    """Exchange a bearer token for an HttpOnly, SameSite=Strict cookie, for pages that show images and events."""
    if not (request.user.local or "authorization" in request.headers):
        # Or else a cookie, once stolen, would live for ever.
        raise UnauthorizedError("A session is not made longer by itself. Send the platform's token.")
    session = tokens.session(request.user)
    response = Response(SessionView(moment(session.until)))
    response.set_cookie(
        SESSION_COOKIE,
        session.value,
        max_age=SESSION_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path=base_path(request.scope) or "/",
    )
    return response


@get(
    "/v1/receipts/keys",
    operation_id="getReceiptKeys",
    tags=["account"],
    opt={"public": True},
    security=[{}],
    responses=refusals(),
)
async def get_receipt_keys(service: Service) -> dict[str, Any]:
    """The public keys that receipts are verified with, as a JWK set."""
    return service.safe.signer.keys()


@delete("/v1/account", operation_id="deleteAccount", tags=["account"], status_code=200, responses=refusals())
async def delete_account(request: Request[User, Any, Any], service: Service) -> ReceiptView:
    """Delete everything of the user; the answer is the only trace, but for the day's quota until the day ends."""
    jws = await service.run(erase_account, service.safe, request.user.owner, service.settings)
    return ReceiptView("account", jws)


ROUTES = (get_quota, get_policy, start_session, get_receipt_keys, delete_account)
