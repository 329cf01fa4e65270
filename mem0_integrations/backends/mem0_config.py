"""A `mem0.Memory` from a config, without the surprises of Mem0's defaults."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from mem0.configs.base import MemoryConfig
from mem0.vector_stores.configs import VectorStoreConfig

from mem0_integrations.errors import ConfigurationError, Mem0IntegrationsError
from mem0_integrations.learning.extraction import Extractor
from mem0_integrations.models import LangChainEmbedder, LangChainLLM

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from mem0 import Memory

__all__ = ["mem0_embedder", "memory_from_config", "parsed_config", "store_digest", "store_place"]

# What of a store's settings does not say where it is.
_NOT_A_PLACE: Final = re.compile(
    "key|password|secret|token|credential|user|sslmode|metric|distance|similarity|algorithm|index_type",
    re.I,
)
_NUMBERED_PLACES: Final = ("port", "db")
_DSN_PLACES: Final = ("host", "port", "dbname")


def memory_from_config(
    memory_class: type[Memory],
    config: Mapping[str, Any],
    folder: Path,
    *,
    llm: LangChainLLM | None,
    embedder: LangChainEmbedder | None,
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
    parsed = parsed_config(config, folder, llm=llm, embedder=embedder, extractor=extractor)
    try:
        return memory_class(parsed)
    except Mem0IntegrationsError:
        raise
    except Exception as error:
        raise _cannot_be_built(error) from error


def parsed_config(
    config: Mapping[str, Any],
    folder: Path,
    *,
    llm: LangChainLLM | None,
    embedder: LangChainEmbedder | None,
    extractor: Extractor | None,
) -> MemoryConfig:
    """Complete a config and let Mem0 parse it; see `memory_from_config`."""
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
    _complete_store(config, folder, embedder)
    try:
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
    """Fill in what Mem0 would guess: the dimension, and a place for a local Qdrant."""
    store = config.setdefault("vector_store", {"provider": "qdrant"})
    if not isinstance(store, dict) or not isinstance(store.get("config") or {}, Mapping):
        return
    given = dict(store.get("config") or {})
    if embedder is not None:
        given.setdefault("embedding_model_dims", embedder.config.embedding_dims)
    if store.get("provider") == "qdrant" and not given.keys() & {"client", "host", "path", "url"}:
        # Mem0's own default is a folder in /tmp that is emptied by each start.
        given |= {"path": str(folder / "qdrant"), "on_disk": True}
    store["config"] = given


def mem0_embedder(embedder: Embeddings) -> LangChainEmbedder:
    """Wrap a LangChain embeddings object, with the dimension that it turns out to have."""
    return LangChainEmbedder(embedder, dims=len(embedder.embed_query("dimension")))


def store_place(store: VectorStoreConfig) -> dict[str, str]:
    """Say where a vector store is, by setting, without credentials.

    Args:
        store: The `vector_store` of a `MemoryConfig`.
    """
    settings = {
        name: value
        for name, value in sorted(vars(store.config).items())
        if (isinstance(value, str) and value and not _NOT_A_PLACE.search(name))
        or (isinstance(value, int) and name in _NUMBERED_PLACES)
    }
    return {name: _place(name, str(value)) for name, value in settings.items()}


def store_digest(store: VectorStoreConfig) -> str:
    """Name a vector store, so that no outbox delivers to another one."""
    identity = json.dumps([store.provider, store_place(store)], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _place(name: str, value: str) -> str:
    if name == "path":
        return str(Path(value).expanduser().absolute())
    if "://" in value:
        url = urlsplit(value)
        # PostgreSQL's way to name a socket.
        named = dict(parse_qsl(url.query))
        host, port = url.hostname or named.get("host"), url.port or named.get("port")
        return f"{host or ''}:{port or ''}{url.path}"
    if name == "connection_string":
        parts = dict(part.partition("=")[::2] for part in value.split())
        return " ".join(f"{key}={parts[key]}" for key in _DSN_PLACES if key in parts)
    return value
