"""The words of memories beside a vector store that has no index of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mem0_integrations import (
    AgentMemory,
    BackendError,
    ConfigurationError,
    CorruptFileError,
    MemoryNotFoundError,
    Ranking,
    Scope,
    connect,
)
from mem0_integrations.arguments import search_request
from mem0_integrations.backends.oss import OSSBackend
from mem0_integrations.table import full_text
from mem0_integrations.word_index import WordIndex
from tests.stores import MiniLM, Store, open_store, store_config, texts_of

ANN = {"user_id": "ann"}
BOB = {"user_id": "bob"}
# Near to no question by its meaning.
ODD = "Zyxgrommet 4711 qua flurb."


@pytest.fixture(scope="module", params=["qdrant", "pgvector"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM
) -> Iterator[Store]:
    """A store without words of its own."""
    folder = tmp_path_factory.mktemp(f"indexed-{request.param}")
    with open_store(request.param, folder, minilm, request) as opened:
        yield opened


@pytest.fixture
def memory(store: Store, tmp_path: Path) -> Iterator[AgentMemory]:
    """A memory with an index, empty when the test begins."""
    with store.connect(tmp_path / "outbox.db", lexical=True) as connected:
        for scope in (ANN, BOB):
            connected.forget(scope)
        yield connected


def found(memory: AgentMemory, query: str, scope: Any = ANN, **options: Any) -> list[str]:
    return texts_of(memory.recall(query, scope=scope, on_error="raise", **options).memories)


def index_of(memory: AgentMemory) -> WordIndex:
    [index] = memory._followers
    assert isinstance(index, WordIndex)
    return index


def words_of(memory: AgentMemory) -> Path:
    return Path(memory.describe()["words"])


def test_a_memory_is_found_by_its_words(memory: AgentMemory) -> None:
    """A number says nothing to an embedder."""
    fillers = [f"I like to walk in park number {number}." for number in range(80)]
    memory.remember_many([ODD, *fillers], scope=ANN)
    [best, *_] = memory.recall("4711 zyxgrommets?", scope=ANN, explain=True).memories
    assert best.text == ODD
    assert best.signals is not None
    assert best.signals["lexical"] > 0.5


def test_the_index_follows_what_changes(memory: AgentMemory) -> None:
    """A word that is no longer there finds nothing."""
    memory.remember_many([f"I like park {number}." for number in range(70)], scope=ANN)
    stored = memory.remember(ODD, scope=ANN, infer=False).memories[0]
    memory.update(stored.id, text="My glorbitz is broken.", scope=ANN)
    assert found(memory, "glorbitz", limit=1) == ["My glorbitz is broken."]
    words = Path(words_of(memory))
    assert b"zyxgrommet" not in _rows(words)
    memory.delete(stored.id, scope=ANN)
    assert b"glorbitz" not in _rows(words)
    assert "My glorbitz is broken." not in found(memory, "glorbitz", limit=50)


def test_nobody_is_found_by_the_words_of_another(memory: AgentMemory) -> None:
    """The index lies in one file for all users."""
    memory.remember(ODD, scope=BOB, infer=False)
    memory.remember("I like tea.", scope=ANN, infer=False)
    assert ODD not in found(memory, ODD)
    assert found(memory, ODD, BOB) == [ODD]


def test_who_tries_to_change_anothers_memory_does_not_unlist_it(memory: AgentMemory) -> None:
    """It is not found in the caller's scope, but it is there."""
    stored = memory.remember(ODD, scope=BOB, infer=False).memories[0]
    with pytest.raises(MemoryNotFoundError):
        memory.update(stored.id, text="Mine.", scope=ANN)
    assert ODD.encode() in _rows(words_of(memory))


def test_forget_leaves_no_word_behind(memory: AgentMemory) -> None:
    """Neither in the index nor in the notes about what changes."""
    memory.remember(ODD, scope=ANN, infer=False)
    memory.remember("I like kumquats.", scope=BOB, infer=False)
    memory.forget(ANN)
    folder = words_of(memory).parent
    for file in folder.glob("words-*"):
        assert b"yxgrommet" not in file.read_bytes()
        assert b'"ann"' not in file.read_bytes()
    assert found(memory, "kumquat", BOB) == ["I like kumquats."]


