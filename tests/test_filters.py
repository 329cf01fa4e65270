from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mem0.vector_stores.qdrant import Qdrant
from qdrant_client import QdrantClient

from mem0_integrations.errors import InvalidFilterError
from mem0_integrations.filters import compile_filters, matches, split_equalities, validate_filters

RECORD = {
    "text": "My kettle leaks.",
    "role": "user",
    "created_at": datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
    "updated_at": "2026-11-23T08:00:00Z",
    "categories": ["orders", "faults"],
    "team": "billing",
    "price": 12.5,
    "count": 5,
    "vip": True,
    "tags": ["Red", "blue"],
    "note": None,
    "due": "2026-12-01",
}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, True),
        ({"team": "billing"}, True),
        ({"team": "sales"}, False),
        ({"team": "billing", "count": 6}, False),
        ({"missing": "x"}, False),
        ({"note": None}, True),
        ({"missing": None}, True),
        ({"team": None}, False),
        ({"team": "*"}, True),
        ({"note": "*"}, False),
        ({"missing": "*"}, False),
        ({"team": {"eq": "*"}}, False),
        ({"count": {"eq": 5}}, True),
        ({"count": {"ne": 5}}, False),
        ({"missing": {"ne": 5}}, True),
        ({"team": {"in": ["sales", "billing"]}}, True),
        ({"team": {"nin": ["sales", "billing"]}}, False),
        ({"missing": {"nin": ["sales"]}}, True),
        ({"team": {"in": []}}, False),
        ({"tags": {"in": ["blue", "green"]}}, True),
        ({"tags": {"in": ["green"]}}, False),
        ({"price": {"gt": 12, "lt": 13}}, True),
        ({"price": {"gt": 12.5}}, False),
        ({"price": {"gte": 12.5, "lte": 12.5}}, True),
        ({"team": {"gt": "alpha"}}, True),
        ({"tags": {"contains": "blue"}}, True),
        ({"tags": {"contains": "red"}}, False),
        ({"tags": {"icontains": "RED"}}, True),
        ({"tags": {"contains": "re"}}, False),
        ({"text": {"contains": "kettle"}}, True),
        ({"text": {"contains": "KETTLE"}}, False),
        ({"text": {"icontains": "KETTLE"}}, True),
        ({"categories": {"contains": "orders"}}, True),
        ({"tags": ["Red", "blue"]}, True),
        ({"tags": ["blue", "Red"]}, False),
        ({"tags": "blue"}, False),
        ({"AND": [{"team": "billing"}, {"count": 5}]}, True),
        ({"AND": [{"team": "billing"}, {"count": 6}]}, False),
        ({"OR": [{"team": "sales"}, {"count": 5}]}, True),
        ({"OR": [{"team": "sales"}, {"count": 6}]}, False),
        ({"NOT": [{"team": "sales"}, {"count": 6}]}, True),
        ({"NOT": [{"team": "sales"}, {"count": 5}]}, False),
        ({"NOT": [{"OR": [{"team": "x"}, {"AND": [{"vip": True}, {"count": 6}]}]}]}, True),
        ({"vip": True, "NOT": [{"missing": "*"}]}, True),
    ],
)
def test_the_whole_grammar_is_evaluated(filters: dict[str, object], expected: bool) -> None:
    """A filter means the same on every store only if we alone decide what it means."""
    assert matches(filters, RECORD) is expected


@pytest.mark.parametrize(
    "filters",
    [
        {"count": "5"},
        {"count": 5.0},
        {"vip": 1},
        {"vip": "true"},
        {"count": {"gt": "4"}},
        {"team": {"gt": 4}},
        {"vip": {"gte": 1}},
        {"note": {"lt": 4}},
        {"tags": {"lt": 4}},
        {"count": {"contains": 5}},
        {"text": {"contains": 5}},
        {"missing": {"contains": "x"}},
        {"price": {"gt": float("nan")}},
        {"team": {"gt": date(2026, 1, 1)}},
    ],
)
def test_values_that_do_not_compare_do_not_match(filters: dict[str, object]) -> None:
    """Metadata is whatever an application stored: a search must not fail on one odd record."""
    assert matches(filters, RECORD) is False


