"""`MemoryGraph`: the graph memory of Mem0 1.x, for code that was written for it.

```python
from mem0_integrations.graph.compat import MemoryGraph  # was: from mem0.memory.graph_memory
```
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final, TypeAlias

from mem0_integrations.arguments import check_integer
from mem0_integrations.data_folder import data_folder, make_folder
from mem0_integrations.errors import ConfigurationError, InvalidInputError, ScopeError
from mem0_integrations.graph import cypher, facts
from mem0_integrations.graph.config import graph_from_config, mem0_part
from mem0_integrations.graph.engines.base import Batch, GraphPlan, Rows
from mem0_integrations.graph.extraction import ModelRelationExtractor, RelationExtractor
from mem0_integrations.graph.model import Extracted
from mem0_integrations.graph.patterns import PatternRelationExtractor
from mem0_integrations.models import ChatModel, Embeddings, LangChainEmbedder, Mem0Embedder, Mem0LLM
from mem0_integrations.names import name_key, named_in, speaker_of
from mem0_integrations.plans import run
from mem0_integrations.records import Memory, Relation
from mem0_integrations.scope import Scope
from mem0_integrations.values import storable

__all__ = ["MemoryGraph"]

Fact: TypeAlias = dict[str, str]

_NAMESPACE: Final = uuid.UUID("5f6c3b5e-0f0f-5d5c-9c55-0f4f4f1f6f11")
_IDS: Final = ("user_id", "agent_id", "run_id")
_SELF: Final = {"i", "me", "my", "mine", "myself"}
_PROBES: Final = 16
_ALL: Final = 10_000
_NESTED: Final = ("config", "llm")
_NO_LONGER: Final = "No longer: "


class MemoryGraph:
    """The interface and the return shapes of Mem0 1.x, on a `GraphMemory`.

    What was wrong there is mended: `search` and `get_all` need no model, and neither does `delete`
    of a text that was added; `limit` is kept, every query is scoped, and `reset` erases what this
    package wrote alone. Names keep their spelling, where Mem0 1.x wrote them in lower case with
    underscores.

    Args:
        config: As in Mem0 1.x: an object or a mapping with `graph_store`, and perhaps
            `embedder` and `llm`; each with a `provider` and a `config`.
        embedder: A LangChain embeddings object in place of the configured one; without either,
            the local one of the embedded default.
        llm: A LangChain or Mem0 language model in place of the configured one.
        extractor: Finds relations in place of a model; without a model or extractor, patterns do.

    Raises:
        ConfigurationError: The config is malformed.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> store = {"provider": "embedded", "config": {"path": f"{folder}/graph.kg"}}
        >>> graph = MemoryGraph({"graph_store": store})
        >>> added = graph.add("I live in Oslo.", {"user_id": "priya"})
        >>> graph.search("Where is Oslo?", {"user_id": "priya"})
        [{'source': 'priya', 'relationship': 'lives_in', 'destination': 'Oslo'}]
        >>> graph.graph.close()
    """

    def __init__(
        self,
        config: object,
        *,
        embedder: Embeddings | None = None,
        llm: ChatModel | Mem0LLM | None = None,
        extractor: RelationExtractor | None = None,
    ) -> None:
        store = _part(config, "graph_store")
        if store is None:
            raise ConfigurationError("MemoryGraph needs a config with a graph_store.")
        configured = store.pop("llm", None) or _part(config, "llm")
        prompt = store.pop("custom_prompt", None)
        given = {key: value for key, value in store.items() if value is not None}
        self.graph = graph_from_config(given, make_folder(data_folder()))
        self.graph.complete(
            extractor=_Told(extractor or _extractor(llm, configured, prompt)),
            embedder=(
                _embedder(_part(config, "embedder"))
                if embedder is None
                else LangChainEmbedder(embedder)
            ),
        )

    def add(self, data: str, filters: Mapping[str, Any]) -> dict[str, list[list[Fact]]]:
        """Learn what a text says.

        Args:
            data: The text.
            filters: `user_id`, `agent_id`, `run_id`: at least one of them.

        Returns:
            `added_entities`, and `deleted_entities` that have ended; each a list of lists of
            `source`, `relationship` and `target`.
        """
        scope = _scope(filters)
        known = self._known(scope, data)
        # Said again, it holds again: as the next memory of that text.
        said = _memory(scope, data, len(known))
        self.graph.sync(scope, [said])
        added, ended = run(_outcome(scope, said.id), self.graph.engine.run)
        return {
            "deleted_entities": [[fact] for fact in _facts(ended)],
            "added_entities": [[fact] for fact in _facts(added)],
        }

    def search(self, query: str, filters: Mapping[str, Any], limit: int = 100) -> list[Fact]:
        """Return facts about what a query names; the user also by `I`, `me` or `my`.

        Args:
            query: The query.
            filters: `user_id`, `agent_id`, `run_id`: at least one of them.
            limit: Maximum number of facts.
        """
        scope = _scope(filters)
        check_integer("limit", limit, 1, _ALL)
        plan = facts.related(_text("query", query), [], scope=scope, limit=limit)
        found = run(plan, self.graph.engine.run)
        speaker = speaker_of(scope)
        if named_in([query]) & {*_SELF, name_key(speaker)}:
            found += self.graph.relations(speaker, scope=scope, limit=limit)
        distinct = dict.fromkeys(map(_key, found))
        return [_fact(key, "destination") for key in distinct][:limit]

    def get_all(self, filters: Mapping[str, Any], limit: int = 100) -> list[Fact]:
        """Return the facts of a scope, the latest first.

        Args:
            filters: `user_id`, `agent_id`, `run_id`: at least one of them.
            limit: Maximum number of facts.
        """
        found = self.graph.relations(scope=_scope(filters), limit=limit)
        return [_fact(_key(relation), "target") for relation in found]

    def delete(self, data: str, filters: Mapping[str, Any]) -> None:
        """Take back what a text said; where that very text was not added, end what it says.

        Args:
            data: The text.
            filters: `user_id`, `agent_id`, `run_id`: the ones it was added with.
        """
        scope = _scope(filters)
        if known := self._known(scope, data):
            self.graph.sync(scope, [], known)
        else:
            # As in 1.x, whose memories are other texts than those that the graph was told.
            self.add(f"{_NO_LONGER}{data}", filters)

    def delete_all(self, filters: Mapping[str, Any]) -> None:
        """Erase everything of a scope.

        Args:
            filters: `user_id`, `agent_id`, `run_id`: at least one of them.
        """
        self.graph.forget(_scope(filters))

    def reset(self) -> None:
        """Erase what this package wrote in every scope, and nothing else in the database."""
        self.graph.reset()

    def _known(self, scope: Scope, text: str) -> list[str]:
        """Return the ids of the memories that a text has, one for each time it was added."""
        known: list[str] = []
        for start in count(0, _PROBES):
            ids = [_memory(scope, text, start + one).id for one in range(_PROBES)]
            [rows] = self.graph.engine.run(Batch([cypher.known_memories(scope, ids)]))
            known += [row["memory_id"] for row in rows]
            if len(rows) < _PROBES:
                break
        return known


class _Told(RelationExtractor):
    """Finds what another extractor finds; a text may begin by saying that it has ended."""

    def __init__(self, extractor: RelationExtractor) -> None:
        self._extractor = extractor

    def extract(
        self, texts: Sequence[str], *, speaker: str, known: Sequence[Relation] = ()
    ) -> list[Extracted]:
        plain = [text.removeprefix(_NO_LONGER) for text in texts]
        found = self._extractor.extract(plain, speaker=speaker, known=known)
        return [
            _ended(one) if text.startswith(_NO_LONGER) else one
            for text, one in zip(texts, found, strict=True)
        ]


def _ended(found: Extracted) -> Extracted:
    triples = (replace(triple, ended=True) for triple in found.triples)
    return replace(found, triples=tuple(triples))


def _scope(filters: Mapping[str, Any]) -> Scope:
    if unknown := sorted(set(filters) - set(_IDS)):
        # Left out, they would make the scope wider.
        raise ScopeError(f"Unknown filters {unknown}; use {', '.join(_IDS)}.")
    return Scope(**{key: value for key, value in filters.items() if value is not None})


def _outcome(scope: Scope, memory_id: str) -> GraphPlan[tuple[Rows, Rows]]:
    """Read what a memory has added, and what has ended through it."""
    [rows] = yield Batch([cypher.edges_of_memories(scope, [memory_id])])
    own = {row["id"]: row for row in rows}
    added = [row for row in own.values() if not row["ended"]]
    slots = {(row["source_id"], row["predicate"]) for row in own.values()}
    [rows] = yield Batch([cypher.endings(scope, {source for source, _ in slots})])
    ending = {(row["id"], predicate) for row in rows for predicate in str(row["ending"]).split()}
    if not (slots := slots & ending):
        return added, []
    [rows] = yield Batch([cypher.edges_in_slots(scope, slots)])
    times = {row["valid_from"] for row in own.values()}
    ended = [row for row in rows if row["valid_to"] in times and not row["ended"]]
    return added, [row for row in ended if row["id"] not in own]


def _memory(scope: Scope, text: str, number: int = 0) -> Memory:
    # There is no memory behind a text that is added here: it stands for itself.
    text = _text("data", text)
    again = f"{number} " if number else ""
    made = str(uuid.uuid5(_NAMESPACE, f"{again}{sorted(scope.ids.items())} {text}"))
    now = datetime.now(UTC)
    return Memory(id=made, text=text, scope=scope, created_at=now, updated_at=now)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} must be a text, not {type(value).__name__}.")
    return storable(value)


def _key(relation: Relation) -> tuple[str, str, str]:
    return relation.source, relation.relationship, relation.target


def _facts(edges: Rows) -> list[Fact]:
    distinct = {(edge["source"], edge["predicate"], edge["target"]) for edge in edges}
    return [_fact(key, "target") for key in sorted(distinct)]


def _fact(key: tuple[str, str, str], target: str) -> Fact:
    return dict(zip(("source", "relationship", target), key, strict=True))


def _part(config: object, name: str) -> dict[str, Any] | None:
    """Return a part of a config, whether it is made of mappings or of objects."""
    part = config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)
    if part is None:
        return None
    if not isinstance(part, Mapping) and not hasattr(part, "__dict__"):
        raise ConfigurationError(f"{name} must be a mapping or an object, not {part!r}.")
    plain = dict(part) if isinstance(part, Mapping) else dict(vars(part))
    return {
        key: vars(value) if key in _NESTED and hasattr(value, "__dict__") else value
        for key, value in plain.items()
    }


def _extractor(
    model: ChatModel | Mem0LLM | None, configured: Mapping[str, Any] | None, prompt: str | None
) -> RelationExtractor:
    if model is None:
        if not configured or not configured.get("provider"):
            if prompt is not None:
                raise ConfigurationError("A custom_prompt needs an llm that reads it.")
            return PatternRelationExtractor()
        model = mem0_part("llm", configured)
    return ModelRelationExtractor(model, instructions=prompt)


def _embedder(embedder: Mapping[str, Any] | None) -> Mem0Embedder:
    if not embedder or not embedder.get("provider"):
        from mem0_integrations.minilm import MiniLMEmbedder

        return MiniLMEmbedder()
    made: Mem0Embedder = mem0_part("embedder", embedder)
    return made
