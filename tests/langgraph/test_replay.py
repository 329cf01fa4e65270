"""However often LangGraph runs `remember_node` for a turn, the turn is written once."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, RetryPolicy, interrupt

from mem0_integrations import AgentMemory, Memory, connect
from mem0_integrations.langgraph import remember_node


class NodeFailedError(Exception):
    """What a node raises after its memory was written."""


class ListState(TypedDict):
    """A state whose messages get no ids."""

    messages: Annotated[list[AnyMessage], operator.add]


def graph_of(
    remember: Runnable[Any, Any], *, state: type = MessagesState, retry: RetryPolicy | None = None
) -> StateGraph:
    """A model that never answers the same, then memory."""
    replies = (f"Reply {number}." for number in itertools.count(1))
    builder: StateGraph[Any] = StateGraph(state)
    builder.add_node("model", lambda _: {"messages": [AIMessage(next(replies))]})
    builder.add_node("remember", remember, retry_policy=retry)
    builder.add_edge(START, "model").add_edge("model", "remember").add_edge("remember", END)
    return builder


def verbatim(memory: AgentMemory, *, background: bool = False) -> Runnable[Any, dict[str, object]]:
    return remember_node(memory, infer=False, background=background)


def followed_by(node: Runnable[Any, Any], after: Callable[[], object]) -> RunnableLambda:
    """The same node, with something that happens after the write, within the same attempt."""

    def run(state: object, config: RunnableConfig) -> object:
        result = node.invoke(state, config)
        after()
        return result

    async def arun(state: object, config: RunnableConfig) -> object:
        result = await node.ainvoke(state, config)
        after()
        return result

    return RunnableLambda(run, afunc=arun)


def failing(times: int) -> Callable[[], None]:
    left = iter(range(times))

    def fail() -> None:
        if next(left, None) is not None:
            raise NodeFailedError

    return fail


def said(text: str, message_id: str | None = None) -> dict[str, Any]:
    return {"messages": [HumanMessage(text, id=message_id)]}


def turns_of(memory: AgentMemory, user: str) -> list[Memory]:
    """The user's messages as they are stored, oldest first: one for each turn written."""
    assert memory.flush(timeout=60)
    stored = memory.list(scope={"user_id": user}, limit=1_000)
    return [item for item in reversed(stored) if item.metadata["role"] == "user"]


async def test_two_turns_are_two_writes(shared, user, converse) -> None:
    """The plain case: nothing is taken for a repetition that is none."""
    conversation = converse(graph_of(verbatim(shared)))
    before = shared.outbox_counts().done
    await conversation.run(said("I am Priya."))
    await conversation.run(said("I live in Oslo."))
    assert conversation.statuses == ["stored", "stored"]
    assert [item.text for item in turns_of(shared, user)] == ["I am Priya.", "I live in Oslo."]
    assert len({item.metadata["message_id"] for item in turns_of(shared, user)}) == 2
    assert shared.outbox_counts().done - before == 2


async def test_the_same_text_in_two_turns_is_two_writes(shared, user, converse) -> None:
    """The user may say a thing again; only a repetition by LangGraph is none."""
    conversation = converse(graph_of(verbatim(shared)))
    await conversation.run(said("Yes."))
    await conversation.run(said("Yes."))
    assert conversation.statuses == ["stored", "stored"]
    assert len(turns_of(shared, user)) == 2


@pytest.mark.parametrize("background", [False, True])
async def test_a_node_that_is_retried_twice_writes_once(shared, user, converse, background) -> None:
    """A retry runs the whole node again, the write included."""
    node = followed_by(verbatim(shared, background=background), failing(2))
    policy = RetryPolicy(
        initial_interval=0.01, jitter=False, max_attempts=3, retry_on=NodeFailedError
    )
    conversation = converse(graph_of(node, retry=policy))
    await conversation.run(said("I am Priya."))
    first = "queued" if background else "stored"
    assert conversation.statuses == [first, "duplicate", "duplicate"]
    assert len(turns_of(shared, user)) == 1


async def test_a_run_that_is_resumed_after_a_crash_writes_once(shared, user, converse) -> None:
    """The checkpoint is older than the write: the resumed run does it again."""
    conversation = converse(graph_of(followed_by(verbatim(shared), failing(1))))
    with pytest.raises(NodeFailedError):
        await conversation.run(said("I am Priya."))
    await conversation.run(None)
    assert conversation.statuses == ["stored", "duplicate"]
    assert len(turns_of(shared, user)) == 1


async def test_a_run_that_is_resumed_in_a_new_process_writes_once(
    tmp_path: Path, user, converse
) -> None:
    """What was accepted must be known from the disk, not from the memory of the process."""
    with connect("embedded", data_dir=tmp_path) as memory:
        crashing = converse(graph_of(followed_by(verbatim(memory), failing(1))))
        with pytest.raises(NodeFailedError):
            await crashing.run(said("I am Priya."))
    with connect("embedded", data_dir=tmp_path) as memory:
        resumed = converse(graph_of(verbatim(memory)))
        await resumed.run(None)
        assert resumed.statuses == ["duplicate"]
        assert len(turns_of(memory, user)) == 1


