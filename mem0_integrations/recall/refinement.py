"""What a recall does with what the search found: times, graph, reranker, the best of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol, SupportsFloat, TypeGuard

from mem0_integrations.recall.ranking import neighbours_among, with_signal
from mem0_integrations.records import Memory, Recall, Relation
from mem0_integrations.requests import SearchRequest

if TYPE_CHECKING:
    from langchain_core.documents import Document

__all__ = [
    "Reranker",
    "best_of",
    "pool_size",
    "reranked",
    "with_neighbours",
    "with_relations",
    "with_times",
]

# Beside the limit: a newer memory about the same thing may come a little later.
_SPARE: Final = 5
_FOR_A_GRAPH: Final = 2
_FOR_MORE_SIGNALS: Final = 4
_LEAST_TO_RERANK: Final = 20
_ID: Final = "memory_id"
_RELEVANCE: Final = "relevance_score"


class Reranker(Protocol):
    """What LangChain's `BaseDocumentCompressor` can do: a cross-encoder, or a service."""

    def compress_documents(self, documents: Sequence[Document], query: str) -> Sequence[Document]:
        """Return documents, best first, perhaps without some of them."""
        ...


def pool_size(limit: int, *, dates: bool, graph: bool, reranker: bool) -> int:
    """Return how many memories to choose the best from.

    Args:
        limit: How many are wanted.
        dates: Whether the question names dates.
        graph: Whether a graph has a say.
        reranker: Whether a reranker has.
    """
    if dates or reranker:
        return max(_FOR_MORE_SIGNALS * limit, _LEAST_TO_RERANK)
    return max(_FOR_A_GRAPH * limit if graph else 0, limit + _SPARE)


def with_times(request: SearchRequest, found: Sequence[Memory]) -> list[Memory]:
    """Let dates and recency speak for memories, where the store has not done so.

    Args:
        request: What was asked.
        found: The best first.
    """
    if not found or found[0].signals is not None:
        return list(found)
    memories = [dataclasses.replace(each, signals={"mem0": each.score or 0.0}) for each in found]
    # It needs numpy: not before a recall does.
    from mem0_integrations.recall.fusion import seconds, time_signals

    said, ranking = seconds([memory.created_at for memory in found]), request.ranking
    for name, scores in time_signals(said, request.spans, request.now, ranking).items():
        strengths = dict(zip((memory.id for memory in found), scores.tolist(), strict=True))
        memories = with_signal(memories, name, strengths, ranking.weights[name])
    return memories


def with_relations(request: SearchRequest, found: Recall, relations: Iterable[Relation]) -> Recall:
    """Add the facts of the graph, and let those about what the question names speak for memories.

    Args:
        request: What was asked.
        found: What was found.
        relations: The facts that the memories support, and those about the names.
    """
    known = tuple(relations)
    names = _names(request) if known else frozenset()
    supporting = {
        memory_id: 1.0
        for relation in known
        if _is_about(relation, names)
        for memory_id in relation.memory_ids
    }
    memories = with_signal(found.memories, "graph", supporting, request.ranking.graph)
    return dataclasses.replace(found, memories=tuple(memories), relations=known)


def reranked(reranker: Reranker, request: SearchRequest, found: Recall) -> Recall:
    """Let a reranker put memories in its order; what it leaves out is left out.

    Its relevance scores become the scores, where they all are in [0, 1].

    Args:
        reranker: The reranker.
        request: What was asked.
        found: What was found.
    """
    from langchain_core.documents import Document

    by_id = {memory.id: memory for memory in found.memories}
    documents = [
        Document(page_content=memory.text, metadata={_ID: memory.id}) for memory in found.memories
    ]
    kept: dict[str, Document] = {}
    for document in reranker.compress_documents(documents, request.query):
        # One that cuts texts into pieces returns several of a memory.
        kept.setdefault(document.metadata[_ID], document)
    memories = tuple(by_id[memory_id] for memory_id in kept)
    relevance = [document.metadata.get(_RELEVANCE) for document in kept.values()]
    scores = [float(score) for score in relevance if _is_share(score)]
    if len(scores) == len(memories):
        memories = tuple(
            dataclasses.replace(
                memory, score=score, signals={**(memory.signals or {}), "reranker": score}
            )
            for memory, score in zip(memories, scores, strict=True)
        )
    return dataclasses.replace(found, memories=memories)


def best_of(
    request: SearchRequest, found: Recall, limit: int, *, most_relations: int, explain: bool
) -> Recall:
    """Return the best memories, and the facts that belong to them or to the question.

    Args:
        request: What was asked.
        found: What was found, best first.
        limit: Maximum number of memories.
        most_relations: Maximum number of facts.
        explain: Whether the memories say what found them.
    """
    memories = found.memories[:limit]
    if not explain:
        memories = tuple(dataclasses.replace(memory, signals=None) for memory in memories)
    order = {memory.id: place for place, memory in enumerate(memories)}
    names = _names(request) if found.relations else frozenset()
    relations = [
        relation
        for relation in found.relations
        if _is_about(relation, names) or any(map(order.__contains__, relation.memory_ids))
    ]
    relations.sort(
        key=lambda relation: min((order.get(i, limit) for i in relation.memory_ids), default=limit)
    )
    return dataclasses.replace(
        found, memories=memories, relations=tuple(relations[:most_relations])
    )


def with_neighbours(
    found: Recall, conversations: Mapping[str, Sequence[Memory]], count: int
) -> Recall:
    """Add to memories what was said just before and after them.

    Args:
        found: What was found.
        conversations: The memories of the conversation of each, by its id.
        count: How many of each side.
    """
    return dataclasses.replace(
        found,
        memories=tuple(
            dataclasses.replace(
                memory, neighbours=neighbours_among(memory, conversations[memory.id], count)
            )
            for memory in found.memories
        ),
    )


def _is_share(score: object) -> TypeGuard[SupportsFloat]:
    return isinstance(score, SupportsFloat) and 0.0 <= float(score) <= 1.0


def _names(request: SearchRequest) -> frozenset[str]:
    from mem0_integrations.names import name_key, named_in, speaker_of

    # Whoever speaks is in every other fact: that is no reason to show it.
    return frozenset(named_in([request.open_query]) - {name_key(speaker_of(request.scope))})


def _is_about(relation: Relation, names: frozenset[str]) -> bool:
    from mem0_integrations.names import name_key

    return name_key(relation.source) in names or name_key(relation.target) in names
