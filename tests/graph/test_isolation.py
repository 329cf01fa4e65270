"""Hostile names, predicates and ids: on every engine, nothing crosses a scope or becomes Cypher."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mem0_integrations import Memory, Scope
from mem0_integrations.graph import GraphMemory
from mem0_integrations.graph.model import Extracted, GraphEntity, Triple
from tests.graph.facts import START

HOSTILE = st.one_of(
    st.sampled_from(
        [
            "x'}) MATCH (n) DETACH DELETE n //",
            "`]->() DELETE r //",
            '"; DROP',
            "$user_id",
            "\\u0027 OR 1=1",
            "RELATES`{a:1}",
            "Ünïcödé/…-тест 日本",
            "*",
            "null",
            "\x00\ud800",
            "</script>",
        ]
    ),
    st.text(min_size=1, max_size=30),
)
IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    str.strip
)


class Given:
    """An extractor that finds what it was given."""

    def __init__(self) -> None:
        self.found = Extracted()

    def extract(self, texts: object, *, speaker: str, known: object = ()) -> list[Extracted]:
        return [self.found]


@given(
    owner=IDS,
    other=IDS,
    agent=st.none() | IDS,
    triples=st.lists(st.tuples(HOSTILE, HOSTILE, HOSTILE), min_size=1, max_size=4),
    mention=HOSTILE,
)
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_name_reaches_another_scope(  # noqa: PLR0917
    graph: GraphMemory,
    user: str,
    owner: str,
    other: str,
    agent: str | None,
    triples: list[tuple[str, str, str]],
    mention: str,
) -> None:
    """What is written is read back by its owner, alone, and erased by its owner, alone."""
    mine = Scope(user_id=f"{user} {owner}", agent_id=agent)
    theirs = Scope(user_id=f"{user}-{other}")
    extractor = Given()
    graph._extractor = extractor
    extractor.found = Extracted((GraphEntity("witness"),), (Triple("witness", "sees", "tea"),))
    graph.sync(theirs, [Memory("m", "theirs", theirs, created_at=START, updated_at=START)])
    extractor.found = Extracted(
        (GraphEntity(mention, mention),), tuple(Triple(*triple) for triple in triples)
    )
    graph.sync(mine, [Memory("m", str(triples), mine, created_at=START, updated_at=START)])
    facts = graph.history(scope=mine)
    for fact in facts:
        assert graph.relations(fact.source, scope=mine)
    named = [name for triple in triples for name in (triple[0], triple[2])]
    for name in named:
        if any(character.isalnum() for character in name):
            assert all(
                fact.relationship != "sees" or fact.target != "tea"
                for fact in graph.relations(name, scope=mine)
            )
    graph.forget(mine)
    assert graph.history(scope=mine) == []
    [left] = graph.relations(scope=theirs)
    assert (left.source, left.relationship, left.target) == ("witness", "sees", "tea")
    graph.forget(theirs)
