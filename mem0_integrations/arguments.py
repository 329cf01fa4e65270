"""From the arguments of `AgentMemory` to requests for a backend: checks, no I/O."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from threading import TIMEOUT_MAX
from typing import Final, Literal

from mem0_integrations.errors import InvalidInputError
from mem0_integrations.filters import validate_filters
from mem0_integrations.messages import (
    MessageLike,
    MessagesLike,
    is_message,
    message_key,
    query_text,
    to_mem0_messages,
)
from mem0_integrations.recall.dates import spans_of
from mem0_integrations.recall.ranking import Ranking
from mem0_integrations.records import Memory
from mem0_integrations.requests import AddRequest, SearchRequest
from mem0_integrations.scope import Scope
from mem0_integrations.values import RESERVED_METADATA, parse_time

__all__ = [
    "OnError",
    "add_request",
    "aware",
    "check_batch_size",
    "check_id",
    "check_integer",
    "check_key",
    "check_metadata",
    "check_on_error",
    "check_page",
    "check_search",
    "check_text",
    "check_timeout",
    "import_requests",
    "in_batches",
    "search_request",
]

OnError = Literal["degrade", "raise"]
MAX_LIMIT: Final = 1_000
_ROOM: Final = timedelta(days=1)


def search_request(
    query: MessagesLike,
    scope: Scope,
    *,
    limit: int,
    threshold: float | None,
    filters: Mapping[str, object] | None,
    as_of: datetime | None,
    accept: Callable[[Memory], bool] | None = None,
    repeats: bool = False,
    now: datetime,
    ranking: Ranking,
) -> SearchRequest:
    """Check the arguments of a recall.

    Raises:
        InvalidInputError: One of them is malformed.
    """
    check_search(limit, threshold, filters)
    text = query_text(query)
    as_of = None if as_of is None else aware("as_of", as_of)
    return SearchRequest(
        query=text,
        scope=scope,
        limit=limit,
        threshold=threshold,
        filters=filters,
        as_of=as_of,
        accept=accept,
        repeats=repeats,
        spans=tuple(spans_of(text, as_of or now)),
        now=as_of or now,
        ranking=ranking,
    )


def check_search(
    limit: int,
    threshold: float | None,
    filters: Mapping[str, object] | None,
    *,
    names: tuple[str, str] = ("limit", "threshold"),
) -> None:
    """Check what is the same for every recall of an adapter.

    Args:
        limit: Maximum number of memories.
        threshold: The least score.
        filters: Mem0's metadata filters.
        names: What the adapter calls the first two.

    Raises:
        InvalidInputError: One of them is malformed.
    """
    check_integer(names[0], limit, 1, MAX_LIMIT)
    if threshold is not None:
        check_score(names[1], threshold)
    validate_filters(filters)


def check_score(name: str, score: float) -> None:
    """Check how near two texts have to be.

    Raises:
        InvalidInputError: It is not a number in [0, 1].
    """
    if not (_is_number(score) and 0 <= score <= 1):
        raise InvalidInputError(f"{name} must be a score in [0, 1], not {score!r}.")


def check_timeout(name: str, timeout: float | None) -> None:
    """Check a number of seconds.

    Raises:
        InvalidInputError: It is not positive.
    """
    if timeout is not None and not (_is_number(timeout) and 0 < timeout <= TIMEOUT_MAX):
        raise InvalidInputError(f"{name} must be a positive number of seconds, not {timeout!r}.")


def check_on_error(on_error: str | None) -> None:
    """Check what a failure is to do.

    Raises:
        InvalidInputError: There is no such way of failing.
    """
    if on_error not in ("degrade", "raise", None):
        raise InvalidInputError(f"on_error must be 'degrade' or 'raise', not {on_error!r}.")


def add_request(
    messages: MessagesLike,
    scope: Scope,
    *,
    infer: bool,
    metadata: Mapping[str, object] | None,
    key: str | None,
    created_at: datetime,
    include_tool_messages: bool,
) -> AddRequest:
    """Check the arguments of a write; its `messages` are empty when nothing is worth sending.

    Raises:
        InvalidInputError: One of them is malformed.
    """
    if key is not None:
        check_key(key)
    return AddRequest(
        messages=tuple(to_mem0_messages(messages, include_tool_messages=include_tool_messages)),
        scope=scope,
        key=key if key is not None else uuid.uuid4().hex,
        created_at=aware("created_at", created_at),
        infer=infer,
        metadata=check_metadata(metadata),
    )


def import_requests(
    messages: Iterable[MessageLike],
    scope: Scope,
    *,
    infer: bool,
    metadata: Mapping[str, object] | None,
    thread_id: str | None,
    now: datetime,
) -> Iterator[AddRequest]:
    """Make one write of each message, with a key that a second import of it has too.

    Raises:
        InvalidInputError: A message or the metadata is malformed.
    """
    common = check_metadata(metadata)
    if thread_id is not None:
        common |= check_metadata({"thread_id": thread_id})
    if is_message(messages) or not isinstance(messages, Iterable):
        raise InvalidInputError(
            f"messages must be an iterable of messages, not a single "
            f"{type(messages).__name__}; use remember() for one."
        )
    last, ties = None, 0
    for position, message in enumerate(messages):
        said = _said_at(message)
        last, ties = said, ties + 1 if said == last else 0
        for converted in to_mem0_messages(message):
            given = _field(message, "id")
            yield AddRequest(
                messages=(converted,),
                scope=scope,
                key=message_key(scope, thread_id, str(given or f"position {position}"), converted),
                # One after the other, so that a listing keeps their order.
                created_at=now + timedelta(microseconds=position)
                if said is None
                else said + timedelta(microseconds=ties),
                infer=infer,
                metadata=common,
            )


def check_metadata(metadata: Mapping[str, object] | None) -> dict[str, object]:
    """Return a copy of metadata that can be stored.

    Raises:
        InvalidInputError: A key is reserved or not a string, or a value is not JSON.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise InvalidInputError(f"metadata must be a mapping, not {type(metadata).__name__}.")
    for key, value in metadata.items():
        if not isinstance(key, str):
            raise InvalidInputError(f"metadata has the key {key!r}; keys must be strings.")
        if key in RESERVED_METADATA:
            raise InvalidInputError(
                f"metadata[{key!r}] is reserved; the scope is set with scope=, the time with "
                f"created_at=. Choose another key."
            )
        try:
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
            key.encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidInputError(
                f"metadata[{key!r}] cannot be stored as JSON: {error}."
            ) from None
        if _holds_nul([key, value]):
            raise InvalidInputError(f"metadata[{key!r}] holds a NUL character; remove it.")
    copied: dict[str, object] = json.loads(json.dumps(dict(metadata)))
    return copied


