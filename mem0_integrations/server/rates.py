"""Rate limits of API keys."""

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
    """How many requests a caller may still make.

    Attributes:
        limit: Maximum number of requests in a window.
        remaining: Number of requests that are left in this window.
        reset: When the limit is fully restored, in seconds since the epoch.
    """

    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an answer that tell the client."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }


class Limiter:
    """Limits the requests of each caller within a moving window.

    Args:
        rate: The limit, for example `600/minute`.
        storage: Where requests are counted: a storage URL of the library `limits`.

    Example:
        >>> Limiter("2/minute", "memory://").take("key").remaining
        1
    """

    def __init__(self, rate: str, storage: str) -> None:
        self._rate = parse(rate)
        self._window = MovingWindowRateLimiter(storage_from_string(storage))

    def take(self, who: str) -> Allowance:
        """Count a request of a caller.

        Raises:
            HTTPException: 429: there were too many; `Retry-After` says how long to wait.
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
