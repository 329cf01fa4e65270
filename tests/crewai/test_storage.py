from __future__ import annotations

import asyncio
import copy
import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from crewai.memory.storage.backend import EmbeddingDimensionMismatchError, StorageBackend
from crewai.memory.storage.factory import set_memory_storage_factory
from crewai.memory.types import MemoryRecord
from crewai.memory.unified_memory import Memory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mem0_integrations import AgentMemory, ScopeError, connect
from mem0_integrations.crewai import Mem0CrewMemory, Mem0Storage, register
from mem0_integrations.errors import NotSerializableError
from tests.stores import MiniLM, nothing_on_the_loop, open_store

UNKNOWN = uuid.UUID("0c25add9-91fe-4635-895a-3666f9ed86e0")
MONDAY = datetime(2026, 11, 2, 12, 0)


@pytest.fixture
def storage(with_vectors: AgentMemory, user: str) -> Mem0Storage:
    return Mem0Storage(with_vectors, user_id=user)


def record(content: str, scope: str = "/", **fields: Any) -> MemoryRecord:
    """Make a record with a vector that only depends on its content."""
    embedding = fields.pop("embedding", None) or vector(content)
    return MemoryRecord(content=content, scope=scope, embedding=embedding, **fields)


def vector(text: str) -> list[float]:
    """A unit vector of MiniLM's dimension, another one for each text."""
    place = int(uuid.uuid5(uuid.NAMESPACE_OID, text)) % 383
    return [1.0 if number == place else 0.1 if number == 383 else 0.0 for number in range(384)]


def contents(records: list[Any]) -> set[str]:
    return {item[0].content if isinstance(item, tuple) else item.content for item in records}


def test_it_is_a_storage_backend(storage: Mem0Storage) -> None:
    """CrewAI does not check, and fails late."""
    assert isinstance(storage, StorageBackend)


def test_a_record_comes_back_as_it_was(storage: Mem0Storage) -> None:
    """What CrewAI ranks by must not be lost on the way."""
    saved = record(
        "Prefers tea.",
        "/crew/a/b/c/d/e/f/g/h",
        id="any string: 'quotes' \0 *",
        categories=["drinks", "tastes"],
        metadata={"nested": {"deep": [1, None, "x"]}, "text": "ünï\0cödé"},
        importance=0.7,
        source="agent-1",
        private=True,
        created_at=MONDAY,
        last_accessed=MONDAY + timedelta(days=1),
    )
    storage.save([saved])
    found = storage.get_record(saved.id)
    assert found is not None
    assert found.model_dump() == saved.model_dump()
    assert found.created_at.tzinfo is None
    assert found.last_accessed.tzinfo is None


def test_nothing_of_ours_gets_into_a_prompt(storage: Mem0Storage) -> None:
    """CrewAI prints every key of a record's metadata for the agent."""
    storage.save([record("Prefers tea.")])
    (found,) = storage.list_records()
    assert found.metadata == {}


def test_a_record_that_is_saved_twice_is_there_once(storage: Mem0Storage) -> None:
    """A retry must not double what is remembered."""
    saved = record("Prefers tea.")
    storage.save([saved, saved])
    storage.save([saved.model_copy(update={"content": "Prefers coffee."})])
    assert [found.content for found in storage.list_records()] == ["Prefers coffee."]


def test_scopes_are_paths(storage: Mem0Storage) -> None:
    """A string prefix would mix the crews `research` and `research-2`."""
    storage.save([record(scope, scope) for scope in ("/a", "/a/b", "/ab", "/", "/a/b/c/d/e/f/g/h")])
    assert contents(storage.list_records("/a")) == {"/a", "/a/b", "/a/b/c/d/e/f/g/h"}
    assert contents(storage.search(vector("/a"), "/a/", limit=9)) == {
        "/a",
        "/a/b",
        "/a/b/c/d/e/f/g/h",
    }
    for prefix in (None, "", "/"):
        assert storage.count(prefix) == 5
    assert contents(storage.list_records("a/b/c/d/e/f/g")) == {"/a/b/c/d/e/f/g/h"}
    assert storage.list_records("/a/b/c/d/e/f/x") == []
    assert storage.list_scopes("/a") == ["/a/b"]
    assert storage.list_scopes("/") == ["/a", "/ab"]
    storage.reset("/a")
    assert contents(storage.list_records()) == {"/ab", "/"}


