from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from crewai import Agent, Flow, Memory
from crewai.events.event_bus import crewai_event_bus
from crewai.events.types import memory_events
from crewai.flow.flow import start
from crewai.lite_agent import LiteAgent
from crewai.memory.types import MemoryMatch, MemoryRecord
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mem0_integrations import (
    AgentMemory,
    BackendError,
    ClosedError,
    ConfigurationError,
    InvalidInputError,
    RetryPolicy,
    ScopeError,
    connect,
)
from mem0_integrations.crewai import Mem0CrewMemory, Mem0Storage
from mem0_integrations.crewai.engine import messages_of
from mem0_integrations.errors import NotSerializableError

# First: it sets the environment that CrewAI reads when it is imported.
from tests.crewai.crews import ARTICLE, FINDINGS, ScriptedLLM, crew_of, prompts_of
from tests.stores import HookedEmbedder, Scripted, memory_answer, nothing_on_the_loop, texts_of

GRACE = 30.0
EVENTS = [
    kind
    for name, kind in vars(memory_events).items()
    if name.startswith(("MemorySave", "MemoryQuery"))
]
PEANUTS = "The customer is allergic to peanuts."
RAW = f"Task: Find out about allergies.\nAgent: Doctor\nExpected result: A fact.\nResult: {PEANUTS}"


@pytest.fixture
def crew_memory(anywhere: AgentMemory, user: str) -> Iterator[Mem0CrewMemory]:
    made = Mem0CrewMemory(anywhere, user_id=user)
    yield made
    made.close()


@pytest.fixture(scope="module")
def hooked(
    embedder: HookedEmbedder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AgentMemory]:
    """A memory whose embedder does what a test wants; a failure is not tried again."""
    folder, retry = tmp_path_factory.mktemp("hooked"), RetryPolicy(attempts=1)
    with connect("embedded", data_dir=folder, embedder=embedder, retry=retry) as memory:
        yield memory


def fail() -> None:
    raise BackendError("password=hunter2 rejected")


def contents(found: list[Any]) -> set[str]:
    return {
        item.record.content if isinstance(item, MemoryMatch) else item.content for item in found
    }


def stored(memory: AgentMemory, user: str) -> list[str]:
    assert memory.flush(GRACE)
    return sorted(texts_of(memory.list(scope={"user_id": user})))


def remembered(memory: Memory, content: str, *args: Any, **fields: Any) -> MemoryRecord:
    record = memory.remember(content, *args, **fields)
    assert record is not None
    return record


@contextmanager
def events() -> Iterator[list[Any]]:
    """Listen to CrewAI's events about memory."""
    heard: list[Any] = []
    with crewai_event_bus.scoped_handlers():
        for kind in EVENTS:
            crewai_event_bus.on(kind)(lambda source, event: heard.append(event))
        yield heard
        crewai_event_bus.flush()
    heard.sort(key=lambda event: event.timestamp)


def kinds(heard: list[Any]) -> list[str]:
    return [event.type.removeprefix("memory_") for event in heard]


# What is kept.


def test_a_record_comes_back_as_it_was_given(crew_memory: Mem0CrewMemory) -> None:
    """What an application files and filters by must survive."""
    saved = remembered(
        crew_memory,
        PEANUTS,
        scope="/health//food/",
        categories=["allergy", 'a "quoted" one', "ü\U0001f600"],
        metadata={"nested": {"deep": [1, None, 2.5]}, "user_id": "not a tenant"},
        importance=0.9,
        source="agent-1",
        private=True,
    )
    assert (saved.content, saved.scope, saved.importance) == (PEANUTS, "/health/food", 0.9)
    assert (saved.source, saved.private) == ("agent-1", True)
    assert saved.metadata == {"nested": {"deep": [1, None, 2.5]}, "user_id": "not a tenant"}
    (listed,) = crew_memory.list_records()
    (match,) = crew_memory.recall("allergies", source="agent-1")
    assert listed == match.record == saved
    assert saved.created_at.tzinfo is saved.last_accessed.tzinfo is None
    assert abs(saved.created_at - datetime.now(UTC).replace(tzinfo=None)) < timedelta(minutes=1)


def test_nothing_of_ours_gets_into_a_prompt(crew_memory: Mem0CrewMemory) -> None:
    """CrewAI prints every key of a record's metadata for the agent."""
    crew_memory.remember(PEANUTS)
    (match,) = crew_memory.recall("allergies")
    assert match.format() == f"- (score={match.score:.2f}) {PEANUTS}"
    assert match.match_reasons == ["semantic"]


def test_what_somebody_remembers_is_kept_word_for_word_and_once(crew_memory) -> None:
    """An agent saves the same fact at every kickoff."""
    text = "Hello! The invoice says: 'Pay now?' Thanks."
    first = remembered(crew_memory, text, scope="/a", categories=["x"])
    assert first.content == text
    assert remembered(crew_memory, f" {text}\n", scope="/a", categories=["x"]).id == first.id
    crew_memory.remember_many([text, text], scope="/a", categories=["x"])
    crew_memory.drain_writes()
    assert [record.id for record in crew_memory.list_records()] == [first.id]
    for other in (
        {"scope": "/a/b", "categories": ["x"]},
        {"scope": "/a", "categories": ["y"]},
        {"scope": "/a", "categories": ["x"], "private": True, "source": "s"},
    ):
        record = remembered(crew_memory, text, **other)
        assert record.id != first.id
        assert remembered(crew_memory, text, **other).id == record.id
    assert remembered(crew_memory, text, scope="/a", categories=["x"]).id == first.id
    assert len(crew_memory.list_records()) == 4
    crew_memory.update(first.id, importance=0.9)
    again = remembered(crew_memory, text, scope="/a", categories=["x"], importance=0.9)
    assert again.id == first.id


