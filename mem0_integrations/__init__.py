"""Long-term memory for agents: Mem0 behind LangChain, LangGraph and CrewAI.

```python
from mem0_integrations import connect

memory = connect()
memory.remember("I am allergic to peanuts.", scope={"user_id": "customer-1"})
memory.recall("What can I eat?", scope={"user_id": "customer-1"})
```
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mem0_integrations.errors import (
    BackendError,
    BackendTimeoutError,
    ClosedError,
    ConfigurationError,
    CorruptFileError,
    DimensionMismatchError,
    ExtractionError,
    FolderLockedError,
    InvalidFilterError,
    InvalidInputError,
    InvalidMessageError,
    Mem0IntegrationsError,
    MemoryNotFoundError,
    MissingExtraError,
    OutboxFullError,
    ScopeError,
    StorageError,
)
from mem0_integrations.lazy import lazy_names
from mem0_integrations.records import (
    BulkResult,
    ForgetResult,
    Memory,
    MemoryChange,
    Recall,
    Relation,
    WriteResult,
)
from mem0_integrations.scope import Scope, ScopeRequest

# Mem0 reads it when it is imported, by us or by the application after us.
os.environ.setdefault("MEM0_TELEMETRY", "False")

if TYPE_CHECKING:
    from mem0_integrations.agent_memory import AgentMemory
    from mem0_integrations.connection import OutboxOptions, connect
    from mem0_integrations.learning.extraction import SentenceExtractor
    from mem0_integrations.recall.ranking import Ranking
    from mem0_integrations.recall.rendering import recall_text
    from mem0_integrations.retry import RetryPolicy

__version__ = "0.1.0"

__all__ = [
    "AgentMemory",
    "BackendError",
    "BackendTimeoutError",
    "BulkResult",
    "ClosedError",
    "ConfigurationError",
    "CorruptFileError",
    "DimensionMismatchError",
    "ExtractionError",
    "FolderLockedError",
    "ForgetResult",
    "InvalidFilterError",
    "InvalidInputError",
    "InvalidMessageError",
    "Mem0IntegrationsError",
    "Memory",
    "MemoryChange",
    "MemoryNotFoundError",
    "MissingExtraError",
    "OutboxFullError",
    "OutboxOptions",
    "Ranking",
    "Recall",
    "Relation",
    "RetryPolicy",
    "Scope",
    "ScopeError",
    "ScopeRequest",
    "SentenceExtractor",
    "StorageError",
    "WriteResult",
    "connect",
    "recall_text",
]

# Importing the package stays fast, and works without any extra.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AgentMemory": "agent_memory",
        "OutboxOptions": "connection",
        "Ranking": "recall.ranking",
        "RetryPolicy": "retry",
        "SentenceExtractor": "learning.extraction",
        "connect": "connection",
        "recall_text": "recall.rendering",
    },
)
