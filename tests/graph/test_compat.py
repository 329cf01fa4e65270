"""Code written for the graph memory of Mem0 1.x: the same calls, the same shapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from langchain_core.embeddings import Embeddings

from mem0_integrations import ConfigurationError, InvalidInputError, ScopeError
from mem0_integrations.graph.compat import MemoryGraph
from mem0_integrations.graph.engines.neptune import NeptuneAnalyticsEngine
from tests.graph.facts import SpelledOut
from tests.stores import Scripted

ANN = {"user_id": "ann"}


@pytest.fixture
def graph(tmp_path: Path, minilm: Embeddings, data_dir: Path) -> Iterator[MemoryGraph]:
    store = {"provider": "embedded", "config": {"path": str(tmp_path / "graph.kg")}}
    made = MemoryGraph({"graph_store": store}, embedder=minilm, extractor=SpelledOut())
    yield made
    made.graph.close()


def test_add_returns_what_was_added_and_what_has_ended(graph: MemoryGraph) -> None:
    """Lists of lists, as the tool calls of 1.x were kept."""
    row = {"source": "ann", "relationship": "lives_in"}
    assert graph.add("I|lives in|Oslo", ANN) == {
        "deleted_entities": [],
        "added_entities": [[{**row, "target": "Oslo"}]],
    }
    assert graph.add("I|lives in|Rome", ANN) == {
        "deleted_entities": [[{**row, "target": "Oslo"}]],
        "added_entities": [[{**row, "target": "Rome"}]],
    }


def test_search_and_get_all_differ_in_one_key(graph: MemoryGraph) -> None:
    """`destination` there, `target` here: whoever reads them relies on it."""
    graph.add("I|likes|tea; Acme|is in|Oslo", ANN)
    assert graph.search("Where is Acme?", ANN) == [
        {"source": "Acme", "relationship": "is_in", "destination": "Oslo"}
    ]
    assert {"source": "ann", "relationship": "likes", "destination": "tea"} in graph.search(
        "What do I like?", ANN
    )
    assert graph.search("Where does Ann live?", ANN) == graph.search("What do I like?", ANN)
    assert {tuple(row) for row in graph.get_all(ANN)} == {("source", "relationship", "target")}
    assert len(graph.get_all(ANN, limit=1)) == len(graph.search("I and Acme", ANN, limit=1)) == 1
    assert graph.search("Acme", {"user_id": "bob"}) == []


def test_delete_and_delete_all_and_reset(graph: MemoryGraph) -> None:
    """In 1.x they left data behind, or took everybody's."""
    for who in ("ann", "bob"):
        graph.add("I|likes|tea", {"user_id": who})
    graph.add("I|likes|milk", ANN)
    graph.delete("I|likes|tea", ANN)
    assert [row["target"] for row in graph.get_all(ANN)] == ["milk"]
    graph.delete_all(ANN)
    assert graph.get_all(ANN) == []
    assert len(graph.get_all({"user_id": "bob"})) == 1
    graph.reset()
    assert graph.get_all({"user_id": "bob"}) == []


def test_scopes_without_a_user(graph: MemoryGraph) -> None:
    """A KeyError there; and nobody's facts are everybody's."""
    graph.add("I|likes|tea", {"agent_id": "bot"})
    assert len(graph.get_all({"agent_id": "bot"})) == 1
    assert graph.get_all({"agent_id": "other"}) == []
    with pytest.raises(ScopeError):
        graph.get_all({})


def test_a_config_of_objects(tmp_path: Path, data_dir: Path) -> None:
    """1.x took its `MemoryConfig`; without models, patterns and the shipped embedder do."""
    store = SimpleNamespace(
        provider="embedded",
        config=SimpleNamespace(path=str(tmp_path / "graph.kg")),
        llm=None,
        custom_prompt=None,
        threshold=0.8,
    )
    graph = MemoryGraph(SimpleNamespace(graph_store=store, embedder=None, llm=None))
    assert graph.add("I live in Oslo.", ANN)["added_entities"][0][0]["target"] == "Oslo"
    graph.graph.close()


def test_the_config_of_mem0s_guide_to_neptune(data_dir: Path, minilm: Embeddings) -> None:
    """`endpoint` and `app_id`; it connects when it is first used."""
    config = {"endpoint": "neptune-graph://g-1", "app_id": "Mem0", "region_name": "eu-west-1"}
    graph = MemoryGraph({"graph_store": {"provider": "neptune", "config": config}}, embedder=minilm)
    assert isinstance(graph.graph.engine, NeptuneAnalyticsEngine)
    graph.graph.close()


