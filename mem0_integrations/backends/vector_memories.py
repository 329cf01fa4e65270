"""Memories that are stored and searched by vectors which somebody else has made."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter

from mem0.memory.main import Memory as Mem0

from mem0_integrations.backends.history import History
from mem0_integrations.backends.mem0_errors import translated
from mem0_integrations.backends.rows import StoreRows, deepened, dimension_of
from mem0_integrations.backends.statements import history_entries, text_fields
from mem0_integrations.backends.stores.base import Row, Store
from mem0_integrations.dialect import item_of, mem0_ids, memory_of
from mem0_integrations.errors import ScopeError
from mem0_integrations.records import Memory, VectorMemory
from mem0_integrations.scope import Scope

__all__ = ["VectorMemories"]


class VectorMemories:
    """The memories of a `mem0.Memory` with their vectors; its methods may be called anywhere.

    An `equals` is a mapping of metadata that must be the same; it is evaluated by the store.

    Args:
        memory: The Mem0.
        store: Its vector store.
        history: Its history.

    Attributes:
        dimension: The length of the vectors.
    """

    def __init__(self, memory: Mem0, store: Store, history: History) -> None:
        self._store = store
        self._embedder = memory.embedding_model
        self._changes = memory.db
        self._history = history
        # Fields that the store has been told to count the values of.
        self._counted: set[str] = set()
        with translated("embed"):
            self.dimension = dimension_of(store, self._embedder)

    def embed(self, texts: Sequence[str]) -> builtins.list[builtins.list[float]]:
        """Return the vectors of texts, by Mem0's own embedder, in one call."""
        with translated("embed"):
            vectors: list[list[float]] = self._embedder.embed_batch(list(texts), "add")
        return vectors

    def get(self, scope: Scope, ids: Sequence[str]) -> dict[str, Memory]:
        """Return those memories of a scope that are there, by id."""
        with translated("get"):
            found = self._store.get_many(ids)
        return {memory.id: memory for memory in self._of(scope, found)}

    def put(self, scope: Scope, memories: Sequence[VectorMemory]) -> None:
        """Store memories, or change those of the scope with the same ids: what they have stays."""
        latest = {memory.id: memory for memory in memories}
        now = datetime.now(UTC).isoformat()
        with translated("store memories"), StoreRows.changing.hold(latest):
            known = {row.id: row for row in self._store.get_many(list(latest))}
            before = {memory.id: memory for memory in self._of(scope, known.values())}
            rows = {
                row_id: (
                    {**known[row_id].payload, **_payload(before[row_id].scope, memory, now)}
                    if row_id in before
                    else _payload(scope, memory, now)
                )
                for row_id, memory in latest.items()
            }
            unembedded = [
                row_id
                for row_id, memory in latest.items()
                if memory.vector is None
                and (row_id not in before or before[row_id].text != memory.text)
            ]
            vectors = (
                dict(zip(unembedded, self.embed([latest[i].text for i in unembedded]), strict=True))
                if unembedded
                else {}
            )
            vectors |= {i: list(m.vector) for i, m in latest.items() if m.vector is not None}
            self._store.put([(i, rows[i]) for i in vectors], list(vectors.values()))
            self._store.merge_payloads({i: rows[i] for i in rows if i not in vectors})
            texts = {row_id: memory.text for row_id, memory in before.items()}
            self._changes.batch_add_history(history_entries(rows, texts))

    def amend(self, scope: Scope, metadata: Mapping[str, Mapping[str, object]]) -> None:
        """Set some metadata of memories, by id, where the scope has them."""
        with translated("change memories"), StoreRows.changing.hold(metadata):
            own = self.get(scope, list(metadata))
            self._store.merge_payloads({row_id: dict(metadata[row_id]) for row_id in own})

    def list(self, scope: Scope, equals: Mapping[str, str]) -> builtins.list[Memory]:
        """Return the memories of a scope, in any order."""
        with translated("list"):
            rows = self._store.every({**equals, **mem0_ids(scope)})
        return list(self._of(scope, rows))

    def newest(self, scope: Scope, equals: Mapping[str, str], limit: int) -> Iterator[Memory]:
        """Yield the memories of a scope, the newest first, of equally new ones by their ids.

        Args:
            scope: Whose.
            equals: Metadata that must be the same.
            limit: How many will be taken, more or less.
        """
        with translated("list"):
            yield from self._of(
                scope, self._store.newest({**equals, **mem0_ids(scope)}, limit=limit)
            )

    def count(self, scope: Scope, equals: Mapping[str, str]) -> int:
        """Return how many memories a scope has."""
        if not self._store.paged:
            return len(self.list(scope, equals))
        with translated("count"):
            return self._store.count({**equals, **mem0_ids(scope)})

    def search(
        self, scope: Scope, vector: Sequence[float], equals: Mapping[str, str], limit: int
    ) -> Iterator[Memory]:
        """Yield the memories of a scope nearest to a vector, as many as needed.

        Args:
            scope: Whose.
            vector: Of the store's dimension.
            equals: Metadata that must be the same.
            limit: How many will be taken, more or less.

        Yields:
            Memories whose score is the cosine similarity, clipped to [0, 1]; nearest first.
        """
        filters = {**equals, **mem0_ids(scope)}
        if not filters.keys() <= self._counted:
            with translated("search"):
                self._store.count_values(filters)
            self._counted |= filters.keys()

        def nearest(top_k: int) -> tuple[Sequence[Row], bool]:
            with translated("search"):
                rows = self._store.search("", list(vector), top_k, dict(filters))
            return rows, len(rows) >= top_k

        for page in deepened(nearest, attrgetter("id"), limit):
            yield from self._of(scope, page)

    def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """Delete memories of a scope, where they are there; returns how many."""
        with translated("delete"), StoreRows.changing.hold(ids):
            own = self.get(scope, ids)
            # First of all: a later `forget` has to know whose history it is.
            self._history.mark_deleted(own.values())
            self._store.delete_many(list(own))
            now = datetime.now(UTC).isoformat()
            self._changes.batch_add_history(
                [
                    {
                        "memory_id": memory.id,
                        "old_memory": memory.text,
                        "event": "DELETE",
                        "created_at": memory.created_at and memory.created_at.isoformat(),
                        "updated_at": now,
                        "is_deleted": 1,
                    }
                    for memory in own.values()
                ]
            )
        return len(own)

    def _of(self, scope: Scope, rows: Iterable[Row]) -> Iterator[Memory]:
        """Yield the rows that are memories of the scope."""
        for row in rows:
            try:
                memory = memory_of(item_of(row.id, row.payload, row.score))
            except ScopeError:
                continue
            if scope.covers(memory.scope):
                yield memory


def _payload(scope: Scope, memory: VectorMemory, now: str) -> dict[str, object]:
    return {
        **memory.metadata,
        **mem0_ids(scope),
        **text_fields(memory.text),
        "created_at": memory.created_at.isoformat(),
        "updated_at": now,
    }
