"""The embedded engine: kglite, a graph database inside the process, in one file."""

from __future__ import annotations

import glob
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from mem0_integrations.concurrency import WorkerPool, shielded
from mem0_integrations.data_folder import keep_private, make_file, make_folder, storage_errors
from mem0_integrations.errors import (
    BackendError,
    ClosedError,
    CorruptFileError,
    FolderLockedError,
    MissingExtraError,
)
from mem0_integrations.graph.engines.base import Batch, GraphEngine, Query, Rows

__all__ = ["EmbeddedEngine"]

logger = logging.getLogger(__name__)

_POOL_SIZE: Final = 4
# What kglite puts beside a graph.
_BESIDE: Final = ("-wal", ".lock", ".lock-owner")
# The end of its log, cut off where the process died within a commit; and what was damaged.
_TORN: Final = "-wal.torn-*"
_QUARANTINE: Final = "-wal.quarantine-*"


class EmbeddedEngine(GraphEngine):
    """A graph in a file of its own; one process at a time writes it.

    Args:
        path: The file; it and its folder are created if they are missing. Further files beside it
            begin with its name.

    Raises:
        MissingExtraError: kglite is not installed.
        FolderLockedError: Another process has the file open.
        CorruptFileError: The file or its log is damaged.
        StorageError: The file cannot be created or read.
        BackendError: The file cannot be opened for another reason.

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
        for ending in _BESIDE:
            make_file(path.with_name(f"{path.name}{ending}"))
        with self._translated():
            self._session = kglite.open_session(str(path), durable="full")
        keep_private(path, _BESIDE)
        for torn in self._beside(_TORN):
            # Of a commit that nobody was told of: it is made again, or was forgotten since.
            logger.warning(
                "The end of the log of the graph in %s was cut off. Where no process died while "
                "it wrote, rebuild_graph() makes again what is missing.",
                path,
            )
            torn.unlink()
        for lost in self._beside(_QUARANTINE):
            keep_private(lost)
            self._session.close()
            raise self._damaged(f"a part of its log could not be read and lies in {lost.name}")

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
                try:
                    with self._translated():
                        self._session.close()
                finally:
                    self._closed = True
                    # It is written anew, under another name first.
                    for each in (self._path, *self._beside(".tmp.*")):
                        keep_private(each)

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
        except self._kglite.FileFormatError as error:
            raise self._damaged(type(error).__name__) from error
        except self._kglite.KgError as error:
            if self._closed:
                raise ClosedError("The graph is closed; connect() again.") from error
            raise BackendError(
                f"The graph in {self._path} failed: {type(error).__name__}. "
                f"Check it with `mem0-integrations doctor`.",
                # A full disk, above all.
                retryable=isinstance(error, self._kglite.FileIoError),
            ) from error
        except OSError as error:
            if error.errno is None:
                raise self._damaged("its log cannot be read") from error
            with storage_errors(self._path):
                raise

    def _damaged(self, reason: str) -> CorruptFileError:
        return CorruptFileError(
            f"The graph in {self._path} is damaged ({reason}). It was left as it is, and the "
            f"memories are not in it: move the files that begin with its name away, connect() "
            f"again, and make it again with rebuild_graph() for each scope."
        )

    def _beside(self, pattern: str) -> list[Path]:
        return sorted(self._path.parent.glob(f"{glob.escape(self._path.name)}{pattern}"))


def _rows(cypher: Callable[..., Any], query: Query) -> Rows:
    text = query.text.replace("`~id`", "id")
    return list(cypher(text, params=dict(query.parameters)))
