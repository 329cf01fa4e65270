"""Items of a LangGraph store that are memories: the graph follows them, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mem0_integrations import AgentMemory, connect
from mem0_integrations.graph import EmbeddedEngine, GraphMemory
from mem0_integrations.langgraph import Mem0Store
from tests.graph.facts import SpelledOut, told

ANN = {"user_id": "ann"}
HOME = ("memories", "ann")


@pytest.fixture
def memory(data_dir: Path) -> Iterator[AgentMemory]:
    engine = EmbeddedEngine(data_dir / "graph.kg")
    with connect(graph=GraphMemory(engine, extractor=SpelledOut()), scope=ANN) as memory:
        yield memory
    engine.close()


def facts(memory: AgentMemory) -> list[str]:
    assert memory.flush(timeout=30)
    return sorted("|".join(fact) for fact in told(memory.graph.relations(scope=ANN)))


def test_what_is_put_replaced_and_deleted_is_followed(memory: AgentMemory) -> None:
    """An agent's notes are memories: a graph without them would be out of date."""
    store = Mem0Store(memory, memories=("memories", "{user_id}"))
    store.put(HOME, "home", {"text": "I|lives in|Oslo"})
    store.put(HOME, "drink", {"text": "I|likes|tea"})
    assert facts(memory) == ["ann|likes|tea", "ann|lives_in|Oslo"]
    store.put(HOME, "home", {"text": "I|lives in|Bergen"})
    assert facts(memory) == ["ann|likes|tea", "ann|lives_in|Bergen"]
    store.delete(HOME, "home")
    assert facts(memory) == ["ann|likes|tea"]


def test_a_memory_that_is_changed_as_an_item_is_followed(memory: AgentMemory) -> None:
    """What was remembered elsewhere is listed by its id, and may be put back changed."""
    store = Mem0Store(memory, memories=("memories", "{user_id}"))
    memory.remember("I|owns|a dog", infer=False)
    [item] = store.search(HOME)
    store.put(item.namespace, item.key, {"memory": "I|owns|a cat"})
    assert facts(memory) == ["ann|owns|a cat"]


def test_an_item_that_expires_leaves_the_graph(memory: AgentMemory) -> None:
    """A fact must not outlive what supports it."""
    store = Mem0Store(memory, memories=("memories", "{user_id}"))
    store.put(HOME, "home", {"text": "I|lives in|Oslo"}, ttl=0.0001)
    assert facts(memory) == ["ann|lives_in|Oslo"]
    assert store.sweep_ttl() == 1
    assert facts(memory) == []
