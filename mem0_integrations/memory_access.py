"""Single memories and pages of them: what `AgentMemory` does beside recall and remember."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from mem0_integrations.arguments import check_id, check_metadata, check_page, check_text
from mem0_integrations.backends.base import Backend
from mem0_integrations.changes.access import Access
from mem0_integrations.concurrency import shielded
from mem0_integrations.errors import InvalidInputError, MemoryNotFoundError, ScopeError
from mem0_integrations.following import Follower
from mem0_integrations.namespaces import NamespaceTemplate
from mem0_integrations.outbox import Outbox
from mem0_integrations.parts import DocumentPart, Part
from mem0_integrations.records import DocumentKind, Memory, MemoryChange
from mem0_integrations.requests import AddRequest, Change
from mem0_integrations.retry import RetryPolicy
from mem0_integrations.scope import Scope, ScopeLike

if TYPE_CHECKING:
    from mem0_integrations.backends.vector_memories import VectorMemories

__all__ = ["MemoryAccess"]

T = TypeVar("T")


class MemoryAccess:
    """Lists, reads and changes single memories.

    Args:
        backend: The Mem0 behind it.
        outbox: Keeps writes and the forgetting of a scope apart.
        scope: Whose memories, where a call does not say.
        retry: How failures that may pass are retried.
        followers: What follows the memories.
    """

    def __init__(
        self,
        backend: Backend,
        outbox: Outbox[AddRequest],
        *,
        scope: ScopeLike | None,
        retry: RetryPolicy,
        followers: Sequence[Follower],
    ) -> None:
        self._backend = backend
        self._outbox = outbox
        self._scope = None if scope is None else Scope.of(scope)
        self._access = Access(backend, outbox, retry=retry, followers=followers)

    @property
    def default_scope(self) -> Scope | None:
        """The scope that it was connected with."""
        return self._scope

    def scope_of(self, scope: ScopeLike | None) -> Scope:
        """Return the scope that a call means: the given one, or that of `connect`.

        Raises:
            ScopeError: There is none, it is malformed, or Mem0 cannot keep it apart.
        """
        found = self._scope if scope is None else Scope.of(scope)
        if found is None:
            raise ScopeError(
                "No scope: whose memories? Pass scope={'user_id': ...}, or connect(scope=...)."
            )
        self._backend.check_scope(found)
        return found

    @shielded
    def list(
        self,
        *,
        scope: ScopeLike | None = None,
        filters: Mapping[str, object] | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> builtins.list[Memory]:
        """Return a page of the memories of a scope, newest first.

        Raises:
            InvalidInputError: An argument is malformed.
            BackendError: Memory could not be read.
        """
        check_page(limit, offset, filters)
        found = self.scope_of(scope)
        return self._access.call(
            lambda mem0: mem0.list(found, filters=filters, limit=limit, offset=offset)
        )

    async def alist(
        self,
        *,
        scope: ScopeLike | None = None,
        filters: Mapping[str, object] | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> builtins.list[Memory]:
        """Async twin of `list`."""
        check_page(limit, offset, filters)
        found = self.scope_of(scope)
        return await self._access.acall(
            lambda mem0: mem0.alist(found, filters=filters, limit=limit, offset=offset),
            lambda: self.in_thread(
                lambda: self.list(scope=found, filters=filters, limit=limit, offset=offset)
            ),
        )

    @shielded
    def get(self, memory_id: str, *, scope: ScopeLike | None = None) -> Memory | None:
        """Return a memory of a scope, or None.

        Raises:
            ScopeError: There is no scope.
            BackendError: Memory could not be read.
        """
        check_id(memory_id)
        found = self.scope_of(scope)
        return self._access.call(lambda mem0: mem0.get(found, memory_id))

    async def aget(self, memory_id: str, *, scope: ScopeLike | None = None) -> Memory | None:
        """Async twin of `get`."""
        check_id(memory_id)
        found = self.scope_of(scope)
        return await self._access.acall(
            lambda mem0: mem0.aget(found, memory_id),
            lambda: self.in_thread(lambda: self.get(memory_id, scope=found)),
        )

    @shielded
    def update(
        self,
        memory_id: str,
        *,
        scope: ScopeLike | None = None,
        text: str | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> Memory:
        """Change the text of a memory, or some of its metadata.

        Several at once change what they name: none is lost, also between processes on PostgreSQL.

        Raises:
            InvalidInputError: There is nothing to change, or an argument is malformed.
            MemoryNotFoundError: The scope has no such memory.
            BackendError: Mem0 failed.
        """
        if text is None and metadata is None:
            raise InvalidInputError("update needs a text, metadata, or both.")
        check_id(memory_id)
        found = self.scope_of(scope)
        new_text = None if text is None else check_text(text)
        new_metadata = None if metadata is None else check_metadata(metadata)
        return self._access.change(
            Change(found, memory_ids=(memory_id,)),
            lambda mem0: mem0.update(found, memory_id, text=new_text, metadata=new_metadata),
        )

    async def aupdate(
        self,
        memory_id: str,
        *,
        scope: ScopeLike | None = None,
        text: str | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> Memory:
        """Async twin of `update`."""
        return await self.in_thread(
            lambda: self.update(memory_id, scope=scope, text=text, metadata=metadata)
        )

    @shielded
    def delete(self, memory_id: str, *, scope: ScopeLike | None = None) -> None:
        """Delete a memory; its history stays until `forget`.

        Raises:
            MemoryNotFoundError: The scope has no such memory.
            BackendError: Mem0 failed.
        """
        check_id(memory_id)
        found = self.scope_of(scope)
        failed = False

        def delete(mem0: Backend) -> None:
            nonlocal failed
            try:
                mem0.delete(found, memory_id)
            except MemoryNotFoundError:
                # An attempt whose answer was lost may have got through.
                if not failed:
                    raise
            except Exception:
                failed = True
                raise

        self._access.change(Change(found, memory_ids=(memory_id,)), delete)

    async def adelete(self, memory_id: str, *, scope: ScopeLike | None = None) -> None:
        """Async twin of `delete`."""
        await self.in_thread(lambda: self.delete(memory_id, scope=scope))

    @shielded
    def history(
        self, memory_id: str, *, scope: ScopeLike | None = None
    ) -> builtins.list[MemoryChange]:
        """Return the changes of a memory, oldest first; also of one that was deleted here.

        Raises:
            MemoryNotFoundError: The scope has no such memory.
            BackendError: Mem0 failed.
        """
        check_id(memory_id)
        found = self.scope_of(scope)
        return self._access.call(lambda mem0: mem0.history(found, memory_id))

    async def ahistory(
        self, memory_id: str, *, scope: ScopeLike | None = None
    ) -> builtins.list[MemoryChange]:
        """Async twin of `history`."""
        check_id(memory_id)
        found = self.scope_of(scope)
        return await self._access.acall(
            lambda mem0: mem0.ahistory(found, memory_id),
            lambda: self.in_thread(lambda: self.history(memory_id, scope=found)),
        )

    async def in_thread(self, call: Callable[[], T], *, timeout: float | None = None) -> T:
        """Carry a blocking call out in a thread of the memory, for the adapters.

        Args:
            call: The call.
            timeout: Seconds; None to wait without an end.

        Raises:
            BackendTimeoutError: It did not end in time, and was left behind.
            ClosedError: The memory is closed.
        """
        return await self._access.in_thread(call, timeout=timeout)

    @shielded
    def documents(self, kind: DocumentKind | NamespaceTemplate) -> DocumentPart:
        """Return documents, for the adapters: exact data that is never inferred from.

        Args:
            kind: `item` or `message`, which lie beside the memories; or, for the memories
                themselves, a template that tells whose lie under a path.
        """
        self._access.require_open()
        return Part(
            self._backend.memory_documents(kind, self._access.following)
            if isinstance(kind, NamespaceTemplate)
            else self._backend.documents(kind),
            self._access,
        )

    @shielded
    def vectors(self) -> Part[VectorMemories]:
        """Return the memories with their vectors, for the adapters of frameworks that embed.

        Raises:
            ConfigurationError: This Mem0 does not show its vectors.
        """
        self._access.require_open()
        return Part(self._backend.vector_memories(), self._access)
