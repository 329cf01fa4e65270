"""A `mem0.Memory` from a config, without the surprises of Mem0's defaults."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mem0_integrations.errors import ConfigurationError, Mem0IntegrationsError
from mem0_integrations.extraction import Extractor, LangChainEmbedder

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel
    from mem0 import Memory

__all__ = ["mem0_embedder", "memory_from_config", "store_digest"]

_PLACE_OF_STORE: Final = (
    "path",
    "url",
    "host",
    "port",
    "dbname",
    "database",
    "db_name",
    "connection_string",
    "index_name",
    "collection_name",
)


def memory_from_config(
    memory_class: type[Memory],
    config: Mapping[str, Any],
    folder: Path,
    *,
    llm: BaseChatModel | None,
    embedder: Embeddings | None,
    extractor: Extractor | None,
) -> Memory:
    """Build Mem0 of a config, with parts that are replaced afterwards left out.

    Args:
        memory_class: `mem0.Memory`.
        config: As for `mem0.Memory.from_config`.
        folder: Where files lie whose place the config does not say.
        llm: Will replace the config's model.
        embedder: Will replace the config's embedder.
        extractor: Will replace the extraction with a model.

    Raises:
        ConfigurationError: Mem0 cannot be built from it.
    """
    if "graph_store" in config:
        raise ConfigurationError(
            "The config has a 'graph_store', which Mem0 2.x ignores: no graph would be built. "
            "Remove it to go on without a graph."
        )
    config = {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in config.items()
    }
    # Mem0 would take the folder that it was imported with.
    config.setdefault("history_db_path", str(folder / "history.db"))
    # Mem0 builds the parts of its config in any case, and the default ones want a key.
    placeholder = {"provider": "openai", "config": {"api_key": "replaced"}}
    if llm is not None or (extractor is not None and "llm" not in config):
        config["llm"] = placeholder
    if embedder is not None:
        config["embedder"] = placeholder
    _complete_store(config, folder, embedder)
    try:
        return memory_class.from_config(config)
    except Mem0IntegrationsError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"Mem0 cannot be built from this config: {type(error).__name__}: {error}"
        ) from error


def _complete_store(config: dict[str, Any], folder: Path, embedder: Embeddings | None) -> None:
    """Fill in what Mem0 would guess: the dimension, and a place for a local Qdrant."""
    store = config.setdefault("vector_store", {"provider": "qdrant"})
    if not isinstance(store, dict) or not isinstance(store.get("config") or {}, Mapping):
        return
    given = dict(store.get("config") or {})
    if embedder is not None:
        given.setdefault("embedding_model_dims", mem0_embedder(embedder).config.embedding_dims)
    if store.get("provider") == "qdrant" and not given.keys() & {"client", "host", "path", "url"}:
        # Mem0's own default is a folder in /tmp that is emptied by each start.
        given |= {"path": str(folder / "qdrant"), "on_disk": True}
    store["config"] = given


def mem0_embedder(embedder: Embeddings) -> LangChainEmbedder:
    """Wrap a LangChain embeddings object, with the dimension that it turns out to have."""
    return LangChainEmbedder(embedder, dims=len(embedder.embed_query("dimension")))


def store_digest(memory: Memory) -> str:
    """Name the store behind a memory, so that no outbox delivers to another one."""
    store = memory.config.vector_store
    place = {
        name: re.sub(r"//[^@/]*@", "//", str(value))
        for name in _PLACE_OF_STORE
        if (value := getattr(store.config, name, None)) is not None
    }
    identity = json.dumps([store.provider, place], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]
