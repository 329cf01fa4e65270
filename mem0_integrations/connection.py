"""`connect`: whatever the user has -> an `AgentMemory`."""

from __future__ import annotations

import atexit
import dataclasses
import logging
import os
import weakref
from collections.abc import Callable, Hashable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

from mem0_integrations.agent_memory import AgentMemory, utc_now
from mem0_integrations.arguments import OnError, check_timeout
from mem0_integrations.backends.base import Backend
from mem0_integrations.changes.delivery import MemoryDelivery
from mem0_integrations.concurrency import shielded
from mem0_integrations.data_folder import data_folder, make_folder
from mem0_integrations.errors import ConfigurationError, StorageError
from mem0_integrations.following import Follower, LostFollower
from mem0_integrations.learning.extraction import Extractor, SentenceExtractor
from mem0_integrations.models import LangChainEmbedder, LangChainLLM, Models
from mem0_integrations.outbox import OUTBOXES, Outbox
from mem0_integrations.places import (
    EMBEDDED,
    OUTBOX,
    graph_outbox_path,
    outbox_of,
    outbox_of_project,
    words_of,
)
from mem0_integrations.recall.ranking import Ranking
from mem0_integrations.recall.refinement import Reranker
from mem0_integrations.requests import AddRequest
from mem0_integrations.resources import SharedResources
from mem0_integrations.retry import RetryPolicy
from mem0_integrations.scope import ScopeLike

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel
    from mem0 import AsyncMemory, AsyncMemoryClient, Memory, MemoryClient

    from mem0_integrations.backends.embedded.memory import EmbeddedMemory
    from mem0_integrations.graph.follower import GraphLike

    Target: TypeAlias = (
        Mapping[str, Any]
        | Memory
        | AsyncMemory
        | MemoryClient
        | AsyncMemoryClient
        | AgentMemory
        | Literal["embedded"]
    )

