"""Memory nodes: to memory what a checkpointer is to state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import MessagesState
from langgraph.runtime import get_runtime

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.errors import (
    InvalidInputError,
    InvalidMessageError,
    OutboxFullError,
    StorageError,
)
from mem0_integrations.langgraph.checkpoints import aknown_at, known_at
from mem0_integrations.messages import Turn, last_words, new_turn, turn_key
from mem0_integrations.planning import (
    OnError,
    check_metadata,
    check_on_error,
    check_search,
    check_timeout,
)
from mem0_integrations.records import Recall, WriteResult
from mem0_integrations.rendering import recall_text
from mem0_integrations.scope import Scope, ScopeRequest, ScopeSource, resolve_scope

__all__ = ["MemoryState", "recall_node", "remember_node"]

logger = logging.getLogger(__name__)

Event = Mapping[str, object]
# What keeps a turn from being accepted although the graph is right.
_NOT_ACCEPTED = (InvalidMessageError, OutboxFullError, StorageError)


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
) -> RunnableLambda[Any, dict[str, object]]:
    """Make a node that recalls what is known about the user's last message.

    It writes what it found into a key of the state, never into the conversation; put it into
    the system message. It emits `memory.recalling` and `memory.recalled` on the custom stream.

    Args:
        memory: The memory.
        scope: Whose memories: a `Scope`, a mapping, or a callable that is given a
            `ScopeRequest`; else it is found in the run-time context, in
            `config["configurable"]`, or in the user that LangGraph Server authenticated.
        messages_key: The key of the state that holds the conversation.
        output_key: The key of the state that gets the result; it must be in the schema.
        limit: The most memories.
        threshold: The least score in [0, 1].
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
    check_search(limit, threshold, filters)
    check_timeout("timeout", timeout)
    check_on_error(on_error)
    options: dict[str, Any] = {
        "limit": limit,
        "threshold": threshold,
        "filters": filters,
        "timeout": timeout,
        "on_error": on_error,
    }

    def found(recall: Recall, emit: Callable[[Event], None]) -> dict[str, object]:
        emit(
            {
                "event": "memory.recalled",
                "memories": [found.to_dict() for found in recall.memories],
                "degraded": recall.degraded,
            }
        )
        return {output_key: render(recall)}

    def recall(state: object, config: RunnableConfig) -> dict[str, object]:
        call = _call(config, scope, memory)
        query = last_words(_messages(state, messages_key))
        if query is None:
            return {output_key: render(Recall())}
        call.emit({"event": "memory.recalling"})
        time = known_at(config, call.checkpoint_id) if as_of == "checkpoint" else None
        return found(memory.recall(query, scope=call.scope, as_of=time, **options), call.emit)

    async def arecall(state: object, config: RunnableConfig) -> dict[str, object]:
        call = _call(config, scope, memory)
        query = last_words(_messages(state, messages_key))
        if query is None:
            return {output_key: render(Recall())}
        call.emit({"event": "memory.recalling"})
        time = await aknown_at(config, call.checkpoint_id) if as_of == "checkpoint" else None
        recalled = await memory.arecall(query, scope=call.scope, as_of=time, **options)
        return found(recalled, call.emit)

    return RunnableLambda(recall, afunc=arecall, name="recall")


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
) -> RunnableLambda[Any, dict[str, object]]:
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
        infer: Whether to extract statements; else each message is kept as it is.
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
    common = check_metadata(metadata)
    check_timeout("timeout", timeout)
    check_on_error(on_error)

    def plan(state: object, config: RunnableConfig) -> tuple[_Call, dict[str, Any] | None]:
        call = _call(config, scope, memory)
        try:
            turn = new_turn(
                _messages(state, messages_key), include_tool_messages=include_tool_messages
            )
        except InvalidMessageError as error:
            remembered(call, _not_accepted(error, on_error or memory.on_error))
            return call, None
        if turn is None:
            return call, None
        return call, {
            "messages": turn.messages,
            "scope": call.scope,
            "infer": infer,
            "metadata": {**common, **_provenance(call, turn)},
            "key": turn_key(call.scope, call.thread_id, turn),
            "background": background,
            "timeout": timeout,
            "on_error": on_error,
        }

    def remembered(call: _Call, result: WriteResult) -> dict[str, object]:
        call.emit(
            {
                "event": "memory.remembered",
                "status": result.status,
                "memories": [stored.to_dict() for stored in result.memories],
                "error": result.error,
            }
        )
        return {}

    def remember(state: object, config: RunnableConfig) -> dict[str, object]:
        call, write = plan(state, config)
        if write is None:
            return {}
        try:
            result = memory.remember(**write)
        except _NOT_ACCEPTED as error:
            result = _not_accepted(error, on_error or memory.on_error)
        return remembered(call, result)

    async def aremember(state: object, config: RunnableConfig) -> dict[str, object]:
        call, write = plan(state, config)
        if write is None:
            return {}
        try:
            result = await memory.aremember(**write)
        except _NOT_ACCEPTED as error:
            result = _not_accepted(error, on_error or memory.on_error)
        return remembered(call, result)

    return RunnableLambda(remember, afunc=aremember, name="remember")


@dataclass(frozen=True, slots=True)
class _Call:
    """What a node has to know about the call that it is part of."""

    scope: Scope
    thread_id: str | None
    checkpoint_id: str | None
    emit: Callable[[Event], None]


def _call(config: RunnableConfig, scope: ScopeSource | None, memory: AgentMemory) -> _Call:
    runtime = get_runtime()
    execution = runtime.execution_info
    return _Call(
        scope=resolve_scope(scope, ScopeRequest.of_run(config), memory.default_scope),
        thread_id=execution.thread_id if execution is not None else None,
        checkpoint_id=execution.checkpoint_id if execution is not None else None,
        emit=runtime.stream_writer,
    )


def _messages(state: object, key: str) -> list[Any]:
    messages = state.get(key) if isinstance(state, Mapping) else getattr(state, key, None)
    if messages is None:
        raise InvalidInputError(
            f"The state has no {key!r}; name the key that holds the conversation with "
            f"messages_key=."
        )
    return list(messages)


def _provenance(call: _Call, turn: Turn) -> dict[str, str]:
    values = {
        "thread_id": call.thread_id,
        "checkpoint_id": call.checkpoint_id,
        "message_id": turn.human_id,
    }
    return {key: value for key, value in values.items() if value is not None}


def _not_accepted(error: Exception, on_error: OnError) -> WriteResult:
    if on_error == "raise":
        raise error
    logger.error("A turn was not accepted and will not be remembered: %s.", type(error).__name__)
    return WriteResult("failed", error=str(error))
