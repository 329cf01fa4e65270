"""The options that adapters hand on, beside the methods that take them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Unpack, get_type_hints

import pytest

from mem0_integrations import AgentMemory, InvalidInputError
from mem0_integrations.options import ImportOptions, RecallOptions, RememberOptions, checked_search


@pytest.mark.parametrize(
    ("options", "method", "twin"),
    [
        (RecallOptions, AgentMemory.recall, AgentMemory.arecall),
        (RememberOptions, AgentMemory.remember, AgentMemory.aremember),
        (ImportOptions, AgentMemory.remember_many, AgentMemory.aremember_many),
    ],
)
def test_options_are_the_keywords_of_the_methods(
    options: type[Any], method: Callable[..., object], twin: Callable[..., object]
) -> None:
    """A parameter with another name or type would be found only when somebody is failed by it."""
    parameters = inspect.signature(method).parameters.values()
    named = [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    hints = get_type_hints(method)
    assert get_type_hints(options) == {name: hints[name] for name in named}
    assert get_type_hints(twin)["options"] == Unpack[options]


async def test_a_typo_in_an_option_is_refused(shared: AgentMemory, user: str) -> None:
    """Swallowed, it would leave a scope or a limit out."""
    scope = {"user_id": user}
    with pytest.raises(TypeError, match="limti"):
        await shared.arecall("tea", scope=scope, limti=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="kye"):
        await shared.aremember("I like tea.", scope=scope, kye="1")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="batch"):
        await shared.aremember_many(["I like tea."], scope=scope, batch=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "malformed",
    [
        {"limit": 0},
        {"threshold": 2.0},
        {"filters": {"topic": {"like": "tea"}}},
        {"timeout": -1},
        {"on_error": "ignore"},
    ],
)
def test_options_are_checked_before_the_first_call(malformed: Any) -> None:
    """An adapter is built once; what is wrong shall not wait for the first user."""
    with pytest.raises(InvalidInputError, match=next(iter(malformed))):
        checked_search(**malformed)


def test_an_adapter_names_its_own_arguments() -> None:
    """A retriever has a `k`; an error about a `limit` would name what nobody has given."""
    with pytest.raises(InvalidInputError, match="k must be"):
        checked_search(("k", "score_threshold"), limit=0)
    with pytest.raises(InvalidInputError, match="score_threshold must be"):
        checked_search(("k", "score_threshold"), threshold=2)
