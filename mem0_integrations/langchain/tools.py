"""Tools with which an agent looks into its long-term memory and changes it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.tools import BaseTool, ToolException
from pydantic import SkipValidation, ValidationError

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.concurrency import call_within
from mem0_integrations.errors import (
    InvalidInputError,
    Mem0IntegrationsError,
    MemoryNotFoundError,
    ScopeError,
)
from mem0_integrations.memory_tools import (
    TOOLS,
    Plan,
    ToolCall,
    ToolName,
    ToolOptions,
    ToolSpec,
    acarry_out,
    carry_out,
    explained,
)
from mem0_integrations.scope import Scope, ScopeRequest, ScopeSource, resolve_scope

__all__ = ["create_memory_tools"]

logger = logging.getLogger(__name__)


def create_memory_tools(
    memory: AgentMemory,
    *,
    scope: ScopeSource | None = None,
    include: Sequence[ToolName] = ("search", "add", "update", "delete", "list"),
    limit: int = 10,
    threshold: float | None = None,
    filters: Mapping[str, object] | None = None,
    infer: bool = False,
    metadata: Mapping[str, object] | None = None,
    timeout: float = 10.0,
) -> list[BaseTool]:
    """Make the tools `search_memories`, `add_memory`, `update_memory`, ... for an agent.

    What the model can say is what to look for, what to keep, and the id of a memory that it was
    shown; never whose memories. A tool does not raise because of the memory or of the model: it
    answers what went wrong and what to do, as a `ToolMessage` with the status `error`. A call
    that is repeated (a retry, a resume) adds once: its id is part of the key.

    For two sets of tools in one agent, rename those of one with
    `tool.model_copy(update={"name": ..., "description": ...})`.

    Args:
        memory: The memory.
        scope: Whose memories: a `Scope`, a mapping, or a callable that is given a
            `ScopeRequest`; else it is found for each call in the run-time context, in
            `config["configurable"]`, or in the user that LangGraph Server authenticated.
        include: The tools to make, in this order.
        limit: The most memories of an answer.
        threshold: The least score in [0, 1] of what a search finds; None for Mem0's default.
        filters: Mem0's metadata filters; to the tools, other memories do not exist.
        infer: Whether to extract statements from what is added. The agent has put it into
            words already: kept as it is, it cannot be dropped or misread.
        metadata: Values of the application, JSON-serialisable, for each memory that is added;
            beside them, it carries the `thread_id`.
        timeout: Seconds that a call may take. A write that takes longer goes on.

    Raises:
        InvalidInputError: An argument is malformed.

    Example:
        >>> from mem0_integrations import connect
        >>> from mem0_integrations.langchain import create_memory_tools
        >>> with connect() as memory:
        ...     tools = create_memory_tools(memory, scope={"user_id": "u"})
        ...     search, add, *others = tools  # agent = create_agent(model, tools)
        ...     answer = add.invoke({"text": "The user is allergic to peanuts."})
        ...     "The user is allergic to peanuts." in search.invoke({"query": "allergies"})
        True
    """
    if isinstance(include, str) or not include or not set(include) <= TOOLS.keys():
        raise InvalidInputError(f"include must list some of {[*TOOLS]}, not {include!r}.")
    options = ToolOptions(limit, threshold, filters, infer, metadata, timeout)
    if scope is not None and not callable(scope):
        scope = Scope.of(scope)
    return [
        _MemoryTool(
            name=TOOLS[name].name,
            description=TOOLS[name].description,
            args_schema=TOOLS[name].arguments,
            handle_tool_error=True,
            handle_validation_error=_malformed,
            memory=memory,
            scope=scope,
            options=options,
            spec=TOOLS[name],
        )
        for name in dict.fromkeys(include)
    ]


class _MemoryTool(BaseTool):
    """A memory tool for LangChain and LangGraph."""

    memory: AgentMemory
    scope: Annotated[ScopeSource | None, SkipValidation]
    options: Annotated[ToolOptions, SkipValidation]
    spec: Annotated[ToolSpec, SkipValidation]

    def _to_args_and_kwargs(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> tuple[tuple[str, ...], dict[str, Any]]:
        # With `InjectedToolCallId`, the tool could not be called with plain arguments.
        args, kwargs = super()._to_args_and_kwargs(tool_input, tool_call_id)
        return args, {**kwargs, "tool_call_id": tool_call_id}

    def _run(
        self, *args: str, config: RunnableConfig, tool_call_id: str | None, **kwargs: object
    ) -> str:
        with self._errors_answered():
            plan = self._plan(config, tool_call_id, *args, **kwargs)
            return call_within(self.options.timeout, partial(carry_out, self.memory, plan))

    async def _arun(
        self, *args: str, config: RunnableConfig, tool_call_id: str | None, **kwargs: object
    ) -> str:
        with self._errors_answered():
            plan = self._plan(config, tool_call_id, *args, **kwargs)
            return await asyncio.wait_for(acarry_out(self.memory, plan), self.options.timeout)

    def _plan(
        self, config: RunnableConfig | None, tool_call_id: str | None, *args: str, **kwargs: object
    ) -> Plan:
        request = ScopeRequest.of_run(ensure_config(config))
        thread_id = request.configurable.get("thread_id")
        call = ToolCall(
            options=self.options,
            scope=resolve_scope(self.scope, request, self.memory.default_scope),
            thread_id=None if thread_id is None else str(thread_id),
            id=tool_call_id,
        )
        return self.spec.plan(call, *args, **kwargs)

    @contextmanager
    def _errors_answered(self) -> Iterator[None]:
        try:
            yield
        except (Mem0IntegrationsError, TimeoutError) as error:
            if isinstance(error, ScopeError):
                logger.error("%s has no scope: %s", self.name, error)
            elif not isinstance(error, InvalidInputError | MemoryNotFoundError):
                logger.warning("%s failed: %s.", self.name, type(error).__name__)
            raise ToolException(explained(error)) from error


def _malformed(error: Exception) -> str:
    problems = error.errors(include_input=False) if isinstance(error, ValidationError) else []
    listed = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in problems)
    return f"Nothing was done, because the arguments are wrong. {listed}."
