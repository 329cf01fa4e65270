"""Memories that are stored and searched by vectors which somebody else has made."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from mem0.memory.main import Memory as Mem0

from mem0_integrations.backends.base import VectorMemories
from mem0_integrations.backends.dialect import (
    item_of,
    mem0_ids,
    memory_of,
    scope_filters,
)
from mem0_integrations.backends.history import History
from mem0_integrations.backends.mem0_errors import translated
from mem0_integrations.backends.rows import (
    Payload,
    delete_rows,
    every_row,
    fetch_rows,
    merge_payloads,
    put_rows,
)
from mem0_integrations.backends.statements import history_entries, text_fields
from mem0_integrations.backends.vector_stores import count_values
from mem0_integrations.errors import ScopeError
from mem0_integrations.records import Memory, VectorMemory
from mem0_integrations.scope import Scope

__all__ = ["OSSVectorMemories"]

_GROWTH = 4


class OSSVectorMemories(VectorMemories):
    """The memories in the vector store of a `mem0.Memory`.

    Args:
        memory: The Mem0.
        history: Its history.
        lock: Held while something is read and then written.
    """

    def __init__(self, memory: Mem0, history: History, lock: threading.Lock) -> None:
        self._store = memory.vector_store
        self._embedder = memory.embedding_model
        self._changes = memory.db
        self._history = history
        self._lock = lock
        # Fields that the store has been told to count the values of.
        self._counted: set[str] = set()
        self.dimension = int(self._store.embedding_model_dims)

    def embed(self, texts: Sequence[str]) -> builtins.list[builtins.list[float]]:
        """Return the vectors of texts, by Mem0's own embedder, in one call."""
        with translated("embed"):
            vectors: list[list[float]] = self._embedder.embed_batch(list(texts), "add")
        return vectors

    def get(self, scope: Scope, ids: Sequence[str]) -> dict[str, Memory]:
        """Return those memories of a scope that are there, by id."""
        with translated("get"):
            found = fetch_rows(self._store, ids)
        memories = self._of(scope, ((row_id, payload, None) for row_id, payload in found.items()))
        return {memory.id: memory for memory in memories}

    def put(self, scope: Scope, memories: Sequence[VectorMemory]) -> None:
        """Store memories, or replace those of the scope with the same ids."""
        latest = {memory.id: memory for memory in memories}
        now = datetime.now(UTC).isoformat()
        with translated("store memories"), self._lock:
            before = self.get(scope, list(latest))
            owners = {row_id: memory.scope for row_id, memory in before.items()}
            rows = {
                row_id: _payload(owners.get(row_id, scope), memory, now)
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
            put_rows(self._store, [(i, rows[i]) for i in vectors], list(vectors.values()))
            merge_payloads(self._store, {i: rows[i] for i in rows if i not in vectors})
            texts = {row_id: memory.text for row_id, memory in before.items()}
            self._changes.batch_add_history(history_entries(rows, texts))

    def amend(self, scope: Scope, metadata: Mapping[str, Mapping[str, object]]) -> None:
        """Set some metadata of memories, by id, where the scope has them."""
        with translated("change memories"), self._lock:
            own = self.get(scope, list(metadata))
            merge_payloads(self._store, {row_id: dict(metadata[row_id]) for row_id in own})

    def list(self, scope: Scope, equals: Mapping[str, str]) -> builtins.list[Memory]:
        """Return the memories of a scope, in any order."""
        with translated("list"):
            rows = every_row(self._store, {**equals, **mem0_ids(scope)})
        return list(self._of(scope, ((str(row.id), row.payload, None) for row in rows)))

    def search(
        self, scope: Scope, vector: Sequence[float], equals: Mapping[str, str], limit: int
    ) -> Iterator[Memory]:
        """Yield the memories of a scope nearest to a vector, as many as are taken."""
        filters = {**equals, **mem0_ids(scope)}
        if not filters.keys() <= self._counted:
            with translated("search"):
                count_values(self._store, filters)
            self._counted |= filters.keys()
        top_k = limit
        seen: set[str] = set()
        while True:
            with translated("search"):
                rows = self._store.search(
                    query="", vectors=list(vector), top_k=top_k, filters=dict(filters)
                )
            new = [row for row in rows if str(row.id) not in seen]
            yield from self._of(scope, ((str(row.id), row.payload, row.score) for row in new))
            if len(rows) < top_k:
                return
            seen.update(str(row.id) for row in new)
            top_k *= _GROWTH

    def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """Delete memories of a scope, where they are there; returns how many."""
        with translated("delete"), self._lock:
            own = self.get(scope, ids)
            # First of all: a later `forget` has to know whose history it is.
            for owner in {memory.scope for memory in own.values()}:
                doomed = [row_id for row_id, memory in own.items() if memory.scope == owner]
                self._history.mark_deleted(doomed, scope_filters(owner))
            delete_rows(self._store, list(own))
            now = datetime.now(UTC).isoformat()
            self._changes.batch_add_history(
                [
                    {
                        "memory_id": memory.id,
                        "old_memory": memory.text,
                        "event": "DELETE",
                        "updated_at": now,
                        "is_deleted": 1,
                    }
                    for memory in own.values()
                ]
            )
        return len(own)

    def _of(
        self, scope: Scope, rows: Iterable[tuple[str, Payload, float | None]]
    ) -> Iterator[Memory]:
        """Yield the rows that are memories of the scope."""
        for row_id, payload, score in rows:
            try:
                memory = memory_of(item_of(row_id, payload, score))
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
