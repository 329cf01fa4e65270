"""The backend on `mem0.Memory`: any vector store, embedder and model that Mem0 can be given."""

from __future__ import annotations

import builtins
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import count, islice
from operator import itemgetter
from typing import Final, TypeAlias

from mem0.memory.main import Memory as Mem0

from mem0_integrations.backends.base import Backend
from mem0_integrations.backends.documents import RowDocuments
from mem0_integrations.backends.history import History
from mem0_integrations.backends.mem0_config import name_of
from mem0_integrations.backends.mem0_errors import translated
from mem0_integrations.backends.mem0_private import is_expired, relink_entities, with_parts
from mem0_integrations.backends.memory_documents import MemoryDocuments
from mem0_integrations.backends.rows import StoreRows, deepened
from mem0_integrations.backends.statements import StatementWriter, memory_id_of, text_fields
from mem0_integrations.backends.stores.base import Row
from mem0_integrations.backends.stores.collections import Collections
from mem0_integrations.backends.vector_memories import VectorMemories
from mem0_integrations.dialect import item_of, mem0_ids, memory_of
from mem0_integrations.errors import BackendError, ScopeError
from mem0_integrations.filters import compile_filters, record_of, split_equalities
from mem0_integrations.learning.extraction import CheckedLLM, Extractor
from mem0_integrations.models import LangChainEmbedder, LangChainLLM, Models
from mem0_integrations.namespaces import NamespaceTemplate
from mem0_integrations.recall.fusion import Query
from mem0_integrations.recall.versions import (
    changes_of,
    first_top_k,
    known_at,
    not_found,
    without_gaps,
)
from mem0_integrations.records import DocumentKind, ForgetResult, Memory, MemoryChange
from mem0_integrations.requests import AddRequest, Attempt, Changing, SearchRequest
from mem0_integrations.scope import Scope
from mem0_integrations.values import KEY_FIELD, is_uuid

__all__ = ["OSSBackend"]

logger = logging.getLogger(__name__)

# What a search found, and whether there is more.
_Results: TypeAlias = tuple[list[dict[str, object]], bool]

_COLLECTIONS: Final[Mapping[DocumentKind, str]] = {"item": "items", "message": "transcripts"}
_LINKED: Final = "linked_memory_ids"
# Of a turn, that are looked for at once.
_STATEMENTS: Final = 8
# The dimension of vectors that are only there because a vector store wants them.
_UNSEARCHED: Final = 1


