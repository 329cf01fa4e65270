"""The facts of one scope as a graph store of LangChain's, which reaches nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from neo4j_graphrag.schema import format_schema

from mem0_integrations.errors import BackendError, InvalidInputError, MissingExtraError
from mem0_integrations.graph.model import ALWAYS, timestamp
from mem0_integrations.graph.snapshot import Snapshot

if TYPE_CHECKING:
    from langchain_neo4j.graphs.graph_document import GraphDocument

__all__ = ["ScopedGraph", "schema_of"]

_ROWS: Final = 1_000
_OPENING: Final = re.compile(r"\s*(MATCH|OPTIONAL|RETURN|UNWIND|WITH)\b", re.I)
# The one reads files, also in the middle of a union; the other runs whatever procedure.
_REFUSED: Final = re.compile(r"(?<![a-z_])(LOAD|CALL)(?![a-z_])", re.I)
_LABELS: Final = {"Entity": ("name", "kind"), "Memory": ("memory_id", "text", "said_at")}
_TYPES: Final = {"RELATES": ("predicate", "valid_from", "valid_to", "memory_id"), "MENTIONS": ()}
_PATTERNS: Final = (("Entity", "RELATES", "Entity"), ("Memory", "MENTIONS", "Entity"))
# Beyond so many values, LangChain shows one of them.
_SHOWN: Final = 10


class ScopedGraph:
    """A `GraphStore` of LangChain's: facts of one scope in a graph that cannot be changed.

    Args:
        found: The facts.
        timeout: Seconds that a query may take.

    Raises:
        MissingExtraError: kglite is not installed.
    """

    # LangChain then shows values of properties to the model.
    _enhanced_schema = True

    def __init__(self, found: Snapshot, timeout: float) -> None:
        try:
            import kglite
        except ImportError as error:
            raise MissingExtraError("A graph of one scope", "graph") from error
        self._kglite = kglite
        self._milliseconds = max(1, round(timeout * 1_000))
        self._schema = schema_of(sorted({one.relationship for one in found.relations}))
        graph = kglite.KnowledgeGraph()
        for text, rows in _copied(found):
            for start in range(0, len(rows), _ROWS):
                graph.cypher(text, params={"rows": rows[start : start + _ROWS]})
        self._graph = graph.freeze()

    @property
    def get_schema(self) -> str:
        """The schema as a model reads it."""
        return format_schema(self._schema, is_enhanced=True)

    @property
    def get_structured_schema(self) -> dict[str, Any]:
        """The schema as LangChain reads it."""
        return self._schema

    def query(self, query: str, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run a query that only reads the copy.

        Raises:
            InvalidInputError: It might do something else.
            BackendError: It is wrong, or takes too long.
        """
        if not _OPENING.match(query) or _REFUSED.search(query):
            raise InvalidInputError(
                "A graph of one scope answers queries that begin with MATCH, OPTIONAL MATCH, "
                "UNWIND, WITH or RETURN, and have neither CALL nor LOAD in them; texts with these "
                "words belong into params."
            )
        try:
            return list(
                self._graph.cypher(query, params=params or {}, timeout_ms=self._milliseconds)
            )
        except self._kglite.ReadOnlyError as error:
            raise InvalidInputError(
                "A graph of one scope is a copy; it can only be read."
            ) from error
        except self._kglite.KgError as error:
            raise BackendError(f"The query failed: {type(error).__name__}: {error}") from error

    def refresh_schema(self) -> None:
        """Do nothing: it is the same for all."""

    def add_graph_documents(
        self, graph_documents: list[GraphDocument], include_source: bool = False
    ) -> None:
        """Refuse to add anything."""
        raise InvalidInputError("A graph of one scope is a copy; it can only be read.")


def _copied(found: Snapshot) -> Iterable[tuple[str, list[dict[str, object]]]]:
    """Yield the statements that make the copy, with the rows of each."""
    names = dict.fromkeys(name for one in found.relations for name in (one.source, one.target))
    yield (
        "UNWIND $rows AS row MERGE (e:Entity {id: row.name}) "
        "SET e.name = row.name, e.kind = row.kind",
        [{"name": name, "kind": found.types.get(name, "")} for name in names],
    )
    yield (
        "UNWIND $rows AS row MERGE (m:Memory {id: row.id}) SET m.name = row.id, "
        "m.memory_id = row.id, m.text = row.text, m.said_at = row.said_at",
        [
            {"id": one.id, "text": one.text, "said_at": _time(one.updated_at)}
            for one in found.memories.values()
        ],
    )
    facts = [(one, memory_id) for one in found.relations for memory_id in one.memory_ids]
    yield (
        "UNWIND $rows AS row MATCH (a:Entity {id: row.source}) MATCH (b:Entity {id: row.target}) "
        "CREATE (a)-[r:RELATES]->(b) SET r.predicate = row.predicate, "
        "r.valid_from = row.valid_from, r.valid_to = row.valid_to, r.memory_id = row.memory_id",
        [
            {
                "source": one.source,
                "target": one.target,
                "predicate": one.relationship,
                "valid_from": _time(one.valid_from),
                "valid_to": ALWAYS,
                "memory_id": memory_id,
            }
            for one, memory_id in facts
        ],
    )
    mentions = dict.fromkeys(
        (memory_id, name)
        for one, memory_id in facts
        if memory_id in found.memories
        for name in (one.source, one.target)
    )
    yield (
        "UNWIND $rows AS row MATCH (m:Memory {id: row.memory}) MATCH (e:Entity {id: row.name}) "
        "MERGE (m)-[:MENTIONS]->(e)",
        [{"memory": memory_id, "name": name} for memory_id, name in mentions],
    )


def _time(time: datetime | None) -> str:
    return "" if time is None else timestamp(time)


def schema_of(predicates: Iterable[str]) -> dict[str, Any]:
    """Return the schema of `GraphMemory` as LangChain's stores spell it."""
    values = list(predicates)

    def described(name: str) -> dict[str, Any]:
        plain = {"property": name, "type": "STRING"}
        if name != "predicate" or not values:
            return plain
        return {**plain, "values": values, "distinct_count": min(len(values), _SHOWN)}

    return {
        "node_props": {
            label: [described(name) for name in names] for label, names in _LABELS.items()
        },
        "rel_props": {kind: [described(name) for name in names] for kind, names in _TYPES.items()},
        "relationships": [
            {"start": start, "type": kind, "end": end} for start, kind, end in _PATTERNS
        ],
        "metadata": {"constraint": [], "index": []},
    }
