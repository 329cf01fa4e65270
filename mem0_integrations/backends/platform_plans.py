"""What to ask of the Mem0 Platform, and what to make of its answers. Pure.

A plan asks for calls of Mem0's client; `PlatformBackend` carries it out with a `MemoryClient` or an
`AsyncMemoryClient`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count, islice
from typing import Any, Final, TypeAlias, TypeVar

from mem0.exceptions import MemoryNotFoundError as Mem0NotFoundError

from mem0_integrations.backends.platform_dialect import (
    CREATED_FIELD,
    KEY_METADATA,
    PART_FIELD,
    PARTS_FIELD,
    ROLE_FIELD,
    all_of,
    covers,
    memory_of,
    metadata_is,
    own_only,
    scope_filter,
    scope_metadata,
)
from mem0_integrations.dialect import scope_filters
from mem0_integrations.errors import BackendError, BackendTimeoutError
from mem0_integrations.filters import compile_filters, record_of, split_equalities
from mem0_integrations.plans import Plan
from mem0_integrations.recall.versions import (
    as_of,
    changes_of,
    first_top_k,
    has_changed_since,
    newest_first,
    not_found,
)
from mem0_integrations.records import Memory, MemoryChange
from mem0_integrations.requests import AddRequest, SearchRequest
from mem0_integrations.scope import Scope
from mem0_integrations.values import is_uuid

__all__ = [
    "MOST_RESULTS",
    "Call",
    "Item",
    "Pause",
    "PlatformPlan",
    "add",
    "delete",
    "delete_many",
    "erase",
    "everything",
    "find",
    "get",
    "history",
    "list_memories",
    "search_page",
    "top_k_of",
    "update",
]

T = TypeVar("T")

Item: TypeAlias = dict[str, Any]
"""A memory as the Platform returns it."""

_PAGE: Final = 200
_BATCH: Final = 1000
MOST_RESULTS: Final = 1000
"""Maximum number of results of one search."""

_GROWTH: Final = 4
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 2.0
_EVENT_SECONDS: Final = 240.0
_ERASE_ROUNDS: Final = 12


@dataclass(frozen=True, slots=True)
class Call:
    """A call of one of the client's methods.

    Attributes:
        doing: What it does, as it follows "Mem0 could not".
        method: Its name; or `event`, which the client lacks.
        arguments: Its arguments.
        key: The idempotency key to send along.
    """

    doing: str
    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause before the next call."""

    seconds: float


PlatformPlan: TypeAlias = Plan[Call | Pause, Any, T]


def everything(filters: Mapping[str, object]) -> PlatformPlan[list[Item]]:
    """Read all pages of what a filter selects."""
    found: dict[str, Item] = {}
    for page in count(1):
        answer = yield Call(
            "list", "get_all", {"filters": filters, "page": page, "page_size": _PAGE}
        )
        found |= {item["id"]: item for item in answer["results"]}
        if len(answer["results"]) < _PAGE:
            break
    return list(found.values())


def top_k_of(request: SearchRequest) -> int:
    """Return how many results to ask for at first."""
    selective = request.filters is not None or request.as_of is not None
    return min(first_top_k(request.limit, selective=selective), MOST_RESULTS)


def search_page(
    request: SearchRequest, top_k: int, seen: set[str]
) -> PlatformPlan[tuple[list[Memory], int | None]]:
    """Search, and leave out what earlier searches with fewer results have found.

    Args:
        request: What to search for.
        top_k: How many results to ask for.
        seen: The ids that were found before; new ones are added to it.

    Returns:
        The memories of the scope, nearest first, and how many results to ask for next; None if
        asking for more finds no more.
    """
    options = {} if request.threshold is None else {"threshold": request.threshold}
    answer = yield Call(
        "search",
        "search",
        {
            "query": request.query,
            "filters": _pushed(request.scope, request.filters),
            "top_k": top_k,
            **options,
        },
    )
    results: list[Item] = answer["results"]
    new = [result for result in results if result["id"] not in seen]
    seen.update(result["id"] for result in new)
    passes = compile_filters(request.filters)
    kept: list[Memory] = []
    for memory in _covered(request.scope, new):
        known: Memory | None = memory
        if request.as_of is not None:
            changes: list[MemoryChange] = []
            if has_changed_since(memory, request.as_of):
                changes = yield from _changes(memory.id)
            known = as_of(memory, request.as_of, changes)
        if known is not None and passes(record_of(known)):
            kept.append(known)
    more = len(results) >= top_k < MOST_RESULTS
    return kept, min(top_k * _GROWTH, MOST_RESULTS) if more else None