def test_a_store_that_was_filled_before_is_indexed_at_once(store: Store, tmp_path: Path) -> None:
    """Whoever turns it on has memories already."""
    with store.connect(tmp_path / "outbox.db") as plain:
        plain.forget(ANN)
        plain.remember_many([ODD, *(f"I like park {n}." for n in range(70))], scope=ANN)
    for words in store.folder.glob("words-*"):
        words.unlink()
    with store.connect(tmp_path / "outbox.db", lexical=True) as memory:
        assert found(memory, "zyxgrommets", limit=1) == [ODD]
        assert memory.reindex() >= 71


def test_what_a_dead_process_has_changed_is_looked_at_again(
    memory: AgentMemory, store: Store, tmp_path: Path
) -> None:
    """It died between the store and the index."""
    stored = memory.remember("I like tea.", scope=ANN, infer=False).memories[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WordIndex, "_look_again", _killed)
        with pytest.raises(KeyboardInterrupt):
            memory.update(stored.id, text=ODD, scope=ANN)
    assert ODD.encode() not in _rows(words_of(memory))
    with store.connect(tmp_path / "other.db", lexical=True) as again:
        assert ODD.encode() in _rows(words_of(again))
        assert _collection(words_of(again), "notes") == []


def test_filters_and_times_hold_for_what_words_find(memory: AgentMemory) -> None:
    """A memory that is hidden does not come in by another door."""
    fillers = [f"I like park number {number}." for number in range(80)]
    memory.remember_many(fillers, scope=ANN, metadata={"shelf": "a"})
    memory.remember(ODD, scope=ANN, infer=False, metadata={"shelf": "b"})
    assert ODD not in found(memory, "zyxgrommet", filters={"shelf": {"in": ["a"]}})
    assert found(memory, "zyxgrommet", filters={"shelf": {"in": ["b"]}}) == [ODD]
    assert ODD not in found(memory, "zyxgrommet", as_of=datetime(2020, 1, 1, tzinfo=UTC))


def test_many_threads_keep_it_whole(memory: AgentMemory) -> None:
    """A server has many users at once."""
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda n: memory.remember(f"I own gadget{n:02d}x.", scope=ANN, infer=False),
                range(24),
            )
        )
    for number in (0, 11, 23):
        assert found(memory, f"gadget{number:02d}x", limit=1) == [f"I own gadget{number:02d}x."]


def test_words_can_be_left_out_of_account(store: Store, tmp_path: Path) -> None:
    """The weights are settings."""
    options: dict[str, Any] = {"lexical": True, "ranking": Ranking(lexical=0.0)}
    with store.connect(tmp_path / "outbox.db", **options) as memory:
        memory.forget(ANN)
        memory.remember_many([ODD, *(f"I like park {n}." for n in range(80))], scope=ANN)
        with_words = found(memory, "Which park is it, zyxgrommet?", limit=3)
    assert ODD not in with_words


def test_where_it_makes_no_sense_it_is_refused(tmp_path: Path) -> None:
    """A setting without an effect misleads."""
    with pytest.raises(ConfigurationError, match="lexical"):
        connect("embedded", data_dir=tmp_path, lexical=False)
    with pytest.raises(ConfigurationError, match="lexical"):
        connect(api_key="k", host="http://127.0.0.1:9", data_dir=tmp_path, lexical=True)


def _rows(words: Path) -> bytes:
    """Return what the file says of memories."""
    with closing(sqlite3.connect(words)) as connection:
        return repr(connection.execute("SELECT id, payload FROM memories").fetchall()).encode()


def _collection(words: Path, name: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(words)) as connection:
        return connection.execute(
            "SELECT id FROM memories WHERE collection = ?", (name,)
        ).fetchall()


# Nothing hidden, twice, or lost on the way


def test_an_expired_memory_is_not_found_by_its_words(memory: AgentMemory) -> None:
    """Mem0's own search hides it."""
    fillers = [f"I like to walk in park number {number}." for number in range(80)]
    memory.remember_many(fillers, scope=ANN)
    stored = memory.remember(ODD, scope=ANN, infer=False).memories[0]
    backend = memory._backend
    assert isinstance(backend, OSSBackend)
    backend._store.merge_payloads({stored.id: {"expiration_date": "2020-01-01"}})
    assert ODD not in found(memory, "zyxgrommet", limit=100)
    kept = memory.get(stored.id, scope=ANN)
    assert kept is not None
    assert kept.text == ODD


