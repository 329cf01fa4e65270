"""The words of the memories, in the file of the embedded store and through `connect`."""

from __future__ import annotations

import json
import random
import sqlite3
import struct
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mem0_integrations import AgentMemory, InvalidInputError, Memory, Ranking, connect
from mem0_integrations.backends.embedded.store import SQLiteVectorStore
from mem0_integrations.recall.fusion import Query
from mem0_integrations.recall.words import words_to_find
from mem0_integrations.table import full_text
from tests.killed import accepted_until_killed
from tests.stores import MiniLM, texts_of

Index: TypeAlias = set[tuple[str, str, str, int]]

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
X, Y, Z = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]
ANN = {"user_id": "ann"}
# What FTS5 takes for more than a word, and what no text should have.
SYNTAX = [
    *['"', '""', "'", "*", "^", ":", "(", ")", "{", "}", "+", "-", ",", ".", "\0", "\ud800"],
    *["AND", "OR", "NOT", "NEAR", "NEAR(tea milk, 2)", "owner : u626f620", "text:", "{owner text}"],
    *["- owner :", "tea*", "^tea", "rank", "memories_text", "; DROP TABLE memories; --", "%", "_"],
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memories.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteVectorStore]:
    with closing(SQLiteVectorStore(path, dimension=3)) as opened:
        yield opened


def say(store: SQLiteVectorStore, text: object, memory_id: str = "1", **payload: object) -> None:
    store.insert([X], [{**ANN, "data": text, **payload}], [memory_id])


def asked(question: str, **ranking: float) -> Query:
    return Query(words_to_find(question), (), NOON, Ranking(**ranking))


def having(store: SQLiteVectorStore, question: str, **filters: str) -> set[str]:
    """Return the ids of the memories that have some of the words of a question themselves."""
    found = store.recall(asked(question, lexical_context=0), Z, 10_000, filters or ANN)
    return {record.id for record in found if record.signals.get("lexical")}


def index_of(path: Path) -> Index:
    """Return what the index says: each word, the memory, the column and the place in it."""
    with closing(sqlite3.connect(path)) as file:
        file.execute("INSERT INTO memories_text (memories_text) VALUES ('integrity-check')")
        file.execute(
            "CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, memories_text, instance)"
        )
        rows = file.execute(
            "SELECT term, id, col, offset FROM temp.terms LEFT JOIN memories ON seq = doc"
        )
        return set(rows)


def afresh(store: SQLiteVectorStore, folder: Path) -> Index:
    """Return what the index of a file says into which these memories were just written."""
    path = folder / "afresh.db"
    path.unlink(missing_ok=True)
    with closing(SQLiteVectorStore(path, dimension=3)) as other:
        [records] = store.list()
        other.insert([X] * len(records), [r.payload for r in records], [r.id for r in records])
        return index_of(path)


# Words


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("I like dogs.", "Which dog?"),
        ("She was running.", "Who runs?"),
        ("My allergies are back.", "an allergy"),
        ("I ordered a kettle.", "two KETTLES, order!"),
        ("Order 48213 is late.", "48213"),
        ("It is snake_case.", "snake"),
        ("Priya’s e-mail", "priya's mail"),
        ("I met Zoë in a café.", "zoe cafe"),
        (unicodedata.normalize("NFD", "I met Zoë in a café."), "Zoë"),
        ("I met Zoë in a café.", unicodedata.normalize("NFD", "ZOË")),
        ("Die Straße ist lang.", "straße"),
        ("STRAẞE", "Straße"),
        ("İstanbul is large.", "istanbul"),
        ("Istanbul is large.", "İSTANBUL"),
        ("Я живу в Москве.", "ЖИВУ"),
        ("मुझे हिन्दी पसंद है।", "हिन्दी"),
        ("我喜欢茶。", "我喜欢茶"),
        ("한국어를 배워요", "한국어를"),
        ("a kettle\ud800 and a lid", "lid"),
        ('He said "tea" AND left.', "tea"),
    ],
)
def test_a_word_is_found_whatever_its_ending_accent_and_case(
    store: SQLiteVectorStore, text: str, question: str
) -> None:
    """People ask in other forms than they told."""
    say(store, text)
    say(store, "Something else.", "2")
    assert having(store, question) == {"1"}


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("I like tea.", "teapot"),
        ("I like teapots.", "tea"),
        ("I like tea.", "like* te*"),
        ("मुझे हिन्दी पसंद है।", "हिम"),
        ("Order 48213", "4821"),
        ("ann likes it", "u616e6e0"),
        ("It is late.", "Where is it?"),
        ("", "tea"),
    ],
)
def test_another_word_does_not_find_it(store: SQLiteVectorStore, text: str, question: str) -> None:
    """Neither its beginning, nor a part of it, nor what the index notes about its owner."""
    say(store, text)
    assert having(store, question) == ({"1"} if "like" in question and "like" in text else set())


