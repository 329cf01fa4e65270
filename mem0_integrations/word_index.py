"""The words of memories, beside a vector store that does not search words itself."""

from __future__ import annotations

import dataclasses
import heapq
import logging
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

from mem0_integrations.dialect import mem0_ids
from mem0_integrations.errors import CorruptFileError, Mem0IntegrationsError
from mem0_integrations.filters import compile_filters, record_of
from mem0_integrations.following import Follower
from mem0_integrations.recall.fusion import Query
from mem0_integrations.recall.versions import has_changed_since
from mem0_integrations.records import ForgetResult, Memory
from mem0_integrations.requests import Change, MemorySource, SearchRequest
from mem0_integrations.scope import Scope
from mem0_integrations.table.matrices import MatrixCache
from mem0_integrations.table.rows import encoded, unit_vectors
from mem0_integrations.table.schema import open_file
from mem0_integrations.table.selection import select
from mem0_integrations.table.table import Table

__all__ = ["WordIndex"]

logger = logging.getLogger(__name__)

# How many of the memories that are nearest by their vectors are weighed.
_POOL_FACTOR: Final = 4
_LEAST_POOL: Final = 60
_BATCH: Final = 1_000
# The vectors are in the other store.
_NO_VECTOR: Final = (1.0,)
_ALL: Final = select(None)
_FILLED: Final = "filled"


class IndexedSource(MemorySource, Protocol):
    """What the index asks about the memories that it follows."""

    def all_memories(self) -> Iterator[Memory]:
        """Yield the memories of all scopes."""
        ...

    def recallable(self, scope: Scope, memory_id: str) -> Memory | None:
        """Return a memory of the scope that has not expired, or None."""
        ...


