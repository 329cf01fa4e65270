"""A listener that remembers what a crew without memory has done."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from crewai import Crew, Task
from crewai.events.base_event_listener import BaseEventListener
from crewai.events.event_bus import CrewAIEventsBus, crewai_event_bus, is_replaying
from crewai.events.types.task_events import TaskCompletedEvent
from crewai.tasks.task_output import TaskOutput

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.crewai.raw import MOST_EXPLANATION
from mem0_integrations.crewai.storage import UserId, scope_of_user
from mem0_integrations.errors import InvalidInputError, ScopeError
from mem0_integrations.messages import Mem0Message, message_key
from mem0_integrations.planning import check_metadata
from mem0_integrations.values import storable

__all__ = ["Mem0TaskListener"]

logger = logging.getLogger(__name__)


class Mem0TaskListener(BaseEventListener):
    """Remembers every finished task of the crews without memory, once for each time it is run.

    It listens from the moment it is made until it is closed, to all crews of the process or to
    some. What a task resulted in is learned, and what was to be done explains it. Each memory
    carries `crewai_crew`, `crewai_task` and `crewai_agent` in its metadata. A crew or an agent
    that has a memory of its own saves its tasks itself, and is left out. A task that cannot be
    remembered is logged; it never ends a crew.

    Args:
        memory: The memory.
        user_id: Whose memories: an id, or a function that is asked when a task is finished, and
            may read a `ContextVar` that is set for a kickoff.
        crews: The names of the crews to listen to; all crews if left out.
        infer: Whether Mem0 extracts statements from the result; else task and result are kept
            as they are.
        background: Whether the crew goes on at once; the write is on disk, in the outbox, before
            the kickoff ends. Else the kickoff waits until it is stored, at most the 30 seconds
            that CrewAI gives its listeners.
        metadata: Values of the application, JSON-serialisable, for each memory.

    Raises:
        InvalidInputError: An argument is malformed.
        ScopeError: `user_id` is not an id.

    Example:
        >>> from mem0_integrations import connect
        >>> from mem0_integrations.crewai import Mem0TaskListener
        >>> with connect() as memory, Mem0TaskListener(memory, user_id="customer-1"):
        ...     pass  # crew.kickoff()
    """

    def __init__(
        self,
        memory: AgentMemory,
        *,
        user_id: UserId,
        crews: Sequence[str] | None = None,
        infer: bool = True,
        background: bool = True,
        metadata: Mapping[str, object] | None = None,
    ) -> None:
        if not callable(user_id):
            scope_of_user(user_id)
        if isinstance(crews, str):
            raise InvalidInputError(f"crews must be a list of names, not {crews!r}.")
        self._memory = memory
        self._user_id = user_id
        self._crews = None if crews is None else frozenset(crews)
        self._infer = infer
        self._background = background
        self._metadata = check_metadata(metadata)
        super().__init__()

    def setup_listeners(self, crewai_event_bus: CrewAIEventsBus) -> None:
        """Begin to listen: CrewAI calls it."""
        crewai_event_bus.on(TaskCompletedEvent)(self._completed)

    def close(self) -> None:
        """Listen no more. What has been finished before is remembered."""
        crewai_event_bus.off(TaskCompletedEvent, self._completed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _completed(self, task: Task, event: TaskCompletedEvent) -> None:
        # CrewAI calls it in a thread of its own, in a copy of the kickoff's context.
        try:
            crew = getattr(task.agent, "crew", None)
            if not is_replaying() and self._is_wanted(task, crew):
                self._remember(event, task, crew)
        except ScopeError as error:
            logger.error("A finished task has no scope and was not remembered: %s", error)
        except Exception as error:
            logger.error("A finished task was not remembered: %s.", type(error).__name__)

    def _is_wanted(self, task: Task, crew: Crew | None) -> bool:
        if getattr(task.agent, "memory", None) or getattr(crew, "_memory", None):
            return False
        return self._crews is None or getattr(crew, "name", None) in self._crews

    def _remember(self, event: TaskCompletedEvent, task: Task, crew: Crew | None) -> None:
        messages = _messages_of(event.output, self._infer)
        if not messages:
            return
        scope = scope_of_user(self._user_id)
        origin = {
            "crewai_crew": getattr(crew, "name", None),
            "crewai_task": task.name,
            "crewai_agent": event.output.agent,
        }
        result = self._memory.remember(
            messages,
            scope=scope,
            infer=self._infer,
            metadata={**self._metadata, **{key: name for key, name in origin.items() if name}},
            # The event is the run: a task has the same id each time it is run.
            key=message_key(scope, None, event.event_id, messages[-1]),
            background=self._background,
            created_at=event.timestamp,
            on_error="degrade",
        )
        if result.status == "failed":
            logger.error("A finished task was not stored; the write is kept as a dead letter.")


def _messages_of(output: TaskOutput, infer: bool) -> list[Mem0Message]:
    """Return a task as messages; Mem0 learns above all from those of the user."""
    task = storable(f"Task: {output.description}"[:MOST_EXPLANATION] + f"\nAgent: {output.agent}")
    result = storable(output.raw)
    if not result.strip():
        return []
    if not infer:
        return [{"role": "assistant", "content": f"{task}\nResult: {result}"}]
    return [{"role": "assistant", "content": task}, {"role": "user", "content": result}]
