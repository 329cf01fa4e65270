"""`recall_node(as_of="checkpoint")`: a replay is answered with what was known then."""

from __future__ import annotations

import time
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from mem0_integrations import AgentMemory, InvalidInputError
from mem0_integrations.langgraph import MemoryState, recall_node, remember_node

TEA = "I drink green tea."
COFFEE = "I drink black coffee."
JUICE = "I drink orange juice."
QUESTION = "What do I drink?"


class SlowSaver(InMemorySaver):
    """Saves a checkpoint a while after the node that runs on it has started."""

    def put(self, *arguments: Any) -> Any:
        time.sleep(0.1)
        return super().put(*arguments)


def chat(memory: AgentMemory, **options: Any) -> StateGraph:
    builder = StateGraph(MemoryState)
    builder.add_node("recall", recall_node(memory, **{"as_of": "checkpoint", **options}))
    builder.add_node("model", lambda _: {"messages": [AIMessage("I see.")]})
    builder.add_node("remember", remember_node(memory, background=False))
    builder.add_edge(START, "recall").add_edge("recall", "model")
    builder.add_edge("model", "remember").add_edge("remember", END)
    return builder


def said(text: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(text)]}


def drinks(state: dict[str, Any]) -> set[str]:
    return {text for text in (TEA, COFFEE, JUICE) if text in state["memories"]}


async def test_a_replay_knows_nothing_of_later_turns(shared, converse) -> None:
    """A replay is to explain an old answer, not to give a better one."""
    conversation = converse(chat(shared))
    await conversation.run(said(TEA))
    asked = await conversation.run(said(QUESTION))
    past = await conversation.past("recall")
    await conversation.run(said(COFFEE))
    later = await conversation.run(said(QUESTION))
    replayed = await conversation.run(None, past)
    assert [drinks(asked), drinks(later)] == [{TEA}, {TEA, COFFEE}]
    assert drinks(replayed) == {TEA}
    assert replayed["memories"] == asked["memories"]


async def test_a_replay_knows_nothing_of_other_threads_written_later(shared, converse) -> None:
    """Memories are of the user: another conversation writes into the past of this one."""
    builder = chat(shared)
    conversation, other = converse(builder), converse(builder, thread_id="thread-2")
    await other.run(said(TEA))
    await conversation.run(said(QUESTION))
    past = await conversation.past("recall")
    await other.run(said(COFFEE))
    assert drinks(await conversation.run(None, past)) == {TEA}
    assert drinks(await conversation.run(said(QUESTION))) == {TEA, COFFEE}


async def test_a_replay_shows_a_memory_as_it_was_then(shared, user, converse) -> None:
    """A corrected memory would explain the old answer with words it was not based on."""
    conversation = converse(chat(shared))
    await conversation.run(said(TEA))
    await conversation.run(said(QUESTION))
    past = await conversation.past("recall")
    scope = {"user_id": user}
    (memory,) = shared.list(scope=scope)
    shared.update(memory.id, scope=scope, text=COFFEE)
    assert drinks(await conversation.run(None, past)) == {TEA}
    assert drinks(await conversation.run(said(QUESTION))) == {COFFEE}


async def test_without_as_of_a_replay_knows_everything(shared, converse) -> None:
    """The default is what most applications want: the best answer now."""
    conversation = converse(chat(shared, as_of="now"))
    await conversation.run(said(TEA))
    await conversation.run(said(QUESTION))
    past = await conversation.past("recall")
    await conversation.run(said(COFFEE))
    assert drinks(await conversation.run(None, past)) == {TEA, COFFEE}


async def test_an_edited_fork_knows_what_was_known_then(shared, converse) -> None:
    """What if the user had asked otherwise: everything else stays as it was."""
    conversation = converse(chat(shared))
    await conversation.run(said(TEA))
    state = await conversation.run(said("Hello"))
    past = await conversation.past("recall")
    await conversation.run(said(COFFEE))
    edited = HumanMessage(QUESTION, id=state["messages"][-2].id)
    fork = await conversation.fork(past, {"messages": [edited]}, START)
    replayed = await conversation.run(None, fork)
    assert drinks(replayed) == {TEA}
    assert replayed["messages"][2].content == QUESTION


async def test_a_copied_fork_knows_what_was_known_then(shared, converse) -> None:
    """The same through LangGraph's own way to copy a checkpoint."""
    conversation = converse(chat(shared))
    await conversation.run(said(TEA))
    await conversation.run(said(QUESTION))
    past = await conversation.past("recall")
    await conversation.run(said(COFFEE))
    copy = await conversation.fork(past, None, "__copy__")
    assert drinks(await conversation.run(None, copy)) == {TEA}


async def test_a_replay_of_a_replay_knows_what_was_known_first(shared, converse) -> None:
    """A replay leaves checkpoints of its own, whose time is not that of the past."""
    conversation = converse(chat(shared))
    await conversation.run(said(TEA))
    await conversation.run(said(QUESTION))
    past = await conversation.past("recall")
    await conversation.run(said(COFFEE))
    await conversation.run(None, past)
    again = await conversation.past("recall")
    assert again["configurable"]["checkpoint_id"] != past["configurable"]["checkpoint_id"]
    assert drinks(await conversation.run(None, again)) == {TEA}


