"""Tokens: the platform's JWTs, and the session cookies that they are exchanged for."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import Any, Final

import jwt
import msgspec

from likeness.refusals import UnauthorizedError
from likeness.settings import TIERS, Settings
from likeness.users import User, owner_of

SESSION_COOKIE: Final = "likeness_session"
SESSION_S: Final = 3600
# An unknown key id makes us ask the platform again, but no more often than this; and a known key has to be there still.
KEYS_AGAIN_S: Final = 30.0
KEYS_LIVE_S: Final = 300.0
LEEWAY_S: Final = 30
LOCAL: Final = "local"
logger = logging.getLogger(__name__)


class Session(msgspec.Struct, frozen=True):
    """A session cookie: its value and when it ends, seconds since 1970."""

    value: str
    until: float


class Tokens:
    """Verifies tokens against the one algorithm and key source that are configured."""

    def __init__(self, settings: Settings, secret: bytes) -> None:
        self._settings = settings
        self._secret = secret
        self._keys = jwt.PyJWKClient(settings.jwt_jwks_url, cache_jwk_set=False) if settings.jwt_jwks_url else None
        self._known: dict[str, jwt.PyJWK] = {}
        self._asked_at = -math.inf
        self._asking = asyncio.Lock()

    @property
    def local_user(self) -> User:
        """Everybody, when no tokens are configured."""
        return User(owner_of(self._secret, LOCAL, LOCAL), self._settings.local_tier, local=True, subject=LOCAL)

    async def user(self, token: str) -> User:
        """The user of a platform's token; raises UnauthorizedError, which says nothing of the token itself."""
        claims = await self._claims(token)
        subject, tier = claims["sub"], claims.get("tier", "lite")
        if not isinstance(subject, str) or not subject:
            raise UnauthorizedError("The token's `sub` is empty. Let it name the user.")
        if tier not in TIERS:
            raise UnauthorizedError(f"The token's `tier` is none of {', '.join(TIERS)}. Let it be one of them.")
        try:
            owner = owner_of(self._secret, self._settings.jwt_issuer, subject)
        except UnicodeEncodeError as error:
            raise UnauthorizedError("The token's `sub` is not Unicode text. Let it name the user.") from error
        return User(owner, tier, str(claims.get("region", "")), subject=subject)

    def session(self, user: User) -> Session:
        """A cookie's value for a user who came with a token."""
        until = time.time() + SESSION_S
        claims = {
            "sub": user.owner,
            "name": user.subject,
            "tier": user.tier,
            "region": user.region,
            "exp": int(until),
            "aud": SESSION_COOKIE,
        }
        return Session(jwt.encode(claims, self._secret, algorithm="HS256"), until)

    def session_user(self, value: str) -> User:
        """The user of a cookie that this server made."""
        try:
            claims = jwt.decode(value, self._secret, algorithms=["HS256"], audience=SESSION_COOKIE)
        except jwt.InvalidTokenError as error:
            raise UnauthorizedError("The session has ended. Start one with POST /v1/session.") from error
        return User(claims["sub"], claims["tier"], claims["region"], subject=claims["name"])

    async def _claims(self, token: str) -> dict[str, Any]:
        settings = self._settings
        try:
            key = await self._key(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[settings.jwt_algorithm],
                audience=settings.jwt_audience,
                issuer=settings.jwt_issuer,
                leeway=LEEWAY_S,
                options={"require": ["iss", "aud", "exp", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise UnauthorizedError("The token has expired. Get a new one from the platform.") from error
        except jwt.InvalidTokenError as error:
            raise UnauthorizedError("The token is not valid here. Get one from the platform.") from error
        return claims

    async def _key(self, token: str) -> str | jwt.PyJWK:
        if self._keys is None:
            return self._settings.jwt_secret
        name = str(jwt.get_unverified_header(token).get("kid", ""))
        if name not in self._known or self._due(name):
            await self._fetch(name)
        if name not in self._known:
            raise UnauthorizedError("The token's key is none of the platform's. Get a new token.")
        return self._known[name]

    def _due(self, name: str) -> bool:
        return time.monotonic() - self._asked_at >= (KEYS_LIVE_S if name in self._known else KEYS_AGAIN_S)

    async def _fetch(self, name: str) -> None:
        """Ask for the platform's keys, off the event loop, one at a time and not for every unknown name."""
        assert self._keys is not None
        async with self._asking:
            if not self._due(name):
                return
            self._asked_at = time.monotonic()
            try:
                keys = await asyncio.to_thread(self._keys.get_signing_keys)
            except (jwt.PyJWTError, OSError, ValueError) as error:  # not there, or what it answers is no key set
                logger.warning("The platform's keys cannot be had: %s.", type(error).__name__)
                if name in self._known:
                    return  # an outage of theirs is none of ours
                raise UnauthorizedError(
                    "The platform's keys cannot be had right now. Try again in a minute."
                ) from error
            self._known = {str(key.key_id): key for key in keys}
