"""The knowledge graph as LangChain's: documents of nodes and relationships, and graph stores.

LangChain's graph chains run Cypher that a model writes. No scope can be put into that: whatever
the store can reach, a question of any user can reach. So a store has a copy of one scope, or says
aloud that it has all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from langchain_core.documents import Document

from mem0_integrations.arguments import check_timeout
from mem0_integrations.errors import ConfigurationError, MissingExtraError, ScopeError
from mem0_integrations.following import KnowledgeGraph
from mem0_integrations.graph.engines.base import (
    Batch,
    BoltConnection,
    GraphEngine,
    NeptuneConnection,
    Query,
)
from mem0_integrations.graph.snapshot import Snapshot, aread_snapshot, engine_of, read_snapshot
from mem0_integrations.records import Memory, Relation
from mem0_integrations.scope import ScopeLike

try:
    import neo4j
    from langchain_neo4j import Neo4jGraph
    from langchain_neo4j.graphs.graph_document import GraphDocument, Node, Relationship
    from langchain_neo4j.graphs.graph_store import GraphStore
    from neo4j_graphrag.schema import format_schema

    from mem0_integrations.langchain.scoped_graph import ScopedGraph, schema_of
except ImportError as error:
    raise MissingExtraError("LangChain's graphs", "langchain-graph") from error

if TYPE_CHECKING:
    from langchain_aws.graphs import NeptuneAnalyticsGraph, NeptuneGraph

    Whole: TypeAlias = Neo4jGraph | NeptuneAnalyticsGraph | NeptuneGraph

__all__ = ["agraph_documents", "as_langchain_graph", "graph_documents"]


def graph_documents(
    graph: KnowledgeGraph, *, scope: ScopeLike, limit: int = 1_000
) -> list[GraphDocument]:
    """Return the facts that hold as LangChain's `GraphDocument`s, one for each memory.

    They are what LangChain's graph transformers make of texts, for `add_graph_documents` of any
    graph store. A node's id is the name and its type the entity's, a relationship's type is the
    predicate in capitals; the source is the memory. In a store, the same name is the same node,
    also where the documents of several scopes are added to it.

    Args:
        graph: The graph.
        scope: Whose.
        limit: Maximum number of facts, 1 to 10,000; the latest are kept.

    Raises:
        InvalidInputError: An argument is malformed.
        BackendError: The graph could not be read.
        MissingExtraError: langchain-neo4j is not installed.

    Example:
        >>> from mem0_integrations import connect
        >>> with connect(graph=True, scope={"user_id": "priya"}) as memory:
        ...     result = memory.remember("I live in Oslo.")
        ...     flushed = memory.flush()
        ...     [document] = graph_documents(memory.graph, scope={"user_id": "priya"})
        >>> [fact] = document.relationships
        >>> fact.source.id, fact.type, fact.target.id, document.source.page_content
        ('priya', 'LIVES_IN', 'Oslo', 'I live in Oslo.')
    """
    return _documents(read_snapshot(graph, scope=scope, limit=limit))


async def agraph_documents(
    graph: KnowledgeGraph, *, scope: ScopeLike, limit: int = 1_000
) -> list[GraphDocument]:
    """Async twin of `graph_documents`.

    Example:
        >>> import asyncio
        >>> from mem0_integrations import connect
        >>> with connect(graph=True) as memory:
        ...     asyncio.run(agraph_documents(memory.graph, scope={"user_id": "priya"}))
        []
    """
    return _documents(await aread_snapshot(graph, scope=scope, limit=limit))


@overload
def as_langchain_graph(
    graph: KnowledgeGraph, *, scope: ScopeLike, limit: int = ..., timeout: float = ...
) -> GraphStore: ...


@overload
def as_langchain_graph(
    graph: KnowledgeGraph, *, all_scopes: Literal[True], timeout: float = ...
) -> Whole: ...


def as_langchain_graph(
    graph: KnowledgeGraph,
    *,
    scope: ScopeLike | None = None,
    all_scopes: bool = False,
    limit: int = 10_000,
    timeout: float = 30.0,
) -> GraphStore | Whole:
    """Open the graph for LangChain's graph chains, such as `GraphCypherQAChain`.

    Such a chain runs Cypher that a model writes, and what a user says may steer it. Say how far
    it may reach:

    - `scope=` gives a copy of the facts of one scope that hold now, within this process. Nothing
      else can be reached through it, and nothing written. Its queries begin with MATCH, OPTIONAL
      MATCH, UNWIND, WITH or RETURN, and have neither CALL nor LOAD in them. The copy does not
      follow the graph: make one for each conversation or question.
    - `all_scopes=True` opens the database itself, with the facts of **every user** and whatever
      else it holds: `Neo4jGraph`, or `NeptuneAnalyticsGraph` or `NeptuneGraph`. For operators and
      analysts, never for a chatbot. Neo4j lets it read only; other servers may not enforce that,
      and on Neptune only the rights of the AWS credentials do. Close a `Neo4jGraph` yourself.

    The schema is that of `GraphMemory`; for Neo4j, it needs no APOC.

    Args:
        graph: The graph.
        scope: Whose facts, on any engine.
        all_scopes: Whether to open all there is, on Neo4j or Neptune.
        limit: Maximum number of facts in the copy, 1 to 10,000; the latest are kept.
        timeout: Seconds that a query may take; on Neptune, the client's time-outs hold.

    Raises:
        ScopeError: Neither `scope` nor `all_scopes`, or both.
        ConfigurationError: There is no class of LangChain's for this engine.
        BackendError: The graph could not be read.
        MissingExtraError: langchain-neo4j, langchain-aws or kglite is not installed.

    Example:
        >>> from mem0_integrations import connect
        >>> with connect(graph=True, scope={"user_id": "priya"}) as memory:
        ...     result = memory.remember("I live in Oslo.")
        ...     flushed = memory.flush()
        ...     store = as_langchain_graph(memory.graph, scope={"user_id": "priya"})
        >>> store.query("MATCH (a)-[:RELATES {predicate: 'lives_in'}]->(b) RETURN b.name AS city")
        [{'city': 'Oslo'}]
    """
    check_timeout("timeout", timeout)
    if (scope is None) is not all_scopes:
        raise ScopeError(
            "Whose facts may the Cypher of a model reach? Pass scope= for a copy of one scope, or "
            "all_scopes=True for the database with the facts of every user."
        )
    if scope is not None:
        return ScopedGraph(read_snapshot(graph, scope=scope, limit=limit), timeout)
    return _whole(engine_of(graph), timeout)


class _ReadOnlyNeo4jGraph(Neo4jGraph):
    """All of the database, to be read."""

    def query(
        self,
        query: str,
        params: dict[str, Any] | None = None,
        session_params: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        reading = {**(session_params or {}), "default_access_mode": neo4j.READ_ACCESS}
        return super().query(query, params, reading)

    def refresh_schema(self) -> None:
        # LangChain's own needs APOC, and would show what else the database holds.
        self.structured_schema = schema_of(())
        self.schema = format_schema(self.structured_schema, is_enhanced=False)


def _whole(engine: GraphEngine, timeout: float) -> Whole:
    match engine.connection:
        case BoltConnection() as connection:
            return _neo4j(engine, connection, timeout)
        case NeptuneConnection() as connection:
            return _neptune(engine, connection)
    raise ConfigurationError(
        f"LangChain has no class for a whole graph on {type(engine).__name__}; pass scope= for a "
        f"copy of one scope, or hand over graph_documents()."
    )


def _neo4j(engine: GraphEngine, connection: BoltConnection, timeout: float) -> Neo4jGraph:
    if connection.url is None:
        raise ConfigurationError(
            "This engine was made with driver=, from which LangChain can make no Neo4jGraph; make "
            "the engine with a url, or the Neo4jGraph yourself."
        )
    _check_reachable(engine)
    graph = _ReadOnlyNeo4jGraph(
        connection.url,
        connection.username,
        connection.password,
        database=connection.database or "neo4j",
        timeout=timeout,
        driver_config={"notifications_min_severity": "OFF"},
    )
    # None is the user's home database, which LangChain's constructor does not know.
    graph._database = connection.database  # type: ignore[assignment]  # as in its driver
    return graph


def _neptune(
    engine: GraphEngine, connection: NeptuneConnection
) -> NeptuneAnalyticsGraph | NeptuneGraph:
    try:
        from langchain_aws.graphs import NeptuneAnalyticsGraph, NeptuneGraph
    except ImportError as error:
        raise MissingExtraError("LangChain's graphs on Neptune", "langchain-graph") from error
    _check_reachable(engine)
    if connection.graph_identifier is not None:
        return NeptuneAnalyticsGraph(connection.graph_identifier, client=connection.client)
    return NeptuneGraph(connection.host, connection.port, client=connection.client)


def _check_reachable(engine: GraphEngine) -> None:
    # LangChain's own constructors would raise errors of the driver.
    engine.run(Batch([Query("RETURN 1 AS one")]))


def _documents(found: Snapshot) -> list[GraphDocument]:
    by_memory: dict[str, list[Relation]] = {}
    for relation in found.relations:
        for memory_id in relation.memory_ids:
            by_memory.setdefault(memory_id, []).append(relation)
    return [
        _document(found.memories[memory_id], relations, found.types)
        for memory_id, relations in by_memory.items()
        if memory_id in found.memories
    ]


def _document(
    memory: Memory, relations: Iterable[Relation], types: Mapping[str, str]
) -> GraphDocument:
    nodes: dict[str, Node] = {}
    relationships = []
    for one in relations:
        ends = [
            nodes.setdefault(name, Node(id=name, type=types.get(name, "").capitalize() or "Node"))
            for name in (one.source, one.target)
        ]
        since = {} if one.valid_from is None else {"valid_from": one.valid_from.isoformat()}
        relationships.append(
            Relationship(
                source=ends[0],
                target=ends[1],
                type=one.relationship.upper(),
                properties={"memory_id": memory.id, **since},
            )
        )
    source = Document(
        memory.text,
        id=memory.id,
        # LangChain's stores know a source by this `id`, else by its text: two users may say the
        # same.
        metadata={
            "id": memory.id,
            "memory_id": memory.id,
            **memory.scope.ids,
            **({"said_at": memory.updated_at.isoformat()} if memory.updated_at else {}),
        },
    )
    return GraphDocument(nodes=list(nodes.values()), relationships=relationships, source=source)
