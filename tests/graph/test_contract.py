"""What a knowledge graph does, on every engine."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from langchain_core.embeddings import Embeddings

from mem0_integrations import BackendError, InvalidInputError, Memory, Scope
from mem0_integrations.graph import GraphMemory
from mem0_integrations.graph.engines.base import Batch, GraphEngine, Query, Rows
from tests.graph.facts import START, SpelledOut, memory, told


def test_a_memory_becomes_facts_that_know_it(graph: GraphMemory, ann: Scope) -> None:
    """Deletion follows support: a fact without its memory could never be taken back."""
    said = memory("I|lives in|Oslo; Oslo|is in|Norway", ann)
    graph.sync(ann, [said])
    facts = graph.relations(scope=ann)
    assert told(facts) == {(ann.user_id, "lives_in", "Oslo"), ("Oslo", "is_in", "Norway")}
    assert {fact.memory_ids for fact in facts} == {(said.id,)}
    assert {fact.valid_from for fact in facts} == {START}
    assert {fact.valid_to for fact in facts} == {None}


def test_a_second_look_changes_nothing(
    graph: GraphMemory, ann: Scope, extractor: SpelledOut
) -> None:
    """Retries and replays are ordinary; neither a model call nor a second edge may come of them."""
    said = memory("I|likes|tea", ann)
    for _ in range(3):
        graph.sync(ann, [said])
    assert len(extractor.calls) == 1
    assert len(graph.relations(scope=ann)) == 1


def test_a_fact_lists_all_memories_that_support_it(graph: GraphMemory, ann: Scope) -> None:
    """It holds for as long as one of them is there."""
    first, second = memory("I|likes|Tea", ann), memory("I|likes|tea", ann, day=1)
    graph.sync(ann, [first, second])
    [fact] = graph.relations(scope=ann)
    assert set(fact.memory_ids) == {first.id, second.id}
    assert fact.valid_from == START
    graph.sync(ann, [], [first.id])
    [fact] = graph.relations(scope=ann)
    assert fact.memory_ids == (second.id,)
    graph.sync(ann, [], [second.id])
    assert graph.relations(scope=ann) == []
    assert {fact.valid_to is not None for fact in graph.history(scope=ann)} == {True}


def test_an_update_takes_back_what_is_no_longer_said(graph: GraphMemory, ann: Scope) -> None:
    """What stays said keeps its place in time."""
    said = memory("I|likes|tea; I|owns|boat", ann)
    graph.sync(ann, [said])
    later = dataclasses.replace(
        said, text="I|owns|boat; I|likes|coffee", updated_at=START + timedelta(days=3)
    )
    graph.sync(ann, [later])
    assert told(graph.relations(scope=ann)) == {
        (ann.user_id, "owns", "boat"),
        (ann.user_id, "likes", "coffee"),
    }
    [tea] = [fact for fact in graph.history(scope=ann) if fact.target == "tea"]
    assert tea.valid_to == START + timedelta(days=3)
    [boat] = graph.relations("boat", scope=ann)
    assert boat.valid_from == START
    graph.sync(ann, [dataclasses.replace(said, updated_at=START + timedelta(days=5))])
    assert (ann.user_id, "likes", "tea") in told(graph.relations(scope=ann))


def test_what_an_update_keeps_does_not_become_the_latest_word(
    graph: GraphMemory, ann: Scope
) -> None:
    """Two homes would hold at one time, and the old one would be the home again."""
    old, new = memory("I|lives in|Oslo", ann), memory("I|lives in|Rome", ann, day=1)
    graph.sync(ann, [old, new])
    added = dataclasses.replace(
        old, text="I|lives in|Oslo; I|likes|tea", updated_at=START + timedelta(days=2)
    )
    graph.sync(ann, [added])
    for days, home in ((0.5, "Oslo"), (1.5, "Rome"), (2.5, "Rome")):
        facts = graph.relations(scope=ann, as_of=START + timedelta(days=days))
        assert [fact.target for fact in facts if fact.relationship == "lives_in"] == [home]


def test_a_new_home_ends_the_old_one(graph: GraphMemory, ann: Scope) -> None:
    """Contradictions are the point of a graph: the model must not read both."""
    for day, city in enumerate(("Oslo", "Bergen", "Oslo")):
        graph.sync(ann, [memory(f"I|lives in|{city}", ann, day=day, name=str(day))])
    [home] = graph.relations(scope=ann)
    assert (home.target, home.valid_from) == ("Oslo", START + timedelta(days=2))
    then = graph.relations(scope=ann, as_of=START + timedelta(days=1, hours=1))
    assert [fact.target for fact in then] == ["Bergen"]
    times = sorted((f.valid_from, f.target, f.valid_to) for f in graph.history(scope=ann))
    assert times == [
        (START, "Oslo", START + timedelta(days=1)),
        (START + timedelta(days=1), "Bergen", START + timedelta(days=2)),
        (START + timedelta(days=2), "Oslo", None),
    ]


def test_the_order_of_arrival_does_not_matter(graph: GraphMemory, ann: Scope) -> None:
    """A graph that was down catches up in any order."""
    said = [memory(f"I|lives in|{c}", ann, day=d) for d, c in enumerate(("Oslo", "Bergen"))]
    for one in reversed(said):
        graph.sync(ann, [one])
    assert [fact.target for fact in graph.relations(scope=ann)] == ["Bergen"]


def test_without_the_memory_that_ended_it_a_fact_holds_again(
    graph: GraphMemory, ann: Scope
) -> None:
    """The graph is what its memories say, as if the deleted one had never been."""
    old, new = memory("I|works at|Acme", ann), memory("I|works at|Umbrella", ann, day=1)
    graph.sync(ann, [old, new])
    assert [fact.target for fact in graph.relations(scope=ann)] == ["Umbrella"]
    graph.sync(ann, [], [new.id])
    assert [fact.target for fact in graph.relations(scope=ann)] == ["Acme"]


def test_a_memory_may_say_that_a_fact_has_ended(graph: GraphMemory, ann: Scope) -> None:
    """ "I no longer like tea" is not a fact about tea, and other likes go on."""
    graph.sync(ann, [memory("I|likes|tea", ann), memory("I|likes|milk", ann)])
    graph.sync(ann, [memory("-I|likes|tea", ann, day=2)])
    assert told(graph.relations(scope=ann)) == {(ann.user_id, "likes", "milk")}
    ended = [fact for fact in graph.history(scope=ann) if fact.target == "tea"]
    assert [fact.valid_to for fact in ended] == [START + timedelta(days=2)]


def test_a_model_may_call_any_fact_exclusive(graph: GraphMemory, ann: Scope) -> None:
    """Which facts exclude each other is not known in advance."""
    graph.sync(ann, [memory("!I|drives|Volvo", ann), memory("!I|drives|Saab", ann, day=1)])
    assert told(graph.relations(scope=ann)) == {(ann.user_id, "drives", "Saab")}


def test_spellings_of_a_name_are_one_entity(graph: GraphMemory, ann: Scope) -> None:
    """Else a question finds half of what is known."""
    graph.sync(ann, [memory("Acme Corp|makes|anvils", ann), memory("I|buys from|ACME  corp", ann)])
    assert len(graph.relations("acme corp", scope=ann)) == 2
    assert {f.target for f in graph.relations("Acme Corp.", scope=ann)} == {"anvils", "Acme Corp"}


def test_names_that_mean_the_same_are_one_entity(
    engine: GraphEngine, extractor: SpelledOut, minilm: Embeddings, ann: Scope
) -> None:
    """By Mem0's embedder, within the scope, above a threshold."""
    graph = GraphMemory(engine, extractor=extractor, embedder=minilm, similarity_threshold=0.8)
    graph.sync(ann, [memory("I|visits|New York City", ann)])
    again = GraphMemory(engine, extractor=extractor, embedder=minilm, similarity_threshold=0.8)
    again.sync(ann, [memory("I|loves|the city of New York", ann, day=1)])
    assert {fact.target for fact in again.relations(scope=ann)} == {"New York City"}


