"""What the outbox does with a change: carry a write out, or erase a scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from mem0_integrations.backends.base import Backend
from mem0_integrations.following import Follower, followed
from mem0_integrations.records import ForgetResult, Memory
from mem0_integrations.requests import AddRequest, Attempt, Change
from mem0_integrations.scope import Scope

__all__ = ["MemoryDelivery"]


class MemoryDelivery:
    """Delivers to a Mem0, and tells what follows it.

    Args:
        backend: The Mem0.
        followers: What follows the memories, in the order in which they are told.
    """

    def __init__(self, backend: Backend, followers: Sequence[Follower]) -> None:
        self._backend = backend
        self._followers = followers

    def deliver(self, request: AddRequest, attempt: Attempt) -> list[Memory]:
        """Store a turn, or what is missing of it; returns its memories."""
        with followed(self._followers, Change(request.scope, keys=(request.key,))):
            return self._backend.add(request, attempt)

    def find(self, request: AddRequest) -> list[Memory]:
        """Return the memories that a turn became."""
        return self._backend.find(request.scope, request.key)

    def erase(self, scope: Scope, filters: Mapping[str, object] | None) -> ForgetResult:
        """Erase the memories of a scope, or those that filters select, and what follows them."""
        step = partial(self._backend.forget, scope, filters)
        for follower in self._followers:
            step = partial(follower.forget, scope, filters, step)
        return step()
