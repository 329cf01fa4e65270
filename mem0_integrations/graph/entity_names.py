"""Which node stands for a name: the same name first, then one that means nearly the same."""

from __future__ import annotations

import base64
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from mem0_integrations.graph.model import is_identifier
from mem0_integrations.models import Mem0Embedder
from mem0_integrations.scope import Scope

__all__ = ["EntityNames"]

_Vector: TypeAlias = npt.NDArray[np.float32]

_MAX_SCOPES: Final = 64


class EntityNames:
    """The names of scopes with their vectors, compared exactly.

    No engine's vector index filters by scope before it ranks, so the vectors of a scope are
    compared here, all of them. They are kept in memory for the scopes that were written last.

    Args:
        embedder: Embeds names; None to compare their spelling only.
        threshold: Minimum cosine similarity, in [0, 1], for two names to mean the same thing.
    """

    def __init__(self, embedder: Mem0Embedder | None, threshold: float = 1.0) -> None:
        self._embedder = embedder
        # Where an embedder knows no words, other names are near, too, and some the same.
        self._knows_script: Callable[[str], bool] = getattr(
            embedder, "knows_script", lambda name: True
        )
        self._threshold = threshold
        self._tables: OrderedDict[Scope, _Table] = OrderedDict()
        self._lock = threading.Lock()

    def knows(self, scope: Scope) -> bool:
        """Tell whether the names of a scope are kept, as far as they are needed."""
        with self._lock:
            return self._embedder is None or scope in self._tables

    def load(self, scope: Scope, nodes: Iterable[tuple[str, str]]) -> None:
        """Keep the names of exactly this scope: the name and the packed vector of each node."""
        table = _Table()
        for name, packed in nodes:
            if packed:
                table.add(name, _unpack(packed))
        with self._lock:
            self._tables[scope] = table
            if len(self._tables) > _MAX_SCOPES:
                self._tables.popitem(last=False)

    def resolve(self, scope: Scope, names: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Find the nodes of a scope, whose names are kept, that stand for names without a node.

        Returns the name that stands for each other name, and the packed vectors of new names.
        """
        fuzzy = [name for name in names if not is_identifier(name) and self._knows_script(name)]
        if self._embedder is None or not fuzzy:
            return {}, {}
        with self._lock:
            table = self._tables[scope]
            self._tables.move_to_end(scope)
        aliases: dict[str, str] = {}
        packed: dict[str, str] = {}
        vectors = self._embedder.embed_batch(fuzzy, "add")
        for name, vector in zip(fuzzy, map(_unit, vectors), strict=True):
            nearest = table.nearest(vector, self._threshold)
            if nearest is None:
                packed[name] = _pack(vector)
                table.add(name, vector)
            else:
                aliases[name] = nearest
        return aliases, packed

    def drop(self, scope: Scope) -> None:
        """Forget what is kept of a scope, and of those within it."""
        with self._lock:
            for known in [known for known in self._tables if scope.covers(known)]:
                del self._tables[known]

    def clear(self) -> None:
        """Forget what is kept of every scope."""
        with self._lock:
            self._tables.clear()


class _Table:
    """The names of one scope with their unit vectors, in rows that grow in place."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._vectors: _Vector | None = None

    def add(self, name: str, vector: _Vector) -> None:
        count = len(self._names)
        rows = np.empty((0, len(vector)), vector.dtype) if self._vectors is None else self._vectors
        if count == len(rows):
            # In proportion, so that adding one by one stays linear.
            rows = np.pad(rows, ((0, count // 4 + 8), (0, 0)))
        rows[count] = vector
        self._vectors = rows
        self._names.append(name)

    def nearest(self, vector: _Vector, threshold: float) -> str | None:
        """Return the name whose vector is nearest, if it is near enough."""
        if self._vectors is None:
            return None
        scores = np.einsum("md,d->m", self._vectors[: len(self._names)], vector)
        best = int(np.argmax(scores))
        return self._names[best] if scores[best] >= threshold else None


def _unit(vector: Sequence[float]) -> _Vector:
    values = np.asarray(vector, dtype=np.float32)
    length = float(np.linalg.norm(values))
    return values / length if length else values


def _pack(vector: _Vector) -> str:
    return base64.b64encode(vector.astype(np.float16).tobytes()).decode()


def _unpack(packed: str) -> _Vector:
    return np.frombuffer(base64.b64decode(packed), dtype=np.float16).astype(np.float32)