__all__ = ["OutboxOptions", "connect"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OutboxOptions:
    """How writes are kept until they are delivered.

    Args:
        path: The SQLite file; else one in the data folder, for each store its own. That of a
            graph lies beside it, as `graph-<its name>`.
        workers: Maximum number of writes that are delivered at the same time, for different scopes.
        max_queued: Maximum number of writes that may wait.
        when_full: What a write does then: `block` until there is room, or `raise`.
        delivery_timeout: Seconds after which a delivery counts as failed and is retried.

    Several memories of one process that use the same outbox share it as the first one opened it.

    Example:
        >>> OutboxOptions(workers=2).when_full
        'block'
    """

    path: str | Path | None = None
    workers: int = 4
    max_queued: int = 10_000
    when_full: Literal["block", "raise"] = "block"
    delivery_timeout: float = 300.0


@shielded
def connect(
    target: Target | None = None,
    *,
    api_key: str | None = None,
    host: str | None = None,
    graph: GraphLike | None = None,
    scope: ScopeLike | None = None,
    llm: BaseChatModel | None = None,
    embedder: Embeddings | None = None,
    extractor: Extractor | None = None,
    data_dir: str | Path | None = None,
    lexical: bool | None = None,
    ranking: Ranking | None = None,
    reranker: Reranker | None = None,
    outbox: OutboxOptions | None = None,
    retry: RetryPolicy | None = None,
    recall_timeout: float = 5.0,
    on_error: OnError = "degrade",
    clock: Callable[[], datetime] = utc_now,
) -> AgentMemory:
    """Make an `AgentMemory` of whatever you have.

    Mem0's telemetry is off before `mem0` is imported, unless `MEM0_TELEMETRY` is set.

    Args:
        target: Nothing: the Mem0 Platform where there is a key, else the embedded default.
            `"embedded"`: that one, which needs no key, no server and no network. A Mem0 config
            (a mapping, as for `mem0.Memory.from_config`). A `mem0.Memory`, `mem0.AsyncMemory`,
            `mem0.MemoryClient` or `mem0.AsyncMemoryClient`, which stays open after `close`; of
            the latter, the key and the host are used. An `AgentMemory`, which is returned as it
            is.
        api_key: A key of the Mem0 Platform, or of a server that speaks its protocol; else
            `MEM0_API_KEY`.
        host: The URL of that server; else `MEM0_HOST`, else the hosted Platform.
        graph: A knowledge graph that follows the memories: a `GraphMemory`, which stays open
            after `close`; a mapping as Mem0's `graph_store`; or True for an embedded one in the
            data folder. A `graph_store` in the Mem0 config says the same.
        scope: Whose memories, where a call does not say.
        llm: A LangChain chat model for Mem0's extraction; on the Platform, for the graph's.
        embedder: A LangChain embeddings object, in place of the configured embedder; on the
            Platform, for the names of a graph.
        extractor: Finds the statements to keep, in place of Mem0's extraction with a model.
        data_dir: The folder for everything that is written; else `MEM0_DIR`, else the
            platform's user-data folder.
        lexical: Whether the words of memories are kept in an index in the data folder, beside a
            vector store that does not search them itself. The embedded default has one in its
            own file.
        ranking: What counts in a recall, and how much.
        reranker: A LangChain `BaseDocumentCompressor`, a cross-encoder for example, that puts
            what a recall found in its own order.
        outbox: How writes are kept until they are delivered.
        retry: How failures that may pass are retried.
        recall_timeout: Seconds that a recall may take before it is reported as degraded.
        on_error: What a failed recall or write does: `degrade` or `raise`.
        clock: Tells the time that writes carry (aware); for imports and simulations.

    Raises:
        ConfigurationError: There is no way from `target` to a memory.
        FolderLockedError: Another process uses the embedded default's folder.
        StorageError: The data folder cannot be used.

    Example:
        >>> with connect() as memory:
        ...     memory.remember("I am allergic to peanuts.", scope={"user_id": "customer-1"}).status
        'stored'
    """
    given = {
        "llm": llm,
        "embedder": embedder,
        "extractor": extractor,
        "data_dir": data_dir,
        "ranking": ranking,
        "reranker": reranker,
        "outbox": outbox,
        "retry": retry,
    }
    if isinstance(target, AgentMemory):
        others = (api_key, host, graph, scope, lexical)
        if any(option is not None for option in (*given.values(), *others)):
            raise ConfigurationError(
                "An AgentMemory keeps the options that it was connected with; connect() to its "
                "Mem0 instead."
            )
        return target
    _check_options({**given, "clock": clock})
    options = outbox or OutboxOptions()
    check_timeout("recall_timeout", recall_timeout)
    retry = retry or RetryPolicy()
    folder = make_folder(data_folder(data_dir))
    opened = _open_all(
        _with_key(target, api_key, host),
        graph,
        folder,
        options,
        llm=llm,
        embedder=embedder,
        extractor=extractor,
        lexical=lexical,
    )
    path = opened.outbox_path
    try:
        shared_outbox = OUTBOXES.acquire(
            path,
            partial(
                Outbox,
                path,
                load=AddRequest.load,
                delivery=MemoryDelivery(opened.backend, opened.followers),
                retry=retry,
                workers=options.workers,
                max_queued=options.max_queued,
                when_full=options.when_full,
                delivery_timeout=options.delivery_timeout,
            ),
        )
    except BaseException:
        opened.close(None)
        raise

    def on_close(timeout: float | None) -> bool:
        is_idle = OUTBOXES.release(path, timeout)
        opened.close(timeout)
        return is_idle

    try:
        memory = AgentMemory(
            opened.backend,
            shared_outbox,
            scope=scope,
            retry=retry,
            recall_timeout=recall_timeout,
            on_error=on_error,
            clock=clock,
            ranking=ranking,
            reranker=reranker,
            followers=opened.followers,
            on_close=on_close,
        )
    except BaseException:
        on_close(None)
        raise
    _OPEN.add(memory)
    return memory


class _Key(NamedTuple):
    """Where a Mem0 Platform is, and what opens it."""

    api_key: str | None
    host: str | None


def _with_key(target: object, api_key: str | None, host: str | None) -> object:
    """Return what `connect` is asked for, be it named or told by a key."""
    for name, value in (("api_key", api_key), ("host", host)):
        if value is not None and not str(value).strip():
            raise ConfigurationError(f"{name} is empty; give one, or leave {name}= out.")
    if api_key is None and host is None:
        return _Key(None, None) if target is None and os.environ.get("MEM0_API_KEY") else target
    if target is not None:
        raise ConfigurationError(
            "api_key= and host= lead to the Mem0 Platform; leave the target out, or them."
        )
    if api_key is None and not os.environ.get("MEM0_API_KEY"):
        raise ConfigurationError("host= needs a key: pass api_key=, or set MEM0_API_KEY.")
    return _Key(api_key, host)


def _check_options(given: Mapping[str, object]) -> None:
    """Refuse what would only fail when the first turn is written."""
    for name, value in given.items():
        what, is_right = _WANTED[name]
        if value is not None and not is_right(value):
            raise ConfigurationError(f"{name} must be {what}, not {value!r}.")


def _has(method: str) -> Callable[[object], bool]:
    return lambda value: not isinstance(value, type) and callable(getattr(value, method, None))


def _is_a(kind: type | UnionType) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kind)


