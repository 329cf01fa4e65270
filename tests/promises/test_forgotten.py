"""What was forgotten is gone, everywhere, and does not come back."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from mem0_integrations import BackendError, ForgetResult, MemoryNotFoundError, RetryPolicy, Scope
from mem0_integrations.langchain import Mem0ChatMessageHistory
from mem0_integrations.outbox import OutboxCounts
from tests.paths import LivingPath, MemoryPath, Way, ways
from tests.switches import PATIENCE, Gate

HOME, DRINK, WORK = "I live in Oslo.", "I like tea.", "I work for Acme."


def beside_a_graph(way: Way) -> bool:
    return way.follower == "graph"


async def answers(path: MemoryPath) -> list[str]:
    """Return everything that still answers for the scope of the test."""
    found = await path.recall("Where do I live, what do I like?", threshold=0.0)
    assert found.degraded is None
    listed = await path.texts()
    told = [relation.target for relation in found.relations]
    if path.way.follower == "graph":
        told += [fact.target for fact in path.memory.graph.relations(scope=path.scope)]
    return [*(memory.text for memory in found.memories), *listed, *told]


async def test_nothing_of_a_forgotten_scope_answers(path: MemoryPath) -> None:
    """A person's right to be forgotten covers every copy, and every way to ask."""
    [home] = await path.say(HOME, key="home")
    [drink] = await path.say(DRINK)
    [work] = await path.say(WORK)
    await path.update(drink.id, text="I like coffee.")
    await path.delete(work.id)
    await path.flush()
    await path.forget()
    for _ in range(2):
        assert await answers(path) == []
        for memory in (home, drink, work):
            assert await path.get(memory.id) is None
            with pytest.raises(MemoryNotFoundError):
                await path.history(memory.id)
        path.reopen()
    # A key that outlived its memory would make the person unable to be remembered.
    assert [memory.text for memory in await path.say(HOME, key="home")] == [HOME]


async def test_the_history_of_a_scope_of_two_ids_is_forgotten(path: MemoryPath) -> None:
    """Resetting one agent of a user is a right, too."""
    scope = Scope(user_id=path.scope.user_id, agent_id="shop")
    [home] = await path.say(HOME, scope=scope)
    [drink] = await path.say(DRINK, scope=scope)
    await path.delete(drink.id, scope=scope)
    await path.forget(scope)
    for memory in (home, drink):
        with pytest.raises(MemoryNotFoundError):
            await path.history(memory.id, scope=scope)


async def test_what_was_given_up_is_forgotten(path: MemoryPath) -> None:
    """A dead letter holds what was said."""
    path.memory  # noqa: B018  (opening it asks the embedder)
    path.parts.embedder.stumble(1_000)
    assert (await path.call("remember", HOME)).status == "failed"
    await path.forget()
    path.parts.embedder.stumble(0)
    assert await path.dead_letters() == []
    await path.replay()
    await path.flush()
    assert await answers(path) == []


async def test_a_write_that_is_under_way_does_not_come_back(path: MemoryPath) -> None:
    """It was accepted before, and is carried out by nobody afterwards."""
    gate = Gate()
    path.memory  # noqa: B018
    path.parts.embedder.hook = gate
    writing = asyncio.create_task(path.call("remember", HOME))
    assert await asyncio.to_thread(gate.reached.wait, PATIENCE)
    forgetting = asyncio.create_task(path.forget())
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(writing, forgetting)
    await path.flush()
    assert await answers(path) == []


@ways(lambda way: way.store != "platform")
async def test_an_attempt_that_ends_late_does_not_come_back(path: MemoryPath) -> None:
    """On the Platform it is the server's own, which gives up after five minutes."""
    gate = Gate()
    path.options["delivery_timeout"] = 1.0
    path.memory  # noqa: B018
    path.parts.embedder.hook = gate
    assert (await path.call("remember", HOME)).status == "stored"
    # Either waits for the attempt, or sees to it that nothing becomes of it.
    forgetting = asyncio.create_task(path.forget())
    await asyncio.wait([forgetting], timeout=3.0)
    gate.opened.set()
    await forgetting
    assert gate.thread is not None
    await asyncio.to_thread(gate.thread.join, PATIENCE)
    await path.flush()
    assert await answers(path) == []


async def test_what_was_deleted_answers_no_more(path: MemoryPath) -> None:
    """Not in a list, not by its words, not as a fact."""
    [home] = await path.say(HOME)
    await path.flush()
    await path.delete(home.id)
    await path.flush()
    for _ in range(2):
        assert await answers(path) == []
        assert await path.get(home.id) is None
        path.reopen()


