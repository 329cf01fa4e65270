"""A `mem0.Memory` from a config, without the surprises of Mem0's defaults."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mem0.configs.base import MemoryConfig
from mem0.memory.main import Memory

from mem0_integrations.backends.stores import adapter_of
from mem0_integrations.data_folder import SQLITE_FILES, keep_private, make_file, make_folder
from mem0_integrations.errors import ConfigurationError, Mem0IntegrationsError
from mem0_integrations.learning.extraction import Extractor
from mem0_integrations.models import LangChainEmbedder, LangChainLLM
from mem0_integrations.sqlite import check_file

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

__all__ = ["mem0_embedder", "memory_of", "name_of", "parsed_config"]


def memory_of(config: MemoryConfig, folder: Path) -> Memory:
    """Build the Mem0 of a parsed config.

    Args:
        config: The config.
        folder: The data folder.

    Raises:
        ConfigurationError: Mem0 cannot be built from it.
    """
    _make_private(config, folder)
    try:
        return Memory(config)
    except Mem0IntegrationsError:
        raise
    except Exception as error:
        if isinstance(error, sqlite3.Error):
            check_file(Path(config.history_db_path))
        raise _cannot_be_built(error) from error


def _make_private(config: MemoryConfig, folder: Path) -> None:
    """Close what Mem0 and its store are going to write to others than its owner."""
    history = Path(config.history_db_path)
    store = getattr(config.vector_store.config, "path", None)
    if history.parent.is_dir() and history.name != ":memory:":
        make_file(history)
    # What was made elsewhere may be shared with other programs.
    if history.parent == folder:
        keep_private(history, SQLITE_FILES)
    if store is not None and Path(store).parent == folder and not Path(store).is_file():
        keep_private(make_folder(Path(store)))


def parsed_config(
    config: Mapping[str, Any],
    folder: Path,
    *,
    llm: LangChainLLM | None,
    embedder: LangChainEmbedder | None,
    extractor: Extractor | None,
) -> MemoryConfig:
    """Complete a config and let Mem0 parse it, with parts that are replaced afterwards left out.

    Args:
        config: As for `mem0.Memory.from_config`.
        folder: Where files lie whose place the config does not say.
        llm: Will replace the config's model.
        embedder: Will replace the config's embedder.
        extractor: Will replace the extraction with a model.

    Raises:
        ConfigurationError: It is not a config of Mem0.
    """
    if unknown := sorted(set(config) - {*MemoryConfig.model_fields}):
        raise ConfigurationError(
            f"The config has unknown parts {unknown}; Mem0 knows "
            f"{', '.join(sorted(MemoryConfig.model_fields))}."
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
    try:
        _complete_store(config, folder, embedder)
        return MemoryConfig(**config)
    except Mem0IntegrationsError:
        raise
    except Exception as error:
        raise _cannot_be_built(error) from error


def _cannot_be_built(error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"Mem0 cannot be built from this config: {type(error).__name__}: {error} (An llm=, "
        f"embedder= or extractor= of connect() takes the place of what the config lacks.)"
    )


def _complete_store(
    config: dict[str, Any], folder: Path, embedder: LangChainEmbedder | None
) -> None:
    """Fill in what Mem0 would guess: the dimension, and the place of files."""
    store = config.setdefault("vector_store", {"provider": "qdrant"})
    if not isinstance(store, dict) or not isinstance(store.get("config") or {}, Mapping):
        return
    provider = store.get("provider")
    store["config"] = adapter_of(provider).completed(
        provider,
        dict(store.get("config") or {}),
        folder,
        embedder.config.embedding_dims if embedder is not None else None,
    )


def mem0_embedder(embedder: Embeddings) -> LangChainEmbedder:
    """Wrap a LangChain embeddings object, with the dimension that it turns out to have."""
    return LangChainEmbedder(embedder, dims=len(embedder.embed_query("dimension")))


def name_of(part: object) -> str:
    """Name a part of Mem0: its class, and the model that it uses."""
    wrapped = getattr(part, "model", getattr(part, "embeddings", None))
    if wrapped is not None and not isinstance(wrapped, str):
        return name_of(wrapped)
    config = getattr(part, "config", None)
    names = (getattr(config, "model", None), getattr(part, "model_name", None), wrapped)
    model = next((name for name in names if isinstance(name, str)), None)
    return f"{type(part).__name__}({model})" if model else type(part).__name__
