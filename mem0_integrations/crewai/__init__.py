"""Memory for CrewAI: behind a crew, under CrewAI's own engine, as tools, and as a listener.

```python
crew = Crew(agents=agents, tasks=tasks, memory=Mem0CrewMemory(memory, user_id="customer-1"))
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mem0_integrations.errors import MissingExtraError
from mem0_integrations.lazy_imports import lazy_names

try:
    import crewai  # noqa: F401
except ImportError as error:
    raise MissingExtraError("mem0_integrations.crewai", "crewai") from error

if TYPE_CHECKING:
    from mem0_integrations.crewai.listener import Mem0TaskListener
    from mem0_integrations.crewai.memory import Mem0CrewMemory
    from mem0_integrations.crewai.storage import Mem0Storage, register
    from mem0_integrations.crewai.tools import create_memory_tools

__all__ = ["Mem0CrewMemory", "Mem0Storage", "Mem0TaskListener", "create_memory_tools", "register"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "listener": ["Mem0TaskListener"],
        "memory": ["Mem0CrewMemory"],
        "storage": ["Mem0Storage", "register"],
        "tools": ["create_memory_tools"],
    },
)
