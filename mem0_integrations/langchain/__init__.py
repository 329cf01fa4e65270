"""Memory for LangChain: chain memory, transcripts, a retriever, agent middleware, tools.

```python
agent = create_agent(model, middleware=[Mem0Middleware(memory)])
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mem0_integrations.errors import MissingExtraError
from mem0_integrations.lazy_imports import lazy_names

try:
    import langchain  # noqa: F401
    import langchain_classic  # noqa: F401
except ImportError as error:
    raise MissingExtraError("mem0_integrations.langchain", "langchain") from error

if TYPE_CHECKING:
    from mem0_integrations.langchain.chat_history import Mem0ChatMessageHistory
    from mem0_integrations.langchain.graph import (
        agraph_documents,
        as_langchain_graph,
        graph_documents,
    )
    from mem0_integrations.langchain.memory import Mem0Memory
    from mem0_integrations.langchain.middleware import Mem0Middleware
    from mem0_integrations.langchain.retriever import Mem0Retriever
    from mem0_integrations.langchain.tools import create_memory_tools

__all__ = [
    "Mem0ChatMessageHistory",
    "Mem0Memory",
    "Mem0Middleware",
    "Mem0Retriever",
    "agraph_documents",
    "as_langchain_graph",
    "create_memory_tools",
    "graph_documents",
]

# LangChain's agents take two seconds to import; a retriever does without them.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "chat_history": ["Mem0ChatMessageHistory"],
        "graph": ["agraph_documents", "as_langchain_graph", "graph_documents"],
        "memory": ["Mem0Memory"],
        "middleware": ["Mem0Middleware"],
        "retriever": ["Mem0Retriever"],
        "tools": ["create_memory_tools"],
    },
)