def test_what_was_deleted_can_be_remembered_again(crew_memory: Mem0CrewMemory) -> None:
    """A key that is accepted once would refuse it for ever."""
    for _ in range(2):
        record = remembered(crew_memory, PEANUTS)
        assert crew_memory.forget(record_ids=[record.id]) == 1
        crew_memory.remember_many(crew_memory.extract_memories(RAW))
        crew_memory.drain_writes()
        assert contents(crew_memory.list_records()) == {PEANUTS}
        crew_memory.reset()


def test_what_an_agent_has_done_is_extracted_by_mem0(crew_memory: Mem0CrewMemory) -> None:
    """The task, the role and what was expected are not facts."""
    assert crew_memory.extract_memories(RAW) == [RAW]
    assert crew_memory.extract_memories(" \n") == []
    crew_memory.remember_many(crew_memory.extract_memories(RAW), root_scope="/crew/agent/doctor")
    crew_memory.drain_writes()
    (record,) = crew_memory.list_records()
    assert (record.content, record.scope) == (PEANUTS, "/crew/agent/doctor")


def test_extraction_can_be_left_out(shared: AgentMemory, user: str) -> None:
    """For those who want the whole report."""
    memory = Mem0CrewMemory(shared, user_id=user, infer=False)
    memory.remember_many(memory.extract_memories(RAW))
    memory.drain_writes()
    assert stored(shared, user) == [RAW]
    memory.close()


@pytest.mark.parametrize(
    ("raw", "messages"),
    [
        (RAW, [("assistant", RAW.partition("\nResult")[0]), ("user", PEANUTS)]),
        (
            "Task: a\nAgent: b\nExpected result: c\nResult: Thought: d\nFinal Answer: e\nResult: f",
            [("assistant", "Task: a\nAgent: b\nExpected result: c"), ("user", " e\nResult: f")],
        ),
        (
            "Input: I like tea.\nAnd you?\nAgent: Waiter\nResult: Me too.",
            [("user", "I like tea.\nAnd you?"), ("assistant", "Me too.")],
        ),
        (
            "Task: a\nResult: x\nAgent: b\n\nExpected result: c\nResult: d",
            [("assistant", "Task: a\nResult: x\nAgent: b\n\nExpected result: c"), ("user", "d")],
        ),
        (
            "Input: a\nResult: b\nAgent: c\nResult: d",
            [("user", "a\nResult: b"), ("assistant", "d")],
        ),
        ("Task: a\nAgent: b\nExpected result: c\nResult: ", None),
        ("Input: a\nResult: b", None),
        ("I like tea.", None),
        ("", None),
    ],
)
def test_a_raw_text_is_read_as_what_it_is(raw: str, messages: list[Any] | None) -> None:
    """Mem0 learns from what was found out, and from what the user said."""
    assert messages_of(raw) == (messages or [("user", raw)])


def test_a_task_with_a_whole_document_does_not_cost_its_result(
    shared: AgentMemory, user: str
) -> None:
    """Inputs are put into a task's description, and Mem0 takes no message of any length."""
    memory = Mem0CrewMemory(shared, user_id=user)
    memory.remember_many(memory.extract_memories(RAW.replace("about", "about this " * 20_000)))
    memory.drain_writes()
    assert stored(shared, user) == [PEANUTS]
    memory.close()


def test_half_a_character_costs_nothing(crew_memory: Mem0CrewMemory) -> None:
    """A model may be cut off within an emoji; the whole result would be lost with it."""
    crew_memory.remember_many(crew_memory.extract_memories(f"{RAW} \ud83d"))
    crew_memory.drain_writes()
    assert PEANUTS in contents(crew_memory.list_records())
    saved = remembered(crew_memory, "Likes\0 zebras. \ud83d")
    assert saved.content == "Likes zebras. ?"
    changed = crew_memory.update(saved.id, content="Likes \0gnus. \ud83d")
    assert changed.content == "Likes gnus. ?"
    assert "Likes gnus. ?" in contents(crew_memory.recall("gnus \ud83d"))


def test_mem0s_model_extracts_with_one_call(tmp_path: Path) -> None:
    """CrewAI's own takes one to extract, and two for each statement."""
    model = Scripted(answers=[memory_answer("Allergic to peanuts.", "Asked in May.")])
    with connect("embedded", data_dir=tmp_path, llm=model) as connected:
        memory = Mem0CrewMemory(connected, user_id="u", root_scope="/doctors")
        memory.remember_many(memory.extract_memories(RAW), categories=["health"], importance=0.7)
        memory.drain_writes()
        assert len(model.asked) == 1
        asked = str(model.asked[0])
        assert PEANUTS in asked
        assert "Find out about allergies." in asked
        records = memory.list_records()
        assert contents(records) == {"Allergic to peanuts.", "Asked in May."}
        assert len({record.id for record in records}) == 2
        assert {record.scope for record in records} == {"/doctors"}
        assert {record.importance for record in records} == {0.7}
        found = memory.recall("peanuts", categories=["health"])
        assert "Allergic to peanuts." in contents(found)
        memory.remember("Chosen words.")
        assert len(model.asked) == 1
        memory.close()


def test_something_always_comes_back(hooked: AgentMemory, user: str, hook: Any) -> None:
    """CrewAI's tool reads the scope of what is returned, and an agent fails without."""
    memory = Mem0CrewMemory(hooked, user_id=user, save_timeout=0.3, root_scope="/r")
    (greeting,) = memory.extract_memories("Hello there!")
    assert remembered(memory, greeting).scope == "/r"
    assert remembered(memory, " ").scope == "/r"
    assert memory.list_records() == []

    going = threading.Event()
    hook(lambda: going.wait(GRACE))
    record = remembered(memory, PEANUTS, scope="/s", importance=0.7)
    assert (record.content, record.scope, record.importance) == (PEANUTS, "/r/s", 0.7)
    going.set()
    assert hooked.flush(GRACE)
    assert contents(memory.list_records()) == {PEANUTS}
    assert Mem0CrewMemory(hooked, user_id=user, read_only=True).remember("x") is None
    memory.close()


