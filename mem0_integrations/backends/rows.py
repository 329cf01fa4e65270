"""The rows that documents are kept in: of a vector store, or of the Platform."""

from __future__ import annotations

import builtins
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import ClassVar, Final, TypeAlias, TypeVar

from mem0.embeddings.base import EmbeddingBase

from mem0_integrations.backends.stores.base import Payload, Row, Store, Vector
from mem0_integrations.errors import BackendError

__all__ = ["NewRow", "RowLocks", "Rows", "StoreRows", "Vectors", "deepened", "dimension_of"]

T = TypeVar("T")
NewRow: TypeAlias = tuple[str, dict[str, object], str | None]
"""An id, a payload, and the text whose vector the row has; None where it is never searched."""
Vectors: TypeAlias = Mapping[str, Vector]

_GROWTH: Final = 4


class RowLocks:
    """Keeps those apart who read a row and then write it; others wait for nobody.

    One is for all memories of a process, several of which may lie on one store: an id is a UUID.
    """

    def __init__(self) -> None:
        self.reset()
        # In a forked process are none of the threads that hold something.
        os.register_at_fork(after_in_child=self.reset)

    @contextmanager
    def hold(self, ids: Iterable[str]) -> Iterator[None]:
        """Hold rows, as soon as nobody else holds any of them. A thread holds once at a time.

        Args:
            ids: Their ids, which need not be there.
        """
        holder, wanted = object(), frozenset(ids)
        try:
            with self._changed:
                # All of them at once: two who want the same rows cannot wait for each other.
                self._changed.wait_for(lambda: all(map(wanted.isdisjoint, self._held.values())))
                self._held[holder] = wanted
            yield
        finally:
            with self._changed:
                self._held.pop(holder, None)
                self._changed.notify_all()

    def reset(self) -> None:
        """Forget who holds what."""
        self._changed = threading.Condition()
        self._held: dict[object, Collection[str]] = {}


class Rows(ABC):
    """Rows with a payload each, found by their id, by equalities, or by a text."""

    numbered: bool = True
    """Whether a row has the id that it was put with; else the memory gets one of its own."""

    changing: ClassVar[RowLocks]
    """Held by who reads rows and then writes them."""

    @abstractmethod
    def embedded(self, texts: Iterable[str]) -> Vectors:
        """Return what `put` needs to know of texts: it takes long."""

    @abstractmethod
    def put(self, rows: Sequence[NewRow], vectors: Vectors) -> Sequence[str | None]:
        """Store rows, or replace those with the same ids; returns the ids of their memories."""

    @abstractmethod
    def find(self, wanted: Sequence[tuple[str, Payload]]) -> dict[str, Payload]:
        """Return payloads by their ids, where they are there.

        Args:
            wanted: The ids, and equalities that a row is known to meet.
        """

    def memory_ids(self, ids: Sequence[str], equals: Payload) -> Sequence[str]:
        """Return the ids of the memories that rows are; the equalities are known to be met."""
        return ids

    @abstractmethod
    def list(self, equals: Payload) -> Sequence[Row]:
        """Return all rows that equalities select."""

    def newest(self, equals: Payload, limit: int) -> Iterable[Row] | None:
        """Return the rows under a path, the last changed first; None where they must be sorted.

        Args:
            equals: Equalities that select a path.
            limit: How many will be taken, more or less.
        """
        return None

    def paths(self, levels: Mapping[str, str]) -> Sequence[tuple[str | None, ...]] | None:
        """Return the different paths under a prefix; None where rows have to be read.

        Args:
            levels: The fields of the prefix, from the topmost on.
        """
        return None

    @abstractmethod
    def searching(self, query: str, equals: Payload) -> Callable[[int], Sequence[Row]]:
        """Prepare a search for a text among what equalities select; it is told how many to find."""

    @abstractmethod
    def merge_payloads(self, changes: Mapping[str, dict[str, object]]) -> None:
        """Set some fields of rows by their ids, where they are there; the rest stays as it is."""

    @abstractmethod
    def delete_many(self, ids: Sequence[str]) -> None:
        """Delete the rows with these ids, where there are any."""

    @abstractmethod
    def compact(self) -> None:
        """Overwrite deleted data, where that can be asked for."""


