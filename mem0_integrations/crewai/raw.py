"""What CrewAI hands over to be extracted, as Mem0's messages. Pure."""

from __future__ import annotations

__all__ = ["RawText", "messages_of"]


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
    head, _, result = raw.partition("\nResult: ")
    # An agent without native tool calls writes its thoughts before the answer.
    result = result.rpartition("Final Answer:")[2]
    if result.strip() and head.startswith("Task: ") and "\nExpected result: " in head:
        return [("assistant", head), ("user", result)]
    said, _, agent = head.rpartition("\nAgent: ")
    if agent and said.startswith("Input: "):
        return [("user", said.removeprefix("Input: ")), ("assistant", result)]
    return [("user", raw)]
