"""What the operations of a store mean, and what is wrong with one: no store is needed for that."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.store.base import (
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchOp,
)

from mem0_integrations import InvalidInputError
from mem0_integrations.langgraph.store_filters import check_filter, passes_filter
from mem0_integrations.langgraph.store_ops import (
    check_minutes,
    check_ttl_config,
    checked,
    checked_fields,
    index_texts,
    listed_namespaces,
    plain_prefix,
    readable_text,
)


class TestChecked:
    def test_lists_of_labels_become_tuples(self) -> None:
        """LangGraph's own tests pass lists."""
        assert checked(GetOp(["a", "b"], "k")).namespace == ("a", "b")  # type: ignore[arg-type, union-attr]
        assert checked(PutOp(["a"], "k", None)).namespace == ("a",)  # type: ignore[arg-type, union-attr]
        assert checked(SearchOp(["a"])).namespace_prefix == ("a",)  # type: ignore[arg-type, union-attr]
        conditions = [MatchCondition("prefix", ["a", "*"])]  # type: ignore[arg-type]
        op = checked(ListNamespacesOp(conditions))  # type: ignore[arg-type]
        assert op == ListNamespacesOp((MatchCondition("prefix", ("a", "*")),))

    def test_a_value_is_copied(self) -> None:
        """What the application changes afterwards is not what it has put."""
        value: dict[str, Any] = {"list": [{"a": 1}], "tuple": (1, (2,))}
        op = checked(PutOp(("a",), "k", value))
        value["list"][0]["a"] = 2
        assert op.value == {"list": [{"a": 1}], "tuple": [1, [2]]}  # type: ignore[union-attr]

    def test_any_mapping_is_a_value(self) -> None:
        """The type says a mapping."""
        op = checked(PutOp(("a",), "k", MappingProxyType({"a": 1})))
        assert op.value == {"a": 1}  # type: ignore[union-attr]

    def test_keys_that_json_would_change_are_refused(self) -> None:
        """Of 1 and "1" one would be lost."""
        values: list[Any] = [{1: 2}, {None: 2}, {"a": {True: 2}}, {"a": [({2.5: 1},)]}]
        for value in values:
            with pytest.raises(InvalidInputError, match="keys that are not strings"):
                checked(PutOp(("a",), "k", value))

    def test_a_message_names_the_key_and_not_the_value(self) -> None:
        """Messages end up in logs."""
        with pytest.raises(InvalidInputError, match="'drink'") as raised:
            checked(PutOp(("a",), "drink", {"secret": {"x"}}))
        assert "secret" not in str(raised.value)

    def test_only_a_put_needs_a_namespace_that_can_be_put_to(self) -> None:
        """A deletion there finds nothing, as in LangGraph's stores."""
        for namespace in ((), ("langgraph",), ("langgraph", "a")):
            with pytest.raises(InvalidNamespaceError):
                checked(PutOp(namespace, "k", {"a": 1}))
            assert checked(PutOp(namespace, "k", None)).namespace == namespace  # type: ignore[union-attr]
            assert checked(GetOp(namespace, "k")).namespace == namespace  # type: ignore[union-attr]
            assert checked(SearchOp(namespace)).namespace_prefix == namespace  # type: ignore[union-attr]
        assert checked(PutOp(("a", "langgraph"), "k", {"a": 1}))

    def test_indexes_may_be_lists_tuples_or_none(self) -> None:
        """And an empty list is no index."""
        for index in (None, False, [], ["a"], ("a", "b[*]")):
            assert checked(PutOp(("a",), "k", {}, index=index)).index == index  # type: ignore[arg-type]


@pytest.mark.parametrize("minutes", [0, -1, math.nan, math.inf, 1e9 + 1, True, "5", [1]])
def test_minutes_are_positive_numbers_that_end(minutes: Any) -> None:
    """Python has no times in the year 20,000."""
    with pytest.raises(InvalidInputError, match="ttl"):
        check_minutes("ttl", minutes)
    for fine in (None, 1e-9, 1, 1e9):
        check_minutes("ttl", fine)


