"""The graph as LangChain's: documents, and stores for its chains."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_neo4j import GraphCypherQAChain, Neo4jGraph
from langchain_neo4j.graphs.graph_store import GraphStore

from mem0_integrations import (
    BackendError,
    ConfigurationError,
    InvalidInputError,
    MissingExtraError,
    Scope,
    ScopeError,
)
from mem0_integrations.graph import GraphMemory, Neo4jEngine
from mem0_integrations.graph.engines.embedded import EmbeddedEngine
from mem0_integrations.langchain import agraph_documents, as_langchain_graph, graph_documents
from tests.graph.facts import SpelledOut, memory
from tests.servers.neo4j import BoltServer
from tests.servers.neptune import NeptuneEndpoint
from tests.stores import MiniLM, Scripted

ANN = Scope(user_id="ann")
BOB = Scope(user_id="bob")
FACTS = "MATCH (a:Entity)-[r:RELATES]->(b:Entity) RETURN a.name AS a, r.predicate AS p, b.name AS b"


@pytest.fixture
def filled(tmp_path: Path, minilm: MiniLM) -> Iterator[GraphMemory]:
    """A graph in which Ann has moved, and Bob has a secret."""
    graph = GraphMemory(
        EmbeddedEngine(tmp_path / "graph.kg"), extractor=SpelledOut(), embedder=minilm
    )
    graph.sync(
        ANN,
        [
            memory("I|lives in|Oslo; @Oslo", ANN),
            memory("I|lives in|Rome; Rome|is in|Italy; @Rome", ANN, day=1),
        ],
    )
    graph.sync(BOB, [memory("I|hides|gold", BOB)])
    yield graph
    graph.close()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_memory_is_a_document(filled: GraphMemory, asynchronous: bool) -> None:
    """As LangChain's graph transformers make them of a text: source, nodes, relationships."""
    if asynchronous:
        documents = asyncio.run(agraph_documents(filled, scope=ANN))
    else:
        documents = graph_documents(filled, scope=ANN)
    [document] = documents
    said = memory("I|lives in|Rome; Rome|is in|Italy; @Rome", ANN, day=1)
    assert document.source is not None
    assert document.source.page_content == said.text
    assert document.source.id == said.id
    assert document.source.metadata == {
        "id": said.id,
        "memory_id": said.id,
        "user_id": "ann",
        "said_at": "2026-01-02T00:00:00+00:00",
    }
    nodes = {node.id: node.type for node in document.nodes}
    assert nodes == {"ann": "User", "Rome": "Thing", "Italy": "Node"}
    facts = {(one.source.id, one.type, one.target.id) for one in document.relationships}
    assert facts == {("ann", "LIVES_IN", "Rome"), ("Rome", "IS_IN", "Italy")}
    properties = {"memory_id": said.id, "valid_from": "2026-01-02T00:00:00+00:00"}
    assert all(one.properties == properties for one in document.relationships)


def test_a_fact_is_in_the_document_of_each_memory_that_supports_it(filled: GraphMemory) -> None:
    """And who asks for less gets the latest."""
    filled.sync(BOB, [memory("I|hides|gold", BOB, day=3, name="again")])
    documents = graph_documents(filled, scope=BOB)
    assert [[one.target.id for one in found.relationships] for found in documents] == [
        ["gold"],
        ["gold"],
    ]
    assert len(graph_documents(filled, scope=BOB, limit=1)) == 1
    assert graph_documents(filled, scope={"user_id": "nobody"}) == []
    with pytest.raises(InvalidInputError):
        graph_documents(filled, scope=BOB, limit=0)


def test_documents_go_into_a_store_of_langchains(
    filled: GraphMemory, bolt_server: BoltServer
) -> None:
    """What `add_graph_documents` is for; two users who say the same keep a source each."""
    if not bolt_server.real:
        pytest.skip(f"{bolt_server.product} has no APOC that suffices")
    mark = f"M{uuid.uuid4().hex}"
    documents = []
    for scope in (ANN, BOB):
        filled.sync(scope, [memory(f"I|likes|{mark}", scope, day=9)])
        documents += graph_documents(filled, scope=scope, limit=1)
    with Neo4jGraph(
        bolt_server.url, bolt_server.username, bolt_server.password, refresh_schema=False
    ) as store:
        store.add_graph_documents(documents, include_source=True)
        found = store.query(
            "MATCH (a)-[:LIKES]->(b {id: $name})<-[:MENTIONS]-(d:Document) "
            "RETURN DISTINCT d.user_id AS user ORDER BY user",
            {"name": mark},
        )
        store.query(
            "MATCH (d:Document)-[:MENTIONS]->(n) WHERE d.text CONTAINS $m DETACH DELETE d, n",
            {"m": mark},
        )
    assert found == [{"user": "ann"}, {"user": "bob"}]


