"""The ways through the package: a promise holds on each of them, not on one.

A way is a point of four axes: with or without a model, and what of it stumbles; which store; what
follows the memories; sync or async. `WAYS` has each pair of values at least once. A test that takes
the fixture `path` runs on each of them, and its id says which:

    async def test_what_was_said_is_there(path: MemoryPath) -> None:
        await path.remember("I live in Oslo.")
        assert await path.texts() == ["I live in Oslo."]

    test_what_was_said_is_there[scripted model, chroma, words, async]

`MemoryPath` calls the sync method or its async twin, with a scope that no other test uses. All
parts are real: Mem0, the stores, the package's own server over loopback. Only what an application
brings itself is made for the tests, and has a `Switch`, by which it stumbles, hangs or kills its
process: the embedder, the chat model, the engine of a graph, and the rows of a vector store.

On a way whose embedder or store stumbles, each write of `MemoryPath` meets `STUMBLES` failures;
that it did is checked at the end. `MemoryPath.dies` lives a story in a process that is killed.

To try one more store: add it to `STORES` and to `_mem0_config`, and say in `IMPOSSIBLE` where it
cannot go.
"""

from __future__ import annotations

import asyncio
import builtins
import multiprocessing
import os
import signal
import threading
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from langchain_core.embeddings import Embeddings

from mem0_integrations import (
    AgentMemory,
    ForgetResult,
    Memory,
    MemoryChange,
    OutboxOptions,
    Recall,
    RetryPolicy,
    Scope,
    SentenceExtractor,
    WriteResult,
    connect,
)
from mem0_integrations.backends.embedded.memory import EmbeddedMemory
from mem0_integrations.backends.mem0_setup import import_mem0
from mem0_integrations.backends.stores.collections import Collections
from mem0_integrations.graph import GraphMemory
from mem0_integrations.graph.patterns import PatternRelationExtractor
from mem0_integrations.models import LangChainEmbedder
from mem0_integrations.outbox import DeadLetter
from tests.servers.platform import serving
from tests.servers.postgres import with_iterative_scan
from tests.stores import MiniLM
from tests.switches import (
    PATIENCE,
    Parts,
    Repeating,
    SwitchedEmbeddings,
    SwitchedEngine,
    switch_history,
    switch_store,
)

MODELS = (
    "no model",
    "scripted model",
    "scripted model whose embedder stumbles",
    "scripted model whose store stumbles",
)
STORES = ("embedded", "pgvector", "chroma", "platform")
FOLLOWERS = ("no follower", "graph", "words")
MODES = ("sync", "async")

PRELOADED: Final = ["tests.paths", "tests.campaign.life"]
"""What processes that are going to be killed have imported before they are made."""

STUMBLES: Final = 2
"""How often a part of a way that stumbles fails during a write: a batch, and the first of the
single calls by which Mem0 tries to save what it can."""

# More attempts than stumbles, and no waiting.
RETRY: Final = RetryPolicy(attempts=6, base=0.01, cap=0.02)
_REPLACED: Final = {"provider": "openai", "config": {"api_key": "replaced"}}


class Way(NamedTuple):
    """What a path is made of."""

    model: str
    store: str
    follower: str
    mode: str

    def __str__(self) -> str:
        return ", ".join(self)

    @property
    def has_model(self) -> bool:
        return self.model != "no model"

    @property
    def stumbles(self) -> str | None:
        """Which part stumbles during each write."""
        return next(
            (part for part in ("embedder", "store") if f"{part} stumbles" in self.model), None
        )


IMPOSSIBLE: tuple[tuple[str, Callable[[Way], bool]], ...] = (
    (
        "the embedded store keeps the words in its own file: no follower is the same",
        lambda way: way.store == "embedded" and way.follower == "words",
    ),
    (
        "connect(lexical=True) is refused on the Platform, which searches words itself",
        lambda way: way.store == "platform" and way.follower == "words",
    ),
)
"""Which combinations there are not, and why."""


def pairwise(axes: Sequence[Sequence[str]]) -> list[Way]:
    """Return few ways in which each possible pair of values is found at least once."""

    def pairs(way: Way) -> set[tuple[tuple[int, str], ...]]:
        return set(combinations(enumerate(way), 2))

    possible = [
        way
        for way in (Way(*values) for values in product(*axes))
        if not any(excludes(way) for _, excludes in IMPOSSIBLE)
    ]
    missing = set[tuple[tuple[int, str], ...]]().union(*map(pairs, possible))
    chosen: list[Way] = []
    while missing:
        best = max(possible, key=lambda way: len(pairs(way) & missing))
        missing -= pairs(best)
        chosen.append(best)
    return sorted(chosen, key=lambda way: [axes[i].index(value) for i, value in enumerate(way)])


