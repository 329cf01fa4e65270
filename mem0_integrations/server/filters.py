"""The Platform's filters, compiled to what the core searches by and checks. Pure.

```text
{"user_id": "u", "run_id": "*"}                     all keys must match; "*": any value but None
{"AND": [f, ...]}, {"OR": [...]}, {"NOT": [...]}     all, any, none of them; NOT takes one, too
{"created_at": {"gte": "2026-11-01"}}               ISO 8601, or seconds since the epoch
{"categories": {"in": ["food"]}}                    {"contains": "foo"} finds a part of one
{"metadata": {"team": "billing"}}                   or {"team": {"ne": ..., "contains": ...}}
{"keywords": {"icontains": "tea"}}                  in the text
{"memory_ids": ["..."]}
```

The operators are those of `mem0_integrations.filters` except `nin`, which the Platform lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mem0_integrations.errors import InvalidFilterError
from mem0_integrations.filters import compile_filters, split_equalities
from mem0_integrations.records import Memory
from mem0_integrations.scope import Scope
from mem0_integrations.server.tenancy import (
    APP_FIELD,
    ENTITY_KEYS,
    RUN_FIELD,
    ClientMemory,
    checked_id,
    metadata_key,
    project_scope,
    read_moment,
    today,
)
from mem0_integrations.values import OWN

__all__ = ["MemoryQuery", "compile_query"]

_LOGICAL: Final = ("AND", "OR", "NOT")
_TIMES: Final = ("created_at", "updated_at", "timestamp")
_TEXTS: Final = ("text", "keywords", "keywords_search")
_KEYS: Final = (
    *_LOGICAL,
    *ENTITY_KEYS,
    *_TIMES,
    "expiration_date",
    "categories",
    "metadata",
    *_TEXTS,
    "memory_ids",
)
# As JavaScript's programs spell them, whose client passes filters on as they are.
_CAMEL: Final = {
    "".join(part.title() if i else part for i, part in enumerate(key.split("_"))): key
    for key in _KEYS
    if "_" in key
}
_OPERATORS: Final = frozenset({"eq", "ne", "in", "gt", "gte", "lt", "lte", "contains", "icontains"})
_MAX_DEPTH: Final = 20

# Names in the compiled filter, where those of the scope's ids are not allowed.
_METADATA: Final = "metadata."
_SEPARATOR: Final = "\n"


@dataclass(frozen=True, slots=True)
class MemoryQuery:
    """A compiled filter: which memories of a project a client asks for.

    Attributes:
        scope: The project, and the ids that every result must have.
        filters: The part of the filter that a store can check; None for nothing.
        accept: Tells whether a memory of the scope meets the whole filter.
        names_entity: Whether the filter has a condition on an id of an entity.
    """

    scope: Scope
    filters: Mapping[str, object] | None
    accept: Callable[[Memory], bool]
    names_entity: bool


def compile_query(
    filters: Mapping[str, object] | None, project_id: str, *, show_expired: bool = False
) -> MemoryQuery:
    """Compile a client's filter; without one, all memories of the project are asked for.

    Raises:
        InvalidFilterError: The filter is malformed; the message names the path.
        ScopeError: An id is malformed.

    Example:
        >>> query = compile_query({"AND": [{"user_id": "ann"}, {"run_id": "r"}]}, "p")
        >>> query.scope, query.filters
        (Scope(user_id='ann', run_id='p'), {'platform_run_id': 'r'})
    """
    reader = _Reader()
    condition = reader.read({} if filters is None else filters, "filters", 1, certain=True)
    passes = compile_filters(condition or None)

    def accept(memory: Memory) -> bool:
        if memory.scope.run_id != project_id:
            return False
        seen = ClientMemory.of(memory)
        if not show_expired and seen.is_expired(today()):
            return False
        return passes(_record(seen))

    ids = {key: reader.certain[key] for key in reader.certain if key in ENTITY_KEYS}
    sessions = {"app_id": APP_FIELD, "run_id": RUN_FIELD}
    session = {field: ids.pop(key) for key, field in sessions.items() if key in ids}
    pushed = {**reader.pushed, **session}
    return MemoryQuery(
        project_scope(project_id, **ids), pushed or None, accept, reader.names_entity
    )


class _Reader:
    """Translates a filter, and collects the conditions that every result must meet."""

    def __init__(self) -> None:
        self.certain: dict[str, str] = {}
        self.pushed: dict[str, object] = {}
        self.names_entity = False

    def read(self, filters: object, path: str, depth: int, *, certain: bool) -> dict[str, object]:
        if not isinstance(filters, Mapping):
            raise InvalidFilterError(f"{path}: expected an object, got {type(filters).__name__}")
        if not filters and depth > 1:
            raise InvalidFilterError(f"{path}: an empty filter says nothing; leave it out")
        if depth > _MAX_DEPTH:
            raise InvalidFilterError(f"{path}: nested deeper than {_MAX_DEPTH} levels")
        parts = [
            self._entry(_CAMEL.get(str(key), str(key)), value, f"{path}.{key}", depth, certain)
            for key, value in filters.items()
        ]
        return _all_of(parts)

    def _entry(
        self, key: str, value: object, path: str, depth: int, certain: bool
    ) -> dict[str, object]:
        if key in _LOGICAL:
            listed = value if isinstance(value, list | tuple) else [value]
            if not listed:
                raise InvalidFilterError(f"{path}: expected a non-empty list of filters")
            inner = certain and key == "AND"
            parts = [
                self.read(part, f"{path}[{i}]", depth + 1, certain=inner)
                for i, part in enumerate(listed)
            ]
            if certain and key == "OR" and (entity := _extracted_of(listed)) is not None:
                # The Platform stores what two entities share under one id, this server under both.
                self.certain.setdefault(*entity)
            return {key: parts}
        if key in ENTITY_KEYS:
            return self._entity(key, value, path, certain=certain)
        if key in _TIMES:
            field = "updated_at" if key == "updated_at" else "created_at"
            return {field: _each(value, path, _moment)}
        if key == "expiration_date":
            return {key: _each(value, path, _day)}
        if key == "categories":
            return _categories(value, path)
        if key == "metadata":
            return self._metadata(value, path, certain=certain)
        if key in _TEXTS:
            return {
                "text": {"icontains": value} if isinstance(value, str) else _checked(value, path)
            }
        if key == "memory_ids":
            return {"id": {"in": _list(value)} if not isinstance(value, Mapping) else value}
        raise InvalidFilterError(
            f"{path}: top-level key must be a logical operator or an allowed field: "
            f"{', '.join(_KEYS)}; what you keep in metadata is asked for with 'metadata'"
        )

    def _entity(self, key: str, value: object, path: str, *, certain: bool) -> dict[str, object]:
        self.names_entity = True

        def id_of(given: object, _: str) -> object:
            return None if given is None else checked_id(key, given)

        if value == "*":
            return {_name(key): "*"}
        condition = _each(value, path, id_of)
        only = condition.get("eq") if len(condition) == 1 else None
        if certain and isinstance(only, str):
            # With a second id for the same key nothing is found; the condition itself ensures that.
            self.certain.setdefault(key, only)
        return {_name(key): condition}

    def _metadata(self, value: object, path: str, *, certain: bool) -> dict[str, object]:
        if not isinstance(value, Mapping) or not value:
            raise InvalidFilterError(f"{path}: expected an object such as {{'team': 'billing'}}")
        parts: list[dict[str, object]] = []
        for key, wanted in value.items():
            if key in ("eq", "ne", "contains") and isinstance(wanted, Mapping):
                # The operator may also come before the keys.
                inner = {
                    name: item if key == "ne" else {key: item} for name, item in wanted.items()
                }
                part = self._metadata(inner, f"{path}.{key}", certain=certain and key != "ne")
                parts.append({"NOT": [part]} if key == "ne" else part)
                continue
            condition = _condition(wanted, f"{path}.{key}")
            parts.append({_METADATA + key: condition})
            if certain and isinstance(condition, Mapping) and len(condition) == 1:
                pushed, _ = split_equalities({metadata_key(key): condition.get("eq")})
                self.pushed = {**pushed, **self.pushed}
        return _all_of(parts)


def _all_of(parts: Sequence[dict[str, object]]) -> dict[str, object]:
    return parts[0] if len(parts) == 1 else {"AND": list(parts)} if parts else {}


def _extracted_of(alternatives: Sequence[object]) -> tuple[str, str] | None:
    """Return the id that alternatives stand for which this package sends to the Platform, or None.

    They are those of `backends.platform_dialect.scope_filter`: under an id, or extracted from the
    same messages and stored under another one.
    """
    match alternatives:
        case [{**asked}, {"AND": [{**_other}, {"metadata": {**said}}]}] if len(asked) == 1:
            ((key, value),) = asked.items()
            if key in ENTITY_KEYS and isinstance(value, str) and said == {f"{OWN}{key}": value}:
                return str(key), value
    return None


def _name(key: str) -> str:
    return key.removesuffix("_id")


def _condition(value: object, path: str) -> object:
    """Return a condition in the form of the core: operators, or "*"."""
    if value == "*":
        return value
    if isinstance(value, Mapping):
        return _checked(value, path)
    return {"eq": value}


def _checked(value: object, path: str) -> dict[str, object]:
    if not isinstance(value, Mapping) or not value:
        raise InvalidFilterError(f"{path}: expected an operator, such as {{'contains': ...}}")
    for operator in value:
        if operator not in _OPERATORS:
            raise InvalidFilterError(
                f"{path}: unknown operator {operator!r}; use one of {', '.join(sorted(_OPERATORS))}"
            )
    return dict(value)


def _each(value: object, path: str, read: Callable[[object, str], object]) -> dict[str, object]:
    """Return a condition with each operand read by a function."""
    condition = _checked(value, path) if isinstance(value, Mapping) else None
    if condition is None:
        condition = {"in": value} if isinstance(value, list | tuple) else {"eq": value}
    return {
        operator: [read(item, path) for item in operand]
        if isinstance(operand, list | tuple)
        else read(operand, path)
        for operator, operand in condition.items()
    }


def _moment(value: object, path: str) -> object:
    if value is None:
        return None
    found = read_moment(value)
    if found is None:
        raise InvalidFilterError(
            f"{path}: not a time: {value!r}; use an ISO 8601 string, or seconds since the epoch"
        )
    return found


def _day(value: object, path: str) -> object:
    found = _moment(value, path)
    return found.date().isoformat() if isinstance(found, datetime) else None


def _categories(value: object, path: str) -> dict[str, object]:
    if isinstance(value, Mapping):
        condition = _checked(value, path)
        part = condition.pop("contains", condition.pop("icontains", None))
        for operator, of_any in (("eq", "in"), ("ne", "nin")):
            if operator in condition:
                condition[of_any] = _list(condition.pop(operator))
        parts: list[dict[str, object]] = [{"categories": condition}] if condition else []
        if part is not None:
            # Part of a category: the categories are searched as one text.
            parts.append({"category_text": {"icontains": part}})
        return _all_of(parts)
    if value == "*":
        return {"NOT": [{"categories": []}]}
    return {"categories": {"in": _list(value)}}


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _record(memory: ClientMemory) -> dict[str, object]:
    """Return the values of a memory that a compiled filter can check."""
    return {
        **{_METADATA + key: value for key, value in memory.metadata.items()},
        **{_name(key): value for key, value in memory.entities.ids.items()},
        "id": memory.id,
        "text": memory.text,
        "categories": list(memory.categories),
        "category_text": _SEPARATOR.join(memory.categories),
        "expiration_date": memory.expiration_date and memory.expiration_date.isoformat(),
        "created_at": memory.created_at,
        "updated_at": memory.updated_at,
    }
