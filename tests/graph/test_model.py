"""What a graph follows from, without an engine: names, ids, and when a fact holds."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mem0_integrations import Memory, Scope
from mem0_integrations.graph.model import (
    ALWAYS,
    Edge,
    edge_id,
    entity_id,
    is_identifier,
    memory_node_id,
    predicate_of,
    relations_of,
    said_at,
    timeline,
    timestamp,
)
from mem0_integrations.names import clean, name_key, speaker_of
from tests.graph.facts import START

ANN = Scope(user_id="ann")


def edge(
    target: str, day: int, *, exclusive: bool = False, ended: bool = False, memory: str = ""
) -> Edge:
    memory_id = memory or f"m-{target}-{day}"
    return Edge(
        id=edge_id(memory_id, "s", "lives_in", target, ended=ended),
        source_id="s",
        target_id=target,
        source="ann",
        target=target,
        predicate="lives_in",
        memory_id=memory_id,
        valid_from=timestamp(START + timedelta(days=day)),
        exclusive=exclusive,
        ended=ended,
    )


def on(day: int) -> str:
    return timestamp(START + timedelta(days=day))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C", "C++"),
        ("C++", "C#"),
        ("A+", "A-"),
        ("5", "5%"),
        ("Disney", "Disney+"),
        ("गीत", "गीता"),
    ],
)
def test_names_that_differ_in_a_mark_alone_are_two(one: str, other: str) -> None:
    """Languages, blood groups, and the vowels of scripts that write them as marks."""
    assert name_key(one) != name_key(other)


@pytest.mark.parametrize(
    "name", ["Yahoo!", "«yahoo»", "`Yahoo`", "**Yahoo**", "(Yahoo)…", "_yahoo_"]
)
def test_marks_around_a_name_are_none_of_it(name: str) -> None:
    """Models and users quote, stress and end sentences."""
    assert name_key(name) == "yahoo"


def test_a_predicate_keeps_the_vowels_of_any_script() -> None:
    """Without them, "lives" and "stays" may be one word."""
    assert predicate_of("को पसंद है") == "को_पसंद_है"
    assert predicate_of("อาศัยอยู่ที่") == "อาศัยอยู่ที่"


def test_facts_that_exclude_each_other_take_turns() -> None:
    """Each ends when the next begins, and the last holds."""
    homes = [edge("oslo", 0, exclusive=True), edge("rome", 5), edge("oslo", 9)]
    assert list(timeline(homes).values()) == [on(5), on(9), ALWAYS]


def test_facts_that_do_not_exclude_each_other_go_on() -> None:
    """Who likes tea may like coffee."""
    assert set(timeline([edge("tea", 0), edge("coffee", 1)]).values()) == {ALWAYS}


def test_an_end_ends_what_was_said_before_it_alone() -> None:
    """Said again, it begins anew."""
    likes = [edge("tea", 0), edge("tea", 2, ended=True), edge("tea", 4), edge("milk", 0)]
    ends = timeline(likes)
    assert [ends[one.id] for one in likes] == [on(2), ALWAYS, ALWAYS, ALWAYS]


def test_what_is_no_longer_said_ends_nothing() -> None:
    """A deleted memory has no say in when others hold."""
    rome = dataclasses.replace(edge("rome", 5), support="deleted")
    assert timeline([edge("oslo", 0, exclusive=True), rome]) == {edge("oslo", 0).id: ALWAYS}


@given(
    st.lists(
        st.builds(
            edge,
            st.sampled_from(["oslo", "rome", "bonn"]),
            st.integers(0, 9),
            exclusive=st.just(True),
            ended=st.booleans(),
        ),
        unique_by=lambda one: one.id,
    ),
    st.randoms(),
)
def test_the_order_does_not_matter_and_one_home_holds(edges: list[Edge], random: object) -> None:
    """At any time, a source has one such target, or several that were said at the same time."""
    ends = timeline(edges)
    shuffled = list(edges)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert timeline(shuffled) == ends
    holding = {
        one.target: one.valid_from for one in edges if not one.ended and ends[one.id] == ALWAYS
    }
    assert len(set(holding.values())) <= 1


@given(st.text())
def test_any_text_is_a_name(text: str) -> None:
    """What a model writes must never break a query, nor change when it is read again."""
    for made in (clean(text), name_key(text), predicate_of(text)):
        made.encode()
        assert "\x00" not in made
        assert len(made) <= 255
    assert name_key(name_key(text)) == name_key(text)
    assert predicate_of(predicate_of(text)) == predicate_of(text)


@pytest.mark.parametrize(
    "name", ["A-1", "١٢", "a@b", "http://x", "no. 4", "ORD-ABC-XYZ", "booking KXWQZT"]
)
def test_identifiers(name: str) -> None:
    """Digits of any script, addresses, codes."""
    assert is_identifier(name)


@pytest.mark.parametrize("name", ["New York", "NASA", "the USA", "東京都", "Jean-Luc Picard"])
def test_what_is_no_identifier(name: str) -> None:
    """It may be written in other words."""
    assert not is_identifier(name)


def test_ids_are_those_of_a_scope_exactly() -> None:
    """The tenant is part of what a node is."""
    scopes = [ANN, Scope(agent_id="ann"), Scope(user_id="ann", agent_id="ann"), Scope(user_id="a")]
    for make in (entity_id, memory_node_id):
        assert len({make(scope, "x") for scope in scopes}) == len(scopes)


def test_edges_of_a_fact_become_one_relation() -> None:
    """With the time of the first, and everyone who says so."""
    rows = [
        {**vars_of(edge("oslo", day, memory=f"m{day}")), "valid_to": end}
        for day, end in ((3, ALWAYS), (1, ALWAYS), (0, on(1)))
    ]
    now, before = relations_of(rows)
    assert (now.memory_ids, now.valid_from, now.valid_to) == (
        ("m3", "m1"),
        START + timedelta(days=1),
        None,
    )
    assert before.valid_to == START + timedelta(days=1)


def test_times_and_speakers_that_are_missing() -> None:
    """Memories of other writers may lack them."""
    bare = Memory(id="m", text="x", scope=ANN)
    assert said_at(bare) == datetime.fromtimestamp(0, UTC)
    assert speaker_of(Scope(run_id="r")) == "user"


def vars_of(one: Edge) -> dict[str, object]:
    return dataclasses.asdict(one)
