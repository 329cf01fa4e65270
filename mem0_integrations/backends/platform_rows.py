"""Documents on the Mem0 Platform: rows that are memories, stored as they are.

The Platform gives a memory an id of its own; that of the row stands in the metadata, beside
everything else that the row holds.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mem0_integrations.backends.documents import body_of
from mem0_integrations.backends.platform_dialect import (
    OWN,
    ROW_FIELD,
    all_of,
    any_of,
    kept_metadata,
    memory_of,
    metadata_is,
    replaced_metadata,
    scope_filter,
)
from mem0_integrations.backends.platform_plans import (
    MOST_RESULTS,
    Call,
    Item,
    PlatformPlan,
    delete_many,
    everything,
)
from mem0_integrations.backends.rows import NewRow, RowLocks, Rows, Vectors
from mem0_integrations.backends.stores.base import Payload, Row
from mem0_integrations.dialect import scope_filters, scope_of
from mem0_integrations.scope import SCOPE_KEYS, Scope
from mem0_integrations.values import PATH_FIELDS, RESERVED_METADATA

__all__ = ["PlatformRows"]

_TEXT: Final = "data"
# What the Platform makes of the text itself.
_MADE_AGAIN: Final = (_TEXT, "hash", "text_lemmatized")
_LOOKUP: Final = 50
_UNSEARCHED: Final = "(not searched)"


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    payload: Mapping[str, Any]
    score: float | None
    memory_id: str
    metadata: Mapping[str, Any]


class PlatformRows(Rows):
    """The rows of one kind of document.

    Args:
        run: Carries out a plan.
        run_all: Carries out plans concurrently.
        home: Whose memories the rows are; None where each has a scope of its own.
    """

    numbered = False
    # Not those of the stores: a server in this process may change the same memories there.
    changing = RowLocks()

    def __init__(
        self,
        run: Callable[[PlatformPlan[Any]], Any],
        run_all: Callable[[Sequence[PlatformPlan[str | None]]], Sequence[str | None]],
        home: Scope | None,
    ) -> None:
        self._run = run
        self._run_all = run_all
        self._home = home

    def embedded(self, texts: Iterable[str]) -> Vectors:
        """Return nothing: the Platform embeds."""
        return {}

    def find(self, wanted: Sequence[tuple[str, Payload]]) -> dict[str, Payload]:
        """Return payloads by their ids, where they are there."""
        return {row.id: row.payload for row in self._found(wanted)}

    def list(self, equals: Payload) -> Sequence[Row]:
        """Return all rows that equalities select."""
        return _distinct(map(self._row, self._run(everything(self._selected(equals)))))

    def searching(self, query: str, equals: Payload) -> Callable[[int], Sequence[Row]]:
        """Prepare a search for a text among what equalities select."""
        filters = self._selected(equals)

        def search(top_k: int) -> Sequence[Row]:
            arguments = {
                "query": query,
                "filters": filters,
                "top_k": min(top_k, MOST_RESULTS),
                "threshold": 0.0,
            }
            call = Call("search documents", "search", arguments)
            return _distinct(map(self._row, self._run(_once(call))["results"]))

        return search

    def put(self, rows: Sequence[NewRow], vectors: Vectors) -> Sequence[str | None]:
        """Store rows, or replace those with the same ids; returns the ids of their memories."""
        # A memory has a path only after it was put.
        fields = SCOPE_KEYS if self._home is None else PATH_FIELDS
        wanted = [
            (row_id, {key: payload[key] for key in fields if key in payload})
            for row_id, payload, _ in rows
        ]
        known = {row.id: row for row in self._found(wanted)}
        return self._run_all(
            [
                self._written(row_id, payload, text, known.get(row_id))
                for row_id, payload, text in rows
            ]
        )

    def merge_payloads(self, changes: Mapping[str, dict[str, object]]) -> None:
        """Set some fields of the payloads of rows, where they are there."""
        self._run_all(
            [
                self._written(row.id, {**row.payload, **changes[row.id]}, None, row)
                for row in self._found([(row_id, {}) for row_id in changes])
            ]
        )

    def memory_ids(self, ids: Sequence[str], equals: Payload) -> Sequence[str]:
        """Return the ids that the Platform gave the memories of rows, where they are there."""
        return [row.memory_id for row in self._found([(row_id, equals) for row_id in ids])]

    def delete_many(self, ids: Sequence[str], equals: Payload | None = None) -> None:
        """Delete the rows with these ids, where there are any that meet equalities."""
        self._run(delete_many(self.memory_ids(ids, equals or {})))

    def compact(self) -> None:
        """Do nothing: what it keeps of deleted data is the Platform's own affair."""

    def _found(self, wanted: Sequence[tuple[str, Payload]]) -> builtins.list[_Row]:
        alike: dict[str, tuple[Payload, builtins.list[str]]] = {}
        for row_id, equals in wanted:
            alike.setdefault(json.dumps(equals), (equals, []))[1].append(row_id)
        return [row for equals, ids in alike.values() for row in self._rows_at(ids, equals)]

    def _rows_at(self, ids: Sequence[str], equals: Payload) -> builtins.list[_Row]:
        found: list[_Row] = []
        for start in range(0, len(ids), _LOOKUP):
            part = list(ids[start : start + _LOOKUP])
            wanted = [metadata_is(ROW_FIELD, row_id) for row_id in part]
            if self._home is None:
                # What was not put is known by the memory's own id.
                wanted.append({"memory_ids": part})
            items = self._run(everything(all_of(self._selected(equals), any_of(*wanted))))
            found += map(self._row, items)
        return _distinct(found)

    def _anywhere(self) -> dict[str, object]:
        if self._home is not None:
            return scope_filter(self._home)
        return any_of(*({key: "*"} for key in SCOPE_KEYS))

    def _selected(self, equals: Payload) -> dict[str, object]:
        wanted = dict(equals)
        ids = {key: wanted.pop(key) for key in SCOPE_KEYS if key in wanted}
        parts = [metadata_is(OWN + key, value) for key, value in wanted.items()]
        if self._home is not None:
            parts += [metadata_is(OWN + key, value) for key, value in ids.items()]
            return all_of(self._anywhere(), *parts)
        own = [scope_filter(scope_of(*(ids.get(key) for key in SCOPE_KEYS)))] if ids else []
        return all_of(*(own or [self._anywhere()]), *parts)

    def _row(self, item: Item) -> _Row:
        metadata = kept_metadata(item)
        payload = {key.removeprefix(OWN): value for key, value in metadata.items()}
        row_id = payload.pop("row", item["id"])
        if self._home is None:
            memory = memory_of(item)
            payload |= scope_filters(memory.scope)
            if "role" in memory.metadata:
                payload["role"] = memory.metadata["role"]
            payload["created_at"] = memory.created_at and memory.created_at.isoformat()
            payload["updated_at"] = memory.updated_at and memory.updated_at.isoformat()
        payload[_TEXT] = _as_put(str(item.get("memory") or ""), payload)
        return _Row(
            str(row_id), payload, item.get("score"), str(item["id"]), item.get("metadata") or {}
        )

    def _written(
        self, row_id: str, payload: Payload, text: str | None, known: _Row | None
    ) -> PlatformPlan[str | None]:
        metadata: dict[str, object] = {ROW_FIELD: row_id}
        for key, value in payload.items():
            if key not in _MADE_AGAIN:
                own = self._home is not None or key in RESERVED_METADATA
                metadata[OWN + key if own else key] = value
        said = text or str(payload.get(_TEXT) or "") or _UNSEARCHED
        if known is not None:
            metadata = replaced_metadata(known.metadata, metadata)
            arguments: dict[str, object] = {"memory_id": known.memory_id, "metadata": metadata}
            if said.strip() != known.payload[_TEXT]:
                arguments["text"] = said
            yield Call("store documents", "update", arguments)
            return known.memory_id
        owner = self._home or scope_of(*(payload.get(key) for key in SCOPE_KEYS))
        answer = yield Call(
            "store documents",
            "add",
            {
                "messages": [{"role": "user", "content": said}],
                "infer": False,
                "metadata": metadata,
                **scope_filters(owner),
            },
        )
        return next((str(result["id"]) for result in answer.get("results") or ()), None)


def _as_put(text: str, payload: Payload) -> str:
    """Return a text as it was put: Mem0 trims it."""
    put = body_of(payload).get("text")
    return put if isinstance(put, str) and put.strip() == text.strip() else text


def _distinct(rows: Iterable[_Row]) -> list[_Row]:
    """Leave out, of two rows that were put at the same time, always the same one."""
    found: dict[str, _Row] = {}
    for row in rows:
        if row.id not in found or row.memory_id < found[row.id].memory_id:
            found[row.id] = row
    return list(found.values())


def _once(call: Call) -> PlatformPlan[Any]:
    return (yield call)
