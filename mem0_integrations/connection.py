"""`connect`: whatever the user has -> an `AgentMemory`."""

from __future__ import annotations

import atexit
import dataclasses
import hashlib
import logging
import os
import sys
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from mem0_integrations.agent_memory import AgentMemory, _now, deliver
from mem0_integrations.backends.base import Backend
from mem0_integrations.data_folder import data_folder, make_folder
from mem0_integrations.errors import ConfigurationError
from mem0_integrations.extraction import (
    Extractor,
    LangChainEmbedder,
    LangChainLLM,
    SentenceExtractor,
)
from mem0_integrations.outbox import Outbox
from mem0_integrations.planning import OnError, check_timeout
from mem0_integrations.ranking import Ranking
from mem0_integrations.refining import Reranker
from mem0_integrations.requests import AddRequest
from mem0_integrations.retry import RetryPolicy
from mem0_integrations.scope import ScopeLike
from mem0_integrations.shared import SharedResources

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel
    from mem0 import AsyncMemory, AsyncMemoryClient, Memory, MemoryClient
    from mem0.vector_stores.configs import VectorStoreConfig

    from mem0_integrations.backends.embedded.memory import EmbeddedMemory
    from mem0_integrations.graph.attaching import AttachedGraph, GraphLike

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

_EMBEDDED: Final = "embedded"
_OUTBOX: Final = "outbox.db"


