"""Bad input and bad ground: a clear error of our own, and nothing half-written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mem0_integrations import (
    AgentMemory,
    ConfigurationError,
    CorruptFileError,
    InvalidFilterError,
    InvalidInputError,
    InvalidMessageError,
    Mem0IntegrationsError,
    MemoryNotFoundError,
    ScopeError,
    connect,
)

USER = {"user_id": "customer-1"}
MEGABYTE = 1_000_000

WRITES: dict[str, tuple[type[Mem0IntegrationsError], str, Callable[[AgentMemory], object]]] = {
    "content that is no text": (
        InvalidMessageError,
        r"messages\[0\]\.content is a int",
        lambda m: m.remember([{"role": "user", "content": 42}], scope=USER),
    ),
    "a content block that is no block": (
        InvalidMessageError,
        r"messages\[0\]\.content holds a int",
        lambda m: m.remember([{"role": "user", "content": [42]}], scope=USER),
    ),
    "bytes": (
        InvalidMessageError,
        "bytes",
        lambda m: m.remember([{"role": "user", "content": b"hello"}], scope=USER),
    ),
    "a message without a role": (
        InvalidMessageError,
        r"messages\[1\] has no role",
        lambda m: m.remember([("user", "I like tea."), {"content": "hello"}], scope=USER),
    ),
    "a message without content": (
        InvalidMessageError,
        r"messages\[0\]\.content is a NoneType",
        lambda m: m.remember([{"role": "user"}], scope=USER),
    ),
    "a message of 1 MB": (
        InvalidMessageError,
        "1,000,000 characters; at most 100,000",
        lambda m: m.remember("a" * MEGABYTE, scope=USER),
    ),
    "text that is not Unicode": (
        InvalidMessageError,
        "not valid Unicode",
        lambda m: m.remember("I like \ud800 tea.", scope=USER),
    ),
    "no messages": (
        InvalidMessageError,
        "not NoneType",
        lambda m: m.remember(None, scope=USER),  # type: ignore[arg-type]
    ),
    "metadata that is not JSON": (
        InvalidInputError,
        r"metadata\['handle'\] cannot be stored as JSON",
        lambda m: m.remember("I like tea.", scope=USER, metadata={"ok": 1, "handle": object()}),
    ),
    "metadata that is no number": (
        InvalidInputError,
        r"metadata\['price'\]",
        lambda m: m.remember("I like tea.", scope=USER, metadata={"price": float("nan")}),
    ),
    "metadata with a reserved key": (
        InvalidInputError,
        r"metadata\['user_id'\] is reserved",
        lambda m: m.remember("I like tea.", scope=USER, metadata={"user_id": "customer-2"}),
    ),
    "metadata with a key that is no string": (
        InvalidInputError,
        "keys must be strings",
        lambda m: m.remember("I like tea.", scope=USER, metadata={1: "x"}),  # type: ignore[dict-item]
    ),
    "an empty key": (
        InvalidInputError,
        "key must be",
        lambda m: m.remember("I like tea.", scope=USER, key=""),
    ),
    "a time without a zone": (
        InvalidInputError,
        "created_at has no time zone",
        lambda m: m.remember("I like tea.", scope=USER, created_at=datetime(2026, 1, 1)),
    ),
    "no scope": (ScopeError, "whose memories", lambda m: m.remember("I like tea.")),
    "an empty scope": (ScopeError, "at least one", lambda m: m.remember("I like tea.", scope={})),
    "an empty id": (
        ScopeError,
        "user_id is empty",
        lambda m: m.remember("I like tea.", scope={"user_id": " "}),
    ),
    "an id that is too long": (
        ScopeError,
        "256 characters",
        lambda m: m.remember("I like tea.", scope={"user_id": "u" * 256}),
    ),
    "a scope that Mem0 cannot keep apart": (
        ScopeError,
        "beside app_id",
        lambda m: m.remember("I like tea.", scope={"app_id": "shop"}),
    ),
    "forgetting what Mem0 cannot keep apart": (
        ScopeError,
        "beside app_id",
        lambda m: m.forget({"app_id": "shop"}),
    ),
    "an unknown scope key": (
        ScopeError,
        "tenant",
        lambda m: m.remember("I like tea.", scope={"user_id": "u", "tenant": "t"}),
    ),
    "a bad message in an import": (
        InvalidMessageError,
        "no role",
        lambda m: m.remember_many([{"content": "x"}], scope=USER),
    ),
    "a bad time in an import": (
        InvalidInputError,
        "created_at must be an ISO 8601 time",
        lambda m: m.remember_many(
            [{"role": "user", "content": "x", "created_at": "yesterday"}], scope=USER
        ),
    ),
    "one string as an import": (
        InvalidInputError,
        "iterable of messages",
        lambda m: m.remember_many("I like tea.", scope=USER),
    ),
    "one mapping as an import": (
        InvalidInputError,
        "iterable of messages",
        lambda m: m.remember_many({"role": "user", "content": "x"}, scope=USER),
    ),
    "a NUL in the metadata": (
        InvalidInputError,
        "NUL",
        lambda m: m.remember("I like tea.", scope=USER, metadata={"a": "\0"}),
    ),
    "a time at the end of time": (
        InvalidInputError,
        "out of range",
        lambda m: m.remember(
            "I like tea.", scope=USER, created_at=datetime.max.replace(tzinfo=UTC)
        ),
    ),
    "a time-out without an end": (
        InvalidInputError,
        "timeout",
        lambda m: m.remember("I like tea.", scope=USER, timeout=float("inf")),
    ),
    "an id that is no text": (
        InvalidInputError,
        "memory_id",
        lambda m: m.delete(5, scope=USER),  # type: ignore[arg-type]
    ),
    "batches of nothing": (
        InvalidInputError,
        "batch_size",
        lambda m: m.remember_many(["x"], scope=USER, batch_size=0),
    ),
    "an update of nothing": (
        InvalidInputError,
        "needs a text",
        lambda m: m.update("some-id", scope=USER),
    ),
    "an update to nothing": (
        InvalidInputError,
        "text is empty",
        lambda m: m.update("some-id", scope=USER, text="  "),
    ),
    "an update to what is not Unicode": (
        InvalidMessageError,
        "not valid Unicode",
        lambda m: m.update("some-id", scope=USER, text="\ud800"),
    ),
    "an update of an id that is none": (
        MemoryNotFoundError,
        "no memory with id 'some-id'",
        lambda m: m.update("some-id", scope=USER, text="x"),
    ),
    "a deletion of what is not there": (
        MemoryNotFoundError,
        "no memory with id",
        lambda m: m.delete("5e0f8f0e-5a0c-5c9b-9d55-2f0b7a6e2c11", scope=USER),
    ),
    "forgetting nobody": (ScopeError, "scope", lambda m: m.forget(None)),  # type: ignore[arg-type]
}

READS: dict[str, tuple[type[Mem0IntegrationsError], str, dict[str, Any]]] = {
    "an empty query": (InvalidMessageError, "query is empty", {"query": ""}),
    "a blank query": (InvalidMessageError, "query is empty", {"query": " \n\t"}),
    "a query without a user's message": (
        InvalidMessageError,
        "query is empty",
        {"query": [("assistant", "Hello")]},
    ),
    "a limit of 0": (InvalidInputError, "limit must be", {"limit": 0}),
    "a negative limit": (InvalidInputError, "limit must be", {"limit": -5}),
    "a limit that is too large": (InvalidInputError, "1,000", {"limit": 1_001}),
    "a limit that is no number": (InvalidInputError, "limit must be", {"limit": "5"}),
    "a threshold above 1": (InvalidInputError, "threshold", {"threshold": 1.5}),
    "an unknown operator": (
        InvalidFilterError,
        "between",
        {"filters": {"price": {"between": [1, 2]}}},
    ),
    "a scope in the filters": (
        InvalidFilterError,
        "scope",
        {"filters": {"AND": [{"user_id": "customer-2"}]}},
    ),
    "a time-out that is no number": (InvalidInputError, "timeout", {"timeout": "5"}),
    "a threshold that is no number": (InvalidInputError, "threshold", {"threshold": "high"}),
    "a time-out of 0": (InvalidInputError, "timeout", {"timeout": 0}),
    "a time without a zone": (InvalidInputError, "time zone", {"as_of": datetime(2026, 1, 1)}),
    "an unknown way of failing": (InvalidInputError, "on_error", {"on_error": "ignore"}),
}


@pytest.mark.parametrize("case", WRITES)
def test_a_bad_write_is_refused_before_anything_is_written(memory: AgentMemory, case: str) -> None:
    """Neither the store nor the outbox has a trace of it."""
    kind, message, call = WRITES[case]
    with pytest.raises(kind, match=message):
        call(memory)
    counts = memory.outbox_counts()
    assert (counts.queued, counts.dead, counts.done) == (0, 0, 0)
    assert memory.list(scope=USER) == []


@pytest.mark.parametrize("case", READS)
def test_a_bad_recall_raises_although_recalls_fail_open(memory: AgentMemory, case: str) -> None:
    """A mistake in the program is no outage."""
    kind, message, arguments = READS[case]
    with pytest.raises(kind, match=message):
        memory.recall(**({"query": "tea", "scope": USER} | arguments))


def test_the_end_of_a_query_of_1_mb_is_searched_for(memory: AgentMemory) -> None:
    """A pasted document must not fail the turn; the question comes last."""
    memory.remember("I like green tea.", scope=USER)
    recall = memory.recall("lorem ipsum " * 90_000 + "Which tea do I like?", scope=USER)
    assert recall.degraded is None
    assert recall.memories[0].text == "I like green tea."


def test_a_corrupt_outbox_is_named_and_left_alone(data_dir: Path) -> None:
    """It may hold turns that can still be rescued."""
    connect().close()
    path = data_dir / "embedded" / "outbox.db"
    path.write_bytes(b"no database " * 500)
    with pytest.raises(CorruptFileError, match=r"outbox\.db"):
        connect()
    assert path.read_bytes() == b"no database " * 500


def test_a_corrupt_store_is_named_and_left_alone(data_dir: Path) -> None:
    """And the folder is not left locked."""
    connect().close()
    path = data_dir / "embedded" / "memories.db"
    good = path.read_bytes()
    path.write_bytes(b"no database " * 500)
    with pytest.raises(CorruptFileError, match=r"memories\.db"):
        connect()
    path.write_bytes(good)
    connect().close()


def test_a_corrupt_history_is_an_error_of_our_own(data_dir: Path) -> None:
    """Mem0's own file is part of the folder."""
    connect().close()
    (data_dir / "embedded" / "history.db").write_bytes(b"no database " * 500)
    with pytest.raises(CorruptFileError, match=r"history"):
        connect()


