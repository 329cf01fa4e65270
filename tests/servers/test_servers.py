"""The servers of the tests are what the tests take them for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import kglite
import pytest
from botocore.exceptions import ClientError, ParamValidationError

from tests.servers.neo4j import STOP_TIMEOUT, BoltServer
from tests.servers.neptune import KEYS, REGION, NeptuneEndpoint

Run = Callable[..., list[dict[str, Any]]]


def on_bolt(server: BoltServer) -> Run:
    def run(query: str, **parameters: Any) -> list[dict[str, Any]]:
        with server.driver() as driver:
            records, _, _ = driver.execute_query(query, parameters)
            return [record.data() for record in records]

    return run


def on_neptune(endpoint: NeptuneEndpoint) -> Run:
    client = endpoint.client()

    def run(query: str, **parameters: Any) -> list[dict[str, Any]]:
        if endpoint.product == "analytics":
            answer = client.execute_query(
                graphIdentifier=endpoint.graph_identifier,
                queryString=query,
                parameters=parameters,
                language="OPEN_CYPHER",
            )
            results: list[dict[str, Any]] = json.loads(answer["payload"].read())["results"]
            return results
        more = {"parameters": json.dumps(parameters)} if parameters else {}
        answer = client.execute_open_cypher_query(openCypherQuery=query, **more)
        return list(answer["results"])

    return run


@pytest.fixture(params=["neptune_analytics", "neptune_database"])
def neptune(request: pytest.FixtureRequest) -> NeptuneEndpoint:
    endpoint: NeptuneEndpoint = request.getfixturevalue(request.param)
    return endpoint


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


class TestBolt:
    def test_a_restart_and_a_crash_keep_the_data(
        self, another_bolt_server: Callable[[], BoltServer]
    ) -> None:
        """Tests of lost connections need a server that comes back as it was."""
        server = another_bolt_server()
        url, run = server.url, on_bolt(server)
        for number, end in enumerate((server.kill, server.stop)):
            run("CREATE (:Kept {number: $number})", number=number)
            with server.driver() as connected:
                connected.verify_connectivity()
                began = time.monotonic()
                end()
            assert time.monotonic() - began < STOP_TIMEOUT / 2
            server.start()
        assert server.url == url
        kept = run("MATCH (n:Kept) RETURN n.number AS number ORDER BY number")
        assert kept == [{"number": 0}, {"number": 1}]

    def test_a_wrong_password_is_refused(self, bolt_server: BoltServer) -> None:
        """Or no test of ours could see a refusal."""
        from neo4j import GraphDatabase
        from neo4j.exceptions import AuthError

        with (
            GraphDatabase.driver(bolt_server.url, auth=(bolt_server.username, "wrong")) as driver,
            pytest.raises(AuthError),
        ):
            driver.verify_connectivity()

    def test_it_says_what_it_is(self, bolt_server: BoltServer) -> None:
        """Results are told apart by the product."""
        assert ("ArcadeDB" in bolt_server.product) is not bolt_server.real
        assert bolt_server.password not in repr(bolt_server)

    @pytest.mark.parametrize("refresh_schema", [True, False])
    def test_langchain_reads_it(self, bolt_server: BoltServer, refresh_schema: bool) -> None:
        """LangChain's graph asks APOC for the schema."""
        from langchain_neo4j import Neo4jGraph

        if refresh_schema and not bolt_server.real:
            pytest.skip("ArcadeDB has no apoc.meta.data")
        on_bolt(bolt_server)("MERGE (:Town {name: 'Oslo'})-[:IN]->(:Country {name: 'Norway'})")
        graph = Neo4jGraph(
            bolt_server.url,
            bolt_server.username,
            bolt_server.password,
            refresh_schema=refresh_schema,
        )
        try:
            found = graph.query("MATCH (t:Town)-[:IN]->(c) RETURN c.name AS name")
            assert found == [{"name": "Norway"}]
            assert ("(:Town)-[:IN]->(:Country)" in graph.get_schema) is refresh_schema
        finally:
            graph.close()


