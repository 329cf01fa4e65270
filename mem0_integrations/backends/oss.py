"""The backend on `mem0.Memory`: any vector store, embedder and model that Mem0 can be given."""

from __future__ import annotations

import builtins
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from importlib.metadata import version
from itertools import islice
from operator import itemgetter
from typing import Final, TypeAlias

from mem0.memory.main import Memory as Mem0

from mem0_integrations.backends.base import Backend
from mem0_integrations.backends.documents import RowDocuments
from mem0_integrations.backends.history import History
from mem0_integrations.backends.mem0_config import name_of
from mem0_integrations.backends.mem0_errors import translated
from mem0_integrations.backends.mem0_private import is_expired, on_store
from mem0_integrations.backends.memory_documents import MemoryDocuments
from mem0_integrations.backends.rows import StoreRows, deepened
from mem0_integrations.backends.statements import StatementWriter, memory_id_of
from mem0_integrations.backends.stores.collections import Collections
from mem0_integrations.backends.vector_memories import VectorMemories
from mem0_integrations.dialect import item_of, mem0_ids, memory_of, scope_filters
from mem0_integrations.errors import BackendError, ScopeError
from mem0_integrations.filters import compile_filters, record_of, split_equalities
from mem0_integrations.learning.extraction import CheckedLLM, Extractor
from mem0_integrations.models import LangChainEmbedder, LangChainLLM, Models
from mem0_integrations.namespaces import NamespaceTemplate
from mem0_integrations.recall.fusion import Query
from mem0_integrations.recall.versions import changes_of, first_top_k, known_at, not_found
from mem0_integrations.records import DocumentKind, ForgetResult, Memory, MemoryChange
from mem0_integrations.requests import AddRequest, Changing, SearchRequest
from mem0_integrations.scope import Scope
from mem0_integrations.values import KEY_FIELD, is_uuid

__all__ = ["OSSBackend"]

logger = logging.getLogger(__name__)

# What a search found, and whether there is more.
_Results: TypeAlias = tuple[list[dict[str, object]], bool]

_COLLECTIONS: Final[Mapping[DocumentKind, str]] = {"item": "items", "message": "transcripts"}
# The dimension of vectors that are only there because a vector store wants them.
_UNSEARCHED: Final = 1


