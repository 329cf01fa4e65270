from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import BaseDocumentCompressor, Document

from mem0_integrations import Memory, Ranking, Recall, Relation, Scope
from mem0_integrations.recall.refinement import (
    best_of,
    pool_size,
    reranked,
    with_neighbours,
    with_relations,
    with_times,
)
from mem0_integrations.requests import SearchRequest

SCOPE = Scope(user_id="priya")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SHARES = st.floats(0, 1)


def request(query: str = "Where does Ann live?", **changes: Any) -> SearchRequest:
    options = {"limit": 5, "threshold": None, "filters": None, "now": NOON, **changes}
    return SearchRequest(query=query, scope=SCOPE, **options)


def memory(memory_id: str, score: float | None = 0.5, **changes: Any) -> Memory:
    return Memory(memory_id, f"Text of {memory_id}.", SCOPE, score=score, **changes)


def found(*memories: Memory, relations: Sequence[Relation] = ()) -> Recall:
    return Recall(memories=memories, relations=tuple(relations))


def ids(memories: Sequence[Memory]) -> list[str]:
    return [each.id for each in memories]


# How many to choose from


@given(st.integers(1, 1000), st.booleans(), st.booleans(), st.booleans())
def test_there_is_always_more_to_choose_from_than_is_wanted(
    limit: int, dates: bool, graph: bool, reranker: bool
) -> None:
    """What would be the last may become the first; yet a search must stay a small one."""
    size = pool_size(limit, dates=dates, graph=graph, reranker=reranker)
    assert limit < size <= 4 * limit + 20
    assert size >= pool_size(limit, dates=False, graph=False, reranker=False)


# Times, where the store knows nothing of them


def test_a_store_that_has_weighed_times_is_believed() -> None:
    """Else they would count twice."""
    known = [memory("a", signals={"vector": 0.5}), memory("b", 0.4, signals={"vector": 0.4})]
    assert with_times(request(spans=((NOON, NOON + DAY),)), known) == known
    assert with_times(request(), []) == []


def test_mem0s_own_score_is_a_signal() -> None:
    """`explain` says what ranked, whatever the store."""
    (known,) = with_times(request(), [memory("a", 0.7)])
    assert (known.score, known.signals) == (0.7, {"mem0": 0.7})


def test_the_times_that_a_question_names_raise_what_was_said_then() -> None:
    """Mem0 knows nothing of "last week"."""
    memories = [
        memory("before", 0.5, created_at=NOON - DAY),
        memory("then", 0.4, created_at=NOON),
        memory("unknown", 0.3),
    ]
    asked = request(spans=((NOON, NOON + DAY),), ranking=Ranking(date=0.5))
    ranked = with_times(asked, memories)
    assert [(each.id, each.score) for each in ranked] == [
        ("then", pytest.approx(0.7)),
        ("before", 0.5),
        ("unknown", 0.3),
    ]
    assert ranked[0].signals == {"mem0": 0.4, "date": 1.0}
    assert ranked[1].signals == {"mem0": 0.5}
    off = request(spans=asked.spans, ranking=Ranking(date=0))
    assert with_times(off, memories) == with_times(request(), memories)


def test_recency_counts_where_it_is_to() -> None:
    """By default it does not."""
    memories = [
        memory("old", 0.5, created_at=NOON - 3650 * DAY),
        memory("new", 0.5, created_at=NOON),
    ]
    assert ids(with_times(request(), memories)) == ["old", "new"]
    newest, oldest = with_times(request(ranking=Ranking(recency=0.1)), memories)
    assert (newest.id, newest.score) == ("new", pytest.approx(0.55))
    assert newest.signals == {"mem0": 0.5, "recency": pytest.approx(1.0)}
    assert oldest.score == pytest.approx(0.5)


@given(st.lists(st.tuples(SHARES, st.none() | st.integers(-99, 99)), max_size=8), SHARES, SHARES)
def test_times_lower_no_score_and_lose_no_memory(
    known: list[tuple[float, int | None]], date: float, recency: float
) -> None:
    """They are a reason for a memory, never against it."""
    memories = [
        memory(str(index), score, created_at=None if days is None else NOON + days * DAY)
        for index, (score, days) in enumerate(known)
    ]
    memories.sort(key=lambda each: each.score or 0.0, reverse=True)
    asked = request(spans=((NOON, NOON + DAY),), ranking=Ranking(date=date, recency=recency))
    ranked = with_times(asked, memories)
    assert sorted(ids(ranked)) == sorted(ids(memories))
    scores = [each.score or 0.0 for each in ranked]
    assert scores == sorted(scores, reverse=True)
    for each in ranked:
        assert known[int(each.id)][0] <= (each.score or 0.0) <= 1


# The graph

LIVES = Relation("Ann", "lives_in", "Oslo", ("b",))