@dataclass(frozen=True, slots=True)
class OutboxOptions:
    """How writes are kept until they are delivered.

    Args:
        path: The SQLite file; else one in the data folder, for each store its own. That of a
            graph lies beside it, as `graph-<its name>`.
        workers: The most writes that are delivered at the same time, for different scopes.
        max_queued: The most writes that may wait.
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
    clock: Callable[[], datetime] = _now,
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
    options = OutboxOptions() if outbox is None else outbox
    given = (
        *(api_key, host, graph, scope, llm, embedder, extractor),
        *(data_dir, lexical, ranking, reranker, outbox, retry),
    )
    if isinstance(target, AgentMemory):
        if any(option is not None for option in given):
            raise ConfigurationError(
                "An AgentMemory keeps the options that it was connected with; connect() to its "
                "Mem0 instead."
            )
        return target
    _check_options(
        llm=llm,
        embedder=embedder,
        extractor=extractor,
        data_dir=data_dir,
        ranking=ranking,
        reranker=reranker,
        outbox=options,
        retry=retry,
        clock=clock,
    )
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
        make_folder(path.parent)
        shared_outbox = _OUTBOXES.acquire(
            path,
            partial(
                Outbox,
                path,
                load=AddRequest.load,
                deliver=partial(deliver, opened.backend),
                undo=opened.backend.undo,
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

    def on_close(timeout: float | None) -> None:
        _OUTBOXES.release(path, timeout)
        opened.close(timeout)

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
            graph=opened.graph,
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


def _check_options(
    *,
    llm: object,
    embedder: object,
    extractor: object,
    data_dir: object,
    ranking: object,
    reranker: object,
    outbox: object,
    retry: object,
    clock: object,
) -> None:
    """Refuse what would only fail when the first turn is written."""
    wanted = {
        "llm": (llm, "a LangChain chat model", _has(llm, "invoke")),
        "embedder": (embedder, "a LangChain Embeddings", _has(embedder, "embed_query")),
        "extractor": (extractor, "an object with extract()", _has(extractor, "extract")),
        "data_dir": (data_dir, "a path", isinstance(data_dir, str | Path)),
        "ranking": (ranking, "a Ranking", isinstance(ranking, Ranking)),
        "reranker": (
            reranker,
            "a LangChain BaseDocumentCompressor",
            _has(reranker, "compress_documents"),
        ),
        "outbox": (outbox, "an OutboxOptions", isinstance(outbox, OutboxOptions)),
        "retry": (retry, "a RetryPolicy", isinstance(retry, RetryPolicy)),
        "clock": (clock, "a function", callable(clock)),
    }
    for name, (value, what, right) in wanted.items():
        if value is not None and not right:
            raise ConfigurationError(f"{name} must be {what}, not {value!r}.")


def _has(value: object, method: str) -> bool:
    return not isinstance(value, type) and callable(getattr(value, method, None))


def outbox_path(config: Mapping[str, Any] | None, data_dir: str | Path | None) -> Path:
    """Return where the outbox of a config lies, without opening the store behind it.

    Args:
        config: A Mem0 config; None for what `connect` takes then.
        data_dir: As for `connect`.

    Raises:
        ConfigurationError: Mem0 does not understand the config, or refuses the key.
        BackendError: The Mem0 Platform does not say whose the key is.
    """
    if config is None and not os.environ.get("MEM0_API_KEY"):
        return data_folder(data_dir) / _EMBEDDED / _OUTBOX
    from mem0_integrations.backends.mem0_setup import import_mem0

    folder = data_folder(data_dir)
    import_mem0(make_folder(folder))
    if config is None:
        from mem0_integrations.backends.platform import open_client

        client = open_client(None, None)
        with closing(client.client):
            return _outbox_of_project(folder, client)
    from mem0_integrations.backends.mem0_config import parsed_config

    parsed = parsed_config(config, folder, llm=None, embedder=None, extractor=None)
    return _outbox_of(folder, parsed.vector_store)


def has_words(config: Mapping[str, Any] | None, data_dir: str | Path | None) -> bool:
    """Tell whether there is an index of words beside the vector store of a config.

    Args:
        config: A Mem0 config; None for what `connect` takes then.
        data_dir: As for `connect`.
    """
    if config is None:
        return False
    from mem0_integrations.backends.mem0_config import parsed_config

    folder = data_folder(data_dir)
    parsed = parsed_config(config, folder, llm=None, embedder=None, extractor=None)
    return _words_of(folder, parsed.vector_store).exists()


def graph_outbox_path(outbox: Path) -> Path:
    """Return where the outbox of the graph lies that follows the memories of an outbox."""
    return outbox.with_name(f"graph-{outbox.name}")


def _outbox_of(folder: Path, store: VectorStoreConfig) -> Path:
    from mem0_integrations.backends.stores.places import store_digest

    return folder / f"outbox-{store_digest(store)}.db"


def _words_of(folder: Path, store: VectorStoreConfig) -> Path:
    from mem0_integrations.backends.stores.places import store_digest

    return folder / f"words-{store_digest(store)}.db"


def _outbox_of_project(folder: Path, client: MemoryClient) -> Path:
    project = f"{client.host} {client.org_id} {client.project_id}"
    return folder / f"outbox-{hashlib.sha256(project.encode()).hexdigest()[:16]}.db"


class _Parts(NamedTuple):
    """What takes the place of parts of Mem0."""

    llm: LangChainLLM | None
    embedder: LangChainEmbedder | None
    extractor: Extractor | None


@dataclass(frozen=True, slots=True)
class _Opened:
    """A backend, where its outbox lies, and how to close it."""

    backend: Backend
    outbox_path: Path
    close: Callable[[float | None], None]
    graph: AttachedGraph | None = None


def _without_graph(target: object, graph: GraphLike | None) -> tuple[object, GraphLike | None]:
    """Take the `graph_store` out of a Mem0 config."""
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
    target, graph = _without_graph(target, graph)
    given = Path(options.path).expanduser().absolute() if options.path else None
    if graph is None or graph is False:
        opened = _open(target, folder, **parts)
        return dataclasses.replace(opened, outbox_path=given or opened.outbox_path)
    from mem0_integrations.graph.attaching import attach, open_graph

    with ExitStack() as undo:
        # First, so that a mistake in its settings shows before anything else is made.
        own = open_graph(graph, folder)
        undo.callback(own.close)
        opened = _open(target, folder, **parts)
        undo.callback(opened.close, None)
        outbox = given or opened.outbox_path
        make_folder(outbox.parent)
        attached = attach(
            own,
            opened.backend,
            outbox_path=graph_outbox_path(outbox),
            workers=options.workers,
        )
        undo.pop_all()

    def close(timeout: float | None) -> None:
        attached.close(timeout)
        opened.close(timeout)

    return _Opened(attached.backend, outbox, close, attached)


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
    from mem0_integrations.backends.mem0_config import mem0_embedder, memory_from_config

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
    if target is None or target == _EMBEDDED:
        if lexical is False:
            raise ConfigurationError(
                "The embedded default always keeps the words of its memories; "
                "connect(ranking=Ranking(lexical=0)) leaves them out of account."
            )
        return _open_embedded(folder / _EMBEDDED, parts)
    if isinstance(target, Mapping):
        memory = memory_from_config(mem0.Memory, target, folder, **parts._asdict())
        owned = True
    elif isinstance(target, mem0.Memory):
        memory, owned = target, False
    elif isinstance(target, mem0.AsyncMemory):
        # The same parts behind blocking methods: AsyncMemory runs some of them on the loop.
        memory, owned = mem0.Memory.__new__(mem0.Memory), False
        vars(memory).update(vars(target))
    else:
        raise ConfigurationError(
            f"connect() cannot use a {type(target).__name__}; give it a Mem0 config, a "
            f"mem0.Memory, a mem0.MemoryClient, an async one of these, 'embedded', or nothing."
        )
    from mem0_integrations.backends.oss import OSSBackend

    backend: Backend = (own := OSSBackend(memory, **parts._asdict(), owned=owned))
    if lexical:
        from mem0_integrations.backends.indexed import IndexedBackend

        try:
            backend = IndexedBackend(own, _words_of(folder, memory.config.vector_store))
        except BaseException:
            own.close()
            raise
    path = _outbox_of(folder, memory.config.vector_store)
    return _Opened(backend, path, lambda _: backend.close())


def _open_platform(
    target: _Key | MemoryClient | AsyncMemoryClient, folder: Path, parts: _Parts
) -> _Opened:
    from mem0 import MemoryClient

    from mem0_integrations.backends.base import Models
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
    return _Opened(backend, _outbox_of_project(folder, client), lambda _: backend.close())


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
    return _Opened(backend, folder / _OUTBOX, close)


def _close_all() -> None:
    for memory in list(_OPEN):
        memory.close(timeout=5.0)


_EMBEDDED_MEMORIES: Final[SharedResources[EmbeddedMemory]] = SharedResources(
    lambda memory, _: memory.close()
)
_OUTBOXES: Final[SharedResources[Outbox[AddRequest]]] = SharedResources(
    lambda outbox, timeout: outbox.close(timeout)
)
_OPEN: Final[weakref.WeakSet[AgentMemory]] = weakref.WeakSet()
atexit.register(_close_all)


def _start_afresh() -> None:
    for resources in (_EMBEDDED_MEMORIES, _OUTBOXES):
        resources.abandon()
    if graphs := sys.modules.get("mem0_integrations.graph.attaching"):
        graphs.abandon()
    _OPEN.clear()


# What a forked process inherits has lost its threads.
os.register_at_fork(after_in_child=_start_afresh)