class OSSBackend(Backend):
    """`AgentMemory`'s operations on a `mem0.Memory`.

    Mem0's open-source dialect has no `app_id`: it is kept in the metadata and filtered there.
    Mem0's own extraction still sees the other applications' memories of the same user.

    Args:
        memory: The Mem0 to use; it is not changed, except that it keeps the collections beside
            its own, and that a local Qdrant client gets a lock, without which it loses writes
            under threads.
        llm: A model in place of the one that `memory` has.
        embedder: An embedder in place of the one that `memory` has.
        extractor: Finds the statements to keep; None for Mem0's own pipeline with its model.
        owned: Whether `close` closes `memory`.

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
        owned: bool = False,
    ) -> None:
        with translated("open the memory"):
            self._collections = Collections.of(memory)
            self._store = self._collections.memories
            self._store.check_dimension(embedder.embedding_dims if embedder else None)
            # A copy, so that the application's own object keeps its own models.
            self._memory = on_store(memory, self._store, self._collections.entities)
            model = memory.llm if llm is None else llm
            self._memory.llm = CheckedLLM(model)
            self._memory.embedding_model = memory.embedding_model if embedder is None else embedder
            self._history = History(memory.db)
        self._llm = llm
        self._writer = StatementWriter(self._memory, self._store, extractor)
        self._original = memory
        self._model_name = name_of(model)
        self._extractor = extractor
        self._owned = owned

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

    def add(self, request: AddRequest) -> builtins.list[Memory]:
        """Store a turn and return the memories that it became."""
        if request.infer and self._extractor is None:
            return self._add_through_mem0(request)
        with translated("add"):
            return self._writer.write([request])[0]

    def add_many(self, requests: Sequence[AddRequest]) -> builtins.list[int]:
        """Store many turns with one embedding call and one insert."""
        if self._extractor is None and any(request.infer for request in requests):
            # An import that broke off may have got some of them through.
            return [
                len(self.find(request.scope, request.key) or self.add(request))
                for request in requests
            ]
        # An import may be repeated; what was changed since then must stay as it is.
        repeated = bool(requests) and bool(self.find(requests[0].scope, requests[0].key))
        counts = {
            request.key: len(self.find(request.scope, request.key)) if repeated else 0
            for request in requests
        }
        new = [request for request in requests if not counts[request.key]]
        with translated("add"):
            for request, memories in zip(new, self._writer.write(new), strict=True):
                counts[request.key] = len(memories)
        return [counts[request.key] for request in requests]

    def undo(self, memories: Sequence[Memory]) -> None:
        """Take back what a write has stored whose scope was forgotten meanwhile."""
        for memory in memories:
            self.delete(memory.scope, memory.id)
        with translated("forget"):
            for scope in {memory.scope for memory in memories}:
                self._history.erase(mem0_ids(scope))

    def find(self, scope: Scope, key: str) -> builtins.list[Memory]:
        """Return what was stored under an idempotency key."""
        with translated("look a write up"):
            found: list[Memory] = []
            while item := self._memory.get(memory_id_of(scope, key, len(found))):
                found.append(memory_of(item))
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
        with translated("update"):
            self._memory.update(
                memory_id, text=text, metadata=None if metadata is None else dict(metadata)
            )
        return self._require(scope, memory_id)

    def delete(self, scope: Scope, memory_id: str) -> None:
        """Delete a memory of the scope."""
        memory = self._require(scope, memory_id)
        with translated("delete"):
            self._history.mark_deleted([memory_id], scope_filters(memory.scope))
            self._memory.delete(memory_id)

    def history(self, scope: Scope, memory_id: str) -> builtins.list[MemoryChange]:
        """Return the changes of a memory of the scope, oldest first, also after its deletion."""
        if self.get(scope, memory_id) is None:
            with translated("read the history"):
                owner = self._history.deleted_by(memory_id)
            if owner is None or not mem0_ids(scope).items() <= owner.items():
                raise not_found(scope, memory_id)
        with translated("read the history"):
            entries = self._memory.history(memory_id)
        return changes_of(memory_id, entries)

    def forget(self, scope: Scope) -> ForgetResult:
        """Erase the memories, their history, Mem0's entities and its retained messages.

        What a store keeps of deleted data is the store's own affair: Qdrant and PostgreSQL
        overwrite it when they optimise or vacuum. The embedded store leaves nothing behind.
        """
        ids = mem0_ids(scope)
        with translated("forget"):
            doomed = [str(item["id"]) for item in self._all(ids)]
            # First of all: when this breaks off, the next forget still knows whose history it is.
            self._history.mark_deleted(doomed, ids)
            self._store.erase(ids, doomed)
            self._erase_entities(ids)
            transcript = self._forget_transcripts(scope)
            history, messages = self._history.erase(ids)
            if left := len(self._all(ids)):
                raise BackendError(
                    f"{left} memories of {scope} are still there after forget(); the store "
                    f"deletes late, or something is writing. Call forget() again.",
                    retryable=True,
                )
            self._store.compact()
        return ForgetResult(
            memories=len(doomed), history=history, messages=messages, transcript=transcript
        )

    def documents(self, kind: DocumentKind) -> RowDocuments:
        """Return documents that lie beside the memories and are never recalled."""
        with translated("open a collection"):
            store = self._collections.open(
                _COLLECTIONS[kind], dimension=_UNSEARCHED if kind == "message" else None
            )
        rows = StoreRows(store, self._memory.embedding_model)
        return RowDocuments(rows, self._collections.lock(_COLLECTIONS[kind]))

    def memory_documents(self, template: NamespaceTemplate, changing: Changing) -> MemoryDocuments:
        """Return the memories as documents; what is put becomes a memory."""
        return MemoryDocuments(
            StoreRows(self._store, self._memory.embedding_model),
            template,
            note=self._memory.db.batch_add_history,
            delete=self.delete,
            changing=changing,
            lock=self._collections.lock("memories"),
        )

    def vector_memories(self) -> VectorMemories:
        """Return the memories with their vectors."""
        lock = self._collections.lock("memories")
        return VectorMemories(self._memory, self._store, self._history, lock)

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

    def close(self) -> None:
        """Close the Mem0 that this backend was given to own."""
        if self._owned:
            self._collections.close()
            self._original.close()

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

    def _forget_transcripts(self, scope: Scope) -> int:
        if not self._collections.exists(_COLLECTIONS["message"]):
            return 0
        transcripts = self.documents("message")
        erased = transcripts.forget(scope)
        if erased:
            transcripts.rows.compact()
        return erased

    def _erase_entities(self, ids: Mapping[str, str]) -> None:
        if self._collections.has_entities():
            wanted = {key: value for key, value in ids.items() if key != "app_id"}
            store = self._collections.entities()
            store.erase(wanted, [row.id for row in store.every(wanted)])

    def _add_through_mem0(self, request: AddRequest) -> builtins.list[Memory]:
        ids = mem0_ids(request.scope)
        metadata = {
            **request.metadata,
            KEY_FIELD: request.key,
            "created_at": request.created_at.isoformat(),
            **({"app_id": ids.pop("app_id")} if "app_id" in ids else {}),
        }
        with translated("add"):
            results = self._memory.add(
                [dict(message) for message in request.messages], metadata=metadata, **ids
            )["results"]
        return [
            Memory(
                id=str(result["id"]),
                text=result["memory"],
                scope=request.scope,
                created_at=request.created_at,
                updated_at=request.created_at,
                metadata=dict(request.metadata),
            )
            for result in results
        ]

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
