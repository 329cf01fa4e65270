"""Neo4j, Aura, and other databases that speak Bolt and openCypher."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from mem0_integrations.concurrency import LoopThread, acall, shielded
from mem0_integrations.errors import (
    BackendError,
    ClosedError,
    ConfigurationError,
    MissingExtraError,
)
from mem0_integrations.graph.engines.base import Batch, BoltConnection, GraphEngine, Query, Rows
from mem0_integrations.retry import RetryPolicy

try:
    import neo4j
    from neo4j import exceptions
except ImportError as error:
    raise MissingExtraError("A graph on Neo4j", "neo4j") from error

__all__ = ["Neo4jEngine"]

logger = logging.getLogger(__name__)

_PASSING: Final = (
    exceptions.ConnectionAcquisitionTimeoutError,
    exceptions.ServiceUnavailable,
    exceptions.SessionExpired,
)
_CLOSED: Final = "The graph is closed; connect() again."
_NO_DATABASE: Final = "Neo.ClientError.Database.DatabaseNotFound"
_COMPONENTS: Final = (
    "CALL dbms.components() YIELD name, versions, edition WHERE name = 'Neo4j Kernel' "
    "RETURN 'Neo4j ' + versions[0] + ' ' + edition AS product"
)
_TIMED_OUT: Final = "Neo.ClientError.Transaction.TransactionTimedOut"


class _ClashError(BackendError):
    """Another transaction created the same node at the same time."""


class _ClashRetry(RetryPolicy):
    """Tries again what clashed; the driver has tried everything else again itself."""

    def delay(self, attempt: int, error: BaseException, *, spent: float) -> float | None:
        clashed = isinstance(error, _ClashError)
        return super().delay(attempt, error, spent=spent) if clashed else None


# The next time, the node is there.
_CLASHES: Final = _ClashRetry(attempts=5, base=0.1)


class Neo4jEngine(GraphEngine):
    """A graph on Neo4j, Aura, or any server that speaks Bolt and openCypher.

    It connects when it is first used. A batch is one transaction; the driver repeats those that
    fail for a temporary reason.

    Args:
        url: Such as `neo4j+s://host` or `bolt://host:7687`.
        username: The user; None for a server without authentication.
        password: The password.
        database: The database; None for the user's home database.
        timeout: Maximum time for a connection, and for repeating a transaction, in seconds.
        driver: Your own driver in place of the other settings; it stays open. Async calls use it
            in threads.

    Raises:
        ConfigurationError: The URL is not one that the driver knows, or contains a password.
        MissingExtraError: The driver is not installed.

    Example:
        >>> engine = Neo4jEngine("bolt://localhost:7687", username="neo4j", password="secret")
        >>> engine.close()
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        username: str | None = None,
        password: str | None = None,
        database: str | None = None,
        timeout: float = 10.0,
        driver: neo4j.Driver | None = None,
    ) -> None:
        if (url is None) == (driver is None):
            raise ConfigurationError("Neo4jEngine needs either a url or a driver.")
        if username is None and password is not None:
            raise ConfigurationError("Neo4jEngine needs a username with the password.")
        if timeout <= 0:
            raise ConfigurationError(f"timeout must be positive, not {timeout!r}.")
        self._url = url
        self._auth = None if username is None else (username, password or "")
        self._database = database
        self._options: dict[str, Any] = {
            "connection_acquisition_timeout": timeout,
            "connection_timeout": timeout,
            "max_transaction_retry_time": timeout,
            # The driver would warn of everything that an empty database lacks.
            "notifications_min_severity": "OFF",
        }
        self._owned = driver is None
        self._closed = False
        self._loop = LoopThread("mem0-integrations-neo4j", _CLOSED)
        self._async_driver: neo4j.AsyncDriver | None = None
        if driver is not None:
            self._driver = driver
            return
        _check_url(str(url))
        with self._translated():
            self._driver = neo4j.GraphDatabase.driver(str(url), auth=self._auth, **self._options)

    @property
    def connection(self) -> BoltConnection:
        """How another client reaches the server."""
        username, password = self._auth or ("", "")
        return BoltConnection(self._url, username, password, self._database)

    @shielded
    def run(self, batch: Batch) -> list[Rows]:
        """Run a batch in one transaction and return the rows of each query."""

        def work(transaction: neo4j.ManagedTransaction) -> list[Rows]:
            # The driver would try again what `close` cut off.
            self._check_open()
            return [
                [record.data() for record in transaction.run(*_spelled(query))]
                for query in batch.queries
            ]

        def attempt() -> list[Rows]:
            with self._translated(), self._session() as session:
                return (session.execute_write if batch.write else session.execute_read)(work)

        return _CLASHES.run(attempt)

    async def arun(self, batch: Batch) -> list[Rows]:
        """Async twin of `run`, with the driver's own asynchronous connections.

        These belong to one event loop, and a program may have any number: they get their own.
        """
        if not self._owned:
            return await acall(partial(self.run, batch))
        return await self._loop.arun(self._run_there(batch))

    async def _run_there(self, batch: Batch) -> list[Rows]:
        async def work(transaction: neo4j.AsyncManagedTransaction) -> list[Rows]:
            return [
                [record.data() async for record in await transaction.run(*_spelled(query))]
                for query in batch.queries
            ]

        async def attempt() -> list[Rows]:
            with self._translated():
                if self._async_driver is None:
                    self._async_driver = neo4j.AsyncGraphDatabase.driver(
                        str(self._url), auth=self._auth, **self._options
                    )
                async with self._async_driver.session(database=self._database) as session:
                    run = session.execute_write if batch.write else session.execute_read
                    return await run(work)

        return await _CLASHES.arun(attempt)

    @shielded
    def prepare(self, schema: Sequence[str]) -> None:
        """Create the missing constraints and indexes, as far as the server supports them."""
        with self._translated(), self._session() as session:
            for query in schema:
                try:
                    session.run(query).consume()
                except (exceptions.ClientError, exceptions.DatabaseError) as error:
                    if isinstance(error, exceptions.AuthError) or error.code == _NO_DATABASE:
                        raise
                    logger.info("The graph does without an index: %s (%s).", query, error.code)

    @shielded
    def describe(self) -> str:
        """Ask the server for its version and return it with its address, without credentials."""
        self.run(Batch([Query("RETURN 1 AS one")]))
        with self._translated():
            info = self._driver.get_server_info()
        try:
            [[row]] = self.run(Batch([Query(_COMPONENTS)]))
            product = row["product"]
        except (BackendError, ValueError):
            product = info.agent
        place = f"{info.address.host}:{info.address.port}"
        return f"{product} (server={place}, database={self._database or 'default'})"

    @shielded
    def close(self) -> None:
        """Close the drivers that were opened."""
        self._closed = True
        if self._owned:
            self._driver.close()
        self._loop.close(self._close_async_driver)

    async def _close_async_driver(self) -> None:
        if self._async_driver is not None:
            await self._async_driver.close()

    async def aclose(self) -> None:
        """Async twin of `close`."""
        await acall(self.close)

    def _session(self) -> neo4j.Session:
        return self._driver.session(database=self._database)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(_CLOSED)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the driver's errors into the package's."""
        self._check_open()
        try:
            yield
        except exceptions.ConfigurationError as error:
            raise ConfigurationError(f"Neo4j cannot be reached as configured: {error}") from error
        except (OverflowError, TypeError, ValueError) as error:
            raise BackendError(self._failure(error, "It does not accept a parameter.")) from error
        except exceptions.ConstraintError as error:
            raise _ClashError(self._failure(error), retryable=True) from error
        except (exceptions.AuthError, exceptions.Forbidden) as error:
            failure = self._failure(error, "Check username and password.")
            raise BackendError(failure) from error
        except (exceptions.Neo4jError, exceptions.DriverError) as error:
            self._check_open()
            code = getattr(error, "code", None) or ""
            timed_out = code.startswith(_TIMED_OUT)
            passing = timed_out or error.is_retryable() or isinstance(error, _PASSING)
            hint = "Check that the server runs and is reachable." if passing else ""
            if code == _NO_DATABASE:
                hint = f"Check the name of the database, {self._database!r}."
            raise BackendError(self._failure(error, hint), retryable=passing) from error

    def _failure(self, error: Exception, hint: str = "") -> str:
        # Its own message may quote a name or a value.
        code = getattr(error, "code", None)
        reason = type(error).__name__ if code is None else f"{type(error).__name__} ({code})"
        place = urlsplit(self._url).hostname if self._url else "the given driver"
        return f"The graph on {place} failed: {reason}. {hint}".rstrip()


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        known = parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        known = None
    if not known:
        # It is not shown: there may be a password in it.
        raise ConfigurationError(
            "url must be such as neo4j+s://host or bolt://host:7687; username and password are "
            "arguments of their own."
        )


def _spelled(query: Query) -> tuple[str, dict[str, object]]:
    return query.text.replace("`~id`", "id"), dict(query.parameters)
