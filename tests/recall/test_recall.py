"""What `recall` ranks by, explains and adds, wherever the memories lie."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict

from mem0_integrations import (
    AgentMemory,
    BackendTimeoutError,
    ConfigurationError,
    InvalidInputError,
    Memory,
    Ranking,
    Recall,
    connect,
)
from tests.stores import MiniLM, is_platform, nothing_on_the_loop, texts_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
# For what a hanging part is released from at the end.
GRACE = 30.0

Call = Callable[..., Awaitable[Recall]]


async def recall(memory: AgentMemory, query: str, **options: Any) -> Recall:
    return memory.recall(query, **{"on_error": "raise", **options})


async def arecall(memory: AgentMemory, query: str, **options: Any) -> Recall:
    return await memory.arecall(query, **{"on_error": "raise", **options})


twins = pytest.mark.parametrize("call", [recall, arecall])


def say(
    memory: AgentMemory,
    scope: Mapping[str, str],
    text: str,
    at: datetime = NOON,
    **metadata: object,
) -> Memory:
    """Let a text be said, and kept as it is."""
    result = memory.remember(text, scope=scope, infer=False, created_at=at, metadata=metadata)
    (stored,) = result.memories
    return stored


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all memories that are connected in a way of their own."""
    return tmp_path_factory.mktemp("recall")


@pytest.fixture(scope="module")
def connected(folder: Path, minilm: MiniLM) -> Iterator[Callable[..., AgentMemory]]:
    """Connect with options; the store stays open meanwhile, and so do all memories."""
    opened: list[AgentMemory] = []

    def open_memory(**options: Any) -> AgentMemory:
        given = {"data_dir": folder, "embedder": minilm, **options}
        opened.append(connect("embedded", **given))
        return opened[-1]

    open_memory()
    yield open_memory
    for memory in opened:
        memory.close()


# What found it


@twins
async def test_explain_says_what_found_each_memory(
    anywhere: AgentMemory, user: str, call: Call
) -> None:
    """Whoever wonders why a memory came up, or tunes the weights, sees the reasons."""
    scope = {"user_id": user}
    say(anywhere, scope, "My kettle broke in Oslo.")
    say(anywhere, scope, "I like jazz.")
    found = await call(anywhere, "Which kettle broke?", scope=scope, explain=True, threshold=0.0)
    assert found.memories[0].text == "My kettle broke in Oslo."
    names = {"mem0"} if is_mem0_ranked(anywhere) else {"vector", "lexical"}
    for each in found.memories:
        assert each.signals is not None
        assert set(each.signals) == names
        assert all(0 <= strength <= 1 for strength in each.signals.values())
        assert each.score is not None
        assert 0 <= each.score <= 1
    best = found.memories[0].signals
    assert best is not None
    assert best["mem0" if "mem0" in best else "lexical"] > 0.5


def is_mem0_ranked(memory: AgentMemory) -> bool:
    return is_platform(memory) or "SQLite" not in memory.describe()["store"]


@twins
async def test_without_explain_there_are_no_reasons(
    anywhere: AgentMemory, user: str, call: Call
) -> None:
    """What was not asked for is not there, and the memories are the same."""
    scope = {"user_id": user}
    say(anywhere, scope, "My kettle broke in Oslo.")
    (plain,) = (await call(anywhere, "Which kettle broke?", scope=scope)).memories
    (explained,) = (await call(anywhere, "Which kettle broke?", scope=scope, explain=True)).memories
    assert plain.signals is None
    assert (plain.id, plain.score, plain.text) == (explained.id, explained.score, explained.text)


async def test_both_twins_find_the_same(anywhere: AgentMemory, user: str) -> None:
    """A framework picks one of them by how it is called."""
    scope = {"user_id": user}
    for minute, text in enumerate(["My kettle broke.", "It was red.", "I live in Oslo."]):
        say(anywhere, scope, text, NOON + minute * MINUTE, thread_id="t")
    options = {"scope": scope, "explain": True, "neighbours": 2, "threshold": 0.0}
    query = "What about the kettle on 22 November 2026?"
    assert await recall(anywhere, query, **options) == await arecall(anywhere, query, **options)