@pytest.mark.parametrize("text", [None, 7, 1.5, True, ["tea"], {"tea": 1}])
def test_a_payload_without_a_text_is_kept(store: SQLiteVectorStore, text: object) -> None:
    """Mem0's store is for any JSON."""
    say(store, text)
    say(store, text)
    store.update("1", payload=ANN)
    assert having(store, "tea 7 1") == set()
    store.delete("1")
    assert index_of(Path(store.path)) == set()


@pytest.mark.parametrize(
    "payload",
    [
        {"n": float("nan")},
        {"n": [float("inf")]},
        {"deep": json.loads("[" * 900 + "]" * 900)},
        {"\ud800": "\ud800"},
        {"data\0": "x"},
    ],
    ids=["NaN", "infinity", "deep", "surrogate", "NUL"],
)
def test_a_payload_that_sqlite_would_not_read_is_kept(
    store: SQLiteVectorStore, payload: dict[str, Any]
) -> None:
    """Python's JSON allows more than SQLite's; the memory must not be refused for its words."""
    say(store, "I like tea.", **payload)
    say(store, "I like milk.", **payload)
    assert [record.payload["data"] for record in store.list()[0]] == ["I like milk."]
    store.delete("1")
    assert index_of(Path(store.path)) == set()
    say(store, "I like tea.")
    assert having(store, "tea") == {"1"}


def test_of_those_with_all_words_the_nearest_comes_first(store: SQLiteVectorStore) -> None:
    """One word that is asked for may be in a hundred memories; the oldest is not the best."""
    vectors = [Z, Y, X, [0.5, 0.5, 0.0]]
    payloads = [{**ANN, "data": "Ann called."} for _ in vectors]
    store.insert(vectors, payloads, ["far", "farther", "nearest", "near"])
    found = store.recall(asked("Ann?"), X, 9, ANN)
    assert [record.id for record in found] == ["nearest", "near", "far", "farther"]


# Questions that are hostile


def check_hostile(store: SQLiteVectorStore, question: str) -> None:
    before = store.list()
    found = store.recall(asked(question), X, 100, ANN)
    assert {record.payload["user_id"] for record in found} <= {"ann"}
    assert all(0 <= (record.score or 0.0) <= 1 for record in found)
    assert having(store, question) <= {"mine", "too"}
    assert store.list() == before


@pytest.fixture(scope="module")
def two_users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SQLiteVectorStore]:
    path = tmp_path_factory.mktemp("two") / "memories.db"
    with closing(SQLiteVectorStore(path, dimension=3)) as store:
        say(store, 'I like "tea" AND milk, NEAR the text.', "mine")
        say(store, "owner : u626f620", "too")
        say(store, 'My secret is "tea" AND milk, NEAR the text of the owner.', "x", user_id="bob")
        yield store


@pytest.mark.parametrize(
    "question",
    [
        "",
        " ",
        "the of and",
        "?!",
        '"',
        '"tea" OR owner : "u626f620"',
        'tea" OR owner : "u626f620',
        'tea"; DELETE FROM memories; --',
        "owner : u626f620",
        "{owner text} : tea",
        "- owner : tea",
        "NEAR(tea milk, 10)",
        "NOT tea",
        "tea NOT milk",
        "te* ^tea tea + milk (((",
        "tea\0milk",
        "\ud800 tea \udfff",
        "u626f620 u616e6e0",
        "tea " * 500,
        " ".join(f"word{number}" for number in range(400))[:2000],
        "x" * 2000,
    ],
)
def test_a_hostile_question_is_only_words(two_users: SQLiteVectorStore, question: str) -> None:
    """The syntax of the index is not the user's, least of all that for whose memories."""
    check_hostile(two_users, question)


@settings(deadline=None)
@given(question=st.lists(st.sampled_from(SYNTAX) | st.text(max_size=5), max_size=12).map(" ".join))
def test_no_question_raises_or_reads_what_is_anothers(
    two_users: SQLiteVectorStore, question: str
) -> None:
    """Whatever is typed, pasted or cut off within a character."""
    check_hostile(two_users, question)