def test_a_ttl_config_has_the_keys_of_langgraph() -> None:
    """A typing error would silently keep everything for ever."""
    check_ttl_config(
        {
            "refresh_on_read": True,
            "omit_expired": True,
            "default_ttl": 5,
            "sweep_interval_minutes": None,
        }
    )
    wrongs: list[Any] = [{"default": 5}, {"default_ttl": 0}, [], "5"]
    for wrong in wrongs:
        with pytest.raises(InvalidInputError):
            check_ttl_config(wrong)


def test_fields_are_all_of_a_value_unless_they_are_named() -> None:
    """As in LangGraph's stores; an embedder is given to `connect`."""
    assert checked_fields(None) == checked_fields({}) == checked_fields({"fields": None}) == ["$"]
    assert checked_fields({"fields": []}) == ["$"]
    assert checked_fields({"fields": ["a", "b[*].c"]}) == ["a", "b[*].c"]
    assert checked_fields(False) is None
    with pytest.raises(InvalidInputError, match="connect"):
        checked_fields({"dims": 3, "embed": "openai:x", "fields": ["a"]})


class TestFilters:
    CASES: tuple[tuple[dict[str, Any], dict[str, Any], bool], ...] = (
        ({"a": 5}, {"a": {"$gt": 4, "$lt": 6}}, True),
        ({"a": 5}, {"a": {"$gt": 5}}, False),
        ({"a": "10"}, {"a": {"$gt": 9}}, True),
        ({"a": "10"}, {"a": {"$gt": "9"}}, True),
        ({"a": "b"}, {"a": {"$gt": "a"}}, True),
        ({"a": "b"}, {"a": {"$gt": 1}}, False),
        ({"a": None}, {"a": {"$gte": None}}, False),
        ({"a": [1]}, {"a": {"$gte": [0]}}, False),
        ({}, {"a": {"$lt": 1}}, False),
        ({}, {"a": {"$lte": ""}}, False),
        ({"a": True}, {"a": {"$gt": 0}}, True),
        ({"a": math.nan}, {"a": {"$gte": math.nan}}, False),
        ({"a": math.inf}, {"a": {"$gte": math.inf}}, True),
        ({"a": 2**53 + 1}, {"a": {"$gt": 2**53}}, True),
        ({"a": 10**400}, {"a": {"$gt": 1.5}}, True),
        ({"a": "2026-02-01"}, {"a": {"$gte": "2026-01-31", "$lt": "2026-03-01"}}, True),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": {"$lte": 1}}}}, True),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, True),
        ({"a": {"b": 1, "c": 2}}, {"a": {"$eq": {"b": 1}}}, False),
        ({"a": {"b": {"$ref": 1}}}, {"a": {"$eq": {"b": {"$ref": 1}}}}, True),
        ({"a": [{"b": 1}, 2]}, {"a": [{"b": {"$gt": 0}}, 2]}, True),
        ({"a": [1, 2, 3]}, {"a": [1, 2]}, False),
        ({"a": "x"}, {"a": ["x"]}, False),
        ({"a": 1}, {"a": {"b": 1}}, False),
        ({"$or": 1, "a": 1}, {"a": 1}, True),
    )

    @pytest.mark.parametrize(("value", "wanted", "passes"), CASES, ids=range(len(CASES)))
    def test_values_are_compared(
        self, value: dict[str, Any], wanted: dict[str, Any], passes: bool
    ) -> None:
        """What does not compare does not match, and is no error."""
        check_filter(wanted)
        assert passes_filter(value, wanted) is passes

    def test_no_filter_passes_everything(self) -> None:
        """The default."""
        check_filter(None)
        assert passes_filter({"a": 1}, None)
        assert passes_filter({}, {})

    @pytest.mark.parametrize(
        "wanted",
        [
            {"$eq": 1},
            {"$or": [{"a": 1}]},
            {"a": {"$in": [1]}},
            {"a": {"$gt": 1, "b": 2}},
            {"a": {"b": {"$near": 1}}},
            {"a": [1, {"$near": 1}]},
            [],
            "a",
            5,
        ],
        ids=str,
    )
    def test_what_is_not_understood_is_refused(self, wanted: Any) -> None:
        """Read as a field it would silently find nothing."""
        with pytest.raises(InvalidInputError, match="filter"):
            check_filter(wanted)


