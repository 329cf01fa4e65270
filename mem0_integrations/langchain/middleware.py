"""`Mem0Middleware`: long-term memory for an agent that need not know of it."""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final, NotRequired

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
)
from langchain.agents.middleware.types import PrivateStateAttr, TracePolicy, omit_payload
from langchain_core.messages import BaseMessage, SystemMessage
from langgraph.config import get_config
from langgraph.runtime import Runtime
from langgraph.types import Command

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.arguments import OnError
from mem0_integrations.errors import InvalidInputError
from mem0_integrations.langchain.thread_state import (
    NOTHING_HEARD,
    ThreadState,
    has_heard,
    hear,
    last_turn,
    messages_of,
    unsaved_turns,
    with_unsaved,
)
from mem0_integrations.langchain.tools import create_memory_tools, replaced
from mem0_integrations.memory_tools import ToolName
from mem0_integrations.messages import last_words
from mem0_integrations.options import checked_search
from mem0_integrations.recall.rendering import recall_text
from mem0_integrations.records import Recall
from mem0_integrations.scope import Scope, ScopeSource
from mem0_integrations.turns import Run, TurnWriter

__all__ = ["Mem0Middleware", "Mem0State"]

_KEY: Final = "mem0_middleware"


class Mem0State(AgentState[Any]):
    """The state of an agent with memory; what it adds is private to the middleware.

    Attributes:
        mem0_middleware: What each instance keeps of the thread, by its name.
    """

    # The reducer stands last, where LangGraph looks for it.
    mem0_middleware: NotRequired[Annotated[dict[str, ThreadState], PrivateStateAttr, operator.or_]]