def add(
    request: AddRequest, pending: MutableMapping[tuple[Scope, str], str]
) -> PlatformPlan[list[Memory]]:
    """Store a turn, follow its event to the end, and return the memories that it became.

    Args:
        request: The turn.
        pending: The events that have not ended yet, by scope and key, so that a repeated call
            waits for its own event.
    """
    if not request.infer:
        return (yield from _add_as_they_are(request))
    place = request.scope, request.key
    event_id = pending.get(place)
    if event_id is None:
        answer = yield _addition(request, request.messages, request.key, {})
        event_id = _unfinished(answer)
        if event_id is None:
            return _stored(request, answer.get("results") or ())
        pending[place] = event_id
    try:
        results = yield from _end_of_event(event_id)
    except BackendError as error:
        if not error.retryable:
            pending.pop(place, None)
        raise
    pending.pop(place, None)
    return _stored(request, results)


def find(scope: Scope, key: str) -> PlatformPlan[list[Memory]]:
    """Read what was stored under an idempotency key; nothing if a part of it is missing."""
    items = yield from _stored_under(scope, key)
    whole = max((_number(item, PARTS_FIELD) for item in items), default=0)
    return [] if len(items) < whole else [memory_of(item) for item in items]


def list_memories(
    scope: Scope, filters: Mapping[str, object] | None, limit: int, offset: int
) -> PlatformPlan[list[Memory]]:
    """Read a page of the memories of a scope, newest first."""
    passes = compile_filters(filters)
    items = yield from everything(_pushed(scope, filters))
    kept = [memory for memory in _covered(scope, items) if passes(record_of(memory))]
    return newest_first(kept)[offset : offset + limit]


def get(scope: Scope, memory_id: str) -> PlatformPlan[Memory | None]:
    """Read a memory of a scope."""
    item = yield from _item(scope, memory_id)
    return None if item is None else memory_of(item)


def update(
    scope: Scope, memory_id: str, text: str | None, metadata: Mapping[str, object] | None
) -> PlatformPlan[Memory]:
    """Change a memory of a scope."""
    old = yield from _require(scope, memory_id)
    changes: dict[str, object] = {} if text is None else {"text": text}
    if metadata is not None:
        # Nothing says what becomes of metadata that is left out.
        before = old.get("metadata") or {}
        changes["metadata"] = {**before, **metadata, **own_only(before)}
    yield from _found(scope, Call("update", "update", {"memory_id": memory_id, **changes}))
    return memory_of((yield from _require(scope, memory_id)))


def delete(scope: Scope, memory_id: str) -> PlatformPlan[None]:
    """Delete a memory of a scope."""
    yield from _require(scope, memory_id)
    yield from _found(scope, Call("delete", "delete", {"memory_id": memory_id}))


def delete_many(memory_ids: Sequence[str]) -> PlatformPlan[None]:
    """Delete memories; those that do not exist are left out."""
    for start in range(0, len(memory_ids), _BATCH):
        doomed = [{"memory_id": one} for one in memory_ids[start : start + _BATCH]]
        batch = yield from _unless_missing(Call("delete", "batch_delete", {"memories": doomed}))
        if batch is None:
            # One that somebody else has deleted meanwhile keeps the others.
            for one in doomed:
                yield from _unless_missing(Call("delete", "delete", one))


