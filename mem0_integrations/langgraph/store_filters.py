"""The filters of a LangGraph store: fields that are equal, or compare in one of six ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from mem0_integrations.errors import InvalidInputError

__all__ = ["check_filter", "passes_filter"]

_Ordered = TypeVar("_Ordered", float, str)

_COMPARISONS: Final[Mapping[str, Callable[[object, object], bool]]] = {
    "$eq": lambda found, wanted: found == wanted,
    "$ne": lambda found, wanted: found != wanted,
    "$gt": lambda found, wanted: _order(found, wanted) == 1,
    "$gte": lambda found, wanted: _order(found, wanted) in (0, 1),
    "$lt": lambda found, wanted: _order(found, wanted) == -1,
    "$lte": lambda found, wanted: _order(found, wanted) in (0, -1),
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
            return all(_COMPARISONS[key](found, operand) for key, operand in wanted.items())
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


def _order(found: object, wanted: object) -> int | None:
    """Return which of two is greater, as 1, 0 or -1; None if they do not compare."""
    left, right = _as_number(found), _as_number(wanted)
    if left is not None and right is not None:
        return _sign(left, right)
    if isinstance(found, str) and isinstance(wanted, str):
        return _sign(found, wanted)
    return None


def _sign(left: _Ordered, right: _Ordered) -> int | None:
    if left == right:
        return 0
    # Not a number is neither above nor below another.
    return 1 if left > right else -1 if left < right else None


def _as_number(value: object) -> float | None:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return value if isinstance(value, int | float) else None


def _is_operator(key: object) -> bool:
    return isinstance(key, str) and key.startswith("$")
