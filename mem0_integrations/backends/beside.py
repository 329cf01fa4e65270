"""Collections beside the one that holds the memories, in the same vector store."""

from __future__ import annotations

import threading
from typing import Final

from mem0.memory.main import Memory as Mem0
from mem0.memory.main import _safe_deepcopy_config
from mem0.utils.factory import VectorStoreFactory
from mem0.vector_stores.base import VectorStoreBase

from mem0_integrations.backends import vector_stores

__all__ = ["Beside"]

_ATTRIBUTE: Final = "_mem0_integrations_beside"


class Beside:
    """Opens the other collections of a `mem0.Memory`, once for all who use that memory.

    Args:
        memory: Whose vector store it is.
    """

    _opening: Final = threading.Lock()

    def __init__(self, memory: Mem0) -> None:
        self._settings = memory.config.vector_store
        self._store = memory.vector_store
        # What the embedded default opens itself, it closes itself.
        self._open_embedded = getattr(memory, "beside", None)
        self._lock = threading.RLock()
        self._stores: dict[str, VectorStoreBase] = {}
        self._locks: dict[str, threading.Lock] = {}

    @classmethod
    def of(cls, memory: Mem0) -> Beside:
        """Return the collections beside a memory's own; the memory keeps them."""
        with cls._opening:
            if _ATTRIBUTE not in vars(memory):
                setattr(memory, _ATTRIBUTE, cls(memory))
            found: Beside = getattr(memory, _ATTRIBUTE)
            return found

    def open(self, name: str, *, dimension: int | None = None) -> VectorStoreBase:
        """Return a collection; it is created if need be.

        Args:
            name: The end of its name.
            dimension: Of its vectors; None for the embedder's.
        """
        with self._lock:
            if name not in self._stores:
                self._stores[name] = (
                    self._created(name, dimension)
                    if self._open_embedded is None
                    else self._open_embedded(name, dimension=dimension)
                )
            return self._stores[name]

    def exists(self, name: str) -> bool:
        """Tell whether a collection was ever opened, without creating it."""
        return (
            self._open_embedded is not None
            or name in self._stores
            or self._full_name(name) in vector_stores.collections(self._store)
        )

    def lock(self, name: str) -> threading.Lock:
        """Return what keeps the writers of a collection apart."""
        with self._lock:
            return self._locks.setdefault(name, threading.Lock())

    def close(self) -> None:
        """Close what was opened here."""
        with self._lock:
            if self._open_embedded is None:
                for store in self._stores.values():
                    # The client of a Qdrant is the memory's own.
                    if not hasattr(store, "client"):
                        vector_stores.close(store)
            self._stores.clear()

    def _full_name(self, name: str) -> str:
        separator = "-" if self._settings.provider == "s3_vectors" else "_"
        return f"{self._store.collection_name}{separator}{name}"

    def _created(self, name: str, dimension: int | None) -> VectorStoreBase:
        config = _safe_deepcopy_config(self._settings.config)
        config.collection_name = self._full_name(name)
        if dimension is not None and hasattr(config, "embedding_model_dims"):
            config.embedding_model_dims = dimension
        if self._settings.provider == "qdrant":
            # A local Qdrant can be opened once only.
            config.client = self._store.client
        if self._settings.provider == "pgvector":
            # Filtered after its scan, an approximate index would hide what a filter selects.
            config.hnsw = config.diskann = False
        store = VectorStoreFactory.create(self._settings.provider, config)
        vector_stores.index_paths(store)
        return store