def test_without_a_graph_store(data_dir: Path) -> None:
    """There is nothing to fall back to."""
    with pytest.raises(ConfigurationError, match="graph_store"):
        MemoryGraph({})


def test_what_is_said_again_holds_again(graph: MemoryGraph) -> None:
    """Each time is a memory of its own; `delete` takes all of them back."""
    for city in ("Oslo", "Rome", "Oslo"):
        added = graph.add(f"I|lives in|{city}", ANN)
    assert added["deleted_entities"][0][0]["target"] == "Rome"
    assert [row["target"] for row in graph.get_all(ANN)] == ["Oslo"]
    for _ in range(20):
        graph.add("I|likes|tea", ANN)
    graph.delete("I|likes|tea", ANN)
    graph.delete("I|lives in|Oslo", ANN)
    assert [row["target"] for row in graph.get_all(ANN)] == ["Rome"]


def test_a_text_that_ends_a_fact(graph: MemoryGraph) -> None:
    """It adds nothing."""
    graph.add("I|likes|tea", ANN)
    assert graph.add("-I|likes|tea", ANN) == {
        "deleted_entities": [[{"source": "ann", "relationship": "likes", "target": "tea"}]],
        "added_entities": [],
    }


def test_search_returns_as_many_as_are_asked_for(graph: MemoryGraph) -> None:
    """1.x returned five, whatever the limit."""
    graph.add("; ".join(f"Acme|makes|thing {number}" for number in range(30)), ANN)
    assert len(graph.search("Acme", ANN)) == 30
    assert len(graph.search("Acme", ANN, 12)) == 12
    with pytest.raises(InvalidInputError, match="limit"):
        graph.search("Acme", ANN, 0)


@pytest.mark.parametrize("filters", [{"user_id": ""}, {"user": "ann"}], ids=str)
def test_a_mistake_does_not_widen_the_scope(graph: MemoryGraph, filters: dict[str, str]) -> None:
    """With the user left out, all of an agent's users would be erased."""
    graph.add("I|likes|tea", {**ANN, "agent_id": "bot"})
    with pytest.raises(ScopeError):
        graph.delete_all({**filters, "agent_id": "bot"})
    assert len(graph.get_all({**ANN, "agent_id": "bot", "run_id": None})) == 1


def test_a_model_of_ones_own(tmp_path: Path, data_dir: Path, minilm: Embeddings) -> None:
    """In place of the configured one, which may want a key."""
    answer = """{"memories": [{"text": 1, "relations": [
        {"source": "ann", "relationship": "likes", "target": "tea"}]}]}"""
    store = {"provider": "embedded", "config": {"path": str(tmp_path / "graph.kg")}}
    config = {"graph_store": store, "llm": {"provider": "openai", "config": {}}}
    graph = MemoryGraph(config, embedder=minilm, llm=Scripted(answers=[answer]))
    assert graph.add("I like tea.", ANN)["added_entities"][0][0]["target"] == "tea"
    graph.graph.close()


def test_half_a_character_is_no_reason_to_fail(graph: MemoryGraph) -> None:
    """A model that is cut off leaves one; and what was added can be deleted."""
    graph.add("I|likes|tea \ud83d", ANN)
    assert len(graph.get_all(ANN)) == 1
    graph.delete("I|likes|tea \ud83d", ANN)
    assert graph.get_all(ANN) == []


def test_what_is_no_text_is_refused(graph: MemoryGraph) -> None:
    """By an error that says so."""
    with pytest.raises(InvalidInputError, match="data must be a text"):
        graph.add(None, ANN)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="query must be a text"):
        graph.search(["tea"], ANN)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"graph_store": "embedded"}, "graph_store must be"),
        ({"embedder": {"provider": "none"}}, "embedder"),
        ({"llm": {"provider": "none"}}, "llm"),
        ({"graph_store": {"provider": "embedded", "custom_prompt": "Only cities."}}, "llm"),
    ],
)
def test_a_config_with_a_mistake(data_dir: Path, part: dict[str, object], message: str) -> None:
    """Nothing is ignored, and every error is one of this package."""
    with pytest.raises(ConfigurationError, match=message):
        MemoryGraph({"graph_store": {"provider": "embedded"}, **part})


def test_a_part_of_what_was_said_can_be_deleted(graph: MemoryGraph) -> None:
    """1.x deletes by the text of a memory, which is another one than the graph was told."""
    for _ in range(2):
        graph.add("I|likes|tea; I|likes|milk", ANN)
        graph.delete("I|likes|tea", ANN)
        assert [row["target"] for row in graph.get_all(ANN)] == ["milk"]
    graph.delete("I|likes|nothing known", ANN)
    assert [row["target"] for row in graph.get_all(ANN)] == ["milk"]
