"""A graph that follows a memory: through everything that changes memories."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from mem0_integrations import (
    AgentMemory,
    BackendError,
    ConfigurationError,
    CorruptFileError,
    ExtractionError,
    InvalidInputError,
    Memory,
    OutboxOptions,
    RetryPolicy,
    Scope,
    connect,
    recall_text,
)
from mem0_integrations.graph import GraphMemory
from mem0_integrations.graph.engines.base import Batch, GraphEngine, Rows
from mem0_integrations.graph.engines.embedded import EmbeddedEngine
from tests.graph.facts import SpelledOut, follower_of, graph_of, told
from tests.stores import Scripted, nothing_on_the_loop

ANN = {"user_id": "ann"}


class Interrupted(GraphEngine):
    """An engine that fails while it is told to; for the rest, a real one."""

    def __init__(self, engine: GraphEngine) -> None:
        self.engine = engine
        self.down = False

    def run(self, batch: Batch) -> list[Rows]:
        if self.down:
            raise BackendError("The graph is down.", retryable=True)
        return self.engine.run(batch)

    async def arun(self, batch: Batch) -> list[Rows]:
        if self.down:
            raise BackendError("The graph is down.", retryable=True)
        return await self.engine.arun(batch)

    def prepare(self, schema: Sequence[str]) -> None:
        self.engine.prepare(schema)

    def describe(self) -> str:
        return self.engine.describe()

    def close(self) -> None:
        self.engine.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Interrupted]:
    engine = Interrupted(EmbeddedEngine(tmp_path / "graph.kg"))
    yield engine
    engine.close()


@pytest.fixture
def memory(engine: Interrupted, data_dir: Path) -> Iterator[AgentMemory]:
    """A memory on the embedded default with a graph whose extractor reads spelled-out facts."""
    graph = GraphMemory(engine, extractor=SpelledOut())
    with connect(graph=graph, scope=ANN, retry=RetryPolicy(attempts=1)) as memory:
        yield memory


def say(memory: AgentMemory, text: str, **options: Any) -> str:
    """Remember a text as it is, let the graph follow, and return the memory's id."""
    result = memory.remember(text, infer=False, **options)
    assert memory.flush(30)
    return result.memories[0].id


def test_remember_update_delete_and_forget_keep_the_graph_true(memory: AgentMemory) -> None:
    """The whole life of a fact, through the memory alone."""
    home = say(memory, "I|lives in|Oslo")
    assert told(memory.graph.relations(scope=ANN)) == {("ann", "lives_in", "Oslo")}
    recall = memory.recall("lives in Oslo")
    assert [one.memory_ids for one in recall.relations] == [(home,)]
    memory.update(home, text="I|lives in|Rome")
    assert memory.flush(30)
    assert told(memory.graph.relations(scope=ANN)) == {("ann", "lives_in", "Rome")}
    memory.delete(home)
    assert memory.flush(30)
    assert memory.graph.relations(scope=ANN) == []
    assert len(memory.graph.history(scope=ANN)) == 2
    say(memory, "I|likes|tea")
    assert memory.forget(ANN).relations == 3
    assert memory.graph.history(scope=ANN) == []


