"""Documents as rows: of a vector store, in a collection beside the memories, or of the Platform.

A document is a row whose id is made of its address. Where it has several texts, further rows
carry their vectors, so that it is found by any of them.
"""

from __future__ import annotations

import builtins
import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from mem0_integrations.backends.mem0_errors import translated
from mem0_integrations.backends.rows import NewRow, Rows, Vectors, deepened
from mem0_integrations.backends.stores.base import Payload, Row
from mem0_integrations.dialect import mem0_ids
from mem0_integrations.filters import compile_filters
from mem0_integrations.records import Address, Document
from mem0_integrations.scope import Scope
from mem0_integrations.values import (
    DOCUMENT_FIELD,
    EXPIRES_AT_FIELD,
    EXPIRES_FIELD,
    PATH_FIELDS,
    clipped,
    levels_of,
    parse_time,
)

__all__ = ["RowDocuments", "body_of", "document_id", "packed", "path_filter"]

_PART: Final = "document_part"
_OF: Final = "document_of"
_SEARCHABLE: Final = "document_searchable"
_YES: Final = "yes"
_NO: Final = "no"
_SPARE: Final = 3


def document_id(address: Address, part: int = 0) -> str:
    """Return the id of a row of a document."""
    path, key = address
    # As `uuid.uuid5` would, in a third of its time.
    name = json.dumps([*path, key, part]).encode()
    digest = hashlib.blake2b(name, digest_size=16, person=b"mem0-document").hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"


@lru_cache(maxsize=1024)
def path_filter(prefix: tuple[str, ...]) -> Mapping[str, object]:
    """Return the equality that selects what lies under a prefix; a deep one selects more."""
    *_, (field, labels) = levels_of(PATH_FIELDS, prefix).items()
    return {field: json.dumps(labels)}


def packed(document: Document, **more: object) -> dict[str, object]:
    """Return the fields of a payload that hold a document."""
    expires = document.expires_at
    # As text: some stores change numbers, or refuse characters, in nested values.
    body = json.dumps(
        {
            "path": document.path,
            "key": document.key,
            "value": document.value,
            "ttl": document.ttl,
            **more,
        }
    )
    levels = levels_of(PATH_FIELDS, document.path)
    return {
        **{field: json.dumps(labels) for field, labels in levels.items()},
        DOCUMENT_FIELD: body,
        EXPIRES_FIELD: _YES if expires else _NO,
        # Apart, so that prolonging a life cannot bring an older value back.
        EXPIRES_AT_FIELD: expires.isoformat() if expires else None,
        "created_at": document.created_at.isoformat(),
        "updated_at": document.updated_at.isoformat(),
    }


def body_of(payload: Payload) -> dict[str, Any]:
    """Return what `packed` has put into a payload; empty where it has put nothing."""
    body = payload.get(DOCUMENT_FIELD)
    return json.loads(body) if isinstance(body, str) else {}


