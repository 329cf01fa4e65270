"""Which files of the data folder belong to which Mem0."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mem0_integrations.data_folder import data_folder, make_folder

if TYPE_CHECKING:
    from mem0 import MemoryClient
    from mem0.vector_stores.configs import VectorStoreConfig

__all__ = [
    "EMBEDDED",
    "OUTBOX",
    "database_files",
    "graph_outbox_path",
    "has_words",
    "outbox_of",
    "outbox_of_project",
    "outbox_path",
    "words_of",
]

EMBEDDED: Final = "embedded"
OUTBOX: Final = "outbox.db"
_DATABASES: Final = (
    "history.db",
    "outbox-*.db",
    "graph-outbox-*.db",
    "words-*.db",
    f"{EMBEDDED}/*.db",
    "server/state.db",
)


def outbox_path(config: Mapping[str, Any] | None, data_dir: str | Path | None) -> Path:
    """Return where the outbox of a config lies, without opening the store behind it.

    Args:
        config: A Mem0 config; None for what `connect` takes then.
        data_dir: As for `connect`.

    Raises:
        ConfigurationError: Mem0 does not understand the config, or refuses the key.
        BackendError: The Mem0 Platform does not say whose the key is.
    """
    if config is None and not os.environ.get("MEM0_API_KEY"):
        return data_folder(data_dir) / EMBEDDED / OUTBOX
    from mem0_integrations.backends.mem0_setup import import_mem0

    folder = data_folder(data_dir)
    import_mem0(make_folder(folder))
    if config is None:
        from mem0_integrations.backends.platform import open_client

        client = open_client(None, None)
        with closing(client.client):
            return outbox_of_project(folder, client)
    from mem0_integrations.backends.mem0_config import parsed_config

    parsed = parsed_config(config, folder, llm=None, embedder=None, extractor=None)
    return outbox_of(folder, parsed.vector_store)


def has_words(config: Mapping[str, Any] | None, data_dir: str | Path | None) -> bool:
    """Tell whether there is an index of words beside the vector store of a config.

    Args:
        config: A Mem0 config; None for what `connect` takes then.
        data_dir: As for `connect`.
    """
    if config is None:
        return False
    from mem0_integrations.backends.mem0_config import parsed_config

    folder = data_folder(data_dir)
    parsed = parsed_config(config, folder, llm=None, embedder=None, extractor=None)
    return words_of(folder, parsed.vector_store).exists()


def database_files(folder: Path) -> list[Path]:
    """Return the SQLite files of this package that there are in a data folder."""
    return sorted(path for name in _DATABASES for path in folder.glob(name))


def graph_outbox_path(outbox: Path) -> Path:
    """Return where the outbox of the graph lies that follows the memories of an outbox."""
    return outbox.with_name(f"graph-{outbox.name}")


def outbox_of(folder: Path, store: VectorStoreConfig) -> Path:
    """Return where the outbox of a vector store lies."""
    from mem0_integrations.backends.stores.places import store_digest

    return folder / f"outbox-{store_digest(store)}.db"


def words_of(folder: Path, store: VectorStoreConfig) -> Path:
    """Return where the words of a vector store lie."""
    from mem0_integrations.backends.stores.places import store_digest

    return folder / f"words-{store_digest(store)}.db"


def outbox_of_project(folder: Path, client: MemoryClient) -> Path:
    """Return where the outbox of a project of the Mem0 Platform lies."""
    project = f"{client.host} {client.org_id} {client.project_id}"
    return folder / f"outbox-{hashlib.sha256(project.encode()).hexdigest()[:16]}.db"