class StoreRows(Rows):
    """Rows of a vector store.

    Args:
        store: The store, kept as an attribute.
        embedder: Makes the vectors.
    """

    changing = RowLocks()

    def __init__(self, store: Store, embedder: EmbeddingBase) -> None:
        self.store = store
        self._embedder = embedder

    def embedded(self, texts: Iterable[str]) -> Vectors:
        """Return the vectors of texts, by one call of the embedder."""
        wanted = sorted(set(texts))
        vectors = self._embedder.embed_batch(wanted, "add") if wanted else []
        if len(vectors) != len(wanted):
            raise BackendError(f"the embedder gave {len(vectors)} vectors for {len(wanted)} texts")
        return dict(zip(wanted, vectors, strict=True))

    def put(self, rows: Sequence[NewRow], vectors: Vectors) -> Sequence[str | None]:
        """Store rows, or replace those with the same ids; returns the ids."""
        self.store.put(
            [(row_id, payload) for row_id, payload, _ in rows],
            [self._unsearched if text is None else vectors[text] for _, _, text in rows],
        )
        return [row_id for row_id, _, _ in rows]

    def find(self, wanted: Sequence[tuple[str, Payload]]) -> dict[str, Payload]:
        """Return payloads by their ids, where they are there."""
        ids = list(dict.fromkeys(row_id for row_id, _ in wanted))
        return {row.id: row.payload for row in self.store.get_many(ids)}

    def list(self, equals: Payload) -> Sequence[Row]:
        """Return all rows that equalities select."""
        return self.store.every(equals)

    def newest(self, equals: Payload, limit: int) -> Iterable[Row] | None:
        """Return the rows under a path, the last changed first; None where they must be sorted."""
        return self.store.newest(equals, limit=limit) if self.store.in_order else None

    def paths(self, levels: Mapping[str, str]) -> Sequence[tuple[str | None, ...]] | None:
        """Return the different paths under a prefix; None where rows have to be read."""
        return self.store.paths(levels) if self.store.in_order else None

    def searching(self, query: str, equals: Payload) -> Callable[[int], Sequence[Row]]:
        """Embed a text, and search for it among what equalities select."""
        vector = self._embedder.embed(query, "search")
        return lambda top_k: self.store.search(query, vector, top_k, dict(equals))

    def merge_payloads(self, changes: Mapping[str, dict[str, object]]) -> None:
        """Set some fields of the payloads of rows, where they are there."""
        self.store.merge_payloads(changes)

    def delete_many(self, ids: Sequence[str]) -> None:
        """Delete the rows with these ids, where there are any."""
        self.store.delete_many(ids)

    def compact(self) -> None:
        """Overwrite deleted data, where the store can be asked to."""
        self.store.compact()

    @cached_property
    def _unsearched(self) -> Vector:
        # Of length 1, for some stores refuse or skip the zero vector.
        return [1.0] + [0.0] * (dimension_of(self.store, self._embedder) - 1)


def dimension_of(store: Store, embedder: EmbeddingBase) -> int:
    """Return the length of the vectors that a store takes."""
    return store.dimension or len(embedder.embed("dimension", "add"))


def deepened(
    search: Callable[[int], tuple[Sequence[T], bool]], id_of: Callable[[T], str], top_k: int
) -> Iterator[builtins.list[T]]:
    """Yield what a search finds that is asked for ever more, without what it has found before.

    Args:
        search: Is told how many to find; also returns whether there may be more.
        id_of: Tells what was found before.
        top_k: How many to ask for at first.
    """
    seen: set[str] = set()
    more = True
    while more:
        found, more = search(top_k)
        yield [each for each in found if id_of(each) not in seen]
        seen.update(map(id_of, found))
        top_k *= _GROWTH
