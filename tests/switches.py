"""What an application brings itself, behind switches: it stumbles, hangs or dies when told to.

All of it is given to the package, or lies below it; nothing of the package is replaced.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from mem0_integrations.concurrency import acall
from mem0_integrations.graph.engines.base import Batch, GraphEngine, Rows
from mem0_integrations.graph.engines.embedded import EmbeddedEngine
from tests.stores import memory_answer

PATIENCE: Final = 60.0
"""Seconds after which a test gives up; nothing that goes well takes so long."""


class Stumbled(ConnectionError):
    """A failure that may pass: what a lost connection or a full queue of a service gives."""


class Switch:
    """What a part does before its work: nothing, unless a test wants something else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = 0
        self.stumbled = 0
        self.hook: Callable[[], object] = lambda: None

    def stumble(self, times: int) -> None:
        """Fail in the next calls."""
        self._left = times

    def __call__(self) -> None:
        self.hook()
        with self._lock:
            if not self._left:
                return
            self._left -= 1
            self.stumbled += 1
        raise Stumbled("It stumbled.")


class Gate:
    """A hook at which one call waits until it is let through; the others go on.

    Args:
        passed: How many calls go on before that one.
    """

    def __init__(self, passed: int = 0) -> None:
        self._lock = threading.Lock()
        self._passed = passed
        self.thread: threading.Thread | None = None
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self) -> None:
        with self._lock:
            self._passed -= 1
            held = self._passed == -1
            if held:
                self.thread = threading.current_thread()
        if held:
            self.reached.set()
            assert self.opened.wait(PATIENCE)


@dataclass
class Parts:
    """The switches of what an application brings itself."""

    model: Switch = field(default_factory=Switch)
    embedder: Switch = field(default_factory=Switch)
    store: Switch = field(default_factory=Switch)
    stored: Switch = field(default_factory=Switch)
    """Called after an insert."""
    rows: Switch = field(default_factory=Switch)
    """Called before rows of a store are read or changed by their ids."""
    history: Switch = field(default_factory=Switch)
    """Called before something is written into Mem0's history."""
    graph: Switch = field(default_factory=Switch)
    answered: Callable[[], object] = lambda: None
    """Called when the model has answered."""

    def reset(self) -> None:
        self.__init__()  # type: ignore[misc]

    def around(self, insert: Callable[[], Any]) -> Any:
        """Insert, with the switches before and after it."""
        self.store()
        result = insert()
        self.stored()
        return result


class SwitchedEmbeddings(Embeddings):
    """The embedder that is shipped, behind a switch."""

    def __init__(self, inner: Embeddings, parts: Parts) -> None:
        self._inner = inner
        self._parts = parts

    def embed_query(self, text: str) -> list[float]:
        self._parts.embedder()
        return self._inner.embed_query(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self._parts.embedder()
        return self._inner.embed_documents(texts)


class Repeating(BaseChatModel):
    """A model that finds in a turn what the user said, sentence by sentence."""

    parts: Any

    @property
    def _llm_type(self) -> str:
        return "repeating"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.parts.model()
        asked = str(messages[-1].content)
        answer = memory_answer(*_said(asked)) if "## New Messages" in asked else "I see."
        self.parts.answered()
        return ChatResult(generations=[ChatGeneration(message=AIMessage(answer))])


def _said(prompt: str) -> list[str]:
    """Return the sentences of the user in the turn that Mem0 shows to its model."""
    new = prompt.partition("## New Messages\n")[2].partition("\n\n## ")[0]
    try:
        spoken = [turn["content"] for turn in json.loads(new) if turn["role"] == "user"]
    except ValueError:
        spoken = re.findall(r"(?m)^user: (.*)$", new)
    return [sentence for text in spoken for sentence in re.split(r"(?<=[.!?])\s+", text.strip())]


class SwitchedEngine(GraphEngine):
    """The embedded graph, behind a switch."""

    def __init__(self, path: Path, parts: Parts) -> None:
        self._engine = EmbeddedEngine(path)
        self._parts = parts
        self.chooses_indexes = self._engine.chooses_indexes

    def run(self, batch: Batch) -> list[Rows]:
        self._parts.graph()
        return self._engine.run(batch)

    async def arun(self, batch: Batch) -> list[Rows]:
        # Not in a thread of the loop, which waits for one that hangs when it is closed.
        await acall(self._parts.graph)
        return await self._engine.arun(batch)

    def prepare(self, schema: Sequence[str]) -> None:
        self._engine.prepare(schema)

    def describe(self) -> str:
        return self._engine.describe()

    def close(self) -> None:
        self._engine.close()


_ROW_BY_ROW: Final = (
    "get",
    "get_many",
    "update",
    "merge_payloads",
    "delete",
    "delete_many",
    "erase",
)


def switch_store(store: Any, parts: Parts) -> None:
    """Put switches around what a real vector store inserts and changes: in a class of its own."""
    if hasattr(collection := getattr(store, "collection", None), "upsert"):
        # Chroma's, in which the package writes several rows at once.
        store.collection = _Switched(collection, parts)
        return
    kind = type(store)

    def insert(self: Any, *args: Any, **options: Any) -> Any:
        return parts.around(partial(kind.insert, self, *args, **options))

    def switched(name: str) -> Callable[..., Any]:
        def call(self: Any, *args: Any, **options: Any) -> Any:
            parts.rows()
            return getattr(kind, name)(self, *args, **options)

        return call

    # Several rows at once are asked for through the connection of a `PGVector`.
    names = ["_get_cursor"] if hasattr(kind, "_get_cursor") else _ROW_BY_ROW
    methods = {name: switched(name) for name in names if hasattr(kind, name)}
    # Of the same name: it is to be served as what it is.
    store.__class__ = type(kind.__name__, (kind,), {"insert": insert, **methods})


def switch_history(manager: Any, parts: Parts) -> None:
    """Put a switch before what Mem0's history takes, as a subclass of its own."""
    kind = type(manager)

    def switched(name: str) -> Callable[..., Any]:
        def call(self: Any, *args: Any, **options: Any) -> Any:
            parts.history()
            return getattr(kind, name)(self, *args, **options)

        return call

    methods = {name: switched(name) for name in ("add_history", "batch_add_history")}
    manager.__class__ = type(kind.__name__, (kind,), methods)


class _Switched:
    """A collection of Chroma's with switches around what it stores and changes."""

    def __init__(self, collection: Any, parts: Parts) -> None:
        self._collection = collection
        self._parts = parts

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._collection, name)
        if name in ("add", "upsert"):
            return lambda **given: self._parts.around(partial(method, **given))
        if name not in ("get", "update", "delete"):
            return method

        def call(**given: Any) -> Any:
            self._parts.rows()
            return method(**given)

        return call