# What is around it


def conversation(memory: AgentMemory, scope: Mapping[str, str], thread: str | None) -> list[str]:
    """Let seven things be said, not in their order; returns them in it."""
    texts = [
        "Good morning!",
        "What about the trip?",
        "It is on Friday.",
        "The opera tickets cost 40 euros.",
        "That is a lot.",
        "We can pay by card.",
        "See you then!",
    ]
    for minute in (3, 0, 6, 1, 5, 2, 4):
        metadata = {} if thread is None else {"thread_id": thread}
        say(memory, scope, texts[minute], NOON + minute * MINUTE, **metadata)
    return texts


TICKETS = "How much were the opera tickets?"


def best_of(found: Recall) -> Memory:
    assert "opera tickets" in found.memories[0].text
    return found.memories[0]


@twins
@pytest.mark.parametrize("thread", ["thread-1", None])
async def test_neighbours_are_what_was_said_before_and_after(
    anywhere: AgentMemory, user: str, thread: str | None, call: Call
) -> None:
    """An answer alone does not always say what it is about."""
    scope = {"user_id": user}
    texts = conversation(anywhere, scope, thread)
    for count in (0, 1, 2, 10):
        found = await call(anywhere, TICKETS, scope=scope, limit=1, neighbours=count)
        expected = texts[max(0, 3 - count) : 3] + texts[4 : 4 + count]
        assert texts_of(best_of(found).neighbours) == expected
    for neighbour in best_of(found).neighbours:
        assert (neighbour.score, neighbour.signals, neighbour.neighbours) == (None, None, ())
        assert neighbour.scope == best_of(found).scope
        assert neighbour.metadata.get("thread_id") == thread


async def test_neighbours_are_of_the_same_conversation(anywhere: AgentMemory, user: str) -> None:
    """Neither another thread, nor another agent, run or user has answered that."""
    scope = {"user_id": user}
    say(anywhere, scope, "The opera tickets cost 40 euros.", NOON, thread_id="t")
    later = NOON + MINUTE
    say(anywhere, scope, "Another thread.", later, thread_id="T")
    say(anywhere, scope, "No thread.", later)
    say(anywhere, {**scope, "agent_id": "a"}, "Another agent.", later, thread_id="t")
    say(anywhere, {**scope, "run_id": "r"}, "Another run.", later, thread_id="t")
    say(anywhere, {"user_id": f"{user}-2"}, "Another user.", later, thread_id="t")
    found = await recall(anywhere, TICKETS, scope=scope, limit=1, neighbours=10)
    assert best_of(found).neighbours == ()
    say(anywhere, scope, "That is a lot.", later, thread_id="t")
    found = await arecall(anywhere, TICKETS, scope=scope, limit=1, neighbours=10)
    assert texts_of(best_of(found).neighbours) == ["That is a lot."]


@pytest.mark.parametrize(
    ("thread", "later", "expected"),
    [(None, 50 * MINUTE, 1), (None, 70 * MINUTE, 0), ("t", 70 * MINUTE, 1), ("t", 70 * DAY, 1)],
)
def test_without_a_thread_neighbours_are_said_within_an_hour(
    shared: AgentMemory, user: str, thread: str | None, later: timedelta, expected: int
) -> None:
    """A thread may go on for weeks; without one, last week was another conversation."""
    scope = {"user_id": user}
    metadata = {} if thread is None else {"thread_id": thread}
    say(shared, scope, "The opera tickets cost 40 euros.", NOON, **metadata)
    say(shared, scope, "That is a lot.", NOON + later, **metadata)
    found = shared.recall(TICKETS, scope=scope, limit=1, neighbours=1)
    assert len(best_of(found).neighbours) == expected


def test_neighbours_are_no_results(shared: AgentMemory, user: str) -> None:
    """They neither count against the limit nor push one another out."""
    scope = {"user_id": user}
    conversation(shared, scope, "t")
    alone = shared.recall(TICKETS, scope=scope, limit=3)
    with_others = shared.recall(TICKETS, scope=scope, limit=3, neighbours=3)
    assert [m.id for m in with_others.memories] == [m.id for m in alone.memories]
    assert [m.score for m in with_others.memories] == [m.score for m in alone.memories]
    assert shared.recall("x", scope={"user_id": f"{user}-2"}, neighbours=3) == Recall()