def test_a_full_disk_fails_the_write_and_keeps_what_was_there(memory: AgentMemory) -> None:
    """The turn stays in the outbox, and is stored when there is room again."""
    memory.remember("I like tea.", scope=USER)
    database = memory._backend._memory.vector_store._table._database  # type: ignore[attr-defined]
    with database.read() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    result = memory.remember("word " * 10_000, scope=USER, infer=False)
    assert result.status == "failed"
    assert "full" in str(result.error)
    assert [found.text for found in memory.list(scope=USER)] == ["I like tea."]
    with database.read() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    assert memory.replay() == 1
    assert memory.flush(30)
    assert len(memory.list(scope=USER)) == 2


def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    """Run as another user: root may write anywhere."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o555)
    for parent in tmp_path.parents:
        if parent.is_relative_to("/tmp") and parent != Path("/tmp"):
            parent.chmod(0o755)
    tmp_path.chmod(0o755)
    script = """
import os, sys
import mem0_integrations.connection
import mem0_integrations.backends.embedded.memory
from mem0_integrations import StorageError, connect
if os.getuid() == 0:
    os.setuid(65534)
try:
    connect()
except StorageError as error:
    print(error)
"""
    environment = os.environ | {"MEM0_DIR": str(folder), "MEM0_TELEMETRY": "False"}
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert str(folder) in result.stdout, result.stderr
    assert "MEM0_DIR" in result.stdout


@pytest.mark.parametrize("target", [42, "nowhere", ["config"]])
def test_an_unknown_target_is_refused(data_dir: Path, target: object) -> None:
    """With a list of what is known."""
    with pytest.raises(ConfigurationError, match="Mem0 config"):
        connect(target)
