"""Writing statements into Mem0's parts: many at once, with ids that make a repetition harmless."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from mem0.memory.main import Memory as Mem0
from mem0.utils.lemmatization import lemmatize_for_bm25

from mem0_integrations.backends.stores.base import Store
from mem0_integrations.dialect import mem0_ids
from mem0_integrations.learning.extraction import Extractor
from mem0_integrations.records import Memory
from mem0_integrations.requests import AddRequest
from mem0_integrations.scope import SCOPE_KEYS, Scope
from mem0_integrations.values import KEY_FIELD

__all__ = ["StatementWriter", "history_entries", "memory_id_of", "text_fields", "text_hash"]

_NAMESPACE: Final = uuid.UUID("5e0f8f0e-5a0c-5c9b-9d55-2f0b7a6e2c11")


class StatementWriter:
    """Stores messages as they are, or the statements that an extractor finds in them.

    `mem0.Memory.add` embeds and inserts one message at a time.

    Args:
        memory: The Mem0 whose embedder and history are used.
        store: Its vector store.
        extractor: Finds the statements of a turn that is to be inferred from; None where
            Mem0's own pipeline does.
    """

    def __init__(self, memory: Mem0, store: Store, extractor: Extractor | None) -> None:
        self._memory = memory
        self._store = store
        self._extractor = extractor

    def write(self, requests: Sequence[AddRequest]) -> list[list[Memory]]:
        """Store turns with one embedding call and one insert; returns what each became."""
        stored: list[list[Memory]] = []
        rows: list[tuple[str, dict[str, object]]] = []
        known: set[tuple[Scope, str]] = set()
        for request in requests:
            memories: list[Memory] = []
            for text, role, name in self._statements(request, known):
                # One after the other, so that a listing keeps their order.
                time = request.created_at + timedelta(microseconds=len(memories))
                memory_id = memory_id_of(request.scope, request.key, len(memories))
                extra = {"role": role} | ({"actor_id": name} if name else {})
                payload: dict[str, object] = {
                    **request.metadata,
                    **extra,
                    **mem0_ids(request.scope),
                    KEY_FIELD: request.key,
                    **text_fields(text),
                    "created_at": time.isoformat(),
                    "updated_at": time.isoformat(),
                }
                rows.append((memory_id, payload))
                memories.append(
                    Memory(
                        id=memory_id,
                        text=text,
                        scope=request.scope,
                        created_at=time,
                        updated_at=time,
                        metadata={**request.metadata, **extra},
                    )
                )
            stored.append(memories)
        if rows:
            texts = [str(payload["data"]) for _, payload in rows]
            vectors = self._memory.embedding_model.embed_batch(texts, "add")
            self._store.add(rows, vectors)
            self._memory.db.batch_add_history(history_entries(dict(rows), {}))
        return stored

    def _statements(
        self, request: AddRequest, known: set[tuple[Scope, str]]
    ) -> Iterator[tuple[str, str, str | None]]:
        if not request.infer or self._extractor is None:
            for message in request.messages:
                yield message["content"], message["role"], message.get("name")
            return
        for text in self._extractor.extract(request.messages):
            # The user said it before: one memory is enough.
            if (request.scope, text) in known or self._is_known(request.scope, text):
                continue
            known.add((request.scope, text))
            yield text, "user", None

    def _is_known(self, scope: Scope, text: str) -> bool:
        ids = mem0_ids(scope)
        filters = {**ids, "hash": text_hash(text)}
        rows = self._store.every(filters)
        # Not what a scope within this one said: it is forgotten apart.
        return any(
            ids == {key: row.payload.get(key) for key in SCOPE_KEYS if row.payload.get(key)}
            for row in rows
        )


def memory_id_of(scope: Scope, key: str, index: int) -> str:
    """Return the id of a statement of a write: the same for each attempt to store it."""
    return str(uuid.uuid5(_NAMESPACE, json.dumps([scope.ids, key, index], sort_keys=True)))


def text_hash(text: str) -> str:
    """Return Mem0's hash of a text, which it compares to skip texts that it knows."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def text_fields(text: str) -> dict[str, object]:
    """Return the fields of a payload that Mem0 keeps a memory's text in."""
    return {"data": text, "hash": text_hash(text), "text_lemmatized": lemmatize_for_bm25(text)}


def history_entries(
    payloads: Mapping[str, Mapping[str, object]], before: Mapping[str, object]
) -> list[dict[str, object]]:
    """Return what Mem0's history says of memories that were put: added, or their texts changed.

    Args:
        payloads: The new payloads, by id.
        before: The texts of those that were there before.
    """
    return [
        {
            "memory_id": memory_id,
            "old_memory": before.get(memory_id),
            "new_memory": payload["data"],
            "event": "UPDATE" if memory_id in before else "ADD",
            "created_at": payload["created_at"],
            "updated_at": payload["updated_at"],
            "actor_id": payload.get("actor_id"),
            "role": payload.get("role"),
        }
        for memory_id, payload in payloads.items()
        if memory_id not in before or before[memory_id] != payload["data"]
    ]
