"""Mem0's own extraction on staged parts: what it would change is collected, and nothing is lost.

`mem0.Memory.add` goes on without what it could not embed, insert or note. Here it reads from the
real parts; what it writes is only collected, and the first failure that it would swallow is raised.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from mem0.memory.main import Memory as Mem0
from mem0.memory.storage import SQLiteManager

from mem0_integrations.backends.mem0_private import with_parts
from mem0_integrations.backends.stores.base import Row, Store, Vector
from mem0_integrations.dialect import mem0_ids
from mem0_integrations.errors import BackendError
from mem0_integrations.requests import AddRequest, Statement
from mem0_integrations.scope import SCOPE_KEYS
from mem0_integrations.values import KEY_FIELD

__all__ = ["Extracted", "extracted"]

# What every memory has; the rest of a payload is the application's, or says more about one.
_COMMON: Final = frozenset({"data", "hash", "text_lemmatized", "created_at", "updated_at"})


class Mem0Embedder(Protocol):
    """What Mem0 asks of an embedder."""

    def embed(self, text: str, memory_action: str) -> Vector:
        """Embed one text."""
        ...

    def embed_batch(self, texts: Sequence[str], memory_action: str) -> Sequence[Vector]:
        """Embed many texts."""
        ...


@dataclass
class Extracted:
    """What Mem0 found in a turn, and what it would note beside the memories.

    Attributes:
        statements: What it found.
        vectors: Of each.
        ids: The ids that Mem0 gave them, under which `entities` links them.
        entities: Changes of the collection of entities, each to be told how ids are called.
        messages: The session of the raw messages that Mem0 keeps for its next extraction.
    """

    statements: list[Statement] = field(default_factory=list)
    vectors: list[Vector] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    entities: list[Callable[[Mapping[str, str]], None]] = field(default_factory=list)
    session: str | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)


def extracted(memory: Mem0, store: Store, request: AddRequest) -> Extracted:
    """Let Mem0 find what is worth keeping in a turn, or take what an earlier attempt has found.

    Args:
        memory: The Mem0 whose pipeline, prompts, model and parts are used.
        store: Its vector store.
        request: The turn.

    Raises:
        Exception: The first failure within the pipeline, also where Mem0 would go on without.
    """
    result, failures = Extracted(), list[Exception]()
    again = request.statements
    staged = with_parts(
        memory,
        vector_store=_Memories(store, request, result, failures),
        entity_store=lambda: _Entities(memory.entity_store, result, failures),
        embedding_model=_Embedder(memory.embedding_model, failures),
        db=_Log(memory.db, result, failures),
        llm=memory.llm if again is None else _Found(memory.llm, again),
    )
    ids = mem0_ids(request.scope)
    app = {"app_id": ids.pop("app_id")} if "app_id" in ids else {}
    messages = [dict(message) for message in request.messages]
    try:
        staged.add(messages, metadata={**request.metadata, **app}, **ids)
    except Exception:
        if not failures:
            raise
    for failure in failures:
        raise failure
    return result


@contextmanager
def _recorded(failures: list[Exception]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        failures.append(error)
        raise


class _Part:
    """A part of Mem0 of which only some methods are staged."""

    def __init__(self, part: object, failures: list[Exception]) -> None:
        self._part = part
        self._failures = failures

    def __getattr__(self, name: str) -> object:
        return getattr(self._part, name)


class _Embedder(_Part):
    def __init__(self, embedder: Mem0Embedder, failures: list[Exception]) -> None:
        super().__init__(embedder, failures)
        self._embedder = embedder

    def embed(self, text: str, memory_action: str) -> Vector:
        with _recorded(self._failures):
            return self._embedder.embed(text, memory_action)

    def embed_batch(self, texts: Sequence[str], memory_action: str = "add") -> Sequence[Vector]:
        # Not recorded: Mem0 then embeds one by one.
        vectors = self._embedder.embed_batch(texts, memory_action)
        if len(vectors) != len(texts):
            raise BackendError(f"the embedder gave {len(vectors)} vectors for {len(texts)} texts")
        return vectors


class _Memories(_Part):
    def __init__(
        self, store: Store, request: AddRequest, result: Extracted, failures: list[Exception]
    ) -> None:
        super().__init__(store, failures)
        self._store = store
        self._request = request
        self._result = result

    def search(self, **asked: Any) -> list[Row]:
        if self._request.statements is not None:
            # What was found stays found, whatever has been stored since.
            return []
        ids = mem0_ids(self._request.scope)
        with _recorded(self._failures):
            rows = self._store.search(**asked)
        return [
            row
            for row in rows
            # What a scope within this one says, or an attempt at this turn left, is not known.
            if ids == {key: row.payload[key] for key in SCOPE_KEYS if row.payload.get(key)}
            and row.payload.get(KEY_FIELD) != self._request.key
        ]

    def insert(
        self, vectors: Sequence[Vector], payloads: Sequence[dict[str, Any]], ids: Sequence[str]
    ) -> None:
        self._result.vectors += vectors
        self._result.ids += ids
        given = self._request.metadata.keys() | {*SCOPE_KEYS} | _COMMON
        self._result.statements += [
            Statement(
                payload["data"],
                {name: value for name, value in payload.items() if name not in given},
            )
            for payload in payloads
        ]


class _Entities(_Part):
    def __init__(self, store: Store, result: Extracted, failures: list[Exception]) -> None:
        super().__init__(store, failures)
        self._store = store
        self._changes = result.entities

    def list(self, **asked: Any) -> object:
        with _recorded(self._failures):
            return self._store.list(**asked)

    def search_batch(self, **asked: Any) -> object:
        with _recorded(self._failures):
            return self._store.search_batch(**asked)

    def insert(
        self, vectors: Sequence[Vector], payloads: Sequence[dict[str, Any]], ids: Sequence[str]
    ) -> None:
        self._changes.append(partial(self._insert, vectors, payloads, ids))

    def update(self, vector_id: str, vector: Vector | None, payload: dict[str, Any]) -> None:
        self._changes.append(partial(self._update, vector_id, vector, payload))

    def _insert(
        self,
        vectors: Sequence[Vector],
        payloads: Sequence[dict[str, Any]],
        ids: Sequence[str],
        names: Mapping[str, str],
    ) -> None:
        self._store.insert(vectors, [_linked(payload, names) for payload in payloads], ids)

    def _update(
        self,
        vector_id: str,
        vector: Vector | None,
        payload: dict[str, Any],
        names: Mapping[str, str],
    ) -> None:
        self._store.update(vector_id, vector, _linked(payload, names))


class _Log(_Part):
    """Mem0's history and raw messages; the history is written with the memories."""

    def __init__(self, log: SQLiteManager, result: Extracted, failures: list[Exception]) -> None:
        super().__init__(log, failures)
        self._result = result

    def save_messages(self, messages: Sequence[dict[str, Any]], session_scope: str) -> None:
        self._result.session = session_scope
        self._result.messages = list(messages)

    def batch_add_history(self, records: object) -> None:
        pass


class _Found(_Part):
    """A model that has answered already."""

    def __init__(self, llm: object, statements: Sequence[Statement]) -> None:
        super().__init__(llm, [])
        self._statements = statements

    def generate_response(self, messages: object, **options: object) -> str:
        return json.dumps(
            {"memory": [{"text": text, **fields} for text, fields in self._statements]}
        )


def _linked(payload: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    linked = payload.get("linked_memory_ids", [])
    return {**payload, "linked_memory_ids": sorted({names.get(each, each) for each in linked})}
