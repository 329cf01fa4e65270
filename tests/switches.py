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
    """A hook at which the first call waits until it is let through; the others go on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.thread: threading.Thread | None = None
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self) -> None:
        with self._lock:
            first, self.thread = self.thread is None, self.thread or threading.current_thread()
        if first:
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


def switch_inserts(store: Any, parts: Parts) -> None:
    """Put a switch before and after what a real vector store inserts, as a subclass of its own."""
    if hasattr(collection := getattr(store, "collection", None), "upsert"):
        # Chroma's, in which the package writes several rows at once.
        store.collection = _Switched(collection, parts)
        return
    kind = type(store)

    def insert(self: Any, *args: Any, **options: Any) -> Any:
        return parts.around(partial(kind.insert, self, *args, **options))

    # Of the same name: it is to be served as what it is.
    store.__class__ = type(kind.__name__, (kind,), {"insert": insert})


class _Switched:
    """A collection of Chroma's with a switch before and after what it stores."""

    def __init__(self, collection: Any, parts: Parts) -> None:
        self._collection = collection
        self._parts = parts

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._collection, name)
        if name not in ("add", "upsert"):
            return method
        return lambda **given: self._parts.around(partial(method, **given))