class TestNeptune:
    def test_langchain_reads_analytics(self, neptune_analytics: NeptuneEndpoint) -> None:
        """LangChain's class asks for the schema when it is made."""
        from langchain_aws.graphs import NeptuneAnalyticsGraph

        on_neptune(neptune_analytics)("CREATE (:Town {`~id`: 't', name: 'Oslo'})-[:IN]->(:Country)")
        graph = NeptuneAnalyticsGraph(
            neptune_analytics.graph_identifier, client=neptune_analytics.client()
        )
        assert "'property': 'name', 'type': 'String'" in graph.get_schema
        assert "(:`Town`)-[:`IN`]->(:`Country`)" in graph.get_schema
        assert graph.query("MATCH (t:Town) RETURN t.name AS name", {}) == [{"name": "Oslo"}]

    def test_langchain_reads_a_database(self, neptune_database: NeptuneEndpoint) -> None:
        """LangChain's class asks for a summary, and for each label."""
        from langchain_aws.graphs import NeptuneGraph
        from pydantic import SecretStr

        on_neptune(neptune_database)("CREATE (:Town {`~id`: 't', name: 'Oslo'})-[:IN]->(:Country)")
        graph = NeptuneGraph(
            neptune_database.host,
            neptune_database.port,
            use_https=False,
            region_name=REGION,
            **{name: SecretStr(key) for name, key in KEYS.items()},  # type: ignore[arg-type]
        )
        assert "'property': 'name', 'type': 'STRING'" in graph.get_schema
        assert "(:`Town`)-[:`IN`]->(:`Country`)" in graph.get_schema
        found = graph.query("MATCH (t:Town) WHERE t.name = $name RETURN t.name", {"name": "Oslo"})
        assert found == [{"t.name": "Oslo"}]

    def test_the_bytes_of_analytics(self, neptune_analytics: NeptuneEndpoint) -> None:
        """What boto3 sends, as it sends it."""
        on_neptune(neptune_analytics)("RETURN $k AS k", k=[1, None])
        assert neptune_analytics.requests == [
            {"query": "RETURN $k AS k", "parameters": {"k": [1, None]}, "language": "OPEN_CYPHER"}
        ]

    def test_the_bytes_of_a_database(self, neptune_database: NeptuneEndpoint) -> None:
        """Parameters travel as a text, and not at all when there are none."""
        run = on_neptune(neptune_database)
        assert run("RETURN $a AS a", a=1) == [{"a": 1}]
        run("RETURN 1 AS a")
        assert neptune_database.requests == [
            {"query": "RETURN $a AS a", "parameters": '{"a": 1}'},
            {"query": "RETURN 1 AS a"},
        ]

    def test_nodes_and_relationships_look_as_neptunes(self, neptune: NeptuneEndpoint) -> None:
        """Ids are texts, and no property appears that nobody set."""
        run = on_neptune(neptune)
        run(
            "CREATE (a:Town {`~id`: 'a', id: 7, type: 'old'}), (b:Town:Port {`~id`: 'b'}), "
            "(a)-[:ROAD {name: 'E6'}]->(b)"
        )
        [row] = run(
            "MATCH (a)-[r:ROAD]->(b) RETURN a, r, b, id(a) AS id, b.name AS name, a.id, b.id"
        )
        assert row.pop("r") == {
            "~id": "0",
            "~entityType": "relationship",
            "~start": "a",
            "~end": "b",
            "~type": "ROAD",
            "~properties": {"name": "E6"},
        }
        town = {"~entityType": "node", "~labels": ["Town"]}
        port = {"~entityType": "node", "~labels": ["Town", "Port"]}
        assert row == {
            "a": {"~id": "a", **town, "~properties": {"id": 7, "type": "old"}},
            "b": {"~id": "b", **port, "~properties": {}},
            "id": "a",
            "name": None,
            "a.id": 7,
            "b.id": None,
        }

    @pytest.mark.parametrize(
        "query",
        [
            "CREATE (n:X {tags: $list})",
            "CREATE (n:X {tags: $map})",
            "MERGE (n:X {`~id`: '1'}) SET n.tags = [1, 2]",
            "UNWIND $rows AS row MERGE (n:X {`~id`: row.id}) SET n += row.props",
            "CALL apoc.create.node(['X'], {})",
            "CREATE CONSTRAINT one IF NOT EXISTS FOR (n:X) REQUIRE n.id IS UNIQUE",
            "CREATE INDEX one IF NOT EXISTS FOR (n:X) ON (n.id)",
            "SHOW INDEXES",
            "FOREACH (x IN [1] | CREATE (:X))",
            "MATCH p = shortestPath((a:X)-[*]-(b:X)) RETURN p",
            "MATCH (n) WHERE n.name =~ 'a.*' RETURN n",
            "RETURN 2 ^ 3 AS eight",
            "MATCH (n) RETURN elementId(n) AS id",
            "CALL db.labels()",
            "CREATE (n:$($label))",
            "MATCH (n:X) SET n:$($label)",
            "RETURN date() AS today",
            "RETURN datetime.truncate('day', datetime()) AS today",
            "MATCH (a)-[r:R*1..2 {name: $label}]->(b) RETURN b",
            "RETURN 1 AS x UNION CREATE (n:X) RETURN 1 AS x",
        ],
    )
    def test_refuses_what_neptune_refuses(self, neptune: NeptuneEndpoint, query: str) -> None:
        """A statement that only Neo4j runs must not pass our tests; and nothing of it stays."""
        run = on_neptune(neptune)
        with pytest.raises(ClientError) as error:
            run(query, list=[1], map={"a": 1}, rows=[{"id": 1, "props": {"a": [1]}}], label="L")
        expected = {"analytics": "ValidationException", "database": "UnsupportedOperationException"}
        assert code_of(error) == expected[neptune.product]
        assert run("MATCH (n) RETURN count(n) AS nodes") == [{"nodes": 0}]

    @pytest.mark.parametrize("query", ["RETRN 1", "MATCH (n) RETURN m", "RETURN $missing AS x"])
    def test_malformed_queries(self, neptune: NeptuneEndpoint, query: str) -> None:
        """boto3 raises the exceptions that it knows."""
        client = neptune.client()
        modelled = (
            client.exceptions.ValidationException
            if neptune.product == "analytics"
            else client.exceptions.MalformedQueryException
        )
        with pytest.raises(ClientError) as error:
            on_neptune(neptune)(query)
        assert code_of(error) == modelled.__name__

    def test_limits_from_parameters(
        self, neptune_analytics: NeptuneEndpoint, neptune_database: NeptuneEndpoint
    ) -> None:
        """A database takes literal limits only."""
        query = "UNWIND [1, 2] AS x RETURN x LIMIT $k"
        assert on_neptune(neptune_analytics)(query, k=1) == [{"x": 1}]
        with pytest.raises(ClientError, match="UnsupportedOperationException"):
            on_neptune(neptune_database)(query, k=1)

    def test_an_id_is_taken_once(self, neptune: NeptuneEndpoint) -> None:
        """The id is Neptune's only unique key, whatever the label."""
        run = on_neptune(neptune)
        run("CREATE (:A {`~id`: '1'})")
        for label in ("A", "B"):
            with pytest.raises(ClientError):
                run(f"CREATE (:{label} {{`~id`: '1'}})")

    def test_relationships_with_an_id_of_their_own(
        self, neptune_analytics: NeptuneEndpoint
    ) -> None:
        """Analytics gives relationships their ids itself."""
        with pytest.raises(ClientError, match="Custom ids"):
            on_neptune(neptune_analytics)("CREATE (:A)-[:R {`~id`: '1'}]->(:B)")

    def test_unsigned_requests(self, neptune: NeptuneEndpoint) -> None:
        """A request must be signed, and for the right service."""
        from botocore import UNSIGNED

        client = neptune.client(signature_version=UNSIGNED)
        summary = (
            partial(client.get_graph_summary, graphIdentifier=neptune.graph_identifier)
            if neptune.product == "analytics"
            else client.get_propertygraph_summary
        )
        with pytest.raises(client.exceptions.AccessDeniedException) as error:
            summary()
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403

    @pytest.mark.parametrize(
        ("fixture", "code"),
        [
            ("neptune_analytics", "ThrottlingException"),
            ("neptune_analytics", "ConflictException"),
            ("neptune_database", "ConcurrentModificationException"),
            ("neptune_database", "TooManyRequestsException"),
        ],
    )
    def test_failures_on_demand(
        self, request: pytest.FixtureRequest, fixture: str, code: str
    ) -> None:
        """A busy Neptune, as long as a test wants it."""
        endpoint: NeptuneEndpoint = request.getfixturevalue(fixture)
        run = on_neptune(endpoint)
        endpoint.fail_next(code, times=2)
        for _ in range(2):
            with pytest.raises(ClientError) as error:
                run("RETURN 1 AS one")
            assert code_of(error) == code
        assert run("RETURN 1 AS one") == [{"one": 1}]
        assert len(endpoint.requests) == 3

    def test_a_time_is_no_parameter(self, neptune_analytics: NeptuneEndpoint) -> None:
        """boto3 takes JSON's types only."""
        with pytest.raises(ParamValidationError):
            on_neptune(neptune_analytics)("RETURN $now AS now", now=Path())