@pytest.mark.parametrize(
    ("one", "other"),
    [("order A-1234", "order A-1235"), ("ann@x.org", "anne@x.org"), ("room 4711", "room 4712")],
)
def test_identifiers_are_never_taken_for_each_other(  # noqa: PLR0917
    engine: GraphEngine, extractor: SpelledOut, minilm: Embeddings, ann: Scope, one: str, other: str
) -> None:
    """Two orders that look alike are two orders, however near their vectors are."""
    graph = GraphMemory(engine, extractor=extractor, embedder=minilm, similarity_threshold=0.1)
    graph.sync(ann, [memory(f"I|asks about|{one}", ann), memory(f"I|asks about|{other}", ann)])
    assert {fact.target for fact in graph.relations(scope=ann)} == {one, other}


def test_a_deleted_memory_leaves_no_entity_behind_that_nothing_knows(
    graph: GraphMemory, ann: Scope
) -> None:
    """What was only mentioned has no history to be kept for."""
    said = memory("@Secret Project", ann)
    graph.sync(ann, [said])
    assert entities(graph, ann) == {"Secret Project"}
    graph.sync(ann, [], [said.id])
    assert entities(graph, ann) == set()


def test_forget_erases_physically(graph: GraphMemory, ann: Scope, bob: Scope) -> None:
    """The right to erasure covers the history, and nobody else's data."""
    for owner in (ann, Scope(user_id=ann.user_id, agent_id="a"), bob):
        graph.sync(
            owner, [memory("I|lives in|Oslo", owner), memory("I|lives in|Rome", owner, day=1)]
        )
    assert graph.forget(ann) == 4
    assert graph.history(scope=ann) == []
    assert entities(graph, ann) == set()
    assert len(graph.history(scope=bob)) == 2