def test_bad_input_is_told_before_anything_is_stored(crew_memory: Mem0CrewMemory) -> None:
    """Half a batch would be hard to repeat."""
    with pytest.raises(ValueError, match="less than or equal to 1"):
        crew_memory.remember("x", importance=2.0)
    with pytest.raises(NotSerializableError):
        crew_memory.remember("x", metadata={"when": datetime.now(UTC)})
    with pytest.raises(InvalidInputError):
        crew_memory.remember("x" * 100_001)
    assert crew_memory.list_records() == []


@pytest.mark.parametrize(
    "options",
    [
        {"user_id": ""},
        {"user_id": None},
        {"user_id": "u", "threshold": 2.0},
        {"user_id": "u", "timeout": 0},
        {"user_id": "u", "save_timeout": -1},
        {"user_id": "u", "on_error": "ignore"},
    ],
)
def test_a_malformed_argument_is_refused(shared: AgentMemory, options: dict[str, Any]) -> None:
    """A typo must not wait for the first kickoff."""
    with pytest.raises((InvalidInputError, ScopeError)):
        Mem0CrewMemory(shared, **options)
    with pytest.raises(TypeError):
        Mem0CrewMemory(shared, user_id="u", user="typo")  # type: ignore[call-arg]


# What is found.


DEEP = "/1/2/3/4/5/6/7/8/9"


def test_scopes_are_paths(crew_memory: Mem0CrewMemory) -> None:
    """A string prefix would mix the crews `research` and `research-2`."""
    places = ("/a", "/a/b", "/ab", "/", DEEP, f"{DEEP}0")
    for place in places:
        crew_memory.remember(f"Tea at {place}.", scope=place)
    under = {"/a": 2, "a/": 2, "/a/b": 1, "/": 6, DEEP: 1, "/1/2/3/4/5/6/7": 2, "/x": 0, "/a/": 2}
    for prefix, count in under.items():
        assert len(crew_memory.recall("tea", scope=prefix)) == count, prefix
        assert len(crew_memory.list_records(prefix)) == count, prefix
        assert crew_memory.info(prefix).record_count == count, prefix
    assert len(crew_memory.recall("tea", scope=None)) == 6
    assert crew_memory.list_scopes() == ["/1", "/a", "/ab"]


def test_the_root_scope_holds_all_others(anywhere: AgentMemory, user: str) -> None:
    """Two crews of one user stay apart, however they name what is inside."""
    one, two = (Mem0CrewMemory(anywhere, user_id=user, root_scope=root) for root in ("/one", "two"))
    assert remembered(one, "Tea for one.", scope="/x").scope == "/one/x"
    assert remembered(two, "Tea for two.", scope="x").scope == "/two/x"
    assert remembered(two, "Tea elsewhere.", root_scope="/three").scope == "/three"
    assert contents(one.recall("tea")) == contents(one.list_records()) == {"Tea for one."}
    assert contents(two.recall("tea", scope="/x")) == {"Tea for two."}
    assert one.list_scopes() == ["/one/x"]
    assert one.tree() == "/one (1 records)\n  /one/x (1 records)"
    assert two.forget() == 1
    one.reset_all()
    assert two.list_records() == stored(anywhere, user) == []
    one.close()
    two.close()


def test_lists_and_trees_are_those_of_crewais_own_memory(
    with_vectors: AgentMemory, user: str
) -> None:
    """Whoever changes from one to the other sees the same records."""
    crew_memory = Mem0CrewMemory(with_vectors, user_id=user)
    for number in range(7):
        crew_memory.remember(
            f"Fact {number}.", scope=f"/{number % 3}/{number}", categories=[f"c{number % 2}", "all"]
        )
    own = Mem0Storage(with_vectors, user_id=user).memory()
    for call in (
        lambda memory: memory.tree(),
        lambda memory: memory.tree("/1", max_depth=1),
        lambda memory: memory.info("/1"),
        lambda memory: memory.info(),
        lambda memory: memory.list_scopes("/2"),
        lambda memory: memory.list_categories(),
        lambda memory: memory.list_categories("/0"),
        lambda memory: memory.list_records(limit=3, offset=2),
        lambda memory: memory.list_records("/1", limit=0),
        lambda memory: memory.scope("/1").tree(),
        lambda memory: memory.slice(["/1", "/2"]).info(),
    ):
        assert call(crew_memory) == call(own)
    assert [record.content for record in crew_memory.list_records(limit=2)] == [
        "Fact 6.",
        "Fact 5.",
    ]
    own.close()


def test_categories_and_scopes_are_found_in_a_crowd(crew_memory: Mem0CrewMemory) -> None:
    """A filter after the search would find nothing among nearer ones."""
    crew_memory.remember_many([f"Tea number {number}." for number in range(15)], scope="/many")
    crew_memory.remember("The printer is broken.", scope=DEEP, categories=["it", "office"])
    crew_memory.drain_writes()
    memory = crew_memory
    for asked in (
        {"categories": ["office", "unknown"]},
        {"scope": DEEP},
        {"scope": "/1", "categories": ["it"]},
    ):
        assert contents(memory.recall("printers", limit=1, **asked)) == {"The printer is broken."}
    assert len(memory.recall("tea", categories=[], limit=3)) == 3
    assert memory.recall("tea", categories=["unknown"]) == []


def test_private_records_are_shown_to_their_source(crew_memory: Mem0CrewMemory) -> None:
    """Also where a public one says the same."""
    crew_memory.remember("The code is 4711.", source="a", private=True)
    crew_memory.remember("A code without a source.", private=True)
    assert crew_memory.recall("code") == crew_memory.recall("code", source="b") == []
    assert contents(crew_memory.recall("code", source="a")) == {"The code is 4711."}
    assert len(crew_memory.recall("code", include_private=True)) == 2
    crew_memory.remember("The code is 4711.", source="b")
    crew_memory.remember("The code is 4711.", source="a", private=True, importance=0.9)
    (match,) = crew_memory.recall("code")
    assert (match.record.source, match.record.private) == ("b", False)


