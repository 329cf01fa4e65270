"""What `GraphMemory` needs of a graph database, whichever it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from mem0_integrations.errors import BackendError, Mem0IntegrationsError
from mem0_integrations.plans import Plan

__all__ = [
    "Batch",
    "BoltConnection",
    "GraphEngine",
    "GraphPlan",
    "LostEngine",
    "NeptuneConnection",
    "Query",
    "Rows",
]

T = TypeVar("T")

Rows: TypeAlias = list[dict[str, Any]]
"""What a query returns: one mapping per row."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query in the Cypher that all engines understand.

    It uses UNWIND of maps, MERGE of single nodes on one key or of relationships between bound
    nodes, scalar properties, and named columns; no procedure, temporal function or subquery.
    The key of a node is written `` `~id` ``, as in Neptune; other engines put their own name there.

    Attributes:
        text: The Cypher; whatever comes from outside is in the parameters.
        parameters: Texts, numbers, booleans, None, and lists and mappings of them.
    """

    text: str
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """Queries that run one after the other, in one transaction if the engine has transactions.

    Attributes:
        queries: The queries. Those that write are idempotent, so that a batch may be repeated.
        write: Whether one of them writes.
    """

    queries: Sequence[Query]
    write: bool = False


GraphPlan: TypeAlias = Plan[Batch, list[Rows], T]
"""Asks for batches, and is sent the rows of each query."""


@dataclass(frozen=True, slots=True)
class BoltConnection:
    """How another client reaches a server that speaks Bolt; the url of a given driver is None."""

    url: str | None
    username: str
    password: str = field(repr=False)
    database: str | None


@dataclass(frozen=True, slots=True)
class NeptuneConnection:
    """How another client reaches a graph on Neptune Analytics, or the host of Neptune Database."""

    client: Any
    graph_identifier: str | None
    host: str
    port: int


class GraphEngine(ABC):
    """A graph database. Its methods may be called from any thread.

    They raise `BackendError`, retryable where the same call may succeed later, and `ClosedError`
    after `close`.
    """

    chooses_indexes: bool = True
    """Whether it uses the most selective of several indexes."""

    @property
    def connection(self) -> BoltConnection | NeptuneConnection | None:
        """How another client reaches the database; None where no other one can."""
        return None

    @abstractmethod
    def run(self, batch: Batch) -> list[Rows]:
        """Run a batch and return the rows of each query."""

    @abstractmethod
    async def arun(self, batch: Batch) -> list[Rows]:
        """Async twin of `run`; never blocks the event loop."""

    @abstractmethod
    def prepare(self, schema: Sequence[str]) -> None:
        """Create what is missing of Neo4j's constraints and indexes, if the engine has any."""

    @abstractmethod
    def describe(self) -> str:
        """Ask the database for its version and return it with its address, without credentials."""

    @abstractmethod
    def close(self) -> None:
        """Release what was opened; a second call does nothing."""

    async def aclose(self) -> None:
        """Async twin of `close`."""
        self.close()


class LostEngine(GraphEngine):
    """Stands for a database that cannot be opened: a graph that is down, until the next start.

    Args:
        failure: Why it cannot be opened.
    """

    def __init__(self, failure: Mem0IntegrationsError) -> None:
        self._failure = failure

    def run(self, batch: Batch) -> list[Rows]:
        """Fail; what is to be written waits for the next start."""
        raise BackendError(str(self._failure), retryable=True) from self._failure

    async def arun(self, batch: Batch) -> list[Rows]:
        """Async twin of `run`."""
        return self.run(batch)

    def prepare(self, schema: Sequence[str]) -> None:
        """Do nothing."""

    def describe(self) -> str:
        """Say that it cannot be used."""
        return f"cannot be used: {type(self._failure).__name__}"

    def close(self) -> None:
        """Do nothing."""