def test_a_scope_of_any_size_is_erased(
    graph: GraphMemory, ann: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one transaction, many memories are more than a server allows; it would never succeed."""
    monkeypatch.setattr("mem0_integrations.graph.cypher._ERASED_AT_ONCE", 2)
    graph.sync(ann, [memory("I|likes|tea; I|likes|milk; I|owns|boat; @Acme; @Oslo", ann)])
    assert graph.forget(ann) == 3
    assert entities(graph, ann) == set()


def test_a_scope_covers_those_within_it_and_no_other(graph: GraphMemory, ann: Scope) -> None:
    """As with memories: a user's graph is that of all agents, an agent's graph only its own."""
    inner = Scope(user_id=ann.user_id, agent_id="shop")
    graph.sync(ann, [memory("I|likes|tea", ann)])
    graph.sync(inner, [memory("I|likes|anvils", inner)])
    assert {fact.target for fact in graph.relations(scope=ann)} == {"tea", "anvils"}
    assert {fact.target for fact in graph.relations(scope=inner)} == {"anvils"}


def test_facts_around_an_entity_and_the_path_between_two(graph: GraphMemory, ann: Scope) -> None:
    """What an agent asks for with its tool."""
    graph.sync(
        ann,
        [
            memory("Ann Lee|works at|Acme; Acme|is in|Oslo; Oslo|is in|Norway", ann),
            memory("Norway|borders|Sweden; Bo|likes|jazz", ann),
        ],
    )
    assert len(graph.relations("Acme", scope=ann)) == 2
    assert len(graph.relations("acme", scope=ann, depth=2)) == 3
    path = graph.path("Ann Lee", "Sweden", scope=ann)
    assert [fact.relationship for fact in path] == ["works_at", "is_in", "is_in", "borders"]
    assert [f.target for f in graph.path("Sweden", "oslo", scope=ann)] == ["Sweden", "Norway"]
    assert graph.path("Ann Lee", "jazz", scope=ann) == []
    assert graph.path("Ann Lee", "Sweden", scope=ann, longest=3) == []
    assert graph.path("Ann Lee", "ann lee", scope=ann) == []


def test_relations_beside_a_recall(graph: GraphMemory, ann: Scope) -> None:
    """First what the memories that were found support, then what the question names."""
    found = memory("I|likes|tea", ann)
    graph.sync(ann, [found, memory("Acme|is in|Oslo", ann), memory("I|owns|boat", ann)])
    facts = graph.related("Where is Acme's office?", [found], scope=ann)
    assert [fact.target for fact in facts] == ["tea", "Oslo"]
    assert graph.related("Anything?", [], scope=ann) == []


def test_a_hub_does_not_crowd_everything_out(graph: GraphMemory, ann: Scope) -> None:
    """The user knows everything: naming them is no reason to show it all."""
    graph.sync(ann, [memory(f"I|owns|thing {n}", ann) for n in range(30)])
    assert graph.related(f"What about {ann.user_id}?", [], scope=ann) == []
    assert len(graph.relations(scope=ann, limit=7)) == 7


def test_rebuild_makes_the_same_graph(graph: GraphMemory, ann: Scope) -> None:
    """The graph is a projection: nothing is lost with it but the history of what was deleted."""
    said = [
        memory("I|lives in|Oslo", ann),
        memory("I|lives in|Bergen; Bergen|is in|Norway", ann, day=1),
        memory("-I|likes|tea; I|likes|coffee", ann, day=2),
    ]
    for one in said:
        graph.sync(ann, [one])
    before = graph.history(scope=ann)
    assert graph.rebuild(ann, said) == 3
    assert graph.history(scope=ann) == before


def test_eight_writers_of_the_same_entities(graph: GraphMemory, ann: Scope) -> None:
    """No entity twice, no support lost."""
    said = [memory(f"I|likes|tea; Bo|likes|tea; @thing {n}", ann, name=str(n)) for n in range(40)]
    errors: list[BaseException] = []

    def write(part: list[Memory]) -> None:
        try:
            for one in part:
                graph.sync(ann, [one])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(said[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    facts = graph.relations("tea", scope=ann)
    assert [sorted(fact.memory_ids) for fact in facts] == [sorted(one.id for one in said)] * 2
    names = graph.engine.run(
        Batch([Query("MATCH (e:Entity) WHERE e.user_id = $user_id RETURN e.key AS key", ann.ids)])
    )[0]
    assert len(names) == len({row["key"] for row in names}) == 43


class Meddled(GraphEngine):
    """An engine where something happens between the reading and the writing of a plan."""

    def __init__(self, engine: GraphEngine, happens: Callable[[], object]) -> None:
        self.engine = engine
        self.happens = [happens]

    def run(self, batch: Batch) -> list[Rows]:
        if batch.write and self.happens:
            self.happens.pop()()
        return self.engine.run(batch)

    async def arun(self, batch: Batch) -> list[Rows]:
        return await self.engine.arun(batch)

    def prepare(self, schema: Sequence[str]) -> None:
        self.engine.prepare(schema)

    def describe(self) -> str:
        return self.engine.describe()

    def close(self) -> None:
        pass


def test_what_could_not_be_written_is_written_the_next_time(
    engine: GraphEngine, extractor: SpelledOut, minilm: Embeddings, ann: Scope
) -> None:
    """The names that no node got must not be taken for known, or their facts are lost for good."""

    def fail() -> None:
        raise BackendError("The graph is down.", retryable=True)

    graph = GraphMemory(Meddled(engine, fail), extractor=extractor, embedder=minilm)
    said = memory("I|likes|tea", ann)
    with pytest.raises(BackendError):
        graph.sync(ann, [said])
    graph.sync(ann, [said])
    assert told(graph.relations(scope=ann)) == {(ann.user_id, "likes", "tea")}


def test_an_entity_that_another_process_takes_away_is_there_again(
    graph: GraphMemory, extractor: SpelledOut, minilm: Embeddings, ann: Scope
) -> None:
    """It was read as known; a fact that finds no node to lead to is lost without a word."""
    mention = memory("@tea", ann)
    graph.sync(ann, [mention])
    meddled = Meddled(graph.engine, lambda: graph.sync(ann, [], [mention.id]))
    other = GraphMemory(meddled, extractor=extractor, embedder=minilm)
    other.sync(ann, [memory("I|likes|tea", ann)])
    assert told(graph.relations(scope=ann)) == {(ann.user_id, "likes", "tea")}


def test_a_name_that_another_process_erased_stands_for_no_other(
    engine: GraphEngine, extractor: SpelledOut, minilm: Embeddings, ann: Scope
) -> None:
    """What is kept of a scope's names may be old: erased names must not come back with it."""
    graph, other = (
        GraphMemory(engine, extractor=extractor, embedder=minilm, similarity_threshold=0.8)
        for _ in range(2)
    )
    graph.sync(ann, [memory("I|visits|New York City", ann)])
    other.forget(ann)
    graph.sync(ann, [memory("I|loves|the city of New York", ann)])
    assert told(graph.history(scope=ann)) == {(ann.user_id, "loves", "the city of New York")}


async def test_async_twins_return_the_same(graph: GraphMemory, ann: Scope) -> None:
    """An agent that awaits must not see another graph."""
    found = memory("I|likes|tea; tea|grows in|Assam", ann)
    graph.sync(ann, [found])
    assert await graph.arelations(scope=ann) == graph.relations(scope=ann)
    assert await graph.ahistory(scope=ann) == graph.history(scope=ann)
    assert await graph.apath("tea", "Assam", scope=ann) == graph.path("tea", "Assam", scope=ann)
    assert await graph.arelated("tea", [found], scope=ann) == graph.related(
        "tea", [found], scope=ann
    )


def test_reset_erases_what_is_ours_alone(
    graph: GraphMemory, engine: GraphEngine, ann: Scope
) -> None:
    """The database may hold other data, under the same labels even."""
    graph.sync(ann, [memory("I|likes|tea", ann)])
    foreign = "MERGE (n:Entity {`~id`: $id}) ON CREATE SET n.name = $id, n.user_id = $id"
    engine.run(Batch([Query(foreign, {"id": "theirs"})], write=True))
    graph.reset()
    assert entities(graph, ann) == set()
    count = "MATCH (n:Entity {`~id`: $id}) RETURN count(n) AS n"
    assert engine.run(Batch([Query(count, {"id": "theirs"})])) == [[{"n": 1}]]
    engine.run(
        Batch(
            [Query("MATCH (n:Entity {`~id`: $id}) DETACH DELETE n", {"id": "theirs"})], write=True
        )
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda graph, scope: graph.relations("", scope=scope),
        lambda graph, scope: graph.relations(scope=scope, limit=0),
        lambda graph, scope: graph.relations("x", scope=scope, depth=9),
        lambda graph, scope: graph.path("x", "  ", scope=scope),
        lambda graph, scope: graph.path("x", "y", scope=scope, longest=True),
        lambda graph, scope: graph.relations(scope=scope, as_of=START.replace(tzinfo=None)),
        lambda graph, scope: graph.relations(scope={}),
    ],
)
def test_bad_input_is_refused(graph: GraphMemory, ann: Scope, call: object) -> None:
    """Before anything is asked of the database."""
    with pytest.raises(InvalidInputError):
        call(graph, ann)  # type: ignore[operator]


def test_a_statement_that_fails_is_an_error_of_the_house(engine: GraphEngine) -> None:
    """Whoever catches `BackendError` catches every engine."""
    with pytest.raises(BackendError):
        engine.run(Batch([Query("MATCH (n RETURN n")]))


def entities(graph: GraphMemory, scope: Scope) -> set[str]:
    condition = " AND ".join(f"e.{key} = ${key}" for key in scope.ids)
    query = Query(f"MATCH (e:Entity) WHERE {condition} RETURN e.name AS name", scope.ids)
    [rows] = graph.engine.run(Batch([query]))
    return {row["name"] for row in rows}
