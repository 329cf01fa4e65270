"""Tools with which an agent looks into its long-term memory and changes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.tools import BaseTool, ToolException
from pydantic import SkipValidation, ValidationError

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.errors import Mem0IntegrationsError
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
from mem0_integrations.scope import Scope, ScopeSource
from mem0_integrations.turns import Run

__all__ = ["create_memory_tools", "replaced"]


def create_memory_tools(
    memory: AgentMemory,
    *,
    scope: ScopeSource | None = None,
    include: Sequence[ToolName] | None = None,
    limit: int = 10,
    threshold: float | None = None,
    filters: Mapping[str, object] | None = None,
    infer: bool = False,
    metadata: Mapping[str, object] | None = None,
    timeout: float = 10.0,
) -> list[BaseTool]:
    """Make the tools `search_memories`, `add_memory`, `update_memory`, ... for an agent.

    The model says what to look for, what to keep, and the id of a memory that it was shown; never
    whose memories. When memory fails or the arguments are wrong, a tool does not raise: it answers
    what went wrong and what to do, as a `ToolMessage` with the status `error`. A call
    that is repeated (a retry, a resume) adds once: its id is part of the key.

    For two sets of tools in one agent, rename those of one with
    `tool.model_copy(update={"name": ..., "description": ...})`.

    Args:
        memory: The memory.
        scope: Whose memories: a `Scope`, a mapping, or a callable that is given a
            `ScopeRequest`; otherwise it is found for each call in the run-time context, in
            `config["configurable"]`, or in the user that LangGraph Server authenticated.
        include: The tools to make, in this order, of `search`, `add`, `update`, `delete`, `list`
            and, where the memory has a graph and there are no filters, `graph`; all of them if
            left out.
        limit: Maximum number of memories in an answer, 1 to 1,000.
        threshold: Minimum score in [0, 1] of what a search finds; None for Mem0's default.
        filters: Mem0's metadata filters; to the tools, other memories do not exist.
        infer: Whether to extract statements from what is added. The agent has put it into
            words already: kept as it is, it cannot be dropped or misread.
        metadata: Values of the application, JSON-serialisable, for each memory that is added;
            beside them, it carries the `thread_id`.
        timeout: Seconds that a call may take. A write that takes longer goes on.

    Raises:
        InvalidInputError: An argument is malformed.
        ConfigurationError: The graph tool is asked for, but the memory has no graph, or there
            are filters.

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
    options = ToolOptions(limit, threshold, filters, infer, metadata, timeout)
    specs = specs_of(include, memory, options)
    if scope is not None and not callable(scope):
        scope = Scope.of(scope)
    return [
        _MemoryTool(
            name=spec.name,
            description=spec.description,
            args_schema=spec.arguments,
            handle_tool_error=True,
            handle_validation_error=_malformed,
            memory=memory,
            scope=scope,
            options=options,
            spec=spec,
        )
        for spec in specs
    ]


def replaced(tools: Sequence[BaseTool], offered: Sequence[object]) -> list[str]:
    """Return the names of memory tools in whose place an agent offers others, not copies."""
    options = {tool.name: tool.options for tool in tools if isinstance(tool, _MemoryTool)}
    return [
        tool.name
        for tool in offered
        if isinstance(tool, BaseTool)
        and tool.name in options
        and getattr(tool, "options", None) is not options[tool.name]
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
        if isinstance(tool_input, str):
            # Of a plain text, LangChain would not make what the schema says.
            tool_input = {next(iter(self.args)): tool_input}
        # With `InjectedToolCallId`, the tool could not be called with plain arguments.
        args, kwargs = super()._to_args_and_kwargs(tool_input, tool_call_id)
        return args, {**kwargs, "tool_call_id": tool_call_id}

    def _run(self, *, config: RunnableConfig, tool_call_id: str | None, **kwargs: object) -> str:
        with self._errors_answered():
            return answer(self.memory, self.spec, self._call(config, tool_call_id), **kwargs)

    async def _arun(
        self, *, config: RunnableConfig, tool_call_id: str | None, **kwargs: object
    ) -> str:
        with self._errors_answered():
            call = self._call(config, tool_call_id)
            return await aanswer(self.memory, self.spec, call, **kwargs)

    def _call(self, config: RunnableConfig, tool_call_id: str | None) -> ToolCall:
        run = Run.of(ensure_config(config), self.scope, self.memory)
        return ToolCall(
            options=self.options, scope=run.scope, thread_id=run.thread_id, id=tool_call_id
        )

    @contextmanager
    def _errors_answered(self) -> Iterator[None]:
        try:
            yield
        except (Mem0IntegrationsError, TimeoutError) as error:
            raise ToolException(answered(self.name, error)) from error


def _malformed(error: Exception) -> str:
    problems = error.errors(include_input=False) if isinstance(error, ValidationError) else []
    listed = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in problems)
    return f"Nothing was done, because the arguments are wrong. {listed}."
