"""When a run's past was: what `recall_node(as_of="checkpoint")` needs from the checkpointer."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

__all__ = ["areplayed_time", "replayed_time"]

_CHECKPOINTER: Final = "__pregel_checkpointer"
_DURABILITY: Final = "__pregel_durability"
# LangGraph saves checkpoints in the background: the node's own may not be there yet.
_PATIENCE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.01


def replayed_time(config: RunnableConfig, checkpoint_id: str | None) -> datetime | None:
    """Return the time of the past checkpoint that a run replays; None for a run of the present.

    A replay and a fork begin with a checkpoint of the source `fork` or `update`, whose
    ancestors are the past; a new turn begins with one of the source `input`. With the
    durability `exit` there are no checkpoints to tell by, and each run is one of the present.

    Args:
        config: The node's config.
        checkpoint_id: The checkpoint that the node runs on.
    """
    saver, walk = _checkpointer(config), _Walk(config, checkpoint_id)
    while saver is not None and walk.next is not None:
        walk.visit(saver.get_tuple(walk.next))
        time.sleep(walk.pause)
    return walk.time


async def areplayed_time(config: RunnableConfig, checkpoint_id: str | None) -> datetime | None:
    """Async twin of `replayed_time`."""
    saver, walk = _checkpointer(config), _Walk(config, checkpoint_id)
    while saver is not None and walk.next is not None:
        walk.visit(await saver.aget_tuple(walk.next))
        await asyncio.sleep(walk.pause)
    return walk.time


def _checkpointer(config: RunnableConfig) -> BaseCheckpointSaver[str] | None:
    saver = config.get("configurable", {}).get(_CHECKPOINTER)
    return saver if isinstance(saver, BaseCheckpointSaver) else None


class _Walk:
    """From a checkpoint back to where its run began, without any I/O."""

    def __init__(self, config: RunnableConfig, checkpoint_id: str | None) -> None:
        configurable = config.get("configurable", {})
        self.time: datetime | None = None
        self.pause = 0.0
        self._give_up_at = time.monotonic() + _PATIENCE_SECONDS
        self.next: RunnableConfig | None = None
        self._in_fork = False
        # Inside a subgraph, the parent's checkpoint is the one that was replayed.
        root = (configurable.get("checkpoint_map") or {}).get("", checkpoint_id)
        stored = configurable.get(_DURABILITY) != "exit" and "thread_id" in configurable
        if root is not None and stored:
            self.next = {
                "configurable": {
                    "thread_id": configurable["thread_id"],
                    "checkpoint_ns": "",
                    "checkpoint_id": root,
                }
            }

    def visit(self, checkpoint: CheckpointTuple | None) -> None:
        if checkpoint is None:
            self.pause = _POLL_SECONDS
            if time.monotonic() >= self._give_up_at:
                self.next = None
            return
        # They are saved in order: an ancestor that is missing now was deleted.
        self.pause, self._give_up_at, self.next = 0.0, 0.0, None
        source = checkpoint.metadata.get("source")
        if source in ("fork", "update"):
            self._in_fork = True
        elif self._in_fork:
            self.time = datetime.fromisoformat(checkpoint.checkpoint["ts"])
            return
        elif source == "input":
            return
        self.next = checkpoint.parent_config
