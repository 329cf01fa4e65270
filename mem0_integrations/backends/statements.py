"""Writing statements into Mem0's parts: all or none, with ids that make a repetition harmless."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

from mem0.memory.main import Memory as Mem0
from mem0.utils.lemmatization import lemmatize_for_bm25

from mem0_integrations.backends.history import History
from mem0_integrations.backends.rows import StoreRows
from mem0_integrations.backends.staging import extracted
from mem0_integrations.backends.stores.base import Store, Vector
from mem0_integrations.dialect import mem0_ids
from mem0_integrations.learning.extraction import Extractor
from mem0_integrations.records import Memory
from mem0_integrations.requests import AddRequest, Attempt, OnlyAttempt, Statement
from mem0_integrations.scope import SCOPE_KEYS, Scope
from mem0_integrations.values import KEY_FIELD

__all__ = ["StatementWriter", "history_entries", "memory_id_of", "text_fields", "text_hash"]

_NAMESPACE: Final = uuid.UUID("5e0f8f0e-5a0c-5c9b-9d55-2f0b7a6e2c11")


@dataclass
class _Draft:
    """What is to be stored of turns: rows without their vectors, and what goes with them."""

    payloads: dict[str, dict[str, object]] = field(default_factory=dict)
    vectors: dict[str, Vector] = field(default_factory=dict)
    memories: list[list[Memory]] = field(default_factory=list)
    others: list[Callable[[], None]] = field(default_factory=list)


class StatementWriter:
    """Stores messages as they are, or the statements that are found in them.

    The ids of what is stored are made of scope, key and place, and what is there already stays
    as it is: a repeated attempt only adds what is missing.

    Args:
        memory: The Mem0 whose pipeline, embedder and history are used.
        store: Its vector store.
        history: Its history.
        extractor: Finds the statements of a turn that is to be inferred from; None where
            Mem0's own pipeline does.
    """

    def __init__(
        self, memory: Mem0, store: Store, history: History, extractor: Extractor | None
    ) -> None:
        self._memory = memory
        self._store = store
        self._history = history
        self._extractor = extractor

    def write(self, request: AddRequest, attempt: Attempt) -> list[Memory]:
        """Store a turn; returns what it became."""
        draft = _Draft()
        if request.infer and self._extractor is None:
            self._extract(draft, request, attempt)
        else:
            self._draft(draft, request, self._statements(request, set()))
            if request.infer and draft.payloads:
                self._keep(request, draft, attempt)
        unembedded = [] if draft.vectors else list(draft.payloads)
        return self._store_all(draft, attempt, unembedded)[0]

    def write_all(self, requests: Sequence[AddRequest]) -> list[int]:
        """Store turns with one embedding call and one insert; returns how many each became."""
        draft = _Draft()
        said: set[tuple[Scope, str]] = set()
        for request in requests:
            self._draft(draft, request, self._statements(request, said))
        # An import may be repeated: what is there needs no vector.
        new, _ = self._unsettled(draft)
        return list(map(len, self._store_all(draft, OnlyAttempt(), new)))

    def _extract(self, draft: _Draft, request: AddRequest, attempt: Attempt) -> None:
        """Let Mem0 find the statements; they are kept, so that every attempt has the same."""
        found = extracted(self._memory, self._store, request)
        if request.statements is None:
            kept = dataclasses.replace(request, statements=tuple(found.statements))
            attempt.keep(kept.dump())
        ids = self._draft(draft, request, found.statements)
        draft.vectors = dict(zip(ids, found.vectors, strict=True))
        names = dict(zip(found.ids, ids, strict=True))
        draft.others = [partial(change, names) for change in found.entities]
        if found.session is not None:
            draft.others.append(partial(self._history.save_messages, found.messages, found.session))

    def _draft(
        self, draft: _Draft, request: AddRequest, statements: Iterable[Statement]
    ) -> list[str]:
        memories: list[Memory] = []
        for text, fields in statements:
            # One after the other, so that a listing keeps their order.
            time = request.created_at + timedelta(microseconds=len(memories))
            memory_id = memory_id_of(request.scope, request.key, len(memories))
            draft.payloads[memory_id] = {
                **request.metadata,
                **fields,
                **mem0_ids(request.scope),
                KEY_FIELD: request.key,
                **text_fields(text),
                "created_at": time.isoformat(),
                "updated_at": time.isoformat(),
            }
            memories.append(
                Memory(
                    id=memory_id,
                    text=text,
                    scope=request.scope,
                    created_at=time,
                    updated_at=time,
                    metadata={**request.metadata, **fields},
                )
            )
        draft.memories.append(memories)
        return [memory.id for memory in memories]

    def _keep(self, request: AddRequest, draft: _Draft, attempt: Attempt) -> None:
        if request.statements is None:
            statements = [Statement(memory.text, {"role": "user"}) for memory in draft.memories[0]]
            attempt.keep(dataclasses.replace(request, statements=tuple(statements)).dump())

    def _store_all(
        self, draft: _Draft, attempt: Attempt, unembedded: Collection[str]
    ) -> list[list[Memory]]:
        if unembedded:
            texts = [str(draft.payloads[row_id]["data"]) for row_id in unembedded]
            vectors = self._memory.embedding_model.embed_batch(texts, "add")
            draft.vectors |= dict(zip(unembedded, vectors, strict=True))
        with attempt.applying():
            self._apply(draft)
        return draft.memories

    def _unsettled(self, draft: _Draft) -> tuple[list[str], list[str]]:
        """Return the ids that are not there yet, and those that are; not what was deleted since."""
        if not draft.payloads:
            return [], []
        there = {row.id for row in self._store.get_many(list(draft.payloads))}
        deleted = self._history.deleted(list(draft.payloads))
        new = [row_id for row_id in draft.payloads if row_id not in there | deleted]
        return new, list(there - deleted)

    def _apply(self, draft: _Draft) -> None:
        with StoreRows.changing.hold(draft.payloads):
            self._apply_held(draft)

    def _apply_held(self, draft: _Draft) -> None:
        # Only now: meanwhile, another attempt may have got through.
        new, there = self._unsettled(draft)
        try:
            rows = [(row_id, draft.payloads[row_id]) for row_id in new]
            self._store.add(rows, [draft.vectors[row_id] for row_id in new])
            unnoted = [*new, *self._history.unnoted(there)]
            if unnoted:
                payloads = {row_id: draft.payloads[row_id] for row_id in unnoted}
                self._memory.db.batch_add_history(history_entries(payloads, {}))
            for change in draft.others:
                change()
        except Exception as error:
            self._take_back(new, error)
            raise

    def _take_back(self, ids: Sequence[str], error: Exception) -> None:
        """Let no part of a write stay that could not be stored as a whole."""
        try:
            there = [row.id for row in self._store.get_many(ids)]
            self._store.delete_many(there)
            self._history.erase_entries(ids)
        except Exception as other:
            error.add_note(
                f"Some of its {len(ids)} memories are stored: they could not be taken back "
                f"({type(other).__name__}), and the next attempt adds the rest."
            )

    def _statements(self, request: AddRequest, said: set[tuple[Scope, str]]) -> Iterator[Statement]:
        if request.statements is not None:
            yield from request.statements
        elif not request.infer or self._extractor is None:
            for message in request.messages:
                actor = {"actor_id": name} if (name := message.get("name")) else {}
                yield Statement(message["content"], {"role": message["role"], **actor})
        else:
            for text in self._extractor.extract(request.messages):
                # The user said it before: one memory is enough.
                if (request.scope, text) not in said and not self._is_known(request, text):
                    said.add((request.scope, text))
                    yield Statement(text, {"role": "user"})

    def _is_known(self, request: AddRequest, text: str) -> bool:
        ids = mem0_ids(request.scope)
        rows = self._store.every({**ids, "hash": text_hash(text)})
        return any(
            # Not what a scope within this one said: it is forgotten apart.
            ids == {key: row.payload.get(key) for key in SCOPE_KEYS if row.payload.get(key)}
            # Nor what an earlier attempt has stored.
            and row.payload.get(KEY_FIELD) != request.key
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
