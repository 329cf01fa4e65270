"""A graph that Mem0 1.x wrote, in the model of this package."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from langchain_core.embeddings import Embeddings

from mem0_integrations import Memory, Scope
from mem0_integrations.graph import EmbeddedEngine, GraphMemory
from mem0_integrations.graph import migration as module
from mem0_integrations.graph.engines.base import Batch, GraphEngine, Query
from mem0_integrations.graph.migration import MigratedScope, migrate, migrated_id
from tests.graph.facts import told
from tests.graph.old_graph import WRITTEN, write

HOSTILE = (
    "'}) DETACH DELETE n //",
    "`x`]->() MATCH (n) DETACH DELETE n //",
    'quo"te\\',
    "$source",
    "日本_酒",
    "null",
)


def ids(scope: Scope) -> dict[str, str]:
    return dict(scope.ids)


def old_data(engine: GraphEngine, scope: Scope) -> list[object]:
    """All that 1.x has of a user."""
    text = (
        "MATCH (a)-[r]->(b) WHERE a.user_id = $user AND a.vector IS NULL AND a.digest IS NULL "
        "RETURN a.name AS a, type(r) AS r, b.name AS b, r.valid AS valid ORDER BY a, r, b"
    )
    [rows] = engine.run(Batch([Query(text, {"user": scope.user_id})]))
    return [tuple(row.values()) for row in rows]


def test_facts_with_their_times_and_types(
    engine: GraphEngine, graph: GraphMemory, ann: Scope
) -> None:
    """What holds and what has ended; names have their spaces back, and the user its id."""
    user = str(ann.user_id)
    write(engine, user, "likes", "green_tea", ids(ann), labels=("person", "drink"))
    write(engine, user, "works_at", "acme", ids(ann), day=1, ended=5)
    write(engine, user, "wrote_to", "ann_lee@example.org", ids(ann), day=2)
    before = old_data(engine, ann)
    assert migrate(engine, engine, scope=ann).scopes == (MigratedScope(ann, 3, 1, 3),)
    assert told(graph.relations(scope=ann)) == {
        (user, "likes", "green tea"),
        (user, "wrote_to", "ann_lee@example.org"),
    }
    [tea] = graph.relations("Green_Tea", scope=ann)
    assert tea.valid_from == WRITTEN
    assert tea.memory_ids == (migrated_id(ann, user, "likes", "green tea"),)
    [acme] = graph.relations("acme", scope=ann, as_of=WRITTEN + timedelta(days=2))
    assert acme.valid_to == WRITTEN + timedelta(days=5)
    assert old_data(engine, ann) == before


def test_a_second_run_changes_nothing(engine: GraphEngine, graph: GraphMemory, ann: Scope) -> None:
    """A migration breaks off, or is started twice."""
    for number in range(5):
        write(engine, "acme", "sells", f"thing_{number}", ids(ann), ended=3 if number else None)
    migrate(engine, engine, scope=ann)
    history = graph.history(scope=ann)
    assert migrate(engine, engine, scope=ann).scopes == (MigratedScope(ann, 5, 4, 0),)
    assert graph.history(scope=ann) == history


def test_another_run_takes_over_what_has_ended_since(
    engine: GraphEngine, graph: GraphMemory, ann: Scope
) -> None:
    """The old application may run on for a while."""
    write(engine, "acme", "is_in", "oslo", ids(ann))
    migrate(engine, engine, scope=ann)
    end = Query(
        "MATCH (a {user_id: $user})-[r:is_in]->() SET r.valid = false", {"user": ann.user_id}
    )
    engine.run(Batch([end], write=True))
    assert migrate(engine, engine, scope=ann).written == 1
    assert graph.relations(scope=ann) == []


def test_hostile_names_are_data(
    engine: GraphEngine, graph: GraphMemory, ann: Scope, bob: Scope
) -> None:
    """Neptune's relationships were not even sanitised."""
    write(engine, "acme", "is_in", "oslo", ids(bob))
    for name in HOSTILE:
        write(engine, name, "knows-of/not", "x" * 400, ids(ann))
    migrate(engine, engine, scope=ann)
    assert {fact.source for fact in graph.relations(scope=ann)} == {
        name.replace("_", " ") for name in HOSTILE
    }
    assert {fact.relationship for fact in graph.relations(scope=ann)} == {"knows_of_not"}
    assert graph.relations(scope=bob) == []
    assert old_data(engine, bob) == [("acme", "is_in", "oslo", True)]


def test_scopes_stay_apart(engine: GraphEngine, graph: GraphMemory, user: str) -> None:
    """A fact belongs to what both of its ends have in common, and never to two users."""
    ann = {"user_id": f"ann-{user}"}
    bot = {**ann, "agent_id": "bot"}
    run = {**bot, "run_id": "r"}
    write(engine, "a", "in", "user", ann)
    write(engine, "a", "in", "bot", bot)
    write(engine, "a", "in", "run", run)
    write(engine, "b", "across", "agents", bot, target_owner={**ann, "agent_id": "other"})
    write(engine, "b", "across", "users", ann, target_owner={"user_id": f"bob-{user}"})
    own = Scope(**ann)
    assert {one.scope: one.facts for one in migrate(engine, engine, scope=own).scopes} == {
        own: 2,
        Scope(**bot): 1,
        Scope(**run): 1,
    }
    assert {fact.target for fact in graph.relations(scope=bot)} == {"bot", "run"}
    assert len(graph.relations(scope=ann)) == 4
    assert graph.relations(scope={"user_id": f"bob-{user}"}) == []