async def test_a_node_that_is_interrupted_after_its_write_writes_once(
    shared, user, converse
) -> None:
    """A resumed node starts from its top."""
    node = followed_by(verbatim(shared), lambda: interrupt("Go on?"))
    conversation = converse(graph_of(node))
    await conversation.run(said("I am Priya."))
    await conversation.run(Command(resume="yes"))
    assert conversation.statuses == ["stored", "duplicate"]
    assert len(turns_of(shared, user)) == 1


async def test_two_replays_from_before_the_write_add_nothing(shared, user, converse) -> None:
    """Each replay has a checkpoint of its own, so that the checkpoint cannot be the key."""
    conversation = converse(graph_of(verbatim(shared)))
    await conversation.run(said("I am Priya."))
    past = await conversation.past("remember")
    await conversation.run(None, past)
    await conversation.run(None, past)
    assert conversation.statuses == ["stored", "duplicate", "duplicate"]
    assert len(turns_of(shared, user)) == 1


async def test_a_replay_with_a_new_reply_is_the_same_turn(shared, user, converse) -> None:
    """The answer is not part of the key; what was stored first stays."""
    conversation = converse(graph_of(verbatim(shared)))
    await conversation.run(said("I am Priya."))
    state = await conversation.run(None, await conversation.past("model"))
    assert state["messages"][-1].content == "Reply 2."
    assert conversation.statuses == ["stored", "duplicate"]
    stored = {item.text for item in shared.list(scope={"user_id": user})}
    assert stored == {"I am Priya.", "Reply 1."}


async def test_a_fork_by_copy_is_the_same_turn(shared, user, converse) -> None:
    """A branch that changes nothing says nothing new."""
    conversation = converse(graph_of(verbatim(shared)))
    await conversation.run(said("I am Priya."))
    copy = await conversation.fork(await conversation.past("remember"), None, "__copy__")
    await conversation.run(None, copy)
    assert conversation.statuses == ["stored", "duplicate"]
    assert len(turns_of(shared, user)) == 1


async def test_a_fork_with_an_edited_message_is_another_turn(shared, user, converse) -> None:
    """The message keeps its id, but the user said something else."""
    conversation = converse(graph_of(verbatim(shared)))
    state = await conversation.run(said("I am Priya."))
    edited = said("I am Maya.", state["messages"][0].id)
    fork = await conversation.fork(await conversation.past("model"), edited, START)
    state = await conversation.run(None, fork)
    assert [message.content for message in state["messages"]] == ["I am Maya.", "Reply 2."]
    assert conversation.statuses == ["stored", "stored"]
    assert [item.text for item in turns_of(shared, user)] == ["I am Priya.", "I am Maya."]


@pytest.mark.parametrize(
    ("message_id", "statuses"),
    [("message-1", ["stored", "duplicate"]), (None, ["stored", "stored"])],
    ids=["with its id", "without an id"],
)
async def test_a_turn_that_the_client_sends_again(
    shared, user, converse, message_id, statuses
) -> None:
    """With its id it is known; without, nobody can tell it from the user saying it again."""
    conversation = converse(graph_of(verbatim(shared)))
    await conversation.run(said("I am Priya.", message_id))
    await conversation.run(said("I am Priya.", message_id))
    assert conversation.statuses == statuses
    assert len(turns_of(shared, user)) == statuses.count("stored")


async def test_messages_without_ids_are_told_apart_by_their_position(
    shared, user, converse
) -> None:
    """A state with a reducer of its own may have no ids: turns count, replays do not."""
    conversation = converse(graph_of(verbatim(shared), state=ListState))
    await conversation.run(said("Yes."))
    await conversation.run(said("Yes."))
    await conversation.run(None, await conversation.past("remember"))
    assert conversation.statuses == ["stored", "stored", "duplicate"]
    assert len(turns_of(shared, user)) == 2


async def test_another_thread_may_have_the_same_message_id(shared, user, converse) -> None:
    """Clients number their messages per conversation."""
    builder = graph_of(verbatim(shared))
    for thread_id in ("thread-1", "thread-2"):
        conversation = converse(builder, thread_id=thread_id)
        await conversation.run(said("I am Priya.", "message-1"))
        assert conversation.statuses == ["stored"]
    assert {item.metadata["thread_id"] for item in turns_of(shared, user)} == {
        "thread-1",
        "thread-2",
    }


async def test_extracted_statements_are_written_once_as_well(shared, user, converse) -> None:
    """The key belongs to the turn, however many statements the turn became."""
    conversation = converse(graph_of(remember_node(shared, background=False)))
    await conversation.run(said("I am Priya. I live in Oslo."))
    await conversation.run(None, await conversation.past("model"))
    assert conversation.statuses == ["stored", "duplicate"]
    stored = {item.text for item in shared.list(scope={"user_id": user})}
    assert stored == {"I am Priya.", "I live in Oslo."}


async def test_a_memory_carries_where_it_was_said(shared, user, converse) -> None:
    """Support staff must be able to find the conversation that a memory is from."""
    conversation = converse(graph_of(verbatim(shared)))
    await conversation.run(said("I am Priya.", "message-1"))
    past = await conversation.past("remember")
    (turn,) = turns_of(shared, user)
    assert turn.metadata["thread_id"] == "thread-1"
    assert turn.metadata["message_id"] == "message-1"
    assert turn.metadata["checkpoint_id"] == past["configurable"]["checkpoint_id"]
