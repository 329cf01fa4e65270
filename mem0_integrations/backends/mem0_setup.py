"""Importing `mem0` on our terms: telemetry off, files in our folder, no noise."""

from __future__ import annotations

import importlib.util
import logging
import os
from types import ModuleType
from typing import Final

from mem0_integrations.data_folder import data_folder, make_folder

__all__ = ["import_mem0"]

# What Mem0 logs about optional extras that this package does without, and what it logs with
# the text of a memory in it.
_NOISE: Final = {
    "mem0.utils.spacy_models": ("Failed to load spaCy",),
    "mem0.vector_stores.qdrant": ("fastembed not installed",),
    "mem0.memory.main": (
        "Updating memory with data=",
        "Updating memory with ID",
        "Skipping invalid message format",
        "Entity upsert failed for",
    ),
}


class _Quiet(logging.Filter):
    def __init__(self, prefixes: tuple[str, ...]) -> None:
        super().__init__()
        self._prefixes = prefixes

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(self._prefixes)


def import_mem0() -> ModuleType:
    """Import `mem0` without telemetry, unless the user turned it on, and without noise.

    Mem0 reads its environment when it is imported; where the application has imported it
    before, its own choice stands.
    """
    os.environ.setdefault("MEM0_TELEMETRY", "False")
    if "MEM0_DIR" not in os.environ:
        os.environ["MEM0_DIR"] = str(make_folder(data_folder()))
    for name, prefixes in _NOISE.items():
        logger = logging.getLogger(name)
        if not any(isinstance(known, _Quiet) for known in logger.filters):
            logger.addFilter(_Quiet(prefixes))
    import mem0
    from mem0.utils import spacy_models

    if not importlib.util.find_spec("spacy") or not importlib.util.find_spec("en_core_web_sm"):
        # Else Mem0 downloads the model, and spaCy ends the process when a proxy answers 403.
        spacy_models._load_failed_full = spacy_models._load_failed_lemma = True
    module: ModuleType = mem0
    return module