@twins
@pytest.mark.parametrize("count", [-1, 11, 1.0, True, "1", None])
async def test_a_number_of_neighbours_that_is_none_is_refused(
    shared: AgentMemory, user: str, call: Call, count: Any
) -> None:
    """Bad input always raises, before anything is read."""
    with pytest.raises(InvalidInputError, match="neighbours must be a whole number"):
        await call(shared, "tea", scope={"user_id": user}, neighbours=count, on_error="degrade")


def public_and_private(memory: AgentMemory, scope: Mapping[str, str]) -> None:
    said = {"thread_id": "t", "visibility": "public"}
    say(memory, scope, "Shall we go out?", NOON, **said)
    say(memory, scope, "The opera tickets cost 40 euros.", NOON + MINUTE, **said)
    say(memory, scope, "My card is blocked.", NOON + 3 * MINUTE, thread_id="t", visibility="none")


@twins
async def test_neighbours_are_what_was_known_at_the_time(
    shared: AgentMemory, user: str, call: Call
) -> None:
    """A replay knows no later turn, and no later correction."""
    scope = {"user_id": user}
    public_and_private(shared, scope)
    options = {"scope": scope, "limit": 1, "neighbours": 2}
    found = await call(shared, TICKETS, as_of=NOON + 2 * MINUTE, **options)
    assert texts_of(best_of(found).neighbours) == ["Shall we go out?"]
    (before,) = best_of(found).neighbours
    then = datetime.now(UTC)
    shared.update(before.id, scope=scope, text="Shall we stay?")
    found = await call(shared, TICKETS, as_of=then, **options)
    assert texts_of(best_of(found).neighbours) == ["Shall we go out?", "My card is blocked."]
    found = await call(shared, TICKETS, **options)
    assert texts_of(best_of(found).neighbours) == ["Shall we stay?", "My card is blocked."]


@twins
@pytest.mark.parametrize(
    "options",
    [
        {"filters": {"visibility": "public"}},
        {"accept": lambda memory: memory.metadata["visibility"] == "public"},
    ],
    ids=["filters", "accept"],
)
async def test_neighbours_show_nothing_that_the_recall_must_not(
    shared: AgentMemory, user: str, call: Call, options: dict[str, Any]
) -> None:
    """What a filter hides must not show beside a memory."""
    scope = {"user_id": user}
    public_and_private(shared, scope)
    found = await call(shared, TICKETS, scope=scope, limit=1, neighbours=2, **options)
    assert texts_of(best_of(found).neighbours) == ["Shall we go out?"]


# When it was said


@twins
@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What did I paint in May 2021?", "I painted a boat."),
        ("What did I paint in 2023?", "I painted a lighthouse."),
        ("What did I paint on 7 March 2022?", "I painted a horse."),
        ("What did I paint between January and March 2022?", "I painted a horse."),
    ],
)
async def test_a_question_that_names_a_time_finds_what_was_said_then(
    anywhere: AgentMemory, user: str, call: Call, question: str, expected: str
) -> None:
    """The words are the same each time; the times are not."""
    scope = {"user_id": user}
    say(anywhere, scope, "I painted a boat.", datetime(2021, 5, 3, tzinfo=UTC))
    say(anywhere, scope, "I painted a horse.", datetime(2022, 3, 7, 9, tzinfo=UTC))
    say(anywhere, scope, "I painted a lighthouse.", datetime(2023, 9, 1, tzinfo=UTC))
    found = await call(anywhere, question, scope=scope, explain=True, limit=3)
    dated = [each.text for each in found.memories if (each.signals or {}).get("date")]
    assert dated == [expected]
    assert found.memories[0].text == expected


