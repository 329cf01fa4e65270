"""Tools with which the agents of a crew look into the long-term memory and change it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from crewai.tools import BaseTool
from crewai.tools.tool_failure import ToolFailure
from pydantic import PrivateAttr

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.crewai.records import UserId, check_user, scope_of_user
from mem0_integrations.errors import ConfigurationError, Mem0IntegrationsError
from mem0_integrations.memory_tools import (
    ToolCall,
    ToolName,
    ToolOptions,
    ToolSpec,
    aanswer,
    answer,
    answered,
    specs_of,
)

__all__ = ["create_memory_tools"]

_Asked: TypeAlias = tuple[AgentMemory, ToolSpec, ToolCall]


def create_memory_tools(
    memory: AgentMemory,
    *,
    user_id: UserId,
    include: Sequence[ToolName] | None = None,
    limit: int = 10,
    threshold: float | None = None,
    filters: Mapping[str, object] | None = None,
    infer: bool = False,
    metadata: Mapping[str, object] | None = None,
    timeout: float = 10.0,
) -> list[BaseTool]:
    """Make the tools `search_memories`, `add_memory`, `update_memory`, ... for a crew's agents.

    They are for a crew without memory, or for agents that shall change and delete memories, too.
    The model says what to look for, what to keep, and the id of a memory that it was shown; never
    whose memories. When memory fails or the arguments are wrong, a tool does not raise: it answers
    what went wrong and what to do, as a `ToolFailure`, which CrewAI notes in the
    `tool_failures` of the task. Answers are never taken from CrewAI's cache.

    Args:
        memory: The memory.
        user_id: Whose memories: an id, or a function that is asked at each call, and may read
            a `ContextVar` that is set for a kickoff.
        include: The tools to make, in this order, of `search`, `add`, `update`, `delete`, `list`
            and, where the memory has a graph and there are no filters, `graph`; all of them if
            left out.
        limit: Maximum number of memories in an answer, 1 to 1,000.
        threshold: Minimum score in [0, 1] of what a search finds; None for Mem0's default.
        filters: Mem0's metadata filters; to the tools, other memories do not exist.
        infer: Whether to extract statements from what is added. The agent has put it into
            words already: kept as it is, it cannot be dropped or misread.
        metadata: Values of the application, JSON-serialisable, for each memory that is added.
        timeout: Seconds that a call may take. A write that takes longer goes on.

    Raises:
        InvalidInputError: An argument is malformed.
        ConfigurationError: The graph tool is asked for, but the memory has no graph, or there
            are filters.
        ScopeError: `user_id` is not an id.

    Example:
        >>> from mem0_integrations import connect
        >>> from mem0_integrations.crewai import create_memory_tools
        >>> with connect() as memory:
        ...     tools = create_memory_tools(memory, user_id="customer-1")
        ...     search, add, *others = tools  # Agent(..., tools=tools)
        ...     answer = add.run(text="The customer is allergic to peanuts.")
        ...     "The customer is allergic to peanuts." in search.run(query="allergies")
        True
    """
    options = ToolOptions(limit, threshold, filters, infer, metadata, timeout)
    specs = specs_of(include, memory, options)
    check_user(user_id)
    return [
        _MemoryTool(
            partial(_asked, memory, spec, options, user_id),
            name=spec.name,
            description=spec.description,
            args_schema=spec.arguments,
            cache_function=_never,
        )
        for spec in specs
    ]


def _asked(memory: AgentMemory, spec: ToolSpec, options: ToolOptions, user_id: UserId) -> _Asked:
    return memory, spec, ToolCall(options=options, scope=scope_of_user(user_id))


def _never(arguments: object = None, result: object = None) -> bool:
    # What is in memory changes, and to add something again is not to have added it before.
    return False


class _MemoryTool(BaseTool):
    """A memory tool for CrewAI."""

    # Not a field, because CrewAI dumps the tools of a crew to JSON.
    _asked: Callable[[], _Asked] | None = PrivateAttr(default=None)

    def __init__(self, asked: Callable[[], _Asked] | None = None, **fields: Any) -> None:
        super().__init__(**fields)
        self._asked = asked

    def _run(self, *args: object, **kwargs: object) -> str | ToolFailure:
        asked = self._require_memory()
        try:
            return answer(*asked(), *args, **kwargs)
        except (Mem0IntegrationsError, TimeoutError) as error:
            return ToolFailure(message=answered(self.name, error))

    async def _arun(self, *args: object, **kwargs: object) -> str | ToolFailure:
        asked = self._require_memory()
        try:
            return await aanswer(*asked(), *args, **kwargs)
        except (Mem0IntegrationsError, TimeoutError) as error:
            return ToolFailure(message=answered(self.name, error))

    def _require_memory(self) -> Callable[[], _Asked]:
        if self._asked is None:
            raise ConfigurationError(
                "A memory tool that was restored from a checkpoint has no memory; give the agent "
                "new tools of create_memory_tools()."
            )
        return self._asked
