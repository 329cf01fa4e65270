"""The stores on which a memory must behave alike, and the models that the tests give it."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.vectorstores import InMemoryVectorStore
from mem0.vector_stores.base import VectorStoreBase

from mem0_integrations import AgentMemory, OutboxOptions, RetryPolicy, SentenceExtractor, connect
from mem0_integrations.backends.mem0_setup import import_mem0
from mem0_integrations.backends.stores.collections import Collections
from mem0_integrations.minilm import MiniLMEmbedder
from tests.servers.postgres import with_iterative_scan

STORES = ("embedded", "qdrant", "pgvector")
ALL_STORES = (*STORES, "chroma", "faiss", "milvus", "langchain")
QUICK = RetryPolicy(attempts=2, base=0.01, cap=0.02)

# Mem0 builds its default parts in any case; they are replaced and never called.
_REPLACED = {"provider": "openai", "config": {"api_key": "replaced"}}


class MiniLM(Embeddings):
    """The embedder that is shipped, as a LangChain one."""

    def __init__(self) -> None:
        self._embedder = MiniLMEmbedder()

    def embed_query(self, text: str) -> list[float]:
        return self._embedder.embed(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._embedder.embed_batch(texts)


class HookedEmbedder(Embeddings):
    """Vectors without a model, and a hook that may fail, hang or look around first."""

    def __init__(self) -> None:
        self._embedding = DeterministicFakeEmbedding(size=16)
        self.hook: Callable[[], object] = lambda: None

    def embed_query(self, text: str) -> list[float]:
        self.hook()
        return self._embedding.embed_query(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.hook()
        return self._embedding.embed_documents(texts)


class Scripted(BaseChatModel):
    """A chat model that answers with what it was given, or raises it; the last one for ever."""

    answers: list[Any]
    tools: list[Any] = []  # noqa: RUF012  (pydantic copies it)
    asked: list[list[BaseMessage]] = []  # noqa: RUF012  (pydantic copies it)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.asked.append(messages)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        message = answer if isinstance(answer, AIMessage) else AIMessage(answer)
        return ChatResult(generations=[ChatGeneration(message=message.model_copy(deep=True))])

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Scripted:
        """Offer tools, which the script calls or not."""
        self.tools.extend(tools)
        return self


class PlainStore(VectorStoreBase):
    """A store with nothing but Mem0's interface, which refuses to insert what it has."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def close(self) -> None:
        getattr(self._store, "client", self._store).close()

    def insert(self, vectors: Any, payloads: Any = None, ids: Any = None) -> None:
        if any(self.get(row_id) for row_id in ids):
            raise ValueError("duplicate key")
        self._store.insert(vectors, payloads, ids)

    def create_col(self, *given: Any, **named: Any) -> None:
        self._store.create_col(*given, **named)

    def search(self, query: Any, vectors: Any, top_k: Any = 5, filters: Any = None) -> Any:
        return self._store.search(query, vectors, top_k, filters)

    def delete(self, vector_id: Any) -> None:
        self._store.delete(vector_id)

    def update(self, vector_id: Any, vector: Any = None, payload: Any = None) -> None:
        self._store.update(vector_id, vector, payload)

    def get(self, vector_id: Any) -> Any:
        return self._store.get(vector_id)

    def list_cols(self) -> Any:
        return self._store.list_cols()

    def delete_col(self) -> None:
        self._store.delete_col()

    def col_info(self) -> Any:
        return self._store.col_info()

    def list(self, filters: Any = None, top_k: Any = None) -> Any:
        return self._store.list(filters, top_k)

    def reset(self) -> None:
        self._store.reset()


def is_platform(memory: AgentMemory) -> bool:
    """Tell whether a memory speaks Mem0's protocol."""
    return "MemoryClient" in memory.describe()["Mem0"]