@pytest.mark.parametrize("as_of", [None, NOON - 365 * DAY])
def test_last_week_is_reckoned_from_now_or_from_the_time_that_is_asked_about(
    connected: Callable[..., AgentMemory], user: str, as_of: datetime | None
) -> None:
    """A replay of a conversation of last year means the week before it."""
    memory, scope = connected(clock=lambda: NOON), {"user_id": user}
    now = as_of or NOON
    say(memory, scope, "I painted a boat.", now - 90 * DAY)
    say(memory, scope, "I painted a horse.", now - 7 * DAY)
    say(memory, scope, "I painted a lighthouse.", now - 300 * DAY)
    found = memory.recall("What did I paint last week?", scope=scope, as_of=as_of, explain=True)
    assert found.memories[0].text == "I painted a horse."
    dates = [(each.signals or {})["date"] for each in found.memories]
    assert dates[0] > 0.5 > max(dates[1:])


# The newest


@twins
async def test_of_what_contradicts_the_newest_comes_first(
    anywhere: AgentMemory, user: str, call: Call
) -> None:
    """A model that reads both must read first what holds."""
    scope = {"user_id": user}
    say(anywhere, scope, "I live in Bergen.", NOON)
    say(anywhere, scope, "I live in Oslo.", NOON - 900 * DAY)
    say(anywhere, scope, "I live in Trondheim.", NOON - 500 * DAY)
    say(anywhere, scope, "My sister dances.", NOON)
    found = await call(anywhere, "Where do I live?", scope=scope)
    assert texts_of(found.memories)[:3] == [
        "I live in Bergen.",
        "I live in Trondheim.",
        "I live in Oslo.",
    ]
    scores = [each.score for each in found.memories]
    assert scores == sorted(scores, key=lambda score: score or 0.0, reverse=True)
    (best,) = (await call(anywhere, "Where do I live?", scope=scope, limit=1)).memories
    assert best.text == "I live in Bergen."


# The weights


def found_with(
    connected: Callable[..., AgentMemory], user: str, query: str, **weights: float
) -> dict[str, Memory]:
    memory = connected(ranking=Ranking(**weights), clock=lambda: NOON)
    found = memory.recall(query, scope={"user_id": user}, threshold=0.0, explain=True, limit=9)
    return {each.text: each for each in found.memories}


def test_each_weight_has_its_effect(connected: Callable[..., AgentMemory], user: str) -> None:
    """They are settings, not decoration: 0 turns a signal off."""
    scope, words, meaning = {"user_id": user}, "Zyxgrommet 4711 qua flurb.", "The feline sleeps."
    memory = connected()
    say(memory, scope, words, NOON - 600 * DAY, thread_id="1")
    say(memory, scope, meaning, NOON - 900 * DAY, thread_id="2")
    query = "Is my cat asleep, 4711?"
    by_meaning = found_with(connected, user, query, lexical=0)
    by_words = found_with(connected, user, query, vector=0)
    assert list(by_meaning) == [meaning, words]
    assert list(by_words) == [words, meaning]
    for found, name in ((by_meaning, "vector"), (by_words, "lexical")):
        for each in found.values():
            assert each.signals is not None
            weight = getattr(Ranking(), name)
            assert each.score == pytest.approx(weight * each.signals[name])
    nothing = found_with(connected, user, query, vector=0, lexical=0)
    assert {each.score for each in nothing.values()} == {0}
    recent = found_with(connected, user, query, vector=0, lexical=0, recency=1)
    assert list(recent) == [words, meaning]
    assert recent[words].score == pytest.approx(2**-20)
    slower = found_with(
        connected, user, query, vector=0, lexical=0, recency=1, recency_half_life=300
    )
    assert slower[words].score == pytest.approx(0.25)


def test_a_date_counts_as_much_as_it_is_to(
    connected: Callable[..., AgentMemory], user: str
) -> None:
    """For an archive it may be all that counts."""
    memory, scope = connected(), {"user_id": user}
    say(memory, scope, "I painted the old boat in the harbour.", NOON - 900 * DAY)
    say(memory, scope, "Rain.", NOON)
    query = "What about the old boat on 22 November 2026?"
    assert next(iter(found_with(connected, user, query, date=0))) != "Rain."
    found = found_with(connected, user, query, date=1)
    assert next(iter(found)) == "Rain."
    assert found["Rain."].score == 1


