"""A Mem0 whose every change is projected to a graph, behind an outbox of its own."""

from __future__ import annotations

import builtins
import dataclasses
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self

from mem0_integrations.backends.base import (
    AddRequest,
    Backend,
    DocumentKind,
    Documents,
    Follow,
    Models,
    SearchRequest,
    VectorMemories,
    VectorMemory,
    memories_as_said,
)
from mem0_integrations.errors import ExtractionError
from mem0_integrations.graph.graph_memory import GraphMemory
from mem0_integrations.namespaces import NamespaceTemplate
from mem0_integrations.outbox import Outbox
from mem0_integrations.records import ForgetResult, Memory, MemoryChange
from mem0_integrations.retry import RetryPolicy
from mem0_integrations.scope import Scope

__all__ = ["PatientRetry", "ProjectedBackend", "SyncRequest", "deliver_to_graph"]


class _Followed(Protocol):
    def __call__(
        self, scope: Scope, *, memory_ids: Sequence[str]
    ) -> AbstractContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """Memories that the graph has to look at again.

    Attributes:
        scope: Covers all of them.
        key: Of this request.
        keys: The keys of the writes that made them.
        memory_ids: Or their own ids.
    """

    scope: Scope
    key: str
    keys: tuple[str, ...] = ()
    memory_ids: tuple[str, ...] = ()

    def dump(self) -> str:
        """Return it as JSON, but for the scope and the key."""
        return json.dumps({"keys": self.keys, "memory_ids": self.memory_ids})

    @classmethod
    def load(cls, scope: Scope, key: str, body: str) -> Self:
        """Read what `dump` returned."""
        data = json.loads(body)
        return cls(scope, key, tuple(data["keys"]), tuple(data["memory_ids"]))


@dataclass(frozen=True, slots=True)
class PatientRetry(RetryPolicy):
    """Tries again for as long as the graph is down, but gives an unusable answer up."""

    def delay(self, attempt: int, error: BaseException, *, spent: float) -> float | None:
        """Return the seconds to wait before the next attempt, or None to give up."""
        if not isinstance(error, ExtractionError):
            attempt, spent = min(attempt, self.attempts - 1), 0.0
        return RetryPolicy.delay(self, attempt, error, spent=spent)


def deliver_to_graph(
    graph: GraphMemory, backend: Backend, request: SyncRequest
) -> builtins.list[Memory]:
    """Let the graph say what the memories of a request say now, whatever that is."""
    memories = {
        memory.id: memory for key in request.keys for memory in backend.find(request.scope, key)
    }
    found = {memory_id: backend.get(request.scope, memory_id) for memory_id in request.memory_ids}
    memories |= {memory_id: memory for memory_id, memory in found.items() if memory is not None}
    gone = [memory_id for memory_id, memory in found.items() if memory is None]
    graph.sync(request.scope, list(memories.values()), gone)
    return list(memories.values())


