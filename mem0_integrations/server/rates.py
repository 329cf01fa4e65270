"""How often a key may call."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Final

from fastapi import HTTPException
from limits import parse
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

__all__ = ["Allowance", "Limiter"]

_LEAST_WAIT: Final = 1


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller has left.

    Attributes:
        limit: Requests of one window.
        remaining: Requests that are left.
        reset: When all are there again, in seconds since 1970.
    """

    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> dict[str, str]:
        """The headers that say so."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }


class Limiter:
    """Counts requests in a moving window.

    Args:
        rate: For example `600/minute`.
        storage: Where they are counted, a storage URL of the library `limits`.

    Example:
        >>> Limiter("2/minute", "memory://").take("key").remaining
        1
    """

    def __init__(self, rate: str, storage: str) -> None:
        self._rate = parse(rate)
        self._window = MovingWindowRateLimiter(storage_from_string(storage))

    def take(self, who: str) -> Allowance:
        """Count a request.

        Raises:
            HTTPException: There were too many; 429, with when to come back.
        """
        counted = self._window.hit(self._rate, who)
        reset, remaining = self._window.get_window_stats(self._rate, who)
        allowance = Allowance(self._rate.amount, max(0, remaining), math.ceil(reset))
        if not counted:
            wait = max(_LEAST_WAIT, math.ceil(reset - time.time()))
            raise HTTPException(
                429,
                f"Too many requests: this key may make {self._rate}. Come back in {wait} s.",
                headers={"Retry-After": str(wait), **allowance.headers},
            )
        return allowance
