"""What the operations of a LangGraph store mean, without any I/O.

The semantics are those that LangGraph's own stores agree on; where they differ, the stricter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from langgraph.store.base import (
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    SearchOp,
    TTLConfig,
    get_text_at_path,
    validate_op_namespace,
)

from mem0_integrations.errors import InvalidInputError
from mem0_integrations.langgraph.store_filters import check_filter
from mem0_integrations.values import storable

__all__ = [
    "check_minutes",
    "check_ttl_config",
    "checked",
    "checked_fields",
    "index_texts",
    "listed_namespaces",
    "plain_prefix",
    "readable_text",
]

_TEXT_FIELDS: Final = ("memory", "content", "text", "data")
_EVERYTHING: Final = ["$"]
# Nearly two thousand years; Python has no times much later than that.
_MAX_MINUTES: Final = 1e9
# What `BaseStore.put` refuses; whoever calls `batch` is spared its check.
_NOT_TO_PUT: Final = ((), ("langgraph",))


def checked(op: Op) -> Op:
    """Return an operation with tuples for namespaces, once everything about it is right.

    Raises:
        InvalidNamespaceError: A label of a namespace is malformed.
        InvalidInputError: Anything else is malformed.
    """
    match op:
        case GetOp():
            op = op._replace(namespace=_labels(op.namespace))
            _check_key(op.key)
        case PutOp():
            op = op._replace(namespace=_labels(op.namespace))
            if op.value is not None and op.namespace[:1] in _NOT_TO_PUT:
                raise InvalidNamespaceError(
                    f"A namespace to put to has labels, and 'langgraph' is not the first of "
                    f"them; got {op.namespace!r}."
                )
            _check_key(op.key)
            op = _checked_put(op)
        case SearchOp():
            op = op._replace(namespace_prefix=_labels(op.namespace_prefix))
            _check_page(op.limit, op.offset)
            check_filter(op.filter)
            if op.query is not None and not isinstance(op.query, str):
                raise InvalidInputError(f"query must be a string, not {type(op.query).__name__}.")
        case ListNamespacesOp():
            conditions = [
                condition._replace(path=_labels(condition.path))
                for condition in op.match_conditions or ()
            ]
            op = op._replace(match_conditions=tuple(conditions) or None)
            _check_conditions(conditions, op.max_depth)
            _check_page(op.limit, op.offset)
        case _:
            raise InvalidInputError(f"Unknown operation: {type(op).__name__}.")
    validate_op_namespace(op)
    return op


def index_texts(value: Mapping[str, object], fields: Iterable[str]) -> tuple[str, ...]:
    """Return the texts that an item is searched by, without blank ones and repetitions.

    Example:
        >>> index_texts({"title": "Tea", "tags": ["hot", "hot"]}, ["title", "tags[*]"])
        ('Tea', 'hot')
    """
    found = (text for field in fields for text in get_text_at_path(dict(value), field))
    return tuple(dict.fromkeys(text for text in map(storable, found) if text.strip()))


def readable_text(value: Mapping[str, object], fields: Sequence[str] | None) -> str:
    """Return the text that an item has as a memory: what people read, not its JSON.

    It is what the fields hold, where some are named; otherwise the text under `memory`, `content`,
    `text` or `data`, at the top or within one of these; otherwise the whole value as JSON.

    Example:
        >>> readable_text({"kind": "Memory", "content": {"content": "Likes tea."}}, None)
        'Likes tea.'
    """
    if fields is not None and fields != _EVERYTHING and (texts := index_texts(value, fields)):
        return "\n".join(texts)
    for field in _TEXT_FIELDS:
        found = value.get(field)
        if isinstance(found, Mapping) and found:
            return readable_text(found, None)
        if isinstance(found, str) and (text := storable(found)).strip():
            return text
    return storable(json.dumps(value, ensure_ascii=False))


def plain_prefix(op: ListNamespacesOp) -> tuple[str, ...]:
    """Return the labels that every wanted namespace begins with."""
    longest: tuple[str, ...] = ()
    for condition in op.match_conditions or ():
        if condition.match_type == "prefix":
            plain = condition.path[: [*condition.path, "*"].index("*")]
            longest = max(longest, tuple(plain), key=len)
    return longest


def listed_namespaces(
    namespaces: Iterable[tuple[str, ...]], op: ListNamespacesOp
) -> list[tuple[str, ...]]:
    """Return the page of the namespaces that an operation asks for, sorted."""
    wanted = {
        namespace[: op.max_depth]
        for namespace in namespaces
        if all(_meets(namespace, condition) for condition in op.match_conditions or ())
    }
    return sorted(wanted)[op.offset : op.offset + op.limit]


def checked_fields(index: object) -> list[str] | None:
    """Return the paths that a store's `index` names; None for no semantic search.

    Raises:
        InvalidInputError: It is malformed, or asks for what is another's affair.
    """
    if index is False:
        return None
    config = {} if index is None else index
    if not isinstance(config, Mapping) or config.keys() - {"fields"}:
        raise InvalidInputError(
            f"index takes {{'fields': [...]}}, not {index!r}: items are embedded by Mem0's own "
            f"embedder; give another one to connect(embedder=...)."
        )
    fields = config.get("fields") or _EVERYTHING
    if not isinstance(fields, list) or not all(isinstance(field, str) for field in fields):
        raise InvalidInputError(f"index['fields'] must be a list of paths, not {fields!r}.")
    return fields


def check_ttl_config(ttl: object) -> None:
    """Check a store's `ttl`.

    Raises:
        InvalidInputError: It has an unknown key, or a time that is not positive.
    """
    known = TTLConfig.__annotations__.keys()
    if not isinstance(ttl, Mapping) or ttl.keys() - known:
        raise InvalidInputError(f"ttl takes {', '.join(sorted(known))}, not {ttl!r}.")
    for name in ("default_ttl", "sweep_interval_minutes"):
        check_minutes(name, ttl.get(name))


def check_minutes(name: str, minutes: object) -> None:
    """Check a number of minutes, or None.

    Raises:
        InvalidInputError: It is not positive, or too large.
    """
    if minutes is not None and not (
        isinstance(minutes, int | float)
        and not isinstance(minutes, bool)
        and 0 < minutes <= _MAX_MINUTES
    ):
        raise InvalidInputError(
            f"{name} must be a positive number of minutes, at most {_MAX_MINUTES:,.0f}; "
            f"got {minutes!r}."
        )


def _labels(namespace: object) -> tuple[str, ...]:
    # A string is a sequence of labels too, but never meant as one.
    if isinstance(namespace, str) or not isinstance(namespace, Sequence):
        raise InvalidNamespaceError(f"A namespace is a tuple of labels, not {namespace!r}.")
    return tuple(namespace)


def _checked_put(op: PutOp) -> PutOp:
    check_minutes("ttl", op.ttl)
    if op.value is None:
        return op
    if not isinstance(op.value, Mapping):
        raise InvalidInputError(
            f"The value of {op.key!r} must be a mapping, not {type(op.value).__name__}."
        )
    if op.index not in (None, False) and not (
        isinstance(op.index, list | tuple) and all(isinstance(path, str) for path in op.index)
    ):
        raise InvalidInputError(f"index must be None, False or a list of paths, not {op.index!r}.")
    try:
        # A copy: what the application changes afterwards is not what it has put.
        value = json.loads(json.dumps(dict(op.value)))
        keys_kept = _has_text_keys(op.value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"The value of {op.key!r} cannot be stored as JSON: {error}."
        ) from None
    if not keys_kept:
        raise InvalidInputError(f"The value of {op.key!r} has keys that are not strings.")
    return op._replace(value=value)


def _has_text_keys(value: object) -> bool:
    """Tell whether JSON keeps the keys of a value: it turns 1 and "1" into one and the same."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _has_text_keys(one) for key, one in value.items())
    return not isinstance(value, list | tuple) or all(map(_has_text_keys, value))


def _check_key(key: object) -> None:
    if not isinstance(key, str):
        raise InvalidInputError(f"key must be a string, not {type(key).__name__}.")


def _check_page(limit: object, offset: object) -> None:
    for name, number in (("limit", limit), ("offset", offset)):
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise InvalidInputError(f"{name} must be a whole number, at least 0; got {number!r}.")


def _check_conditions(conditions: Iterable[MatchCondition], max_depth: object) -> None:
    if max_depth is not None and (not isinstance(max_depth, int) or max_depth < 1):
        raise InvalidInputError(f"max_depth must be a whole number above 0; got {max_depth!r}.")
    for condition in conditions:
        if condition.match_type not in ("prefix", "suffix"):
            raise InvalidInputError(
                f"A match type is 'prefix' or 'suffix', not {condition.match_type!r}."
            )


def _meets(namespace: tuple[str, ...], condition: MatchCondition) -> bool:
    path = tuple(condition.path)
    if len(namespace) < len(path):
        return False
    start = 0 if condition.match_type == "prefix" else len(namespace) - len(path)
    pairs = zip(namespace[start:], path, strict=False)
    return all(wanted in ("*", label) for label, wanted in pairs)
