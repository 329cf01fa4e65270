"""A listener that remembers what a crew without memory has done."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Self

from crewai import Crew, Task
from crewai.events.base_event_listener import BaseEventListener
from crewai.events.event_bus import CrewAIEventsBus, crewai_event_bus, is_replaying
from crewai.events.types.task_events import TaskCompletedEvent

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.crewai.engine import MAX_EXPLANATION
from mem0_integrations.crewai.records import UserId, check_user, scope_of_user
from mem0_integrations.errors import BackendError, InvalidInputError, ScopeError
from mem0_integrations.messages import Mem0Message, Turn
from mem0_integrations.turns import Run, TurnWriter
from mem0_integrations.values import storable

__all__ = ["Mem0TaskListener"]

logger = logging.getLogger(__name__)


class Mem0TaskListener(BaseEventListener):
    """Remembers every finished task of the crews without memory, once for each time it is run.

    It listens from the moment it is made until it is closed, to all crews of the process or to
    some. The result of a task is learned, and its description explains it. Each memory carries
    `crewai_crew`, `crewai_task` and `crewai_agent` in its metadata. A crew or an agent that has a
    memory of its own saves its tasks itself, and is left out. A task that cannot be remembered is
    logged; it never ends a crew.

    Args:
        memory: The memory.
        user_id: Whose memories: an id, or a function that is asked when a task is finished, and
            may read a `ContextVar` that is set for a kickoff.
        crews: The names of the crews to listen to; all crews if left out.
        infer: Whether Mem0 extracts statements from the result; otherwise task and result are kept
            as they are.
        background: Whether the crew goes on at once; the write is on disk, in the outbox, before
            the kickoff ends. Otherwise the kickoff waits until it is stored, at most the 30 seconds
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
        check_user(user_id)
        if isinstance(crews, str):
            raise InvalidInputError(f"crews must be a list of names, not {crews!r}.")
        self._writer = TurnWriter(
            memory=memory, infer=infer, metadata=metadata, background=background, on_error="raise"
        )
        self._user_id = user_id
        self._crews = None if crews is None else frozenset(crews)
        super().__init__()

    def setup_listeners(self, crewai_event_bus: CrewAIEventsBus) -> None:
        """Begin to listen: CrewAI calls it."""
        crewai_event_bus.on(TaskCompletedEvent)(self._completed)

    def close(self) -> None:
        """Listen no more. What has been finished before is remembered."""
        crewai_event_bus.off(TaskCompletedEvent, self._completed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _completed(self, task: Task, event: TaskCompletedEvent) -> None:
        # CrewAI calls it in a thread of its own, in a copy of the kickoff's context.
        try:
            crew = getattr(task.agent, "crew", None)
            turn = _turn_of(event, self._writer.infer)
            if turn and not is_replaying() and self._is_wanted(task, crew):
                origin = {
                    "crewai_crew": getattr(crew, "name", None) or None,
                    "crewai_task": task.name or None,
                    "crewai_agent": event.output.agent or None,
                }
                self._writer.remember(Run(scope_of_user(self._user_id), origin=origin), turn)
        except ScopeError as error:
            logger.error("A finished task has no scope and was not remembered: %s", error)
        except BackendError:
            logger.error("A finished task was not stored; the write is kept as a dead letter.")
        except Exception as error:
            logger.error("A finished task was not remembered: %s.", type(error).__name__)

    def _is_wanted(self, task: Task, crew: Crew | None) -> bool:
        if getattr(task.agent, "memory", None) or getattr(crew, "_memory", None):
            return False
        return self._crews is None or getattr(crew, "name", None) in self._crews


def _turn_of(event: TaskCompletedEvent, infer: bool) -> Turn | None:
    """Return a task as a turn; Mem0 learns above all from what the user says in one."""
    output = event.output
    task = storable(f"Task: {output.description}"[:MAX_EXPLANATION] + f"\nAgent: {output.agent}")
    result = storable(output.raw)
    if not result.strip():
        return None
    messages: tuple[Mem0Message, ...] = (
        {"role": "assistant", "content": task},
        {"role": "user", "content": result},
    )
    if not infer:
        messages = ({"role": "assistant", "content": f"{task}\nResult: {result}"},)
    # The event is the run: a task has the same id each time it is run.
    return Turn(messages, event.event_id, result, said_at=event.timestamp)
