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
    from mem0_integrations.graph.engines.neo4j import Neo4jEngine
    from mem0_integrations.graph.engines.neptune import (
        NeptuneAnalyticsEngine,
        NeptuneDatabaseEngine,
    )
    from mem0_integrations.graph.extraction import ModelRelationExtractor, RelationExtractor
    from mem0_integrations.graph.graph_memory import GraphMemory
    from mem0_integrations.graph.model import Extracted, GraphEntity, Triple
    from mem0_integrations.graph.patterns import PatternRelationExtractor

__all__ = [
    "EmbeddedEngine",
    "Extracted",
    "GraphEntity",
    "GraphMemory",
    "ModelRelationExtractor",
    "Neo4jEngine",
    "NeptuneAnalyticsEngine",
    "NeptuneDatabaseEngine",
    "PatternRelationExtractor",
    "RelationExtractor",
    "Triple",
]

# A driver is imported with its engine alone.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "EmbeddedEngine": "engines.embedded",
        "Extracted": "model",
        "GraphEntity": "model",
        "GraphMemory": "graph_memory",
        "ModelRelationExtractor": "extraction",
        "Neo4jEngine": "engines.neo4j",
        "NeptuneAnalyticsEngine": "engines.neptune",
        "NeptuneDatabaseEngine": "engines.neptune",
        "PatternRelationExtractor": "patterns",
        "RelationExtractor": "extraction",
        "Triple": "model",
    },
)
