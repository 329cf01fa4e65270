"""What the user has said in a thread, and what of it is not in memory yet: pure functions.

`Mem0Middleware` keeps this in the state of the agent, so that it survives interrupts, failed
runs and replays. What is new is told by a watermark, the last message that was heard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

from langchain_core.messages import BaseMessage, HumanMessage

from mem0_integrations.messages import is_summary, turns
from mem0_integrations.scope import Scope

__all__ = [
    "NOTHING",
    "Kept",
    "has_heard",
    "hear",
    "last_turn",
    "messages_of",
    "unsaved_turns",
    "without_saved",
]


class Said(TypedDict):
    """A message of the user."""

    id: str
    text: str


class Unsaved(Said):
    """A message of the user, and whose it is: a thread may change hands, words do not."""

    scope: dict[str, str]


class Kept(TypedDict):
    """What is kept of a thread.

    Attributes:
        heard: The user's last message.
        unsaved: The user's messages that are not in memory yet.
        memories: What was recalled for `heard`, as text.
        recalled: Whose memories those are; None if nothing was, or could be, recalled yet.
    """

    heard: Said | None
    unsaved: list[Unsaved]
    memories: str
    recalled: dict[str, str] | None


NOTHING: Final = Kept(heard=None, unsaved=[], memories="", recalled=None)


def messages_of(state: Mapping[str, Any]) -> list[BaseMessage]:
    """Return the messages of an agent's state, each with an id."""
    # A reducer of one's own may leave some without.
    return [
        message if message.id else message.model_copy(update={"id": f"position {position}"})
        for position, message in enumerate(state["messages"])
    ]


def has_heard(kept: Kept, messages: Sequence[BaseMessage]) -> bool:
    """Tell whether the user has said nothing new."""
    last = next((said for message in reversed(messages) if (said := _said([message]))), None)
    return last is None or last == [kept["heard"]]


def hear(kept: Kept, messages: Sequence[BaseMessage], scope: Scope) -> Kept:
    """Note what the user has said since, as something to be saved in this scope."""
    if has_heard(kept, messages):
        return kept
    new = _said(_since(kept["heard"], messages))
    ids = {words["id"] for words in new}
    others = [words for words in kept["unsaved"] if words["id"] not in ids]
    unsaved = [*others, *(Unsaved(**words, scope=scope.ids) for words in new)]
    return Kept(heard=new[-1], unsaved=unsaved, memories="", recalled=None)


def last_turn(messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """Return the messages from those on that the user sent last; none if there are none."""
    start = len(messages)
    # From behind: to parse a long conversation would hold the event loop up.
    for position in reversed(range(len(messages))):
        if _said(messages[position : position + 1]):
            start = position
        elif start < len(messages):
            break
    return messages[start:]


def unsaved_turns(
    kept: Kept, messages: Sequence[BaseMessage], scope: Scope
) -> list[list[BaseMessage]]:
    """Return the turns of a scope that are not in memory yet, oldest first."""
    unsaved = {words["id"]: words for words in kept["unsaved"] if words["scope"] == scope.ids}
    there = {message.id for message in messages}
    gone = [words for key, words in unsaved.items() if key not in there]
    if gone and any(map(is_summary, messages)):
        # An agent that works for long summarises even what it was asked.
        messages = [*(HumanMessage(words["text"], id=words["id"]) for words in gone), *messages]
    found: list[list[BaseMessage]] = []
    first = next((n for n, message in enumerate(messages) if message.id in unsaved), len(messages))
    for said, answered in turns(messages[first:]):
        own = [message for message in said if message.id in unsaved]
        if own:
            found.append([*own, *answered])
    return found


def without_saved(kept: Kept, scope: Scope, left: Sequence[Sequence[BaseMessage]]) -> Kept:
    """Forget the messages of a scope that need not be saved any more: all but the `left` turns."""
    ids = {message.id for turn in left for message in turn}
    unsaved = [
        words for words in kept["unsaved"] if words["scope"] != scope.ids or words["id"] in ids
    ]
    return {**kept, "unsaved": unsaved}


def _since(heard: Said | None, messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """Return what follows the message that was heard last."""
    positions = {message.id: position for position, message in enumerate(messages)}
    position = None if heard is None else positions.get(heard["id"])
    # In the first run of a thread, what lies before the last turn is not ours; nor is it when
    # the message that was heard last was edited, or removed.
    if position is None or _said(messages[position : position + 1]) != [heard]:
        return last_turn(messages)
    return messages[position + 1 :]


def _said(messages: Sequence[BaseMessage]) -> list[Said]:
    return [
        Said(id=str(message.id), text=str(message.text))
        for said, _ in turns(messages)
        for message in said
    ]
