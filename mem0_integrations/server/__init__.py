"""The Mem0 Platform's protocol over an `AgentMemory`: a server for the official Mem0 clients.

```python
app = create_app(connect())  # for uvicorn; or run the command `mem0-integrations serve`
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mem0_integrations.errors import MissingExtraError
from mem0_integrations.lazy_imports import lazy_names

try:
    import fastapi  # noqa: F401
    import limits  # noqa: F401
    import prometheus_client  # noqa: F401
    import sqlalchemy  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise MissingExtraError("mem0_integrations.server", "server") from error

if TYPE_CHECKING:
    from mem0_integrations.server.app import create_app
    from mem0_integrations.server.settings import ServerSettings

__all__ = ["ServerSettings", "create_app"]

__getattr__, __dir__ = lazy_names(__name__, {"app": ["create_app"], "settings": ["ServerSettings"]})
