"""What endpoints depend on: the memory, the state, the settings, the workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Final

import sqlalchemy as sa
from fastapi import Depends, HTTPException, Request

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.concurrency import WorkerPool
from mem0_integrations.server.rates import Limiter
from mem0_integrations.server.settings import ServerSettings
from mem0_integrations.server.state import State
from mem0_integrations.server.workers import Worker

__all__ = ["Server", "ServerDep", "change"]

_WAITING_THREADS: Final = 64


@dataclass(slots=True)
class Server:
    """What the endpoints of one application share.

    Attributes:
        state: The database for projects, keys, events and everything else but memories.
        workers: The background threads by name, while the application runs.
        waiting: Threads for requests that wait until a write ends, and hold up no others.
    """

    memory: AgentMemory
    state: State
    settings: ServerSettings
    limiter: Limiter | None = None
    workers: Mapping[str, Worker] = field(default_factory=dict)
    waiting: WorkerPool = field(default_factory=partial(WorkerPool, _WAITING_THREADS))

    def stop(self, seconds: float) -> None:
        """Stop the threads, each within so many seconds; a new start makes new ones."""
        for worker in self.workers.values():
            worker.stop(seconds)
        self.workers = {}
        self.waiting.shutdown()
        self.waiting = WorkerPool(_WAITING_THREADS)

    def wake(self, worker: str) -> None:
        """Wake a worker because there is something to do."""
        if worker in self.workers:
            self.workers[worker].wake()


async def server_of(request: Request) -> Server:
    """Return the server that a request was sent to.

    A coroutine, because FastAPI would call a plain function in another thread.
    """
    server: Server = request.app.state.server
    return server


ServerDep = Annotated[Server, Depends(server_of)]


def change(server: Server, statement: sa.Update | sa.Delete, *, missing: str) -> None:
    """Change or delete rows of the state.

    Raises:
        HTTPException: 404, with the sentence `missing`: there is no such row.
    """
    if not server.state.change(statement):
        raise HTTPException(404, missing)