class TestTexts:
    def test_blank_texts_and_repetitions_are_left_out(self) -> None:
        """A vector of nothing is near to anything."""
        value = {"a": "tea", "b": " ", "c": ["tea", "", "\0", None, "milk"], "d": 5}
        assert index_texts(value, ["a", "b", "c[*]", "d", "missing"]) == ("tea", "milk", "5")
        assert index_texts({}, ["a"]) == ()

    def test_texts_are_what_an_embedder_can_read(self) -> None:
        """Half a surrogate pair is no Unicode, and a store refuses NUL."""
        assert index_texts({"a": "te\ud800a\0"}, ["a"]) == ("te?a",)

    def test_all_of_a_value_is_one_text(self) -> None:
        """In one order, so that equal values are equally near."""
        assert index_texts({"b": 1, "a": "é"}, ["$"]) == ('{"a": "é", "b": 1}',)

    def test_the_text_of_a_memory_is_the_first_that_reads_like_one(self) -> None:
        """And else all of the value: nothing is left out of what is recalled."""
        assert readable_text({"text": "b", "memory": "a"}, None) == "a"
        assert readable_text({"text": "b", "memory": " "}, None) == "b"
        assert readable_text({"text": "\0", "data": "b"}, None) == "b"
        assert readable_text({"content": {"content": "a"}}, None) == "a"
        assert readable_text({"content": {}, "data": "a"}, None) == "a"
        assert readable_text({"content": ["a"]}, None) == '{"content": ["a"]}'
        assert readable_text({"name": "Ann", "age": 7}, None) == '{"name": "Ann", "age": 7}'

    def test_the_fields_of_a_store_are_the_text_where_they_hold_any(self) -> None:
        """What a store is told to search is what it is told to remember."""
        value = {"title": "Order", "body": "Two cups.", "text": "x"}
        assert readable_text(value, ["title", "body"]) == "Order\nTwo cups."
        assert readable_text(value, ["missing"]) == "x"
        assert readable_text(value, ["$"]) == "x"

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ).map(lambda inner: {"memory": inner, "x": inner})
    )
    def test_every_value_has_a_text(self, value: dict[str, Any]) -> None:
        """A memory without one could not be stored."""
        text = readable_text(value, None)
        assert text.strip()
        assert "\0" not in text
        text.encode()


class TestNamespaces:
    def test_the_longest_plain_beginning_is_selected_by(self) -> None:
        """The rest is compared here."""

        def prefix_of(*conditions: tuple[Any, tuple[str, ...]]) -> tuple[str, ...]:
            return plain_prefix(ListNamespacesOp(tuple(MatchCondition(*c) for c in conditions)))

        assert plain_prefix(ListNamespacesOp()) == ()
        assert prefix_of(("prefix", ("a", "*", "b"))) == ("a",)
        assert prefix_of(("prefix", ("*", "b"))) == ()
        assert prefix_of(("suffix", ("a", "b"))) == ()
        assert prefix_of(("prefix", ("a",)), ("prefix", ("a", "b"))) == ("a", "b")

    def test_a_listing_is_cut_before_it_is_counted(self) -> None:
        """Otherwise a page would hold one namespace several times."""
        paths = [("a", "1"), ("a", "2"), ("b",), ("a",)]
        assert listed_namespaces(paths, ListNamespacesOp(max_depth=1)) == [("a",), ("b",)]
        assert listed_namespaces(paths, ListNamespacesOp(limit=2, offset=1)) == [
            ("a", "1"),
            ("a", "2"),
        ]

    def test_conditions_see_the_whole_namespace(self) -> None:
        """And are never longer than it."""
        paths = [("a", "b", "c"), ("c",), ("b", "c")]

        def found(kind: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
            op = ListNamespacesOp((MatchCondition(kind, path),), max_depth=2)
            return listed_namespaces(paths, op)

        assert found("suffix", ("b", "c")) == [("a", "b"), ("b", "c")]
        assert found("suffix", ("*", "*", "c")) == [("a", "b")]
        assert found("prefix", ("*",)) == [("a", "b"), ("b", "c"), ("c",)]
        assert found("prefix", ("*", "*", "*", "*")) == []
