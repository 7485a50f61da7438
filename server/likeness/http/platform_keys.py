"""The platform's published keys (RFC 7517): fetched when one is missing, throttled, and kept through outages."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Final

import jwt

from likeness.refusals import UnauthorizedError

# A known set is fetched again after this time, so that a withdrawn key is forgotten.
KEYS_LIVE_S: Final = 300.0
# A token that no known key fits has the set fetched at once, so often in a row; after that once in this time.
FETCHES_AT_ONCE: Final = 3
FETCH_AGAIN_S: Final = 10.0
TIMEOUT_S: Final = 10
logger = logging.getLogger(__name__)


class PlatformKeys:
    """The keys of one address that fit the configured algorithm."""

    def __init__(self, url: str, algorithm: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=TIMEOUT_S)
        self._algorithm = algorithm
        self._clock = clock
        self._keys: list[jwt.PyJWK] = []
        self._asked_at = -math.inf
        self._allowance = float(FETCHES_AT_ONCE)
        self._counted_at = clock()
        self._fetching = asyncio.Lock()

    async def fitting(self, kid: str | None) -> list[jwt.PyJWK]:
        """The keys that may have signed a token with this `kid`; raises UnauthorizedError when there are none."""
        if self._due(kid):
            async with self._fetching:
                if self._due(kid):  # still: what was under way has not brought it
                    await self._fetch()
        if not self._keys:
            raise UnauthorizedError("The platform's keys cannot be had right now. Try again in a minute.")
        if found := self._named(kid):
            return found
        raise UnauthorizedError("The token's key is none of the platform's. Get a new token.")

    async def renew(self) -> None:
        """Fetch the set again, as far as the throttle allows it."""
        async with self._fetching:
            await self._fetch()

    def _due(self, kid: str | None) -> bool:
        return self._clock() - self._asked_at >= KEYS_LIVE_S or not self._named(kid)

    async def _fetch(self) -> None:
        """Ask the platform, off the event loop. An outage of theirs is none of ours: known keys stay."""
        if not self._may_fetch():
            return
        self._asked_at = self._clock()
        try:
            published = await asyncio.to_thread(self._client.get_jwk_set)
        except (jwt.PyJWTError, OSError, ValueError) as error:  # not there, or what it returns is no key set
            logger.warning("The platform's keys cannot be had: %s.", type(error).__name__)
            return
        self._keys = [key for key in published if self._fits(key)]

    def _named(self, kid: str | None) -> list[jwt.PyJWK]:
        """Keys of that name, or else those without any; all, where the token names none."""
        if kid is None:
            return self._keys
        return [key for key in self._keys if key.key_id == kid] or [key for key in self._keys if not key.key_id]

    def _fits(self, key: jwt.PyJWK) -> bool:
        return key.algorithm_name == self._algorithm and key.public_key_use in ("sig", None)

    def _may_fetch(self) -> bool:
        now = self._clock()
        gained = (now - self._counted_at) / FETCH_AGAIN_S
        self._counted_at = now  # also where this call is denied: no span counts twice
        self._allowance = min(FETCHES_AT_ONCE, self._allowance + gained)
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True