class Mem0Middleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Gives an agent a long-term memory.

    What is known about the user's message is recalled once and stands in the system message of
    each request to the model, after the application's own; the conversation is not changed.
    When the agent is done, the turn is remembered: once, however often LangGraph runs it
    (retries, resumes, replays, forks). With a checkpointer, what could not be saved, because
    the model raised for example, is saved with the next run of the thread; a turn
    that is resumed in another scope waits for the next run in its own.

    What it keeps of a thread is private state: not part of the agent's result, but of the
    stream modes `updates` and `values`. Each memory carries `thread_id`, `checkpoint_id` and
    `message_id` in its metadata. Progress is told on the custom stream: `memory.recalling`,
    `memory.recalled`, `memory.remembered`.

    Args:
        memory: The memory.
        scope: Whose memories: a `Scope`, a mapping, or a callable that is given a
            `ScopeRequest`; otherwise it is found in the run-time context, in
            `config["configurable"]`, or in the user that LangGraph Server authenticated.
        search_scope: Whose memories are recalled, if not those of `scope`.
        limit: Maximum number of memories, 1 to 1,000.
        threshold: Minimum score in [0, 1].
        filters: Mem0's metadata filters.
        timeout: Seconds that the agent waits for memory, to be read and, in the foreground, to
            be written; otherwise `recall_timeout` of `connect`. A write that takes longer goes on.
        render: Turns the `Recall` into the text for the system message; nothing is added for
            an empty one.
        infer: Whether to extract statements; otherwise each message is kept as it is.
        metadata: Values of the application, JSON-serialisable, for each memory.
        background: Whether to go on at once; the turn is on disk by then.
        include_tool_messages: Whether to learn from what tools answered, too.
        on_error: What a failed recall does, or a turn that cannot be accepted or whose write
            in the foreground fails: `degrade` (logged, and an event) or `raise`.
        tools: Whether the agent gets the tools of `create_memory_tools`, or which of them, to
            manage the memories of `scope` itself; for one instance of an agent only.
        name: Tells the instances in one agent apart.

    Raises:
        InvalidInputError: An argument is malformed.

    Example:
        >>> from langchain.agents import create_agent
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from mem0_integrations import connect
        >>> from mem0_integrations.langchain import Mem0Middleware
        >>> with connect() as memory:
        ...     middleware = Mem0Middleware(memory, background=False)
        ...     model = FakeListChatModel(responses=["Noted."])
        ...     agent = create_agent(model, middleware=[middleware])
        ...     config = {"configurable": {"user_id": "u"}}
        ...     state = agent.invoke({"messages": [("user", "I like tea.")]}, config)
        ...     memory.list(scope={"user_id": "u"})[0].text
        'I like tea.'
    """

    state_schema = Mem0State
    # Otherwise the span of each hook holds the whole conversation once more.
    trace_policy = TracePolicy(process_inputs=omit_payload)

    def __init__(
        self,
        memory: AgentMemory,
        *,
        scope: ScopeSource | None = None,
        search_scope: ScopeSource | None = None,
        limit: int = 5,
        threshold: float | None = None,
        filters: Mapping[str, object] | None = None,
        timeout: float | None = None,
        render: Callable[[Recall], str] = recall_text,
        infer: bool = True,
        metadata: Mapping[str, object] | None = None,
        background: bool = True,
        include_tool_messages: bool = False,
        on_error: OnError | None = None,
        tools: bool | Sequence[ToolName] = False,
        name: str = "Mem0Middleware",
    ) -> None:
        self._search = checked_search(
            limit=limit, threshold=threshold, filters=filters, timeout=timeout, on_error=on_error
        )
        for source in (scope, search_scope):
            if source is not None and not callable(source):
                Scope.of(source)
        _check_name(name)
        self._memory = memory
        self._scope = scope
        self._search_scope = scope if search_scope is None else search_scope
        self._render: Callable[[Recall], object] = render
        self._name = name
        self._writer = TurnWriter(
            memory=memory,
            infer=infer,
            metadata=metadata,
            background=background,
            timeout=memory.recall_timeout if timeout is None else timeout,
            include_tool_messages=include_tool_messages,
            on_error=on_error,
        )
        self.tools = []
        if tools is not False:
            include = None if tools is True else tools
            self.tools = create_memory_tools(
                memory, scope=scope, include=include, filters=filters, metadata=metadata
            )

    @property
    def name(self) -> str:
        """The name of this instance."""
        return self._name

    def before_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any]:
        """Recall what is known about what the user said last, unless that was done."""
        run, thread, query = self._listen(state)
        if query is None:
            return self._update(thread)
        run.recalling()
        recall = self._memory.recall(query, scope=run.scope, **self._search)
        return self._recalled(run, thread, recall)

    async def abefore_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any]:
        """Async twin of `before_agent`."""
        run, thread, query = self._listen(state)
        if query is None:
            return self._update(thread)
        run.recalling()
        recall = await self._memory.arecall(query, scope=run.scope, **self._search)
        return self._recalled(run, thread, recall)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ExtendedModelResponse[Any]:
        """Show the model what was recalled; a message that came meanwhile is recalled for, too."""
        update = None
        if not has_heard(self._thread(request.state), messages_of(request.state)):
            update = self.before_agent(request.state, request.runtime)
        response = handler(self._informed(request, update))
        return ExtendedModelResponse(response, Command(update=update) if update else None)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ExtendedModelResponse[Any]:
        """Async twin of `wrap_model_call`."""
        update = None
        if not has_heard(self._thread(request.state), messages_of(request.state)):
            update = await self.abefore_agent(request.state, request.runtime)
        response = await handler(self._informed(request, update))
        return ExtendedModelResponse(response, Command(update=update) if update else None)

    def after_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any]:
        """Remember the turns that are not in memory yet, oldest first."""
        run, thread, unsaved = self._unsaved(state)
        while unsaved and self._writer.remember(run, unsaved[0]):
            del unsaved[0]
        return self._update(with_unsaved(thread, run.scope, unsaved))

    async def aafter_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any]:
        """Async twin of `after_agent`."""
        run, thread, unsaved = self._unsaved(state)
        while unsaved and await self._writer.aremember(run, unsaved[0]):
            del unsaved[0]
        return self._update(with_unsaved(thread, run.scope, unsaved))

    def _listen(self, state: Mapping[str, Any]) -> tuple[Run, ThreadState, str | None]:
        """Note what the user has said since; return a query if something is to be recalled."""
        config, messages = get_config(), messages_of(state)
        run = own = Run.of(config, self._search_scope, self._memory)
        if self._search_scope is not self._scope:
            own = Run.of(config, self._scope, self._memory)
        thread = hear(self._thread(state), messages, own.scope)
        if thread["recalled"] == run.scope.ids:
            return run, thread, None
        query = last_words(last_turn(messages))
        return run, thread if query else self._with_recall(thread, run, Recall()), query

    def _recalled(self, run: Run, thread: ThreadState, recall: Recall) -> dict[str, Any]:
        run.recalled(recall)
        return self._update(self._with_recall(thread, run, recall))

    def _with_recall(self, thread: ThreadState, run: Run, recall: Recall) -> ThreadState:
        memories = self._render(recall)
        if not isinstance(memories, str):
            raise InvalidInputError(f"render must return a string, not {type(memories).__name__}.")
        # After a failed recall, the next run tries again.
        recalled = run.scope.ids if recall.degraded is None else None
        return {**thread, "memories": memories, "recalled": recalled}

    def _informed(
        self, request: ModelRequest[Any], update: Mapping[str, Any] | None
    ) -> ModelRequest[Any]:
        # Of several tools with one name, LangChain takes the last: with another scope, perhaps.
        if others := replaced(self.tools, request.tools):
            raise InvalidInputError(
                f"The agent has other tools with the names {others}. Give tools= to one "
                f"Mem0Middleware only; for another scope, rename tools of create_memory_tools and "
                f"pass them to create_agent."
            )
        memories = self._thread(update or request.state)["memories"]
        if not memories:
            return request
        return request.override(system_message=_appended(request.system_message, memories))

    def _unsaved(
        self, state: Mapping[str, Any]
    ) -> tuple[Run, ThreadState, list[list[BaseMessage]]]:
        run = Run.of(get_config(), self._scope, self._memory)
        messages = messages_of(state)
        thread = hear(self._thread(state), messages, run.scope)
        return run, thread, unsaved_turns(thread, messages, run.scope)

    def _thread(self, state: Mapping[str, Any]) -> ThreadState:
        threads: dict[str, ThreadState] = state.get(_KEY) or {}
        return threads.get(self._name, NOTHING_HEARD)

    def _update(self, thread: ThreadState) -> dict[str, Any]:
        return {_KEY: {self._name: thread}}


def _check_name(name: object) -> None:
    # LangChain names nodes of the graph after it, and LangGraph has uses for these characters.
    if not isinstance(name, str) or not name.strip() or set(name) & set("|:"):
        raise InvalidInputError(
            f"name must be a string with some text and without '|' and ':', not {name!r}."
        )


def _appended(message: SystemMessage | None, text: str) -> SystemMessage:
    """Return a system message that ends with a text; its blocks stay as they are."""
    if message is None or not message.content:
        return SystemMessage(text)
    content: str | list[str | dict[str, Any]] = f"{message.content}\n\n{text}"
    if not isinstance(message.content, str):
        content = [*message.content, {"type": "text", "text": f"\n\n{text}"}]
    return message.model_copy(update={"content": content})
