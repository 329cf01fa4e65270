from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mem0_integrations.plans import Plan, arun, run


def halves(number: int) -> Plan[int, int, list[int]]:
    """Ask for the half of a number until it is 1."""
    seen = [number]
    while seen[-1] > 1:
        seen.append((yield seen[-1]))
    return seen


def patient(attempts: int) -> Plan[int, str, str]:
    """Ask again while the answer is an error."""
    for attempt in range(attempts):
        try:
            return (yield attempt)
        except ConnectionError:
            continue
    return "gave up"


def both(make: Callable[[], Plan[int, Any, object]], ask: Callable[[int], object]) -> object:
    """Carry out a plan sync and async; return what both come to."""

    async def aask(asked: int) -> object:
        return ask(asked)

    found = run(make(), ask)
    assert asyncio.run(arun(make(), aask)) == found
    return found


def test_answers_are_sent_until_the_plan_returns() -> None:
    """What a plan makes of an answer decides what it asks for next."""
    assert both(lambda: halves(8), lambda number: number // 2) == [8, 4, 2, 1]
    assert both(lambda: halves(1), lambda number: number // 2) == [1]


def test_a_plan_may_go_on_after_an_error() -> None:
    """Only the plan knows which error means that there is no such memory."""

    def ask(attempt: int) -> str:
        if attempt < 2:
            raise ConnectionError
        return f"answer {attempt}"

    assert both(lambda: patient(3), ask) == "answer 2"
    assert both(lambda: patient(2), ask) == "gave up"


def test_an_error_that_no_plan_catches_reaches_the_caller() -> None:
    """Else a failure would look like a result."""

    def ask(number: int) -> int:
        raise TimeoutError(str(number))

    for carry_out in (run, lambda plan, _: asyncio.run(arun(plan, _aask))):
        with pytest.raises(TimeoutError, match="8"):
            carry_out(halves(8), ask)


async def _aask(number: int) -> int:
    raise TimeoutError(str(number))


def test_a_stop_iteration_of_the_answer_does_not_end_the_plan() -> None:
    """It would be taken for a result of None."""
    with pytest.raises(RuntimeError):
        run(halves(8), lambda _: next(iter(())))


async def test_a_plan_that_is_cancelled_asks_for_nothing_more() -> None:
    """A cancelled caller does not wait for the rest."""
    asked: list[int] = []

    async def ask(number: int) -> int:
        asked.append(number)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await arun(halves(8), ask)
    assert asked == [8]
