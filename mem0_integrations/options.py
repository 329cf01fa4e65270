"""The options of `AgentMemory`'s methods, as types. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypedDict, Unpack

from mem0_integrations.arguments import OnError, check_on_error, check_search, check_timeout
from mem0_integrations.records import Memory
from mem0_integrations.scope import ScopeLike

__all__ = ["ImportOptions", "RecallOptions", "RememberOptions", "SearchOptions", "checked_search"]


class SearchOptions(TypedDict, total=False):
    """Those options of a recall that an application sets once, for every call of an adapter."""

    limit: int
    threshold: float | None
    filters: Mapping[str, object] | None
    timeout: float | None
    on_error: OnError | None


class RecallOptions(SearchOptions, total=False):
    """What `AgentMemory.recall` takes beside the query."""

    scope: ScopeLike | None
    as_of: datetime | None
    accept: Callable[[Memory], bool] | None
    repeats: bool
    neighbours: int
    explain: bool


class RememberOptions(TypedDict, total=False):
    """What `AgentMemory.remember` takes beside the messages."""

    scope: ScopeLike | None
    infer: bool
    metadata: Mapping[str, object] | None
    key: str | None
    background: bool
    timeout: float | None
    created_at: datetime | None
    include_tool_messages: bool
    on_error: OnError | None


class ImportOptions(TypedDict, total=False):
    """What `AgentMemory.remember_many` takes beside the messages."""

    scope: ScopeLike | None
    infer: bool
    metadata: Mapping[str, object] | None
    thread_id: str | None
    batch_size: int
    on_progress: Callable[[int], None] | None


def checked_search(
    names: tuple[str, str] = ("limit", "threshold"), /, **options: Unpack[SearchOptions]
) -> SearchOptions:
    """Return the options of an adapter's recalls, once they are known to be well-formed.

    Args:
        names: What the adapter calls `limit` and `threshold`.
        **options: All of `SearchOptions`, except those that the adapter does not have.

    Raises:
        InvalidInputError: An option is malformed.
    """
    limit, threshold = options.get("limit", 1), options.get("threshold")
    check_search(limit, threshold, options.get("filters"), names=names)
    check_timeout("timeout", options.get("timeout"))
    check_on_error(options.get("on_error"))
    return options
