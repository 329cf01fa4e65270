"""Documents behind `AgentMemory`: exact data beside the memories, or the memories themselves."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import islice

from mem0_integrations.backends.base import Documents
from mem0_integrations.changes.access import Access
from mem0_integrations.records import Address, Document

__all__ = ["DocumentAccess"]


class DocumentAccess:
    """Reads and writes documents, with retries, and not while their scope is being forgotten.

    Its methods block; `AgentMemory.in_thread` is for event loops.

    Args:
        documents: Where they lie.
        access: Carries the calls out.
    """

    def __init__(self, documents: Documents, access: Access) -> None:
        self._documents = documents
        self._access = access

    def get(self, addresses: Sequence[Address]) -> builtins.list[Document | None]:
        """Return the documents at addresses, in their order."""
        return self._access.run(partial(self._documents.get, addresses))

    def put(self, documents: Sequence[Document]) -> None:
        """Store documents, or replace those at the same addresses."""
        with self._access.held(*(document.scope for document in documents)):
            self._access.run(partial(self._documents.put, documents))

    def delete(self, addresses: Sequence[Address]) -> None:
        """Delete the documents at addresses, where there are any."""
        self._access.run(partial(self._documents.delete, addresses))

    def prolong(self, addresses: Sequence[Address], now: datetime) -> None:
        """Let documents that expire live for their `ttl` from now on."""
        self._access.run(partial(self._documents.prolong, addresses, now))

    def sweep(self, now: datetime) -> int:
        """Delete the documents that have expired; returns how many."""
        return self._access.run(partial(self._documents.sweep, now))

    def list(self, prefix: tuple[str, ...]) -> builtins.list[Document]:
        """Return the documents under a prefix, in any order."""
        return self._access.run(partial(self._documents.list, prefix))

    def search(
        self, prefix: tuple[str, ...], query: str, limit: int, *, passes: Callable[[Document], bool]
    ) -> builtins.list[Document]:
        """Return the documents under a prefix that pass, at most `limit`, nearest first."""

        def found() -> builtins.list[Document]:
            nearest = self._documents.search(prefix, query, limit)
            return list(islice(filter(passes, nearest), limit))

        return self._access.run(found)
