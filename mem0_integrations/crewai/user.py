"""Whose memories a crew reads and writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from mem0_integrations.errors import ScopeError
from mem0_integrations.scope import Scope

__all__ = ["UserId", "check_user", "scope_of_user"]

UserId: TypeAlias = str | Callable[[], str]


def check_user(user_id: UserId) -> None:
    """Check an id; a function is asked later.

    Raises:
        ScopeError: It is not an id.
    """
    if not callable(user_id):
        scope_of_user(user_id)


def scope_of_user(user_id: UserId) -> Scope:
    """Return whose memories are meant, now.

    Raises:
        ScopeError: It is not an id, or a `ContextVar` that was never set.
    """
    try:
        found = user_id() if callable(user_id) else user_id
    except LookupError as error:
        raise ScopeError(f"user_id= did not find whose memories are meant: {error!r}.") from error
    return Scope(user_id=found)