_WANTED: Final[Mapping[str, tuple[str, Callable[[object], bool]]]] = {
    "llm": ("a LangChain chat model", _has("invoke")),
    "embedder": ("a LangChain Embeddings", _has("embed_query")),
    "extractor": ("an object with extract()", _has("extract")),
    "data_dir": ("a path", _is_a(str | Path)),
    "ranking": ("a Ranking", _is_a(Ranking)),
    "reranker": ("a LangChain BaseDocumentCompressor", _has("compress_documents")),
    "outbox": ("an OutboxOptions", _is_a(OutboxOptions)),
    "retry": ("a RetryPolicy", _is_a(RetryPolicy)),
    "clock": ("a function", callable),
}


class _Parts(NamedTuple):
    """What takes the place of parts of Mem0."""

    llm: LangChainLLM | None
    embedder: LangChainEmbedder | None
    extractor: Extractor | None


@dataclass(frozen=True, slots=True)
class _Opened:
    """A Mem0 and what follows it, where its outbox lies, and how to close all of it."""

    backend: Backend
    outbox_path: Path
    close: Callable[[float | None], object]
    followers: tuple[Follower, ...] = ()

    def followed_by(self, follower: Follower) -> _Opened:
        """Return it with one more that follows it, which is closed before it."""

        def close(timeout: float | None) -> None:
            try:
                follower.close(timeout)
            finally:
                self.close(timeout)

        return dataclasses.replace(self, followers=(*self.followers, follower), close=close)


def split_graph(
    target: T, graph: GraphLike | None = None
) -> tuple[T | dict[str, Any], GraphLike | None]:
    """Take the `graph_store` out of a Mem0 config; returns the rest, and the graph to attach."""
    if not isinstance(target, Mapping) or "graph_store" not in target:
        return target, graph
    if graph is not None:
        raise ConfigurationError(
            "There are two graphs: a 'graph_store' in the config, and graph=. Leave one out."
        )
    rest = {key: value for key, value in target.items() if key != "graph_store"}
    return rest, target["graph_store"]


def _open_all(
    target: object, graph: GraphLike | None, folder: Path, options: OutboxOptions, **parts: Any
) -> _Opened:
    """Open a memory and, where there is one, its graph; say where their outboxes lie."""
    target, graph = split_graph(target, graph)
    with ExitStack() as undo:
        own = None
        closing = undo.enter_context(ExitStack())
        if graph is not None and graph is not False:
            from mem0_integrations.graph.follower import follow, open_or_replace

            # First, so that a mistake in its settings shows before anything else is made.
            own = open_or_replace(graph, folder)
            closing.callback(own.close)
        opened = _open(target, folder, **parts)
        undo.callback(opened.close, None)
        if options.path:
            given = Path(options.path).expanduser().absolute()
            opened = dataclasses.replace(opened, outbox_path=given)
        make_folder(opened.outbox_path.parent)
        if own is not None:
            closing.pop_all()
            follower = follow(
                own,
                opened.backend,
                opened.backend.models(),
                outbox_path=graph_outbox_path(opened.outbox_path),
                workers=options.workers,
            )
            opened = opened.followed_by(follower)
        undo.pop_all()
    return opened


def _open(
    target: object,
    folder: Path,
    *,
    llm: BaseChatModel | None,
    embedder: Embeddings | None,
    extractor: Extractor | None,
    lexical: bool | None,
) -> _Opened:
    from mem0_integrations.backends.mem0_setup import import_mem0

    mem0 = import_mem0(folder)
    from mem0_integrations.backends.mem0_config import mem0_embedder

    # Once: to learn its dimension it is asked for a vector.
    parts = _Parts(
        llm=None if llm is None else LangChainLLM(llm),
        embedder=None if embedder is None else mem0_embedder(embedder),
        extractor=extractor,
    )
    if isinstance(target, _Key | mem0.MemoryClient | mem0.AsyncMemoryClient):
        if lexical:
            raise ConfigurationError("The Mem0 Platform searches words itself; leave lexical= out.")
        return _open_platform(target, folder, parts)
    if target is None or target == EMBEDDED:
        if lexical is False:
            raise ConfigurationError(
                "The embedded default always keeps the words of its memories; "
                "connect(ranking=Ranking(lexical=0)) leaves them out of account."
            )
        return _open_embedded(folder / EMBEDDED, parts)
    if isinstance(target, Mapping):
        return _open_config(target, folder, parts, lexical=lexical)
    if isinstance(target, mem0.Memory):
        memory = target
    elif isinstance(target, mem0.AsyncMemory):
        # The same parts behind blocking methods: AsyncMemory runs some of them on the loop.
        memory = mem0.Memory.__new__(mem0.Memory)
        vars(memory).update(vars(target))
    else:
        raise ConfigurationError(
            f"connect() cannot use a {type(target).__name__}; give it a Mem0 config, a "
            f"mem0.Memory, a mem0.MemoryClient, an async one of these, 'embedded', or nothing."
        )
    return _open_mem0(memory, folder, parts, lambda _: None, lexical=lexical)


