"""What the outbox does with a write: carry it out, or take it back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mem0_integrations.backends.base import Backend
from mem0_integrations.following import Follower, followed
from mem0_integrations.records import ForgetResult, Memory
from mem0_integrations.requests import AddRequest, Change
from mem0_integrations.scope import Scope

__all__ = ["deliver", "forget", "undo"]


def deliver(backend: Backend, followers: Sequence[Follower], request: AddRequest) -> list[Memory]:
    """Store a turn, unless an earlier attempt has got through; returns its memories."""
    found = backend.find(request.scope, request.key)
    if found:
        return found
    with followed(followers, Change(request.scope, keys=(request.key,))):
        return backend.add(request)


def undo(backend: Backend, followers: Sequence[Follower], memories: Sequence[Memory]) -> None:
    """Take back what a write has stored whose scope was forgotten meanwhile."""
    step = partial(backend.undo, memories)
    for follower in followers:
        step = partial(follower.undo, memories, step)
    step()


def forget(backend: Backend, followers: Sequence[Follower], scope: Scope) -> ForgetResult:
    """Erase the memories of a scope, and what follows them."""
    step = partial(backend.forget, scope)
    for follower in followers:
        step = partial(follower.forget, scope, step)
    return step()
