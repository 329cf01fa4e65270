"""Milvus, on a server or, as Milvus Lite, in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mem0.vector_stores.base import VectorStoreBase
from mem0.vector_stores.configs import VectorStoreConfig

from mem0_integrations.backends.mem0_private import condition
from mem0_integrations.backends.stores.base import Payload, Payloads, Row, RowIds, Vector
from mem0_integrations.backends.stores.generic import GenericStore

__all__ = ["MilvusStore"]

# More than this many rows it does not return at once.
_WINDOW: Final = 16_384
_BATCH: Final = 1_000
_LEAST_DIMENSION: Final = 2


class MilvusStore(GenericStore):
    """A collection of Milvus, which does not mind two rows with one id."""

    scaled = True
    upserts = True

    def __init__(self, store: VectorStoreBase, settings: VectorStoreConfig) -> None:
        super().__init__(store, settings)
        self.dimension = store.embedding_model_dims
        self._name = store.collection_name
        self._is_l2 = str(store.metric_type) == "L2"

    def insert(
        self, vectors: Sequence[Vector], payloads: Payloads = None, ids: RowIds = None
    ) -> None:
        """Insert rows, or replace those with the same ids."""
        self.delete_many([row.id for row in self.get_many(ids or ())])
        super().insert(vectors, payloads, ids)

    def search(
        self, query: str, vectors: Vector, top_k: int = 5, filters: Payload | None = None
    ) -> list[Row]:
        """Return the rows nearest to a vector, at most 16,384."""
        return super().search(query, vectors, min(top_k, _WINDOW), filters)

    def get_many(self, ids: Sequence[str]) -> list[Row]:
        """Return the rows that there are with these ids, in any order."""
        found = self._store.client.get(self._name, ids=list(ids)) if ids else ()
        return [self._row(row["id"], row["metadata"]) for row in found]

    def every(self, filters: Payload) -> list[Row]:
        """Return all rows that equalities select; with none, the whole collection."""
        found = self.list(filters, _WINDOW)[0]
        if len(found) < _WINDOW:
            return found
        pages = self._store.client.query_iterator(
            self._name,
            batch_size=_BATCH,
            filter=condition(self._store, filters),
            output_fields=["id", "metadata"],
        )
        found = []
        while page := pages.next():
            found += [self._row(row["id"], row["metadata"]) for row in page]
        pages.close()
        return found

    def delete_many(self, ids: Sequence[str]) -> None:
        """Delete the rows with these ids, where there are any."""
        if ids:
            self._store.client.delete(self._name, ids=list(ids))

    def _adjust(self, settings: Any) -> None:
        settings.embedding_model_dims = max(settings.embedding_model_dims, _LEAST_DIMENSION)

    def _existing_dimension(self) -> int | None:
        fields = self._store.client.describe_collection(self._name)["fields"]
        found = (field["params"].get("dim") for field in fields if field["name"] == "vectors")
        return next((int(dimension) for dimension in found if dimension), None)