def _open_config(
    config: Mapping[str, Any], folder: Path, parts: _Parts, *, lexical: bool | None
) -> _Opened:
    from mem0_integrations.backends.mem0_config import memory_of, parsed_config

    parsed = parsed_config(config, folder, **parts._asdict())
    # A store in files bears only one Mem0 of a process; and a call that was interrupted may still
    # be opening or closing it.
    dimension = parts.embedder and parts.embedder.embedding_dims
    key = folder, _identity(config), parts.llm is None, parts.extractor is None, dimension
    memory = _MEM0S.acquire(key, partial(memory_of, parsed, folder))
    close = partial(_MEM0S.release, key)
    try:
        return _open_mem0(memory, folder, parts, close, lexical=lexical)
    except BaseException:
        close(None)
        raise


def _identity(value: object) -> Hashable:
    """Return what is equal for configs of the same values and the same objects."""
    if isinstance(value, Mapping):
        return frozenset((key, _identity(each)) for key, each in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_identity, value))
    return value if isinstance(value, str | int | float | Path | None) else id(value)


def _open_mem0(
    memory: Memory,
    folder: Path,
    parts: _Parts,
    close: Callable[[float | None], object],
    *,
    lexical: bool | None,
) -> _Opened:
    from mem0_integrations.backends.oss import OSSBackend

    backend = OSSBackend(memory, **parts._asdict())
    store = memory.config.vector_store
    opened = _Opened(backend, outbox_of(folder, store), close)
    if lexical:
        from mem0_integrations.word_index import WordIndex

        words: Follower
        try:
            words = WordIndex(backend, words_of(folder, store))
        except StorageError as error:
            words = LostFollower(WordIndex, "words", error)
        opened = opened.followed_by(words)
    return opened


def _open_platform(
    target: _Key | MemoryClient | AsyncMemoryClient, folder: Path, parts: _Parts
) -> _Opened:
    from mem0 import MemoryClient

    from mem0_integrations.backends.platform import PlatformBackend, open_client

    if parts.extractor is not None:
        raise ConfigurationError(
            "extractor= is not for the Mem0 Platform, which extracts itself; leave it out."
        )
    if isinstance(target, MemoryClient):
        client, owned = target, False
    else:
        client, owned = open_client(target.api_key, target.host), True
    backend = PlatformBackend(
        client, models=Models(llm=parts.llm, embedder=parts.embedder), owned=owned
    )
    return _Opened(backend, outbox_of_project(folder, client), lambda _: backend.close())


def _open_embedded(folder: Path, parts: _Parts) -> _Opened:
    from mem0_integrations.backends.embedded.memory import EmbeddedMemory
    from mem0_integrations.backends.oss import OSSBackend

    memory = _EMBEDDED_MEMORIES.acquire(
        folder, lambda: EmbeddedMemory(folder, embedder=parts.embedder)
    )
    if parts.llm is None and parts.extractor is None:
        parts = parts._replace(extractor=SentenceExtractor())
        logger.info(
            "Embedded memory in %s: it keeps the user's own sentences; connect(llm=...) lets a "
            "model extract.",
            folder,
        )
    close = partial(_EMBEDDED_MEMORIES.release, folder)
    try:
        backend = OSSBackend(memory, **parts._asdict())
    except BaseException:
        close(None)
        raise
    return _Opened(backend, folder / OUTBOX, close)


def _close_all() -> None:
    for memory in list(_OPEN):
        memory.close(timeout=5.0)


def _close_mem0(memory: Memory, _: float | None) -> None:
    from mem0_integrations.backends.stores.collections import Collections

    Collections.of(memory).close()
    memory.close()


_MEM0S: Final[SharedResources[Memory]] = SharedResources(_close_mem0)
_EMBEDDED_MEMORIES: Final[SharedResources[EmbeddedMemory]] = SharedResources(
    lambda memory, _: memory.close()
)
_OPEN: Final[weakref.WeakSet[AgentMemory]] = weakref.WeakSet()
atexit.register(_close_all)


# What a forked process inherits has lost its threads.
os.register_at_fork(after_in_child=_OPEN.clear)