class WordIndex(Follower):
    """Finds memories also by their words, and by those around them.

    The words lie in a SQLite file. Before anything changes, the file says so, and afterwards the
    words of what has changed are read again: also when the process died in between. Memories
    that another host writes are found by their vectors alone, until `reindex`.

    Args:
        source: The memories.
        path: The file; a new one is filled at once.

    Raises:
        StorageError: The file cannot be used.
    """

    name = "The index of the words"
    ranks = True

    def __init__(self, source: IndexedSource, path: Path) -> None:
        self._source = source
        self._path = path
        self._file = open_file(path, len(_NO_VECTOR))
        self._words = Table(self._file, len(_NO_VECTOR), MatrixCache(), "memories")
        self._notes = self._words.sibling("notes")
        # Has a row once all memories are in the index.
        self._filled = self._words.sibling("filled")
        self._lock = threading.Lock()
        self._behind = True
        try:
            if not self._filled.count(_ALL):
                self.reindex()
            self._catch_up()
        except BaseException:
            self._file.close()
            raise

    def rank(self, request: SearchRequest, nearest: Iterator[Memory]) -> Iterator[Memory]:
        """Yield the memories of the scope by meaning and words, best first."""
        if self._behind:
            self._catch_up()
        pool = {
            memory.id: memory
            for memory in islice(nearest, max(_POOL_FACTOR * request.limit, _LEAST_POOL))
        }
        near = {memory.id: memory.score or 0.0 for memory in pool.values()}
        query = Query.of(request)
        own = select(mem0_ids(request.scope))
        ranked = self._words.ranked(own, near, len(pool) + request.limit, query)
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

    def following(self, change: Change) -> AbstractContextManager[None]:
        """Read the words of memories again when the block has ended, however it ends."""
        return self._noted(change.scope, change.keys, change.memory_ids)

    def forget(
        self, scope: Scope, filters: Mapping[str, object] | None, forget: Callable[[], ForgetResult]
    ) -> ForgetResult:
        """Erase the words of a scope, then its memories; those that are left are read again."""
        result = None
        try:
            with self._noted(scope, (), None):
                self._words.delete_selected(select(mem0_ids(scope)))
                result = forget()
            self._erase_deleted()
        except CorruptFileError as error:
            self.failure = error
            return self.left_over(result or forget(), error)
        return result

    def rebuild(self, scope: Scope) -> int:
        """Read the words of a scope again and return the number of its memories."""
        return self._look_again(scope, (), None)

    def reindex(self) -> int:
        """Make the index again from all memories and return their number."""
        count = 0
        # What changes meanwhile is looked at afterwards.
        with self._lock:
            self._filled.delete_selected(_ALL)
            # Rows cannot be taken out of a damaged index.
            self._words.reindex()
            self._words.delete_selected(_ALL)
            memories = self._source.all_memories()
            while batch := list(islice(memories, _BATCH)):
                self._put(batch)
                count += len(batch)
            _add(self._filled, [(_FILLED, {})])
        return count

    def describe(self) -> dict[str, str]:
        """Say where the words lie."""
        return {"words": str(self._path)}

    def close(self, timeout: float | None) -> None:
        """Close the file; nothing waits to be followed."""
        self._file.close()

    @contextmanager
    def _noted(
        self, scope: Scope, keys: Sequence[str], memory_ids: Sequence[str] | None
    ) -> Iterator[None]:
        note = str(uuid.uuid4())
        what = {"scope": scope.ids, "keys": keys, "memory_ids": memory_ids}
        _add(self._notes, [(note, what)])
        try:
            yield
        finally:
            try:
                self._look_again(scope, keys, memory_ids)
                self._notes.delete([note])
            except Mem0IntegrationsError as error:
                # The memories are as they should be; their words follow with the next recall.
                self._behind = True
                logger.warning("The index of the words is behind: %s.", type(error).__name__)

    def _catch_up(self) -> None:
        for note in self._notes.newest(_ALL, None):
            what: dict[str, Any] = note.payload
            self._look_again(Scope(**what["scope"]), what["keys"], what["memory_ids"])
            self._notes.delete([note.id])
        self._behind = False

    def _look_again(
        self, scope: Scope, keys: Sequence[str], memory_ids: Sequence[str] | None
    ) -> int:
        """Bring the index up to date with memories; without ids, with all of the scope."""
        with self._lock:
            if memory_ids is None:
                self._words.delete_selected(select(mem0_ids(scope)))
                listed = self._source.list(scope, filters=None, limit=sys.maxsize, offset=0)
                self._put(listed)
                return len(listed)
            found = [memory for key in keys for memory in self._source.find(scope, key)]
            now = {memory_id: self._source.get(scope, memory_id) for memory_id in memory_ids}
            found += [memory for memory in now.values() if memory is not None]
            gone = [memory_id for memory_id, memory in now.items() if memory is None]
            self._put(found)
            # Of another scope may be what a caller took for its own.
            own = mem0_ids(scope).items()
            doomed = [row.id for row in self._words.find_many(gone) if own <= row.payload.items()]
            self._words.delete(doomed)
        return len(found)

    def _put(self, memories: Sequence[Memory]) -> None:
        if memories:
            _add(self._words, [(memory.id, _payload(memory)) for memory in memories])

    def _erase_deleted(self) -> None:
        self._words.compact()

    def _other(self, request: SearchRequest, memory_id: str) -> Memory | None:
        """Return a memory that was found by its words alone, if it matches the request."""
        memory = self._source.recallable(request.scope, memory_id)
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


def _add(table: Table, rows: Sequence[tuple[str, Mapping[str, object]]]) -> None:
    units = unit_vectors([_NO_VECTOR] * len(rows), len(_NO_VECTOR))
    table.add([row_id for row_id, _ in rows], [encoded(payload) for _, payload in rows], units)


def _payload(memory: Memory) -> dict[str, object]:
    return {
        **mem0_ids(memory.scope),
        "data": memory.text,
        "thread_id": memory.metadata.get("thread_id"),
        "created_at": None if memory.created_at is None else memory.created_at.isoformat(),
    }
