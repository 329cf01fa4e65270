"""What the user has said in a thread, and what of it is not in memory yet. Pure.

`Mem0Middleware` keeps this in the state of the agent, so that it survives interrupts, failed
runs and replays. What is new is told by a watermark, the last message that was heard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

from langchain_core.messages import BaseMessage, HumanMessage

from mem0_integrations.messages import is_of_user, is_summary, turns
from mem0_integrations.scope import Scope

__all__ = [
    "NOTHING_HEARD",
    "ThreadState",
    "has_heard",
    "hear",
    "last_turn",
    "messages_of",
    "unsaved_turns",
    "with_unsaved",
]


class Said(TypedDict):
    """A message of the user."""

    id: str
    text: str


class Unsaved(Said):
    """A message of the user, and whose it is: a thread may change hands, words do not."""

    scope: dict[str, str]


class ThreadState(TypedDict):
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


NOTHING_HEARD: Final = ThreadState(heard=None, unsaved=[], memories="", recalled=None)


def messages_of(state: Mapping[str, Any]) -> list[BaseMessage]:
    """Return the messages of an agent's state, each with an id."""
    # A custom reducer may leave some without.
    return [
        message if message.id else message.model_copy(update={"id": f"position {position}"})
        for position, message in enumerate(state["messages"])
    ]


def has_heard(thread: ThreadState, messages: Sequence[BaseMessage]) -> bool:
    """Tell whether the user has said nothing new."""
    last = next(filter(is_of_user, reversed(messages)), None)
    return last is None or _said(last) == thread["heard"]


def hear(thread: ThreadState, messages: Sequence[BaseMessage], scope: Scope) -> ThreadState:
    """Note what the user has said since, as something to be saved in this scope."""
    if has_heard(thread, messages):
        return thread
    new = [_said(message) for message in _since(thread["heard"], messages) if is_of_user(message)]
    ids = {words["id"] for words in new}
    others = [words for words in thread["unsaved"] if words["id"] not in ids]
    unsaved = [*others, *(Unsaved(**words, scope=scope.ids) for words in new)]
    return ThreadState(heard=new[-1], unsaved=unsaved, memories="", recalled=None)


def last_turn(messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """Return the user's last messages and what follows; empty if the user sent none."""
    start = len(messages)
    # From the end: to parse a long conversation would hold up the event loop.
    for position in reversed(range(len(messages))):
        if is_of_user(messages[position]):
            start = position
        elif start < len(messages):
            break
    return messages[start:]


def unsaved_turns(
    thread: ThreadState, messages: Sequence[BaseMessage], scope: Scope
) -> list[list[BaseMessage]]:
    """Return the turns of a scope that are not in memory yet, oldest first."""
    unsaved = {words["id"]: words for words in thread["unsaved"] if words["scope"] == scope.ids}
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


def with_unsaved(
    thread: ThreadState, scope: Scope, left: Sequence[Sequence[BaseMessage]]
) -> ThreadState:
    """Keep, of the messages of a scope that are not in memory yet, only those of some turns."""
    ids = {message.id for turn in left for message in turn}
    unsaved = [
        words for words in thread["unsaved"] if words["scope"] != scope.ids or words["id"] in ids
    ]
    return {**thread, "unsaved": unsaved}


def _since(heard: Said | None, messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """Return what follows the message that was heard last."""
    if heard is not None:
        for position in reversed(range(len(messages))):
            message = messages[position]
            if message.id == heard["id"] and is_of_user(message) and _said(message) == heard:
                return messages[position + 1 :]
    # In the first run of a thread, what lies before the last turn is not ours; nor is it when
    # the message that was heard last was edited, or removed.
    return last_turn(messages)


def _said(message: BaseMessage) -> Said:
    return Said(id=str(message.id), text=str(message.text))
