"""Memories as documents: what is put is recalled, and what is remembered is listed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Final

from mem0_integrations.backends.documents import RowDocuments, body_of, packed, path_filter
from mem0_integrations.backends.rows import NewRow, Rows, Vectors
from mem0_integrations.backends.statements import history_entries, text_fields
from mem0_integrations.backends.stores.base import Payload, Row
from mem0_integrations.dialect import mem0_ids, scope_of
from mem0_integrations.errors import MemoryNotFoundError, ScopeError
from mem0_integrations.namespaces import NamespaceTemplate
from mem0_integrations.records import Address, Document
from mem0_integrations.requests import Change, Changing
from mem0_integrations.scope import SCOPE_KEYS, Scope
from mem0_integrations.values import RESERVED_METADATA, clipped, is_text, is_uuid, parse_time

__all__ = ["MemoryDocuments"]

_TEXT: Final = "memory"


class MemoryDocuments(RowDocuments):
    """The memories of a Mem0 under paths that name their scope.

    A memory that was put has the address that it was put at. Any other has its id as its key,
    and the text as `memory` beside its metadata as its value.

    Args:
        rows: Its memories, kept as an attribute.
        template: Tells whose memories lie under a path.
        note: Takes entries of the history.
        delete: Deletes a memory of a scope, by its id, which is held.
        changing: Held while memories change; afterwards, where they get ids of their own.
    """

    _only_searched: Mapping[str, object] = {}

    def __init__(
        self,
        rows: Rows,
        template: NamespaceTemplate,
        *,
        note: Callable[[Sequence[Mapping[str, object]]], None],
        delete: Callable[[Scope, str], None],
        changing: Changing,
    ) -> None:
        super().__init__(rows)
        self._add_history = note
        self._template = template
        self._delete_memory = delete
        self._changing = changing

    def _filter(self, prefix: tuple[str, ...]) -> Mapping[str, object]:
        if self._template.covers(prefix):
            return mem0_ids(self._template.scope_of(prefix))
        return path_filter(prefix)

    def _newest_rows(self, prefix: tuple[str, ...], limit: int) -> None:
        """Return None: what was not put has no path to be listed by."""

    def _found_paths(self, prefix: tuple[str, ...]) -> None:
        """Return None, likewise."""

    def _ids(self, addresses: Iterable[Address]) -> list[str]:
        addresses = list(addresses)
        # A memory that was not put here is known by its id.
        return [*super()._ids(addresses), *(key for _, key in addresses if is_uuid(key))]

    def _fetch(self, addresses: Sequence[Address]) -> dict[Address, tuple[str, Payload]]:
        found = super()._fetch(addresses)
        rest = {address for address in addresses if is_uuid(address[1])} - found.keys()
        for row_id, payload in self._rows_at([(address[1], address) for address in rest]).items():
            document = self._read(row_id, payload)
            if document is not None and document.address in rest:
                found[document.address] = row_id, payload
        return found

    def _rows(self, row_id: str, document: Document, old: Payload) -> list[NewRow]:
        (text,) = document.texts
        scope = self._template.scope_of(document.path)
        # Its further ids, its key and its role: it stays the memory that it was.
        kept = {key: value for key, value in old.items() if key in RESERVED_METADATA}
        metadata = {
            key: value
            for key, value in document.value.items()
            if key not in RESERVED_METADATA and value != text and _is_plain([key, value])
        }
        payload = {
            **kept,
            **metadata,
            **packed(document, text=text),
            **mem0_ids(scope),
            **text_fields(text),
        }
        return [(row_id, payload, text)]

    def _read(self, row_id: str, payload: Payload, score: float | None = None) -> Document | None:
        try:
            scope = scope_of(*(payload.get(key) for key in SCOPE_KEYS))
            path = self._template.namespace_of(scope)
        except (KeyError, ScopeError):
            return None
        text = str(payload.get("data") or "")
        metadata = {key: value for key, value in payload.items() if key not in RESERVED_METADATA}
        put = super()._read(row_id, payload, score)
        if put is not None:
            before = body_of(payload).get("text")
            if before is None:
                # On the Platform, transcripts and items lie among the memories of all.
                return None
            # It may have been changed as a memory since then.
            value = _with_text({**put.value, **metadata}, before, text)
            return Document(
                path=put.path,
                key=put.key,
                value=value,
                created_at=put.created_at,
                updated_at=put.updated_at,
                scope=scope,
                expires_at=put.expires_at,
                ttl=put.ttl,
                score=put.score,
            )
        created = parse_time(payload.get("created_at"))
        updated = parse_time(payload.get("updated_at")) or created
        if created is None or updated is None:
            return None
        return Document(
            path=path,
            key=row_id,
            value={**metadata, _TEXT: text},
            created_at=created,
            updated_at=updated,
            scope=scope,
            score=None if score is None else clipped(score),
        )

    def _found(self, rows: Sequence[Row]) -> Iterable[Document | None]:
        return [self._read(row.id, row.payload, row.score) for row in rows]

    def _put(self, new: Sequence[NewRow], vectors: Vectors) -> None:
        payloads = {row_id: payload for row_id, payload, _ in new}
        with ExitStack() as followed:
            if self.rows.numbered:
                self._follow_all(payloads, followed)
            ids = self.rows.put(new, vectors)
            if not self.rows.numbered:
                stored = zip(ids, payloads.values(), strict=True)
                self._follow_all({each: payload for each, payload in stored if each}, followed)

    def _follow_all(self, rows: Mapping[str, Payload], followed: ExitStack) -> None:
        for scope, ids in self._by_scope(rows):
            followed.enter_context(self._changing(Change(scope, memory_ids=tuple(ids))))

    def _remove(self, rows: Mapping[str, Payload]) -> None:
        for scope, ids in self._by_scope(rows):
            memory_ids = tuple(self.rows.memory_ids(ids, mem0_ids(scope)))
            with self._changing(Change(scope, memory_ids=memory_ids)):
                for row_id in ids:
                    # Meanwhile it may have been deleted, or forgotten.
                    with suppress(MemoryNotFoundError):
                        self._delete_memory(scope, row_id)

    def _by_scope(self, rows: Mapping[str, Payload]) -> Iterable[tuple[Scope, list[str]]]:
        ids: dict[Scope, list[str]] = {}
        for row_id, payload in rows.items():
            scope = scope_of(*(payload.get(key) for key in SCOPE_KEYS))
            ids.setdefault(scope, []).append(row_id)
        return ids.items()

    def _note(self, new: Sequence[NewRow], before: Mapping[str, Payload]) -> None:
        payloads = {row_id: payload for row_id, payload, _ in new}
        texts = {row_id: payload.get("data") for row_id, payload in before.items()}
        self._add_history(history_entries(payloads, texts))


def _is_plain(value: object) -> bool:
    """Tell whether every store can hold a value, and filters can ask for it."""
    if isinstance(value, list):
        return all(not isinstance(item, list) and _is_plain(item) for item in value)
    if isinstance(value, str):
        return "\0" not in value and is_text(value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int)


def _with_text(value: dict[str, object], before: str, after: str) -> dict[str, object]:
    """Write a changed text where the old one stood in a value."""
    if before == after:
        return value
    changed = _replaced(value, before, after)
    if changed == value:
        return {**value, _TEXT: after}
    assert isinstance(changed, dict)
    return changed


def _replaced(value: object, before: str, after: str) -> object:
    if isinstance(value, dict):
        return {key: _replaced(item, before, after) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, before, after) for item in value]
    return after if value == before else value
