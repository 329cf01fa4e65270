"""A knowledge graph of what is remembered, on Neo4j, Amazon Neptune or an embedded engine.

```python
memory = connect(graph=True)
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mem0_integrations.lazy_imports import lazy_names

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
        "engines.embedded": ["EmbeddedEngine"],
        "engines.neo4j": ["Neo4jEngine"],
        "engines.neptune": ["NeptuneAnalyticsEngine", "NeptuneDatabaseEngine"],
        "extraction": ["ModelRelationExtractor", "RelationExtractor"],
        "graph_memory": ["GraphMemory"],
        "model": ["Extracted", "GraphEntity", "Triple"],
        "patterns": ["PatternRelationExtractor"],
    },
)
