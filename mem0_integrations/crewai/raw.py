"""What CrewAI hands over to be extracted, as Mem0's messages. Pure."""

from __future__ import annotations

from typing import Final

__all__ = ["MOST_EXPLANATION", "RawText", "messages_of"]

# Characters of a task, which may hold whole documents and only explains its result.
MOST_EXPLANATION: Final = 10_000


class RawText(str):
    """A text of which what is worth keeping has still to be extracted."""

    __slots__ = ()


def messages_of(raw: str) -> list[tuple[str, str]]:
    r"""Return a raw text as messages, (role, text), so that Mem0 learns from what matters in it.

    A finished task: its result is what is learned, and the task only explains it. A kickoff of
    one agent: what the user said, and what the agent answered. Of anything else, all is learned.

    Example:
        >>> messages_of("Input: I like tea.\nAgent: Waiter\nResult: Noted.")
        [('user', 'I like tea.'), ('assistant', 'Noted.')]
    """
    # An agent without native tool calls writes its thoughts before the answer.
    if parts := _split(raw, "Task: ", "\nAgent: ", "\nExpected result: ", "\nResult: "):
        answer = parts[-1].rpartition("Final Answer:")[2]
        task = raw.removesuffix(f"\nResult: {parts[-1]}")[:MOST_EXPLANATION]
        return [("assistant", task), ("user", answer)] if answer.strip() else [("user", raw)]
    if parts := _split(raw, "Input: ", "\nAgent: ", "\nResult: "):
        return [("user", parts[0]), ("assistant", parts[-1].rpartition("Final Answer:")[2])]
    return [("user", raw)]


def _split(text: str, start: str, *marks: str) -> list[str]:
    """Return what lies between the marks, each at its first place; nothing if one is missing."""
    if not text.startswith(start):
        return []
    parts, rest = [], text.removeprefix(start)
    for mark in marks:
        part, found, rest = rest.partition(mark)
        if not found:
            return []
        parts.append(part)
    return [*parts, rest]
