"""FAISS, in memory and in files that are written as a whole with every change."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from mem0.vector_stores.base import VectorStoreBase
from mem0.vector_stores.configs import VectorStoreConfig

from mem0_integrations.backends.mem0_private import save_index
from mem0_integrations.backends.stores.base import Payload, Payloads, Row, RowIds, Vector
from mem0_integrations.backends.stores.generic import GenericStore

__all__ = ["FAISSStore"]


class FAISSStore(GenericStore):
    """A FAISS index of Mem0's: it inserts what it has a second time, and filters afterwards."""

    flat_payloads = False
    upserts = True
    scaled = True
    places = frozenset({"path"})

    def __init__(self, store: VectorStoreBase, settings: VectorStoreConfig) -> None:
        super().__init__(store, settings)
        self._turns = threading.RLock()
        self.dimension = store.embedding_model_dims
        self._is_l2 = store.distance_strategy.lower() == "euclidean"

    def insert(
        self, vectors: Sequence[Vector], payloads: Payloads = None, ids: RowIds = None
    ) -> None:
        """Insert rows, or replace those with the same ids."""
        with self._turns:
            self.delete_many(ids or ())
            super().insert(vectors, payloads, ids)

    def search(
        self, query: str, vectors: Vector, top_k: int = 5, filters: Payload | None = None
    ) -> list[Row]:
        """Return the rows nearest to a vector."""
        with self._turns:
            wide = top_k
            while True:
                found = super().search(query, vectors, wide, filters)
                if len(found) >= top_k or wide >= self._store.index.ntotal:
                    return found[:top_k]
                wide = min(4 * wide, self._store.index.ntotal)

    def every(self, filters: Payload) -> list[Row]:
        """Return all rows that equalities select."""
        return self.list(filters, max(1, len(self._store.docstore)))[0]

    def delete_many(self, ids: Sequence[str]) -> None:
        """Delete the rows with these ids, where there are any."""
        with self._turns:
            store, index = self._store, self._store.index
            # Mem0 would make its index anew, and write its files, for each.
            if gone := store.docstore.keys() & set(ids):
                kept = [place for place, row_id in store.index_to_id.items() if row_id not in gone]
                vectors = index.reconstruct_n(0, index.ntotal)[kept]
                index.reset()
                index.add(vectors)
                store.index_to_id = dict(enumerate(store.index_to_id[place] for place in kept))
                for row_id in gone:
                    del store.docstore[row_id]
                save_index(store)

    def has_beside(self, name: str) -> bool:
        """Tell whether another collection is there: Mem0 looks for it in another folder."""
        return (Path(self._store.path) / f"{self._name_beside(name)}.faiss").exists()

    def _existing_dimension(self) -> int:
        return int(self._store.index.d)
