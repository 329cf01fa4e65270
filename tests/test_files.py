"""Files: they are their owner's alone, and one that is damaged or has no room costs only itself."""

from __future__ import annotations

import logging
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mem0_integrations import (
    AgentMemory,
    BackendError,
    CorruptFileError,
    Mem0IntegrationsError,
    OutboxOptions,
    SentenceExtractor,
    StorageError,
    connect,
)
from mem0_integrations.cli.doctor import run_doctor
from mem0_integrations.data_folder import keep_private, make_folder
from mem0_integrations.server.app import default_state_url
from mem0_integrations.server.keys import create_key
from mem0_integrations.server.state import State
from mem0_integrations.sqlite import check_file
from tests.graph.facts import follower_of
from tests.stores import QUICK, MiniLM

SCOPE = {"user_id": "u"}
HOME, QUESTION = "I live in Oslo.", "Where do I live?"
# Mem0 writes into folders of these names as it likes; nobody else comes in.
OF_STORES = ("chroma", "faiss", "qdrant")
PAGE = 4096


@pytest.fixture(params=[0o000, 0o022], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A data folder that was there, and that everybody may look into: a volume of a container."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "notes.txt").write_text("of somebody else")
    (folder / "notes.txt").chmod(0o644)
    return folder


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(folder: Path) -> dict[str, str]:
    """Return what others may read, write or list there, but for what is not the package's."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        is_behind = place.parts[0] in OF_STORES and len(place.parts) > 1
        if not is_behind and place.name != "notes.txt" and mode_of(path) & 0o077:
            found[str(place)] = oct(mode_of(path))
    return found


def open_store(name: str, folder: Path, minilm: MiniLM) -> AgentMemory:
    if name == "embedded":
        return connect("embedded", data_dir=folder, graph=True, scope=SCOPE, retry=QUICK)
    return connect(
        {"vector_store": {"provider": name}},
        data_dir=folder,
        embedder=minilm,
        extractor=SentenceExtractor(),
        lexical=True,
        scope=SCOPE,
        retry=QUICK,
    )


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize("store", ["embedded", *OF_STORES])
def test_what_is_written_is_its_owners_alone(store: str, shared: Path, minilm: MiniLM) -> None:
    """Memories are personal; whoever shares the machine must not read them, old files neither."""
    for _ in ("new", "left by an earlier version"):
        with open_store(store, shared, minilm) as memory:
            memory.remember(HOME)
            memory.flush(30)
            memory.recall(QUESTION)
            assert open_to_others(shared) == {}
        assert open_to_others(shared) == {}
        for path in shared.rglob("*"):
            path.chmod(0o644 if path.is_file() else 0o755 if path.name in OF_STORES else 0o700)
    with open_store(store, shared, minilm):
        assert open_to_others(shared) == {}
    assert (mode_of(shared), mode_of(shared / "notes.txt")) == (0o755, 0o644)


@pytest.mark.usefixtures("_umask")
def test_the_servers_state_is_its_owners_alone(shared: Path) -> None:
    """It has keys, events, exports and what is on its way to webhooks."""
    for _ in ("new", "left by an earlier version"):
        with closing(State(default_state_url(shared))) as state:
            create_key(state, "default", None)
            assert open_to_others(shared) == {}
            for path in (shared / "server").iterdir():
                path.chmod(0o644)
    with closing(State(default_state_url(shared))):
        assert open_to_others(shared) == {}


@pytest.mark.usefixtures("_umask")
def test_a_folder_is_made_for_its_owner_with_all_that_is_missing_above(tmp_path: Path) -> None:
    """`mkdir(parents=True)` gives those above what the umask allows."""
    make_folder(tmp_path / "a" / "b" / "c")
    assert open_to_others(tmp_path) == {}


def test_permissions_are_never_loosened(tmp_path: Path) -> None:
    """An administrator who closed a file even more had a reason."""
    path = tmp_path / "file"
    for before, after in [(0o400, 0o400), (0o640, 0o600), (0o777, 0o700), (0o600, 0o600)]:
        path.touch()
        path.chmod(before)
        keep_private(path)
        assert mode_of(path) == after


def test_the_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """A mistake in a path must not lock somebody out of his file."""
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"no database " * 500)
    theirs.chmod(0o644)
    with pytest.raises(CorruptFileError):
        connect("embedded", data_dir=tmp_path / "data", outbox=OutboxOptions(path=theirs))
    assert mode_of(theirs) == 0o644


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(2 * PAGE))


def quarantined(path: Path) -> None:
    path.with_name(f"{path.name}.quarantine-20260101T000000Z").write_bytes(b"of its log")


def zeroed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[PAGE:] = bytes(len(content) - PAGE)
    path.write_bytes(content)


GRAPH_DAMAGE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "graph": ("graph/graph.kg", garbage),
    "log": ("graph/graph.kg-wal", garbage),
    "a part of the log": ("graph/graph.kg-wal", quarantined),
    "outbox": ("embedded/graph-outbox.db", garbage),
    "pages of the outbox": ("embedded/graph-outbox.db", zeroed),
}


@pytest.mark.parametrize("what", GRAPH_DAMAGE)
def test_a_damaged_graph_costs_its_facts_alone_until_it_is_moved_away(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is made of the memories, and so must never stand in their way."""
    name, damage = GRAPH_DAMAGE[what]
    damaged = tmp_path / name
    options: dict[str, Any] = {"data_dir": tmp_path, "graph": True, "scope": SCOPE}
    with connect("embedded", **options) as memory:
        memory.remember(HOME)
        assert memory.flush(30)
    damage(damaged)
    content = damaged.read_bytes()
    memory = connect("embedded", **options)
    assert memory.remember("I work at Acme.").status == "stored"
    found = memory.recall(QUESTION)
    assert HOME in [each.text for each in found.memories]
    assert found.relations == ()
    assert "The graph could not be read." in str(found.degraded)
    assert "rebuild_graph()" in str(found.degraded)
    with pytest.raises(Mem0IntegrationsError):
        memory.recall(QUESTION, on_error="raise")
    memory.describe()
    with pytest.raises(BackendError):
        memory.forget({"user_id": "another"})
    memory.close(timeout=0.5)
    assert run_doctor(None, tmp_path, replay=False, model=None) == 1
    shown = "".join(capsys.readouterr().out.split())
    assert f"{tmp_path.name}/{name.removesuffix('-wal')}" in shown
    assert "rebuild_graph()" in shown
    if damage is not quarantined:
        assert damaged.read_bytes() == content
    # As its message says.
    for file in damaged.parent.glob(f"{damaged.name.removesuffix('-wal')}*"):
        file.rename(tmp_path / f"away-{file.name}")
    with connect("embedded", **options) as memory:
        memory.rebuild_graph(SCOPE)
        assert memory.flush(30)
        found = memory.recall(QUESTION)
        assert found.degraded is None
        assert "Oslo" in [relation.target for relation in found.relations]


@pytest.mark.parametrize("what", ["graph", "outbox"])
def test_what_is_forgotten_beside_a_damaged_graph_does_not_come_back(
    what: str, tmp_path: Path
) -> None:
    """The damage may be a disk that is mended, with all the facts on it."""
    name, damage = GRAPH_DAMAGE[what]
    damaged, sound = tmp_path / name, tmp_path / "sound"
    options: dict[str, Any] = {"data_dir": tmp_path, "graph": True, "scope": SCOPE}
    with connect("embedded", **options) as memory:
        memory.remember(HOME)
        assert memory.flush(30)
    shutil.copy(damaged, sound)
    damage(damaged)
    memory = connect("embedded", **options)
    with pytest.raises(BackendError, match="graph"):
        memory.forget(SCOPE)
    assert memory.list() == []
    assert memory.remember("I like tea.").status == "stored"
    memory.close(timeout=0.5)
    shutil.copy(sound, damaged)
    with connect("embedded", **options) as memory:
        assert memory.flush(30)
        known = memory.graph.history(scope=SCOPE)
        assert "Oslo" not in [relation.target for relation in known]


def pages_of_words(path: Path) -> dict[str, int]:
    """Return the root pages of the tables that SQLite's FTS5 keeps its index in."""
    with closing(sqlite3.connect(path)) as file:
        return dict(
            file.execute(
                "SELECT name, rootpage FROM sqlite_schema "
                "WHERE name GLOB 'memories_text_*' AND rootpage > 0"
            )
        )


@pytest.mark.parametrize("table", ["data", "idx", "config", "docsize"])
def test_a_damaged_index_of_words_is_made_again_and_fails_nothing(
    table: str, tmp_path: Path
) -> None:
    """Embedded alone: there it lies in the file of the memories, which nobody may move away."""
    path = tmp_path / "embedded" / "memories.db"
    with connect("embedded", data_dir=tmp_path, scope=SCOPE) as memory:
        memory.remember_many([f"I like the zyxgrommet of park {number}." for number in range(300)])
    content = bytearray(path.read_bytes())
    start = (pages_of_words(path)[f"memories_text_{table}"] - 1) * PAGE
    content[start : start + PAGE] = random.Random(1).randbytes(PAGE)
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="doctor --reindex"):
        check_file(path)
    with connect("embedded", data_dir=tmp_path, scope=SCOPE) as memory:
        found = memory.recall("Which zyxgrommet do I like?", explain=True)
        assert found.memories
        # Some of it is not read by a search.
        if found.degraded is not None:
            assert "doctor --reindex" in found.degraded
        assert memory.remember("I live in Oslo with my quuxle.").status == "stored"
        memory.reindex()
        found = memory.recall("quuxle", explain=True)
        assert found.degraded is None
        assert "quuxle" in found.memories[0].text
        memory.forget(SCOPE)
        assert b"zyxgrommet" not in path.read_bytes()
    check_file(path)


