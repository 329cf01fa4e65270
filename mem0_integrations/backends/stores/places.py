"""Where a vector store is, without credentials."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from mem0.vector_stores.configs import VectorStoreConfig

__all__ = ["store_digest", "store_place"]

# What of a store's settings does not say where it is.
_NOT_A_PLACE: Final = re.compile(
    "key|password|secret|token|credential|user|sslmode|metric|distance|similarity|algorithm|index_type",
    re.I,
)
_NUMBERED_PLACES: Final = ("port", "db")
_DSN_PLACES: Final = ("host", "port", "dbname")


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
