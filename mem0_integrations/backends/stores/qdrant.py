"""Qdrant, on a server or in a local folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mem0.vector_stores.base import VectorStoreBase
from mem0.vector_stores.configs import VectorStoreConfig

from mem0_integrations.backends.stores.base import Row
from mem0_integrations.backends.stores.generic import GenericStore

__all__ = ["QdrantStore"]


class QdrantStore(GenericStore):
    """A collection of Qdrant; of a local one, the client is changed: it gets a lock."""

    flat_payloads = False
    upserts = True
    # A local one can be opened once only.
    shares_client = True
    places = frozenset({"client", "host", "path", "url"})

    def __init__(self, store: VectorStoreBase, settings: VectorStoreConfig) -> None:
        super().__init__(store, settings)
        if store.is_local and not isinstance(store.client, _Locked):
            store.client = _Locked(store.client)
        self.dimension = store.embedding_model_dims
        self._client = store.client
        self._name = store.collection_name

    @classmethod
    def completed(
        cls, provider: object, given: dict[str, Any], folder: Path, dimension: int | None
    ) -> dict[str, Any]:
        """Fill in a place: Mem0's own default is a folder in /tmp that each start empties."""
        completed = super().completed(provider, {**given}, folder, dimension)
        return completed if given.keys() & cls.places else {**completed, "on_disk": True}

    def get_many(self, ids: Sequence[str]) -> list[Row]:
        """Return the rows that there are with these ids, in any order."""
        points = self._client.retrieve(self._name, ids=list(ids)) if ids else ()
        return [self._row(point.id, point.payload) for point in points]

    def merge_payloads(self, changes: Mapping[str, dict[str, object]]) -> None:
        """Set some fields of rows by their ids, where they are there."""
        # A local one refuses a point that is not there.
        for row in self.get_many(list(changes)):
            self._client.set_payload(self._name, payload=changes[row.id], points=[row.id])

    def delete_many(self, ids: Sequence[str]) -> None:
        """Delete the rows with these ids, where there are any."""
        if ids:
            self._client.delete(self._name, points_selector=list(ids))

    def _existing_dimension(self) -> int:
        return int(self._client.get_collection(self._name).config.params.vectors.size)


class _Locked:
    """Passes every call on to a local client, which is not safe under threads, one at a time."""

    def __init__(self, target: object) -> None:
        self._target = target
        self._lock = threading.RLock()

    def create_payload_index(self, *_: object, **__: object) -> None:
        """Do nothing: a local Qdrant has no such indexes, and warns whoever creates one."""

    def __getattr__(self, name: str) -> object:
        value = getattr(self._target, name)
        return self._one_at_a_time(value) if callable(value) else value

    def _one_at_a_time(self, call: Callable[..., object]) -> Callable[..., object]:
        def locked(*args: object, **options: object) -> object:
            with self._lock:
                return call(*args, **options)

        return locked