class Paused(SpelledOut):
    """An extractor that waits in the middle, as one with a model does, when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.goes_on = threading.Event(), threading.Event()
        self.goes_on.set()

    def extract(self, texts: Sequence[str], **options: Any) -> list[Any]:
        self.reached.set()
        assert self.goes_on.wait(30)
        return super().extract(texts, **options)


@pytest.fixture
def paused(engine: Interrupted, data_dir: Path) -> Iterator[tuple[AgentMemory, Paused]]:
    """A memory with a graph, and the extractor that can be held up."""
    extractor = Paused()
    with connect(graph=GraphMemory(engine, extractor=extractor), scope=ANN) as memory:
        yield memory, extractor
        extractor.goes_on.set()


SHOP = Scope(**ANN, agent_id="shop")


def test_what_is_deleted_while_it_is_extracted_stays_deleted(
    paused: tuple[AgentMemory, Paused],
) -> None:
    """A model takes seconds, and whoever deletes may do so through a wider scope."""
    memory, extractor = paused
    extractor.goes_on.clear()
    said = memory.remember("I|likes|tea", infer=False, scope=SHOP).memories[0].id
    assert extractor.reached.wait(30)
    memory.delete(said, scope=ANN)
    # The graph's outbox gets to the deletion meanwhile.
    assert not memory.flush(0.3)
    extractor.goes_on.set()
    assert memory.flush(30)
    assert memory.graph.relations(scope=ANN) == []


@pytest.mark.parametrize(
    "begin",
    [
        lambda memory, said: memory.update(said, text="I|likes|wine", scope=ANN),
        lambda memory, said: memory.rebuild_graph(ANN),
    ],
    ids=["update", "rebuild"],
)
def test_what_is_forgotten_while_it_is_extracted_stays_forgotten(
    paused: tuple[AgentMemory, Paused], begin: Callable[[AgentMemory, str], object]
) -> None:
    """The other way round: a narrower scope is erased, physically."""
    memory, extractor = paused
    said = say(memory, "I|likes|tea", scope=SHOP)
    extractor.reached.clear()
    extractor.goes_on.clear()
    with ThreadPoolExecutor() as pool:
        pool.submit(begin, memory, said)
        assert extractor.reached.wait(30)
        erased = pool.submit(memory.forget, SHOP)
        assert wait([erased], 0.3).not_done
        extractor.goes_on.set()
        erased.result(30)
    assert memory.flush(30)
    assert memory.graph.history(scope=ANN) == []


def test_names_in_a_script_that_the_embedder_does_not_know_stay_apart(memory: AgentMemory) -> None:
    """To the local model, Tokyo is Kyoto, and any two words of a script it never saw are one."""
    names = {"東京都", "京都", "田中", "中田", "ሰላም", "ኢትዮጵያ", "محمد", "محمود"}
    say(memory, "; ".join(f"I|knows|{name}" for name in sorted(names)))
    assert {fact.target for fact in memory.graph.relations(scope=ANN)} == names


def test_an_import_is_followed(memory: AgentMemory) -> None:
    """Bulk imports go another way through the backend."""
    memory.remember_many([f"I|likes|thing {n}" for n in range(30)], batch_size=7)
    assert memory.flush(30)
    assert len(memory.graph.relations(scope=ANN)) == 30


def test_vectors_that_a_framework_stores_are_followed(memory: AgentMemory) -> None:
    """CrewAI's engine writes past `remember`."""
    from datetime import UTC, datetime
    from uuid import uuid4

    from mem0_integrations.records import VectorMemory
    from mem0_integrations.requests import Change

    vectors, made = memory.vectors(), str(uuid4())
    now = datetime.now(UTC)
    likes, ann = VectorMemory(made, "I|likes|tea", {}, now), Scope(**ANN)
    change = Change(ann, memory_ids=(made,))
    vectors.ask(lambda memories: memories.put(ann, [likes]), scopes=[ann], changes=[change])
    assert memory.flush(30)
    assert told(memory.graph.relations(scope=ANN)) == {("ann", "likes", "tea")}
    vectors.ask(lambda memories: memories.delete(ann, [made]), scopes=[ann], changes=[change])
    assert memory.flush(30)
    assert memory.graph.relations(scope=ANN) == []


def test_the_model_reads_relations_in_the_recalled_text(memory: AgentMemory) -> None:
    """Every adapter renders a recall with it."""
    say(memory, "I|lives in|Oslo")
    assert "- ann | lives_in | Oslo" in recall_text(memory.recall("lives in Oslo"))


async def test_async_recall_shows_the_same_and_keeps_the_loop_free(memory: AgentMemory) -> None:
    """The graph is asked on the loop only where its driver can wait there."""
    say(memory, "I|lives in|Oslo")
    with nothing_on_the_loop(EmbeddedEngine, "run"):
        found = await memory.arecall("lives in Oslo")
    assert found.relations == memory.recall("lives in Oslo").relations != ()


def test_forget_that_cannot_erase_the_graph_says_so(
    memory: AgentMemory, engine: Interrupted
) -> None:
    """Whoever asked for erasure must not be told that it is done."""
    say(memory, "I|likes|tea")
    engine.down = True
    with pytest.raises(BackendError):
        memory.forget(ANN)
    engine.down = False
    assert memory.forget(ANN).relations == 1