def test_context_counts_as_much_as_it_is_to(
    connected: Callable[..., AgentMemory], user: str
) -> None:
    """Without it, each memory stands for itself."""
    memory, scope = connected(), {"user_id": user}
    say(memory, scope, "Did you water the orchids on the balcony?", NOON, thread_id="t")
    say(memory, scope, "Yes, I did.", NOON + MINUTE, thread_id="t")
    query = "Did anyone water the orchids?"
    alone = found_with(connected, user, query, vector_context=0, lexical_context=0)
    near = found_with(connected, user, query, vector_context=1, lexical_context=1)
    default = found_with(connected, user, query)
    one, two, three = (found["Yes, I did."].signals or {} for found in (alone, default, near))
    assert 0 == one["lexical"] < two["lexical"] < three["lexical"]
    assert one["vector"] < two["vector"] < three["vector"]


@pytest.mark.parametrize(
    "wrong", [{"ranking": {"lexical": 0.5}}, {"ranking": Ranking}, {"reranker": "cohere"}]
)
def test_what_is_no_ranking_or_reranker_is_refused(folder: Path, wrong: dict[str, Any]) -> None:
    """Not when the first user asks."""
    with pytest.raises(ConfigurationError, match="must be a"):
        connect("embedded", data_dir=folder, **wrong)


def test_a_connected_memory_keeps_its_ranking(connected: Callable[..., AgentMemory]) -> None:
    """An option that has no effect would be a lie."""
    memory = connected()
    for option in ({"ranking": Ranking()}, {"reranker": Reranker(rank=lambda d, _: d)}):
        with pytest.raises(ConfigurationError, match="connected with"):
            connect(memory, **option)


# A reranker


class Reranker(BaseDocumentCompressor):
    """Does with the documents what a test says."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    rank: Callable[[Sequence[Document], str], Sequence[Document]]

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> Sequence[Document]:
        return self.rank(documents, query)


def reversing(documents: Sequence[Document], query: str) -> Sequence[Document]:
    return documents[::-1]


def scoring(documents: Sequence[Document], query: str) -> Sequence[Document]:
    """Rank by length, with scores."""
    by_length = sorted(documents, key=lambda document: len(document.page_content))
    for place, document in enumerate(by_length):
        document.metadata["relevance_score"] = 1 / (1 + place)
    return by_length


@pytest.fixture
def fruit(connected: Callable[..., AgentMemory], user: str) -> list[str]:
    """Four memories of the user; returns them as they rank by themselves."""
    memory = connected()
    for text in ("Pears are my favourite fruit.", "I eat fruit.", "Figs!", "Fruit for breakfast."):
        say(memory, {"user_id": user}, text)
    found = memory.recall("fruit", scope={"user_id": user}, threshold=0.0)
    assert len(found.memories) == 4
    return texts_of(found.memories)


@twins
async def test_a_reranker_puts_what_was_found_in_its_order(
    connected: Callable[..., AgentMemory], user: str, fruit: list[str], call: Call
) -> None:
    """Whoever has a cross-encoder uses it with one argument."""
    memory = connected(reranker=Reranker(rank=reversing))
    found = await call(memory, "fruit", scope={"user_id": user}, threshold=0.0)
    assert texts_of(found.memories) == fruit[::-1]
    # It sees more than is wanted: what comes last may be the best.
    found = await call(memory, "fruit", scope={"user_id": user}, threshold=0.0, limit=1)
    assert texts_of(found.memories) == fruit[-1:]


@twins
async def test_the_scores_of_a_reranker_are_those_of_the_recall(
    connected: Callable[..., AgentMemory], user: str, fruit: list[str], call: Call
) -> None:
    """And `explain` says that they are its own."""
    memory = connected(reranker=Reranker(rank=scoring))
    found = await call(memory, "fruit", scope={"user_id": user}, threshold=0.0, explain=True)
    assert texts_of(found.memories) == sorted(fruit, key=len)
    assert [each.score for each in found.memories] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    for each in found.memories:
        assert each.signals is not None
        assert set(each.signals) == {"vector", "lexical", "reranker"}
        assert each.signals["reranker"] == each.score


@twins
async def test_what_a_reranker_drops_is_not_returned(
    connected: Callable[..., AgentMemory], user: str, fruit: list[str], call: Call
) -> None:
    """Its judgement is final; nothing fills the gap."""
    memory = connected(reranker=Reranker(rank=lambda documents, _: documents[1:2]))
    found = await call(memory, "fruit", scope={"user_id": user}, threshold=0.0)
    assert texts_of(found.memories) == fruit[1:2]
    memory = connected(reranker=Reranker(rank=lambda documents, _: []))
    assert await call(memory, "fruit", scope={"user_id": user}) == Recall()


@twins
async def test_a_reranker_sees_only_the_memories_of_the_scope(
    connected: Callable[..., AgentMemory], user: str, fruit: list[str], call: Call
) -> None:
    """It may be a service elsewhere: it gets the texts, and nothing of whose they are."""
    seen: list[Document] = []

    def rank(documents: Sequence[Document], query: str) -> Sequence[Document]:
        seen.extend(documents)
        return documents

    memory = connected(reranker=Reranker(rank=rank))
    say(memory, {"user_id": f"{user}-2"}, "I sell fruit.")
    await call(memory, "fruit", scope={"user_id": user}, threshold=0.0)
    assert sorted(document.page_content for document in seen) == sorted(fruit)
    assert user not in str(seen)


@twins
async def test_a_reranker_that_fails_only_costs_its_order(
    connected: Callable[..., AgentMemory],
    user: str,
    fruit: list[str],
    call: Call,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The service is down; the memories are there, and the application is told."""

    def fail(documents: Sequence[Document], query: str) -> Sequence[Document]:
        raise ValueError(f"no quota for {query}")

    memory, scope = connected(reranker=Reranker(rank=fail)), {"user_id": user}
    with caplog.at_level(logging.INFO):
        found = await call(memory, "fruit", scope=scope, threshold=0.0, on_error="degrade")
    assert texts_of(found.memories) == fruit
    assert found.degraded == "The reranker could not be read. ValueError: no quota for fruit"
    assert "the reranker" in caplog.text
    assert "quota" not in caplog.text
    with pytest.raises(ValueError, match="no quota"):
        await call(memory, "fruit", scope=scope, on_error="raise")


