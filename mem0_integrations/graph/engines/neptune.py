"""Amazon Neptune, both products: Analytics and Database."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final

from mem0_integrations.concurrency import WorkerPool, shielded
from mem0_integrations.errors import (
    BackendError,
    ClosedError,
    ConfigurationError,
    MissingExtraError,
)
from mem0_integrations.graph.engines.base import Batch, GraphEngine, NeptuneConnection, Query, Rows
from mem0_integrations.retry import RetryPolicy

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,
        HTTPClientError,
        IncompleteReadError,
    )
except ImportError as error:
    raise MissingExtraError("A graph on Amazon Neptune", "neptune") from error

__all__ = ["NeptuneAnalyticsEngine", "NeptuneDatabaseEngine", "neptune_engine"]

_ANALYTICS: Final = "neptune-graph://"
_DATABASE: Final = "neptune-db://"
_PORT: Final = 8182
_POOL_SIZE: Final = 4
_ENDPOINT: Final = re.compile(
    rf"{_ANALYTICS}(?P<graph>[\w-]+)|{_DATABASE}(?P<host>[\w.-]+)(:(?P<port>\d{{1,5}}))?", re.ASCII
)
# Both products call everything retryable that is answered with these.
_PASSING: Final = frozenset({408, 409, 429, *range(500, 600)})
# And these of Database, although their status says otherwise: after a conflict, and while another
# instance becomes the writer.
_PASSING_CODES: Final = frozenset({"ConstraintViolationException", "ReadOnlyViolationException"})


class _NeptuneEngine(GraphEngine):
    """What both products have in common: one request over HTTPS for each query.

    There are no transactions of several queries, no constraints and no indexes to be created:
    ids are unique, and everything is indexed.
    """

    graph_identifier: str | None = None
    host = ""
    port = 0
    _product: str

    def __init__(self, place: str, *, client: Any, timeout: float, options: dict[str, Any]) -> None:
        self._place = place
        self._given = client
        self._options = options
        # botocore repeats requests, too, but not those that conflict.
        self._retry = RetryPolicy(attempts=5, base=0.1, cap=2.0, deadline=4 * timeout)
        self._pool = WorkerPool(_POOL_SIZE)
        self._made: Any = None
        # boto3 makes one client at a time.
        self._making = threading.Lock()
        self._closed = False

    @property
    def connection(self) -> NeptuneConnection:
        """How another client reaches the graph."""
        return NeptuneConnection(self._client, self.graph_identifier, self.host, self.port)

    @shielded
    def run(self, batch: Batch) -> list[Rows]:
        """Run the queries of a batch one after the other."""
        return [self._retry.run(partial(self._ask, one)) for one in batch.queries]

    async def arun(self, batch: Batch) -> list[Rows]:
        """Async twin of `run`, in a thread: boto3 has no asynchronous client."""
        return await self._pool.arun(partial(self.run, batch))

    @shielded
    def prepare(self, schema: Sequence[str]) -> None:
        """Do nothing: Neptune indexes everything."""

    @shielded
    def describe(self) -> str:
        """Ask the graph for an answer, and return which one it is."""
        self.run(Batch([Query("RETURN 1 AS one")]))
        return f"Amazon Neptune {self._product} ({self._place})"

    @shielded
    def close(self) -> None:
        """Close the client, unless it was given."""
        self._pool.shutdown()
        with self._making:
            self._closed = True
            if self._made is not None:
                self._made.close()

    def _send(self, query: Query) -> Any:
        """Send a request and return the `results` of its answer."""
        raise NotImplementedError

    @property
    def _client(self) -> Any:
        """The client of boto3, made when it is first used."""
        with self._making:
            if self._closed:
                raise ClosedError("The graph is closed; connect() again.")
            if self._given is not None:
                return self._given
            if self._made is None:
                try:
                    self._made = boto3.Session().client(**self._options)
                except ValueError as error:
                    raise ConfigurationError(
                        f"Amazon Neptune {self._product} ({self._place}) cannot be reached as "
                        f"configured: {error}"
                    ) from error
            return self._made

    def _ask(self, query: Query) -> Rows:
        try:
            return list(self._send(query))
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            answer = error.response.get("ResponseMetadata", {})
            raise BackendError(
                self._failure(code),
                retryable=answer.get("HTTPStatusCode") in _PASSING or code in _PASSING_CODES,
                retry_after=_asked_to_wait(answer),
            ) from error
        except (ConnectionError, HTTPClientError, IncompleteReadError, OSError) as error:
            raise BackendError(self._failure(type(error).__name__), retryable=True) from error
        except BotoCoreError as error:
            # Such as missing credentials or a region.
            raise BackendError(self._failure(type(error).__name__)) from error
        except (KeyError, json.JSONDecodeError) as error:
            # botocore reads an answer that breaks off as an empty one.
            raise BackendError(self._failure("incomplete answer"), retryable=True) from error

    def _failure(self, reason: str) -> str:
        # Its own message may quote a name or a value.
        return (
            f"Amazon Neptune {self._product} ({self._place}) failed: {reason}. Check its address, "
            f"the region, and the credentials of AWS."
        )


class NeptuneAnalyticsEngine(_NeptuneEngine):
    """A graph on Amazon Neptune Analytics; requests are signed with the credentials of AWS.

    Args:
        graph_identifier: The graph, such as `g-0123456789`.
        region_name: The region; by default that of the environment.
        client: A `neptune-graph` client of boto3 in place of one made here; it stays open.
        endpoint_url: An endpoint in place of that of AWS.
        timeout: Maximum time for a connection, and for an answer, in seconds.

    Raises:
        MissingExtraError: boto3 is not installed.

    Example:
        >>> NeptuneAnalyticsEngine("g-0123456789", region_name="eu-west-1").close()
    """

    _product = "Analytics"

    def __init__(
        self,
        graph_identifier: str,
        *,
        region_name: str | None = None,
        client: Any = None,
        endpoint_url: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        self.graph_identifier = graph_identifier
        options = _options("neptune-graph", region_name, endpoint_url, timeout)
        super().__init__(
            f"graph={graph_identifier}", client=client, timeout=timeout, options=options
        )

    def _send(self, query: Query) -> Any:
        answer = self._client.execute_query(
            graphIdentifier=self.graph_identifier,
            queryString=query.text,
            parameters=dict(query.parameters),
            language="OPEN_CYPHER",
        )
        with closing(answer["payload"]) as payload:
            return json.loads(payload.read())["results"]


class NeptuneDatabaseEngine(_NeptuneEngine):
    """A graph on an Amazon Neptune Database cluster.

    Args:
        host: The cluster's endpoint.
        port: Its port.
        use_https: Whether it speaks HTTPS.
        sign: Whether requests are signed with the credentials of AWS; for clusters with IAM.
        region_name: The region; by default that of the environment.
        client: A `neptunedata` client of boto3 in place of one made here; it stays open.
        endpoint_url: An endpoint in place of the one that `host` and `port` make.
        timeout: Maximum time for a connection, and for an answer, in seconds.

    Raises:
        MissingExtraError: boto3 is not installed.

    Example:
        >>> NeptuneDatabaseEngine("my-cluster.amazonaws.com", region_name="eu-west-1").close()
    """

    _product = "Database"

    def __init__(
        self,
        host: str,
        *,
        port: int = _PORT,
        use_https: bool = True,
        sign: bool = True,
        region_name: str | None = None,
        client: Any = None,
        endpoint_url: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        self.host, self.port = host, port
        own = f"{'https' if use_https else 'http'}://{host}:{port}"
        options = _options("neptunedata", region_name, endpoint_url or own, timeout, sign=sign)
        super().__init__(f"host={host}", client=client, timeout=timeout, options=options)

    def _send(self, query: Query) -> Any:
        parameters = {"parameters": json.dumps(dict(query.parameters))}
        return self._client.execute_open_cypher_query(
            openCypherQuery=query.text, **(parameters if query.parameters else {})
        )["results"]


def neptune_engine(endpoint: str, **options: Any) -> GraphEngine:
    """Make the engine for an endpoint in Mem0's notation.

    Args:
        endpoint: `neptune-graph://<id>` for Analytics, `neptune-db://<host>[:<port>]` for
            Database.
        **options: The engine's own options.

    Raises:
        ConfigurationError: It is neither.

    Example:
        >>> engine = neptune_engine("neptune-graph://g-0123456789", region_name="eu-west-1")
        >>> engine.graph_identifier
        'g-0123456789'
    """
    parts = _ENDPOINT.fullmatch(endpoint)
    if parts is None:
        raise ConfigurationError(
            f"endpoint must be {_ANALYTICS}<graph id> or {_DATABASE}<host>[:<port>], "
            f"not {endpoint!r}."
        )
    if parts["graph"]:
        return NeptuneAnalyticsEngine(parts["graph"], **options)
    return NeptuneDatabaseEngine(parts["host"], port=int(parts["port"] or _PORT), **options)


def _options(
    service: str,
    region_name: str | None,
    endpoint_url: str | None,
    timeout: float,
    *,
    sign: bool = True,
) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "connect_timeout": timeout,
        "read_timeout": timeout,
        "retries": {"mode": "standard", "total_max_attempts": 2},
    }
    if endpoint_url is not None:
        # Else botocore puts the graph's identifier in front of the host.
        settings["inject_host_prefix"] = False
    if not sign:
        from botocore import UNSIGNED

        settings["signature_version"] = UNSIGNED
    return {
        "service_name": service,
        "region_name": region_name,
        "endpoint_url": endpoint_url,
        "config": Config(**settings),
    }


def _asked_to_wait(answer: Mapping[str, Any]) -> float | None:
    value = answer.get("HTTPHeaders", {}).get("retry-after", "")
    return float(value) if value.isdigit() else None