def test_ranking_is_mem0s(anywhere: AgentMemory, user: str, crew_memory: Mem0CrewMemory) -> None:
    """Scores are comparable with those of a recall elsewhere."""
    for text in ("Likes green tea.", "Owns a red car.", "Drinks tea at five.", "Lives in Oslo."):
        crew_memory.remember(text)
    expected = anywhere.recall("tea", scope={"user_id": user}, limit=10).memories
    matches = crew_memory.recall("tea", depth="deep")
    assert [(match.record.content, match.score) for match in matches] == [
        (memory.text, memory.score) for memory in expected
    ]
    assert all(0 <= match.score <= 1 for match in matches)
    strict = Mem0CrewMemory(anywhere, user_id=user, threshold=0.99)
    assert strict.recall("Where does the ship go?") == []


def test_odd_questions_do_no_harm(shared: AgentMemory, user: str) -> None:
    """An agent may ask without words, and a slice for twice as many as there can be."""
    crew_memory = Mem0CrewMemory(shared, user_id=user)
    crew_memory.remember(PEANUTS)
    assert crew_memory.recall("") == crew_memory.recall(" \n") == []
    assert crew_memory.recall("peanuts", limit=0) == crew_memory.recall("peanuts", limit=-1) == []
    assert len(crew_memory.recall("peanuts", limit=100_000)) == 1
    assert len(crew_memory.recall("\ud800 peanuts " * 1000)) == 1
    crew_memory.close()


# What is changed.


def test_an_update_changes_what_it_names(crew_memory: Mem0CrewMemory) -> None:
    """The rest stays, the id and the privacy among it."""
    saved = remembered(
        crew_memory, "Likes tea.", scope="/a", categories=["x"], source="s", private=True
    )
    crew_memory.root_scope = "/root"
    updated = crew_memory.update(
        saved.id, content="Likes coffee.", scope="/b", metadata={"k": 1}, importance=0.9
    )
    crew_memory.root_scope = None
    (listed,) = crew_memory.list_records("/root/b")
    assert listed == updated
    assert updated.model_dump() == {
        **saved.model_dump(),
        "content": "Likes coffee.",
        "scope": "/root/b",
        "metadata": {"k": 1},
        "importance": 0.9,
        "last_accessed": updated.last_accessed,
    }
    assert crew_memory.update(saved.id, metadata={}, categories=[]).metadata == {}
    assert contents(crew_memory.recall("coffee", source="s")) == {"Likes coffee."}
    with pytest.raises(ValueError, match="less than or equal to 1"):
        crew_memory.update(saved.id, importance=7.0)
    for unknown in ("invented", "", "\0", "\ud800", "5e0f8f0e-5a0c-5c9b-9d55-2f0b7a6e2c11"):
        with pytest.raises(ValueError, match="Record not found"):
            crew_memory.update(unknown, content="x")


def test_both_kinds_of_memory_change_each_others_records(
    with_vectors: AgentMemory, user: str
) -> None:
    """The copy of an agent has the other kind."""
    crew_memory = Mem0CrewMemory(with_vectors, user_id=user)
    own = Mem0Storage(with_vectors, user_id=user).memory()
    fields: dict[str, Any] = {"scope": "/a", "categories": ["x"], "importance": 0.5}
    theirs = remembered(own, "Likes tea.", **fields)
    ours = remembered(crew_memory, "Lives in Oslo.", **fields)
    for memory in (own, crew_memory):
        for record in (theirs, ours):
            changed = memory.update(record.id, importance=0.8, content=f"{record.content} Indeed.")
            assert changed.id == record.id
            assert len(memory.list_records()) == 2
        assert len(memory.recall("Indeed", depth="shallow")) == 2
    assert own.forget(record_ids=[ours.id]) == crew_memory.forget(record_ids=[theirs.id]) == 1
    assert crew_memory.list_records() == []
    own.close()


def test_all_criteria_must_be_met_to_forget(crew_memory: Mem0CrewMemory) -> None:
    """What is deleted does not come back."""
    first = remembered(crew_memory, "Tea.", scope="/a", categories=["x"], metadata={"k": 1})
    crew_memory.remember_many(["Coffee."], scope="/a/b", categories=["x", "y"])
    # It waits for what is being saved.
    assert crew_memory.forget(scope="/a/b", categories=["z"]) == 0
    assert crew_memory.forget(record_ids=[]) == 0
    assert crew_memory.forget(record_ids=["invented", "", "\ud800"]) == 0
    assert crew_memory.forget(record_ids=[first.id], scope="/b") == 0
    assert crew_memory.forget(older_than=datetime.now(UTC) - timedelta(days=1)) == 0
    assert crew_memory.forget(metadata_filter={"k": 2}) == 0
    assert crew_memory.forget(scope="/a", categories=["y"]) == 1
    assert crew_memory.forget(older_than=datetime.now(UTC), metadata_filter={"k": 1}) == 1
    assert crew_memory.list_records() == []


def test_a_reset_reaches_what_lies_within(crew_memory: Mem0CrewMemory) -> None:
    """Not the crew whose name begins alike, and what is being saved, too."""
    for scope in ("/a/b", "/ab", "/"):
        crew_memory.remember(f"Tea at {scope}.", scope=scope)
    crew_memory.remember_many(["Tea at /a."], scope="/a")
    crew_memory.reset("/a")
    assert contents(crew_memory.list_records()) == {"Tea at /ab.", "Tea at /."}
    crew_memory.reset()
    assert crew_memory.list_records() == []


def test_read_only_changes_nothing_but_forgets(anywhere: AgentMemory, user: str) -> None:
    """As CrewAI documents it."""
    saved = remembered(Mem0CrewMemory(anywhere, user_id=user), PEANUTS)
    memory = Mem0CrewMemory(anywhere, user_id=user, read_only=True)
    assert memory.remember("x") is None
    assert memory.remember_many(["x"]) == []
    assert memory.update(saved.id, content="x") == saved
    assert contents(memory.recall("peanuts")) == {PEANUTS}
    assert memory.scope("/").read_only
    assert memory.forget(record_ids=[saved.id]) == 1