def test_all_criteria_of_a_deletion_must_be_met(storage: Mem0Storage) -> None:
    """CrewAI's own storage deletes too much for several combinations of them."""
    old, new = (
        record("old", "/a", categories=["x"], metadata={"k": 1}, created_at=MONDAY),
        record("new", "/a", categories=["x", "y"], created_at=MONDAY + timedelta(days=1)),
    )
    root = record("root", "/", categories=["x"], created_at=MONDAY)
    storage.save([old, new, root])
    assert storage.delete(record_ids=[]) == 0
    assert storage.delete(record_ids=[old.id], categories=["y"]) == 0
    assert storage.delete(record_ids=[old.id], scope_prefix="/b") == 0
    assert storage.delete(scope_prefix="/a", older_than=MONDAY) == 0
    assert storage.delete(scope_prefix="/b") == 0
    assert storage.delete(metadata_filter={"k": 2}) == 0
    assert storage.delete(older_than=(MONDAY + timedelta(hours=1)).replace(tzinfo=UTC)) == 2
    assert storage.delete(metadata_filter={"k": None}, categories=["y", "z"]) == 1
    assert storage.count() == 0


def test_categories_are_found_however_far_away(storage: Mem0Storage) -> None:
    """A filter after a fixed number of candidates finds nothing in a crowd."""
    storage.save([record(f"tea {number}") for number in range(60)])
    storage.save([record("far", categories=["rare"], metadata={"lang": "fr"})])
    assert contents(storage.search(vector("tea 1"), categories=["rare"], limit=2)) == {"far"}
    assert contents(storage.search(vector("tea 1"), metadata_filter={"lang": "fr"})) == {"far"}
    assert len(storage.search(vector("tea 1"), categories=[], limit=3)) == 3
    assert storage.search(vector("tea 1"), limit=0) == []


def test_scores_are_cosines_from_0_to_1(storage: Mem0Storage) -> None:
    """CrewAI mixes them with others of that range, and compares them with its threshold."""
    opposite = [-value for value in vector("tea")]
    storage.save([record("tea"), record("opposite", embedding=opposite)])
    (first, best), (second, worst) = storage.search(vector("tea"))
    assert (first.content, second.content) == ("tea", "opposite")
    assert best == pytest.approx(1.0, abs=1e-4)
    assert worst == 0.0
    assert contents(storage.search(vector("tea"), min_score=0.5)) == {"tea"}


def test_a_vector_of_another_length_is_crewais_own_error(storage: Mem0Storage) -> None:
    """It is what CrewAI explains to users."""
    wrong = MemoryRecord(content="x", embedding=[1.0, 0.0])
    for call in (
        lambda: storage.save([record("good"), wrong]),
        lambda: storage.update(wrong),
        lambda: storage.search([1.0, 0.0]),
    ):
        with pytest.raises(EmbeddingDimensionMismatchError):
            call()
    assert storage.count() == 0


def test_an_update_without_a_vector_keeps_it(storage: Mem0Storage) -> None:
    """CrewAI's update leaves the vector out when the content stays."""
    saved = record("tea", categories=["a"])
    storage.save([saved])
    storage.update(saved.model_copy(update={"embedding": None, "categories": ["b"]}))
    ((found, score),) = storage.search(vector("tea"))
    assert (found.categories, score) == (["b"], pytest.approx(1.0, abs=1e-4))


def test_an_update_of_nothing_is_stored(storage: Mem0Storage) -> None:
    """As in CrewAI's own storages."""
    storage.update(record("tea"))
    assert storage.count() == 1


def test_consolidation_does_not_publish_what_is_private(storage: Mem0Storage) -> None:
    """CrewAI's consolidation writes a fresh record without source and privacy."""
    saved = record("secret", source="agent-1", private=True)
    storage.save([saved])
    storage.update(
        MemoryRecord(id=saved.id, content="secret, too", embedding=vector("secret, too"))
    )
    found = storage.get_record(saved.id)
    assert found is not None
    assert (found.content, found.source, found.private) == ("secret, too", "agent-1", True)


