"""Single memories and pages of them: what `AgentMemory` does beside recall and remember."""

from __future__ import annotations

import asyncio
import builtins
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import TypeVar

from mem0_integrations.backends.base import AsyncBackend, Backend
from mem0_integrations.concurrency import WorkerPool
from mem0_integrations.documents import DocumentAccess
from mem0_integrations.errors import ClosedError, InvalidInputError, ScopeError
from mem0_integrations.guard import Guard
from mem0_integrations.namespaces import NamespaceTemplate
from mem0_integrations.outbox import Outbox
from mem0_integrations.planning import check_id, check_metadata, check_page, check_text
from mem0_integrations.records import DocumentKind, Memory, MemoryChange
from mem0_integrations.requests import AddRequest
from mem0_integrations.retry import RetryPolicy
from mem0_integrations.scope import Scope, ScopeLike
from mem0_integrations.vectors import VectorAccess

__all__ = ["MemoryAccess"]

T = TypeVar("T")


class MemoryAccess:
    """Lists, reads and changes single memories.

    Args:
        backend: The Mem0 behind it.
        outbox: Keeps writes and the forgetting of a scope apart.
        scope: Whose memories, where a call does not say.
        retry: How failures that may pass are retried.
    """

    def __init__(
        self,
        backend: Backend,
        outbox: Outbox[AddRequest],
        *,
        scope: ScopeLike | None,
        retry: RetryPolicy,
    ) -> None:
        self._backend = backend
        self._async_backend = backend if isinstance(backend, AsyncBackend) else None
        self._outbox = outbox
        self._scope = None if scope is None else Scope.of(scope)
        self._retry = retry
        self._closed = False
        self._process = os.getpid()
        self._calls = WorkerPool(backend.concurrency)
        self._guard = Guard(
            outbox=outbox, retry=retry, pool=self._calls, require_open=self._require_open
        )

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
        return self._read(
            partial(
                self._backend.list,
                self.scope_of(scope),
                filters=filters,
                limit=limit,
                offset=offset,
            )
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
        if self._async_backend is not None:
            check_page(limit, offset, filters)
            return await self._aread(
                partial(
                    self._async_backend.alist,
                    self.scope_of(scope),
                    filters=filters,
                    limit=limit,
                    offset=offset,
                )
            )
        return await self._in_thread(
            partial(self.list, scope=scope, filters=filters, limit=limit, offset=offset)
        )

    def get(self, memory_id: str, *, scope: ScopeLike | None = None) -> Memory | None:
        """Return a memory of a scope, or None.

        Raises:
            ScopeError: There is no scope.
            BackendError: Memory could not be read.
        """
        check_id(memory_id)
        return self._read(partial(self._backend.get, self.scope_of(scope), memory_id))

    async def aget(self, memory_id: str, *, scope: ScopeLike | None = None) -> Memory | None:
        """Async twin of `get`."""
        if self._async_backend is not None:
            check_id(memory_id)
            return await self._aread(
                partial(self._async_backend.aget, self.scope_of(scope), memory_id)
            )
        return await self._in_thread(partial(self.get, memory_id, scope=scope))

    def update(
        self,
        memory_id: str,
        *,
        scope: ScopeLike | None = None,
        text: str | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> Memory:
        """Change the text of a memory, or some of its metadata.

        Raises:
            InvalidInputError: There is nothing to change, or an argument is malformed.
            MemoryNotFoundError: The scope has no such memory.
            BackendError: Mem0 failed.
        """
        if text is None and metadata is None:
            raise InvalidInputError("update needs a text, metadata, or both.")
        check_id(memory_id)
        found = self.scope_of(scope)
        update = partial(
            self._backend.update,
            found,
            memory_id,
            text=None if text is None else check_text(text),
            metadata=None if metadata is None else check_metadata(metadata),
        )
        with self._outbox.writing(found):
            return self._read(update)

    async def aupdate(
        self,
        memory_id: str,
        *,
        scope: ScopeLike | None = None,
        text: str | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> Memory:
        """Async twin of `update`."""
        return await self._in_thread(
            partial(self.update, memory_id, scope=scope, text=text, metadata=metadata)
        )

    def delete(self, memory_id: str, *, scope: ScopeLike | None = None) -> None:
        """Delete a memory; its history stays until `forget`.

        Raises:
            MemoryNotFoundError: The scope has no such memory.
            BackendError: Mem0 failed.
        """
        check_id(memory_id)
        found = self.scope_of(scope)
        self._require_open()
        with self._outbox.writing(found):
            self._backend.delete(found, memory_id)

    async def adelete(self, memory_id: str, *, scope: ScopeLike | None = None) -> None:
        """Async twin of `delete`."""
        await self._in_thread(partial(self.delete, memory_id, scope=scope))

    def history(
        self, memory_id: str, *, scope: ScopeLike | None = None
    ) -> builtins.list[MemoryChange]:
        """Return the changes of a memory, oldest first; also of one that was deleted here.

        Raises:
            MemoryNotFoundError: The scope has no such memory.
            BackendError: Mem0 failed.
        """
        check_id(memory_id)
        return self._read(partial(self._backend.history, self.scope_of(scope), memory_id))

    async def ahistory(
        self, memory_id: str, *, scope: ScopeLike | None = None
    ) -> builtins.list[MemoryChange]:
        """Async twin of `history`."""
        if self._async_backend is not None:
            check_id(memory_id)
            return await self._aread(
                partial(self._async_backend.ahistory, self.scope_of(scope), memory_id)
            )
        return await self._in_thread(partial(self.history, memory_id, scope=scope))

    def documents(self, kind: DocumentKind | NamespaceTemplate) -> DocumentAccess:
        """Return documents, for the adapters: exact data that is never inferred from.

        Args:
            kind: `item` or `message`, which lie beside the memories; or, for the memories
                themselves, a template that tells whose lie under a path.
        """
        self._require_open()
        return DocumentAccess(
            self._backend.memory_documents(kind, lambda scope, memory_ids: nullcontext())
            if isinstance(kind, NamespaceTemplate)
            else self._backend.documents(kind),
            self._guard,
        )

    def vectors(self) -> VectorAccess:
        """Return the memories with their vectors, for the adapters of frameworks that embed.

        Raises:
            ConfigurationError: This Mem0 does not show its vectors.
        """
        self._require_open()
        return VectorAccess(self._backend.vector_memories(), self._guard)

    async def in_thread(self, call: Callable[[], T], *, timeout: float | None = None) -> T:
        """Carry out a blocking call in a thread of the memory.

        Args:
            call: The call.
            timeout: Seconds that it may take; None for no limit.

        Raises:
            BackendTimeoutError: It did not end within `timeout` seconds, and was left behind.
        """
        return await self._guard.in_thread(call, timeout=timeout)

    def _read(self, call: Callable[[], T]) -> T:
        self._require_open()
        return self._retry.run(call)

    async def _aread(self, call: Callable[[], Awaitable[T]]) -> T:
        self._require_open()
        return await self._retry.arun(call)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._calls.submit(call))

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("The memory is closed; connect() again.")
        if self._process != os.getpid():
            raise ClosedError(
                "The memory was opened before os.fork() and its threads stayed in the parent; "
                "connect() in the process that uses it."
            )
