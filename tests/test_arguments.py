from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from mem0_integrations import InvalidFilterError, InvalidInputError, InvalidMessageError, Scope
from mem0_integrations.arguments import (
    add_request,
    check_metadata,
    check_page,
    import_requests,
    in_batches,
    search_request,
)
from mem0_integrations.recall.ranking import Ranking
from mem0_integrations.values import RESERVED_METADATA

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SCOPE = Scope(user_id="u")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
# Neither half a surrogate pair nor a NUL can be stored everywhere.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(CHARACTERS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(CHARACTERS), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.text(CHARACTERS).filter(lambda key: key not in RESERVED_METADATA)


def search(**changes: Any) -> Any:
    options = {"limit": 5, "threshold": None, "filters": None, "as_of": None, **changes}
    return search_request("tea?", SCOPE, now=NOW, ranking=Ranking(), **options)


def add(messages: Any = "I like tea.", **changes: Any) -> Any:
    options = {
        "infer": True,
        "metadata": None,
        "key": "key",
        "created_at": NOON,
        "include_tool_messages": False,
    }
    return add_request(messages, SCOPE, **{**options, **changes})


def imported(*messages: Any, **changes: Any) -> list[Any]:
    options = {"infer": False, "metadata": None, "thread_id": None, "now": NOON, **changes}
    return list(import_requests(messages, SCOPE, **options))


@pytest.mark.parametrize("limit", [0, -1, 1_001, 2.5, True, "5", None])
def test_a_limit_out_of_range_is_refused(limit: Any) -> None:
    """Mem0 takes 0 for its default, and a huge one for a reason to read everything."""
    with pytest.raises(InvalidInputError, match="limit must be a whole number"):
        search(limit=limit)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
def test_a_threshold_that_is_no_score_is_refused(threshold: float) -> None:
    """A distance passed for a score would find nothing, or everything."""
    with pytest.raises(InvalidInputError, match="threshold"):
        search(threshold=threshold)


def test_the_ends_of_the_ranges_are_allowed() -> None:
    """Off by one would be found by users."""
    assert [search(limit=limit).limit for limit in (1, 1_000)] == [1, 1_000]
    assert [search(threshold=score).threshold for score in (0, 1)] == [0, 1]


def test_an_unknown_filter_operator_is_refused_before_the_search() -> None:
    """Some stores ignore what they do not know, and find too much."""
    with pytest.raises(InvalidFilterError):
        search(filters={"topic": {"like": "tea"}})


def test_times_become_utc() -> None:
    """Stores compare times as text."""
    local = NOON.astimezone(timezone(timedelta(hours=2)))
    assert str(search(as_of=local).as_of) == str(add(created_at=local).created_at) == str(NOON)


@pytest.mark.parametrize("time", [datetime(2026, 11, 22), "2026-11-22T12:00:00Z", 7])
def test_a_time_without_a_zone_is_refused(time: Any) -> None:
    """It would be the server's local time, whichever that is."""
    with pytest.raises(InvalidInputError, match="as_of"):
        search(as_of=time)
    with pytest.raises(InvalidInputError, match="created_at"):
        add(created_at=time)


@given(st.dictionaries(KEYS, JSON, max_size=4))
def test_json_metadata_is_copied(metadata: dict[str, Any]) -> None:
    """The write happens later: what the caller changes until then is not part of it."""
    copied = check_metadata(metadata)
    assert copied == metadata
    before = json.dumps(copied, sort_keys=True)
    for value in metadata.values():
        if isinstance(value, list | dict):
            value.clear()
    metadata["another"] = 1
    assert json.dumps(copied, sort_keys=True) == before


@pytest.mark.parametrize(
    "metadata",
    [
        {"x": object()},
        {"x": {1, 2}},
        {"x": NOON},
        {"x": b"bytes"},
        {"x": math.nan},
        {"x": math.inf},
        {"x": {"y": [object()]}},
        {7: "x"},
        {"\ud800": 1},
        {"x": ["\ud800"]},
        ["x"],
        "x",
    ],
)
def test_metadata_that_cannot_be_stored_is_refused(metadata: Any) -> None:
    """After it was accepted, it would fail again and again in the outbox."""
    with pytest.raises(InvalidInputError, match="metadata"):
        add(metadata=metadata)