WAYS: Final = pairwise((MODELS, STORES, FOLLOWERS, MODES))


@dataclass(frozen=True)
class Place:
    """Where a path lies: whoever knows it can open the path, in another process, too."""

    way: Way
    folder: Path
    user: str
    postgres_url: str | None = None
    url: str | None = None
    key: str | None = None


def _mem0_config(place: Place) -> dict[str, Any]:
    """Return the config of a Mem0 on the store of a place."""
    name = f"memories_{place.user.replace('-', '_')}"
    match place.way.store:
        case "pgvector":
            assert place.postgres_url is not None
            config: dict[str, Any] = {
                "embedding_model_dims": 384,
                "connection_string": with_iterative_scan(place.postgres_url),
            }
        case "chroma":
            config = {"path": str(place.folder / "chroma")}
        case other:
            raise ValueError(other)
    return {
        "vector_store": {
            "provider": place.way.store,
            "config": {"collection_name": name, **config},
        },
        "history_db_path": str(place.folder / "history.db"),
        "embedder": _REPLACED,
        "llm": _REPLACED,
    }


def open_memory(
    place: Place, parts: Parts, minilm: Embeddings, closing: ExitStack, **options: Any
) -> AgentMemory:
    """Connect to a place.

    Args:
        place: Where.
        parts: The switches of what is opened.
        minilm: The embedder.
        closing: Closes everything at the end.
        options: For `connect`, beside those that the way has.
    """
    way, embedder = place.way, SwitchedEmbeddings(minilm, parts)
    # A busy machine fails no recall: those tests that are about time give their own.
    options = {"retry": RETRY, "data_dir": place.folder, "recall_timeout": PATIENCE / 2, **options}
    delivery = options.pop("delivery_timeout", 300.0)
    options["outbox"] = OutboxOptions(path=place.folder / "outbox.db", delivery_timeout=delivery)
    if way.follower == "graph":
        engine = SwitchedEngine(place.folder / "graph.kg", parts)
        # With an embedder of its own: it works beside the writes, and would meet their stumbles.
        graph = GraphMemory(engine, extractor=PatternRelationExtractor(), embedder=minilm)
        closing.callback(graph.close)
        options["graph"] = graph
    if way.store == "platform":
        memory = connect(api_key=place.key, host=place.url, **options)
        closing.callback(memory.close, timeout=1)
        return memory
    options["embedder"] = embedder
    if way.has_model:
        options["llm"] = Repeating(parts=parts)
    else:
        options["extractor"] = SentenceExtractor()
    target: Any
    if way.store == "embedded":
        target = EmbeddedMemory(
            place.folder / "embedded", embedder=LangChainEmbedder(embedder, dims=384)
        )
        closing.callback(target.close)
    else:
        target = import_mem0(place.folder).Memory.from_config(_mem0_config(place))
        closing.callback(target.close)
        closing.callback(lambda: Collections.of(target).close())
        options["lexical"] = way.follower == "words"
    switch_store(target.vector_store, parts)
    switch_history(target.db, parts)
    memory = connect(target, **options)
    closing.callback(memory.close, timeout=1)
    return memory