def history(scope: Scope, memory_id: str) -> PlatformPlan[list[MemoryChange]]:
    """Read the changes of a memory of a scope, oldest first."""
    if not is_uuid(memory_id):
        raise not_found(scope, memory_id)
    entries = yield from _unless_missing(
        Call("read the history", "history", {"memory_id": memory_id})
    )
    if entries is None:
        raise not_found(scope, memory_id)
    if not any(covers(scope, entry) for entry in entries):
        # An entry need not say whose the memory is.
        yield from _require(scope, memory_id)
    return _oldest_first(memory_id, entries)


def erase(
    scope: Scope, filters: Mapping[str, object] | None
) -> PlatformPlan[tuple[int, frozenset[str]]]:
    """Delete the memories of a scope, all or those that filters select.

    Returns:
        How many there were, and the idempotency keys of those that were selected.

    Raises:
        BackendError: Some are still there.
    """
    left = yield from _selected(scope, filters)
    found = len(left)
    metadata = [item.get("metadata") or {} for item in left] if filters else []
    keys = frozenset(str(each[KEY_METADATA]) for each in metadata if KEY_METADATA in each)
    if filters is None and len(scope.ids) == 1:
        # Its history goes with the entity.
        yield from _unless_missing(Call("forget", "delete_users", scope_filters(scope)))
        left = yield from _selected(scope, filters)
    for pause in islice(_pauses(2), _ERASE_ROUNDS):
        if not left:
            break
        yield from delete_many([item["id"] for item in left])
        yield pause
        left = yield from _selected(scope, filters)
    if left:
        raise BackendError(
            f"{len(left)} memories of {scope} are still there after forget(); Mem0 deletes late, "
            f"or something is writing. It is tried again.",
            retryable=True,
        )
    return found, keys


def _add_as_they_are(request: AddRequest) -> PlatformPlan[list[Memory]]:
    """Store messages in one request each, which keeps who said what, and in which order."""
    known = yield from _stored_under(request.scope, request.key)
    stored = {_number(item, PART_FIELD): memory_of(item) for item in known}
    for part, message in enumerate(request.messages):
        if part not in stored:
            own = {
                PART_FIELD: part,
                PARTS_FIELD: len(request.messages),
                ROLE_FIELD: message["role"],
                # As it was said: one after the other.
                CREATED_FIELD: (request.created_at + timedelta(microseconds=part)).isoformat(),
            }
            answer = yield _addition(request, [message], f"{request.key} {part}", own)
            results = answer.get("results") or ()
            if (event_id := _unfinished(answer)) is not None:
                results = yield from _end_of_event(event_id)
            if made := _stored(request, results):
                stored[part] = made[0]
    return [stored[part] for part in sorted(stored)]


def _addition(
    request: AddRequest, messages: Sequence[Mapping[str, object]], key: str, own: Item
) -> Call:
    return Call(
        "add",
        "add",
        {
            "messages": [dict(message) for message in messages],
            **scope_filters(request.scope),
            "metadata": {
                **request.metadata,
                **scope_metadata(request.scope),
                KEY_METADATA: request.key,
                CREATED_FIELD: request.created_at.isoformat(),
                **own,
            },
            "infer": request.infer,
            "timestamp": int(request.created_at.timestamp()),
        },
        key=key,
    )


def _unfinished(answer: Item) -> str | None:
    """Return the event that will tell the result of an add, if its answer does not."""
    done = answer.get("status") in (None, "SUCCEEDED") and "results" in answer
    return None if done or "event_id" not in answer else str(answer["event_id"])


def _stored_under(scope: Scope, key: str) -> PlatformPlan[list[Item]]:
    items = yield from everything(all_of(scope_filter(scope), metadata_is(KEY_METADATA, key)))
    return [item for item in items if covers(scope, item) and memory_of(item).scope == scope]