# Whose it is.


def test_it_is_the_same_memory_as_everywhere(
    anywhere: AgentMemory, user: str, crew_memory: Mem0CrewMemory
) -> None:
    """What a crew finds out, the customer's chat knows; the other way round, on request."""
    scope = {"user_id": user}
    anywhere.remember("I like tea.", scope=scope)
    crew_memory.remember("The customer owns a kettle.", scope="/kitchen")
    found = texts_of(anywhere.recall("tea kettle", scope=scope).memories)
    assert sorted(found) == ["I like tea.", "The customer owns a kettle."]
    assert contents(crew_memory.recall("tea kettle")) == {"The customer owns a kettle."}
    assert len(crew_memory.list_records()) == 1

    both = Mem0CrewMemory(anywhere, user_id=user, shared=True, root_scope="/kitchen")
    for view in (both, both.scope("/stove")):
        assert "I like tea." in contents(view.recall("tea"))
    (said,) = [m.record for m in both.recall("tea") if m.record.content == "I like tea."]
    assert (said.scope, said.importance, said.metadata) == ("/kitchen", 0.5, {})
    assert both.recall("tea", categories=["drinks"]) == []
    assert both.info().record_count == 2

    both.reset_all()
    both.forget()
    both.reset("/")
    assert stored(anywhere, user) == ["I like tea."]
    assert anywhere.forget(scope).memories == 1
    assert both.list_records() == []
    both.close()


SCOPES = st.sampled_from(["/", "/a", "a", "//a/", "/../", "/a'b", "/%", "/*", "/\U0001f600", None])
NAMES = st.sampled_from(["x", "*", "%", "' OR 1=1", "y"])
NEAR = st.sampled_from(["tea", "secret"])


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    theirs=st.lists(st.tuples(SCOPES, NAMES), min_size=1, max_size=3),
    mine=SCOPES,
    category=NAMES,
    invented=st.lists(st.text(max_size=8), max_size=2),
    is_shared=st.booleans(),
    root=SCOPES,
)
def test_no_operation_reaches_another_user(  # noqa: PLR0917
    shared: AgentMemory, theirs, mine, category, invented, is_shared, root
) -> None:
    """Whatever a model makes of scopes, categories and ids."""
    names = [f"{name}-{id(theirs)}-{len(theirs)}" for name in ("ann", "bob")]
    for name in names:
        shared.forget({"user_id": name})
    ann = Mem0CrewMemory(shared, user_id=names[0])
    bob = Mem0CrewMemory(shared, user_id=names[1], shared=is_shared, root_scope=root)
    ids = [
        remembered(ann, f"Ann's secret {n} is tea.", scope, [name], source=name).id
        for n, (scope, name) in enumerate(theirs)
    ]
    before = sorted(ann.list_records(), key=lambda record: record.id)
    assert len(before) == len(theirs)
    bob.remember("Bob likes tea.", scope=mine, categories=[category])
    for scope in (mine, None, f"/{names[0]}", *(scope for scope, _ in theirs)):
        for source in (None, category):
            found = bob.recall("secret tea", scope, None, 50, "deep", source, True)
            assert contents(found) <= {"Bob likes tea."}
        assert contents(bob.list_records(scope)) <= {"Bob likes tea."}
        assert bob.info(scope).record_count <= 1
        bob.reset(scope)
    assert bob.list_categories().keys() <= {category}
    for record_id in [*ids, *invented]:
        with pytest.raises(ValueError, match="Record not found"):
            bob.update(record_id, content="Bob was here.")
    assert bob.forget(record_ids=[*ids, *invented]) == 0
    assert bob.forget() <= 1
    bob.reset_all()
    assert sorted(ann.list_records(), key=lambda record: record.id) == before
    ann.close()
    bob.close()


@pytest.mark.parametrize("user_id", [lambda: "", lambda: None, ContextVar[str]("unset").get])
def test_without_a_user_nothing_happens(shared: AgentMemory, user_id: Any) -> None:
    """There is no default user whom all the others would share."""
    memory = Mem0CrewMemory(shared, user_id=user_id)
    for call in (
        lambda: memory.remember("x"),
        lambda: memory.remember_many(["x"]),
        lambda: memory.recall("x"),
        lambda: memory.update("id", content="x"),
        memory.forget,
        memory.list_records,
        memory.info,
        memory.reset,
        memory.reset_all,
    ):
        with pytest.raises(ScopeError):
            call()
    memory.close()


def test_a_save_goes_to_whom_it_was_made_for(hooked: AgentMemory, user: str, hook: Any) -> None:
    """The next user may come before the thread of the saves has got to it."""
    users = [f"{user}-1", f"{user}-2"]
    now = users[0]
    memory = Mem0CrewMemory(hooked, user_id=lambda: now)
    going = threading.Event()
    hook(lambda: going.wait(GRACE))
    memory.remember_many(["Of the first."])
    memory.remember_many(["Of the first, too."])
    now = users[1]
    memory.remember_many(["Of the second."])
    going.set()
    memory.drain_writes()
    assert stored(hooked, users[0]) == ["Of the first, too.", "Of the first."]
    assert stored(hooked, users[1]) == ["Of the second."]
    memory.close()


# In the background, and when it fails.


def test_saves_in_the_background_are_waited_for(crew_memory: Mem0CrewMemory) -> None:
    """The next agent has to know what the one before has found out."""
    assert crew_memory.remember_many([]) == []
    assert crew_memory.remember_many(["Likes tea.", "Lives in Oslo."]) == []
    assert contents(crew_memory.recall("tea")) >= {"Likes tea."}
    assert len(crew_memory.list_records()) == 2


def test_one_bad_text_does_not_cost_the_others(crew_memory: Mem0CrewMemory, caplog) -> None:
    """They are lost otherwise: nobody repeats a batch."""
    with events() as heard:
        crew_memory.remember_many(["Likes tea.", "x" * 100_001, "Lives in Oslo."])
        crew_memory.drain_writes()
    assert contents(crew_memory.list_records()) == {"Likes tea.", "Lives in Oslo."}
    assert kinds(heard) == ["save_started", "save_failed"]
    assert "A save of a crew failed: InvalidMessageError." in caplog.text