@settings(deadline=None, max_examples=40)
@given(texts=st.lists(st.text() | st.lists(st.sampled_from(SYNTAX)).map(" ".join), max_size=8))
def test_any_text_can_be_stored_changed_and_deleted(
    texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What was indexed must be found again to be taken out."""
    path = tmp_path_factory.mktemp("any") / "memories.db"
    with closing(SQLiteVectorStore(path, dimension=3)) as store:
        for number, text in enumerate(texts):
            say(store, text, str(number))
            say(store, text[::-1], str(number // 2))
        assert index_of(path) == afresh(store, path.parent)
        store.delete_where(ANN)
        assert index_of(path) == set()


@pytest.mark.parametrize("question", ['" OR owner : "u', "\ud83d tea?", "tea\0", "the", "*", "AND"])
async def test_a_hostile_question_is_answered(
    shared: AgentMemory, user: str, question: str
) -> None:
    """From end to end, in both ways."""
    scope = {"user_id": user}
    shared.remember("I like tea.", scope=scope)
    for recall in (
        shared.recall(question, scope=scope, threshold=0.0, on_error="raise"),
        await shared.arecall(question, scope=scope, threshold=0.0, on_error="raise"),
    ):
        assert texts_of(recall.memories) == ["I like tea."]


# Whose words


def hits(store: SQLiteVectorStore, word: str, ids: Mapping[str, str]) -> list[str]:
    """Return what the index itself finds, before anything else looks at whose it is."""
    with store._database.read() as connection:
        [rows] = full_text.rows_with(connection, [word], frozenset(ids.items()))
        return [
            memory_id
            for row in rows.tolist()
            for (memory_id,) in connection.execute("SELECT id FROM memories WHERE seq = ?", (row,))
        ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann", "anna"),
        ("user", "user0"),
        ("user1", "user10"),
        ("a", "A"),
        ("é", "e"),
        ("é", unicodedata.normalize("NFD", "é")),
        ("ann", "ann "),
        ("ann", " ann"),
        ("a b", "a\tb"),
        ("*", "ann"),
        ("run", "running"),
        ("P", "`"),
        ("tea", "milk"),
        ("a", "a\0"),
        ("x" * 255, "x" * 254 + "y"),
        ("x" * 255, "x" * 254),
        ("🫖" * 255, "🫖" * 254 + "🫗"),
        ('" OR text : "tea', "ann"),
    ],
)
@pytest.mark.parametrize("kind", ["user_id", "agent_id", "run_id", "app_id"])
def test_ids_are_told_apart_to_the_last_letter(
    store: SQLiteVectorStore, kind: str, one: str, other: str
) -> None:
    """An id is not a word: it has no ending, no case and no beginning that counts."""
    for owner in (one, other):
        store.insert([X], [{kind: owner, "data": "I like tea."}], [f"of {owner}"])
    for owner in (one, other):
        assert hits(store, "tea", {kind: owner}) == [f"of {owner}"]
        assert having(store, "tea", **{kind: owner}) == {f"of {owner}"}


def test_an_id_of_one_kind_is_not_one_of_another(store: SQLiteVectorStore) -> None:
    """A user may be called like an agent."""
    kinds = ("user_id", "agent_id", "run_id", "app_id")
    for kind in kinds:
        store.insert([X], [{kind: "a", "data": "I like tea."}], [kind])
    everything = dict.fromkeys(kinds, "a")
    store.insert([X], [{**everything, "data": "I like tea."}], ["all"])
    for kind in kinds:
        assert sorted(hits(store, "tea", {kind: "a"})) == sorted([kind, "all"])
    assert hits(store, "tea", {"user_id": "a", "agent_id": "a"}) == ["all"]
    assert hits(store, "tea", everything) == ["all"]


@pytest.mark.parametrize(
    "others",
    [
        {"user_id": "bob"},
        {"user_id": "bob", "agent_id": "bot"},
        {"agent_id": "bot"},
        {"user_id": "ann", "agent_id": "another"},
        {"user_id": "ann", "agent_id": "bot", "run_id": "another"},
        {"user_id": "ann", "agent_id": "bot", "run_id": "run", "app_id": "another"},
    ],
    ids=lambda others: " ".join(others.values()),
)
def test_the_memories_of_others_neither_appear_nor_change_a_score(
    store: SQLiteVectorStore, others: dict[str, str]
) -> None:
    """A score that depended on them would tell what they talk about."""
    mine = {"user_id": "ann", "agent_id": "bot", "run_id": "run", "app_id": "app"}
    texts = ["I like tea.", "Milk with tea, please.", "My kettle broke.", "A rare zyxgrommet."]
    times = [(NOON + timedelta(minutes=n)).isoformat() for n in range(4)]
    payloads = [
        {**mine, "data": text, "created_at": time} for text, time in zip(texts, times, strict=True)
    ]
    store.insert([X, Y, Z, X], payloads, list("abcd"))
    question = asked("kettle, tea, or zyxgrommet?")
    before = store.recall(question, X, 99, mine)
    assert len(before) == 4
    theirs = [{**others, "data": texts[n % 4], "created_at": times[n % 4]} for n in range(3000)]
    store.insert([X] * len(theirs), theirs)
    assert store.recall(question, X, 99, mine) == before
    with closing(SQLiteVectorStore(Path(store.path), dimension=3)) as again:
        assert again.recall(question, X, 99, mine) == before


def test_ids_are_told_apart_through_connect(memory: AgentMemory) -> None:
    """As an application writes them, whatever Mem0 makes of them on the way."""
    ids = ["*", "a b", "a\tb", "a", "A", "a*", "aa", "x" * 255, "x" * 254, "🫖 " * 100, '"', "a:b"]
    scopes = [{kind: each} for each in ids for kind in ("user_id", "agent_id", "run_id")]
    for number, scope in enumerate(scopes):
        memory.remember(f"My zyxgrommet has number {number}.", scope=scope, infer=False)
    for number, scope in enumerate(scopes):
        found = memory.recall("zyxgrommets?", scope=scope, limit=50, explain=True, repeats=True)
        assert texts_of(found.memories) == [f"My zyxgrommet has number {number}."]
        assert found.memories[0].signals is not None
        assert found.memories[0].signals["lexical"] == 1


def test_a_filter_cannot_be_passed_by_words(store: SQLiteVectorStore) -> None:
    """Words say how near a memory is, not whether it counts."""
    say(store, "I like tea.", "1", topic="drinks", thread_id="t", actor_id="ann")
    say(store, "I like tea, too.", "2", topic="private", thread_id="s", actor_id="bob")
    for key, value in (("topic", "drinks"), ("thread_id", "t"), ("actor_id", "ann")):
        assert having(store, "tea", user_id="ann", **{key: value}) == {"1"}


def test_other_collections_have_no_words(store: SQLiteVectorStore) -> None:
    """What is kept beside the memories is never recalled."""
    for name in ("memories_items", "memories_entities", "Memories"):
        store.collection(name).insert([X], [{**ANN, "data": "I like tea."}], ["1"])
    assert index_of(Path(store.path)) == set()
    say(store, "I like milk.")
    assert having(store, "tea") == set()
    store.collection("memories_items").reset()
    assert having(store, "milk") == {"1"}


# The index follows


def test_every_kind_of_change_is_followed(store: SQLiteVectorStore, tmp_path: Path) -> None:
    """A word that is no longer there must not find a memory, and a new one must."""
    path = Path(store.path)

    def check(question: str, expected: Iterable[str]) -> None:
        assert index_of(path) == afresh(store, tmp_path)
        assert having(store, question) == set(expected)

    store.insert([X, Y], [{**ANN, "data": "green tea"}, {**ANN, "data": "milk"}], ["1", "2"])
    check("tea", "1")
    say(store, "black coffee", "1")
    check("tea", "")
    check("coffee", "1")
    # Twice in one batch: the last one counts.
    store.insert([X, X], [{**ANN, "data": "cocoa"}, {**ANN, "data": "juice"}], ["1", "1"])
    check("cocoa coffee", "")
    check("juice", "1")
    store.update("1", payload={**ANN, "data": "water"})
    check("juice water", "1")
    store.update("1", vector=Z)
    check("water", "1")
    store.update("1", payload={**ANN, "data": "water", "topic": "drinks"})
    check("water", "1")
    store.merge_payloads({"1": {"topic": "food"}, "2": {"data": "cream"}, "9": {"data": "x"}})
    check("milk cream", "2")
    store.update("2", payload={"user_id": "bob", "data": "cream"})
    check("cream", "")
    assert having(store, "cream", user_id="bob") == {"2"}
    store.delete("1")
    check("water", "")
    store.delete_many(["1", "7"])
    store.insert([X, Y], [{**ANN, "data": "rum"}, {**ANN, "data": "gin", "old": True}], ["3", "4"])
    assert store.delete_where({"user_id": "ann", "old": True}) == 1
    check("rum gin", "3")
    assert store.delete_where({"user_id": "bob"}) == 1
    check("cream", "")
    store.compact()
    check("rum", "3")
    store.reset()
    check("rum", "")
    assert index_of(path) == set()


def test_a_change_that_fails_leaves_no_word(store: SQLiteVectorStore) -> None:
    """Memories and their words are written together or not at all."""
    say(store, "I like tea.")
    say(store, "I like milk.", "2")
    before = index_of(Path(store.path))
    with pytest.raises(InvalidInputError):
        store.merge_payloads({"1": {"data": "milk"}, "2": {"data": object()}})
    assert index_of(Path(store.path)) == before
    assert having(store, "tea") == {"1"}


STEPS = st.tuples(
    st.sampled_from(["insert", "update", "move", "merge", "vector", "delete", "forget", "tidy"]),
    st.sampled_from("abcd"),
    st.sampled_from(["ann", "bob"]),
    st.lists(st.sampled_from(["tea", "teas", "milk", "Zoë", "48213"]), max_size=4).map(" ".join),
)


@settings(deadline=None, max_examples=40)
@given(steps=st.lists(STEPS, max_size=25))
def test_the_index_agrees_with_the_memories_after_any_history(
    steps: list[tuple[str, str, str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Without a copy of the texts, one change that was missed would stay for ever."""
    folder = tmp_path_factory.mktemp("history")
    with closing(SQLiteVectorStore(folder / "memories.db", dimension=3)) as store:
        for step, key, user, text in steps:
            known, payload = store.get(key), {"user_id": user, "data": text}
            if step == "insert":
                store.insert([X, Y], [payload, payload], [key, f"{key}{key}"])
            elif step in {"update", "move"} and known:
                owner = payload if step == "move" else {**known.payload, "data": text}
                store.update(key, payload=owner)
            elif step == "merge":
                store.merge_payloads({key: {"data": text}, f"{key}{key}": {"topic": text}})
            elif step == "vector" and known:
                store.update(key, vector=Z)
            elif step == "delete":
                store.delete_many([key, f"{key}{key}"])
            elif step == "forget":
                store.delete_where({"user_id": user})
            elif step == "tidy":
                store.compact()
        assert index_of(folder / "memories.db") == afresh(store, folder)


def test_eight_threads_may_change_everything(store: SQLiteVectorStore, tmp_path: Path) -> None:
    """LangGraph runs nodes and tools in threads."""

    def work(worker: int) -> None:
        user = {"user_id": f"user-{worker % 3}"}
        for turn in range(20):
            one, two = f"{worker}-{turn}", f"{worker}-{turn}-doomed"
            word = f"word{worker}x{turn}"
            store.insert(
                [X, Y], [{**user, "data": f"old {word}"}, {**user, "data": word}], [one, two]
            )
            assert having(store, word, **user) == {one, two}
            store.update(one, payload={**user, "data": f"new {word}"})
            store.delete(two)
            assert having(store, word, **user) == {one}
            if turn % 10 == 9:
                store.reindex()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert having(store, "old", user_id="user-0") == set()
    assert len(having(store, "new", user_id="user-0")) == 60
    assert index_of(Path(store.path)) == afresh(store, tmp_path)


def test_memories_change_through_connect(data_dir: Path) -> None:
    """Every way that an application has leads through the index."""
    scope = {"user_id": "ann", "agent_id": "bot"}
    with connect("embedded", ranking=Ranking(lexical_context=0)) as memory:

        def found(question: str) -> list[str]:
            recall = memory.recall(question, scope=scope, explain=True, threshold=0.0, limit=50)
            return [m.text for m in recall.memories if m.signals and m.signals["lexical"]]

        stored = memory.remember("My zyxgrommet is broken.", scope=scope).memories[0]
        texts = [f"Park number {number}." for number in range(20)]
        memory.remember_many([*texts, "A flurbostat hums."], scope=scope)
        assert found("zyxgrommets?") == ["My zyxgrommet is broken."]
        assert found("Flurbostat!") == ["A flurbostat hums."]
        memory.update(stored.id, scope=scope, text="My glorbitz is broken.")
        assert found("zyxgrommet") == []
        assert found("glorbitz") == ["My glorbitz is broken."]
        memory.update(stored.id, scope=scope, metadata={"topic": "repairs"})
        assert found("glorbitz") == ["My glorbitz is broken."]
        memory.delete(stored.id, scope=scope)
        assert found("glorbitz") == []
        memory.forget(scope)
        assert index_of(data_dir / "embedded" / "memories.db") == set()


# Erasure


def traces(folder: Path, word: str) -> list[str]:
    """Return the files that have any five letters of a word, which the index may cut in two."""
    parts = {word[start : start + 5].encode() for start in range(len(word) - 4)}
    contents = {
        path.name: path.read_bytes().lower() for path in folder.rglob("*") if path.is_file()
    }
    return [name for name, content in contents.items() if any(part in content for part in parts)]


RARE = ["qzxvkjwq", "wvkqjxzh", "zqkxwvjf", "jxqwzkvg", "kzqvxjwm"]


@pytest.mark.parametrize("others", [0, 40])
def test_no_byte_of_a_forgotten_word_is_left(tmp_path: Path, minilm: MiniLM, others: int) -> None:
    """The right to erasure covers an index, too: it is a list of all words."""
    gone, kept = {"user_id": "gone"}, {"user_id": "kept"}
    with connect("embedded", data_dir=tmp_path, embedder=minilm) as memory:
        if others:
            memory.remember_many(
                [f"Plimsoll number {n} of house {n * 7}." for n in range(others)], scope=kept
            )
        plain, bulk, changed, deleted, shared = RARE
        memory.remember(f"My {plain} is red.", scope=gone, infer=False)
        memory.remember_many([f"A {bulk} {number}." for number in range(30)], scope=gone)
        first = memory.remember(f"It was {changed}.", scope=gone, infer=False).memories[0]
        memory.update(first.id, scope=gone, text="It is another thing.")
        second = memory.remember(f"It was {deleted}.", scope=gone, infer=False).memories[0]
        memory.delete(second.id, scope=gone)
        memory.remember(f"We share {shared}.", scope=gone, infer=False)
        assert [word for word in RARE if traces(tmp_path, word)] == RARE

        memory.forget(gone)

        names = {path.name for path in tmp_path.rglob("*")}
        assert {"memories.db", "memories.db-wal"} <= names
        assert {word: traces(tmp_path, word) for word in RARE} == {word: [] for word in RARE}
        recall = memory.recall("plimsolls of 21", scope=kept, explain=True)
        assert len(recall.memories) == (5 if others else 0)
        if others:
            assert recall.memories[0].text == "Plimsoll number 3 of house 21."
    assert [word for word in RARE if traces(tmp_path, word)] == []


def test_a_word_that_others_have_stays_theirs(tmp_path: Path, minilm: MiniLM) -> None:
    """Forgetting one must not make another's memory unfindable."""
    gone, kept = {"user_id": "gone"}, {"user_id": "kept"}
    with connect("embedded", data_dir=tmp_path, embedder=minilm) as memory:
        for scope in (gone, kept):
            memory.remember("My qzxvkjwq is red.", scope=scope, infer=False)
        memory.forget(gone)
        (found,) = memory.recall("qzxvkjwq", scope=kept, explain=True).memories
        assert found.signals is not None
        assert found.signals["lexical"] == pytest.approx(1)
        memory.forget(kept)
    assert traces(tmp_path, "qzxvkjwq") == []


# Files of before, damaged ones, and killed processes

OLD_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE memories (
    seq INTEGER PRIMARY KEY,
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    hash TEXT, document_path_3 TEXT, document_path_2 TEXT, document_path_1 TEXT,
    document_path_0 TEXT, user_id TEXT, run_id TEXT, agent_id TEXT, app_id TEXT, actor_id TEXT,
    vector BLOB NOT NULL,
    payload TEXT NOT NULL,
    UNIQUE (collection, id)
);
CREATE INDEX memories_user_id ON memories (collection, user_id) WHERE user_id IS NOT NULL;
INSERT INTO meta VALUES ('version', 1), ('dimension', 3);
"""


def old_file(path: Path, rows: Iterable[tuple[str, str, list[float], str]]) -> None:
    """Write a file as the version did that had no index: (collection, id, vector, payload)."""
    with closing(sqlite3.connect(path)) as file:
        file.executescript(OLD_SCHEMA)
        file.executemany(
            "INSERT INTO memories (collection, id, user_id, vector, payload) "
            "VALUES (?, ?, 'ann', ?, ?)",
            ((name, row_id, struct.pack("3f", *v), text) for name, row_id, v, text in rows),
        )
        file.commit()


def old_payload(text: str, minute: int, thread_id: object = "t", **more: object) -> str:
    time = (NOON + timedelta(minutes=minute)).isoformat()
    return json.dumps({**ANN, "data": text, "created_at": time, "thread_id": thread_id, **more})


def test_a_file_of_before_the_index_gets_one(path: Path, tmp_path: Path) -> None:
    """Memories of years must be found as well as those of today, and by what is around them."""
    near = [0.4, 0.9, 0.0]
    old_file(
        path,
        [
            ("memories", "question", X, old_payload("Did you water the orchids?", 0)),
            ("memories", "answer", near, old_payload("Yes, I did.", 1)),
            ("memories", "elsewhere", near, old_payload("Yes, I did it.", 1, "s")),
            ("memories_items", "item", X, old_payload("An orchid of an item.", 0)),
        ],
    )
    with closing(SQLiteVectorStore(path, dimension=3)) as store:
        assert having(store, "orchids") == {"question"}
        found = store.recall(asked("watered orchids"), X, 9, ANN)
        assert [record.id for record in found] == ["question", "answer", "elsewhere"]
        assert found[1].signals["lexical"] > 0 == found[2].signals["lexical"]
        assert index_of(path) == afresh(store, tmp_path)
        # A row that is added now stands beside those of before.
        payload = json.loads(old_payload("I did so yesterday.", 2))
        store.insert([near], [payload], ["later"])
        before = store.recall(asked("watered orchids"), X, 9, ANN)
        store.delete("question")
        assert having(store, "orchids") == set()
        store.insert([X], [json.loads(old_payload("Did you water the orchids?", 0))], ["question"])
        again = store.recall(asked("watered orchids"), X, 9, ANN)
        assert {r.id: r.signals for r in again} == {r.id: r.signals for r in before}
    with closing(SQLiteVectorStore(path, dimension=3)) as store:
        reopened = store.recall(asked("watered orchids"), X, 9, ANN)
        assert {r.id: r.signals for r in reopened} == {r.id: r.signals for r in before}


@pytest.mark.parametrize(
    "payload",
    [
        '{"user_id": "ann", "data": "I like tea.", "n": NaN, "thread_id": "t"}',
        old_payload("I like tea.", 0, None),
        old_payload("I like tea.", 0, 7),
        old_payload("I like tea.", 0, ["t"]),
        old_payload("I like tea.", 0, "\ud800"),
        '{"user_id": "ann", "data": "I like tea.", "created_at": "yesterday"}',
        '{"user_id": "ann", "data": null}',
        '{"user_id": "ann"}',
    ],
)
def test_a_file_of_before_may_hold_anything(path: Path, tmp_path: Path, payload: str) -> None:
    """One odd memory must not lock a user out of all."""
    old_file(path, [("memories", "1", X, payload), ("memories", "2", Y, old_payload("Milk.", 0))])
    with closing(SQLiteVectorStore(path, dimension=3)) as store:
        assert having(store, "milk") == {"2"}
        assert {record.id for record in store.recall(asked("tea"), X, 9, ANN)} == {"1", "2"}
        assert index_of(path) == afresh(store, tmp_path)
        assert store.list({"user_id": "ann", "thread_id": "7"}) == [[]]
        store.delete_where(ANN)
    assert index_of(path) == set()


def test_reindex_makes_a_damaged_index_whole(store: SQLiteVectorStore, tmp_path: Path) -> None:
    """A restore of half a file, or another program, must not be the end of it."""
    path = Path(store.path)
    store.insert([X] * 300, [{**ANN, "data": f"word{number} tea"} for number in range(300)], None)
    whole = afresh(store, tmp_path)
    for damage in (
        "INSERT INTO memories_text (memories_text) VALUES ('delete-all')",
        "DELETE FROM memories_text_data WHERE id > 10",
        "DELETE FROM memories_text_docsize WHERE id < 100",
        "DELETE FROM memories_text_idx",
        "INSERT INTO memories_text (rowid, owner, text) VALUES (1, 'u626f620', 'foreign')",
    ):
        with store._database.write() as connection:
            connection.execute(damage)
        store.reindex()
        assert index_of(path) == whole
        assert len(having(store, "tea")) == 300
        assert len(having(store, "word7")) == 1
    store.delete_where(ANN)
    assert index_of(path) == set()


def test_a_file_without_its_triggers_gets_them_back(store: SQLiteVectorStore) -> None:
    """What is created when a file is opened is created again where it is missing."""
    say(store, "I like tea.")
    with store._database.write() as connection:
        for event in ("insert", "update", "delete"):
            connection.execute(f"DROP TRIGGER memories_text_{event}")
    with closing(SQLiteVectorStore(Path(store.path), dimension=3)) as again:
        say(again, "I like milk.")
        assert having(again, "milk") == {"1"}
        assert having(again, "tea") == set()


WORKER = """
import sys
from pathlib import Path
from mem0_integrations.backends.embedded.store import SQLiteVectorStore

folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = SQLiteVectorStore(folder / "memories.db", dimension=3)
for number in range(first, last):
    user = {"user_id": f"user-{number % 3}"}
    ids = [f"{number}", f"{number}-doomed"]
    store.insert([[1, 0, 0]] * 2, [{**user, "data": f"old turn{number}"}] * 2, ids)
    store.update(f"{number}", payload={**user, "data": f"new turn{number}"})
    store.delete(f"{number}-doomed")
    if number % 50 == 49:
        store.compact()
    print(number, flush=True)
"""


def test_a_killed_process_leaves_index_and_memories_in_agreement(tmp_path: Path) -> None:
    """Killed at random moments, within a write or between two."""
    worker, moments = tmp_path / "worker.py", random.Random(48213)
    worker.write_text(WORKER)
    accepted = -1
    for _ in range(3):
        accepted = accepted_until_killed(
            worker, tmp_path, accepted + 1, 100_000, moments.randint(20, 100)
        )
        with closing(SQLiteVectorStore(tmp_path / "memories.db", dimension=3)) as store:
            assert index_of(tmp_path / "memories.db") == afresh(store, tmp_path)
            user = {"user_id": f"user-{accepted % 3}"}
            assert having(store, f"turn{accepted}", **user) == {f"{accepted}"}
            assert f"{accepted}" not in having(store, "old", **user)
    assert accepted > 30


# A conversation


def tell(memory: AgentMemory, user: str, *texts: str, thread: str | None, start: float = 0) -> None:
    """Let texts be said, one a minute."""
    for minute, text in enumerate(texts):
        memory.remember(
            text,
            scope={"user_id": user},
            infer=False,
            metadata=None if thread is None else {"thread_id": thread},
            created_at=NOON + timedelta(minutes=start + minute),
        )


def found_of(memory: AgentMemory, user: str, question: str, **options: Any) -> dict[str, Memory]:
    recall = memory.recall(
        question, scope={"user_id": user}, limit=20, explain=True, on_error="raise", **options
    )
    return {found.text: found for found in recall.memories}


ORCHIDS = "Did you water the orchids on the balcony?"
QUESTION = "Did anyone water the orchids?"


def strength(found: Mapping[str, Memory], text: str) -> float:
    signals = found[text].signals
    assert signals is not None
    return signals["lexical"]


@pytest.mark.parametrize("thread", ["monday", None])
def test_an_answer_is_found_through_what_it_answers(
    shared: AgentMemory, user: str, thread: str | None
) -> None:
    """ "Yes, I did." has none of the question's words, and yet it is what was asked for."""
    tell(shared, user, "Lunch was too salty.", ORCHIDS, "Yes, I did.", "Bye!", thread=thread)
    tell(shared, user, "Shall we meet?", "Yes, we did.", thread="tuesday", start=1000)
    found = found_of(shared, user, QUESTION, threshold=0.0)
    assert list(found)[:2] == [ORCHIDS, "Yes, I did."]
    assert strength(found, "Yes, I did.") > 0 == strength(found, "Yes, we did.")
    assert "Yes, I did." in found_of(shared, user, QUESTION)


def test_a_neighbour_that_is_about_something_else_is_not_returned(
    shared: AgentMemory, user: str
) -> None:
    """To sit beside the answer is not enough."""
    said = "Lunch was too salty.", "The train was late.", ORCHIDS, "I like jazz.", "The bus, too."
    tell(shared, user, *said, thread="monday")
    assert list(found_of(shared, user, "Who watered the orchids?")) == [ORCHIDS]
    found = found_of(shared, user, "Who watered the orchids?", threshold=0.0)
    assert len(found) == 5
    assert [text for text in found if strength(found, text)] == [ORCHIDS]


@pytest.mark.parametrize(
    ("threads", "start", "together"),
    [
        (("monday", "monday"), 1, True),
        (("monday", "monday"), 3000, True),
        ((None, None), 59, True),
        ((None, None), 61, False),
        (("monday", "tuesday"), 1, False),
        (("monday", None), 1, False),
    ],
)
def test_a_conversation_is_a_thread_or_what_is_said_within_an_hour(
    shared: AgentMemory,
    user: str,
    threads: tuple[str | None, str | None],
    start: float,
    together: bool,
) -> None:
    """What somebody says elsewhere, or long after, is not an answer."""
    tell(shared, user, ORCHIDS, thread=threads[0])
    tell(shared, user, "Yes, I did.", thread=threads[1], start=start)
    found = found_of(shared, user, QUESTION, threshold=0.0)
    assert (strength(found, "Yes, I did.") > 0) is together


def test_the_conversations_of_agents_and_runs_are_apart(shared: AgentMemory, user: str) -> None:
    """A thread's name may be the same in each of them."""
    for scope, text in (({}, ORCHIDS), ({"agent_id": "bot"}, "Yes, I did.")):
        shared.remember(
            text,
            scope={"user_id": user, **scope},
            infer=False,
            metadata={"thread_id": "monday"},
            created_at=NOON,
        )
    found = found_of(shared, user, QUESTION, threshold=0.0)
    assert strength(found, ORCHIDS) > 0
    assert strength(found, "Yes, I did.") == 0
