"""Memory nodes: to memory what a checkpointer is to state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langgraph.graph import MessagesState

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.arguments import OnError
from mem0_integrations.errors import InvalidInputError
from mem0_integrations.langgraph.checkpoints import areplayed_time, replayed_time
from mem0_integrations.messages import last_words
from mem0_integrations.options import checked_search
from mem0_integrations.recall.rendering import recall_text
from mem0_integrations.records import Recall
from mem0_integrations.scope import ScopeSource
from mem0_integrations.turns import Run, TurnWriter

__all__ = ["MemoryState", "recall_node", "remember_node"]


class MemoryState(MessagesState):
    """The state of a conversation with memory.

    Attributes:
        messages: The conversation.
        memories: What `recall_node` found, as text for the system message.

    Example:
        >>> from langgraph.graph import StateGraph
        >>> class SupportState(MemoryState):
        ...     order: str
        >>> sorted(StateGraph(SupportState).channels)
        ['memories', 'messages', 'order']
    """

    memories: str


def recall_node(
    memory: AgentMemory,
    *,
    scope: ScopeSource | None = None,
    messages_key: str = "messages",
    output_key: str = "memories",
    limit: int = 5,
    threshold: float | None = None,
    filters: Mapping[str, object] | None = None,
    timeout: float | None = None,
    as_of: Literal["now", "checkpoint"] = "now",
    on_error: OnError | None = None,
    render: Callable[[Recall], object] = recall_text,
) -> Runnable[Any, dict[str, object]]:
    """Make a node that recalls what is known about the user's last message.

    It writes what it found into a key of the state, never into the conversation; put it into
    the system message. It emits `memory.recalling` and `memory.recalled` on the custom stream.

    Args:
        memory: The memory.
        scope: Whose memories: a `Scope`, a mapping, or a callable that is given a
            `ScopeRequest`; otherwise it is found in the run-time context, in
            `config["configurable"]`, or in the user that LangGraph Server authenticated.
        messages_key: The key of the state that holds the conversation.
        output_key: The key of the state that gets the result; it must be in the schema.
        limit: Maximum number of memories, 1 to 1,000.
        threshold: Minimum score in [0, 1].
        filters: Mem0's metadata filters.
        timeout: Seconds; after that the graph goes on without memory.
        as_of: `now`, or `checkpoint`: in a replay or fork of a past checkpoint, only what was
            known then.
        on_error: What a failed recall does: `degrade` or `raise`.
        render: Turns the `Recall` into the value for the state; it must be one that the
            checkpointer can store.

    Returns:
        A node for `StateGraph.add_node`, for sync and async graphs.

    Raises:
        InvalidInputError: An argument is malformed.

    Example:
        >>> from langgraph.graph import START, StateGraph
        >>> from mem0_integrations import connect
        >>> from mem0_integrations.langgraph import MemoryState, recall_node
        >>> with connect() as memory:
        ...     result = memory.remember("I like tea.", scope={"user_id": "u"})
        ...     builder = StateGraph(MemoryState)
        ...     builder = builder.add_node("recall", recall_node(memory))
        ...     graph = builder.add_edge(START, "recall").compile()
        ...     config = {"configurable": {"user_id": "u"}}
        ...     state = graph.invoke({"messages": [("user", "tea or coffee?")]}, config)
        >>> "I like tea." in state["memories"]
        True
    """
    if as_of not in ("now", "checkpoint"):
        raise InvalidInputError(f"as_of must be 'now' or 'checkpoint', not {as_of!r}.")
    options = checked_search(
        limit=limit, threshold=threshold, filters=filters, timeout=timeout, on_error=on_error
    )

    def found(run: Run, recall: Recall) -> dict[str, object]:
        run.recalled(recall)
        return {output_key: render(recall)}

    def recall(state: object, config: RunnableConfig) -> dict[str, object]:
        run = Run.of(config, scope, memory)
        query = last_words(_messages(state, messages_key))
        if query is None:
            return {output_key: render(Recall())}
        run.recalling()
        time = replayed_time(config, run.checkpoint_id) if as_of == "checkpoint" else None
        return found(run, memory.recall(query, scope=run.scope, as_of=time, **options))

    async def arecall(state: object, config: RunnableConfig) -> dict[str, object]:
        run = Run.of(config, scope, memory)
        query = last_words(_messages(state, messages_key))
        if query is None:
            return {output_key: render(Recall())}
        run.recalling()
        time = await areplayed_time(config, run.checkpoint_id) if as_of == "checkpoint" else None
        return found(run, await memory.arecall(query, scope=run.scope, as_of=time, **options))

    return _Node("recall", recall, arecall)


def remember_node(
    memory: AgentMemory,
    *,
    scope: ScopeSource | None = None,
    messages_key: str = "messages",
    infer: bool = True,
    metadata: Mapping[str, object] | None = None,
    background: bool = True,
    timeout: float | None = None,
    include_tool_messages: bool = False,
    on_error: OnError | None = None,
) -> Runnable[Any, dict[str, object]]:
    """Make a node that remembers the last turn: the user's last message and what followed.

    However often LangGraph runs the node for a turn (retries, resumes, replays, forks), the
    turn is written once; a message that was edited is another turn. Each memory carries
    `thread_id`, `checkpoint_id` and `message_id` in its metadata. The node emits
    `memory.remembered` on the custom stream and changes nothing in the state.

    Args:
        memory: The memory.
        scope: Whose memory the turn becomes; see `recall_node`. It may differ from the scope
            that is recalled.
        messages_key: The key of the state that holds the conversation.
        infer: Whether to extract statements; otherwise each message is kept as it is.
        metadata: Values of the application, JSON-serialisable, for each memory.
        background: Whether to go on at once; the turn is on disk by then.
        timeout: Seconds to wait for a write in the foreground.
        include_tool_messages: Whether to learn from what tools answered, too.
        on_error: What a turn does that cannot be accepted, or whose write in the foreground
            fails: `degrade` (logged, and an event) or `raise`.

    Returns:
        A node for `StateGraph.add_node`, for sync and async graphs.

    Raises:
        InvalidInputError: An argument is malformed.

    Example:
        >>> from langgraph.graph import START, MessagesState, StateGraph
        >>> from mem0_integrations import connect
        >>> from mem0_integrations.langgraph import remember_node
        >>> with connect() as memory:
        ...     builder = StateGraph(MessagesState)
        ...     builder = builder.add_node("remember", remember_node(memory, background=False))
        ...     graph = builder.add_edge(START, "remember").compile()
        ...     config = {"configurable": {"user_id": "u", "thread_id": "1"}}
        ...     state = graph.invoke({"messages": [("user", "I like tea.")]}, config)
        ...     memory.list(scope={"user_id": "u"})[0].text
        'I like tea.'
    """
    writer = TurnWriter(
        memory=memory,
        infer=infer,
        metadata=metadata,
        background=background,
        timeout=timeout,
        include_tool_messages=include_tool_messages,
        on_error=on_error,
    )

    def remember(state: object, config: RunnableConfig) -> dict[str, object]:
        writer.remember(Run.of(config, scope, memory), _messages(state, messages_key))
        return {}

    async def aremember(state: object, config: RunnableConfig) -> dict[str, object]:
        await writer.aremember(Run.of(config, scope, memory), _messages(state, messages_key))
        return {}

    return _Node("remember", remember, aremember)


class _Node(Runnable[Any, dict[str, object]]):
    """A node that is called as it is: a `RunnableLambda` takes longer than a write."""

    def __init__(
        self,
        name: str,
        call: Callable[[object, RunnableConfig], dict[str, object]],
        acall: Callable[[object, RunnableConfig], Awaitable[dict[str, object]]],
    ) -> None:
        self.name = name
        self._call = call
        self._acall = acall

    def invoke(
        self, input: object, config: RunnableConfig | None = None, **kwargs: Any
    ) -> dict[str, object]:
        return self._call(input, config or ensure_config())

    async def ainvoke(
        self, input: object, config: RunnableConfig | None = None, **kwargs: Any
    ) -> dict[str, object]:
        return await self._acall(input, config or ensure_config())


def _messages(state: object, key: str) -> list[Any]:
    messages = state.get(key) if isinstance(state, Mapping) else getattr(state, key, None)
    if messages is None:
        raise InvalidInputError(
            f"The state has no {key!r}; name the key that holds the conversation with "
            f"messages_key=."
        )
    return list(messages)
