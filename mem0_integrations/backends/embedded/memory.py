"""The embedded default: a `mem0.Memory` without a key, a server or a network."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NoReturn

from mem0.configs.base import MemoryConfig
from mem0.memory.main import Memory as Mem0
from mem0.memory.storage import SQLiteManager

from mem0_integrations.backends.embedded.store import SQLiteVectorStore
from mem0_integrations.data_folder import (
    SQLITE_FILES,
    FolderLock,
    keep_private,
    make_file,
    make_folder,
)
from mem0_integrations.errors import ConfigurationError
from mem0_integrations.minilm import MiniLMEmbedder
from mem0_integrations.models import LangChainEmbedder
from mem0_integrations.sqlite import sqlite_errors

__all__ = ["EmbeddedMemory"]

_MEMORIES: Final = "memories"
# The name that Mem0 gives the collection in its other stores.
_ENTITIES: Final = f"{_MEMORIES}_entities"


class _NoModel:
    """Stands where Mem0 expects a language model."""

    def generate_response(self, *_: object, **__: object) -> NoReturn:
        raise ConfigurationError(
            "The embedded default has no language model. connect(llm=...) with a LangChain chat "
            "model, or a Mem0 config with an 'llm', lets Mem0 extract with one."
        )


class EmbeddedMemory(Mem0):  # type: ignore[misc]  # mem0 ships no types
    """A `mem0.Memory` in one folder: SQLite for vectors and history, MiniLM for embeddings.

    The folder belongs to one process at a time. Everything that `mem0.Memory` can do works;
    extraction needs a language model, which may be put into `llm`.

    Args:
        folder: Where the files lie; it is created if need be.
        embedder: Another embedder than the one that is shipped.

    Raises:
        FolderLockedError: Another process uses the folder.
        DimensionMismatchError: The folder was filled with another embedder.
        MissingExtraError: The extra `embedded` is not installed.
        StorageError: The folder cannot be used.
    """

    def __init__(self, folder: Path, *, embedder: LangChainEmbedder | None = None) -> None:
        # Not calling Mem0's own constructor, which builds the parts of a config by name and
        # knows no provider for these.
        self.folder = make_folder(folder)
        self._lock = FolderLock(folder)
        self._lock.acquire()
        try:
            history = folder / "history.db"
            self.config = MemoryConfig(history_db_path=str(history))
            self.embedding_model = MiniLMEmbedder() if embedder is None else embedder
            self.vector_store = SQLiteVectorStore(
                folder / "memories.db",
                dimension=self.embedding_model.config.embedding_dims,
                collection=_MEMORIES,
            )
            self.llm = _NoModel()
            make_file(history)
            with sqlite_errors(history):
                self.db = SQLiteManager(str(history))
            keep_private(history, SQLITE_FILES)
        except BaseException:
            self._lock.release()
            raise
        self.collection_name = _MEMORIES
        self.api_version = self.config.version
        self.custom_instructions = self.config.custom_instructions
        self.reranker = None
        self._entity_store: SQLiteVectorStore | None = None

    @property
    def entity_store(self) -> SQLiteVectorStore:
        """What Mem0 keeps of entities, in a collection of its own."""
        if self._entity_store is None:
            self._entity_store = self.vector_store.collection(_ENTITIES)
        return self._entity_store

    def close(self) -> None:
        """Close the files and give the folder back."""
        super().close()
        self.vector_store.close()
        self._lock.release()
