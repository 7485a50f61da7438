"""Tokens: the platform's JWTs, and the session cookies that they are exchanged for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import jwt
import msgspec

from likeness.http.platform_keys import PlatformKeys
from likeness.refusals import UnauthorizedError
from likeness.settings import TIERS, Settings
from likeness.users import User, owner_of

SESSION_COOKIE: Final = "likeness_session"
SESSION_S: Final = 3600
LEEWAY_S: Final = 30
LOCAL: Final = "local"


class Session(msgspec.Struct, frozen=True):
    """A session cookie: its value and when it ends, seconds since 1970."""

    value: str
    until: float


class Tokens:
    """Verifies tokens against the one algorithm and key source that are configured."""

    def __init__(self, settings: Settings, secret: bytes) -> None:
        self._settings = settings
        self._secret = secret
        self._keys = PlatformKeys(settings.jwt_jwks_url, settings.jwt_algorithm) if settings.jwt_jwks_url else None

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
        try:
            if self._keys is None:
                return self._decoded(token, [self._settings.jwt_secret])
            kid = jwt.get_unverified_header(token).get("kid")
            keys = await self._keys.fitting(kid)
            try:
                return self._decoded(token, keys)
            except jwt.InvalidSignatureError:
                if all(kid and key.key_id == kid for key in keys):
                    raise
                await self._keys.renew()  # a key without a name may have given way to another
                return self._decoded(token, await self._keys.fitting(kid))
        except jwt.ExpiredSignatureError as error:
            raise UnauthorizedError("The token has expired. Get a new one from the platform.") from error
        except jwt.InvalidTokenError as error:
            raise UnauthorizedError("The token is not valid here. Get one from the platform.") from error

    def _decoded(self, token: str, keys: Sequence[str | jwt.PyJWK]) -> dict[str, Any]:
        """The claims under the first key that has signed the token; raises PyJWT's InvalidTokenError."""
        settings, failed = self._settings, jwt.InvalidSignatureError("no key")
        for key in keys:
            try:
                return dict(
                    jwt.decode(
                        token,
                        key,
                        algorithms=[settings.jwt_algorithm],
                        audience=settings.jwt_audience,
                        issuer=settings.jwt_issuer,
                        leeway=LEEWAY_S,
                        options={"require": ["iss", "aud", "exp", "sub"]},
                    )
                )
            except jwt.InvalidSignatureError as error:
                failed = error
        raise failed
