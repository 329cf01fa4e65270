from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from mem0.memory.main import _build_session_scope
from mem0.memory.storage import SQLiteManager

from mem0_integrations import Memory, Scope
from mem0_integrations.backends.history import History


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[SQLiteManager]:
    """Mem0's own object, on a file."""
    opened = SQLiteManager(str(tmp_path / "history.db"))
    yield opened
    opened.close()


@pytest.fixture
def history(manager: SQLiteManager) -> History:
    return History(manager)


def add(manager: SQLiteManager, memory_id: str, text: str = "I like tea.") -> None:
    manager.add_history(memory_id, None, text, "ADD", created_at="2026-03-01T12:00:00+00:00")


def deleted(ids: Mapping[str, str], *memory_ids: str) -> list[Memory]:
    return [Memory(id=memory_id, text="", scope=Scope(**ids)) for memory_id in memory_ids]


def say(manager: SQLiteManager, text: str, **ids: str) -> None:
    manager.save_messages([{"role": "user", "content": text}], _build_session_scope(ids))


def said(manager: SQLiteManager) -> set[str]:
    return {content for (content,) in manager.connection.execute("SELECT content FROM messages")}


def test_the_owner_of_a_deleted_memory_is_remembered(history: History) -> None:
    """Mem0 forgets whose a memory was, and its history could be shown to nobody."""
    history.mark_deleted(deleted({"user_id": "ann", "agent_id": "shop"}, "m1", "m2"))
    history.mark_deleted(deleted({"user_id": "bob"}, "m2"))
    assert history.deleted_by("m1") == {"user_id": "ann", "agent_id": "shop"}
    assert history.deleted_by("m2") == {"user_id": "bob"}
    assert history.deleted_by("m3") is None


def test_only_the_deleted_memories_of_a_scope_are_erased(
    manager: SQLiteManager, history: History
) -> None:
    """A scope covers those within it, and no other."""
    scopes = {
        "user": {"user_id": "ann"},
        "agent": {"user_id": "ann", "agent_id": "shop"},
        "other agent": {"user_id": "ann", "agent_id": "bank"},
        "other user": {"user_id": "ann2", "agent_id": "shop"},
    }
    for memory_id, ids in scopes.items():
        add(manager, memory_id)
        history.mark_deleted(deleted(ids, memory_id))
    add(manager, "alive")

    def left() -> set[str]:
        return {memory_id for memory_id in (*scopes, "alive") if manager.get_history(memory_id)}

    assert history.erase({"user_id": "ann", "agent_id": "shop"}) == (1, 0)
    assert left() == {"user", "other agent", "other user", "alive"}
    assert history.deleted_by("agent") is None
    assert history.erase({"user_id": "ann"}) == (2, 0)
    assert left() == {"other user", "alive"}
    assert history.deleted_by("other user") == scopes["other user"]


def test_the_raw_messages_of_a_scope_are_erased(manager: SQLiteManager, history: History) -> None:
    """Mem0 keeps the last ten of each session, word for word."""
    say(manager, "user", user_id="ann")
    say(manager, "agent", user_id="ann", agent_id="shop")
    say(manager, "run", user_id="ann", agent_id="shop", run_id="1")
    say(manager, "other", user_id="ann2", agent_id="shop")
    assert history.erase({"user_id": "ann", "agent_id": "shop"}) == (0, 2)
    assert said(manager) == {"user", "other"}
    # Mem0 keeps messages without the application: all of the user's go.
    assert history.erase({"user_id": "ann", "app_id": "app"}) == (0, 1)
    assert said(manager) == {"other"}


@pytest.mark.parametrize(
    "hostile", ["a&agent_id=shop", "a%26agent_id%3Dshop", "a=b", "%", "&", "ann&user_id=bob"]
)
def test_an_id_cannot_pose_as_several(
    manager: SQLiteManager, history: History, hostile: str
) -> None:
    """Mem0 writes the ids of a session into one text, with delimiters that ids may hold."""
    say(manager, "hostile", user_id=hostile)
    say(manager, "a", user_id="a", agent_id="shop")
    say(manager, "bob", user_id="bob")
    for ids in ({"user_id": "a", "agent_id": "shop"}, {"user_id": "bob"}, {"agent_id": "b"}):
        history.erase(ids)
    assert said(manager) == {"hostile"}
    assert history.erase({"user_id": hostile}) == (0, 1)