def test_the_memory_of_a_fact_about_what_is_named_is_raised() -> None:
    """Two texts may be as near; one of them is known to be about Ann."""
    recall = found(memory("a", 0.5), memory("b", 0.45))
    raised = with_relations(request(ranking=Ranking(graph=0.2)), recall, [LIVES])
    assert ids(raised.memories) == ["b", "a"]
    assert raised.memories[0].score == pytest.approx(0.56)
    assert raised.memories[0].signals == {"graph": 1.0}
    assert raised.memories[1] == recall.memories[0]
    assert raised.relations == (LIVES,)


@pytest.mark.parametrize(
    ("query", "relation"),
    [
        ("Where does Bob live?", LIVES),
        ("Where do I live?", LIVES),
        ("Where does Ann live?", Relation("Ann", "lives_in", "Oslo", ("elsewhere",))),
        ("What does priya like?", Relation("priya", "likes", "tea", ("b",))),
        ("", LIVES),
    ],
)
def test_any_other_fact_raises_nothing(query: str, relation: Relation) -> None:
    """Whoever speaks is in every other fact: that is no reason."""
    recall = found(memory("a", 0.5), memory("b", 0.45))
    same = with_relations(request(query), recall, [relation])
    assert same.memories == recall.memories
    assert same.relations == (relation,)


@pytest.mark.parametrize("hidden", [{"filters": {"topic": "home"}}, {"accept": bool}])
def test_where_memories_are_hidden_the_graph_is_not_asked_about_names(
    hidden: dict[str, Any],
) -> None:
    """A fact would tell what the memory must not."""
    assert request().open_query == "Where does Ann live?"
    assert request(**hidden).open_query == ""
    recall = found(memory("a", 0.5), memory("b", 0.45))
    assert with_relations(request(**hidden), recall, [LIVES]).memories == recall.memories


# The reranker


class Reranker(BaseDocumentCompressor):
    """Does with the documents what a test says."""

    rank: Callable[[Sequence[Document], str], Sequence[Document]]

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> Sequence[Document]:
        return self.rank(documents, query)


def relevant(documents: Sequence[Document], scores: Sequence[object]) -> list[Document]:
    """Return documents as LangChain's own rerankers do."""
    return [
        Document(
            page_content=document.page_content,
            metadata={**document.metadata, "relevance_score": score},
        )
        for document, score in zip(documents, scores, strict=True)
    ]


RECALL = found(memory("a", 0.9, signals={"vector": 0.9}), memory("b", 0.5), memory("c", 0.1))


def test_a_reranker_reads_the_texts_and_the_question() -> None:
    """It gets what it needs, and nothing of whose it is."""
    seen: list[object] = []

    def rank(documents: Sequence[Document], query: str) -> Sequence[Document]:
        seen.extend([[document.page_content for document in documents], query])
        assert "priya" not in str(documents)
        return documents

    assert reranked(Reranker(rank=rank), request(), RECALL) == RECALL
    assert seen == [["Text of a.", "Text of b.", "Text of c."], "Where does Ann live?"]


def test_the_order_of_a_reranker_is_taken() -> None:
    """Without scores of its own, those of before stay."""
    again = reranked(Reranker(rank=lambda documents, _: documents[::-1]), request(), RECALL)
    assert again.memories == RECALL.memories[::-1]


@pytest.mark.parametrize("number", [float, np.float32, np.float64])
def test_the_scores_of_a_reranker_are_taken(number: type) -> None:
    """They are comparable to each other, and `explain` says whose they are."""
    ranker = Reranker(
        rank=lambda documents, _: relevant(documents[::-1], [number(n) for n in (1, 0.5, 0)])
    )
    again = reranked(ranker, request(), RECALL)
    assert [(each.id, each.score) for each in again.memories] == [("c", 1), ("b", 0.5), ("a", 0)]
    assert all(type(each.score) is float for each in again.memories)
    assert again.memories[2].signals == {"vector": 0.9, "reranker": 0.0}
    assert again.memories[0].signals == {"reranker": 1.0}


@pytest.mark.parametrize(
    "scores", [[8.2, 0.5, -3.1], [0.9, None, 0.1], [0.9, math.nan, 0.1], ["0.9", "0.5", "0.1"]]
)
def test_scores_that_are_no_shares_only_order(scores: list[object]) -> None:
    """Cross-encoders often return logits."""
    ranker = Reranker(rank=lambda documents, _: relevant(documents[::-1], scores))
    assert reranked(ranker, request(), RECALL).memories == RECALL.memories[::-1]


def test_what_a_reranker_leaves_out_is_left_out() -> None:
    """It may have a threshold of its own."""
    one = reranked(Reranker(rank=lambda documents, _: documents[1:2]), request(), RECALL)
    assert one.memories == RECALL.memories[1:2]
    assert reranked(Reranker(rank=lambda _, __: []), request(), RECALL).memories == ()