def test_crewais_events_tell_what_happens(crew_memory: Mem0CrewMemory) -> None:
    """Traces and dashboards are made of them."""
    with events() as heard:
        crew_memory.remember(PEANUTS, metadata={"k": 1}, agent_role="Doctor")
        crew_memory.remember_many(["Likes tea."], agent_role="Waiter")
        found = crew_memory.recall("peanuts", limit=3)
    saved, queried = heard[:4], heard[4:]
    assert kinds(saved) == ["save_started", "save_completed"] * 2
    assert (saved[0].value, saved[1].value, saved[1].metadata) == (PEANUTS, PEANUTS, {"k": 1})
    assert [event.agent_role for event in saved[1::2]] == ["Doctor", "Waiter"]
    assert saved[3].value == "1 memories saved"
    assert kinds(queried) == ["query_started", "query_completed"]
    assert (queried[1].query, queried[1].limit, queried[1].results) == ("peanuts", 3, found)
    assert {event.source_type for event in heard} == {"unified_memory"}


def test_a_failing_memory_finds_nothing_and_says_so(hooked, user, hook, caplog) -> None:
    """An empty memory and one that cannot be read are not the same."""
    memory = Mem0CrewMemory(hooked, user_id=user)
    memory.remember(PEANUTS)
    hook(fail)
    with caplog.at_level(logging.INFO), events() as heard:
        assert memory.recall("peanuts") == []
        assert remembered(memory, "Likes tea.", scope="/a").scope == "/a"
        memory.remember_many(["Lives in Oslo."])
        memory.drain_writes()
    assert kinds(heard)[:2] == ["query_started", "query_failed"]
    assert "hunter2" in heard[1].error
    # CrewAI reports a failed `remember` twice.
    assert kinds(heard)[2:5] == ["save_started", "save_failed", "save_failed"]
    assert kinds(heard)[5:] == ["save_started", "save_failed"]
    assert "Recall degraded" in caplog.text
    assert caplog.text.count("A save of a crew failed: BackendError.") == 2
    assert not any(word in caplog.text for word in ("peanuts", "tea", "Oslo", "hunter2"))
    # What was accepted is not lost.
    assert len(hooked.dead_letters()) >= 2
    memory.close()


def test_a_failure_can_be_raised(hooked: AgentMemory, user: str, hook: Any) -> None:
    """For applications that would rather stop."""
    memory = Mem0CrewMemory(hooked, user_id=user, on_error="raise")
    hook(fail)
    with events() as heard:
        with pytest.raises(BackendError):
            memory.recall("peanuts")
        with pytest.raises(BackendError):
            memory.remember(PEANUTS)
        memory.remember_many([PEANUTS])
        memory.drain_writes()
    assert "query_failed" in kinds(heard)
    assert kinds(heard).count("save_failed") >= 2
    memory.close()


def test_a_hanging_memory_does_not_hold_a_crew_up(hooked, user, hook) -> None:
    """A recall waits for saves, and a save for a store that may be gone."""
    memory = Mem0CrewMemory(hooked, user_id=user, timeout=0.2, save_timeout=0.2)
    going = threading.Event()
    hook(lambda: going.wait(GRACE))
    began = datetime.now()
    memory.remember_many(["Likes tea.", "Lives in Oslo."])
    assert memory.recall("tea") == []
    assert datetime.now() - began < timedelta(seconds=5)
    going.set()
    assert stored(hooked, user) == ["Likes tea.", "Lives in Oslo."]
    memory.close()


def test_threads_may_share_it(shared: AgentMemory, user: str) -> None:
    """Tasks run at the same time, and agents in them."""
    memory = Mem0CrewMemory(shared, user_id=user)

    def work(number: int) -> bool:
        record = remembered(memory, f"Likes tea number {number}.", scope=f"/{number}")
        memory.remember_many([f"Likes coffee number {number}."], scope=f"/{number}")
        (match,) = memory.recall("tea", scope=f"/{number}", limit=1)
        return match.record == record

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert len(memory.list_records()) == 16
    memory.close()


def test_closing_leaves_the_memory_open(shared: AgentMemory, user: str) -> None:
    """Other crews use it, too."""
    memory = Mem0CrewMemory(shared, user_id=user)
    memory.remember_many(["Likes tea."])
    memory.close()
    assert stored(shared, user) == ["Likes tea."]
    memory.remember_many(["Lives in Oslo."])
    assert len(memory.recall("tea and Oslo")) == 2


def test_a_closed_memory_says_so(tmp_path: Path) -> None:
    """Nothing would be found for ever."""
    with connect("embedded", data_dir=tmp_path) as connected:
        memory = Mem0CrewMemory(connected, user_id="u")
    with pytest.raises(ClosedError):
        memory.recall("tea")
    with pytest.raises(ClosedError):
        memory.remember("tea")
    memory.close()


async def test_async_calls_do_not_block_the_loop(crew_memory: Mem0CrewMemory) -> None:
    """CrewAI's own do."""
    with nothing_on_the_loop(AgentMemory, "recall", "remember"):
        record = await crew_memory.aremember(PEANUTS, "/a", categories=["x"], importance=0.9)
        assert await crew_memory.aremember_many(["Likes tea."], scope="/b") == []
        assert await crew_memory.aextract_memories(RAW) == [RAW]
        found = await crew_memory.arecall("peanuts", scope="/a", limit=3)
    assert [match.record for match in found] == [record]
    assert crew_memory.list_scopes() == ["/a", "/b"]


async def test_async_calls_see_the_users_of_their_tasks(shared: AgentMemory, user: str) -> None:
    """They run in other threads."""
    current: ContextVar[str] = ContextVar("current")
    memory = Mem0CrewMemory(shared, user_id=current.get)
    current.set(user)
    await memory.aremember("Likes tea.")
    assert len(await memory.arecall("tea")) == 1
    assert stored(shared, user) == ["Likes tea."]
    memory.close()