def test_many_memories_are_erased_at_once(manager: SQLiteManager, history: History) -> None:
    """SQLite limits how many values one statement may name."""
    ids = [f"m{number}" for number in range(1_234)]
    manager.batch_add_history([{"memory_id": memory_id, "event": "ADD"} for memory_id in ids])
    history.mark_deleted(deleted({"user_id": "ann"}, *ids))
    assert history.erase({"user_id": "ann"}) == (1_234, 0)
    assert manager.connection.execute("SELECT COUNT(*) FROM history").fetchone() == (0,)


def test_erased_text_is_not_left_in_the_file(
    manager: SQLiteManager, history: History, tmp_path: Path
) -> None:
    """SQLite only marks deleted pages as free, unless it is told to overwrite them."""
    for number in range(50):
        add(manager, f"m{number}", f"quizzlebrock {number} " * 500)
    add(manager, "kept", "snarkroot " * 500)
    say(manager, "vorpalmint " * 2000, user_id="ann")
    history.mark_deleted(deleted({"user_id": "ann"}, *(f"m{number}" for number in range(50))))

    def content() -> bytes:
        return b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert b"quizzlebrock" in content()
    assert b"vorpalmint" in content()
    assert history.erase({"user_id": "ann"}) == (50, 1)
    assert b"quizzlebrock" not in content()
    assert b"vorpalmint" not in content()
    assert b"snarkroot" in content()


def test_text_that_was_deleted_before_is_not_left_in_the_file_either(tmp_path: Path) -> None:
    """Mem0 itself drops old messages without overwriting them."""
    before = SQLiteManager(str(tmp_path / "history.db"))
    # As in most builds of SQLite.
    before.connection.execute("PRAGMA secure_delete = OFF")
    # Of a session it keeps ten.
    for text in ["quizzlebrock " * 2000] * 10 + ["snarkroot"] * 10:
        say(before, text, user_id="ann")
    assert said(before) == {"snarkroot"}
    before.close()
    assert b"quizzlebrock" in (tmp_path / "history.db").read_bytes()
    manager = SQLiteManager(str(tmp_path / "history.db"))
    History(manager).erase({"user_id": "bob"})
    manager.close()
    assert b"quizzlebrock" not in (tmp_path / "history.db").read_bytes()
    assert b"snarkroot" in (tmp_path / "history.db").read_bytes()


def test_a_failed_change_leaves_nothing_half_done(manager: SQLiteManager, history: History) -> None:
    """After an error the connection, which Mem0 uses too, has to be usable."""
    with pytest.raises(sqlite3.ProgrammingError):
        history.mark_deleted(deleted({"user_id": "ann"}, "m1", object()))  # type: ignore[arg-type]
    assert history.deleted_by("m1") is None
    add(manager, "m1")
    assert len(manager.get_history("m1")) == 1


def test_a_commit_that_fails_leaves_no_transaction_open(
    manager: SQLiteManager, history: History
) -> None:
    """None could be begun any more, by Mem0 neither."""
    manager.connection.executescript(
        "PRAGMA foreign_keys = ON;"
        "CREATE TABLE lacking (id REFERENCES history (id) DEFERRABLE INITIALLY DEFERRED);"
        "CREATE TRIGGER fails AFTER INSERT ON mem0_integrations_deleted "
        "BEGIN INSERT INTO lacking VALUES ('nothing'); END;"
    )
    with pytest.raises(sqlite3.IntegrityError):
        history.mark_deleted(deleted({"user_id": "ann"}, "m1"))
    manager.connection.execute("DROP TRIGGER fails")
    history.mark_deleted(deleted({"user_id": "ann"}, "m2"))
    add(manager, "m3")
    assert history.deleted_by("m1") is None
    assert history.deleted_by("m2") is not None


def test_an_existing_file_is_taken_over(tmp_path: Path) -> None:
    """Mem0's history of before, and our own of the last start."""
    path = str(tmp_path / "history.db")
    before = SQLiteManager(path)
    add(before, "m1")
    before.close()
    for _ in range(2):
        manager = SQLiteManager(path)
        history = History(manager)
        assert len(manager.get_history("m1")) == 1
        history.mark_deleted(deleted({"user_id": "ann"}, "m1"))
        manager.close()
    manager = SQLiteManager(path)
    assert History(manager).deleted_by("m1") == {"user_id": "ann"}
    manager.close()
