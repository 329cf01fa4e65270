"""The parts of a Mem0 that adapters ask: its documents, and its memories with their vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from mem0_integrations.changes.access import Access
from mem0_integrations.concurrency import shielded
from mem0_integrations.requests import Change
from mem0_integrations.scope import Scope

if TYPE_CHECKING:
    from mem0_integrations.backends.documents import RowDocuments

__all__ = ["DocumentPart", "Documents", "Part"]

P = TypeVar("P")
T = TypeVar("T")


class Part(Generic[P]):
    """A part of a Mem0, asked with retries and not when the memory is closed. Asking it blocks."""

    def __init__(self, part: P, access: Access) -> None:
        self._part = part
        self._access = access

    @shielded
    def ask(
        self,
        ask: Callable[[P], T],
        *,
        scopes: Iterable[Scope | None] = (),
        changes: Sequence[Change] = (),
    ) -> T:
        """Read or change something.

        Args:
            ask: Does it; what is read lazily is read to its end within it.
            scopes: Whose memories are written, which waits while one is being forgotten.
            changes: What followers are told of.
        """
        with self._access.held(*scopes), self._access.following(*changes):
            return self._access.run(partial(ask, self._part))


Documents: TypeAlias = "RowDocuments"
DocumentPart: TypeAlias = Part[Documents]
