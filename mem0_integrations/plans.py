"""Plans: generators that ask for one thing after the other, whoever answers, sync or async. Pure.

A plan decides what to ask and what to make of the answers; it does no I/O itself. `run` and `arun`
carry it out with a function that does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import TypeAlias, TypeVar

__all__ = ["Plan", "arun", "run"]

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")
T = TypeVar("T")

Plan: TypeAlias = Generator[Ask, Answer, T]
"""Yields what it asks for, is sent the answer or thrown the error, and returns a result."""


def run(plan: Plan[Ask, Answer, T], ask: Callable[[Ask], Answer]) -> T:
    """Carry out a plan and return its result.

    Args:
        plan: The plan, not yet begun.
        ask: Returns the answer to what the plan asks for. An error of its own is raised in the
            plan, which may go on.

    Raises:
        Exception: What the plan raises, or does not catch.

    Example:
        >>> def total(names):
        ...     count = 0
        ...     for name in names:
        ...         count += yield name
        ...     return count
        >>> run(total(["tea", "coffee"]), len)
        9
    """
    step: Callable[[], Ask] = partial(next, plan)
    try:
        while True:
            asked = step()
            try:
                step = partial(plan.send, ask(asked))
            except Exception as error:
                step = partial(plan.throw, error)
    except StopIteration as end:
        result: T = end.value
        return result


async def arun(plan: Plan[Ask, Answer, T], ask: Callable[[Ask], Awaitable[Answer]]) -> T:
    """Async twin of `run`."""
    step: Callable[[], Ask] = partial(next, plan)
    try:
        while True:
            asked = step()
            try:
                step = partial(plan.send, await ask(asked))
            except Exception as error:
                step = partial(plan.throw, error)
    except StopIteration as end:
        result: T = end.value
        return result
