"""A knowledge graph of what is remembered, on Neo4j, Amazon Neptune or an embedded engine.

```python
memory = connect(graph=True)
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mem0_integrations.lazy import lazy_names

if TYPE_CHECKING:
    from mem0_integrations.graph.engines.embedded import EmbeddedEngine
    from mem0_integrations.graph.extraction import ModelRelationExtractor
    from mem0_integrations.graph.graph_memory import GraphMemory

__all__ = ["EmbeddedEngine", "GraphMemory", "ModelRelationExtractor"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "EmbeddedEngine": "engines.embedded",
        "GraphMemory": "graph_memory",
        "ModelRelationExtractor": "extraction",
    },
)