# In crews, flows and agents.


def last_prompts(llm: ScriptedLLM, run: Callable[[], object]) -> list[str]:
    """Run something and return what the agents saw meanwhile."""
    before = len(llm.task_prompts)
    run()
    return llm.task_prompts[before:]


@pytest.mark.parametrize("native", [False, True])
def test_the_second_kickoff_knows_what_the_first_found_out(shared, user, native) -> None:
    """It is what a crew has a memory for; and its model is not asked on the way."""
    memory = Mem0CrewMemory(shared, user_id=user, root_scope="/zoo")
    llm = ScriptedLLM([FINDINGS, ARTICLE, FINDINGS, ARTICLE], native=native)
    crew = crew_of(llm, memory=memory)
    first, _ = last_prompts(llm, crew.kickoff)
    assert FINDINGS not in first
    for prompt in last_prompts(llm, crew.kickoff):
        _, _, relevant = prompt.partition("Relevant memories:\n")
        assert f") {FINDINGS}\n" in relevant
        assert "crewai" not in relevant
        assert user not in prompt
    assert llm.memory_calls == []
    assert stored(shared, user) == sorted([FINDINGS, ARTICLE])
    assert memory.list_scopes("/agent") == ["/zoo/agent/researcher", "/zoo/agent/writer"]
    crew.reset_memories(command_type="memory")
    assert stored(shared, user) == []
    memory.close()


async def test_async_kickoffs_work(shared: AgentMemory, user: str) -> None:
    """They call the same methods, some of them in other threads."""
    memory = Mem0CrewMemory(shared, user_id=user)
    crew = crew_of(memory=memory)
    await crew.kickoff_async()
    await crew.akickoff()
    for prompt in prompts_of(crew)[2:]:
        assert f") {FINDINGS}\n" in prompt
    memory.close()


current_user: ContextVar[str] = ContextVar("current_user")


def enter(inputs: dict[str, Any] | None) -> dict[str, Any]:
    """What an application does before a kickoff."""
    assert inputs is not None
    current_user.set(inputs["user"])
    return inputs


@pytest.mark.parametrize("way", ["one after the other", "at the same time"])
def test_one_crew_serves_many_users(shared: AgentMemory, user: str, way: str) -> None:
    """Whoever is served first must not be known to the next."""
    users = [f"{user}-{number}" for number in range(3)]

    def answer(messages: list[dict[str, Any]]) -> str:
        (whose,) = {name for name in users if f"customer {name} " in str(messages)}
        return f"This customer's code is {whose}."

    memory = Mem0CrewMemory(shared, user_id=current_user.get)
    llm = ScriptedLLM(answer)
    tasks = ("What is the code of customer {user} ?", "Tell customer {user} the code.")
    crew = crew_of(llm, tasks=tasks, memory=memory, before_kickoff_callbacks=[enter])
    inputs = [{"user": name} for name in users]
    for _ in range(2):
        if way == "one after the other":
            crew.kickoff_for_each(inputs)
        else:
            asyncio.run(crew.kickoff_for_each_async(inputs))
    for name in users:
        assert stored(shared, name) == [f"This customer's code is {name}."]
    for prompt in llm.task_prompts:
        _, _, relevant = prompt.partition("Relevant memories:")
        assert len({name for name in users if f"code is {name}." in relevant}) <= 1
        assert len({name for name in users if name in prompt}) == 1
    memory.close()


def test_an_agent_saves_and_searches_with_crewais_tools(shared: AgentMemory, user: str) -> None:
    """They are given to every agent of a crew with memory."""
    answers = [
        'Thought: save\nAction: save_to_memory\nAction Input: {"contents": ["Stripes."]}',
        'Thought: look\nAction: search_memory\nAction Input: {"queries": ["stripes"]}',
        FINDINGS,
        ARTICLE,
    ]
    memory = Mem0CrewMemory(shared, user_id=user)
    crew = crew_of(ScriptedLLM(answers), memory=memory)
    crew.kickoff()
    prompts = prompts_of(crew)
    assert "Saved to memory (scope=/, importance=0.5)." in prompts[1]
    assert "Found memories:\n- (score=" in prompts[2]
    memory.close()


@pytest.mark.parametrize("on_error", ["degrade", "raise"])
def test_a_crew_does_not_die_of_its_memory(hooked, user, hook, on_error) -> None:
    """It goes on without."""
    memory = Mem0CrewMemory(hooked, user_id=user, on_error=on_error, save_timeout=1.0)
    answers = [
        'Thought: save\nAction: save_to_memory\nAction Input: {"contents": ["Zebras."]}',
        'Thought: look\nAction: search_memory\nAction Input: {"queries": ["stripes"]}',
        FINDINGS,
        ARTICLE,
    ]
    crew = crew_of(ScriptedLLM(answers), memory=memory)
    hook(fail)
    assert crew.kickoff().raw == ARTICLE  # type: ignore[union-attr]
    missing = Mem0CrewMemory(hooked, user_id=lambda: "")
    assert crew_of(memory=missing).kickoff().raw == ARTICLE  # type: ignore[union-attr]
    memory.close()
    missing.close()


def test_views_restrict_a_crew(shared: AgentMemory, user: str) -> None:
    """A scope or a slice is given to a crew like the memory itself."""
    memory = Mem0CrewMemory(shared, user_id=user)
    memory.remember("Secret zebras of finance.", scope="/finance")
    memory.remember("Zebras of the zoo.", scope="/zoo")
    memory.remember("Zebras of the park.", scope="/park")
    crew = crew_of(memory=memory.scope("/zoo"))
    crew.kickoff()
    memory.drain_writes()
    assert "Zebras of the zoo." in prompts_of(crew)[0]
    assert "finance" not in prompts_of(crew)[0]
    assert contents(memory.list_records("/zoo")) == {"Zebras of the zoo.", FINDINGS, ARTICLE}
    crew = crew_of(memory=memory.slice(["/zoo", "/park"]))
    crew.kickoff()
    assert "Zebras of the park." in prompts_of(crew)[0]
    assert "finance" not in prompts_of(crew)[0]
    view = memory.scope("/zoo").subscope("cages")
    assert remembered(view, "Cage 3 is empty.", "/north").scope == "/zoo/cages/north"
    assert contents(view.recall("cage")) == {"Cage 3 is empty."}
    view.reset()
    assert memory.list_scopes("/zoo") == []
    memory.close()


