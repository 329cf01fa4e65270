"""The filters of a LangGraph store: fields that are equal, or compare in one of six ways."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from mem0_integrations.errors import InvalidInputError

__all__ = ["check_filter", "passes_filter"]

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def check_filter(wanted: object) -> None:
    """Check a filter.

    Raises:
        InvalidInputError: It is not a mapping, or has an unknown operator.
    """
    if not isinstance(wanted, Mapping | None):
        raise InvalidInputError(f"filter must be a mapping, not {type(wanted).__name__}.")
    for key, condition in (wanted or {}).items():
        if _is_operator(key):
            raise InvalidInputError(
                f"filter has the operator {key!r} in place of a field; write for example "
                f"{{'price': {{'$gt': 5}}}}."
            )
        _check_condition(condition)


def passes_filter(value: Mapping[str, object], wanted: Mapping[str, object] | None) -> bool:
    """Tell whether the value of an item matches a filter.

    Example:
        >>> passes_filter({"price": 5, "shop": {"city": "Oslo"}}, {"price": {"$lt": 9}})
        True
        >>> passes_filter({"shop": {"city": "Oslo"}}, {"shop": {"city": "Rome"}})
        False
    """
    return all(_matches(value.get(key), condition) for key, condition in (wanted or {}).items())


def _check_condition(wanted: object) -> None:
    if isinstance(wanted, list | tuple):
        for condition in wanted:
            _check_condition(condition)
    elif not isinstance(wanted, Mapping):
        return
    elif not any(map(_is_operator, wanted)):
        _check_condition([*wanted.values()])
    elif unknown := [key for key in wanted if key not in _COMPARISONS]:
        raise InvalidInputError(
            f"Unknown filter operators {unknown}; use {', '.join(_COMPARISONS)}."
        )


def _matches(found: object, wanted: object) -> bool:
    if isinstance(wanted, Mapping):
        if any(map(_is_operator, wanted)):
            return all(_compares(key, found, operand) for key, operand in wanted.items())
        return isinstance(found, Mapping) and all(
            _matches(found.get(key), condition) for key, condition in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return (
            isinstance(found, list | tuple)
            and len(found) == len(wanted)
            and all(map(_matches, found, wanted))
        )
    return found == wanted


def _compares(name: str, found: object, wanted: object) -> bool:
    comparison = _COMPARISONS[name]
    if name in ("$eq", "$ne"):
        return comparison(found, wanted)
    left, right = _as_number(found), _as_number(wanted)
    if left is not None and right is not None:
        return comparison(left, right)
    # What cannot be put in order does not match.
    return isinstance(found, str) and isinstance(wanted, str) and comparison(found, wanted)


def _as_number(value: object) -> float | None:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return value if isinstance(value, int | float) else None


def _is_operator(key: object) -> bool:
    return isinstance(key, str) and key.startswith("$")