def test_whose_facts_must_be_said(filled: GraphMemory) -> None:
    """A model's Cypher reaches whatever its store does."""
    with pytest.raises(ScopeError, match="every user"):
        as_langchain_graph(filled)  # type: ignore[call-overload]
    with pytest.raises(ScopeError, match="every user"):
        as_langchain_graph(filled, scope=ANN, all_scopes=True)  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="EmbeddedEngine"):
        as_langchain_graph(filled, all_scopes=True)


def test_a_graph_of_one_scope_reaches_nothing_else(filled: GraphMemory) -> None:
    """Whatever the query is, and whoever made the model write it."""
    store = as_langchain_graph(filled, scope=ANN)
    assert isinstance(store, GraphStore)
    assert sorted(row["p"] for row in store.query(FACTS)) == ["is_in", "lives_in"]
    everything = store.query("MATCH (n) OPTIONAL MATCH (n)-[r]-(o) RETURN n, r, o")
    assert "gold" not in str(everything)
    assert "bob" not in str(everything)
    found = store.query(
        "MATCH (m:Memory)-[:MENTIONS]->(e:Entity {name: $name}) RETURN m.text AS text",
        {"name": "Italy"},
    )
    assert found == [{"text": "I|lives in|Rome; Rome|is in|Italy; @Rome"}]


@pytest.mark.parametrize(
    "query",
    [
        "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
        "load  csv FROM '/etc/passwd' AS line RETURN line",
        "// MATCH\nLOAD CSV FROM '/etc/passwd' AS line RETURN line",
        "RETURN [1] AS line UNION LOAD CSV FROM '/etc/passwd' AS line RETURN line",
        "RETURN 1LOAD CSV FROM '/etc/passwd' AS line RETURN line",
        "MATCH (n) CALL { LOAD CSV FROM '/etc/passwd' AS line RETURN line } RETURN line",
        "CALL db.labels()",
        "MATCH (n) CALL db.labels() YIELD label RETURN label",
        "SHOW PROCEDURES",
        "EXPLAIN MATCH (n) RETURN n",
        "CREATE (n:Entity {id: 'x'})",
        "MATCH (n) DETACH DELETE n",
        "MATCH (n) SET n.name = 'x' RETURN n",
        "UNWIND [1] AS x MERGE (n:Entity {id: x}) RETURN n",
        "",
    ],
)
def test_a_graph_of_one_scope_does_nothing_but_read_it(filled: GraphMemory, query: str) -> None:
    """Not a file of this machine, not a procedure, and no write."""
    store = as_langchain_graph(filled, scope=ANN)
    with pytest.raises(InvalidInputError):
        store.query(query)
    assert len(store.query(FACTS)) == 2
    with pytest.raises(InvalidInputError, match="copy"):
        store.add_graph_documents([])


def test_a_query_with_a_mistake_says_what_it_is(filled: GraphMemory) -> None:
    """A model that is shown it writes a better one; words such as `called` are none."""
    store = as_langchain_graph(filled, scope=ANN)
    with pytest.raises(BackendError, match="CypherSyntaxError"):
        store.query("MATCH (n RETURN n")
    assert store.query("MATCH ()-[r:RELATES {predicate: 'called_download'}]->() RETURN r") == []
    store.refresh_schema()


def test_a_query_that_takes_too_long_is_ended(filled: GraphMemory) -> None:
    """A model may write a product of everything with everything."""
    filled.sync(BOB, [memory(f"I|likes|thing{n}", BOB) for n in range(200)])
    store = as_langchain_graph(filled, scope=BOB, timeout=0.2)
    with pytest.raises(BackendError, match="Timeout"):
        store.query(
            "MATCH (a), (b), (c), (d), (e) "
            "WHERE a.name + b.name = c.name + d.name + e.name RETURN count(*) AS n"
        )


def test_a_chain_answers_from_a_graph_of_one_scope(filled: GraphMemory) -> None:
    """The model is shown the schema with the predicates, and then what its query found."""
    cypher = (
        "MATCH (:Entity {name: 'ann'})-[:RELATES {predicate: 'lives_in'}]->(b) RETURN b.name AS b"
    )
    model = Scripted(answers=[cypher, "In Rome."])
    chain = GraphCypherQAChain.from_llm(
        model, graph=as_langchain_graph(filled, scope=ANN), allow_dangerous_requests=True
    )
    assert chain.invoke({"query": "Where does Ann live?"})["result"] == "In Rome."
    asked, told = (str(messages[-1].content) for messages in model.asked)
    assert "Available options: ['is_in', 'lives_in']" in asked
    assert "(:Entity)-[:RELATES]->(:Entity)" in asked
    assert "Rome" in told