@pytest.mark.parametrize(
    ("key", "condition", "expected"),
    [
        ("created_at", {"gte": "2026-11-22"}, True),
        ("created_at", {"lt": "2026-11-22"}, False),
        ("created_at", {"gt": date(2026, 11, 22)}, True),
        ("created_at", {"lte": datetime(2026, 11, 22, 9, 30)}, True),
        ("created_at", "2026-11-22T09:30:00Z", True),
        ("created_at", "2026-11-22T10:30:00+01:00", True),
        ("created_at", {"in": ["2026-11-22T09:30:00Z"]}, True),
        ("created_at", {"ne": "2026-11-22T09:30:00Z"}, False),
        ("created_at", "*", True),
        ("updated_at", {"gt": datetime(2026, 11, 22, tzinfo=timezone(timedelta(hours=9)))}, True),
        ("updated_at", {"lt": "2026-11-23T07:59:59.999Z"}, False),
        ("due", {"lt": date(2026, 12, 2)}, True),
    ],
)
def test_times_compare_as_moments(key: str, condition: object, expected: bool) -> None:
    """As text, the same moment in two zones or two notations would not be equal."""
    assert matches({key: condition}, RECORD) is expected


def test_a_record_without_a_readable_time_matches_no_bound() -> None:
    """Old stores hold memories without a creation time."""
    for found in ({}, {"created_at": None}, {"created_at": "soon"}, {"created_at": 7}):
        assert matches({"created_at": {"gte": "2000-01-01"}}, found) is False


def test_a_filter_is_compiled_once_for_many_records() -> None:
    """A search of 10,000 memories must not read the filter 10,000 times."""
    cheap = compile_filters({"price": {"lt": 20}})
    assert [cheap({"price": n}) for n in (5, 20, "5")] == [True, False, False]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (
            {"AND": [{"team": "x"}, {"price": {"between": 3}}]},
            "filters.AND[1].price: unknown operator 'between'; use one of eq, ne, in, nin, gt, "
            "gte, lt, lte, contains, icontains",
        ),
        ({"OR": [{"NOT": [{"a": 1, "b": {}}]}]}, "filters.OR[0].NOT[0].b: no operator; use one"),
        ({"AND": []}, "filters.AND: expected a non-empty list of filters"),
        ({"NOT": {"a": 1}}, "filters.NOT: expected a non-empty list of filters"),
        ({"OR": [{}]}, "filters.OR[0]: an empty filter says nothing"),
        ({"OR": ["a"]}, "filters.OR[0]: expected a mapping, got str"),
        ([{"a": 1}], "filters: expected a mapping, got list"),
        ({"": 1}, "filters: a key must be a non-empty string"),
        ({3: 1}, "filters: a key must be a non-empty string"),
        ({"a": {1: 2}}, "filters.a: unknown operator 1"),
        ({"a": object()}, "filters.a: cannot compare with a object"),
        ({"a": [["x"]]}, "filters.a: cannot compare with a list"),
        ({"a": {"in": "xyz"}}, "filters.a: 'in' and 'nin' take a list"),
        ({"a": {"nin": "xyz"}}, "filters.a: 'in' and 'nin' take a list"),
        ({"a": {"gt": None}}, "filters.a: 'gt' takes a number, a string or a time"),
        ({"a": {"lte": True}}, "filters.a: 'lte' takes a number, a string or a time"),
        ({"a": {"icontains": 3}}, "filters.a: 'icontains' takes a string"),
        ({"created_at": {"gte": "yesterday"}}, "filters.created_at: not a time: 'yesterday'"),
        ({"created_at": {"gte": 1700000000}}, "filters.created_at: not a time: 1700000000"),
        ({"updated_at": {"contains": "2026"}}, "filters.updated_at: a time has no parts"),
    ],
)
def test_a_malformed_filter_is_refused_with_its_path(filters: object, message: str) -> None:
    """A filter that is silently ignored shows memories that it should have hidden."""
    with pytest.raises(InvalidFilterError) as refused:
        validate_filters(filters)  # type: ignore[arg-type]
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("key", ["user_id", "agent_id", "run_id", "app_id", "actor_id"])
@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: {"OR": [{"a": 1}, {"NOT": [f]}]}])
@pytest.mark.parametrize("use", [validate_filters, split_equalities, lambda f: matches(f, {})])
def test_a_filter_cannot_widen_the_scope(key: str, wrap, use) -> None:
    """A model may choose filters; the scope, which keeps tenants apart, is never its choice."""
    with pytest.raises(InvalidFilterError, match="the scope is set with scope=, never in filters"):
        use(wrap({key: "bob"}))


