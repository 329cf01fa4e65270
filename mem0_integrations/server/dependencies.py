"""What every endpoint has at hand: the memory, the state, the settings, the workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.server.rates import Limiter
from mem0_integrations.server.settings import ServerSettings
from mem0_integrations.server.state import State
from mem0_integrations.server.workers import Worker

__all__ = ["Server", "ServerDep"]


@dataclass(slots=True)
class Server:
    """What the endpoints of one application share.

    Attributes:
        memory: The memory behind it.
        state: Projects, keys, events and what else is kept beside the memories.
        settings: As given.
        limiter: How often a key may call; None for no limit.
        workers: Its threads by name, while it runs.
    """

    memory: AgentMemory
    state: State
    settings: ServerSettings
    limiter: Limiter | None = None
    workers: Mapping[str, Worker] = field(default_factory=dict)

    def wake(self, worker: str) -> None:
        """Tell a worker that there is something to do."""
        if worker in self.workers:
            self.workers[worker].wake()


async def server_of(request: Request) -> Server:
    """Return what the application of a request shares.

    A coroutine, because FastAPI would call a plain function in another thread.
    """
    server: Server = request.app.state.server
    return server


ServerDep = Annotated[Server, Depends(server_of)]
