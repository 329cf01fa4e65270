"""Memories as they are listed, and as they were at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from mem0_integrations.errors import MemoryNotFoundError
from mem0_integrations.records import Memory, MemoryChange
from mem0_integrations.requests import MemorySource
from mem0_integrations.scope import Scope
from mem0_integrations.values import parse_time

__all__ = [
    "as_of",
    "changes_of",
    "first_top_k",
    "has_changed_since",
    "known_at",
    "newest_first",
    "not_found",
    "without_gaps",
]

# Asked for beside the limit: some will be near-duplicates, or not pass a filter.
_SPARE: Final = 3
_SELECTIVE: Final = 4


def first_top_k(limit: int, *, selective: bool) -> int:
    """Return how many results to ask for at first.

    Args:
        limit: How many memories will be taken, more or less.
        selective: Whether Mem0 does not know what else decides.
    """
    return limit * _SELECTIVE if selective else limit + _SPARE


def newest_first(memories: Iterable[Memory]) -> list[Memory]:
    """Sort memories by age; always the same way, so that pages never overlap."""
    by_id = sorted(memories, key=lambda memory: memory.id)
    return sorted(by_id, key=_age, reverse=True)


def changes_of(memory_id: str, entries: Iterable[Mapping[str, Any]]) -> list[MemoryChange]:
    """Read Mem0's history of a memory."""
    return [
        MemoryChange(
            memory_id=memory_id,
            event=entry["event"],
            old_text=entry["old_memory"],
            new_text=entry["new_memory"],
            at=parse_time(entry["updated_at"] or entry["created_at"]),
        )
        for entry in entries
    ]


def without_gaps(changes: Sequence[MemoryChange], memory: Memory | None) -> list[MemoryChange]:
    """Fill in what was not noted, because the process died between a memory and its history.

    Args:
        changes: The history of a memory, oldest first.
        memory: As it is; None if it was deleted.
    """
    filled: list[MemoryChange] = []
    text: str | None = None
    for change in changes:
        if change.old_text != text and (filled or change.event != "ADD"):
            filled.append(_unnoted(change.memory_id, text, change.old_text, None))
        filled.append(change)
        text = change.new_text
    now = None if memory is None else memory.text
    if text != now:
        memory_id = changes[-1].memory_id if memory is None else memory.id
        at = None
        if memory is not None:
            at = memory.updated_at if filled else memory.created_at
        filled.append(_unnoted(memory_id, text, now, at))
    if memory is not None and filled[0].event == "ADD" and filled[0].at is None:
        filled[0] = dataclasses.replace(filled[0], at=memory.created_at)
    return filled


def has_changed_since(memory: Memory, time: datetime) -> bool:
    """Tell whether a memory that was there at a time has been changed since then."""
    return (
        memory.created_at is not None
        and memory.created_at <= time
        and memory.updated_at is not None
        and memory.updated_at > time
    )


def as_of(memory: Memory, time: datetime, changes: Sequence[MemoryChange]) -> Memory | None:
    """Return a memory as it was at a time; None where it was not there yet.

    Args:
        memory: As it is.
        time: The time.
        changes: Its history, oldest first, where it `has_changed_since`.
    """
    if memory.created_at is None or memory.created_at > time:
        return None
    if not has_changed_since(memory, time):
        return memory
    texts = [change.new_text for change in changes if change.at and change.at <= time]
    if not texts or texts[-1] is None:
        return None
    return dataclasses.replace(memory, text=texts[-1])


def known_at(source: MemorySource, memory: Memory, time: datetime) -> Memory | None:
    """Return a memory as it was at a time; None where it was not there yet."""
    changed = has_changed_since(memory, time)
    return as_of(memory, time, source.history(memory.scope, memory.id) if changed else [])


def not_found(scope: Scope, memory_id: str) -> MemoryNotFoundError:
    """Return what is raised where a scope has no such memory."""
    return MemoryNotFoundError(f"{scope} has no memory with id {memory_id!r}.")


def _unnoted(
    memory_id: str, old_text: str | None, new_text: str | None, at: datetime | None
) -> MemoryChange:
    event = "ADD" if old_text is None else "DELETE" if new_text is None else "UPDATE"
    return MemoryChange(memory_id, event, old_text, new_text, at)


def _age(memory: Memory) -> float:
    return memory.created_at.timestamp() if memory.created_at else 0.0