def test_a_stream_of_results_falls_has_each_once_and_keeps_the_threshold(
    memory: AgentMemory,
) -> None:
    """A filter or `accept` may take from far behind the best."""
    texts = [f"I like to walk in park number {number}." for number in range(120)]
    memory.remember_many([*texts, "Zyxgrommet park, flurb 4711."], scope=ANN)
    for threshold in (None, 0.4, 0.55):
        request = search_request(
            "walk zyxgrommet flurb park 4711",
            Scope(**ANN),
            limit=5,
            threshold=threshold,
            filters=None,
            as_of=None,
            now=datetime.now(UTC),
            ranking=Ranking(),
        )
        stream = list(index_of(memory).rank(request, memory._backend.search(request)))
        scores = [each.score or 0.0 for each in stream]
        assert scores == sorted(scores, reverse=True)
        assert len({each.id for each in stream}) == len(stream)
        assert scores[-1] >= (threshold or 0.1)


def test_a_first_filling_that_broke_off_is_made_up_for(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the words of half of the memories would be missing for ever."""
    with store.connect(tmp_path / "outbox.db") as plain:
        plain.forget(ANN)
        plain.remember_many([ODD, *(f"I like park {n}." for n in range(70))], scope=ANN)
    for words in store.folder.glob("words-*"):
        words.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(WordIndex, "_put", _killed)
        with pytest.raises(KeyboardInterrupt):
            store.connect(tmp_path / "outbox.db", lexical=True)
    with store.connect(tmp_path / "outbox.db", lexical=True) as memory:
        assert found(memory, "zyxgrommets", limit=1) == [ODD]


def test_what_is_forgotten_is_noted_first(
    memory: AgentMemory, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies meanwhile must not leave the words of what was forgotten."""
    memory.remember(ODD, scope=ANN, infer=False)
    with monkeypatch.context() as patch:
        patch.setattr(WordIndex, "_look_again", _killed)
        with pytest.raises(KeyboardInterrupt):
            memory.forget(ANN)
    with store.connect(tmp_path / "other.db", lexical=True) as again:
        assert b"zyxgrommet" not in _rows(words_of(again)).lower()


def test_a_damaged_index_costs_its_signal_alone_until_it_is_moved_away(
    minilm: MiniLM, tmp_path: Path
) -> None:
    """Who moves it away must be able to connect again in the same process."""
    config = store_config("qdrant", tmp_path, dims=384)
    with connect(config, data_dir=tmp_path, embedder=minilm, lexical=True) as memory:
        memory.remember(ODD, scope=ANN, infer=False)
        words = words_of(memory)
    words.write_bytes(b"no database " * 1_000)
    with connect(config, data_dir=tmp_path, embedder=minilm, lexical=True) as memory:
        assert memory.remember("I like tea.", scope=ANN, infer=False).status == "stored"
        recall = memory.recall("Which tea do I like?", scope=ANN)
        assert "I like tea." in texts_of(recall.memories)
        assert words.name in str(recall.degraded)
        with pytest.raises(CorruptFileError, match=words.name):
            memory.reindex()
        with pytest.raises(BackendError, match=words.name):
            memory.forget(BOB)
    assert words.read_bytes() == b"no database " * 1_000
    words.unlink()
    with connect(config, data_dir=tmp_path, embedder=minilm, lexical=True) as memory:
        assert found(memory, "zyxgrommet")[0] == ODD
        memory.forget(BOB)


def test_another_process_may_change_the_index_during_a_recall(
    memory: AgentMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that goes between two reads of one search must not break it."""
    memory.remember_many([f"I like park {number}." for number in range(20)], scope=ANN)
    rows_with = full_text.rows_with

    def rows_that_go(*args: Any) -> Any:
        rows = rows_with(*args)
        with closing(sqlite3.connect(words_of(memory))) as other, other:
            other.execute("DELETE FROM memories WHERE collection = 'memories'")
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(full_text, "rows_with", rows_that_go)
        assert len(found(memory, "Which park?", limit=20, repeats=True)) == 20
    memory.reindex()


def test_a_damaged_index_is_made_again(memory: AgentMemory) -> None:
    """Its rows cannot be taken out one by one."""
    memory.remember_many([f"zyx{number} is a park." for number in range(30)], scope=ANN)
    with closing(sqlite3.connect(words_of(memory))) as file, file:
        file.execute("UPDATE memories_text_data SET block = x'00ff00ff' WHERE id > 10")
    with pytest.raises(CorruptFileError, match="--reindex"):
        found(memory, "zyx3")
    assert memory.reindex() == 30
    assert found(memory, "zyx3")[0] == "zyx3 is a park."


def _killed(*_: object) -> None:
    raise KeyboardInterrupt
