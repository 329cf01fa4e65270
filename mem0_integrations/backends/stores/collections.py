"""The collections of a `mem0.Memory`: its memories, and what lies beside them."""

from __future__ import annotations

import threading
from typing import Final

from mem0.memory.main import Memory as Mem0

from mem0_integrations.backends.mem0_private import has_entities
from mem0_integrations.backends.stores import adapted
from mem0_integrations.backends.stores.base import Store

__all__ = ["Collections"]

_ATTRIBUTE: Final = "_mem0_integrations_collections"
_ENTITIES: Final = "entities"


class Collections:
    """Opens the collections of a `mem0.Memory`, once for all who use that memory.

    Args:
        memory: Whose vector store it is.

    Raises:
        ConfigurationError: The store cannot do what this package needs.
    """

    _opening: Final = threading.Lock()

    def __init__(self, memory: Mem0) -> None:
        self.memories = adapted(memory.vector_store, memory.config.vector_store)
        self._memory = memory
        self._lock = threading.RLock()
        self._stores: dict[str, Store] = {}

    @classmethod
    def of(cls, memory: Mem0) -> Collections:
        """Return the collections of a memory; the memory keeps them."""
        with cls._opening:
            if _ATTRIBUTE not in vars(memory):
                setattr(memory, _ATTRIBUTE, cls(memory))
            found: Collections = vars(memory)[_ATTRIBUTE]
            return found

    def open(self, name: str, *, dimension: int | None = None) -> Store:
        """Return a collection; it is created if need be.

        Args:
            name: The end of its name.
            dimension: Of its vectors; None for the embedder's.
        """
        with self._lock:
            if name not in self._stores:
                self._stores[name] = self.memories.beside(name, dimension)
            return self._stores[name]

    def exists(self, name: str) -> bool:
        """Tell whether a collection may be there, without creating it."""
        return name in self._stores or self.memories.has_beside(name)

    def entities(self) -> Store:
        """Return what Mem0 keeps of entities; it is created if need be."""
        with self._lock:
            if _ENTITIES not in self._stores:
                self._stores[_ENTITIES] = self.memories.entities(self._memory)
            return self._stores[_ENTITIES]

    def has_entities(self) -> bool:
        """Tell whether there may be entities, without creating their collection."""
        return has_entities(self._memory) or self.exists(_ENTITIES)

    def close(self) -> None:
        """Close what was opened, and the store of the memory itself."""
        with self._lock:
            for store in (*self._stores.values(), self.memories):
                store.close()
            self._stores.clear()
