"""`ServerSettings`: the settings of a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import limits

from mem0_integrations.arguments import check_integer, check_timeout
from mem0_integrations.errors import ConfigurationError

__all__ = ["ServerSettings"]

_KIB: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The settings of a server.

    Args:
        state_url: The database for projects, keys, events and webhooks: a URL of SQLAlchemy,
            `sqlite:///file` or `postgresql+psycopg://...`; None for a SQLite file in the data
            folder.
        cors_origins: The origins whose pages may call the server from a browser, such as
            `https://app.example.com`; `*` for all.
        rate_limit: Maximum number of requests of a key, such as `600/minute`; None for no limit.
        rate_limit_storage: Where requests are counted: a storage URL of the library `limits`.
            With `memory://`, each worker process counts its own.
        max_request_bytes: Maximum size of a request's body, in bytes.
        health_timeout: Maximum number of seconds in which the memory answers `/health`.
        webhook_timeout: Maximum number of seconds in which the receiver of a webhook answers.
        webhook_attempts: Maximum number of attempts to deliver to a webhook.

    Raises:
        ConfigurationError: The rate limit or its storage is malformed.
        InvalidInputError: A number is out of range.

    Example:
        >>> ServerSettings(rate_limit="600/minute").max_request_bytes
        1048576
    """

    state_url: str | None = None
    cors_origins: Sequence[str] = ()
    rate_limit: str | None = None
    rate_limit_storage: str = "memory://"
    max_request_bytes: int = _KIB * _KIB
    health_timeout: float = 5.0
    webhook_timeout: float = 10.0
    webhook_attempts: int = 8

    def __post_init__(self) -> None:
        """Check what would only fail when a request comes in."""
        if isinstance(self.cors_origins, str):
            raise ConfigurationError(
                f"cors_origins must be a sequence of origins, not the text {self.cors_origins!r}."
            )
        object.__setattr__(self, "cors_origins", tuple(self.cors_origins))
        check_integer("max_request_bytes", self.max_request_bytes, 1, None)
        check_integer("webhook_attempts", self.webhook_attempts, 1, None)
        check_timeout("health_timeout", self.health_timeout)
        check_timeout("webhook_timeout", self.webhook_timeout)
        if self.rate_limit is not None:
            try:
                limits.parse(self.rate_limit)
            except ValueError:
                raise ConfigurationError(
                    f"rate_limit must be like '600/minute' or '10/second', not {self.rate_limit!r}."
                ) from None