async def test_a_new_turn_on_a_fork_knows_everything(shared, converse) -> None:
    """Whoever goes on from a branch lives in the present."""
    conversation = converse(chat(shared))
    await conversation.run(said(TEA))
    await conversation.run(said(QUESTION))
    past = await conversation.past("recall")
    await conversation.run(said(COFFEE))
    await conversation.run(None, past)
    assert drinks(await conversation.run(said(QUESTION))) == {TEA, COFFEE}


async def test_a_new_message_at_a_past_checkpoint_knows_everything(shared, converse) -> None:
    """A chat front end edits by sending another message to the checkpoint before."""
    conversation = converse(chat(shared))
    await conversation.run(said(TEA))
    await conversation.run(said("Hello"))
    past = await conversation.past("recall")
    await conversation.run(said(COFFEE))
    assert drinks(await conversation.run(said(QUESTION), past)) == {TEA, COFFEE}


async def test_a_replay_of_the_first_turn_knows_nothing(shared, converse) -> None:
    """The first turn has the shortest past that there is."""
    conversation = converse(chat(shared))
    await conversation.run(said(QUESTION))
    past = await conversation.past("recall")
    await conversation.run(said(TEA))
    assert drinks(await conversation.run(None, past)) == set()


async def test_a_later_node_of_a_replay_knows_what_was_known_then(shared, converse) -> None:
    """The recall need not be the node that the replay begins with."""
    builder = StateGraph(MemoryState)
    builder.add_node("greet", lambda _: {})
    builder.add_node("recall", recall_node(shared, as_of="checkpoint"))
    builder.add_node("remember", remember_node(shared, background=False))
    builder.add_edge(START, "greet").add_edge("greet", "recall").add_edge("recall", "remember")
    conversation = converse(builder)
    await conversation.run(said(TEA))
    await conversation.run(said(QUESTION))
    past = await conversation.past("greet")
    await conversation.run(said(COFFEE))
    assert drinks(await conversation.run(None, past)) == {TEA}


async def test_a_subgraph_follows_the_replay_of_its_parent(shared, converse) -> None:
    """A subgraph has checkpoints of its own; the one that was replayed is the parent's."""
    parent = StateGraph(MemoryState)
    parent.add_node("assistant", chat(shared).compile())
    parent.add_edge(START, "assistant")
    conversation = converse(parent)
    await conversation.run(said(TEA))
    await conversation.run(said(QUESTION))
    past = await conversation.past("assistant")
    later = await conversation.run(said(COFFEE))
    assert drinks(later) == {TEA}
    assert drinks(await conversation.run(said(QUESTION))) == {TEA, COFFEE}
    assert drinks(await conversation.run(None, past)) == {TEA}


def test_a_checkpoint_that_is_saved_late_is_waited_for(shared, user) -> None:
    """LangGraph saves in the background: on a slow database the node is there first."""
    graph = chat(shared).compile(checkpointer=SlowSaver())
    config: RunnableConfig = {"configurable": {"thread_id": "thread-1", "user_id": user}}
    graph.invoke(said(TEA), config)
    graph.invoke(said(QUESTION), config)
    past = next(item for item in graph.get_state_history(config) if item.next == ("recall",))
    graph.invoke(said(COFFEE), config)
    ids = {"configurable": {**config["configurable"], **past.config["configurable"]}}
    assert drinks(graph.invoke(None, ids)) == {TEA}
    assert drinks(graph.invoke(said(QUESTION), config)) == {TEA, COFFEE}


async def test_an_async_graph_waits_for_a_late_checkpoint_too(shared, user) -> None:
    """The same on the event loop, which must go on in the meantime."""
    graph = chat(shared).compile(checkpointer=SlowSaver())
    config: RunnableConfig = {"configurable": {"thread_id": "thread-1", "user_id": user}}
    await graph.ainvoke(said(TEA), config)
    await graph.ainvoke(said(QUESTION), config)
    history = [item async for item in graph.aget_state_history(config)]
    past = next(item for item in history if item.next == ("recall",))
    await graph.ainvoke(said(COFFEE), config)
    ids = {"configurable": {**config["configurable"], **past.config["configurable"]}}
    assert drinks(await graph.ainvoke(None, ids)) == {TEA}


async def test_runs_that_save_no_checkpoints_are_of_the_present(shared, converse) -> None:
    """With the durability `exit` there is nothing to wait for, and the run must not hang."""
    conversation = converse(chat(shared))
    await conversation.run(said(TEA), durability="exit")
    assert drinks(await conversation.run(said(QUESTION), durability="exit")) == {TEA}


async def test_a_graph_without_a_checkpointer_is_of_the_present(shared, user) -> None:
    """The option must not force a checkpointer on a script."""
    graph = chat(shared).compile()
    config = {"configurable": {"user_id": user}}
    graph.invoke(said(TEA), config)
    assert drinks(graph.invoke(said(QUESTION), config)) == {TEA}
    assert drinks(await graph.ainvoke(said(QUESTION), config)) == {TEA}


def test_an_unknown_as_of_is_refused_when_the_node_is_made(shared) -> None:
    """A typo must not turn into recalls of the present."""
    with pytest.raises(InvalidInputError, match="as_of"):
        recall_node(shared, as_of="then")  # type: ignore[arg-type]