async def test_what_was_changed_says_the_old_no_more(path: MemoryPath) -> None:
    """A correction that leaves the mistake in an index is none."""
    [home] = await path.say(HOME)
    await path.flush()
    if path.way.stumbles == "embedder":
        path.stumble_once(in_model=False)
    await path.update(home.id, text="I live in Rome.")
    await path.flush()
    for _ in range(2):
        assert {text for text in await answers(path) if "Oslo" in text} == set()
        assert "I live in Rome." in await answers(path)
        path.reopen()


async def test_a_transcript_is_forgotten_with_its_scope(path: MemoryPath) -> None:
    """The raw words are the most personal ones."""
    transcript = Mem0ChatMessageHistory(path.memory, session_id="1", scope=path.scope)
    said = [HumanMessage(HOME), AIMessage("Noted.")]
    await transcript.aadd_messages(said)
    assert [message.text for message in await transcript.aget_messages()] == [HOME, "Noted."]
    erased = await path.forget()
    assert erased.transcript == 2
    assert await transcript.aget_messages() == []


async def say_and_forget(path: LivingPath) -> None:
    path.passing = True
    for text in (HOME, DRINK):
        await path.say(text)
    await path.flush()
    path.told.set()
    path.passing = False
    await path.forget()


async def test_a_conversation_is_forgotten_alone(path: MemoryPath) -> None:
    """One thread of many: what it says elsewhere stays."""
    first = {"thread_id": "first"}
    [home] = await path.say(HOME, metadata=first, key="home")
    [drink] = await path.say(DRINK, metadata=first)
    [work] = await path.say(WORK, metadata={"thread_id": "second"})
    await path.delete(drink.id)
    for thread in ("first", "second"):
        transcript = Mem0ChatMessageHistory(path.memory, session_id=thread, scope=path.scope)
        await transcript.aadd_messages([HumanMessage(HOME)])
    await path.flush()
    erased: ForgetResult = await path.call("forget", filters=first)
    assert (erased.memories, erased.transcript) == (1, 1)
    await path.flush()
    for _ in range(2):
        assert await path.texts() == [WORK]
        assert {text for text in await answers(path) if "Oslo" in text or "tea" in text} == set()
        if path.way.store != "platform":
            for memory in (home, drink):
                with pytest.raises(MemoryNotFoundError):
                    await path.history(memory.id)
        assert [change.new_text for change in await path.history(work.id)] == [WORK]
        path.reopen()
    transcript = Mem0ChatMessageHistory(path.memory, session_id="second", scope=path.scope)
    assert [message.text for message in await transcript.aget_messages()] == [HOME]
    if path.way.store != "platform":
        # Its key may come again; the Platform's own outlives memories that are deleted one by one.
        assert [memory.text for memory in await path.say(HOME, key="home")] == [HOME]


async def test_what_is_queued_of_a_conversation_is_forgotten_with_it(path: MemoryPath) -> None:
    """It would arrive afterwards."""
    path.options["retry"] = RetryPolicy(attempts=8, base=PATIENCE, cap=PATIENCE)
    path.memory  # noqa: B018
    path.parts.embedder.stumble(1_000)
    said = {HOME: "first", DRINK: "second"}
    for text, thread in said.items():
        await path.call("remember", text, metadata={"thread_id": thread}, background=True)
    erased: ForgetResult = await path.call("forget", filters={"thread_id": "first"})
    assert erased.writes == 1
    path.parts.embedder.stumble(0)
    path.options.clear()
    path.reopen()
    if path.way.store != "platform":
        await path.flush()
        assert await path.texts() == [DRINK]


@pytest.mark.timeout(300)
@ways(beside_a_graph)
async def test_a_process_that_dies_while_it_forgets_has_forgotten(path: MemoryPath) -> None:
    """Nobody asks again: who asked was told nothing, and the memories are gone already."""
    path.dies(say_and_forget, "graph")
    await path.flush()
    assert await answers(path) == []


@pytest.mark.timeout(300)
@ways(lambda way: way.store != "platform" and way.stumbles is None)
async def test_a_process_that_dies_before_it_erases_has_forgotten(path: MemoryPath) -> None:
    """To forget is a promise from when it was asked for."""
    path.dies(say_and_forget, "rows")
    await path.flush()
    assert await answers(path) == []
    assert path.memory.outbox_counts() == OutboxCounts()


@ways(beside_a_graph)
async def test_a_graph_that_is_down_is_forgotten_when_it_is_back(path: MemoryPath) -> None:
    """What was erased is said, and what was not; nothing else waits for it."""
    await path.say(HOME)
    await path.flush()
    path.parts.graph.stumble(1_000_000)
    with pytest.raises(BackendError, match="graph"):
        await path.forget()
    assert await path.texts() == []
    assert [memory.text for memory in await path.say(DRINK)] == [DRINK]
    path.parts.graph.stumble(0)
    await path.flush()
    path.reopen()
    await path.flush()
    assert [text for text in await answers(path) if "Oslo" in text] == []
    assert await path.texts() == [DRINK]