@twins
async def test_a_reranker_that_hangs_only_costs_its_order(
    connected: Callable[..., AgentMemory], user: str, fruit: list[str], call: Call
) -> None:
    """The answer comes within the time that the application gave."""
    released = threading.Event()

    def hang(documents: Sequence[Document], query: str) -> Sequence[Document]:
        released.wait(GRACE)
        return documents[::-1]

    memory, scope = connected(reranker=Reranker(rank=hang)), {"user_id": user}
    options = {"scope": scope, "threshold": 0.0, "timeout": 3.0}
    try:
        began = time.monotonic()
        found = await call(memory, "fruit", on_error="degrade", **options)
        assert time.monotonic() - began < 3.0
        assert texts_of(found.memories) == fruit
        assert "The reranker could not be read. BackendTimeoutError" in str(found.degraded)
        with pytest.raises(BackendTimeoutError):
            await call(memory, "fruit", on_error="raise", **options)
    finally:
        released.set()


async def test_rerankers_that_hang_do_not_stop_later_recalls(
    connected: Callable[..., AgentMemory], user: str, fruit: list[str]
) -> None:
    """A service that hangs for minutes costs its order for minutes, never the memories."""
    released = threading.Event()

    def hang(documents: Sequence[Document], query: str) -> Sequence[Document]:
        released.wait(GRACE)
        return documents

    memory, scope = connected(reranker=Reranker(rank=hang)), {"user_id": user}
    options: dict[str, Any] = {"scope": scope, "threshold": 0.0, "timeout": 3.0}
    try:
        await asyncio.gather(*(memory.arecall("fruit", **options) for _ in range(8)))
        assert texts_of((await memory.arecall("fruit", **options)).memories) == fruit
        assert texts_of(memory.recall("fruit", **options).memories) == fruit
    finally:
        released.set()


