"""What was accepted is stored once, in order, whatever stumbles and whoever dies."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from mem0_integrations import WriteResult
from mem0_integrations.langchain import Mem0ChatMessageHistory
from mem0_integrations.langgraph import Mem0Store
from tests.paths import LivingPath, MemoryPath, ways
from tests.switches import PATIENCE, Gate

HOME, DRINK, WORK = "I live in Oslo.", "I like tea.", "I work for Acme."
FACTS = (HOME, DRINK, WORK)


async def told(path: MemoryPath) -> set[str]:
    """Return the texts of the memories, each of which is there once."""
    texts = await path.texts()
    assert len(texts) == len(set(texts))
    return set(texts)


async def test_a_turn_is_stored_whole_and_once(path: MemoryPath) -> None:
    """A client that has no answer sends again: the same turn, under the same key."""
    turn = " ".join(FACTS)
    result = await path.remember(turn, key="turn")
    assert result.status == "stored"
    assert {memory.text for memory in result.memories} == {*FACTS}
    assert (await path.remember(turn, key="turn")).status == "duplicate"
    assert await told(path) == {*FACTS}
    path.reopen()
    assert (await path.remember(turn, key="turn")).status == "duplicate"
    assert await told(path) == {*FACTS}


@ways(lambda way: way.stumbles is not None)
@pytest.mark.parametrize("times", range(1, len(FACTS) + 2))
async def test_no_stumble_costs_a_statement(path: MemoryPath, times: int) -> None:
    """Mem0 tries a batch, then one by one, and goes on without those that fail again."""
    path.stumble_once(times=times)
    result = await path.call("remember", " ".join(FACTS))
    assert result.status == "stored"
    assert await told(path) == {*FACTS}


async def test_what_became_of_a_turn_is_told_when_a_part_of_it_was_deleted(
    path: MemoryPath,
) -> None:
    """The rest of it is still there, for whoever asks and for the graph."""
    written: WriteResult = await path.call("remember", " ".join(FACTS), key="turn")
    doomed = next(memory for memory in written.memories if memory.text == DRINK)
    await path.delete(doomed.id)
    await path.flush()
    told: WriteResult = await path.call("written", "turn")
    assert {memory.text for memory in told.memories} == {HOME, WORK}


async def test_turns_are_stored_in_their_order(path: MemoryPath) -> None:
    """A correction must not be overtaken by what it corrects."""
    said = [f"My locker number is {number}." for number in range(6)]
    for text in said:
        assert (await path.remember(text, background=True)).status == "queued"
    await path.flush()
    assert await path.texts() == said


async def test_the_statements_of_a_turn_keep_their_order(path: MemoryPath) -> None:
    """First this, then that: within a turn, too."""
    said = [f"I visited city number {number}." for number in range(8)]
    await path.remember(" ".join(said))
    assert await path.texts() == said


async def test_what_is_stored_has_a_history(path: MemoryPath) -> None:
    """What was known at a time is read from it."""
    [memory] = await path.say(HOME)
    await path.update(memory.id, text=DRINK)
    assert [(change.event, change.new_text) for change in await path.history(memory.id)] == [
        ("ADD", HOME),
        ("UPDATE", DRINK),
    ]


async def test_a_text_as_it_is_is_stored_whole_and_once(path: MemoryPath) -> None:
    """An import that broke off is repeated."""
    said = [f"Line {number}" for number in range(4)]
    for _ in range(2):
        path.stumble_once(in_model=False)
        await path.call("remember_many", said)
        path.parts.embedder.stumble(0)
        path.parts.store.stumble(0)
        assert await path.texts() == said


async def test_what_is_given_up_is_kept_and_stored_once_when_it_is_replayed(
    path: MemoryPath,
) -> None:
    """A service that is down for a day."""
    path.memory  # noqa: B018  (opening it asks the embedder)
    path.parts.embedder.stumble(1_000)
    failed = await path.call("remember", " ".join(FACTS), key="turn")
    assert failed.status == "failed"
    assert await path.texts() == []
    path.parts.embedder.stumble(0)
    for _ in range(2):
        await path.replay()
        await path.flush()
        assert await told(path) == {*FACTS}
    assert await path.dead_letters() == []


async def test_an_attempt_that_ends_late_stores_nothing_twice(path: MemoryPath) -> None:
    """It was given up after a while, and another one has got through."""
    gate = Gate()
    path.options["delivery_timeout"] = 1.0
    path.memory  # noqa: B018
    # A model is asked when Mem0 has looked at what is known already.
    (path.parts.model if path.way.has_model else path.parts.embedder).hook = gate
    writing = asyncio.create_task(path.call("remember", HOME))
    assert await asyncio.to_thread(gate.reached.wait, PATIENCE)
    if path.way.store == "platform":
        # There it is the server's own attempt, which the client asks for again.
        gate.opened.set()
    assert (await writing).status == "stored"
    gate.opened.set()
    if path.way.store != "platform":
        assert gate.thread is not None
        await asyncio.to_thread(gate.thread.join, PATIENCE)
    assert await path.texts() == [HOME]


async def test_a_message_of_a_transcript_is_kept_once_and_in_order(path: MemoryPath) -> None:
    """It is the transcript, not a recall."""
    said = [HumanMessage(HOME, id="1"), AIMessage("Noted.", id="2"), HumanMessage(DRINK, id="3")]
    for number, message in enumerate(said):
        path.parts.store.stumble(number % 2)
        transcript = Mem0ChatMessageHistory(path.memory, session_id="1", scope=path.scope)
        await transcript.aadd_messages([message])
    assert await transcript.aget_messages() == said


async def test_an_item_of_a_store_is_kept_once(path: MemoryPath) -> None:
    """What is put under a key again takes the place of what was there."""
    store, place = Mem0Store(path.memory), ("notes", str(path.scope.user_id))
    for text in (HOME, HOME, DRINK):
        await store.aput(place, "1", {"text": text})
    assert [item.value for item in await store.asearch(place)] == [{"text": DRINK}]


async def say_three(path: LivingPath) -> None:
    for number, text in enumerate(FACTS):
        await path.remember(text, key=f"turn-{number}", background=True)
    path.told.set()
    await path.flush()


@pytest.mark.timeout(300)
@ways(lambda way: way.stumbles is None)
@pytest.mark.parametrize("moment", ["store", "stored"])
async def test_a_process_that_dies_loses_and_doubles_nothing(path: MemoryPath, moment: str) -> None:
    """Whatever it was doing; what the client repeats then is known."""
    path.dies(say_three, moment)
    await path.flush()
    assert await path.texts() == [*FACTS]
    for number, text in enumerate(FACTS):
        again = await path.call("remember", text, key=f"turn-{number}")
        assert again.status == "duplicate"
    assert await path.texts() == [*FACTS]


@pytest.mark.timeout(300)
@ways(lambda way: way.stumbles is None and way.store != "platform")
async def test_no_memory_is_without_its_history_when_that_stumbles(path: MemoryPath) -> None:
    """Mem0 goes on without an entry that could not be written."""
    path.memory  # noqa: B018
    path.parts.history.stumble(2)
    [home] = await path.say(HOME)
    assert path.parts.history.stumbled == 2
    assert [change.new_text for change in await path.history(home.id)] == [HOME]
    assert await path.texts() == [HOME]


@pytest.mark.timeout(300)
@ways(lambda way: way.stumbles is None)
async def test_a_process_that_dies_leaves_no_memory_without_its_history(path: MemoryPath) -> None:
    """They lie in two files."""
    path.dies(say_three, "stored")
    await path.flush()
    for memory in await path.list():
        assert [change.event for change in await path.history(memory.id)] == ["ADD"]


async def say_and_change(path: LivingPath) -> None:
    path.passing = True
    [home] = await path.say(HOME)
    await path.flush()
    path.told.set()
    path.passing = False
    path.memory.update(home.id, text=DRINK, scope=path.scope)


@pytest.mark.timeout(300)
@ways(lambda way: way.stumbles is None and way.store != "platform")
async def test_a_process_that_dies_leaves_no_change_without_its_history(path: MemoryPath) -> None:
    """What was known at a time is read from it, and must not be lost."""
    path.dies(say_and_change, "history")
    await path.flush()
    [memory] = await path.list()
    assert memory.text == DRINK
    changes = await path.history(memory.id)
    assert [(change.event, change.new_text) for change in changes] == [
        ("ADD", HOME),
        ("UPDATE", DRINK),
    ]
    assert memory.created_at is not None
    then = await path.recall("Where do I live?", as_of=memory.created_at, threshold=0.0)
    assert [found.text for found in then.memories] == [HOME]
