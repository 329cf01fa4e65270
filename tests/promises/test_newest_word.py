"""The newest word about a thing is believed; what was said at a time is found by that time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.paths import MemoryPath, Way, ways

OSLO, BERGEN = "I live in Oslo.", "I live in Bergen."
QUESTION = "Where do I live?"
JANUARY, MARCH, JUNE, AUGUST = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 3, 6, 8))


def beside_a_graph(way: Way) -> bool:
    return way.follower == "graph"


async def believed(path: MemoryPath, as_of: datetime | None = None) -> list[str]:
    found = await path.recall(QUESTION, as_of=as_of)
    assert found.degraded is None
    return [memory.text for memory in found.memories]


async def homes(path: MemoryPath, as_of: datetime | None = None) -> list[str]:
    """Return where the graph says that the user lives."""
    await path.flush()
    facts = path.memory.graph.relations(scope=path.scope, as_of=as_of)
    return [fact.target for fact in facts if fact.relationship == "lives_in"]


async def test_what_was_said_last_comes_first(path: MemoryPath) -> None:
    """People move."""
    await path.say(OSLO, created_at=JANUARY)
    await path.say(BERGEN, created_at=JUNE)
    assert await believed(path) == [BERGEN, OSLO]


async def test_what_becomes_true_again_comes_first(path: MemoryPath) -> None:
    """People move back, and say it in the same words."""
    await path.say(OSLO, created_at=JANUARY)
    await path.say(BERGEN, created_at=MARCH)
    await path.say(OSLO, created_at=JUNE)
    assert (await believed(path))[0] == OSLO


async def test_what_is_told_late_is_not_the_newest(path: MemoryPath) -> None:
    """An import brings old conversations after the new ones."""
    await path.say(BERGEN, created_at=JUNE)
    await path.say(OSLO, created_at=JANUARY)
    assert (await believed(path))[0] == BERGEN


async def test_a_time_knows_only_what_was_said_by_then(path: MemoryPath) -> None:
    """What did the agent know when it answered?"""
    await path.say(OSLO, created_at=JANUARY)
    await path.say(BERGEN, created_at=JUNE)
    assert await believed(path, as_of=JANUARY - timedelta(days=1)) == []
    assert await believed(path, as_of=MARCH) == [OSLO]
    assert await believed(path, as_of=AUGUST) == [BERGEN, OSLO]


async def test_a_time_knows_a_text_as_it_was_then(path: MemoryPath) -> None:
    """A memory that was changed said something else before."""
    [home] = await path.say(OSLO, created_at=JANUARY)
    await path.update(home.id, text=BERGEN)
    assert await believed(path) == [BERGEN]
    assert await believed(path, as_of=MARCH) == [OSLO]


async def test_what_is_said_again_is_found_by_its_own_time(path: MemoryPath) -> None:
    """A diary repeats itself."""
    await path.say("I took my pill.", created_at=JANUARY)
    await path.say("I took my pill.", created_at=JUNE)
    said = {memory.created_at for memory in await path.list()}
    assert said == {JANUARY, JUNE}


async def test_what_is_said_again_is_found_by_its_own_metadata(path: MemoryPath) -> None:
    """The same words about another order."""
    await path.say("The kettle leaks.", metadata={"ticket": "T1"})
    await path.say("The kettle leaks.", metadata={"ticket": "T2"})
    found = await path.recall("The kettle leaks.", filters={"ticket": "T2"})
    assert [memory.text for memory in found.memories] == ["The kettle leaks."]


@ways(beside_a_graph)
async def test_the_graph_believes_what_was_said_last(path: MemoryPath) -> None:
    """And knows what it was before."""
    await path.say(OSLO, created_at=JANUARY)
    await path.say(BERGEN, created_at=JUNE)
    assert await homes(path) == ["Bergen"]
    assert await homes(path, as_of=MARCH) == ["Oslo"]


@ways(beside_a_graph)
async def test_the_graph_believes_what_becomes_true_again(path: MemoryPath) -> None:
    """People move back."""
    await path.say(OSLO, created_at=JANUARY)
    await path.say(BERGEN, created_at=MARCH)
    await path.say(OSLO, created_at=JUNE)
    assert await homes(path) == ["Oslo"]


@ways(beside_a_graph)
async def test_a_corrected_memory_does_not_become_the_present(path: MemoryPath) -> None:
    """A mistake in writing is mended years later."""
    [home] = await path.say("I live in Olso.", created_at=JANUARY)
    await path.say(BERGEN, created_at=JUNE)
    await path.flush()
    await path.update(home.id, text=OSLO)
    assert await homes(path) == ["Bergen"]
    assert await homes(path, as_of=MARCH) == ["Oslo"]


@ways(beside_a_graph)
async def test_a_graph_that_is_made_again_says_the_same(path: MemoryPath) -> None:
    """It is a function of the memories."""
    [home] = await path.say("I live in Olso.", created_at=JANUARY)
    await path.say(BERGEN, created_at=JUNE)
    # What is changed before the graph has looked is as it was said first.
    await path.flush()
    await path.update(home.id, text="I live in Olso!")
    followed = await homes(path), await homes(path, as_of=MARCH)
    await path.call("rebuild_graph")
    assert (await homes(path), await homes(path, as_of=MARCH)) == followed