def _number(item: Item, field: str) -> int:
    value = (item.get("metadata") or {}).get(field)
    return value if isinstance(value, int) else 0


def _selected(scope: Scope, filters: Mapping[str, object] | None) -> PlatformPlan[list[Item]]:
    items = yield from everything(_pushed(scope, filters))
    passes = compile_filters(filters)
    own = [item for item in items if covers(scope, item)]
    return [item for item in own if passes(record_of(memory_of(item)))] if filters else own


def _pauses(growth: float) -> Iterator[Pause]:
    """Yield pauses, each longer than the last, up to two seconds."""
    seconds = _FIRST_PAUSE
    while True:
        yield Pause(seconds)
        seconds = min(seconds * growth, _LONGEST_PAUSE)


def _end_of_event(event_id: str) -> PlatformPlan[list[Item]]:
    waited = 0.0
    for pause in _pauses(1.5):
        if waited >= _EVENT_SECONDS:
            break
        event = yield Call("follow a write", "event", {"event_id": event_id})
        if event["status"] == "SUCCEEDED":
            return event.get("results") or []
        if event["status"] == "FAILED":
            raise BackendError(
                f"Mem0 could not add: event {event_id} failed: {event.get('error') or 'no reason'}"
            )
        yield pause
        waited += pause.seconds
    raise BackendTimeoutError(
        f"Event {event_id} is still {event['status']} after {_EVENT_SECONDS:.0f} s; it is followed "
        f"again later.",
        retryable=True,
    )


def _stored(request: AddRequest, results: Sequence[Item]) -> list[Memory]:
    return [
        Memory(
            id=str(result["id"]),
            text=str((result.get("data") or {}).get("memory") or result.get("memory") or ""),
            scope=request.scope,
            created_at=request.created_at,
            updated_at=request.created_at,
            metadata=dict(request.metadata),
        )
        for result in results
        if result.get("event", "ADD") in ("ADD", "UPDATE")
    ]


def _item(scope: Scope, memory_id: str) -> PlatformPlan[Item | None]:
    if not is_uuid(memory_id):
        return None
    item: Item | None = yield from _unless_missing(Call("get", "get", {"memory_id": memory_id}))
    return item if item is not None and covers(scope, item) else None


def _require(scope: Scope, memory_id: str) -> PlatformPlan[Item]:
    item = yield from _item(scope, memory_id)
    if item is None:
        raise not_found(scope, memory_id)
    return item


def _changes(memory_id: str) -> PlatformPlan[list[MemoryChange]]:
    entries = yield Call("read the history", "history", {"memory_id": memory_id})
    return _oldest_first(memory_id, entries)


def _oldest_first(memory_id: str, entries: Sequence[Item]) -> list[MemoryChange]:
    # Whatever the clocks said by which it was said, and changed.
    return sorted(
        changes_of(memory_id, entries),
        key=lambda change: (change.event != "ADD", change.at.timestamp() if change.at else 0.0),
    )


def _covered(scope: Scope, items: Sequence[Item]) -> list[Memory]:
    return [memory_of(item) for item in items if covers(scope, item)]


def _pushed(scope: Scope, filters: Mapping[str, object] | None) -> dict[str, object]:
    pushed, _ = split_equalities(filters)
    return all_of(scope_filter(scope), *(metadata_is(key, pushed[key]) for key in pushed))


def _found(scope: Scope, call: Call) -> PlatformPlan[None]:
    """Change a memory, which somebody else may have deleted meanwhile."""
    try:
        yield call
    except BackendError as error:
        if isinstance(error.__cause__, Mem0NotFoundError):
            raise not_found(scope, call.arguments["memory_id"]) from error
        raise


def _unless_missing(call: Call) -> PlatformPlan[Any]:
    """Make a call; returns None if there is no such memory or entity."""
    try:
        return (yield call)
    except BackendError as error:
        if isinstance(error.__cause__, Mem0NotFoundError):
            return None
        raise
