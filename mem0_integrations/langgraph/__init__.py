"""Memory for LangGraph: nodes that recall and remember.

```python
builder.add_node("recall", recall_node(memory))
builder.add_node("remember", remember_node(memory))
```
"""

from mem0_integrations.errors import MissingExtraError

try:
    import langgraph.graph  # noqa: F401
except ImportError as error:
    raise MissingExtraError("mem0_integrations.langgraph", "langgraph") from error

from mem0_integrations.langgraph.nodes import MemoryState, recall_node, remember_node
from mem0_integrations.langgraph.store import Mem0Store

__all__ = ["Mem0Store", "MemoryState", "recall_node", "remember_node"]
