"""What every endpoint has at hand: the memory, the state, the settings, the workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Final

from fastapi import Depends, Request

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.concurrency import WorkerPool
from mem0_integrations.server.rates import Limiter
from mem0_integrations.server.settings import ServerSettings
from mem0_integrations.server.state import State
from mem0_integrations.server.workers import Worker

__all__ = ["Server", "ServerDep"]

_WAITING_THREADS: Final = 64


@dataclass(slots=True)
class Server:
    """What the endpoints of one application share.

    Attributes:
        memory: The memory behind it.
        state: Projects, keys, events and what else is kept beside the memories.
        settings: As given.
        limiter: How often a key may call; None for no limit.
        workers: Its threads by name, while it runs.
        waiting: Threads of the requests that wait until a write is done, so that all others need
            not wait for them.
    """

    memory: AgentMemory
    state: State
    settings: ServerSettings
    limiter: Limiter | None = None
    workers: Mapping[str, Worker] = field(default_factory=dict)
    waiting: WorkerPool = field(default_factory=partial(WorkerPool, _WAITING_THREADS))

    def stop(self, seconds: float) -> None:
        """Let the threads end; an application that is started again makes new ones.

        Args:
            seconds: How long to wait for each worker at most.
        """
        for worker in self.workers.values():
            worker.stop(seconds)
        self.workers = {}
        self.waiting.shutdown()
        self.waiting = WorkerPool(_WAITING_THREADS)

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