def test_nobodys_facts_are_counted(tmp_path: Path) -> None:
    """What cannot be kept is said, where all is migrated."""
    engine = EmbeddedEngine(tmp_path / "graph")
    write(engine, "a", "b", "c", {"user_id": "ann"}, target_owner={"user_id": "bob"})
    write(engine, "a", "b", "c", {"user_id": "x" * 300})
    write(engine, " ", "b", "c", {"user_id": "ann"})
    write(engine, "a", "b", "c", {"user_id": "ann"})
    done: list[tuple[int, int]] = []
    found = migrate(engine, engine, progress=lambda *counts: done.append(counts))
    assert (found.facts, found.written, found.left_out) == (1, 1, 3)
    assert done[-1] == (2, 2)
    engine.close()


def test_the_user_who_stands_for_everybody(
    engine: GraphEngine, graph: GraphMemory, user: str
) -> None:
    """Where an application named no user, 1.x wrote "user": it is nobody."""
    write(engine, "user", "likes", "tea", {"user_id": "user", "agent_id": f"bot-{user}"})
    bot = Scope(agent_id=f"bot-{user}")
    assert migrate(engine, engine, scope=bot).scopes == (MigratedScope(bot, 1, 0, 1),)
    assert told(graph.relations(scope=bot)) == {("user", "likes", "tea")}


def test_what_1_x_kept_apart_stays_apart(
    engine: GraphEngine, graph: GraphMemory, ann: Scope
) -> None:
    """Neither names that mean nearly the same, nor facts with the same words, become one."""
    write(engine, "ann", "hired", "lead_engineer", ids(ann))
    write(engine, "ann", "hired", "lead_engineers", ids(ann))
    write(engine, "x_y", "z", "w", ids(ann))
    write(engine, "x", "y_z", "w", ids(ann))
    assert migrate(engine, engine, scope=ann).written == 4
    assert len(graph.relations(scope=ann)) == 4


def test_duplicates_become_one(engine: GraphEngine, graph: GraphMemory, ann: Scope) -> None:
    """1.x has a node for each type that a name was given; a fact that one says still holds."""
    write(engine, "acme", "is_in", "oslo", ids(ann), labels=("company", "city"), day=2)
    write(engine, "acme", "is_in", "oslo", ids(ann), labels=("shop", "city"), ended=1)
    assert migrate(engine, engine, scope=ann).scopes == (MigratedScope(ann, 1, 0, 1),)
    [fact] = graph.relations(scope=ann)
    assert fact.valid_from == WRITTEN


def test_memgraphs_entities_are_read_and_ours_are_not(
    engine: GraphEngine, graph: GraphMemory, ann: Scope
) -> None:
    """Both are `Entity`; what this package wrote is not migrated into itself."""
    graph.sync(ann, [Memory(id="m1", text="I|likes|tea", scope=ann, created_at=WRITTEN)])
    write(engine, "acme", "relates", "oslo", ids(ann), labels=("Entity", "Entity"))
    assert [one.facts for one in migrate(engine, engine, scope=ann).scopes] == [1]
    assert [one.facts for one in migrate(engine, engine, scope=ann).scopes] == [1]
    assert len(graph.relations(scope=ann)) == 2


def test_what_another_application_wrote_is_not_read(engine: GraphEngine, ann: Scope) -> None:
    """A database may hold people who know each other, with the names and ids of an application."""
    person = "(:Person {{`~id`: $user + '{0}', name: '{0}', user_id: $user}})"
    text = f"CREATE {person.format('a')}-[:KNOWS]->{person.format('b')}"
    engine.run(Batch([Query(text, {"user": ann.user_id})], write=True))
    assert migrate(engine, None, scope=ann).scopes == ()


def test_a_dry_run_writes_nothing(engine: GraphEngine, graph: GraphMemory, ann: Scope) -> None:
    """It counts as the real one does."""
    write(engine, "acme", "is_in", "oslo", ids(ann), ended=1)
    assert migrate(engine, None, scope=ann).scopes == (MigratedScope(ann, 1, 1, 0),)
    assert graph.history(scope=ann) == []


def test_a_migrated_fact_can_be_taken_back(
    engine: GraphEngine, graph: GraphMemory, ann: Scope
) -> None:
    """By the id of the memory that stands for it; and a new one can end it."""
    write(engine, "ann", "lives_in", "oslo", ids(ann))
    write(engine, "ann", "likes", "tea", ids(ann))
    migrate(engine, engine, scope=ann)
    graph.sync(ann, [], [migrated_id(ann, "ann", "likes", "tea")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    graph.sync(ann, [Memory(id="m1", text="ann|lives in|Rome", scope=ann, created_at=now)])
    assert told(graph.relations(scope=ann)) == {("ann", "lives_in", "Rome")}


def test_pages_and_batches(
    tmp_path: Path, minilm: Embeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From one database to another, in parts; nothing twice, nothing lost, at equal names too."""
    monkeypatch.setattr(module, "_PAGE", 3)
    monkeypatch.setattr(module, "_FACTS_OF_A_BATCH", 2)
    old, new = EmbeddedEngine(tmp_path / "old"), EmbeddedEngine(tmp_path / "new")
    users = [{"user_id": f"user-{number}"} for number in range(3)]
    for owner in users:
        for number in range(7):
            write(old, "acme", "sells", f"thing_{number}", owner, ended=9 if number == 3 else None)
            write(old, "acme", "sells", f"thing_{number}", {**owner, "agent_id": "bot"})
    found = migrate(old, new)
    assert (found.facts, found.written, len(found.scopes)) == (42, 42, 6)
    graph = GraphMemory(new, embedder=minilm)
    for owner in users:
        assert len(graph.relations(scope={**owner, "agent_id": "bot"})) == 7
        assert {len(fact.memory_ids) for fact in graph.relations(scope=owner)} == {1, 2}
    old.close()
    new.close()
