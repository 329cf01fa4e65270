"""Changes that meet: none is lost, and none fails because another one was quicker.

One change is held before each of its steps in turn, while the other goes on as far as it can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import pytest

from mem0_integrations import Memory, MemoryNotFoundError
from mem0_integrations.langgraph import Mem0Store
from tests.paths import MemoryPath, ways
from tests.switches import PATIENCE, Gate

pytestmark = pytest.mark.timeout(300)

HOME, MOVED = "I live in Oslo.", "I live in Rome."
TEMPLATE: Final = ("memories", "{user_id}")
# More than any change has.
STEPS: Final = range(7)

ChangeOf: TypeAlias = Callable[[MemoryPath, Memory], Awaitable[object]]

each_store = ways(lambda way: not way.has_model)
with_vectors = ways(lambda way: not way.has_model and way.store != "platform")


async def says(path: MemoryPath, memory: Memory) -> None:
    await path.update(memory.id, text=MOVED)


async def has(path: MemoryPath, memory: Memory) -> None:
    await path.update(memory.id, metadata={"mood": "glad"})


async def deletes(path: MemoryPath, memory: Memory) -> None:
    await path.delete(memory.id)


async def puts(path: MemoryPath, memory: Memory) -> None:
    store = Mem0Store(path.memory, memories=TEMPLATE)
    place = ("memories", str(path.scope.user_id))
    await store.aput(place, memory.id, {"memory": MOVED, "mood": "glad"})


async def amends(path: MemoryPath, memory: Memory) -> None:
    """As a crew does that notes when a record was read."""
    vectors, glad = path.memory.vectors(), {memory.id: {"mood": "glad"}}
    await path.memory.in_thread(lambda: vectors.ask(lambda here: here.amend(path.scope, glad)))


async def outcomes(path: MemoryPath, step: int, held: ChangeOf, other: ChangeOf) -> list[Any]:
    """Return how two changes of a memory end, the first of which is held before one of its steps.

    Returns:
        The memory, and what each change raised, or None.
    """
    [memory] = await path.say(HOME, key=f"{step}")
    await path.flush()
    gate = Gate(step)
    path.parts.rows.hook = gate
    first = asyncio.ensure_future(held(path, memory))
    reached = asyncio.ensure_future(asyncio.to_thread(gate.reached.wait, PATIENCE))
    await asyncio.wait([first, reached], return_when=asyncio.FIRST_COMPLETED)
    second = asyncio.ensure_future(other(path, memory))
    # It may have to wait until the first is over: then nothing tells that it is waiting.
    await asyncio.wait([second], timeout=0.2)
    gate.opened.set()
    gate.reached.set()
    ended = await asyncio.gather(first, second, return_exceptions=True)
    await reached
    path.parts.rows.hook = lambda: None
    return [memory, *ended]


@each_store
@pytest.mark.parametrize(("held", "other"), [(says, has), (has, says)])
async def test_neither_of_a_text_and_metadata_is_lost(
    path: MemoryPath, held: ChangeOf, other: ChangeOf
) -> None:
    for step in STEPS:
        memory, *ended = await outcomes(path, step, held, other)
        assert ended == [None, None]
        changed = await path.get(memory.id)
        assert changed is not None
        assert (changed.text, changed.metadata.get("mood")) == (MOVED, "glad"), step
        assert [entry.new_text for entry in await path.history(memory.id)][-1] == MOVED
        await path.forget()


@each_store
async def test_none_of_ten_keys_is_lost(path: MemoryPath) -> None:
    [memory] = await path.say(HOME)
    keys = {f"key_{number}": number for number in range(10)}
    gate = Gate(1)
    path.parts.rows.hook = gate
    changing = [
        asyncio.ensure_future(path.update(memory.id, metadata={key: number}))
        for key, number in keys.items()
    ]
    assert await asyncio.to_thread(gate.reached.wait, PATIENCE)
    await asyncio.wait(changing, timeout=0.2)
    gate.opened.set()
    await asyncio.gather(*changing)
    changed = await path.get(memory.id)
    assert changed is not None
    assert keys.items() <= changed.metadata.items()


@each_store
@pytest.mark.parametrize(
    ("held", "other"),
    [(deletes, deletes), (says, deletes), (deletes, says), (has, deletes), (deletes, has)],
)
async def test_what_is_deleted_beside_another_change_is_gone(
    path: MemoryPath, held: ChangeOf, other: ChangeOf
) -> None:
    for step in STEPS:
        memory, *ended = await outcomes(path, step, held, other)
        assert None in ended
        assert all(each is None or isinstance(each, MemoryNotFoundError) for each in ended), ended
        assert await path.get(memory.id) is None
        assert await path.texts() == []
        await path.forget()


@each_store
@pytest.mark.parametrize(("held", "other"), [(puts, deletes), (deletes, puts)])
async def test_an_item_is_put_whole_or_not_at_all(
    path: MemoryPath, held: ChangeOf, other: ChangeOf
) -> None:
    """Whichever of the two was the last."""
    for step in STEPS:
        _, *ended = await outcomes(path, step, held, other)
        assert all(each is None or isinstance(each, MemoryNotFoundError) for each in ended), ended
        assert [(each.text, each.metadata.get("mood")) for each in await path.list()] in (
            [],
            [(MOVED, "glad")],
        )
        await path.forget()


@with_vectors
@pytest.mark.parametrize(("held", "other"), [(says, amends), (amends, says)])
async def test_a_crew_loses_no_change_and_costs_none(
    path: MemoryPath, held: ChangeOf, other: ChangeOf
) -> None:
    for step in STEPS:
        memory, *ended = await outcomes(path, step, held, other)
        assert ended == [None, None]
        changed = await path.get(memory.id)
        assert changed is not None
        assert (changed.text, changed.metadata.get("mood")) == (MOVED, "glad"), step
        await path.forget()
