"""A full-text index beside a vector store that does not search words itself."""

from __future__ import annotations

import dataclasses
import heapq
import logging
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

from mem0_integrations.backends.dialect import mem0_ids
from mem0_integrations.backends.embedded.store import SQLiteVectorStore
from mem0_integrations.backends.followed import FollowedBackend
from mem0_integrations.backends.oss import OSSBackend
from mem0_integrations.backends.versions import has_changed_since
from mem0_integrations.errors import Mem0IntegrationsError
from mem0_integrations.filters import compile_filters, record_of
from mem0_integrations.fusion import Query
from mem0_integrations.records import ForgetResult, Memory
from mem0_integrations.requests import SearchRequest
from mem0_integrations.scope import Scope

__all__ = ["IndexedBackend"]

logger = logging.getLogger(__name__)

# Of the memories that are nearest by their vectors, as many are weighed.
_POOL_FACTOR: Final = 4
_LEAST_POOL: Final = 60
_BATCH: Final = 1_000
# The vectors are in the other store.
_NO_VECTOR: Final = (1.0,)


class IndexedBackend(FollowedBackend):
    """Finds memories also by their words, and by those around them.

    The words lie in a SQLite file. Before anything changes, the file says so, and afterwards the
    words of what has changed are read again: also when the process died in between. Memories
    that another host writes are found by their vectors alone, until `reindex`.

    Args:
        backend: The Mem0.
        path: The file; a new one is filled at once.

    Raises:
        StorageError: The file cannot be used.
    """

    def __init__(self, backend: OSSBackend, path: Path) -> None:
        super().__init__(backend)
        self._oss = backend
        self._words = SQLiteVectorStore(path, dimension=len(_NO_VECTOR))
        self._notes = self._words.collection("notes")
        # Has a row once all memories are in the index.
        self._filled = self._words.collection("filled")
        self._lock = threading.Lock()
        self._behind = True
        try:
            if not self._filled.count():
                self.reindex()
            self._catch_up()
        except BaseException:
            self._words.close()
            raise

    def search(self, request: SearchRequest) -> Iterator[Memory]:
        """Yield the memories of the scope, the best first, as many as are taken."""
        if self._behind:
            self._catch_up()
        nearest = self._backend.search(request)
        pool = {
            memory.id: memory
            for memory in islice(nearest, max(_POOL_FACTOR * request.limit, _LEAST_POOL))
        }
        near = {memory.id: memory.score or 0.0 for memory in pool.values()}
        query = Query.of(request)
        ranked = self._words.rank(query, near, len(pool) + request.limit, mem0_ids(request.scope))
        unknown = pool.keys() - {record.id for record in ranked}
        weight = request.ranking.vector
        found = [(record.score or 0.0, record.id, dict(record.signals)) for record in ranked]
        found += [(weight * near[each], each, {"vector": near[each]}) for each in unknown]
        threshold = request.least_score
        found.sort(key=lambda each: each[0], reverse=True)
        known = {memory_id for _, memory_id, _ in found}
        weighed = (
            dataclasses.replace(memory, score=score, signals=signals)
            for score, memory_id, signals in found
            if score >= threshold
            and (memory := pool.get(memory_id) or self._other(request, memory_id))
        )
        others = (
            dataclasses.replace(memory, score=weight * score, signals={"vector": score})
            for memory in nearest
            if memory.id not in known and weight * (score := memory.score or 0.0) >= threshold
        )
        yield from heapq.merge(weighed, others, key=lambda each: each.score or 0.0, reverse=True)

    def followed(
        self, scope: Scope, *, keys: Sequence[str] = (), memory_ids: Sequence[str] = ()
    ) -> AbstractContextManager[None]:
        """Read the words of memories again when the block has ended, however it ends."""
        return self._noted(scope, keys, memory_ids)

    def undo(self, memories: Sequence[Memory]) -> None:
        """Take back what a write has stored whose scope was forgotten meanwhile."""
        with ExitStack() as noted:
            for scope in {memory.scope for memory in memories}:
                own = [memory.id for memory in memories if memory.scope == scope]
                noted.enter_context(self._noted(scope, (), own))
            super().undo(memories)
        self._words.compact()

    def forget(self, scope: Scope) -> ForgetResult:
        """Erase everything of the scope, its words first."""
        with self._noted(scope, (), None):
            self._words.delete_where(mem0_ids(scope))
            result = super().forget(scope)
        self._words.compact()
        return result

    def reindex(self) -> int:
        """Make the index again from all memories; returns how many."""
        count = 0
        # What changes meanwhile is looked at afterwards.
        with self._lock:
            self._filled.reset()
            # Rows cannot be taken out of a damaged index.
            self._words.reindex()
            self._words.reset()
            memories = self._oss.everybodys()
            while batch := list(islice(memories, _BATCH)):
                self._put([(memory.id, _payload(memory)) for memory in batch])
                count += len(batch)
            self._filled.insert([_NO_VECTOR])
        return count

    def describe(self) -> dict[str, str]:
        """Say what this is, by part."""
        return {**super().describe(), "words": self._words.path}

    def close(self) -> None:
        """Release what was opened."""
        self._words.close()
        super().close()

    @contextmanager
    def _noted(
        self, scope: Scope, keys: Sequence[str], memory_ids: Sequence[str] | None
    ) -> Iterator[None]:
        note = str(uuid.uuid4())
        what = {
            "scope": scope.ids,
            "keys": list(keys),
            "memory_ids": None if memory_ids is None else list(memory_ids),
        }
        self._notes.insert([_NO_VECTOR], [what], [note])
        try:
            yield
        finally:
            try:
                self._look_again(scope, keys, memory_ids)
                self._notes.delete(note)
            except Mem0IntegrationsError as error:
                # The memories are as they should be; their words follow with the next recall.
                self._behind = True
                logger.warning("The index of the words is behind: %s.", type(error).__name__)

    def _catch_up(self) -> None:
        [notes] = self._notes.list()
        for note in notes:
            what: dict[str, Any] = note.payload
            self._look_again(Scope(**what["scope"]), what["keys"], what["memory_ids"])
            self._notes.delete(note.id)
        self._behind = False

    def _look_again(
        self, scope: Scope, keys: Sequence[str], memory_ids: Sequence[str] | None
    ) -> None:
        """Let the index say what memories say now; all of the scope without ids."""
        with self._lock:
            if memory_ids is None:
                self._words.delete_where(mem0_ids(scope))
                listed = self._backend.list(scope, filters=None, limit=sys.maxsize, offset=0)
                self._put([(memory.id, _payload(memory)) for memory in listed])
                return
            found = [memory for key in keys for memory in self._backend.find(scope, key)]
            gone: list[str] = []
            for memory_id in memory_ids:
                memory = self._backend.get(scope, memory_id)
                if memory is None:
                    gone.append(memory_id)
                else:
                    found.append(memory)
            self._put([(memory.id, _payload(memory)) for memory in found])
            # Of another scope may be what a caller took for its own.
            own = mem0_ids(scope).items()
            doomed = [row.id for row in self._words.get_many(gone) if own <= row.payload.items()]
            self._words.delete_many(doomed)

    def _put(self, rows: Sequence[tuple[str, dict[str, object]]]) -> None:
        if rows:
            ids, payloads = [row_id for row_id, _ in rows], [payload for _, payload in rows]
            self._words.insert([_NO_VECTOR] * len(rows), payloads, ids)

    def _other(self, request: SearchRequest, memory_id: str) -> Memory | None:
        """Return a memory that only its words have found, where it counts."""
        memory = self._oss.recallable(request.scope, memory_id)
        if memory is None or (
            request.filters and not compile_filters(request.filters)(record_of(memory))
        ):
            return None
        time = request.as_of
        if time is not None and (
            memory.created_at is None or memory.created_at > time or has_changed_since(memory, time)
        ):
            return None
        return memory


def _payload(memory: Memory) -> dict[str, object]:
    return {
        **mem0_ids(memory.scope),
        "data": memory.text,
        "thread_id": memory.metadata.get("thread_id"),
        "created_at": None if memory.created_at is None else memory.created_at.isoformat(),
    }
