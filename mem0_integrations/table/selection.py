"""Mem0's filter dialect, split into what SQLite selects and what Python checks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from mem0_integrations.errors import InvalidFilterError
from mem0_integrations.filters import Predicate, compile_filters, split_equalities
from mem0_integrations.table.rows import Ids
from mem0_integrations.table.schema import COLUMNS, ID_COLUMNS
from mem0_integrations.values import PATH_FIELDS, is_text

__all__ = ["Filters", "Selection", "select"]

Filters: TypeAlias = Mapping[str, object]

# Mem0 renames them before it calls a store.
_LOGICAL: Final = {"$and": "AND", "$or": "OR", "$not": "NOT"}


@dataclass(frozen=True)
class Selection:
    """The memories whose indexed columns equal `ids`, and whose payload `matches` accepts.

    What matches has all of `parts` in the text of its payload.
    """

    ids: Ids
    matches: Predicate | None
    parts: tuple[str, ...] = ()
    texts: Mapping[str, str] | None = None
    """What fields of the payload are equal to, where that is all that it has to match."""

    @property
    def order(self) -> Literal["created_at", "updated_at"] | None:
        """By which of their times they can be listed at once; None for the last added first."""
        if not self.ids:
            return None
        return "updated_at" if any(key in PATH_FIELDS for key, _ in self.ids) else "created_at"

    def where(self, collection: str) -> tuple[str, list[str]]:
        """Return the SQL after `FROM memories` for equal columns, and its parameters."""
        wanted = dict(self.ids)
        columns = [column for column in COLUMNS if column in wanted]
        # Left to itself, SQLite may take the index of an agent that serves every user.
        index = f"INDEXED BY memories_{columns[0]} " if columns else ""
        conditions = " AND ".join(f"{column} = ?" for column in ["collection", *columns])
        return f"{index}WHERE {conditions}", [collection, *(wanted[c] for c in columns)]


def select(filters: Filters | None) -> Selection:
    """Read filters as Mem0 passes them to a vector store.

    An id is always literal: "*" is a user like any other. In a condition on another key, a list
    means any of its values, as in Mem0; the rest is the grammar of `mem0_integrations.filters`.

    Args:
        filters: Ids and conditions on the payload, all of which must hold; None selects all.

    Raises:
        InvalidFilterError: An id is not text, or a condition is malformed.

    Example:
        >>> select({"user_id": "ann"}).where("memories")
        ('INDEXED BY memories_user_id WHERE collection = ? AND user_id = ?', ['memories', 'ann'])
    """
    ids: dict[str, str] = {}
    conditions: dict[str, object] = {}
    for key, value in (filters or {}).items():
        if key in COLUMNS and is_text(value):
            ids[key] = value
        elif key in ID_COLUMNS:
            raise InvalidFilterError(f"filters.{key}: an id is valid text, got {value!r}")
        else:
            conditions[key] = value
    if not conditions:
        return Selection(frozenset(ids.items()), None)
    translated = _translated(conditions)
    equal, rest = split_equalities(translated)
    # The JSON of a list or a mapping is no text, but SQLite takes it for one.
    texts = {
        key: value
        for key, value in equal.items()
        if isinstance(value, str) and not value.startswith(("[", "{"))
    }
    # As `rows.encoded` writes it; it may also stand deeper in a payload.
    parts = tuple(json.dumps({key: value})[1:-1] for key, value in equal.items())
    return Selection(
        frozenset(ids.items()),
        compile_filters(translated),
        parts,
        texts if rest is None and texts.keys() == equal.keys() else None,
    )


def _translated(conditions: Filters) -> Filters:
    translated: dict[str, object] = {}
    for given, value in conditions.items():
        key = _LOGICAL.get(given, given)
        if key in translated:
            raise InvalidFilterError(f"filters: {given!r} and {key!r} mean the same; use one")
        if not isinstance(value, list | tuple):
            translated[key] = value
        elif key in _LOGICAL.values():
            translated[key] = [_translated(p) if isinstance(p, Mapping) else p for p in value]
        else:
            translated[key] = {"in": value}
    return translated