class OSSBackend(Backend):
    """`AgentMemory`'s operations on a `mem0.Memory`.

    Mem0's open-source dialect has no `app_id`: it is kept in the metadata and filtered there.

    Args:
        memory: The Mem0 to use; it is not changed, except that it keeps the collections beside
            its own, and that a local Qdrant client gets a lock, without which it loses writes
            under threads.
        llm: A model in place of the one that `memory` has.
        embedder: An embedder in place of the one that `memory` has.
        extractor: Finds the statements to keep; None for Mem0's own pipeline with its model.

    Raises:
        DimensionMismatchError: The store holds vectors of another dimension.
    """

    def __init__(
        self,
        memory: Mem0,
        *,
        llm: LangChainLLM | None = None,
        embedder: LangChainEmbedder | None = None,
        extractor: Extractor | None = None,
    ) -> None:
        with translated("open the memory"):
            self._collections = Collections.of(memory)
            self._store = self._collections.memories
            self._store.check_dimension(embedder.embedding_dims if embedder else None)
            # A copy, so that the application's own object keeps its own models.
            model = memory.llm if llm is None else llm
            self._memory = with_parts(
                memory,
                vector_store=self._store,
                entity_store=self._collections.entities,
                llm=CheckedLLM(model),
                embedding_model=memory.embedding_model if embedder is None else embedder,
            )
            self._history = History(memory.db)
        self._llm = llm
        self._writer = StatementWriter(self._memory, self._store, self._history, extractor)
        self._original = memory
        self._model_name = name_of(model)
        self._extractor = extractor

    def check_scope(self, scope: Scope) -> None:
        """Refuse a scope without any of the ids that Mem0 can filter by."""
        mem0_ids(scope)

    def search(self, request: SearchRequest) -> Iterator[Memory]:
        """Yield the memories of the scope, nearest first, as many as needed."""
        pushed, rest = split_equalities(request.filters) if request.filters else ({}, None)
        filters: dict[str, object] = {**pushed, **mem0_ids(request.scope)}
        selective = rest is not None or request.as_of is not None
        top_k = first_top_k(request.limit, selective=selective)
        search = self._ranking(request) if self._store.hybrid else partial(self._searched, request)

        def nearest(top_k: int) -> _Results:
            with translated("search"):
                return search(filters, top_k)

        for results in deepened(nearest, itemgetter("id"), top_k):
            yield from self._kept(results, request.scope, request.filters, request.as_of)

    def add(self, request: AddRequest, attempt: Attempt) -> builtins.list[Memory]:
        """Store a turn, or what is missing of it, and return the memories that it became."""
        with translated("add"):
            return self._writer.write(request, attempt)

    def add_many(self, requests: Sequence[AddRequest]) -> builtins.list[int]:
        """Store many turns with one embedding call and one insert."""
        with translated("add"):
            return self._writer.write_all(requests)

    @property
    def extracts(self) -> bool:
        """Whether a model of Mem0 finds the statements of a turn."""
        return self._extractor is None

    def find(self, scope: Scope, key: str) -> builtins.list[Memory]:
        """Return what was stored under an idempotency key."""
        with translated("look a write up"):
            found: list[Memory] = []
            for start in count(0, _STATEMENTS):
                ids = [memory_id_of(scope, key, start + place) for place in range(_STATEMENTS)]
                rows = {row.id: row for row in self._store.get_many(ids)}
                found += [_memory(rows[row_id]) for row_id in ids if row_id in rows]
                # Some may have been deleted since, but not so many in a row.
                if not rows.keys() & set(ids[_STATEMENTS // 2 :]):
                    break
            if found or self._extractor is not None:
                return found
            stored = map(memory_of, self._all({**mem0_ids(scope), KEY_FIELD: key}))
            # The filter also finds what a scope within this one stored under the same key.
            return [memory for memory in stored if memory.scope == scope]

    def list(
        self, scope: Scope, *, filters: Mapping[str, object] | None, limit: int, offset: int
    ) -> builtins.list[Memory]:
        """Return a page of the scope's memories, newest first."""
        pushed, _ = split_equalities(filters or {})
        wanted: dict[str, object] = {**pushed, **mem0_ids(scope)}
        # Which of its rows are shown, a store does not know where there are other conditions.
        skip = 0 if filters or not self._store.paged else offset
        with translated("list"):
            rows = self._store.newest(wanted, skip=skip, limit=limit + offset - skip)
            items = (item_of(row.id, row.payload, None) for row in rows)
            kept = self._kept(items, scope, filters, None)
            return [*islice(kept, offset - skip, limit + offset - skip)]

    def get(self, scope: Scope, memory_id: str) -> Memory | None:
        """Return a memory of the scope, or None."""
        return self._own(scope, self._item(memory_id))

    def recallable(self, scope: Scope, memory_id: str) -> Memory | None:
        """Return a memory of the scope that has not expired, or None."""
        item = self._item(memory_id)
        return None if is_expired(item) else self._own(scope, item)

    def update(
        self,
        scope: Scope,
        memory_id: str,
        *,
        text: str | None,
        metadata: Mapping[str, object] | None,
    ) -> Memory:
        """Change a memory of the scope."""
        self._require(scope, memory_id)
        fields: dict[str, object] = {**(metadata or {})}
        with translated("update"):
            vector = None
            if text is not None:
                fields |= text_fields(text)
                vector = self._memory.embedding_model.embed(text, "update")
            # Mem0's own update reads the whole memory, and writes it back as a whole.
            with StoreRows.changing.hold([memory_id]):
                before = self._require(scope, memory_id)
                now = datetime.now(UTC).isoformat()
                fields["updated_at"] = now
                if metadata:
                    self._history.keep_metadata(before, until=now)
                self._store.change(memory_id, vector, fields)
                # On another host it may have been deleted meanwhile.
                after = self._require(scope, memory_id)
                self._note_update(memory_id, before.text)
                if after.text != before.text:
                    relink_entities(self._memory, memory_id, after.text, mem0_ids(after.scope))
        return after

    def delete(self, scope: Scope, memory_id: str) -> None:
        """Delete a memory of the scope."""
        with StoreRows.changing.hold([memory_id]):
            self._delete_held(scope, memory_id)

    def _delete_held(self, scope: Scope, memory_id: str) -> None:
        memory = self._require(scope, memory_id)
        with translated("delete"):
            self._history.mark_deleted([memory])
            try:
                self._memory.delete(memory_id)
            except ValueError as error:
                # Mem0's word for a memory that another host was quicker to delete.
                if self._item(memory_id) is None:
                    raise not_found(scope, memory_id) from error
                raise

    def history(self, scope: Scope, memory_id: str) -> builtins.list[MemoryChange]:
        """Return the changes of a memory of the scope, oldest first, also after its deletion."""
        with translated("read the history"):
            # Before the memory: what changes meanwhile is then missing here, and filled in.
            entries = self._history.entries(memory_id)
        memory = self.get(scope, memory_id)
        if memory is None:
            with translated("read the history"):
                owner = self._history.deleted_by(memory_id)
            if owner is None or not mem0_ids(scope).items() <= owner.items():
                raise not_found(scope, memory_id)
        with translated("read the history"):
            changes = without_gaps(changes_of(memory_id, entries), memory)
            return self._history.with_metadata(changes, memory)

    def forget(self, scope: Scope, filters: Mapping[str, object] | None) -> ForgetResult:
        """Erase the memories, their history, Mem0's entities and its retained messages.

        Mem0 does not say of which memories the retained messages are: they all go, also where
        filters select only some. What a store keeps of deleted data is the store's own affair:
        Qdrant and PostgreSQL overwrite it when they optimise or vacuum. The embedded store leaves
        nothing behind.
        """
        ids = mem0_ids(scope)
        with translated("forget"):
            selected = self._selected(scope, filters)
            doomed = [row.id for row in selected]
            # First of all: when this breaks off, the next attempt knows whose history it is.
            self._history.mark_deleted([_memory(row) for row in selected])
            if filters is None:
                self._store.erase(ids, doomed)
            else:
                self._store.delete_many(doomed)
            self._erase_entities(ids, None if filters is None else {*doomed})
            transcript = self._forget_transcripts(scope, filters)
            history, messages = self._history.erase(ids, filters)
            if left := len(self._selected(scope, filters)):
                raise BackendError(
                    f"{left} memories of {scope} are still there after forget(); the store "
                    f"deletes late, or something is writing. It is tried again.",
                    retryable=True,
                )
            self._store.compact()
        keys = {str(row.payload[KEY_FIELD]) for row in selected if KEY_FIELD in row.payload}
        return ForgetResult(
            memories=len(doomed),
            history=history,
            messages=messages,
            transcript=transcript,
            keys=frozenset(keys) if filters is not None else frozenset(),
        )

    def documents(self, kind: DocumentKind) -> RowDocuments:
        """Return documents that lie beside the memories and are never recalled."""
        with translated("open a collection"):
            store = self._collections.open(
                _COLLECTIONS[kind], dimension=_UNSEARCHED if kind == "message" else None
            )
        return RowDocuments(StoreRows(store, self._memory.embedding_model))

    def memory_documents(self, template: NamespaceTemplate, changing: Changing) -> MemoryDocuments:
        """Return the memories as documents; what is put becomes a memory."""
        return MemoryDocuments(
            StoreRows(self._store, self._memory.embedding_model),
            template,
            note=self._memory.db.batch_add_history,
            delete=self._delete_held,
            changing=changing,
        )

    def vector_memories(self) -> VectorMemories:
        """Return the memories with their vectors."""
        return VectorMemories(self._memory, self._store, self._history)

    def reindex(self) -> int:
        """Make the index of the words again, where the store keeps one; returns how many."""
        with translated("reindex"):
            return self._store.reindex()

    def all_memories(self) -> Iterator[Memory]:
        """Yield all memories of the store, whosever they are."""
        with translated("list"):
            rows = self._store.every({})
        for row in rows:
            try:
                yield memory_of(item_of(row.id, row.payload, None))
            except ScopeError:
                continue

    def models(self) -> Models:
        """Return its models; the language model counts where it is used, or was given."""
        given = self._llm if self._extractor is not None else self._memory.llm
        return Models(llm=given, embedder=self._memory.embedding_model)

    def describe(self) -> dict[str, str]:
        """Say which Mem0, store and models these are."""
        extraction = (
            type(self._extractor).__name__
            if self._extractor is not None
            else f"Mem0's pipeline with {self._model_name}"
        )
        return {
            "Mem0": f"mem0ai {version('mem0ai')} ({type(self._original).__name__})",
            "store": self._store.describe(),
            "embedder": name_of(self._memory.embedding_model),
            "extraction": extraction,
            "history": str(self._memory.db.db_path),
        }

    def _searched(
        self, request: SearchRequest, filters: Mapping[str, object], top_k: int
    ) -> _Results:
        options = {} if request.threshold is None else {"threshold": request.threshold}
        results = self._memory.search(request.query, filters=dict(filters), top_k=top_k, **options)[
            "results"
        ]
        return results, len(results) == top_k

    def _ranking(self, request: SearchRequest) -> Callable[[Mapping[str, object], int], _Results]:
        """Search a store that ranks by more than vectors, which Mem0's own search cannot ask."""
        query = Query.of(request)
        with translated("search"):
            vector = self._memory.embedding_model.embed(request.query, "search")

        def ranked(filters: Mapping[str, object], top_k: int) -> _Results:
            records = self._store.recall(query, vector, top_k, filters)
            near = [record for record in records if (record.score or 0.0) >= request.least_score]
            results = [
                {**item_of(record.id, record.payload, record.score), "signals": record.signals}
                for record in near
                if not is_expired(record.payload)
            ]
            return results, len(near) == top_k

        return ranked

    def _note_update(self, memory_id: str, before: str) -> None:
        """Write into the history what Mem0 would after an update."""
        now = self._item(memory_id) or {}
        fields = ("created_at", "updated_at", "actor_id", "role")
        self._memory.db.add_history(
            memory_id, before, now.get("memory"), "UPDATE", **{key: now.get(key) for key in fields}
        )

    def _selected(self, scope: Scope, filters: Mapping[str, object] | None) -> Sequence[Row]:
        """Return the rows of a scope that filters select, those that have expired among them."""
        pushed, _ = split_equalities(filters or {})
        rows = self._store.every({**pushed, **mem0_ids(scope)})
        if not filters:
            return rows
        passes = compile_filters(filters)
        return [row for row in rows if passes(record_of(_memory(row)))]

    def _forget_transcripts(self, scope: Scope, filters: Mapping[str, object] | None) -> int:
        if not self._collections.exists(_COLLECTIONS["message"]):
            return 0
        transcripts = self.documents("message")
        erased = transcripts.forget(scope, filters)
        if erased:
            transcripts.rows.compact()
        return erased

    def _erase_entities(self, ids: Mapping[str, str], doomed: set[str] | None) -> None:
        if not self._collections.has_entities():
            return
        wanted = {key: value for key, value in ids.items() if key != "app_id"}
        store = self._collections.entities()
        rows = store.every(wanted)
        if doomed is None:
            store.erase(wanted, [row.id for row in rows])
            return
        linked = {row.id: {*map(str, _linked(row))} for row in rows}
        touched = {row_id: ids for row_id, ids in linked.items() if ids & doomed}
        store.delete_many([row_id for row_id, ids in touched.items() if ids <= doomed])
        store.merge_payloads(
            {
                row_id: {_LINKED: sorted(ids - doomed)}
                for row_id, ids in touched.items()
                if not ids <= doomed
            }
        )

    def _all(self, filters: Mapping[str, object]) -> builtins.list[dict[str, object]]:
        return [item_of(row.id, row.payload, None) for row in self._store.every(filters)]

    def _kept(
        self,
        results: Iterable[Mapping[str, object]],
        scope: Scope,
        filters: Mapping[str, object] | None,
        as_of: datetime | None,
    ) -> Iterator[Memory]:
        passes = compile_filters(filters) if filters else None
        for result in results:
            try:
                memory = memory_of(result)
            except ScopeError:
                logger.error("The vector store returned a memory of no scope; it was dropped.")
                continue
            if not scope.covers(memory.scope):
                logger.error(
                    "The vector store returned a memory of another scope; it was dropped. Check "
                    "whether %s filters by metadata.",
                    type(self._memory.vector_store).__name__,
                )
                continue
            known = memory if as_of is None else known_at(self, memory, as_of)
            if known is not None and (passes is None or passes(record_of(known))):
                yield known

    def _item(self, memory_id: str) -> Mapping[str, object] | None:
        if not is_uuid(memory_id):
            return None
        with translated("get"):
            item: Mapping[str, object] | None = self._memory.get(memory_id)
        return item

    def _own(self, scope: Scope, item: Mapping[str, object] | None) -> Memory | None:
        try:
            memory = memory_of(item) if item else None
        except ScopeError:
            return None
        return memory if memory is not None and scope.covers(memory.scope) else None

    def _require(self, scope: Scope, memory_id: str) -> Memory:
        memory = self.get(scope, memory_id)
        if memory is None:
            raise not_found(scope, memory_id)
        return memory


def _memory(row: Row) -> Memory:
    return memory_of(item_of(row.id, row.payload, None))


def _linked(row: Row) -> Iterable[object]:
    linked = row.payload.get(_LINKED)
    return linked if isinstance(linked, list) else ()
