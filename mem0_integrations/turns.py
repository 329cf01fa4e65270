"""A turn of a conversation becomes a write: in which run of a framework it was, and whose it is.

Nothing here imports a framework: LangChain and LangGraph describe a run by its config, a mapping.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.arguments import OnError, check_metadata, check_on_error, check_timeout
from mem0_integrations.errors import NOT_ACCEPTED, InvalidMessageError
from mem0_integrations.messages import Mem0Message, MessageLike, Turn, new_turn, turn_key
from mem0_integrations.options import RememberOptions
from mem0_integrations.records import Recall, WriteResult
from mem0_integrations.scope import RUNTIME, Scope, ScopeRequest, ScopeSource, resolve_scope

__all__ = ["Run", "TurnWriter"]

logger = logging.getLogger(__name__)

Event = Mapping[str, object]


def _unheard(event: Event) -> None:
    """Take an event where nobody listens."""


@dataclass(frozen=True, slots=True)
class Run:
    """The run of a framework in which memory is read or written.

    Its `checkpoint_id` is that of a node of LangGraph, to whose custom stream `emit` writes.
    `origin` says where a memory comes from where there are no such ids.
    """

    scope: Scope
    thread_id: str | None = None
    checkpoint_id: str | None = None
    emit: Callable[[Event], None] = _unheard
    origin: Mapping[str, str | None] | None = None

    @classmethod
    def of(
        cls,
        config: Mapping[str, object],
        scope: ScopeSource | None,
        memory: AgentMemory,
        *,
        thread_id: str | None = None,
    ) -> Run:
        """Read it from a `RunnableConfig`, whose `session_id` may name the conversation, too.

        Raises:
            ScopeError: There is no scope.
        """
        request = ScopeRequest.of_run(config)
        runtime = request.configurable.get(RUNTIME)
        execution = getattr(runtime, "execution_info", None)
        named = (thread_id, *map(request.configurable.get, ("thread_id", "session_id")))
        return cls(
            scope=resolve_scope(scope, request, memory.default_scope),
            thread_id=next((str(name) for name in named if name is not None), None),
            checkpoint_id=getattr(execution, "checkpoint_id", None),
            emit=getattr(runtime, "stream_writer", _unheard),
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
        values = self.origin or {
            "thread_id": self.thread_id,
            "checkpoint_id": self.checkpoint_id,
            "message_id": turn.human_id,
        }
        return {key: value for key, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnWriter:
    """Remembers turns in the way that an application has chosen, and tells what became of them.

    Its options are those of `AgentMemory.remember`, and `whole`: whether a conversation is handed
    over as a whole each time, so that a message without an id is known by its position.

    Raises:
        InvalidInputError: An argument is malformed.
    """

    memory: AgentMemory
    infer: bool
    metadata: Mapping[str, object] | None
    background: bool
    timeout: float | None = None
    include_tool_messages: bool = False
    whole: bool = True
    on_error: OnError | None = None

    def __post_init__(self) -> None:
        check_timeout("timeout", self.timeout)
        check_on_error(self.on_error)
        object.__setattr__(self, "metadata", check_metadata(self.metadata))

    def remember(self, run: Run, said: Turn | Iterable[MessageLike]) -> bool:
        """Remember a turn, or the last one of a conversation.

        Returns:
            False if the turn was not accepted but may be accepted later; otherwise True.
        """
        try:
            write = self._write(run, said)
            result = None if write is None else self.memory.remember(write[0], **write[1])
        except NOT_ACCEPTED as error:
            return self._refused(run, error)
        return _accepted(run, result)

    async def aremember(self, run: Run, said: Turn | Iterable[MessageLike]) -> bool:
        """Async twin of `remember`."""
        try:
            write = self._write(run, said)
            result = None if write is None else await self.memory.aremember(write[0], **write[1])
        except NOT_ACCEPTED as error:
            return self._refused(run, error)
        return _accepted(run, result)

    def _write(
        self, run: Run, said: Turn | Iterable[MessageLike]
    ) -> tuple[tuple[Mem0Message, ...], RememberOptions] | None:
        if isinstance(said, Turn):
            turn: Turn | None = said
        else:
            tools = self.include_tool_messages
            turn = new_turn(said, include_tool_messages=tools, whole=self.whole)
        if turn is None:
            return None
        return turn.messages, {
            "scope": run.scope,
            "infer": self.infer,
            "metadata": {**(self.metadata or {}), **run.provenance(turn)},
            "key": turn_key(run.scope, run.thread_id, turn),
            "background": self.background,
            "timeout": self.timeout,
            "created_at": turn.said_at,
            "on_error": self.on_error,
        }

    def _refused(self, run: Run, error: Exception) -> bool:
        if (self.on_error or self.memory.on_error) == "raise":
            raise error
        logger.error(
            "A turn was not accepted and could not be remembered: %s.", type(error).__name__
        )
        run.remembered(WriteResult("failed", error=str(error)))
        # Such a message will not become a valid one.
        return isinstance(error, InvalidMessageError)


def _accepted(run: Run, result: WriteResult | None) -> bool:
    if result is not None:
        run.remembered(result)
    return True
