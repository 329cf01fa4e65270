"""Payloads for a database that keeps plain values only: the others are written as text. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Final, TypeGuard

__all__ = ["flat", "unflat"]

_MARK: Final = "mem0-integrations-json:"
_INT64: Final = 2**63


def flat(payload: Mapping[str, object]) -> dict[str, object]:
    """Write what is not a text, a number or a truth value as JSON, behind a mark.

    Example:
        >>> flat({"user_id": "ann", "tags": ["tea"]})
        {'user_id': 'ann', 'tags': 'mem0-integrations-json:["tea"]'}
    """
    return {
        key: value if _is_plain(value) else _MARK + json.dumps(value)
        for key, value in payload.items()
    }


def unflat(payload: Mapping[str, object]) -> dict[str, object]:
    """Read what `flat` has written; anything else stays as it is."""
    return {
        key: json.loads(value.removeprefix(_MARK)) if _is_marked(value) else value
        for key, value in payload.items()
    }


def _is_marked(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value.startswith(_MARK)


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return not value.startswith(_MARK)
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and -_INT64 <= value < _INT64
