"""What the graph tests share: memories that say exactly what a test needs, and an extractor."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from mem0_integrations import AgentMemory, Memory, Relation, Scope
from mem0_integrations.graph import GraphMemory
from mem0_integrations.graph.follower import GraphFollower
from mem0_integrations.graph.model import Extracted, GraphEntity, Triple

START = datetime(2026, 1, 1, tzinfo=UTC)


def follower_of(memory: AgentMemory) -> GraphFollower:
    """Return what lets the graph follow a memory."""
    assert isinstance(memory._graph, GraphFollower)
    return memory._graph


def graph_of(memory: AgentMemory) -> GraphMemory:
    """Return the graph of a memory, with what only tests and operators ask of it."""
    return follower_of(memory).graph


class SpelledOut:
    """An extractor for texts such as `I|lives in|Oslo; -I|likes|tea; !I|has home|x; @Acme`.

    `-` says that a fact has ended, `!` that it is exclusive, `@` mentions something.
    """

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def extract(
        self, texts: Sequence[str], *, speaker: str, known: Sequence[Relation] = ()
    ) -> list[Extracted]:
        self.calls.append(list(texts))
        return [self._one(text, speaker) for text in texts]

    def _one(self, text: str, speaker: str) -> Extracted:
        entities: list[GraphEntity] = []
        triples: list[Triple] = []
        for part in filter(None, map(str.strip, text.split(";"))):
            if part.startswith("@"):
                entities.append(GraphEntity(part[1:], "thing"))
                continue
            if part.count("|") != 2:
                continue
            source, predicate, target = part.lstrip("-!").split("|")
            triples.append(
                Triple(
                    speaker if source == "I" else source,
                    predicate,
                    target,
                    exclusive=part.startswith("!"),
                    ended=part.startswith("-"),
                )
            )
        return Extracted(tuple(entities), tuple(triples))


def memory(text: str, scope: Scope, *, day: int = 0, name: str | None = None) -> Memory:
    """A memory that says a text since so many days after `START`."""
    time = START + timedelta(days=day)
    made = uuid.uuid5(uuid.NAMESPACE_OID, f"{scope} {name or text}")
    return Memory(id=str(made), text=text, scope=scope, created_at=time, updated_at=time)


def told(relations: Sequence[Relation]) -> set[tuple[str, str, str]]:
    """Facts without the rest."""
    return {(one.source, one.relationship, one.target) for one in relations}
