"""The exact transcript of a session, as LangChain's chat message history."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict
from langchain_core.runnables import ensure_config
from pydantic_core import to_jsonable_python

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.errors import InvalidInputError, InvalidMessageError
from mem0_integrations.records import Document
from mem0_integrations.scope import Scope, ScopeLike
from mem0_integrations.values import is_text

__all__ = ["Mem0ChatMessageHistory"]

logger = logging.getLogger(__name__)


class Mem0ChatMessageHistory(BaseChatMessageHistory):
    """Keeps every message of a session in Mem0's vector store, exactly and in order.

    It is the transcript, not a recall: messages come back as they were added, oldest first, with
    their type, id, name, tool calls, content blocks, metadata and usage. They are never recalled
    or learned from, and `AgentMemory.forget` of the scope erases them. Several objects, threads
    and processes may write to one session: messages that were added together stay together.

    `RunnableWithMessageHistory` reads the messages again at the end of a run and counts them, to
    tell the new ones. In a run it is therefore shown what was there when the run began, whatever
    others write or clear meanwhile; for this, open a new object for each run, as it asks. It
    swallows exceptions when it saves: a failure is logged as an error, without the messages, and
    given to `on_failure` with them.

    Args:
        memory: The memory; it stays open.
        session_id: The session. Sessions of different scopes never meet.
        scope: Whose transcript; by default the scope of `connect`, or `run_id=session_id`, which
            keeps sessions apart, but not users who can choose a session's id.
        on_failure: Called with the messages that were not stored, and the error, before it is
            raised.

    Raises:
        InvalidInputError: `session_id` is not a text.
        ScopeError: The scope is malformed, or has only an `app_id` where Mem0 needs more.

    Example:
        >>> from mem0_integrations import connect
        >>> from mem0_integrations.langchain import Mem0ChatMessageHistory
        >>> with connect() as memory:
        ...     history = Mem0ChatMessageHistory(memory, session_id="1", scope={"user_id": "u"})
        ...     history.add_user_message("Hello")
        ...     history.add_ai_message("Hi there!")
        ...     [message.text for message in history.messages]
        ['Hello', 'Hi there!']
    """

    def __init__(
        self,
        memory: AgentMemory,
        *,
        session_id: str,
        scope: ScopeLike | None = None,
        on_failure: Callable[[list[BaseMessage], Exception], None] | None = None,
    ) -> None:
        if not (is_text(session_id) and session_id.strip()):
            raise InvalidInputError(f"session_id must be a non-empty string, not {session_id!r}.")
        if scope is None:
            scope = memory.default_scope or Scope(run_id=session_id)
        self._scope = memory.scope_of(scope)
        self._path = (json.dumps(self._scope.ids), session_id)
        self._memory = memory
        self._documents = memory.documents("message")
        self._on_failure = on_failure
        self._last_seen = 0
        self._shown: list[BaseMessage] | None = None

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]  # the base has an attribute
        """The messages, oldest first; read anew each time, but once in a run.

        Raises:
            BackendError: They could not be read.
        """
        return self._read(in_run=self._is_in_run())

    async def aget_messages(self) -> list[BaseMessage]:
        """Async twin of `messages`."""
        return await self._memory.in_thread(partial(self._read, in_run=self._is_in_run()))

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append messages, all of them or none.

        A value that is not JSON, in a tool's artifact for example, is kept as JSON: a date as text,
        a tuple as a list. Adding a message again adds it again.

        Args:
            messages: The messages, oldest first.

        Raises:
            InvalidMessageError: One is not a message that could be read back.
            BackendError: They were not stored.
        """
        with self._reported(messages):
            self._append(messages)

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Async twin of `add_messages`."""
        with self._reported(messages):
            await self._memory.in_thread(partial(self._append, messages))

    def clear(self) -> None:
        """Delete the messages of the session.

        Raises:
            BackendError: They were not deleted.
        """
        self._erase(in_run=self._is_in_run())

    async def aclear(self) -> None:
        """Async twin of `clear`."""
        await self._memory.in_thread(partial(self._erase, in_run=self._is_in_run()))

    def _is_in_run(self) -> bool:
        """Tell whether a `RunnableWithMessageHistory` is in a run with this object."""
        return ensure_config()["configurable"].get("message_history") is self

    def _read(self, *, in_run: bool) -> list[BaseMessage]:
        if in_run and self._shown is not None:
            return self._shown.copy()
        documents = sorted(self._listed(), key=lambda document: document.key)
        if documents:
            # What is added after this was read comes after it, whatever the clock says.
            self._last_seen = max(self._last_seen, int(documents[-1].key.partition("-")[0]))
        messages = messages_from_dict([dict(document.value) for document in documents])
        if in_run:
            self._shown = messages.copy()
        return messages

    def _append(self, messages: Sequence[BaseMessage]) -> None:
        values = [_value_of(message) for message in messages]
        time, writer, now = _next_time(self._last_seen), uuid.uuid4().hex, datetime.now(UTC)
        # A run adds once, at its end.
        self._shown = None
        new = [
            Document(
                path=self._path,
                # Sorts by time, and what was added together stays together.
                key=f"{time:020}-{writer}-{number:08}",
                value=value,
                scope=self._scope,
                created_at=now,
                updated_at=now,
            )
            for number, value in enumerate(values)
        ]
        self._documents.ask(lambda documents: documents.put(new), scopes=[self._scope])

    def _erase(self, *, in_run: bool) -> None:
        if not in_run:
            self._shown = None
        doomed = [document.address for document in self._listed()]
        self._documents.ask(lambda documents: documents.delete(doomed))

    def _listed(self) -> list[Document]:
        return self._documents.ask(lambda documents: documents.list(self._path))

    @contextmanager
    def _reported(self, messages: Sequence[BaseMessage]) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            logger.error(
                "%d messages of a transcript were not stored: %s.",
                len(messages),
                type(error).__name__,
            )
            if self._on_failure is not None:
                self._on_failure(list(messages), error)
            raise


_clock = threading.Lock()
_last_time = 0


def _next_time(after: int) -> int:
    """Return a time in nanoseconds that is later than `after`, and than any that was returned."""
    global _last_time  # noqa: PLW0603
    with _clock:
        _last_time = max(time.time_ns(), _last_time + 1, after + 1)
        return _last_time


def _value_of(message: BaseMessage) -> dict[str, object]:
    try:
        value: dict[str, object] = to_jsonable_python(
            message_to_dict(message), bytes_mode="base64", inf_nan_mode="constants", fallback=str
        )
        messages_from_dict([value])
    except Exception as error:
        raise InvalidMessageError(
            f"A transcript holds LangChain messages; a {type(message).__name__} cannot be kept: "
            f"{type(error).__name__}: {error}"
        ) from error
    return value
