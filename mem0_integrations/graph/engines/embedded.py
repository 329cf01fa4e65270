"""The embedded engine: kglite, a graph database inside the process, in one file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from mem0_integrations.concurrency import WorkerPool, shielded
from mem0_integrations.data_folder import make_folder
from mem0_integrations.errors import BackendError, ClosedError, FolderLockedError, MissingExtraError
from mem0_integrations.graph.engines.base import Batch, GraphEngine, Query, Rows

__all__ = ["EmbeddedEngine"]

_POOL_SIZE: Final = 4


class EmbeddedEngine(GraphEngine):
    """A graph in a file of its own; one process at a time writes it.

    Args:
        path: The file; it and its folder are created if they are missing. Further files beside it
            begin with its name.

    Raises:
        MissingExtraError: kglite is not installed.
        FolderLockedError: Another process has the file open.
        BackendError: The file cannot be opened.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     engine = EmbeddedEngine(Path(folder) / "graph")
        ...     rows = engine.run(Batch([Query("RETURN 1 + 1 AS two")]))
        ...     engine.close()
        >>> rows
        [[{'two': 2}]]
    """

    # With an index of everything that a user has, it looks nodes up there in place of their id.
    chooses_indexes = False

    def __init__(self, path: Path) -> None:
        try:
            import kglite
        except ImportError as error:
            raise MissingExtraError("A graph without a server", "graph") from error
        self._kglite = kglite
        self._path = path
        self._pool = WorkerPool(_POOL_SIZE)
        # A transaction works on a copy, and of two at once the second would be refused.
        self._writing = threading.Lock()
        self._closed = False
        make_folder(path.absolute().parent)
        with self._translated():
            self._session = kglite.open_session(str(path), durable="full")

    @shielded
    def run(self, batch: Batch) -> list[Rows]:
        """Run a batch and return the rows of each query."""
        with self._translated():
            if not batch.write:
                return [_rows(self._session.cypher, query) for query in batch.queries]
            with self._writing:
                transaction = self._session.begin()
                try:
                    found = [_rows(transaction.cypher, query) for query in batch.queries]
                except BaseException:
                    transaction.rollback()
                    raise
                transaction.commit()
            return found

    async def arun(self, batch: Batch) -> list[Rows]:
        """Async twin of `run`, in a thread."""
        return await self._pool.arun(partial(self.run, batch))

    @shielded
    def prepare(self, schema: Sequence[str]) -> None:
        """Create the constraints and indexes that are missing."""
        with self._translated(), self._writing:
            for query in schema:
                self._session.execute(query)

    @shielded
    def describe(self) -> str:
        """Return the engine's version and the path of its file."""
        self.run(Batch([Query("RETURN 1 AS one")]))
        return f"kglite {version('kglite')} (path={self._path})"

    @shielded
    def close(self) -> None:
        """Close the file."""
        self._pool.shutdown()
        with self._writing:
            if not self._closed:
                self._closed = True
                self._session.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        if self._closed:
            raise ClosedError("The graph is closed; connect() again.")
        try:
            yield
        except self._kglite.WriterLeaseHeldError as error:
            raise FolderLockedError(
                f"{self._path}: another process has this graph open. End it, or use a graph "
                f"server: connect(graph=...) with Neo4j."
            ) from error
        except self._kglite.KgError as error:
            if self._closed:
                raise ClosedError("The graph is closed; connect() again.") from error
            raise BackendError(
                f"The graph in {self._path} failed: {type(error).__name__}. "
                f"Check it with `mem0-integrations doctor`."
            ) from error


def _rows(cypher: Callable[..., Any], query: Query) -> Rows:
    text = query.text.replace("`~id`", "id")
    return list(cypher(text, params=dict(query.parameters)))