class RowDocuments:
    """Documents in a collection of their own.

    Args:
        rows: Where they lie, kept as an attribute.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def get(self, addresses: Sequence[Address]) -> builtins.list[Document | None]:
        """Return the documents at addresses, in their order."""
        with translated("read documents"):
            found = self._fetch(addresses)
        return [self._read(*found[address]) if address in found else None for address in addresses]

    def put(self, documents: Sequence[Document]) -> None:
        """Store documents, or replace those at the same addresses; the last of equals wins."""
        latest = {document.address: document for document in documents}
        with translated("store documents"):
            vectors = self.rows.embedded(text for item in latest.values() for text in item.texts)
            with self.rows.changing.hold(self._ids(latest)):
                known = self._fetch(list(latest))
                new: list[NewRow] = []
                stale: set[str] = set()
                for address, document in latest.items():
                    row_id, old = known.get(address, (document_id(address), {}))
                    first = parse_time(old.get("created_at")) or document.created_at
                    kept = dataclasses.replace(document, created_at=min(first, document.updated_at))
                    new += self._rows(row_id, kept, old)
                    stale.update(_part_ids(address, old))
                self._put(new, vectors)
                self.rows.delete_many(list(stale.difference(row_id for row_id, _, _ in new)))
                self._note(new, dict(known.values()))

    def delete(self, addresses: Sequence[Address]) -> None:
        """Delete the documents at addresses, where there are any."""
        with translated("delete documents"), self.rows.changing.hold(self._ids(addresses)):
            self._remove(dict(self._fetch(addresses).values()))

    def prolong(self, addresses: Sequence[Address], now: datetime) -> None:
        """Let documents that expire live for their `ttl` from now on."""
        with translated("prolong documents"), self.rows.changing.hold(self._ids(addresses)):
            ttls = {
                row_id: body_of(payload).get("ttl")
                for row_id, payload in self._fetch(addresses).values()
            }
            self.rows.merge_payloads(
                {
                    row_id: {EXPIRES_AT_FIELD: (now + timedelta(seconds=ttl)).isoformat()}
                    for row_id, ttl in ttls.items()
                    if ttl
                }
            )

    def sweep(self, now: datetime) -> int:
        """Delete the documents that have expired; returns how many."""
        with translated("sweep documents"):
            found = self.rows.list({EXPIRES_FIELD: _YES})
            ids = [row.id for row in found if _has_expired(row.payload, now)]
            with self.rows.changing.hold(ids):
                # Meanwhile it may have been put again, or prolonged.
                known = self.rows.find([(row_id, {}) for row_id in ids])
                expired = {
                    row_id: payload
                    for row_id, payload in known.items()
                    if _has_expired(payload, now)
                }
                self._remove(expired)
        return len(expired)

    def list(self, prefix: tuple[str, ...]) -> builtins.list[Document]:
        """Return the documents whose path begins with the labels of a prefix, in any order."""
        with translated("list documents"):
            found = self.rows.list(self._filter(prefix))
        return [*self._under(prefix, (self._read(row.id, row.payload) for row in found))]

    def newest(self, prefix: tuple[str, ...], limit: int) -> Iterable[Document]:
        """Return the documents under a prefix, the last changed first.

        Args:
            prefix: The labels that their paths begin with.
            limit: How many will be taken, more or less.
        """
        with translated("list documents"):
            rows = self._newest_rows(prefix, limit)
            if rows is not None:
                yield from self._under(prefix, (self._read(row.id, row.payload) for row in rows))
                return
        found = sorted(self.list(prefix), key=lambda document: document.address)
        yield from sorted(found, key=attrgetter("updated_at"), reverse=True)

    def paths(self, prefix: tuple[str, ...]) -> set[tuple[str, ...]]:
        """Return the paths of the documents under a prefix."""
        with translated("list documents"):
            found = self._found_paths(prefix)
        if found is None:
            return {document.path for document in self.list(prefix)}
        # The fields end there, and longer ones have it too.
        deep = {path for path in found if len(path) >= len(PATH_FIELDS) - 1}
        longer = {document.path for path in deep for document in self.list(path)}
        return {path for path in (found - deep) | longer if path[: len(prefix)] == prefix}

    def _newest_rows(self, prefix: tuple[str, ...], limit: int) -> Iterable[Row] | None:
        return self.rows.newest(self._filter(prefix), limit)

    def _found_paths(self, prefix: tuple[str, ...]) -> set[tuple[str, ...]] | None:
        levels = levels_of(PATH_FIELDS, prefix)
        found = self.rows.paths({field: json.dumps(labels) for field, labels in levels.items()})
        if found is None:
            return None
        return {tuple(json.loads([*filter(None, fields)][-1])) for fields in found}

    def search(self, prefix: tuple[str, ...], query: str, limit: int) -> Iterator[Document]:
        """Yield the documents under a prefix that have texts, nearest first."""
        with translated("search documents"):
            search = self.rows.searching(query, {**self._filter(prefix), **self._only_searched})

        def nearest(top_k: int) -> tuple[list[Row], bool]:
            rows = search(top_k)
            more = len(rows) >= top_k
            # Of equally near ones, stores return now these, now those: they have to wait until
            # all of them are there, or pages would overlap.
            least = min(map(_score, rows)) if more else -math.inf
            near = [row for row in rows if _score(row) > least]
            return sorted(near, key=lambda row: (-_score(row), str(row.id))), more

        pages = deepened(nearest, attrgetter("id"), limit + _SPARE)
        found_before: set[Address] = set()
        while True:
            with translated("search documents"):
                rows = next(pages, None)
                found = [*self._under(prefix, self._found(rows or ()))]
            for document in found:
                # By another of its texts it was nearer.
                if document.address not in found_before:
                    found_before.add(document.address)
                    yield document
            if rows is None:
                return

    def forget(self, scope: Scope, filters: Mapping[str, object] | None = None) -> int:
        """Delete the documents of a scope; returns how many.

        Args:
            scope: Whose.
            filters: Which of them: the last label of a path is the `thread_id`.
        """
        passes = compile_filters(filters)
        with translated("forget documents"):
            rows = self.rows.list(mem0_ids(scope))
            doomed = [row.id for row in rows if not filters or passes(_record(row.payload))]
            with self.rows.changing.hold(doomed):
                self.rows.delete_many(doomed)
        return len(doomed)

    _only_searched: Mapping[str, object] = {_SEARCHABLE: _YES}

    def _filter(self, prefix: tuple[str, ...]) -> Mapping[str, object]:
        """Return equalities that select the rows under a prefix, and perhaps more."""
        return path_filter(prefix)

    def _ids(self, addresses: Iterable[Address]) -> builtins.list[str]:
        """Return the ids that the documents at addresses may have."""
        return [document_id(address) for address in addresses]

    def _fetch(self, addresses: Sequence[Address]) -> dict[Address, tuple[str, Payload]]:
        ids = {document_id(address): address for address in addresses}
        found = self._rows_at(ids.items())
        return {ids[row_id]: (row_id, payload) for row_id, payload in found.items()}

    def _rows_at(self, wanted: Iterable[tuple[str, Address]]) -> Mapping[str, Payload]:
        """Return the payloads of rows by their ids, where they are there.

        Args:
            wanted: The ids, and the addresses that they are wanted for.
        """
        return self.rows.find([(row_id, self._filter(path)) for row_id, (path, _) in wanted])

    def _rows(self, row_id: str, document: Document, old: Payload) -> builtins.list[NewRow]:
        """Return the rows of a document, the one with its value first.

        Args:
            row_id: The id of that one.
            document: The document.
            old: What that one holds by now; empty where it is new.
        """
        texts = document.texts or (None,)
        owner = {} if document.scope is None else mem0_ids(document.scope)
        main: dict[str, object] = packed(document, parts=len(texts)) | owner
        common = {key: main[key] for key in main if key in (*PATH_FIELDS, *owner)}
        searchable = {_SEARCHABLE: _YES if document.texts else _NO}
        rows: list[NewRow] = [(row_id, {**main, **searchable, _PART: "0"}, texts[0])]
        for part, text in enumerate(texts[1:], 1):
            more: dict[str, object] = {**common, **searchable, _PART: str(part), _OF: row_id}
            rows.append((document_id(document.address, part), more, text))
        return rows

    def _read(self, row_id: str, payload: Payload, score: float | None = None) -> Document | None:
        """Return the document of a row; None where it has none."""
        body = body_of(payload)
        created = parse_time(payload.get("created_at"))
        changed = payload.get("updated_at")
        updated = created if changed == payload.get("created_at") else parse_time(changed)
        if not body or created is None or updated is None:
            return None
        return Document(
            path=tuple(body["path"]),
            key=body["key"],
            value=body["value"],
            created_at=created,
            updated_at=updated,
            expires_at=parse_time(payload.get(EXPIRES_AT_FIELD)) if body["ttl"] else None,
            ttl=body["ttl"],
            score=None if score is None else clipped(score),
        )

    def _found(self, rows: Sequence[Row]) -> Iterable[Document | None]:
        """Return the documents that the rows of a search belong to, in their order."""
        mains = self.rows.find([(str(row.payload[_OF]), {}) for row in rows if _OF in row.payload])
        for row in rows:
            main_id = str(row.payload.get(_OF, row.id))
            main = mains.get(main_id) if _OF in row.payload else row.payload
            # A crash may have left a part of a document that has fewer now.
            if main is not None and int(str(row.payload.get(_PART, 0))) < _parts(main):
                yield self._read(main_id, main, row.score)

    def _remove(self, rows: Mapping[str, Payload]) -> None:
        """Delete documents by their rows."""
        parts = [
            part for payload in rows.values() for part in _part_ids(_address(payload), payload)
        ]
        self.rows.delete_many([*rows, *parts])

    def _note(self, new: Sequence[NewRow], before: Mapping[str, Payload]) -> None:
        """Take note of what was stored, and of what was there before."""

    def _under(
        self, prefix: tuple[str, ...], documents: Iterable[Document | None]
    ) -> Iterator[Document]:
        depth = len(prefix)
        for document in documents:
            if document is not None and document.path[:depth] == prefix:
                yield document

    def _put(self, new: Sequence[NewRow], vectors: Vectors) -> None:
        self.rows.put(new, vectors)


def _has_expired(payload: Payload, now: datetime) -> bool:
    time = parse_time(payload.get(EXPIRES_AT_FIELD))
    return time is not None and time <= now


def _score(row: Row) -> float:
    return row.score or 0.0


def _parts(payload: Payload) -> int:
    return int(body_of(payload).get("parts", 1))


def _record(payload: Payload) -> dict[str, object]:
    """Return what a filter can ask about a document."""
    path = body_of(payload).get("path") or [None]
    times = ("created_at", "updated_at")
    return {"thread_id": path[-1], **{name: parse_time(payload.get(name)) for name in times}}


def _address(payload: Payload) -> Address:
    body = body_of(payload)
    return tuple(body["path"]), body["key"]


def _part_ids(address: Address, payload: Payload) -> list[str]:
    return [document_id(address, part) for part in range(1, _parts(payload))]