def test_metadata_that_is_not_json_costs_nothing(storage: Mem0Storage) -> None:
    """The stored version must survive the attempt."""
    saved = record("tea")
    storage.save([saved])
    for bad in (
        saved.model_copy(update={"metadata": {"x": object()}}),
        record("y", metadata={"x": {1}}),
    ):
        with pytest.raises(TypeError) as raised:
            storage.update(bad)
        assert isinstance(raised.value, NotSerializableError)
    assert contents(storage.list_records()) == {"tea"}


@pytest.mark.parametrize(
    "bad",
    [
        "hallucinated-id",
        "",
        "'; DROP TABLE x; --",
        "\0",
        str(UNKNOWN),
        UNKNOWN.urn,
        UNKNOWN.hex,
        "\u0663" * 32,
    ],
)
def test_an_invented_id_does_nothing(storage: Mem0Storage, bad: str) -> None:
    """CrewAI passes on whatever ids a model has written."""
    storage.save([record("tea")])
    assert storage.get_record(bad) is None
    assert storage.delete(record_ids=[bad]) == 0
    storage.touch_records([bad])
    assert storage.count() == 1


def test_another_spelling_of_an_id_is_another_id(
    storage: Mem0Storage, with_vectors: AgentMemory, user: str
) -> None:
    """Some servers take both for the same UUID."""
    saved = Mem0CrewMemory(with_vectors, user_id=user).remember("Likes tea.")
    assert saved is not None
    known = uuid.UUID(saved.id)
    for spelling in (saved.id.upper(), known.hex, known.urn, f"{{{known}}}"):
        assert storage.get_record(spelling) is None
        assert storage.delete(record_ids=[spelling]) == 0
        storage.touch_records([spelling])
        storage.save([record("other", id=spelling)])
        assert storage.count() == 2
        assert storage.delete(record_ids=[spelling]) == 1
    assert storage.get_record(saved.id) is not None


def test_a_record_of_the_other_kind_of_memory_is_replaced_too(
    storage: Mem0Storage, with_vectors: AgentMemory, user: str
) -> None:
    """Its id is that of its memory."""
    saved = Mem0CrewMemory(with_vectors, user_id=user).remember("Likes tea.")
    assert saved is not None
    storage.save([record("Likes coffee.", id=saved.id)])
    assert [(item.id, item.content) for item in storage.list_records()] == [
        (saved.id, "Likes coffee.")
    ]


def test_half_a_character_costs_nothing(storage: Mem0Storage) -> None:
    """A model may be cut off within an emoji; the others of the batch would be lost with it."""
    memory = storage.memory()
    fields: dict[str, Any] = {"scope": "/", "categories": ["x"], "importance": 0.5}
    memory.remember_many(["Likes tea.", "Likes zebras. \ud83d"], **fields)
    memory.drain_writes()
    assert contents(storage.list_records()) == {"Likes tea.", "Likes zebras. ?"}
    assert memory.recall("zebras \ud83d", depth="shallow")[0].record.content == "Likes zebras. ?"
    storage.save([record("\ud83d tea", embedding=vector("tea"))])
    assert storage.count() == 3
    memory.close()


def test_touching_moves_the_access_only(storage: Mem0Storage) -> None:
    """It decides what CrewAI holds for recent."""
    saved = record("tea", created_at=MONDAY, last_accessed=MONDAY)
    storage.save([saved])
    storage.touch_records([saved.id])
    found = storage.get_record(saved.id)
    assert found is not None
    assert found.last_accessed > MONDAY
    assert found.model_dump(exclude={"last_accessed"}) == saved.model_dump(
        exclude={"last_accessed"}
    )


