"""Any vector store of Mem0's: nothing is used but what Mem0's interface promises."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from mem0.memory.main import Memory
from mem0.utils.factory import VectorStoreFactory
from mem0.vector_stores.base import VectorStoreBase
from mem0.vector_stores.configs import VectorStoreConfig

from mem0_integrations.backends.mem0_private import copied_settings, entities_name, settings_of
from mem0_integrations.backends.stores.base import Payload, Payloads, Row, RowIds, Store, Vector
from mem0_integrations.backends.stores.payloads import flat, unflat
from mem0_integrations.backends.stores.places import store_place
from mem0_integrations.errors import DimensionMismatchError

__all__ = ["GenericStore", "cosine", "unit"]

_PAGE: Final = 10_000


@dataclass(slots=True)
class _Row:
    """A row of a vector store, as it was put."""

    id: str
    payload: Payload
    score: float | None = None


class GenericStore(Store):
    """A vector store that is asked through Mem0's interface only.

    Args:
        store: The store.
        settings: What it was made of.
    """

    flat_payloads: ClassVar[bool] = True
    """Whether the database keeps plain values only."""

    shares_client: ClassVar[bool] = False
    """Whether its collections are opened through one client."""

    scaled: ClassVar[bool] = False
    """Whether vectors are scaled to length 1 before the database measures distances."""

    places: ClassVar[frozenset[str]] = frozenset()
    """Settings that say where it is; one without any of them lies in the data folder."""

    # Held during each call.
    _turns: AbstractContextManager[Any] = nullcontext()
    # Whether Mem0 makes a score of the squared distance.
    _is_l2 = False
    # Whether another collection closes its client.
    _borrowed = False

    def __init__(self, store: VectorStoreBase, settings: VectorStoreConfig) -> None:
        self._store = store
        self._settings = settings

    @classmethod
    def completed(
        cls, provider: object, given: dict[str, Any], folder: Path, dimension: int | None
    ) -> dict[str, Any]:
        """Fill in what Mem0 would guess of the settings of a store.

        Args:
            provider: Mem0's name of it.
            given: The settings that are given.
            folder: Where files lie whose place they do not say.
            dimension: Of the vectors to come, where it is known.
        """
        if cls.places and not given.keys() & cls.places:
            given["path"] = str(folder / str(provider))
        if dimension is not None and "embedding_model_dims" in settings_of(provider):
            given.setdefault("embedding_model_dims", dimension)
        return given

    # Mem0's own pipeline calls these.

    def insert(
        self, vectors: Sequence[Vector], payloads: Payloads = None, ids: RowIds = None
    ) -> None:
        """Insert rows; a known id is refused or replaced, but not doubled."""
        rows = [self._packed(payload) for payload in payloads or [{}] * len(vectors)]
        with self._turns:
            self._store.insert(
                vectors=[self._scaled(vector) for vector in vectors], payloads=rows, ids=ids
            )

    def search(
        self, query: str, vectors: Vector, top_k: int = 5, filters: Payload | None = None
    ) -> builtins.list[Row]:
        """Return the rows nearest to a vector, with a score that rises with nearness."""
        with self._turns:
            found = self._store.search(
                query=query,
                vectors=self._scaled(vectors),
                top_k=top_k,
                filters=self._wanted(filters),
            )
        if not self.flat_payloads and not self._is_l2:
            return builtins.list(found)
        return [self._row(row.id, row.payload, self._similarity(row.score)) for row in found]

    def keyword_search(
        self, query: str, top_k: int = 5, filters: Payload | None = None
    ) -> builtins.list[Row] | None:
        """Return the rows that have words; None where the store knows no words."""
        with self._turns:
            found = self._store.keyword_search(
                query=query, top_k=top_k, filters=self._wanted(filters)
            )
        if found is None:
            return None
        if not self.flat_payloads:
            return builtins.list(found)
        return [self._row(row.id, row.payload, row.score) for row in found]

    def get(self, vector_id: str) -> Row | None:
        """Return a row, or None."""
        with self._turns:
            found = self._store.get(vector_id=vector_id)
        return None if found is None else self._row(found.id, found.payload)

    def update(
        self, vector_id: str, vector: Vector | None = None, payload: Payload | None = None
    ) -> None:
        """Replace the vector, the payload or both of a row."""
        with self._turns:
            self._store.update(
                vector_id=vector_id,
                vector=None if vector is None else self._scaled(vector),
                payload=None if payload is None else self._packed(payload),
            )

    def delete(self, vector_id: str) -> None:
        """Delete a row."""
        with self._turns:
            self._store.delete(vector_id=vector_id)

    def list(
        self, filters: Payload | None = None, top_k: int | None = _PAGE
    ) -> builtins.list[builtins.list[Row]]:
        """List rows."""
        with self._turns:
            listed = self._store.list(filters=self._wanted(filters), top_k=top_k)
        # Mem0's stores do not agree on it: rows, or a list or tuple that begins with them.
        nested = isinstance(listed, list | tuple) and listed and isinstance(listed[0], list | tuple)
        rows = listed[0] if nested else listed or ()
        return [[self._row(row.id, row.payload) for row in rows]]

    def list_cols(self) -> builtins.list[str]:
        """Return the names of all collections."""
        listed = self._store.list_cols()
        names = getattr(listed, "collections", listed)
        return [str(getattr(item, "name", item)) for item in names or ()]

    def _unused(self, *given: Any, **named: Any) -> Any:
        raise NotImplementedError

    create_col = delete_col = col_info = reset = _unused

    def beside(self, name: str, dimension: int | None) -> Self:
        """Open another collection of the same database; it is created if need be."""
        settings = copied_settings(self._settings.config)
        settings.collection_name = self._name_beside(name)
        if dimension is not None and "embedding_model_dims" in settings_of(self._settings.provider):
            settings.embedding_model_dims = dimension
        if self.shares_client:
            settings.client = self._store.client
        self._adjust(settings)
        other = VectorStoreFactory.create(self._settings.provider, settings)
        opened = type(self)(other, self._settings)
        opened._borrowed = self.shares_client
        return opened

    def has_beside(self, name: str) -> bool:
        """Tell whether another collection may be there, without creating it."""
        return self._name_beside(name) in self.list_cols()

    def entities(self, memory: Memory) -> Self:
        """Open the collection that Mem0 keeps entities in."""
        if self.shares_client:
            return self.beside("entities", None)
        return type(self)(memory.entity_store, self._settings)

    def check_dimension(self, dimension: int | None) -> None:
        """Compare the vectors that are there to those to come, where that can be done."""
        wanted = dimension or self.dimension
        existing = self._existing_dimension()
        if wanted and existing and wanted != existing:
            raise DimensionMismatchError(
                f"The collection {self._settings.config.collection_name!r} holds vectors of "
                f"dimension {existing}, but the embedder makes {wanted}. Use the embedder that it "
                f"was filled with, or another collection_name."
            )

    def describe(self) -> str:
        """Name the store and where it lies, without credentials."""
        places = [f"{name}={place}" for name, place in store_place(self._settings).items()]
        return f"{type(self._store).__name__}({', '.join(places)})"

    def close(self) -> None:
        """Close its connections, where it has any."""
        if self._borrowed:
            return
        # Mem0's interface promises nothing about it.
        for holder in (self._store, *map(vars(self._store).get, ("client", "connection_pool"))):
            if callable(closing := getattr(holder, "close", None)):
                closing()

    def _adjust(self, settings: Any) -> None:
        """Change the settings of another collection, before it is opened."""

    def _existing_dimension(self) -> int | None:
        """Return the length of the vectors that are there; None where it cannot be told."""
        return None

    def _name_beside(self, name: str) -> str:
        given = entities_name(self._settings.provider, self._settings.config.collection_name)
        return f"{given.removesuffix('entities')}{name}"

    def _packed(self, payload: Payload) -> dict[str, object]:
        return flat(payload) if self.flat_payloads else dict(payload)

    def _wanted(self, filters: Payload | None) -> dict[str, object] | None:
        return self._packed(filters) if filters else None

    def _row(self, row_id: object, payload: Payload | None, score: float | None = None) -> Row:
        given = payload or {}
        return _Row(str(row_id), unflat(given) if self.flat_payloads else given, score)

    def _scaled(self, vector: Vector) -> builtins.list[float]:
        """Return a vector as the database gets it."""
        return unit(vector) if self.scaled else list(vector)

    def _similarity(self, score: float) -> float:
        """Return the score of a row from what Mem0's store says."""
        return cosine(score) if self._is_l2 else score


def unit(vector: Vector) -> list[float]:
    """Scale a vector to length 1; of such ones, a distance tells the cosine of their angle."""
    length = math.hypot(*vector)
    return [value / length for value in vector] if length else list(vector)


def cosine(score: float) -> float:
    """Return the similarity of vectors of length 1 from Mem0's 1 / (1 + squared distance)."""
    return max(0.0, 1.5 - 0.5 / score) if score > 0 else 0.0