def _holds_nul(value: object) -> bool:
    if isinstance(value, Mapping):
        return _holds_nul([*value, *value.values()])
    if isinstance(value, list | tuple):
        return any(map(_holds_nul, value))
    return isinstance(value, str) and "\0" in value


def check_text(text: str) -> str:
    """Return the new text of a memory.

    Raises:
        InvalidInputError: It is empty, too long, or not valid Unicode.
    """
    (message,) = to_mem0_messages(text) or (None,)
    if message is None:
        raise InvalidInputError("text is empty; delete the memory instead.")
    return message["content"]


def check_id(memory_id: object) -> None:
    """Check that something can be the id of a memory.

    Raises:
        InvalidInputError: It is not text.
    """
    _check_text("memory_id", memory_id)


def check_key(key: object) -> None:
    """Check that something can be an idempotency key.

    Raises:
        InvalidInputError: It is not text.
    """
    _check_text("key", key)


def check_batch_size(batch_size: int) -> None:
    """Check the number of messages of a batch.

    Raises:
        InvalidInputError: It is not a positive whole number.
    """
    check_integer("batch_size", batch_size, 1, None)


def check_page(limit: int, offset: int, filters: Mapping[str, object] | None) -> None:
    """Check the arguments of a listing.

    Raises:
        InvalidInputError: One of them is malformed.
    """
    check_integer("limit", limit, 1, None)
    check_integer("offset", offset, 0, None)
    validate_filters(filters)


def _check_text(name: str, text: object) -> None:
    if not isinstance(text, str) or not text:
        raise InvalidInputError(f"{name} must be a string with some text, not {text!r}.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"{name} is not valid Unicode text: {error.reason}.") from None


def check_integer(name: str, value: object, least: int, most: int | None) -> None:
    """Check a whole number.

    Raises:
        InvalidInputError: It is not an integer, or out of range.
    """
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or value < least
        or (most is not None and value > most)
    ):
        span = f"between {least} and {most:,}" if most is not None else f"at least {least}"
        raise InvalidInputError(f"{name} must be a whole number, {span}; got {value!r}.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def aware(name: str, time: datetime) -> datetime:
    """Return a time as UTC.

    Raises:
        InvalidInputError: It has no time zone, or cannot be kept.
    """
    if not isinstance(time, datetime):
        raise InvalidInputError(f"{name} must be a datetime, not {type(time).__name__}.")
    if time.tzinfo is None:
        raise InvalidInputError(f"{name} has no time zone; use datetime.now(UTC) or the like.")
    try:
        # With some room, because the statements of a turn get times of their own.
        return (time.astimezone(UTC) + _ROOM) - _ROOM
    except OverflowError:
        raise InvalidInputError(f"{name} is out of range: {time}.") from None


def _said_at(message: MessageLike) -> datetime | None:
    given = _field(message, "created_at")
    if isinstance(given, datetime):
        return aware("created_at", given)
    if given is None:
        return None
    time = parse_time(given)
    if time is None:
        raise InvalidInputError(f"created_at must be an ISO 8601 time, not {given!r}.")
    return time


def _field(message: MessageLike, name: str) -> object:
    if isinstance(message, Mapping):
        return message.get(name)
    return getattr(message, name, None)


def in_batches(requests: Iterable[AddRequest], size: int) -> Iterator[Sequence[AddRequest]]:
    """Group writes into lists of at most `size`."""
    batch: list[AddRequest] = []
    for request in requests:
        batch.append(request)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