def test_single_agents_remember_what_the_user_says(shared: AgentMemory, user: str) -> None:
    """A chat is about the user, not about the answers."""
    memory = Mem0CrewMemory(shared, user_id=user)
    llm = ScriptedLLM(["Noted.", "Tea, please."])
    agent = Agent(role="Waiter", goal="Serve", backstory="Brief.", llm=llm, memory=memory)
    agent.kickoff("I like green tea.")
    assert "I like green tea." in last_prompts(llm, lambda: agent.kickoff("tea or coffee?"))[0]
    assert stored(shared, user) == ["I like green tea."]
    llm = ScriptedLLM(["Noted.", "Tea, please."])
    with pytest.warns(FutureWarning, match="LiteAgent"):
        lite = LiteAgent(role="Waiter", goal="Serve", backstory="Brief.", llm=llm, memory=memory)
    (prompt,) = last_prompts(llm, lambda: lite.kickoff("tea or coffee?"))
    assert "- I like green tea." in prompt
    memory.close()


def test_a_flow_remembers(shared: AgentMemory, user: str) -> None:
    """Whatever `Flow` passes on."""

    class Zoo(Flow[Any]):
        @start()
        def work(self) -> list[str]:
            record = self.remember("Zebras are striped.", scope="/animals", importance=0.8)
            assert isinstance(record, MemoryRecord)
            assert (
                self.remember(["Lions are yellow.", "Tigers are orange."], scope="/animals") == []
            )
            for content in self.extract_memories(RAW):
                self.remember(content, scope="/health")
            return sorted(contents(self.recall("animals", scope="/animals")))

    memory = Mem0CrewMemory(shared, user_id=user)
    flow = Zoo(memory=memory)
    assert flow.memory is memory
    assert flow.kickoff() == ["Lions are yellow.", "Tigers are orange.", "Zebras are striped."]
    assert contents(memory.list_records("/health")) == {PEANUTS}
    memory.close()


# Copies and dumps.


def test_copies_share_the_memory(shared: AgentMemory, user: str) -> None:
    """A crew is copied for each input; CrewAI's own memory cannot be copied deeply."""
    memory = Mem0CrewMemory(shared, user_id=user)
    crew = crew_of(memory=memory)
    assert crew.copy()._memory is memory
    for copied in (copy.deepcopy(memory), copy.copy(memory), memory.model_copy(deep=True)):
        assert isinstance(copied, Mem0CrewMemory)
        copied.remember_many(["Likes tea."])
        assert len(memory.recall("tea")) == 1
    changed = memory.model_copy(update={"root_scope": "/copy"}, deep=True)
    assert (changed.root_scope, memory.root_scope) == ("/copy", None)
    memory.close()


def test_the_copy_of_an_agent_still_has_the_same_mem0(shared: AgentMemory, user: str) -> None:
    """CrewAI makes its own kind of memory of it."""
    memory = Mem0CrewMemory(shared, user_id=user)
    memory.remember("Likes tea.", scope="/a", categories=["x"])
    agent = Agent(role="Waiter", goal="Serve", backstory="Brief.", llm=ScriptedLLM(), memory=memory)
    copied: Any = agent.copy().memory
    assert type(copied) is Memory
    assert contents(copied.recall("tea", depth="shallow")) == {"Likes tea."}
    remembered(copied, "Owns a kettle.", scope="/a", categories=["x"], importance=0.5)
    assert contents(memory.recall("kettle", scope="/a", limit=1)) == {"Owns a kettle."}
    assert Mem0CrewMemory(shared, user_id=user, llm="openai/gpt-x").llm == "openai/gpt-x"
    copied.close()
    memory.close()


def test_a_dump_is_that_of_crewais_own_memory(shared, user, tmp_path) -> None:
    """Checkpoints are made of it; neither ids of users nor connections belong into them."""
    memory = Mem0CrewMemory(shared, user_id=user, root_scope="/r")
    own = Memory(storage=str(tmp_path), root_scope="/r", embedder={"provider": "openai"})
    dumped, expected = (
        json.loads(crew_of(memory=each).model_dump_json())["memory"] for each in (memory, own)
    )
    assert {**dumped, "storage": "", "embedder": ""} == {**expected, "storage": "", "embedder": ""}
    assert user not in json.dumps(dumped)
    assert isinstance(memory.model_dump()["storage"], Mem0Storage)
    for each in (memory, own):
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(each)
    memory.close()
    own.close()


def test_a_mem0_without_vectors_is_enough(shared: AgentMemory, user: str, monkeypatch) -> None:
    """The hosted one shows none; only copies of agents cannot do without."""

    def refuse(_: AgentMemory) -> None:
        raise ConfigurationError("no vectors")

    monkeypatch.setattr(AgentMemory, "vectors", refuse)
    memory = Mem0CrewMemory(shared, user_id=user)
    crew = crew_of(memory=memory)
    crew.kickoff()
    record = remembered(memory, PEANUTS, scope="/a")
    assert memory.update(record.id, importance=0.9).importance == 0.9
    assert contents(memory.recall("zebras")) >= {FINDINGS}
    assert memory.forget(scope="/a") == 1
    agent = Agent(role="Waiter", goal="Serve", backstory="Brief.", llm=ScriptedLLM(), memory=memory)
    copied: Any = agent.copy().memory
    assert len(copied.list_records()) == 2
    with pytest.raises(ConfigurationError, match="to the crew, not to an agent"):
        copied.storage.save([MemoryRecord(content="x")])
    crew.model_dump_json()
    memory.close()
