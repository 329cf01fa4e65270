"""Names of Mem0 that it does not promise to keep, all of them; each was seen in mem0ai 2.2.1."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, cast

from mem0.memory import main
from mem0.memory.main import Memory
from mem0.memory.storage import SQLiteManager
from mem0.vector_stores.base import VectorStoreBase
from mem0.vector_stores.configs import VectorStoreConfig

__all__ = [
    "condition",
    "copied_settings",
    "create_alone",
    "do_without_spacy",
    "entities_name",
    "has_entities",
    "is_expired",
    "locked",
    "postgres",
    "relink_entities",
    "save_index",
    "settings_of",
    "with_parts",
]


def copied_settings(settings: Any) -> Any:
    """Copy the settings of a vector store; what cannot be copied is shared."""
    return main._safe_deepcopy_config(settings)


def entities_name(provider: str, collection: str) -> str:
    """Name the collection of the entities of a collection."""
    return str(main._entity_collection_name(provider, collection))


def is_expired(payload: Mapping[str, object] | None) -> bool:
    """Tell whether a memory has an expiration date that is over."""
    return bool(main._payload_is_expired(payload))


def do_without_spacy() -> None:
    """Let Mem0 take its language models for missing, and not download them."""
    from mem0.utils import spacy_models

    spacy_models._load_failed_full = spacy_models._load_failed_lemma = True


def has_entities(memory: Memory) -> bool:
    """Tell whether a memory has opened its collection of entities."""
    return memory._entity_store is not None


def with_parts(memory: Memory, *, entity_store: Callable[[], object], **parts: object) -> Memory:
    """Return a copy of a memory that uses other parts.

    Args:
        memory: It stays as it is.
        entity_store: Opens the collection of entities, when it is needed.
        parts: In place of its own: `vector_store`, `embedding_model`, `llm`, `db`.
    """
    kind = type(memory)

    class WithParts(kind):  # type: ignore[misc, valid-type]
        _entity_store: object = None

        @property
        def entity_store(self) -> object:
            if self._entity_store is None:
                self._entity_store = entity_store()
            return self._entity_store

    copied: Memory = object.__new__(WithParts)
    copied.__dict__.update({**vars(memory), **parts, "_entity_store": None})
    return copied


@contextmanager
def locked(manager: SQLiteManager) -> Iterator[Any]:
    """Yield the connection of Mem0's history, which is this thread's meanwhile."""
    with manager._lock:
        yield manager.connection


def create_alone(store: VectorStoreBase) -> None:
    """Let a `PGVector` create its table while nobody else does, in any process.

    PostgreSQL's own IF NOT EXISTS fails where two create the same at once.
    """
    create, lock = store._ensure_collection, threading.Lock()

    def ensure() -> None:
        if store._collection_ensured:
            return
        with lock, store._get_cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('mem0_integrations'))")
            create()

    # Once: another one of these would wait for this one for ever.
    if "_ensure_collection" not in vars(store):
        store._ensure_collection = ensure


@contextmanager
def postgres(
    store: VectorStoreBase, *, commit: bool = False, create: bool = True
) -> Iterator[tuple[Any, Any, Any]]:
    """Yield a cursor of a `PGVector`, the `sql` of its driver, and its table.

    Args:
        store: The `PGVector`.
        commit: Whether what was done is committed at the end.
        create: Whether the table is created where it is missing.
    """
    from mem0.vector_stores.pgvector import sql

    if create:
        store._ensure_collection()
    with store._get_cursor(commit=commit) as cursor:
        yield cursor, sql, store._col()


def relink_entities(memory: Memory, memory_id: str, text: str, ids: Mapping[str, str]) -> None:
    """Let the entities of a text that has changed be found with it; what fails is logged.

    Args:
        memory: Whose memory it is.
        memory_id: Its id.
        text: What it says now.
        ids: Its scope, in Mem0's spelling; Mem0 knows no app_id here.
    """
    filters = {key: value for key, value in ids.items() if key != "app_id"}
    memory._remove_memory_from_entity_store(memory_id, filters)
    memory._link_entities_for_memory(memory_id, text, filters)


def save_index(store: VectorStoreBase) -> None:
    """Write a `FAISS` to its files."""
    store._save()


def settings_of(provider: object) -> Mapping[str, object]:
    """Return the settings that a vector store of Mem0 takes; none for one that it has not."""
    name = VectorStoreConfig()._provider_configs.get(provider)
    if name is None:
        return {}
    settings = getattr(import_module(f"mem0.configs.vector_stores.{provider}"), name)
    return cast("Mapping[str, object]", settings.model_fields)


def condition(store: VectorStoreBase, filters: Mapping[str, object]) -> str:
    """Return equalities in the language of a `MilvusDB`; an empty text for none."""
    return str(store._create_filter(filters))