@pytest.mark.parametrize("key", sorted(RESERVED_METADATA))
def test_reserved_metadata_is_refused(key: str) -> None:
    """Metadata that overwrites an id would move a memory to another user."""
    with pytest.raises(InvalidInputError, match="reserved"):
        add(metadata={key: "x"})


def test_metadata_that_refers_to_itself_is_refused() -> None:
    """Serialising it must not end in a crash."""
    metadata: dict[str, Any] = {}
    metadata["x"] = metadata
    with pytest.raises(InvalidInputError, match="metadata"):
        add(metadata=metadata)


def test_a_write_without_a_key_gets_one_of_its_own() -> None:
    """The outbox tells writes apart by their keys."""
    assert len({add(key=None).key for _ in range(100)}) == 100
    assert add(key="mine").key == "mine"
    with pytest.raises(InvalidInputError, match="key"):
        add(key="")


def test_a_write_without_words_has_no_messages() -> None:
    """The caller then reports `nothing`, and does not touch the disk."""
    assert add([]).messages == add([("system", "Be kind.")]).messages == ()


@pytest.mark.parametrize(("limit", "offset"), [(0, 0), (-1, 0), (1, -1), (True, 0), (1, 1.0)])
def test_a_page_that_does_not_exist_is_refused(limit: Any, offset: Any) -> None:
    """A negative offset would wrap around to the end of the list."""
    with pytest.raises(InvalidInputError):
        check_page(limit, offset, None)
    check_page(1_000_000, 0, None)


def test_an_imported_message_keeps_its_time_and_id() -> None:
    """The history of another system says when things were said."""
    dated, stamped, plain = imported(
        {"role": "user", "content": "one", "created_at": "2026-01-02T03:04:05+02:00"},
        {"role": "user", "content": "two", "created_at": NOON - timedelta(days=1)},
        "three",
    )
    assert dated.created_at == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert stamped.created_at == NOON - timedelta(days=1)
    assert plain.created_at == NOON + timedelta(microseconds=2)


@pytest.mark.parametrize("time", ["yesterday", 7, datetime(2026, 1, 1)])
def test_an_imported_message_with_a_time_that_is_none_is_refused(time: Any) -> None:
    """Now would be a wrong answer to when it was said."""
    with pytest.raises(InvalidInputError, match="created_at"):
        imported({"role": "user", "content": "one", "created_at": time})


def test_importing_again_makes_the_same_keys() -> None:
    """An import that broke off is repeated from its beginning."""
    messages = ["Yes.", "Yes.", HumanMessage("Yes.", id="1"), {"role": "user", "content": "Yes."}]
    first = [request.key for request in imported(*messages, thread_id="t")]
    assert [request.key for request in imported(*messages, thread_id="t")] == first
    assert len(set(first)) == 4
    others = {request.key for request in imported(*messages, thread_id="another")}
    assert others.isdisjoint(first)


def test_an_imported_message_with_an_id_may_move() -> None:
    """A longer export of the same conversation has it at another place."""
    message = HumanMessage("I like tea.", id="1")
    (alone,) = imported(message)
    _, moved = imported("Hello", message)
    assert alone.key == moved.key


def test_the_thread_becomes_part_of_the_metadata() -> None:
    """An imported memory says which conversation it is from."""
    (request,) = imported("one", thread_id="t", metadata={"source": "zendesk"})
    assert request.metadata == {"source": "zendesk", "thread_id": "t"}


def test_what_cannot_be_remembered_is_skipped_or_refused_as_elsewhere() -> None:
    """An import follows the same rules as a conversation."""
    assert imported(("system", "Be kind."), HumanMessage(" ")) == []
    with pytest.raises(InvalidMessageError):
        imported("one", 7)


def test_an_import_is_read_as_it_goes() -> None:
    """A million messages need not fit into memory."""
    read: list[int] = []

    def messages() -> Any:
        for number in range(10):
            read.append(number)
            yield f"number {number}"

    requests = import_requests(
        messages(), SCOPE, infer=False, metadata=None, thread_id=None, now=NOON
    )
    batches = in_batches(requests, 3)
    assert len(next(batches)) == 3
    assert read == [0, 1, 2]
    assert [len(batch) for batch in batches] == [3, 3, 1]
