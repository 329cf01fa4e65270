"""A graph as Mem0 1.x wrote it, read into the new one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mem0_integrations import Scope
from mem0_integrations.backends.embedded.embedder import MiniLMEmbedder
from mem0_integrations.cli import app
from mem0_integrations.graph import EmbeddedEngine, GraphMemory
from mem0_integrations.graph.engines.base import Batch, GraphEngine, Statement
from mem0_integrations.graph.migration import migrate, old_facts
from tests.graph.facts import told

# user, agent, source, relationship, target, invalidated at
OLD = (
    ("{0}", "", "{0}", "lives_in", "oslo", "2024-05-01T00:00:00+00:00"),
    ("{0}", "", "{0}", "lives_in", "new_york", None),
    ("{0}", "", "jon_smith", "brother_of", "{0}", None),
    ("{0}-b", "bot", "acme", "MAKES", "anvils'}}) //", None),
)


def write_old(engine: GraphEngine, user: str) -> None:
    """As Mem0 1.x did: labels are types, relationships are typed, names have underscores."""
    for owner, agent, source, relationship, target, ended in OLD:
        names = [name.format(user) for name in (source, target)]
        parameters = {
            "user": owner.format(user),
            "agent": agent or None,
            "ids": [f"old {user} {name}" for name in names],
            "names": names,
            "ended": ended,
        }
        agents = ", x.agent_id = $agent" if agent else ""
        for place, variable in enumerate("ab"):
            merge = (
                f"MERGE (x:`__Entity__` {{`~id`: $ids[{place}]}}) "
                f"SET x.name = $names[{place}], x.user_id = $user{agents}"
            )
            engine.run(Batch([Statement(merge, parameters)], write=True))
            del variable
        link = (
            "MATCH (a:`__Entity__` {`~id`: $ids[0]}) MATCH (b:`__Entity__` {`~id`: $ids[1]}) "
            f"MERGE (a)-[r:`{relationship}`]->(b) SET r.created_at = 1700000000000, r.mentions = 1"
        )
        state = ", r.valid = false, r.invalidated_at = $ended" if ended else ", r.valid = true"
        engine.run(Batch([Statement(link + state, parameters)], write=True))


def of_this_test(engine: GraphEngine, user: str) -> list[object]:
    return [fact for fact in old_facts(engine) if str(fact.scope.user_id).startswith(user)]


@pytest.fixture
def embedder() -> MiniLMEmbedder:
    return MiniLMEmbedder()


@pytest.mark.parametrize("engine", ["embedded", "neo4j"], indirect=True)
def test_facts_are_read_and_written_once(
    engine: GraphEngine, user: str, embedder: MiniLMEmbedder
) -> None:
    """Per scope, with their times, into a database that may be the same one."""
    write_old(engine, user)
    facts = of_this_test(engine, user)
    assert len(facts) == len(OLD)
    done: list[int] = []
    for _ in range(2):
        assert migrate(facts, engine, embedder, on_progress=done.append) == len(OLD)  # type: ignore[arg-type]
    graph = GraphMemory(engine)
    assert told(graph.relations(scope=Scope(user_id=user))) == {
        (user, "lives_in", "new york"),
        ("jon smith", "brother_of", user),
    }
    bot = Scope(user_id=f"{user}-b", agent_id="bot")
    assert told(graph.relations(scope=bot)) == {("acme", "makes", "anvils'}) //")}
    [oslo] = [fact for fact in graph.history(scope=Scope(user_id=user)) if fact.target == "oslo"]
    assert oslo.valid_to is not None
    assert oslo.valid_to.year == 2024
    assert len(of_this_test(engine, user)) == len(OLD)
    assert done == [3, 4, 3, 4]


def test_the_command(tmp_path: Path) -> None:
    """A dry run counts; the real one writes what was asked for, and says so."""
    paths = [tmp_path / "old.kg", tmp_path / "new.kg"]
    configs = []
    for path in paths:
        config = {"graph_store": {"provider": "embedded", "config": {"path": str(path)}}}
        configs.append(tmp_path / f"{path.stem}.json")
        configs[-1].write_text(json.dumps(config))
    old = EmbeddedEngine(paths[0])
    write_old(old, "ann")
    old.close()
    command = ["migrate-graph", "--config", str(configs[1]), "--source-config", str(configs[0])]
    command += ["--data-dir", str(tmp_path / "data"), "--user", "ann"]
    dry = CliRunner().invoke(app, [*command, "--dry-run"])
    assert (dry.exit_code, "Nothing was written" in dry.output) == (0, True)
    assert "3" in dry.output
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "3 facts are in the graph" in done.output
    new = EmbeddedEngine(paths[1])
    graph = GraphMemory(new)
    assert len(graph.relations(scope=Scope(user_id="ann"))) == 2
    assert graph.relations(scope=Scope(user_id="ann-b")) == []
    graph.close()


def test_a_config_without_a_graph(tmp_path: Path) -> None:
    """The command says what it needs."""
    config = tmp_path / "config.json"
    config.write_text("{}")
    done = CliRunner().invoke(app, ["migrate-graph", "--config", str(config)])
    assert done.exit_code != 0
    assert "graph_store" in str(done.exception or done.output)