def test_a_part_that_is_forgotten_without_a_note_leaves_the_facts_of_the_rest(
    memory: AgentMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file for notes is damaged, what can be erased is, and no more."""
    say(memory, "I|lives in|Oslo", metadata={"thread_id": "first"})
    say(memory, "I|works for|Acme", metadata={"thread_id": "second"})
    damaged = CorruptFileError("graph-outbox.db is damaged.")
    ledger = follower_of(memory).outbox.ledger

    def refuse(*asked: object) -> None:
        raise damaged

    monkeypatch.setattr(ledger, "accept_forget", refuse)
    with pytest.raises(BackendError, match="may still have something of it"):
        memory.forget(ANN, filters={"thread_id": "first"})
    assert [fact.target for fact in memory.graph.relations(scope=ANN)] == ["Acme"]


def test_an_unusable_answer_is_kept_as_a_dead_letter(engine: Interrupted, data_dir: Path) -> None:
    """Never half-applied, never lost: `replay` tries again with a better model."""
    model = Scripted(answers=["no JSON at all"])
    from mem0_integrations.graph import ModelRelationExtractor

    graph = GraphMemory(engine, extractor=ModelRelationExtractor(model))
    with connect(graph=graph, scope=ANN) as memory:
        outbox = follower_of(memory).outbox
        outbox._failures._retry = type(outbox._retry)(attempts=2, base=0.0, cap=0.0)
        memory.remember("I live in Oslo.")
        assert memory.flush(30)
        [letter] = memory.dead_letters()
        assert "ExtractionError" in letter.error
        model.answers[:] = [
            '{"memories": [{"text": 1, "relations": [{"source": "ann", "relationship": "lives in",'
            ' "target": "Oslo"}]}]}'
        ]
        assert memory.replay() == 1
        assert memory.flush(30)
        assert told(graph.relations(scope=ANN)) == {("ann", "lives_in", "Oslo")}


def test_a_turn_costs_one_model_call(engine: Interrupted, data_dir: Path) -> None:
    """Mem0 1.x made three for each turn, one for each search, and two for each deletion."""
    from mem0_integrations.graph import ModelRelationExtractor

    relations = [
        {"text": number, "relations": [{"source": "ann", "relationship": "has", "target": name}]}
        for number, name in enumerate(("a cat", "a dog", "a horse"), start=1)
    ]
    model = Scripted(answers=[{"memories": relations}.__repr__().replace("'", '"')])
    graph = GraphMemory(engine, extractor=ModelRelationExtractor(model))
    with connect(graph=graph, scope=ANN) as memory:
        memory.remember("I have a cat. I have a dog. I have a horse.")
        assert memory.flush(30)
        assert len(memory.graph.relations(scope=ANN)) == 3
        memory.recall("cat?")
        memory.delete(memory.list()[0].id)
        assert memory.flush(30)
        assert len(model.asked) == 1


def test_an_embedded_graph_needs_nothing(data_dir: Path) -> None:
    """One argument, no key, no server; and it is there in the next process."""
    with connect(graph=True, scope=ANN) as memory, connect(graph=True) as other:
        memory.remember("I live in Oslo. My brother is Jon Smith.")
        assert memory.flush(30)
        facts = {("ann", "lives_in", "Oslo"), ("ann", "brother", "Jon Smith")}
        assert told(other.graph.relations(scope=ANN)) == facts
        assert "kglite" in memory.describe()["graph"]
    with connect(graph=True) as memory:
        assert told(memory.graph.relations(scope=ANN)) == facts


def test_a_graph_store_in_the_config_works_again(tmp_path: Path, minilm: Any) -> None:
    """Mem0 2 drops it silently, and with it half of what the user relies on."""
    config = {"graph_store": {"provider": "embedded", "config": {"path": str(tmp_path / "g.kg")}}}
    from mem0_integrations import SentenceExtractor

    options: dict[str, Any] = {"embedder": minilm, "extractor": SentenceExtractor()}
    with connect(config, data_dir=tmp_path, scope=ANN, **options) as memory:
        memory.remember("I live in Oslo.")
        assert memory.flush(30)
        assert told(memory.recall("home?").relations) == {("ann", "lives_in", "Oslo")}


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ({"provider": "neo4j"}, "url"),
        ({"provider": "kuzu", "config": {}}, "embedded"),
        ({"provider": "neo4j", "config": {"url": "bolt://x", "pasword": "y"}}, "pasword"),
        ({"provider": "neptune", "config": {"endpoint": "https://x"}}, "neptune-graph://"),
        ({"provider": "embedded", "custom_prompt": "x"}, "llm"),
        ({"provider": "embedded", "color": 1}, "color"),
        ("neo4j", "mapping"),
        ({}, "provider"),
        ({"provider": "embedded", "config": {"path": 1}}, "path"),
    ],
)
def test_a_graph_store_with_a_mistake_is_refused(
    data_dir: Path, store: object, message: str
) -> None:
    """Before anything is opened."""
    with pytest.raises(ConfigurationError, match=message):
        connect({"graph_store": store})


def test_without_a_graph_there_is_none(shared: AgentMemory) -> None:
    """An attribute that is silently None fails far away."""
    assert not shared.has_graph
    with pytest.raises(ConfigurationError, match="graph=True"):
        _ = shared.graph
    with pytest.raises(ConfigurationError):
        shared.rebuild_graph(ANN)


def test_the_graph_is_made_again_from_the_memories(memory: AgentMemory) -> None:
    """After a restored backup, or with a better model."""
    say(memory, "I|lives in|Oslo")
    say(memory, "I|likes|tea")
    graph_of(memory).reset()
    assert memory.recall("tea").relations == ()
    assert memory.rebuild_graph(ANN) == 2
    assert len(memory.graph.relations(scope=ANN)) == 2


def test_a_graph_that_is_made_again_tells_the_same(memory: AgentMemory) -> None:
    """A change of the metadata says nothing again: an old home must not become the new one."""
    old = say(memory, "!I|lives in|Oslo")
    say(memory, "!I|lives in|Rome")
    memory.update(old, metadata={"checked": True})
    assert memory.flush(30)
    followed = told(memory.graph.relations(scope=ANN))
    assert followed == {("ann", "lives_in", "Rome")}
    memory.rebuild_graph(ANN)
    assert told(memory.graph.relations(scope=ANN)) == followed


def test_an_extractor_that_leaves_a_text_out_is_told(tmp_path: Path) -> None:
    """Facts of one memory must not be taken for those of another."""

    class Short(SpelledOut):
        def extract(self, texts: Sequence[str], **options: Any) -> list[Any]:
            return super().extract(texts[1:], **options)

    engine = EmbeddedEngine(tmp_path / "graph.kg")
    with (
        connect("embedded", graph=GraphMemory(engine, extractor=Short()), scope=ANN) as memory,
        pytest.raises(ExtractionError, match="one for each"),
    ):
        graph_of(memory).sync(
            Scope(**ANN), [Memory(id="m", text="I|likes|tea", scope=Scope(**ANN))]
        )
    engine.close()


def test_the_outbox_of_the_graph_lies_beside_that_of_the_memory(
    data_dir: Path, tmp_path: Path
) -> None:
    """Two programs with outboxes of their own must not share one; and a disk is chosen for both."""
    path = tmp_path / "fast disk" / "writes.db"
    with connect(graph=True, scope=ANN, outbox=OutboxOptions(path=path)) as memory:
        memory.remember("I live in Oslo.")
        assert memory.flush(30)
        assert told(memory.graph.relations(scope=ANN)) == {("ann", "lives_in", "Oslo")}
    found = {file.parent for file in (*data_dir.rglob("*outbox*"), *tmp_path.rglob("*writes.db"))}
    assert found == {path.parent}
    assert path.with_name("graph-writes.db").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"engine": "bolt://localhost"},
        {"extractor": "gpt"},
        {"embedder": "gpt"},
        {"similarity_threshold": "high"},
        {"similarity_threshold": 2},
        {"relation_limit": "all"},
        {"relation_limit": 0},
    ],
    ids=str,
)
def test_a_graph_of_what_is_none_is_refused(
    engine: Interrupted, options: dict[str, object]
) -> None:
    """When it is made; behind the outbox, it would fail where nobody looks."""
    with pytest.raises((ConfigurationError, InvalidInputError), match=next(iter(options))):
        GraphMemory(**{"engine": engine, **options})  # type: ignore[arg-type]