def test_a_reranker_that_cuts_texts_into_pieces_returns_a_memory_once() -> None:
    """In the place, and with the score, of its best piece."""

    def rank(documents: Sequence[Document], query: str) -> Sequence[Document]:
        a, b, _ = documents
        return relevant([b, a, b], [0.9, 0.8, 0.1])

    again = reranked(Reranker(rank=rank), request(), RECALL)
    assert [(each.id, each.score) for each in again.memories] == [("b", 0.9), ("a", 0.8)]


def test_a_reranker_that_returns_what_it_was_not_given_fails() -> None:
    """A text of its own must not pass for a memory."""
    foreign = Document(page_content="x", metadata={"memory_id": "z"})
    for returned in ([foreign], [Document(page_content="Text of a.")]):
        with pytest.raises(KeyError):
            reranked(Reranker(rank=lambda *_, each=returned: each), request(), RECALL)


def test_nothing_is_found_if_nothing_was_there_to_rank() -> None:
    """A reranker may not like an empty list."""
    assert reranked(Reranker(rank=lambda documents, _: documents), request(), Recall()) == Recall()


# The best of it


def test_only_the_best_are_returned_and_signals_only_if_asked_for() -> None:
    """What was found beside is not what was wanted."""
    for explain in (False, True):
        best = best_of(request(), RECALL, 2, most_relations=9, explain=explain)
        assert ids(best.memories) == ["a", "b"]
        assert best.memories[0].signals == ({"vector": 0.9} if explain else None)


def test_facts_stay_that_belong_to_the_best_or_to_what_is_named() -> None:
    """Those of memories that were cut off would say what was not found."""
    facts = [
        Relation("Bob", "lives_in", "Rome", ("c",)),
        Relation("Bob", "likes", "tea", ("elsewhere",)),
        Relation("Eve", "knows", "ann", ("elsewhere",)),
        Relation("Bob", "owns", "Rex", ("b",)),
        Relation("Bob", "met", "Eve", ("c", "a")),
        Relation("Ann", "lives_in", "Oslo"),
    ]
    recall = found(*RECALL.memories, relations=facts)
    best = best_of(request(), recall, 2, most_relations=9, explain=False)
    # By the place of their memory; then those about Ann.
    assert best.relations == (facts[4], facts[3], facts[2], facts[5])
    fewer = best_of(request(), recall, 2, most_relations=1, explain=False)
    assert fewer.relations == (facts[4],)
    assert best_of(request(), recall, 2, most_relations=0, explain=False).relations == ()


@given(
    st.lists(
        st.builds(
            Relation,
            st.sampled_from(["Ann", "Bob", "priya"]),
            st.just("knows"),
            st.sampled_from(["Oslo", "ann", "tea"]),
            st.lists(st.sampled_from("abcde"), max_size=3).map(tuple),
        ),
        max_size=8,
    ),
    st.integers(1, 4),
    st.integers(0, 5),
)
def test_every_fact_that_is_shown_has_a_reason(
    facts: list[Relation], limit: int, most: int
) -> None:
    """And none is shown that was not read, nor more than wanted."""
    recall = found(*RECALL.memories, relations=facts)
    best = best_of(request(), recall, limit, most_relations=most, explain=True)
    assert best.memories == RECALL.memories[:limit]
    assert len(best.relations) <= most
    for relation in best.relations:
        assert relation in facts
        named = "ann" in (relation.source.casefold(), relation.target.casefold())
        assert named or set(relation.memory_ids) & set(ids(best.memories))
    reasons = [
        relation
        for relation in facts
        if "ann" in (relation.source.casefold(), relation.target.casefold())
        or set(relation.memory_ids) & set(ids(best.memories))
    ]
    assert len(best.relations) == min(most, len(reasons))


def test_a_degraded_recall_stays_one() -> None:
    """No step may hide that an earlier one failed."""
    recall = Recall(memories=RECALL.memories, degraded="The graph could not be read.")
    steps = [
        with_relations(request(), recall, []),
        reranked(Reranker(rank=lambda documents, _: documents), request(), recall),
        best_of(request(), recall, 1, most_relations=0, explain=False),
        with_neighbours(recall, {each.id: [] for each in recall.memories}, 1),
    ]
    assert {step.degraded for step in steps} == {recall.degraded}


def test_each_memory_gets_the_neighbours_of_its_own_conversation() -> None:
    """Two threads may have gone on at the same time."""
    a, b, c, d = (
        memory(name, created_at=NOON + index * timedelta(minutes=1))
        for index, name in enumerate("abcd")
    )
    recall = with_neighbours(found(c, b), {"c": [a, c], "b": [d, b]}, 1)
    assert [ids(each.neighbours) for each in recall.memories] == [["a"], ["d"]]
    assert ids(recall.memories) == ["c", "b"]