class ProjectedBackend(Backend):
    """Does what another backend does, and lets a graph follow.

    Before anything changes, the outbox has on disk that the graph must look at it; it looks
    afterwards, also when the process died in between. A graph that is down holds nothing up.

    Args:
        backend: The Mem0.
        graph: Its graph.
        outbox: Keeps what the graph has to look at.
    """

    def __init__(self, backend: Backend, graph: GraphMemory, outbox: Outbox[SyncRequest]) -> None:
        self._backend = backend
        self.concurrency = backend.concurrency
        self._graph = graph
        self._outbox = outbox
        self._deliver = partial(deliver_to_graph, graph, backend)

    def check_scope(self, scope: Scope) -> None:
        """Refuse a scope that this Mem0 cannot keep apart."""
        self._backend.check_scope(scope)

    def search(self, request: SearchRequest) -> Iterator[Memory]:
        """Yield the memories of the scope, nearest first, as many as are taken."""
        return self._backend.search(request)

    def add(self, request: AddRequest) -> builtins.list[Memory]:
        """Store a turn and return the memories that it became."""
        with self._followed(request.scope, keys=[request.key]):
            return self._backend.add(request)

    def add_many(self, requests: Sequence[AddRequest]) -> builtins.list[int]:
        """Store many turns at once; returns how many memories each became."""
        if not requests:
            return []
        # An import is of one scope.
        with self._followed(requests[0].scope, keys=[request.key for request in requests]):
            return self._backend.add_many(requests)

    def undo(self, memories: Sequence[Memory]) -> None:
        """Take back what a write has stored whose scope was forgotten meanwhile."""
        self._backend.undo(memories)
        for scope in {memory.scope for memory in memories}:
            # Not only taken back: nothing of what was forgotten may stay in its history.
            self._graph.rebuild(scope, memories_as_said(self._backend, scope))

    def find(self, scope: Scope, key: str) -> builtins.list[Memory]:
        """Return what was stored under an idempotency key."""
        return self._backend.find(scope, key)

    def list(
        self, scope: Scope, *, filters: Mapping[str, object] | None, limit: int, offset: int
    ) -> builtins.list[Memory]:
        """Return a page of the scope's memories, newest first."""
        return self._backend.list(scope, filters=filters, limit=limit, offset=offset)

    def get(self, scope: Scope, memory_id: str) -> Memory | None:
        """Return a memory of the scope, or None."""
        return self._backend.get(scope, memory_id)

    def update(
        self,
        scope: Scope,
        memory_id: str,
        *,
        text: str | None,
        metadata: Mapping[str, object] | None,
    ) -> Memory:
        """Change a memory of the scope."""
        with self._followed(scope, memory_ids=[memory_id]):
            return self._backend.update(scope, memory_id, text=text, metadata=metadata)

    def delete(self, scope: Scope, memory_id: str) -> None:
        """Delete a memory of the scope."""
        with self._followed(scope, memory_ids=[memory_id]):
            self._backend.delete(scope, memory_id)

    def history(self, scope: Scope, memory_id: str) -> builtins.list[MemoryChange]:
        """Return the changes of a memory of the scope, oldest first, also after its deletion."""
        return self._backend.history(scope, memory_id)

    def forget(self, scope: Scope) -> ForgetResult:
        """Erase everything of the scope, its graph last: it follows from the memories."""
        with self._outbox.forgetting(scope):
            result = self._backend.forget(scope)
            facts = self._graph.forget(scope)
        return dataclasses.replace(result, relations=facts)

    def documents(self, kind: DocumentKind) -> Documents:
        """Return documents that lie beside the memories and are never recalled."""
        return self._backend.documents(kind)

    def memory_documents(self, template: NamespaceTemplate, follow: Follow) -> Documents:
        """Return the memories as documents; what is put becomes a memory, and is followed."""

        @contextmanager
        def followed(scope: Scope, memory_ids: Sequence[str]) -> Iterator[None]:
            with follow(scope, memory_ids), self._followed(scope, memory_ids=memory_ids):
                yield

        return self._backend.memory_documents(template, followed)

    def vector_memories(self) -> VectorMemories:
        """Return the memories with their vectors."""
        return _ProjectedVectors(self._backend.vector_memories(), self._followed)

    def models(self) -> Models:
        """Return the models of the Mem0."""
        return self._backend.models()

    def describe(self) -> dict[str, str]:
        """Say what this is, by part."""
        return {**self._backend.describe(), "graph": self._graph.describe()}

    def close(self) -> None:
        """Release what the backend opened."""
        self._backend.close()

    @contextmanager
    def _followed(
        self, scope: Scope, *, keys: Sequence[str] = (), memory_ids: Sequence[str] = ()
    ) -> Iterator[None]:
        """Let the graph look at memories when the block has ended, however it ends."""
        request = SyncRequest(scope, uuid.uuid4().hex, tuple(keys), tuple(memory_ids))
        with self._outbox.promising(request, self._deliver):
            yield
        if not self._outbox.delivers:
            # The process that delivers may have looked too early.
            again = dataclasses.replace(request, key=uuid.uuid4().hex)
            self._outbox.accept(again, self._deliver)


class _ProjectedVectors(VectorMemories):
    """Memories with their vectors, whose changes are followed."""

    def __init__(self, memories: VectorMemories, followed: _Followed) -> None:
        self._memories = memories
        self._followed = followed
        self.dimension = memories.dimension

    def embed(self, texts: Sequence[str]) -> builtins.list[builtins.list[float]]:
        return self._memories.embed(texts)

    def get(self, scope: Scope, ids: Sequence[str]) -> dict[str, Memory]:
        return self._memories.get(scope, ids)

    def put(self, scope: Scope, memories: Sequence[VectorMemory]) -> None:
        with self._followed(scope, memory_ids=[memory.id for memory in memories]):
            self._memories.put(scope, memories)

    def amend(self, scope: Scope, metadata: Mapping[str, Mapping[str, object]]) -> None:
        self._memories.amend(scope, metadata)

    def list(self, scope: Scope, equals: Mapping[str, str]) -> builtins.list[Memory]:
        return self._memories.list(scope, equals)

    def search(
        self, scope: Scope, vector: Sequence[float], equals: Mapping[str, str], limit: int
    ) -> Iterator[Memory]:
        return self._memories.search(scope, vector, equals, limit)

    def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        with self._followed(scope, memory_ids=ids):
            return self._memories.delete(scope, ids)
