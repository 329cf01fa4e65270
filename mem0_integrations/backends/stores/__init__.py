"""Mem0's vector stores: one class for each that is known, and one for all others."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final, cast

from mem0.vector_stores.base import VectorStoreBase
from mem0.vector_stores.configs import VectorStoreConfig

from mem0_integrations.backends.stores.base import Store
from mem0_integrations.backends.stores.generic import GenericStore

__all__ = ["adapted", "adapter_of"]

# The modules here have the names of Mem0's own, which are those of its providers.
_MEM0: Final = "mem0.vector_stores."
_ADAPTERS: Final[Mapping[str, str]] = {
    "chroma": "ChromaStore",
    "faiss": "FAISSStore",
    "langchain": "LangChainStore",
    "milvus": "MilvusStore",
    "pgvector": "PGVectorStore",
    "qdrant": "QdrantStore",
}


def adapted(store: VectorStoreBase, settings: VectorStoreConfig) -> Store:
    """Return a vector store with all that is asked of it; a subclass is served as its parent.

    Args:
        store: Any store of Mem0's.
        settings: What it was made of.

    Raises:
        ConfigurationError: It cannot do what this package needs.
    """
    if isinstance(store, Store):
        return store
    homes = [kind.__module__ for kind in type(store).__mro__]
    names = [home.removeprefix(_MEM0) for home in homes if home.startswith(_MEM0)]
    known = next((name for name in names if name in _ADAPTERS), "")
    return adapter_of(known)(store, settings)


def adapter_of(provider: object) -> type[GenericStore]:
    """Return what serves the stores of a provider, by Mem0's name of it."""
    if not isinstance(provider, str) or provider not in _ADAPTERS:
        return GenericStore
    module = import_module(f"{__name__}.{provider}")
    return cast("type[GenericStore]", getattr(module, _ADAPTERS[provider]))