@dataclass(frozen=True)
class Store:
    """A store that stays open, so that one memory after the other can be connected to it."""

    target: Any
    folder: Path
    embeddings: Embeddings

    def connect(self, outbox: Path, **options: Any) -> AgentMemory:
        """Connect to it, with an outbox file of one's own."""
        if options.get("llm") is None:
            options.setdefault("extractor", SentenceExtractor())
        options.setdefault("embedder", self.embeddings)
        options.setdefault("retry", QUICK)
        return connect(
            self.target, data_dir=self.folder, outbox=OutboxOptions(path=outbox), **options
        )


def store_config(
    name: str, folder: Path, dims: int | None, postgres_url: str | None = None
) -> dict[str, Any]:
    """Return a Mem0 config for a new and empty store; without `dims`, Mem0 is not told them."""
    config: dict[str, Any] = {"collection_name": f"memories_{uuid.uuid4().hex}"}
    if dims is not None and name not in ("chroma", "langchain"):
        config["embedding_model_dims"] = dims
    match name:
        case "qdrant":
            config |= {"path": str(folder / "qdrant"), "on_disk": True}
        case "pgvector":
            assert postgres_url is not None
            config |= {"connection_string": with_iterative_scan(postgres_url)}
        case "chroma" | "faiss":
            config |= {"path": str(folder / name)}
        case "milvus":
            config |= {"url": str(folder / "milvus.db")}
        case "langchain":
            config |= {"client": InMemoryVectorStore(DeterministicFakeEmbedding(size=3))}
    return {
        "vector_store": {"provider": name, "config": config},
        "history_db_path": str(folder / "history.db"),
        "embedder": _REPLACED,
        "llm": _REPLACED,
    }


@contextmanager
def open_store(
    name: str, folder: Path, embeddings: Embeddings, request: pytest.FixtureRequest
) -> Iterator[Store]:
    """Open a new and empty store; close it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "embedded":
        # Held, so that those who connect meanwhile share it.
        with connect("embedded", data_dir=folder, embedder=embeddings):
            yield Store("embedded", folder, embeddings)
        return
    url = request.getfixturevalue("postgres_url") if name == "pgvector" else None
    dims = len(embeddings.embed_query("dimension"))
    memory = import_mem0(folder).Memory.from_config(store_config(name, folder, dims, url))
    try:
        yield Store(memory, folder, embeddings)
    finally:
        Collections.of(memory).close()
        memory.close()


def memory_answer(*texts: str) -> str:
    """Return what a model answers to Mem0 that found these statements."""
    return json.dumps({"memory": [{"text": text} for text in texts]})


def texts_of(memories: Sequence[Any]) -> list[str]:
    return [memory.text for memory in memories]


@pytest.fixture(scope="session")
def minilm() -> MiniLM:
    """The shipped embedder, loaded once."""
    return MiniLM()


@pytest.fixture(scope="module")
def embedder() -> HookedEmbedder:
    """The embedder of `hooked`."""
    return HookedEmbedder()


@pytest.fixture(scope="module")
def hooked(
    embedder: HookedEmbedder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AgentMemory]:
    """A memory whose embedder does what a test wants."""
    folder = tmp_path_factory.mktemp("hooked")
    with connect("embedded", data_dir=folder, embedder=embedder) as memory:
        yield memory


@pytest.fixture
def hook(embedder: HookedEmbedder) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Set what the embedder does first; it does nothing again after the test."""

    def set_hook(call: Callable[[], object]) -> None:
        embedder.hook = call

    yield set_hook
    embedder.hook = lambda: None


@contextmanager
def nothing_on_the_loop(owner: Any, *names: str) -> Iterator[None]:
    """Fail if a method is called on the thread of the event loop, or if none is called at all."""
    loop_thread, seen = threading.get_ident(), set[int]()

    def watched(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            seen.add(threading.get_ident())
            return method(*args, **options)

        return call

    with pytest.MonkeyPatch.context() as patched:
        for name in names:
            patched.setattr(owner, name, watched(getattr(owner, name)))
        yield
    assert seen
    assert loop_thread not in seen
