"""Importing `mem0` on our terms: telemetry off, files in our folder, no noise."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final

from mem0_integrations.data_folder import keep_private

__all__ = ["import_mem0"]

_SETTINGS: Final = "config.json"

# What Mem0 logs about optional extras that this package does without, and what it logs with
# the text of a memory in it.
_NOISE: Final = {
    "mem0.utils.spacy_models": ("Failed to load spaCy",),
    "mem0.vector_stores.qdrant": ("fastembed not installed",),
    "mem0.vector_stores.pgvector": ("Error in cursor context", "Error occurred:"),
    "mem0.memory.main": (
        "Updating memory with data=",
        "Updating memory with ID",
        "Skipping invalid message format",
        "Entity upsert failed for",
        "Failed to embed memory text",
        "LLM extraction failed",
        "Skipping duplicate memory",
    ),
}


class _Quiet(logging.Filter):
    def __init__(self, prefixes: tuple[str, ...]) -> None:
        super().__init__()
        self._prefixes = prefixes

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(self._prefixes)


def import_mem0(folder: Path) -> ModuleType:
    """Import `mem0` without telemetry, unless the user turned it on, and without noise.

    Mem0 reads its environment when it is imported; where the application has imported it
    before, its own choice stands.

    Args:
        folder: Where Mem0 writes its own settings, unless `MEM0_DIR` is set.
    """
    for name, prefixes in _NOISE.items():
        logger = logging.getLogger(name)
        if not any(isinstance(known, _Quiet) for known in logger.filters):
            logger.addFilter(_Quiet(prefixes))
    with _settings_in(folder):
        import mem0

    keep_private(folder / _SETTINGS)
    if not importlib.util.find_spec("spacy") or not importlib.util.find_spec("en_core_web_sm"):
        # Else Mem0 downloads the model, and spaCy ends the process when a proxy answers 403.
        from mem0_integrations.backends.mem0_private import do_without_spacy

        do_without_spacy()
    module: ModuleType = mem0
    return module


@contextmanager
def _settings_in(folder: Path) -> Iterator[None]:
    """Set `MEM0_DIR` for as long as Mem0 is imported; later memories may lie elsewhere."""
    if os.environ.get("MEM0_DIR"):
        yield
        return
    os.environ["MEM0_DIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["MEM0_DIR"]