def test_lists_are_pages_newest_first(storage: Mem0Storage) -> None:
    """Pages must neither overlap nor leave out."""
    storage.save([record(f"{n}", created_at=MONDAY + timedelta(hours=n // 2)) for n in range(10)])
    pages = [storage.list_records(limit=3, offset=offset) for offset in range(0, 12, 3)]
    assert len(contents([item for page in pages for item in page])) == 10
    assert contents(pages[0][:2]) == {"8", "9"}
    assert storage.list_records(limit=0) == storage.list_records(offset=-1) == []


def test_an_empty_store_answers_everything(storage: Mem0Storage) -> None:
    """The first kickoff of a crew reads before it writes."""
    assert storage.search(vector("tea")) == storage.list_records() == storage.list_scopes() == []
    assert storage.list_categories() == {}
    info = storage.get_scope_info("/a/")
    assert (info.path, info.record_count, info.oldest_record) == ("/a", 0, None)
    storage.reset()
    assert storage.delete() == 0


# --- The tenant


NAMES = st.sampled_from(
    ["/", "/a", "a", "/a/b", "//a//", "/../", "/a'b", "/%", "/*", "/ü\U0001f600"]
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    theirs=st.lists(NAMES, min_size=1, max_size=4), asked=NAMES, ids=st.lists(st.text(max_size=8))
)
def test_no_operation_reaches_another_user(
    with_vectors: AgentMemory, theirs: list[str], asked: str, ids: list[str]
) -> None:
    """Scopes, ids and criteria come from a model; the user does not."""
    victim, attacker = (f"user-{uuid.uuid4().hex}" for _ in range(2))
    own = Mem0Storage(with_vectors, user_id=victim)
    other = Mem0Storage(with_vectors, user_id=attacker, shared=True)
    kept = [record(f"secret {number}", scope) for number, scope in enumerate(theirs)]
    own.save(kept)
    before = sorted(item.model_dump_json() for item in own.list_records())
    memory_ids = [found.id for found in with_vectors.list(scope={"user_id": victim})]
    every_id = [*ids, *(item.id for item in kept), *memory_ids]
    assert other.list_records(asked) == other.search(vector("secret 0"), asked) == []
    assert [other.get_record(known) for known in every_id] == [None] * len(every_id)
    assert other.delete(record_ids=every_id) == other.delete(asked) == other.delete() == 0
    other.touch_records(every_id)
    other.save([item.model_copy(update={"content": "mine"}) for item in kept])
    for known in memory_ids:
        other.update(MemoryRecord(id=known, content="mine", embedding=vector("mine")))
    other.reset()
    assert sorted(item.model_dump_json() for item in own.list_records()) == before


def test_the_user_may_be_asked_for_at_each_operation(with_vectors: AgentMemory) -> None:
    """One crew serves many users."""
    current: ContextVar[str] = ContextVar("user")
    storage = Mem0Storage(with_vectors, user_id=current.get)
    users = [f"user-{uuid.uuid4().hex}" for _ in range(3)]
    for user in users:
        current.set(user)
        storage.save([record(f"of {user}")])
    for user in users:
        current.set(user)
        assert contents(storage.list_records()) == {f"of {user}"}


async def test_the_user_of_the_caller_counts_in_async_calls_too(with_vectors: AgentMemory) -> None:
    """Threads of a pool do not see the caller's context."""
    current: ContextVar[str] = ContextVar("user")
    storage = Mem0Storage(with_vectors, user_id=current.get)

    async def serve(user: str) -> set[str]:
        current.set(user)
        await storage.asave([record(f"of {user}")])
        return contents(await storage.asearch(vector("x")))

    users = [f"user-{uuid.uuid4().hex}" for _ in range(5)]
    assert await asyncio.gather(*map(serve, users)) == [{f"of {user}"} for user in users]


@pytest.mark.parametrize("bad", ["", " ", None, "x" * 300, 1.5])
def test_a_user_that_is_none_is_refused(with_vectors: AgentMemory, bad: Any) -> None:
    """There is no default user whom all crews would share."""
    with pytest.raises(ScopeError):
        Mem0Storage(with_vectors, user_id=bad)
    with pytest.raises(ScopeError):
        Mem0Storage(with_vectors, user_id=lambda: bad).count()


# --- The same memories as elsewhere


def test_what_a_crew_remembers_is_recalled_elsewhere(
    storage: Mem0Storage, with_vectors: AgentMemory, user: str
) -> None:
    """A user has one memory, whichever framework asks."""
    memory = storage.memory()
    memory.remember("Prefers green tea.", scope="/x", categories=["drinks"], importance=0.5)
    recall = with_vectors.recall("What tea does she like?", scope={"user_id": user})
    assert [found.text for found in recall.memories] == ["Prefers green tea."]
    assert with_vectors.forget({"user_id": user}).memories == 1
    assert storage.count() == 0


def test_what_was_said_elsewhere_is_shown_when_it_is_shared(
    storage: Mem0Storage, with_vectors: AgentMemory, user: str
) -> None:
    """Off by default: a crew's scopes would not hold for it."""
    with_vectors.remember("I like cycling.", scope={"user_id": user})
    storage.save([record("of the crew", "/crew/a")])
    assert contents(storage.list_records()) == {"of the crew"}
    shared = Mem0Storage(with_vectors, user_id=user, shared=True)
    assert contents(shared.list_records("/crew/a")) == {"of the crew", "I like cycling."}
    (cycling,) = (item for item in shared.list_records("/crew/a") if "cycling" in item.content)
    assert cycling.scope == "/crew/a"
    assert cycling.metadata == {}
    shared.reset()
    assert contents(shared.list_records()) == {"I like cycling."}
    shared.update(cycling.model_copy(update={"content": "I like running.", "embedding": None}))
    assert [found.text for found in with_vectors.list(scope={"user_id": user})] == [
        "I like running."
    ]
    assert shared.delete(record_ids=[cycling.id]) == 1
    assert with_vectors.list(scope={"user_id": user}) == []


@pytest.mark.parametrize("kind", ["engine", "mem0"])
def test_a_change_leaves_what_was_said_elsewhere_where_it_is(
    with_vectors: AgentMemory, user: str, kind: str
) -> None:
    """CrewAI's consolidation changes it; a reset of the crew would delete it from then on."""
    scope = {"user_id": user, "agent_id": "waiter"}
    own = {"topic": "sport", "categories": ["hobby"]}
    with_vectors.remember("I like cycling.", scope=scope, metadata=own, infer=False)
    shared = Mem0Storage(with_vectors, user_id=user, shared=True).memory()
    if kind == "mem0":
        shared = Mem0CrewMemory(with_vectors, user_id=user, shared=True)
    (said,) = shared.list_records("/crew/a")
    shared.update(said.id, content="I like running.", importance=0.9)
    shared.update(said.id, categories=["running"])
    (kept,) = with_vectors.list(scope=scope)
    assert (kept.text, kept.metadata["topic"], kept.categories) == (
        "I like running.",
        "sport",
        ("hobby",),
    )
    for path in ("/crew/a", "/crew/b"):
        (shown,) = shared.list_records(path)
        assert (shown.scope, shown.importance, shown.categories) == (path, 0.9, ["running"])
    for category, count in (("running", 1), ("hobby", 0)):
        found = shared.recall("running", categories=[category], depth="shallow")
        assert len(found) == count
    assert Mem0Storage(with_vectors, user_id=user).list_records() == []
    shared.reset_all()
    assert shared.forget() == 0
    assert [found.text for found in with_vectors.list(scope=scope)] == ["I like running."]
    assert shared.forget(record_ids=[said.id]) == 1
    shared.close()


# --- Under CrewAI


def test_deep_recall_with_foreign_scopes_stays_with_the_user(
    with_vectors: AgentMemory, user: str, storage: Mem0Storage
) -> None:
    """The model proposes scopes; they are searched within the user."""
    other = Mem0Storage(with_vectors, user_id=f"{user}-2").memory()
    other.remember("The secret is 48213.", scope="/b", categories=["x"], importance=0.5)
    memory = storage.memory()
    memory.remember("Prefers tea.", scope="/a", categories=["x"], importance=0.5)
    for scope in (None, "/b", "/", f"/{user}-2"):
        found = memory.recall("What is the secret?", scope=scope, depth="deep")
        assert not any("48213" in match.record.content for match in found)
    memory.close()
    other.close()


def test_the_factory_serves_crewais_own_memories(data_dir: Path) -> None:
    """`memory=True` asks for LanceDB by name."""
    with connect() as connected:
        embedder = register(connected, user_id="customer-1")
        try:
            for spec in ("mem0", "lancedb"):
                memory = Memory(storage=spec, embedder=embedder)
                memory.remember(f"By {spec}.", scope="/", categories=["x"], importance=0.5)
                memory.close()
            listed = [found.text for found in connected.list(scope={"user_id": "customer-1"})]
            assert sorted(listed) == ["By lancedb.", "By mem0."]
        finally:
            set_memory_storage_factory(None)


def test_registering_again_replaces(shared: AgentMemory, user: str, tmp_path: Path) -> None:
    """An application may do it for each request; other storages are built all the same."""
    asked: list[str] = []

    def build(spec: str) -> None:
        asked.append(spec)

    set_memory_storage_factory(build)
    try:
        for number in range(1_200):
            register(shared, user_id=f"{user}-{number}")
        Memory(storage=str(tmp_path))
        assert asked == [str(tmp_path)]
        memory = Memory(storage="mem0", embedder=register(shared, user_id=user))
        memory.remember("Likes tea.", scope="/", categories=["x"], importance=0.5)
        memory.close()
    finally:
        set_memory_storage_factory(None)
    assert len(shared.list(scope={"user_id": user})) == 1


def test_a_copy_shares_and_a_dump_names_it(storage: Mem0Storage) -> None:
    """Crews are copied for each input, and dumped for checkpoints."""
    memory = storage.memory()
    assert copy.deepcopy(storage) is storage
    assert copy.deepcopy(storage.embedder) is storage.embedder
    dumped = json.loads(memory.model_dump_json())
    assert (dumped["storage"], dumped["embedder"]) == ("mem0", "mem0")
    assert memory.model_dump()["storage"] is storage


# --- Load


def test_saves_searches_and_touches_may_overlap(storage: Mem0Storage) -> None:
    """CrewAI searches with eight threads while it saves."""
    saved = [record(f"first {number}") for number in range(20)]
    storage.save(saved)
    stop = threading.Event()

    def search(number: int) -> int:
        count = 0
        while not stop.is_set():
            assert len(storage.search(vector(f"first {number}"), limit=5)) == 5
            storage.touch_records([saved[number].id])
            count += 1
        return count

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(search, number) for number in range(8)]
        for number in range(20):
            storage.save([record(f"second {number} {part}") for part in range(5)])
        stop.set()
        assert all(future.result() for future in running)
    assert storage.count() == 120


async def test_async_calls_do_not_block_the_loop(storage: Mem0Storage) -> None:
    """CrewAI's own do."""
    with nothing_on_the_loop(Mem0Storage, "save", "search", "delete"):
        await storage.asave([record(f"{number}") for number in range(300)])
        await asyncio.gather(*(storage.asearch(vector(f"{n}")) for n in range(40)))
        assert await storage.adelete(scope_prefix="/") == 300


@pytest.fixture(scope="module", params=["embedded", "pgvector"])
def crowd(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM
) -> Iterator[tuple[Mem0Storage, int]]:
    """A user with many records: 50,000, or as many as a server takes in half a minute."""
    size = 50_000 if request.param == "embedded" else 20_000
    user = f"user-{uuid.uuid4().hex}"
    folder = tmp_path_factory.mktemp("crowd")
    with (
        open_store(request.param, folder, minilm, request) as store,
        store.connect(folder / "outbox.db") as memory,
    ):
        storage = Mem0Storage(memory, user_id=user)
        fill(storage, size)
        yield storage, size


def fill(storage: Mem0Storage, size: int) -> None:
    for start in range(0, size, 1_000):
        storage.save(
            [
                record(
                    f"{number}",
                    f"/team-{number % 10}",
                    categories=["even" if number % 2 == 0 else "odd"],
                    created_at=MONDAY + timedelta(seconds=number),
                )
                for number in range(start, start + 1_000)
            ]
        )


@pytest.mark.timeout(300)
def test_tens_of_thousands_of_records_are_read_correctly(crowd: tuple[Mem0Storage, int]) -> None:
    """A scan that ends early counts, lists and deletes wrongly."""
    storage, size = crowd
    assert storage.count() == size
    assert storage.count("/team-3") == size // 10
    assert storage.list_categories() == {"even": size // 2, "odd": size // 2}
    assert contents(storage.list_records(limit=2, offset=size - 2)) == {"1", "0"}
    assert storage.list_scopes("/") == [f"/team-{number}" for number in range(10)]
    ((nearest, _),) = storage.search(vector("777"), "/team-7", limit=1)
    assert int(nearest.content) % 10 == 7
    assert storage.delete(scope_prefix="/team-3", categories=["odd"]) == size // 10
    assert storage.count() == size - size // 10


def test_the_embedder_is_mem0s_own(storage: Mem0Storage, minilm: MiniLM) -> None:
    """Vectors of another model would be compared with each other all the same."""
    assert storage.embedder(["tea"])[0] == pytest.approx(minilm.embed_query("tea"), abs=1e-5)
    assert storage.embedder([]) == []
