"""A Mem0 whose every change is projected to a graph, behind an outbox of its own."""

from __future__ import annotations

import builtins
import dataclasses
import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Self

from mem0_integrations.backends.base import Backend, memories_as_said
from mem0_integrations.backends.followed import FollowedBackend
from mem0_integrations.errors import ExtractionError
from mem0_integrations.graph.graph_memory import GraphMemory
from mem0_integrations.outbox import Outbox
from mem0_integrations.records import ForgetResult, Memory
from mem0_integrations.retry import RetryPolicy
from mem0_integrations.scope import Scope

__all__ = ["PatientRetry", "ProjectedBackend", "SyncRequest", "deliver_to_graph"]


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


class ProjectedBackend(FollowedBackend):
    """Does what another backend does, and lets a graph follow.

    Before anything changes, the outbox has on disk that the graph must look at it; it looks
    afterwards, also when the process died in between. A graph that is down holds nothing up.

    Args:
        backend: The Mem0.
        graph: Its graph.
        outbox: Keeps what the graph has to look at.
    """

    def __init__(self, backend: Backend, graph: GraphMemory, outbox: Outbox[SyncRequest]) -> None:
        super().__init__(backend)
        self._graph = graph
        self._outbox = outbox
        self._deliver = partial(deliver_to_graph, graph, backend)

    def undo(self, memories: Sequence[Memory]) -> None:
        """Take back what a write has stored whose scope was forgotten meanwhile."""
        super().undo(memories)
        for scope in {memory.scope for memory in memories}:
            # Not only taken back: nothing of what was forgotten may stay in its history.
            self._graph.rebuild(scope, memories_as_said(self._backend, scope))

    def forget(self, scope: Scope) -> ForgetResult:
        """Erase everything of the scope, its graph last: it follows from the memories."""
        with self._outbox.forgetting(scope):
            result = super().forget(scope)
            facts = self._graph.forget(scope)
        return dataclasses.replace(result, relations=facts)

    def describe(self) -> dict[str, str]:
        """Say what this is, by part."""
        return {**super().describe(), "graph": self._graph.describe()}

    @contextmanager
    def followed(
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
