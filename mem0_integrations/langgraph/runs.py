"""What all that works within a run of LangGraph shares: the run itself, and saving a turn of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import get_runtime

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.errors import NOT_ACCEPTED, InvalidMessageError
from mem0_integrations.messages import MessageLike, Turn, new_turn, turn_key
from mem0_integrations.planning import OnError, check_metadata, check_on_error, check_timeout
from mem0_integrations.records import Recall, WriteResult
from mem0_integrations.scope import Scope, ScopeRequest, ScopeSource, resolve_scope

__all__ = ["Run", "TurnWriter"]

logger = logging.getLogger(__name__)

Event = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Run:
    """What there is to know about the run that a node is part of.

    Attributes:
        scope: Whose memories.
        thread_id: The thread, if there is one.
        checkpoint_id: The checkpoint that the node runs on.
        emit: Writes to the custom stream.
    """

    scope: Scope
    thread_id: str | None
    checkpoint_id: str | None
    emit: Callable[[Event], None]

    @classmethod
    def of(cls, config: RunnableConfig, scope: ScopeSource | None, memory: AgentMemory) -> Run:
        """Read it from a node's config.

        Raises:
            ScopeError: There is no scope.
        """
        runtime = get_runtime()
        execution = runtime.execution_info
        return cls(
            scope=resolve_scope(scope, ScopeRequest.of_run(config), memory.default_scope),
            thread_id=execution.thread_id if execution is not None else None,
            checkpoint_id=execution.checkpoint_id if execution is not None else None,
            emit=runtime.stream_writer,
        )

    def recalling(self) -> None:
        """Tell that memory is being read."""
        self.emit({"event": "memory.recalling"})

    def recalled(self, recall: Recall) -> None:
        """Tell what was found."""
        self.emit(
            {
                "event": "memory.recalled",
                "memories": [found.to_dict() for found in recall.memories],
                "degraded": recall.degraded,
            }
        )

    def remembered(self, result: WriteResult) -> None:
        """Tell what became of a turn."""
        self.emit(
            {
                "event": "memory.remembered",
                "status": result.status,
                "memories": [stored.to_dict() for stored in result.memories],
                "error": result.error,
            }
        )

    def provenance(self, turn: Turn) -> dict[str, str]:
        """Return the metadata that says where a memory comes from."""
        values = {
            "thread_id": self.thread_id,
            "checkpoint_id": self.checkpoint_id,
            "message_id": turn.human_id,
        }
        return {key: value for key, value in values.items() if value is not None}


class TurnWriter:
    """Remembers turns in the way that an application has chosen, and tells what became of them.

    Args:
        memory: The memory.
        infer: Whether to extract statements; else each message is kept as it is.
        metadata: Values of the application for each memory.
        background: Whether to return at once; the turn is on disk by then.
        timeout: Seconds to wait for a write in the foreground.
        include_tool_messages: Whether to learn from what tools answered, too.
        on_error: `degrade` or `raise`; else as the memory.

    Raises:
        InvalidInputError: An argument is malformed.
    """

    def __init__(
        self,
        memory: AgentMemory,
        *,
        infer: bool,
        metadata: Mapping[str, object] | None,
        background: bool,
        timeout: float | None,
        include_tool_messages: bool,
        on_error: OnError | None,
    ) -> None:
        check_timeout("timeout", timeout)
        check_on_error(on_error)
        self._memory = memory
        self._metadata = check_metadata(metadata)
        self._include_tool_messages = include_tool_messages
        self._on_error = on_error
        self._options: dict[str, Any] = {
            "infer": infer,
            "background": background,
            "timeout": timeout,
            "on_error": on_error,
        }

    def remember(self, run: Run, messages: Iterable[MessageLike]) -> bool:
        """Remember the last turn of a conversation.

        Returns:
            Whether it is done with; else it was not accepted now, but may be later.
        """
        try:
            write = self._plan(run, messages)
            result = None if write is None else self._memory.remember(**write)
        except NOT_ACCEPTED as error:
            return self._refused(run, error)
        return self._accepted(run, result)

    async def aremember(self, run: Run, messages: Iterable[MessageLike]) -> bool:
        """Async twin of `remember`."""
        try:
            write = self._plan(run, messages)
            result = None if write is None else await self._memory.aremember(**write)
        except NOT_ACCEPTED as error:
            return self._refused(run, error)
        return self._accepted(run, result)

    def _plan(self, run: Run, messages: Iterable[MessageLike]) -> dict[str, Any] | None:
        turn = new_turn(messages, include_tool_messages=self._include_tool_messages)
        if turn is None:
            return None
        return {
            "messages": turn.messages,
            "scope": run.scope,
            "metadata": {**self._metadata, **run.provenance(turn)},
            "key": turn_key(run.scope, run.thread_id, turn),
            **self._options,
        }

    def _accepted(self, run: Run, result: WriteResult | None) -> bool:
        if result is not None:
            run.remembered(result)
        return True

    def _refused(self, run: Run, error: Exception) -> bool:
        if (self._on_error or self._memory.on_error) == "raise":
            raise error
        logger.error(
            "A turn was not accepted and could not be remembered: %s.", type(error).__name__
        )
        run.remembered(WriteResult("failed", error=str(error)))
        # Such a message will not become a valid one.
        return isinstance(error, InvalidMessageError)