async def test_an_async_recall_reranks_off_the_event_loop(
    connected: Callable[..., AgentMemory], user: str, fruit: list[str]
) -> None:
    """A cross-encoder computes for a second; other conversations go on."""
    with nothing_on_the_loop(Reranker, "compress_documents"):
        memory = connected(reranker=Reranker(rank=reversing))
        found = await memory.arecall("fruit", scope={"user_id": user}, threshold=0.0)
    assert texts_of(found.memories) == fruit[::-1]


@twins
async def test_a_reranked_memory_still_has_its_neighbours(
    connected: Callable[..., AgentMemory], user: str, call: Call
) -> None:
    """They are looked up for what is returned in the end."""
    memory, scope = connected(reranker=Reranker(rank=reversing)), {"user_id": user}
    say(memory, scope, "I ate a pear.", NOON, thread_id="1")
    say(memory, scope, "It was sweet.", NOON + MINUTE, thread_id="1")
    found = await call(memory, "pear", scope=scope, threshold=0.0, limit=2, neighbours=1)
    neighbours = {each.text: texts_of(each.neighbours) for each in found.memories}
    assert neighbours == {"I ate a pear.": ["It was sweet."], "It was sweet.": ["I ate a pear."]}


# A graph


@contextmanager
def with_graph(folder: Path, minilm: MiniLM, **options: Any) -> Iterator[AgentMemory]:
    with connect("embedded", graph=True, data_dir=folder, embedder=minilm, **options) as memory:
        yield memory


@twins
@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
async def test_a_memory_that_supports_a_fact_about_what_is_named_is_raised(
    tmp_path: Path, minilm: MiniLM, user: str, call: Call, weight: float
) -> None:
    """Texts are near or not; the graph knows what they are about."""
    scope = {"user_id": user}
    with with_graph(tmp_path, minilm, ranking=Ranking(graph=weight)) as memory:
        memory.remember("Ann works at Acme.", scope=scope)
        memory.remember("Tea is served at four.", scope=scope)
        assert memory.flush(30)
        found = await call(memory, "What about Ann?", scope=scope, explain=True, threshold=0.0)
        by_text = {each.text: each for each in found.memories}
        raised, other = by_text["Ann works at Acme."], by_text["Tea is served at four."]
        assert raised.signals is not None
        assert raised.signals["graph"] == 1
        base = 1 - (1 - 0.8 * raised.signals["vector"]) * (1 - 0.9 * raised.signals["lexical"])
        assert raised.score == pytest.approx(1 - (1 - base) * (1 - weight))
        assert "graph" not in (other.signals or {})
        assert [relation.target for relation in found.relations] == ["Acme"]
        (shown, *_) = (await call(memory, "What about Ann?", scope=scope)).memories
        assert shown.signals is None


@twins
async def test_the_graph_changes_the_order(
    tmp_path: Path, minilm: MiniLM, user: str, call: Call
) -> None:
    """Of two memories, the one with a known fact about the name comes first."""
    scope = {"user_id": user}
    texts = ["Ann works at Acme, a mill in the old town by the river.", "About Ann."]
    with connect("embedded", data_dir=tmp_path, embedder=minilm) as memory:
        for text in texts:
            say(memory, scope, text)
        found = await call(memory, "Does Ann fish?", scope=scope)
        assert texts_of(found.memories) == texts[::-1]
        memory.forget(scope)
    with with_graph(tmp_path, minilm, ranking=Ranking(graph=1.0)) as memory:
        for text in texts:
            say(memory, scope, text)
        assert memory.flush(30)
        found = await call(memory, "Does Ann fish?", scope=scope)
        assert texts_of(found.memories) == texts


async def test_the_graph_of_another_user_raises_nothing(
    tmp_path: Path, minilm: MiniLM, user: str
) -> None:
    """Not even a score may tell what somebody else has said."""
    scope, other = {"user_id": user}, {"user_id": f"{user}-2"}
    with with_graph(tmp_path, minilm) as memory:
        say(memory, scope, "Ann was here.")
        assert memory.flush(30)
        before = await recall(memory, "Ann", scope=scope, explain=True)
        memory.remember("Ann works at Acme.", scope=other)
        assert memory.flush(30)
        for call in (recall, arecall):
            assert await call(memory, "Ann", scope=scope, explain=True) == before