def test_nesting_is_limited() -> None:
    """A filter may come from a model or a request: it must not exhaust the stack."""
    nested: dict[str, object] = {"a": 1}
    for _ in range(19):
        nested = {"NOT": [nested]}
    validate_filters(nested)
    with pytest.raises(InvalidFilterError, match="nested deeper than 20 levels"):
        validate_filters({"AND": [nested]})
    endless: dict[str, object] = {}
    endless["OR"] = [endless]
    with pytest.raises(InvalidFilterError, match="nested deeper than 20 levels"):
        validate_filters(endless)


def test_no_filter_is_valid_and_matches_everything() -> None:
    """Callers pass on what they got, and most have no filter."""
    validate_filters(None)
    assert compile_filters(None)({}) is True
    assert split_equalities(None) == ({}, None)


def test_only_equalities_that_all_stores_share_are_pushed_down() -> None:
    """What a store compares in its own way it would drop or keep wrongly."""
    rest = {
        "created_at": "2026-11-22",
        "updated_at": "2026-11-22",
        "text": "x",
        "categories": "orders",
        "data": "x",
        "hash": "x",
        "id": "m1",
        "price": 1.5,
        "vip": True,
        "note": None,
        "any": "*",
        "tags": ["a"],
        "a.b": "path",
        "a[0]": "path",
        "huge": 2**53 + 1,
        "nul": "a\0b",
        "half": "\ud83d",
        "count": {"eq": 5},
        "OR": [{"a": "x"}, {"b": "y"}],
    }
    pushed, left = split_equalities({"team": "billing", "order_no": 48213, **rest})
    assert pushed == {"team": "billing", "order_no": 48213}
    assert left == rest
    assert split_equalities({"team": "billing"}) == ({"team": "billing"}, None)


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(-3, 3),
    st.text("ab1.*", max_size=3),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.lists(st.integers(0, 2) | st.sampled_from(["a", "b"]), max_size=3),
)
keys = st.sampled_from(["a", "b", "created_at", "a.b"])
records = st.dictionaries(keys, values)
conditions = values | st.dictionaries(
    st.sampled_from(["eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "contains", "icontains"]),
    values,
)
filters_ = st.recursive(
    st.dictionaries(keys, conditions),
    lambda inner: st.dictionaries(st.sampled_from(["AND", "OR", "NOT"]), st.lists(inner)),
)


@given(filters_, records)
def test_a_valid_filter_never_raises_and_not_is_its_opposite(
    filters: dict[str, object], record: dict[str, object]
) -> None:
    """A filter is refused before the search or it works; nothing in between."""
    try:
        matched = matches(filters, record)
    except InvalidFilterError:
        return
    if filters:
        assert matches({"NOT": [filters]}, record) is not matched


@given(st.dictionaries(keys, values), records)
def test_what_is_pushed_down_drops_no_match_where_values_are_compared_as_text(
    filters: dict[str, object], record: dict[str, object]
) -> None:
    """pgvector compares `payload->>key`, the text of the JSON value, with the text of ours."""
    try:
        pushed, _ = split_equalities(filters)
    except InvalidFilterError:
        return
    if matches(filters, record):
        assert all(
            (found if isinstance(found := record[key], str) else json.dumps(found)) == str(wanted)
            for key, wanted in pushed.items()
        )


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
def test_what_is_pushed_down_drops_no_match_on_qdrant() -> None:
    """The pre-filter runs inside the store that most users have: it must find what we define."""
    client = QdrantClient(":memory:")
    store = Qdrant(collection_name="memories", embedding_model_dims=2, client=client)
    found = ["a", "b", "1", 1, 2, 1.0, 1.5, True, None, ["a"], [1], "é 漢字", "x%_y", -(2**53)]
    payloads = [{"key": value, "n": n} for n, value in enumerate(found)]
    store.insert([[1.0, 0.0]] * len(found), payloads, list(range(len(found))))
    for wanted in found:
        filters = {"key": wanted}
        pushed, _ = split_equalities(filters)
        listed = store.list(filters=pushed, top_k=100)[0]
        kept = {point.payload["n"] for point in listed if matches(filters, point.payload)}
        assert kept == {n for n, payload in enumerate(payloads) if matches(filters, payload)}
        assert kept
    client.close()