FILES = ("graph/graph.kg", "graph/graph.kg-wal", "embedded/graph-outbox.db")
MAIN_FILES = tuple(f"embedded/{name}.db" for name in ("memories", "history", "outbox"))


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_gives_our_own_errors(seed: int, tmp_path: Path) -> None:
    """Whoever catches what the package raises must not see the insides of SQLite or kglite."""
    chance = random.Random(seed)
    options: dict[str, Any] = {"data_dir": tmp_path, "graph": True, "scope": SCOPE, "retry": QUICK}
    with connect("embedded", **options) as memory:
        memory.remember_many([f"I like park {number}." for number in range(30)])
        memory.remember(HOME)
        assert memory.flush(30)
    path = tmp_path / chance.choice((*FILES, *MAIN_FILES))
    content = bytearray(path.read_bytes())
    start = chance.randrange(len(content))
    for place in range(start, min(len(content), start + chance.choice((8, PAGE, 4 * PAGE)))):
        content[place] = chance.choice((0, chance.randrange(256)))
    path.write_bytes(content)
    is_main = str(path.relative_to(tmp_path)) in MAIN_FILES
    try:
        memory = connect("embedded", **options)
    except StorageError:
        assert is_main
        return
    calls: list[Callable[[], object]] = [
        lambda: memory.remember(HOME, timeout=20),
        lambda: memory.recall(QUESTION, on_error="raise"),
        memory.list,
        memory.describe,
        lambda: memory.graph.relations(scope=SCOPE),
        lambda: memory.rebuild_graph(SCOPE),
        memory.reindex,
        lambda: memory.forget(SCOPE),
    ]
    for call in calls:
        try:
            call()
        except Mem0IntegrationsError:
            continue
    memory.close(timeout=0.5)


