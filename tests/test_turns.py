"""A turn becomes a write, whichever framework it comes from."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from mem0_integrations import AgentMemory, ScopeError
from mem0_integrations.messages import new_turn
from mem0_integrations.turns import Run, TurnWriter

SAID = ({"role": "user", "content": "I like tea."}, {"role": "assistant", "content": "Noted."})
THREAD = uuid.UUID("4b82958d-4d49-42b3-8319-842ae8a375cb")


@pytest.mark.parametrize(
    ("configurable", "given", "expected"),
    [
        ({}, None, None),
        ({"thread_id": 7}, None, "7"),
        ({"thread_id": THREAD, "session_id": "s"}, None, str(THREAD)),
        ({"session_id": "s"}, None, "s"),
        ({"thread_id": "t"}, "own", "own"),
    ],
)
def test_a_thread_is_text_wherever_it_is_named(
    shared: AgentMemory, configurable: dict[str, object], given: str | None, expected: str | None
) -> None:
    """Applications number their threads, or use UUIDs, which metadata cannot hold."""
    config = {"configurable": {"user_id": "u", **configurable}}
    assert Run.of(config, None, shared, thread_id=given).thread_id == expected


def test_a_run_belongs_to_somebody(shared: AgentMemory) -> None:
    """There is no default user."""
    with pytest.raises(ScopeError):
        Run.of({"configurable": {"thread_id": "1"}}, None, shared)


@pytest.mark.parametrize(("whole", "times"), [(True, 1), (False, 2)])
async def test_what_a_turn_without_ids_is_known_by(
    shared: AgentMemory, user: str, *, whole: bool, times: int
) -> None:
    """In a whole conversation by its position; else who says the same twice has said it twice."""
    events: list[Any] = []
    run = Run.of({"configurable": {"user_id": user, "thread_id": "1"}}, None, shared)
    run = Run(run.scope, run.thread_id, emit=events.append)
    writer = TurnWriter(memory=shared, infer=False, metadata=None, background=False, whole=whole)
    assert writer.remember(run, SAID)
    assert await writer.aremember(run, SAID)
    stored = [event["status"] for event in events].count("stored")
    assert stored == times
    for memory in shared.list(scope=run.scope):
        assert memory.metadata["thread_id"] == "1"
        assert ("message_id" in memory.metadata) is whole


async def test_a_turn_is_written_as_it_is(shared: AgentMemory, user: str) -> None:
    """A framework that knows its turns need not hand over a conversation."""
    turn = new_turn([{**SAID[0], "id": "m1"}, SAID[1]])
    run = Run.of({"configurable": {"user_id": user}}, None, shared)
    writer = TurnWriter(memory=shared, infer=False, metadata={"a": 1}, background=False)
    assert turn is not None
    assert writer.remember(run, turn)
    assert await writer.aremember(run, turn)
    found = shared.list(scope=run.scope)
    assert {memory.text for memory in found} == {"I like tea.", "Noted."}
    assert [memory.metadata["message_id"] for memory in found] == ["m1", "m1"]
    assert [memory.metadata["a"] for memory in found] == [1, 1]
