"""Chroma, in a local folder or on a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mem0.vector_stores.base import VectorStoreBase
from mem0.vector_stores.configs import VectorStoreConfig

from mem0_integrations.backends.stores.base import Payload, Payloads, Row, RowIds, Vector
from mem0_integrations.backends.stores.generic import GenericStore

__all__ = ["ChromaStore"]


class ChromaStore(GenericStore):
    """A collection of Chroma, which keeps neither lists nor mappings nor None."""

    unlimited = True
    upserts = True
    shares_client = True
    scaled = True
    places = frozenset({"api_key", "client", "host", "path"})

    def __init__(self, store: VectorStoreBase, settings: VectorStoreConfig) -> None:
        super().__init__(store, settings)
        self._collection = store.collection
        self._batch = store.client.get_max_batch_size()
        space = (store.collection.configuration_json.get("hnsw") or {}).get("space")
        self._is_l2 = space in (None, "l2")

    def insert(
        self, vectors: Sequence[Vector], payloads: Payloads = None, ids: RowIds = None
    ) -> None:
        """Insert rows, or replace those with the same ids."""
        given = dict(zip(ids or (), payloads or (), strict=True))
        whole = self._whole(given)
        units = [self._scaled(vector) for vector in vectors]
        for part in self._parts(list(given)):
            first = len(part)
            self._collection.upsert(
                ids=part, embeddings=units[:first], metadatas=[whole[row_id] for row_id in part]
            )
            del units[:first]

    def update(
        self, vector_id: str, vector: Vector | None = None, payload: Payload | None = None
    ) -> None:
        """Replace the vector, the payload or both of a row."""
        self._collection.update(
            ids=[vector_id],
            embeddings=None if vector is None else [self._scaled(vector)],
            metadatas=None if payload is None else [self._whole({vector_id: payload})[vector_id]],
        )

    def get_many(self, ids: Sequence[str]) -> list[Row]:
        """Return the rows that there are with these ids, in any order."""
        found = [
            self._collection.get(ids=part, include=["metadatas"])
            for part in self._parts(list(dict.fromkeys(ids)))
        ]
        return [
            self._row(row_id, payload)
            for part in found
            for row_id, payload in zip(part["ids"], part["metadatas"], strict=True)
        ]

    def merge_payloads(self, changes: Mapping[str, dict[str, object]]) -> None:
        """Set some fields of rows by their ids, where they are there."""
        for part in self._parts(list(changes)):
            fields = [self._packed(changes[row_id]) for row_id in part]
            self._collection.update(ids=part, metadatas=fields)

    def delete_many(self, ids: Sequence[str]) -> None:
        """Delete the rows with these ids, where there are any."""
        for part in self._parts(ids):
            self._collection.delete(ids=part)

    def _parts(self, ids: Sequence[str]) -> Iterator[list[str]]:
        for start in range(0, len(ids), self._batch):
            yield list(ids[start : start + self._batch])

    def _whole(self, payloads: Mapping[str, Payload]) -> dict[str, dict[str, object]]:
        """Complete payloads with None for what is there by now: Chroma merges, and so deletes."""
        old = {row.id: dict.fromkeys(row.payload) for row in self.get_many(list(payloads))}
        return {
            row_id: {**old.get(row_id, {}), **self._packed(payload)}
            for row_id, payload in payloads.items()
        }

    def _similarity(self, score: float) -> float:
        # Chroma's distances of the cosine and of the inner product are both 1 - similarity.
        return super()._similarity(score) if self._is_l2 else max(0.0, 2 - 1 / score)