def test_a_damaged_history_of_a_config_is_named(tmp_path: Path, minilm: MiniLM) -> None:
    """Mem0 opens it before anything of this package does."""
    open_store("chroma", tmp_path, minilm).close()
    garbage(tmp_path / "history.db")
    with pytest.raises(CorruptFileError, match=r"history\.db"):
        open_store("chroma", tmp_path, minilm)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("Nothing can be mounted here.")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Attempts(logging.Handler):
    """Tells when an attempt of an outbox has failed."""

    def __init__(self) -> None:
        super().__init__()
        self.failed = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "next attempt in" in record.getMessage():
            self.failed.set()


def test_a_graph_whose_disk_is_full_catches_up_when_there_is_room(
    tmp_path: Path, small_disk: Path
) -> None:
    """A full disk passes: to give up at the first attempt would lose facts for good."""
    store = {"provider": "embedded", "config": {"path": str(small_disk / "graph.kg")}}
    attempts, outbox = Attempts(), logging.getLogger("mem0_integrations.outbox")
    with connect("embedded", data_dir=tmp_path / "data", graph=store, scope=SCOPE) as memory:
        memory.remember("I like tea.")
        assert memory.flush(30)
        with (small_disk / "filling").open("wb", buffering=0) as filling:
            try:
                while True:
                    filling.write(bytes(PAGE))
            except OSError:
                pass
        outbox.addHandler(attempts)
        try:
            # More than what is left of the last page.
            memory.remember_many([f"I met {name * 9} in Oslo." for name in "ABCDEFGHIJKLMNOP"])
            memory.remember(HOME)
            assert attempts.failed.wait(60)
        finally:
            outbox.removeHandler(attempts)
        assert memory.dead_letters() == []
        assert follower_of(memory).outbox.ledger.queued_count() > 0
        (small_disk / "filling").unlink()
        assert memory.flush(60)
        assert memory.dead_letters() == []
        assert "Oslo" in [relation.target for relation in memory.recall(QUESTION).relations]