@pytest.fixture(params=["bolt", "kglite", "neptune_analytics", "neptune_database"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Runs the Cypher that is the same everywhere; `~id` is the key's name."""
    if request.param.startswith("neptune"):
        yield on_neptune(request.getfixturevalue(request.param))
    elif request.param == "bolt":
        on_server = on_bolt(request.getfixturevalue("bolt_server"))
        on_server("MATCH (n:Person) DETACH DELETE n")
        yield lambda query, **given: on_server(query.replace("`~id`", "id"), **given)
    else:
        session = kglite.open_session(str(tmp_path / "graph"), durable="normal")
        yield lambda query, **given: [
            dict(row) for row in session.execute(query.replace("`~id`", "id"), params=given)
        ]
        session.close()


def test_the_portable_statements_give_the_same_rows(run: Run) -> None:
    """What our statements are made of means the same to every engine."""
    people = [
        {
            "id": name,
            "user": user,
            "props": {"name": name.title(), "age": age, "ok": True, "f": 0.5},
        }
        for name, user, age in (("ann", "u1", 30), ("bob", "u1", 40), ("cyd", "u2", 50))
    ]
    knows = [
        {"id": f"{source}-{target}", "from": source, "to": target, "since": since}
        for source, target, since in (("ann", "bob", "2020"), ("bob", "cyd", "2021"))
    ]
    for times in (1, 2):
        run(
            "UNWIND $rows AS row MERGE (p:Person {`~id`: row.id}) "
            "ON CREATE SET p.user = row.user, p.seen = 1 ON MATCH SET p.seen = p.seen + 1 "
            "SET p += row.props",
            rows=people,
        )
        run(
            "UNWIND $rows AS row MATCH (a:Person {`~id`: row.from}) "
            "MATCH (b:Person {`~id`: row.to}) MERGE (a)-[r:KNOWS {id: row.id}]->(b) "
            "ON CREATE SET r.since = row.since",
            rows=knows,
        )
        assert run("MATCH (p:Person) RETURN DISTINCT p.seen AS seen") == [{"seen": times}]
    assert run(
        "MATCH (a:Person)-[r:KNOWS]->(b:Person) RETURN r.id AS id, a.`~id` AS source, "
        "type(r) AS type, b.name AS name, r.since AS since, b.age AS age, b.ok AS ok, b.f AS f "
        "ORDER BY id"
    ) == [
        {
            "id": f"{source}-{name.lower()}",
            "source": source,
            "type": "KNOWS",
            "name": name,
            "since": since,
            "age": age,
            "ok": True,
            "f": 0.5,
        }
        for source, name, since, age in (("ann", "Bob", "2020", 40), ("bob", "Cyd", "2021", 50))
    ]
    assert run(
        "MATCH (a:Person {`~id`: $id})-[:KNOWS*1..2]-(b:Person) RETURN DISTINCT b.name AS name "
        "ORDER BY name",
        id="ann",
    ) == [{"name": "Bob"}, {"name": "Cyd"}]
    assert run(
        "MATCH (p:Person) WHERE toLower(p.name) CONTAINS $part AND p.`~id` IN $ids "
        "RETURN p.name AS name ORDER BY name LIMIT 1",
        part="b",
        ids=["ann", "bob"],
    ) == [{"name": "Bob"}]
    assert run(
        "MATCH (p:Person) OPTIONAL MATCH (p)-[r:KNOWS]-() RETURN p.name AS name, "
        "count(r) AS degree, p.missing IS NULL AS bare ORDER BY degree DESC, name"
    ) == [
        {"name": "Bob", "degree": 2, "bare": True},
        {"name": "Ann", "degree": 1, "bare": True},
        {"name": "Cyd", "degree": 1, "bare": True},
    ]
    assert run("MATCH (a:Person)-[r]->(b) RETURN DISTINCT labels(a) AS a, type(r) AS t") == [
        {"a": ["Person"], "t": "KNOWS"}
    ]
    run("MATCH (p:Person) WHERE p.user = $user SET p.name = $name", user="u2", name="Cy")
    run("MATCH (p:Person) WHERE p.user = $user DETACH DELETE p", user="u1")
    assert run("MATCH (p:Person) RETURN p.name AS name") == [{"name": "Cy"}]
    assert run("MATCH (:Person)-[r:KNOWS]-() RETURN count(r) AS known") == [{"known": 0}]
