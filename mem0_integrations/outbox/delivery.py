"""What an outbox is given to carry out what it accepted, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeVar

from mem0_integrations.outbox.attempts import Attempt
from mem0_integrations.outbox.ledger import Request
from mem0_integrations.records import ForgetResult, Memory, WriteResult
from mem0_integrations.scope import Scope

__all__ = ["Delivery", "Eraser", "Receipt"]

R_contra = TypeVar("R_contra", bound=Request, contravariant=True)


class Eraser(Protocol):
    """What erases the memories of a scope."""

    def erase(self, scope: Scope, filters: Mapping[str, object] | None) -> ForgetResult:
        """Erase everything of a scope, or what filters select; again, where it broke off."""
        ...


class Delivery(Eraser, Protocol[R_contra]):
    """What an outbox does with what it accepted."""

    def deliver(self, request: R_contra, attempt: Attempt) -> list[Memory]:
        """Carry a write out and return its memories; what an earlier attempt did stays done."""
        ...

    def find(self, request: R_contra) -> list[Memory]:
        """Return the memories of a write that was carried out."""
        ...


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a write when it was accepted, and what becomes of it in the end.

    Attributes:
        accepted: Status `queued` or `duplicate`.
        done: Resolves when the write was delivered or given up.
    """

    accepted: WriteResult
    done: Future[WriteResult]
