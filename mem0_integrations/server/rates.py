"""Rate limits of API keys."""

from __future__ import annotations

import math
import time
from typing import Final

from fastapi import HTTPException
from limits import parse
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

__all__ = ["Limiter"]

_LEAST_WAIT: Final = 1


class Limiter:
    """Limits the requests of each caller within a moving window.

    Args:
        rate: The limit, for example `600/minute`.
        storage: Where requests are counted: a storage URL of the library `limits`.

    Example:
        >>> Limiter("2/minute", "memory://").take("key")["X-RateLimit-Remaining"]
        '1'
    """

    def __init__(self, rate: str, storage: str) -> None:
        self._rate = parse(rate)
        self._window = MovingWindowRateLimiter(storage_from_string(storage))

    def take(self, who: str) -> dict[str, str]:
        """Count a request of a caller; returns headers that say how many may follow.

        `X-RateLimit-Reset` is in seconds since the epoch.

        Raises:
            HTTPException: 429: there were too many; `Retry-After` says how long to wait.
        """
        counted = self._window.hit(self._rate, who)
        reset, remaining = self._window.get_window_stats(self._rate, who)
        headers = {
            "X-RateLimit-Limit": str(self._rate.amount),
            "X-RateLimit-Remaining": str(max(0, remaining)),
            "X-RateLimit-Reset": str(math.ceil(reset)),
        }
        if not counted:
            wait = max(_LEAST_WAIT, math.ceil(reset - time.time()))
            raise HTTPException(
                429,
                f"Too many requests: this key may make {self._rate}. Come back in {wait} s.",
                headers={"Retry-After": str(wait), **headers},
            )
        return headers