def neo4j_graph(server: BoltServer, minilm: MiniLM) -> GraphMemory:
    engine = Neo4jEngine(
        server.url, username=server.username, password=server.password, database=server.database
    )
    return GraphMemory(engine, extractor=SpelledOut(), embedder=minilm)


def test_all_of_neo4j_can_be_read(bolt_server: BoltServer, minilm: MiniLM, ann: Scope) -> None:
    """With LangChain's own class and without APOC; the schema is that of this package."""
    graph = neo4j_graph(bolt_server, minilm)
    graph.sync(ann, [memory("I|lives in|Oslo", ann)])
    with as_langchain_graph(graph, all_scopes=True) as store:  # type: ignore[union-attr]
        assert isinstance(store, Neo4jGraph)
        assert "RELATES {predicate: STRING" in store.get_schema
        store.refresh_schema()
        assert "apoc" not in store.get_schema
        found = store.query(
            "MATCH (a:Entity {user_id: $user})-[r:RELATES]->(b) RETURN b.name AS b",
            {"user": ann.user_id},
        )
        assert found == [{"b": "Oslo"}]
        model = Scripted(answers=["MATCH (n:Entity {name: 'Oslo'}) RETURN n.name AS n", "Oslo."])
        chain = GraphCypherQAChain.from_llm(model, graph=store, allow_dangerous_requests=True)
        assert chain.invoke({"query": "Which city?"})["result"] == "Oslo."
        if bolt_server.real:
            with pytest.raises(Exception, match=r"(?i)read access mode"):
                store.query("MATCH (n:Entity) DETACH DELETE n")
            with pytest.raises(Exception, match=r"(?i)read access mode"):
                store.query(
                    "MATCH (n:Entity) DETACH DELETE n",
                    session_params={"default_access_mode": "WRITE"},
                )
    assert len(graph.relations(scope=ann)) == 1
    graph.forget(ann)
    graph.close()


def test_a_neo4j_that_is_away_is_an_error_of_this_package(minilm: MiniLM) -> None:
    """LangChain's is a ValueError without a cause."""
    graph = GraphMemory(Neo4jEngine("bolt://127.0.0.1:9", timeout=0.5), embedder=minilm)
    with pytest.raises(BackendError):
        as_langchain_graph(graph, all_scopes=True)
    graph.close()


def test_all_of_neptune_can_be_read(
    neptune_analytics: NeptuneEndpoint, neptune_database: NeptuneEndpoint, minilm: MiniLM
) -> None:
    """With LangChain's own classes, over the engine's client."""
    from langchain_aws.graphs import NeptuneAnalyticsGraph, NeptuneGraph

    from mem0_integrations.graph import NeptuneAnalyticsEngine, NeptuneDatabaseEngine

    analytics = NeptuneAnalyticsEngine(
        neptune_analytics.graph_identifier, client=neptune_analytics.client()
    )
    database = NeptuneDatabaseEngine(
        neptune_database.host, port=neptune_database.port, client=neptune_database.client()
    )
    for engine, kind in ((analytics, NeptuneAnalyticsGraph), (database, NeptuneGraph)):
        graph = GraphMemory(engine, extractor=SpelledOut(), embedder=minilm)
        graph.sync(ANN, [memory("I|lives in|Oslo", ANN)])
        store = as_langchain_graph(graph, all_scopes=True)
        assert isinstance(store, kind)
        assert "RELATES" in store.get_schema
        assert store.query("MATCH (:Entity)-[r:RELATES]->(b) RETURN b.name AS b") == [{"b": "Oslo"}]
        own = as_langchain_graph(graph, scope=ANN)
        assert [row["b"] for row in own.query(FACTS)] == ["Oslo"]
        graph.close()


def test_without_langchains_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """`No module named 'langchain_neo4j'` does not say what to do."""
    import mem0_integrations.langchain as package

    monkeypatch.delitem(sys.modules, "mem0_integrations.langchain.graph")
    monkeypatch.delitem(vars(package), "graph_documents", raising=False)
    monkeypatch.setitem(sys.modules, "langchain_neo4j", None)
    with pytest.raises(MissingExtraError, match=r"mem0-integrations\[langchain-graph\]"):
        _ = package.graph_documents
