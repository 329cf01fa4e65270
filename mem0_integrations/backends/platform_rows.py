"""Documents on the Mem0 Platform: rows that are memories, stored as they are.

The Platform gives a memory an id of its own; that of the row stands in the metadata, beside
everything else that the row holds.
"""

from __future__ import annotations

import builtins
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from mem0.vector_stores.base import VectorStoreBase

from mem0_integrations.backends.base import Follow
from mem0_integrations.backends.dialect import scope_filters, scope_of
from mem0_integrations.backends.documents import NewRow, RowDocuments, body_of
from mem0_integrations.backends.memory_documents import MemoryDocuments
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
from mem0_integrations.backends.rows import Payload
from mem0_integrations.namespaces import NamespaceTemplate
from mem0_integrations.records import Address
from mem0_integrations.scope import SCOPE_KEYS, Scope
from mem0_integrations.values import PATH_FIELDS, RESERVED_METADATA

__all__ = ["PlatformDocuments", "PlatformMemoryDocuments", "PlatformRows"]

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


class PlatformRows:
    """The rows of one kind of document, as `RowDocuments` reads and writes them.

    Args:
        run: Carries out a plan.
        run_all: Carries out plans concurrently.
        home: Whose memories the rows are; None where each has a scope of its own.
    """

    embedding_model_dims = 1

    def __init__(
        self,
        run: Callable[[PlatformPlan[Any]], Any],
        run_all: Callable[[Sequence[PlatformPlan[str | None]]], Sequence[str | None]],
        home: Scope | None,
    ) -> None:
        self._run = run
        self._run_all = run_all
        self._home = home

    def get_many(
        self, ids: Sequence[str], filters: Mapping[str, Any] | None = None
    ) -> builtins.list[_Row]:
        """Return the rows with these ids, where there are any.

        Args:
            ids: The ids.
            filters: Equalities that they are known to meet.
        """
        found: list[_Row] = []
        for start in range(0, len(ids), _LOOKUP):
            part = list(ids[start : start + _LOOKUP])
            wanted = [metadata_is(ROW_FIELD, row_id) for row_id in part]
            if self._home is None:
                # What was not put is known by the memory's own id.
                wanted.append({"memory_ids": part})
            items = self._run(everything(all_of(self._selected(filters), any_of(*wanted))))
            found += map(self._row, items)
        return _distinct(found)

    def list(
        self, filters: Mapping[str, Any] | None = None, top_k: int | None = None
    ) -> builtins.list[_Row]:
        """Return the rows that some equalities select."""
        rows = map(self._row, self._run(everything(self._selected(filters))))
        return _distinct(rows)[:top_k]

    def search(
        self, query: str, vectors: object, top_k: int, filters: Mapping[str, Any] | None
    ) -> builtins.list[_Row]:
        """Return the rows that some equalities select, nearest to a text first."""
        call = Call(
            "search documents",
            "search",
            {
                "query": query,
                "filters": self._selected(filters),
                "top_k": min(top_k, MOST_RESULTS),
                "threshold": 0.0,
            },
        )
        return _distinct(map(self._row, self._run(_once(call))["results"]))

    def put(self, rows: Sequence[NewRow]) -> Sequence[str | None]:
        """Store rows, or replace those with the same ids; returns the ids of their memories."""
        known = {row.id: row for row in self._known(rows)}
        return self._run_all(
            [
                self._written(row_id, payload, text, known.get(row_id))
                for row_id, payload, text in rows
            ]
        )

    def merge_payloads(self, changes: Mapping[str, Mapping[str, object]]) -> None:
        """Set some fields of the payloads of rows, where they are there."""
        self._run_all(
            [
                self._written(row.id, {**row.payload, **changes[row.id]}, None, row)
                for row in self.get_many(list(changes))
            ]
        )

    def delete_many(self, ids: Sequence[str], filters: Mapping[str, Any] | None = None) -> None:
        """Delete the rows with these ids, where there are any.

        Args:
            ids: The ids.
            filters: Equalities that they are known to meet.
        """
        self._run(delete_many([row.memory_id for row in self.get_many(ids, filters)]))

    def _known(self, rows: Sequence[NewRow]) -> builtins.list[_Row]:
        # A memory has a path only after it was put.
        fields = SCOPE_KEYS if self._home is None else PATH_FIELDS
        alike: dict[str, tuple[dict[str, object], builtins.list[str]]] = {}
        for row_id, payload, _ in rows:
            shared = {key: payload[key] for key in fields if key in payload}
            alike.setdefault(json.dumps(shared), (shared, []))[1].append(row_id)
        return [row for shared, ids in alike.values() for row in self.get_many(ids, shared)]

    def _anywhere(self) -> dict[str, object]:
        if self._home is not None:
            return scope_filter(self._home)
        return any_of(*({key: "*"} for key in SCOPE_KEYS))

    def _selected(self, filters: Mapping[str, Any] | None) -> dict[str, object]:
        wanted = dict(filters or {})
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


class _OnThePlatform(RowDocuments):
    """What the Platform does in place of an embedder and a vector store."""

    def _put(self, new: Sequence[NewRow], vectors: Mapping[str | None, Sequence[float]]) -> None:
        rows = cast(PlatformRows, self.store)
        rows.put(new)

    def _rows_at(self, wanted: Sequence[tuple[str, Address]]) -> Mapping[str, Payload]:
        rows = cast(PlatformRows, self.store)
        by_path: dict[tuple[str, ...], list[str]] = {}
        for row_id, (path, _) in wanted:
            by_path.setdefault(path, []).append(row_id)
        return {
            row.id: row.payload
            for path, ids in by_path.items()
            for row in rows.get_many(ids, self._filter(path))
        }

    def _query_vector(self, query: str) -> Sequence[float]:
        return ()

    def _vectors(self, texts: Iterable[str]) -> dict[str | None, Sequence[float]]:
        return {}


class PlatformDocuments(_OnThePlatform):
    """Documents beside the memories.

    Args:
        rows: Where they lie.
        lock: Held while something is read and then written.
    """

    def __init__(self, rows: PlatformRows, lock: threading.Lock) -> None:
        super().__init__(cast(VectorStoreBase, rows), None, lock)


class PlatformMemoryDocuments(_OnThePlatform, MemoryDocuments):
    """The memories as documents.

    Args:
        rows: The memories.
        template: Tells whose memories lie under a path.
        follow: Held while memories of a scope change; here afterwards, for the Platform gives
            them their ids.
        lock: Held while something is read and then written.
    """

    def __init__(
        self, rows: PlatformRows, template: NamespaceTemplate, follow: Follow, lock: threading.Lock
    ) -> None:
        MemoryDocuments.__init__(
            self,
            cast(VectorStoreBase, rows),
            None,
            template,
            # The Platform keeps a history of its own.
            note=lambda entries: None,
            delete=lambda scope, row_id: rows.delete_many([row_id], scope_filters(scope)),
            follow=follow,
            lock=lock,
        )

    def _put(self, new: Sequence[NewRow], vectors: Mapping[str | None, Sequence[float]]) -> None:
        rows = cast(PlatformRows, self.store)
        stored = {
            memory_id: payload
            for memory_id, (_, payload, _) in zip(rows.put(new), new, strict=True)
            if memory_id is not None
        }
        for scope, ids in self._by_scope(stored):
            with self._follow(scope, ids):
                pass


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