class MemoryPath:
    """A memory on one way: its methods are those of `AgentMemory`, or their async twins.

    Args:
        place: Where it lies. It is opened when it is first used.
        parts: The switches of what the application brings.
        minilm: The embedder.
    """

    def __init__(self, place: Place, parts: Parts, minilm: Embeddings) -> None:
        self.place = place
        self.way = place.way
        self.parts = parts
        self.scope = Scope(user_id=place.user)
        self._minilm = minilm
        self._closing = ExitStack()
        self._memory: AgentMemory | None = None
        self._expected = 0
        self._over = threading.Event()
        self.options: dict[str, Any] = {}
        """For `connect`, when it is opened next."""

    @property
    def memory(self) -> AgentMemory:
        if self._memory is None:
            self._memory = open_memory(
                self.place, self.parts, self._minilm, self._closing, **self.options
            )
        return self._memory

    async def remember(self, said: Any, **options: Any) -> WriteResult:
        """Remember, and stumble where the way stumbles."""
        self.stumble_once(in_model=options.get("infer", True))
        result: WriteResult = await self.call("remember", said, **options)
        return result

    async def say(self, said: Any, **options: Any) -> builtins.list[Memory]:
        """Remember, without a stumble, and return the memories that it became: all are there."""
        result: WriteResult = await self.call("remember", said, **options)
        assert result.status in ("stored", "nothing"), result
        return list(result.memories)

    async def recall(self, query: str, **options: Any) -> Recall:
        found: Recall = await self.call("recall", query, **options)
        return found

    async def list(self, **options: Any) -> builtins.list[Memory]:
        found: builtins.list[Memory] = await self.call("list", **options)
        return found

    async def texts(self, **options: Any) -> builtins.list[str]:
        """Return the texts of the memories, in the order in which they were said."""
        return [memory.text for memory in reversed(await self.list(**options))]

    async def get(self, memory_id: str, **options: Any) -> Memory | None:
        found: Memory | None = await self.call("get", memory_id, **options)
        return found

    async def update(self, memory_id: str, **options: Any) -> Memory:
        changed: Memory = await self.call("update", memory_id, **options)
        return changed

    async def delete(self, memory_id: str, **options: Any) -> None:
        await self.call("delete", memory_id, **options)

    async def history(self, memory_id: str, **options: Any) -> builtins.list[MemoryChange]:
        changes: builtins.list[MemoryChange] = await self.call("history", memory_id, **options)
        return changes

    async def forget(self, scope: Any = None) -> ForgetResult:
        """Forget a scope, by default that of the test."""
        erased: ForgetResult = await self.call("forget", scope=scope)
        return erased

    async def flush(self, seconds: float | None = None) -> bool:
        """Wait for everything that is queued; without a time it must get through."""
        done: bool = await self._twin("flush")(seconds or PATIENCE)
        assert done or seconds is not None
        return done

    async def dead_letters(self) -> builtins.list[DeadLetter]:
        letters: builtins.list[DeadLetter] = await self._twin("dead_letters")()
        return letters

    async def replay(self) -> int:
        count: int = await self._twin("replay")()
        return count

    async def call(self, method: str, *args: Any, **options: Any) -> Any:
        """Call a method of the memory, in the scope of the test where no other is named."""
        if options.get("scope") is None:
            options["scope"] = self.scope
        return await self._twin(method)(*args, **options)

    def _twin(self, method: str) -> Callable[..., Awaitable[Any]]:
        if self.way.mode == "async":
            twin: Callable[..., Awaitable[Any]] = getattr(self.memory, f"a{method}")
            return twin
        return partial(asyncio.to_thread, getattr(self.memory, method))

    def stumble_once(self, *, in_model: bool = True, times: int = STUMBLES) -> None:
        """Let the part that stumbles on this way fail in the next write, once that has begun.

        Args:
            in_model: Whether a model is asked: it stumbles when that has answered.
            times: How many calls fail.
        """
        if self.way.stumbles is None:
            return
        self.memory  # Opening it must not stumble.  # noqa: B018
        self._expected += 1
        stumble = partial(getattr(self.parts, self.way.stumbles).stumble, times)
        if not in_model:
            stumble()
            return

        def answered() -> None:
            self.parts.answered = lambda: None
            stumble()

        self.parts.answered = answered

    def hang(self, part: str) -> None:
        """Let a part hang until the test is over."""
        self.memory  # Opening it must not hang.  # noqa: B018
        getattr(self.parts, part).hook = self.hangs

    def hangs(self) -> None:
        """Wait until the test is over."""
        self._over.wait(PATIENCE)

    def end(self) -> None:
        """Let go of what hangs, and close everything."""
        self._over.set()
        self.parts.reset()
        self.close()

    def check(self) -> None:
        """Fail if the part that stumbles was not met: then nothing was tried."""
        if self.way.stumbles and self._expected:
            assert getattr(self.parts, self.way.stumbles).stumbled

    def reopen(self) -> None:
        """Close the memory and everything below it; the next call opens it again."""
        self._closing.close()
        self._memory = None

    close = reopen

    def dies(self, story: Story, part: str) -> None:
        """Live a story in a process of its own, which is killed when a part is reached.

        It waits there for `told`, which a story sets when everything has been asked for; what it
        does while `passing` is true is let through.

        Args:
            story: What is done there; a function of a module.
            part: The name of a switch in `Parts`.
        """
        assert self._memory is None, "One process at a time may open an embedded store."
        # From a server that has imported everything, and has no threads, a process begins at once.
        spawning = multiprocessing.get_context("forkserver")
        spawning.set_forkserver_preload(PRELOADED)
        told, killed = spawning.Event(), spawning.Event()
        served = self.way.store == "platform" and part != "graph"
        process = spawning.Process(
            target=_live, args=(self.place, story, None if served else part, told, killed)
        )

        def kill() -> None:
            if told.wait(PATIENCE) and not killed.is_set():
                killed.set()
                assert process.pid is not None
                os.kill(process.pid, signal.SIGKILL)

        if served:
            getattr(self.parts, part).hook = kill
        process.start()
        # Much has to be imported, where none was killed before.
        process.join(2 * PATIENCE)
        if served:
            getattr(self.parts, part).hook = lambda: None
        assert process.exitcode == -signal.SIGKILL, f"It ended with {process.exitcode}."
        process.close()


