"""Metadata filters: Mem0's grammar, compiled to a predicate over flat records.

Mem0's vector stores disagree about everything but plain equality (one compares as text, another
rejects nesting, a third ignores what it does not know), so this package evaluates filters itself
and hands a store only what every store agrees on: see `split_equalities`.

```text
{"team": "billing", "vip": True}            equal; several keys are ANDed
{"team": None}, {"team": "*"}               absent or None; anything but that
{"price": {"gte": 10, "lt": 20}}            several operators are ANDed
{"created_at": {"gte": "2026-11-01"}}       times, as ISO strings, dates or datetimes
{"AND": [f, ...]}                           all of them; "OR": any; "NOT": none
```

Operators: `eq`, `ne`, `in`, `nin`, `gt`, `gte`, `lt`, `lte`, `contains`, `icontains`. `ne` and
`nin` are the exact opposite of `eq` and `in`, so they match a record without the key. `in` finds
any overlap with a list; `contains` finds an element of a list or a part of a string.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Final, TypeGuard

from mem0_integrations.errors import InvalidFilterError
from mem0_integrations.records import Memory
from mem0_integrations.scope import SCOPE_KEYS

__all__ = [
    "Predicate",
    "compile_filters",
    "matches",
    "record_of",
    "split_equalities",
    "validate_filters",
]

Predicate = Callable[[Mapping[str, object]], bool]
_Test = Callable[[object], bool]

_RESERVED_KEYS: Final = frozenset({*SCOPE_KEYS, "actor_id"})
_TIME_KEYS: Final = frozenset({"created_at", "updated_at"})
_MAX_DEPTH: Final = 20

_ORDER: Final = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}
_OPERATORS: Final = ("eq", "ne", "in", "nin", *_ORDER, "contains", "icontains")
_USE_ONE_OF: Final = f"use one of {', '.join(_OPERATORS)}"

# What a store keeps under another name or in another form than a record shows.
_NEVER_PUSHED: Final = _TIME_KEYS | {"id", "text", "categories", "data", "hash"}
# Some stores read a dot or a bracket in a key as a path into a nested value.
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def validate_filters(filters: Mapping[str, object] | None) -> None:
    """Check a filter without evaluating it.

    Args:
        filters: A filter, or None for no filter.

    Raises:
        InvalidFilterError: The filter is malformed; the message names the path.

    Example:
        >>> validate_filters({"AND": [{"team": "billing"}, {"price": {"gte": 10, "lt": 20}}]})
    """
    compile_filters(filters)


def matches(filters: Mapping[str, object], record: Mapping[str, object]) -> bool:
    """Tell whether a record passes a filter.

    Values of types that do not compare simply do not match. Equality is typed, so 1,
    1.0, True and "1" are four values, while `gt` and its kin compare integers with floats.

    Args:
        filters: A filter; an empty one matches everything.
        record: Flat: the fields of a memory and its metadata keys, side by side.

    Raises:
        InvalidFilterError: The filter is malformed; the message names the path.

    Example:
        >>> matches({"tags": {"contains": "vip"}}, {"tags": ["vip", "eu"]})
        True
    """
    return compile_filters(filters)(record)


def compile_filters(filters: Mapping[str, object] | None) -> Predicate:
    """Compile a filter once, to evaluate it on many records.

    Args:
        filters: A filter; None or an empty one matches everything.

    Returns:
        Whether a flat record matches; this function never raises.

    Raises:
        InvalidFilterError: The filter is malformed; the message names the path.

    Example:
        >>> cheap = compile_filters({"price": {"lt": 20}})
        >>> [cheap({"price": 5}), cheap({"price": "5"}), cheap({})]
        [True, False, False]
    """
    return _filter({} if filters is None else filters, "filters", 1)


def split_equalities(
    filters: Mapping[str, object] | None,
) -> tuple[dict[str, str | int], Mapping[str, object] | None]:
    """Split off the equalities that every Mem0 vector store evaluates alike.

    They are a pre-filter: it never drops a match but may let others through, so evaluate the
    whole filter with `matches` on what the store returns. pgvector compares as text, so 5 also
    finds "5"; Qdrant compares types, but there "a" also finds a list that has "a". Never pushed
    are floats, booleans, keys like paths, and fields that a store keeps in another form.

    Args:
        filters: A filter, or None.

    Returns:
        The equalities for the store, and the rest of the filter, None if nothing is left.

    Raises:
        InvalidFilterError: The filter is malformed; the message names the path.

    Example:
        >>> split_equalities({"team": "billing", "price": {"lt": 20}})
        ({'team': 'billing'}, {'price': {'lt': 20}})
    """
    validate_filters(filters)
    pushed: dict[str, str | int] = {}
    rest: dict[str, object] = {}
    for key, value in (filters or {}).items():
        if _PLAIN_KEY.fullmatch(key) and key not in _NEVER_PUSHED and _is_pushable(value):
            pushed[key] = value
        else:
            rest[key] = value
    return pushed, rest or None


def record_of(memory: Memory) -> dict[str, object]:
    """Return what a metadata filter can ask about a memory."""
    return {
        **memory.metadata,
        "text": memory.text,
        "categories": list(memory.categories),
        "created_at": memory.created_at,
        "updated_at": memory.updated_at,
    }


def _is_pushable(value: object) -> TypeGuard[str | int]:
    if isinstance(value, str):
        # PostgreSQL refuses a NUL character, and half a surrogate pair is not UTF-8.
        return value != "*" and "\0" not in value and not re.search("[\ud800-\udfff]", value)
    # Beyond 2**53 a store that goes through JSON or doubles compares rounded numbers.
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 2**53


def _filter(filters: object, path: str, depth: int) -> Predicate:
    if depth > _MAX_DEPTH:
        raise InvalidFilterError(f"{path}: nested deeper than {_MAX_DEPTH} levels")
    if not isinstance(filters, Mapping):
        raise InvalidFilterError(f"{path}: expected a mapping, got {type(filters).__name__}")
    if not filters and depth > 1:
        raise InvalidFilterError(f"{path}: an empty filter says nothing; leave it out")
    entries = [_entry(key, value, path, depth) for key, value in filters.items()]
    return lambda record: all(entry(record) for entry in entries)


def _entry(key: object, value: object, path: str, depth: int) -> Predicate:
    if not isinstance(key, str) or not key:
        raise InvalidFilterError(f"{path}: a key must be a non-empty string, got {key!r}")
    path = f"{path}.{key}"
    if key in _RESERVED_KEYS:
        raise InvalidFilterError(f"{path}: the scope is set with scope=, never in filters")
    if key in ("AND", "OR", "NOT"):
        if not isinstance(value, list | tuple) or not value:
            raise InvalidFilterError(f"{path}: expected a non-empty list of filters")
        parts = [_filter(part, f"{path}[{i}]", depth + 1) for i, part in enumerate(value)]
        if key == "AND":
            return lambda record: all(part(record) for part in parts)
        wanted = key == "OR"
        return lambda record: any(part(record) for part in parts) is wanted
    test = _condition(key, value, path)
    return lambda record: test(record.get(key))


def _condition(key: str, value: object, path: str) -> _Test:
    if value == "*":
        return lambda found: found is not None
    if not isinstance(value, Mapping):
        return _operator(key, "eq", value, path)
    if not value:
        raise InvalidFilterError(f"{path}: no operator; {_USE_ONE_OF}")
    tests = [_operator(key, name, operand, path) for name, operand in value.items()]
    return lambda found: all(test(found) for test in tests)


def _operator(key: str, name: object, operand: object, path: str) -> _Test:
    if name not in _OPERATORS:
        raise InvalidFilterError(f"{path}: unknown operator {name!r}; {_USE_ONE_OF}")
    if name in ("ne", "nin"):
        opposite = _operator(key, "eq" if name == "ne" else "in", operand, path)
        return lambda found: not opposite(found)
    if name == "in":
        if not isinstance(operand, list | tuple | set | frozenset):
            raise InvalidFilterError(f"{path}: 'in' and 'nin' take a list of values")
        options = [_equals(key, option, path) for option in operand]
        return lambda found: any(option(item) for option in options for item in _items(found))
    if name == "eq":
        return _equals(key, operand, path)
    if name in ("contains", "icontains"):
        return _contains(key, name == "icontains", operand, path)
    return _ordered(key, str(name), operand, path)


def _equals(key: str, operand: object, path: str) -> _Test:
    if _is_time(key, operand):
        wanted = _operand_time(operand, path)
        return lambda found: _as_time(found) == wanted
    _check_value(operand, path)
    return lambda found: _same(found, operand)


def _ordered(key: str, name: str, operand: object, path: str) -> _Test:
    compare = _ORDER[name]
    if _is_time(key, operand):
        limit = _operand_time(operand, path)
        return lambda found: (moment := _as_time(found)) is not None and compare(moment, limit)
    if isinstance(operand, str):
        return lambda found: isinstance(found, str) and compare(found, operand)
    if not _is_number(operand):
        raise InvalidFilterError(f"{path}: '{name}' takes a number, a string or a time")
    return lambda found: _is_number(found) and compare(found, operand)


def _contains(key: str, ignore_case: bool, operand: object, path: str) -> _Test:
    if key in _TIME_KEYS:
        raise InvalidFilterError(f"{path}: a time has no parts to contain; use gte and lt")
    if ignore_case and not isinstance(operand, str):
        raise InvalidFilterError(f"{path}: 'icontains' takes a string")
    _check_value(operand, path)

    def fold(value: object) -> object:
        return value.casefold() if ignore_case and isinstance(value, str) else value

    def test(found: object) -> bool:
        if isinstance(found, str):
            return isinstance(operand, str) and str(fold(operand)) in str(fold(found))
        return any(_same(fold(item), fold(operand)) for item in _items(found)[1:])

    return test


def _items(value: object) -> list[object]:
    """Return the value itself and, if it is a list, its elements."""
    return [value, *value] if isinstance(value, list | tuple) else [value]


def _check_value(value: object, path: str, *, in_list: bool = False) -> None:
    if isinstance(value, list | tuple) and not in_list:
        for item in value:
            _check_value(item, path, in_list=True)
    elif value is not None and not isinstance(value, str | int | float):
        raise InvalidFilterError(
            f"{path}: cannot compare with a {type(value).__name__}; use a string, a number, a "
            "boolean, None, a time, or a flat list of these"
        )


def _same(left: object, right: object) -> bool:
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(_same, left, right))
    # Python takes True for 1, and 5 for 5.0; a store that compares types or text does not.
    return _kind(left) is _kind(right) and left == right


def _kind(value: object) -> type:
    # Subclasses count as what they are stored as: a member of a StrEnum is a string.
    return next((kind for kind in (bool, int, float, str) if isinstance(value, kind)), type(value))


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_time(key: str, operand: object) -> bool:
    return isinstance(operand, date) or (key in _TIME_KEYS and operand is not None)


def _operand_time(operand: object, path: str) -> datetime:
    moment = _as_time(operand)
    if moment is None:
        raise InvalidFilterError(
            f"{path}: not a time: {operand!r}; use an ISO 8601 string, a date or a datetime"
        )
    return moment


def _as_time(value: object) -> datetime | None:
    """Read a time; without a zone it is UTC, and a bare date is its first moment."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
