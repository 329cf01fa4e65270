"""What stands in the place of CrewAI's memory engine: Mem0 extracts, ranks and keeps."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from crewai.memory.types import MemoryMatch, MemoryRecord

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.arguments import MAX_LIMIT, OnError, check_timeout
from mem0_integrations.crewai.criteria import recall_filters, selects
from mem0_integrations.crewai.records import (
    RECORD,
    UserId,
    is_crew_memory,
    metadata_of,
    record_of,
    scope_of_user,
)
from mem0_integrations.errors import NOT_ACCEPTED, BackendError
from mem0_integrations.options import checked_search
from mem0_integrations.recall.rendering import facts_of_memories
from mem0_integrations.scope import Scope
from mem0_integrations.values import storable

__all__ = ["MAX_EXPLANATION", "NOT_SAVED", "Mem0Engine", "RawText", "messages_of"]

NOT_SAVED: Final = (BackendError, *NOT_ACCEPTED)
# Among so many is looked for what says the same.
_NEAREST: Final = 5
# The key of the metadata that shows what a graph adds.
_FACTS: Final = "relations"
_LEAST_SECONDS: Final = 0.001
MAX_EXPLANATION: Final = 10_000
"""Characters of a task, which may hold whole documents and only explains its result."""


class RawText(str):
    """A text of which what is worth keeping has still to be extracted."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Mem0Engine:
    """Saves and searches the memories of the current user; see `Mem0CrewMemory`.

    Raises:
        InvalidInputError: An argument is malformed.
    """

    memory: AgentMemory
    user_id: UserId
    shared: bool
    infer: bool
    threshold: float | None
    timeout: float | None
    save_timeout: float
    on_error: OnError | None

    def __post_init__(self) -> None:
        checked_search(threshold=self.threshold, timeout=self.timeout, on_error=self.on_error)
        check_timeout("save_timeout", self.save_timeout)

    @property
    def scope(self) -> Scope:
        """Whose memories these are now."""
        return scope_of_user(self.user_id)

    @property
    def raises(self) -> bool:
        """Whether a failure of memory is raised."""
        return (self.on_error or self.memory.on_error) == "raise"

    def save(self, scope: Scope, contents: Sequence[str], like: MemoryRecord) -> list[MemoryRecord]:
        """Store texts one after the other, each of which is known afterwards or was before.

        Of a `RawText`, what is worth keeping is stored.

        Returns:
            What is stored, like a record. What is still under way is missing.

        Raises:
            NotSerializableError: The metadata is not JSON; nothing was stored.
            BackendError: A write failed, the first of those that did; the others were carried out.
        """
        metadata = metadata_of(like, named=False)
        deadline = time.monotonic() + self.save_timeout
        saved: list[MemoryRecord] = []
        failures: list[Exception] = []
        for content in contents:
            raw, text = isinstance(content, RawText), storable(content)
            infer = raw and self.infer
            if not raw and (known := self._known(scope, text, metadata, _left(deadline))):
                saved.append(known)
                continue
            try:
                result = self.memory.remember(
                    messages_of(text) if infer else text,
                    scope=scope,
                    infer=infer,
                    metadata=metadata,
                    timeout=_left(deadline),
                    on_error="raise",
                )
            except NOT_SAVED as error:
                failures.append(error)
            else:
                saved += map(record_of, result.memories)
        if failures:
            raise failures[0]
        return saved

    def search(
        self,
        query: str,
        *,
        prefix: str | None,
        categories: Sequence[str] | None,
        limit: int,
        source: str | None,
        include_private: bool,
    ) -> tuple[list[MemoryMatch], str | None]:
        """Return the matches in Mem0's order, and the reason if memory failed.

        Raises:
            ScopeError: There is no user.
            BackendError: Memory could not be read, and failures are raised.
        """
        scope = self.scope
        if limit <= 0 or not query.strip():
            return [], None
        recall = self.memory.recall(
            query,
            scope=scope,
            limit=min(limit, MAX_LIMIT),
            threshold=self.threshold,
            filters=recall_filters(
                prefix,
                categories=categories,
                source=source,
                include_private=include_private,
                shared=self.shared,
            ),
            timeout=self.timeout,
            on_error=self.on_error,
        )
        passes = selects(scope_prefix=prefix, categories=categories)
        facts = facts_of_memories(recall)
        matches = [
            MemoryMatch(
                record=_with(record, facts.get(memory.id)),
                score=memory.score or 0.0,
                match_reasons=["semantic"],
            )
            for memory in recall.memories
            if (self.shared or is_crew_memory(memory))
            and passes(record := record_of(memory, prefix or "/"))
            and (
                not record.private
                or include_private
                or (source is not None and record.source == source)
            )
        ]
        return matches, recall.degraded

    def _known(
        self, scope: Scope, content: str, metadata: Mapping[str, object], left: float
    ) -> MemoryRecord | None:
        """Return the record that says just the same, if there is one."""
        if not content.strip():
            return None
        found = self.memory.recall(
            content,
            scope=scope,
            limit=_NEAREST,
            # All but the times.
            filters={RECORD: metadata[RECORD]},
            timeout=min(left, self.timeout or self.memory.recall_timeout),
            on_error="degrade",
        )
        alike = (memory for memory in found.memories if memory.text == content.strip())
        return next(map(record_of, alike), None)


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
        task = raw.removesuffix(f"\nResult: {parts[-1]}")[:MAX_EXPLANATION]
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


def _with(record: MemoryRecord, facts: list[str] | None) -> MemoryRecord:
    # CrewAI shows the metadata of what is recalled to its agents.
    return (
        record.model_copy(update={"metadata": {**record.metadata, _FACTS: facts}})
        if facts
        else record
    )


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), _LEAST_SECONDS)
