"""LangChain's in-memory vector store, behind Mem0's `langchain` provider."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Final, Self

from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from mem0.memory.main import Memory
from mem0.vector_stores.base import VectorStoreBase
from mem0.vector_stores.configs import VectorStoreConfig

from mem0_integrations.backends.stores.base import Payload, Payloads, Row, RowIds, Vector
from mem0_integrations.backends.stores.generic import GenericStore
from mem0_integrations.errors import ConfigurationError

__all__ = ["LangChainStore"]

_BESIDE: Final = "mem0-integrations:"


class LangChainStore(GenericStore):
    """Rows of LangChain's in-memory vector store; but for memories, their ids say of which kind.

    Raises:
        ConfigurationError: It is another vector store of LangChain's.
    """

    unlimited = True
    upserts = True

    def __init__(self, store: VectorStoreBase, settings: VectorStoreConfig) -> None:
        super().__init__(store, settings)
        self._client = store.client
        if not isinstance(self._client, InMemoryVectorStore):
            raise ConfigurationError(
                f"LangChain's {type(self._client).__name__} cannot list what it holds, so that "
                f"nothing in it could be listed or forgotten: use Mem0's own provider for that "
                f"database, or LangChain's InMemoryVectorStore."
            )
        self._prefix = ""

    def insert(
        self, vectors: Sequence[Vector], payloads: Payloads = None, ids: RowIds = None
    ) -> None:
        """Insert rows, or replace those with the same ids; no text is embedded again."""
        for row_id, payload, vector in zip(ids or (), payloads or (), vectors, strict=True):
            key, text = self._prefix + row_id, str(payload.get("data") or "")
            kept = {"id": key, "vector": list(vector), "text": text}
            self._client.store[key] = {**kept, "metadata": self._packed(payload)}

    def search(
        self, query: str, vectors: Vector, top_k: int = 5, filters: Payload | None = None
    ) -> list[Row]:
        """Return the rows nearest to a vector."""

        def passes(document: Document) -> bool:
            return self._is_own(document.id or "", document.metadata, filters)

        search = self._client.similarity_search_with_score_by_vector
        found = search(list(vectors), top_k, filter=passes)
        return [self._row(each.id, each.metadata, max(0.0, score)) for each, score in found]

    def get(self, vector_id: str) -> Row | None:
        """Return a row, or None."""
        row = self._client.store.get(self._prefix + vector_id)
        return None if row is None else self._row(row["id"], row["metadata"])

    def update(
        self, vector_id: str, vector: Vector | None = None, payload: Payload | None = None
    ) -> None:
        """Replace the vector, the payload or both of a row."""
        row = self._client.store[self._prefix + vector_id]
        kept = self._row(vector_id, row["metadata"]).payload if payload is None else payload
        self.insert([row["vector"] if vector is None else vector], [kept], [vector_id])

    def delete(self, vector_id: str) -> None:
        """Delete a row, if there is one."""
        super().delete(self._prefix + vector_id)

    def list(self, filters: Payload | None = None, top_k: int | None = None) -> list[list[Row]]:
        """List rows."""
        # A copy: another thread may insert.
        rows = [
            self._row(key, row["metadata"])
            for key, row in list(self._client.store.items())
            if self._is_own(key, row["metadata"], filters)
        ]
        return [rows[:top_k]]

    def beside(self, name: str, dimension: int | None) -> Self:
        """Return the rows of another kind."""
        other = copy.copy(self)
        other._prefix = f"{_BESIDE}{self._name_beside(name)}:"
        return other

    def has_beside(self, name: str) -> bool:
        """Tell whether there may be rows of another kind."""
        return True

    def entities(self, memory: Memory) -> Self:
        """Return what Mem0 keeps of entities, which it would keep in a copy of all rows."""
        return self.beside("entities", None)

    def _row(self, row_id: object, payload: Payload | None, score: float | None = None) -> Row:
        return super()._row(str(row_id).removeprefix(self._prefix), payload, score)

    def _is_own(self, key: str, payload: Payload, filters: Payload | None) -> bool:
        own = key.startswith(self._prefix) and (self._prefix or not key.startswith(_BESIDE))
        wanted = self._wanted(filters) or {}
        return bool(own) and all(payload.get(name) == value for name, value in wanted.items())