def _live(place: Place, story: Story, part: str | None, told: Any, killed: Any) -> None:
    parts = Parts()
    path = LivingPath(place, parts, MiniLM(), told)
    if part is not None:
        path.memory  # Opening it is no part of the story.  # noqa: B018

        def kill() -> None:
            if not path.passing:
                assert told.wait(PATIENCE)
                os.kill(os.getpid(), signal.SIGKILL)

        getattr(parts, part).hook = kill
    asyncio.run(story(path))
    # Until it is killed.
    killed.wait(PATIENCE)


class LivingPath(MemoryPath):
    """A path in a process that is going to be killed."""

    def __init__(self, place: Place, parts: Parts, minilm: Embeddings, told: Any) -> None:
        super().__init__(place, parts, minilm)
        self.told = told
        self.passing = False


Story = Callable[[LivingPath], Coroutine[Any, Any, None]]


@contextmanager
def served_platform(model: str, folder: Path, minilm: Embeddings) -> Iterator[tuple[Any, Parts]]:
    """Serve a memory on the embedded default over loopback; yields the server and its switches."""
    parts = Parts()
    way = Way(model, "embedded", "no follower", "sync")
    with ExitStack() as closing:
        served = open_memory(Place(way, folder, "server"), parts, minilm, closing)
        server = closing.enter_context(serving(served, folder / "state.db"))
        yield server, parts


@pytest.fixture(scope="session")
def platforms(
    tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM
) -> Iterator[Callable[[str], tuple[Any, Parts]]]:
    """Servers of the Platform's protocol, one with a model and one without, for all tests."""
    running: dict[bool, tuple[Any, Parts]] = {}
    with ExitStack() as closing:

        def platform(model: str) -> tuple[Any, Parts]:
            has_model = model != "no model"
            if has_model not in running:
                folder = tmp_path_factory.mktemp("platform")
                running[has_model] = closing.enter_context(served_platform(model, folder, minilm))
            return running[has_model]

        yield platform


@pytest.fixture
def open_path(
    request: pytest.FixtureRequest, tmp_path: Path, minilm: MiniLM
) -> Iterator[Callable[[Way], MemoryPath]]:
    """Opens a path on a way that a test chooses; for tests of one way, which say why."""
    paths: list[MemoryPath] = []

    def open_path(way: Way) -> MemoryPath:
        folder = tmp_path / f"path-{len(paths)}"
        folder.mkdir()
        place, parts = Place(way, folder, f"user-{uuid.uuid4().hex}"), Parts()
        if way.store == "pgvector":
            place = replace(place, postgres_url=request.getfixturevalue("postgres_url"))
        if way.store == "platform":
            server, served = request.getfixturevalue("platforms")(way.model)
            project = server.new_project()
            place = replace(place, url=project.url, key=project.key)
            served.reset()
            parts = served
        paths.append(MemoryPath(place, parts, minilm))
        return paths[-1]

    try:
        yield open_path
        for path in paths:
            path.check()
    finally:
        for path in paths:
            path.end()


@pytest.fixture(params=WAYS, ids=str)
def path(request: pytest.FixtureRequest, open_path: Callable[[Way], MemoryPath]) -> MemoryPath:
    """A memory on each way."""
    return open_path(request.param)


def ways(where: Callable[[Way], bool]) -> pytest.MarkDecorator:
    """Run a test on those ways only of which something holds."""
    chosen: Mapping[str, Way] = {str(way): way for way in WAYS if where(way)}
    return pytest.mark.parametrize("path", chosen.values(), ids=chosen.keys(), indirect=True)
