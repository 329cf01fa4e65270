"""Conversations on graphs with a SQLite checkpointer, sync and async."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph


@dataclass
class Conversation:
    """A thread on a graph; every run's custom events are kept, also those of a run that fails."""

    graph: CompiledStateGraph
    config: RunnableConfig
    asynchronous: bool
    events: list[dict[str, Any]] = field(default_factory=list)

    async def run(self, given: object, config: RunnableConfig | None = None, **options: Any) -> Any:
        """Run the graph and return the final state."""
        options = {"config": config or self.config, "stream_mode": ["custom", "values"], **options}
        state = None
        if self.asynchronous:
            async for mode, item in self.graph.astream(given, **options):
                state = self._take(mode, item, state)
        else:
            for mode, item in self.graph.stream(given, **options):
                state = self._take(mode, item, state)
        return state

    async def past(self, node: str) -> RunnableConfig:
        """Return the newest checkpoint from which a node is the next to run."""
        if self.asynchronous:
            history = [item async for item in self.graph.aget_state_history(self.config)]
        else:
            history = list(self.graph.get_state_history(self.config))
        found = next(item for item in history if item.next == (node,))
        return self._own(found.config)

    async def fork(
        self, past: RunnableConfig, values: object, as_node: str | None = None
    ) -> RunnableConfig:
        """Branch off from a checkpoint, with other values."""
        if self.asynchronous:
            return self._own(await self.graph.aupdate_state(past, values, as_node))
        return self._own(self.graph.update_state(past, values, as_node))

    @property
    def statuses(self) -> list[str]:
        """What became of the write, for each time that a memory node ran."""
        return [item["status"] for item in self.events if item["event"] == "memory.remembered"]

    def _take(self, mode: str, item: Any, state: object) -> object:
        if mode == "values":
            return item
        self.events.append(item)
        return state

    def _own(self, config: RunnableConfig) -> RunnableConfig:
        return {"configurable": {**self.config["configurable"], **config["configurable"]}}


Converse = Callable[..., Conversation]


@pytest.fixture(params=["sync", "async"])
async def converse(
    request: pytest.FixtureRequest, tmp_path: Path, user: str
) -> AsyncIterator[Converse]:
    """Start a conversation of the user on a graph; checkpoints go to a SQLite file."""
    asynchronous = request.param == "async"
    path = str(tmp_path / "checkpoints.db")

    def start_on(saver: BaseCheckpointSaver[str]) -> Converse:
        def start(builder: StateGraph, *, thread_id: str = "thread-1") -> Conversation:
            config: RunnableConfig = {"configurable": {"thread_id": thread_id, "user_id": user}}
            return Conversation(builder.compile(checkpointer=saver), config, asynchronous)

        return start

    if asynchronous:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            yield start_on(saver)
    else:
        connection = sqlite3.connect(path, check_same_thread=False)
        yield start_on(SqliteSaver(connection))
        connection.close()
