"""A process that lives with a memory, does what it is told, and may be killed meanwhile."""

from __future__ import annotations

import asyncio
import faulthandler
import hashlib
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from multiprocessing.connection import Connection
from typing import Any, Final

os.environ["MEM0_TELEMETRY"] = "False"
os.environ.pop("MEM0_API_KEY", None)

import mem0.embeddings.openai
import mem0.llms.openai
import mem0.vector_stores.chroma
import mem0.vector_stores.pgvector  # noqa: F401  (before the process is forked)
import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.messages import HumanMessage

from mem0_integrations import Memory, RetryPolicy, Scope
from mem0_integrations.langchain import Mem0ChatMessageHistory
from mem0_integrations.langgraph import Mem0Store
from mem0_integrations.records import VectorMemory
from mem0_integrations.requests import Change
from mem0_integrations.table.selection import select
from tests.paths import Place, open_memory
from tests.switches import PATIENCE, Parts, Switch

DELIVERY_SECONDS: Final = 1.0
"""How long a delivery may take."""

# More attempts than a part ever stumbles: nothing may become a dead letter.
RETRY: Final = RetryPolicy(attempts=100_000, base=0.01, cap=0.05, deadline=900)
SESSION: Final = "session"
_DIMENSIONS: Final = 384

real_time = time.time


@dataclass(frozen=True)
class Trouble:
    """What happens during a call, or soon after it.

    Attributes:
        kind: `stumble`, `delay`, `kill` (where a part is reached), `end` (killed after seconds) or
            `interrupt` (after seconds).
        part: A switch of `Parts`.
        count: How often it stumbles; or how many calls of it go on before.
        seconds: How long it takes, or after which time it happens.
    """

    kind: str
    part: str = ""
    count: int = 0
    seconds: float = 0.0


class Words(Embeddings):
    """Vectors of the words of a text, without a model: the nearest has the same words."""

    def embed_query(self, text: str) -> list[float]:
        vector = np.sum([_direction(word) for word in text.lower().split()] or [_direction("")], 0)
        unit: list[float] = (vector / np.linalg.norm(vector)).tolist()
        return unit

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


@lru_cache(maxsize=10_000)
def _direction(word: str) -> Any:
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
    return np.random.default_rng(seed).normal(size=_DIMENSIONS)


class Life:
    """What a process does.

    Args:
        place: Where its memory lies.
        connection: Tells it what to do, and is told what became of it.
    """

    def __init__(self, place: Place, connection: Connection) -> None:
        self._place = place
        self._way = place.way
        self._connection = connection
        self._parts = Parts()
        self._closing = ExitStack()
        self._clock = 0.0
        self._happened = dict.fromkeys(("delays", "interrupts"), 0)
        self._interruptible = False
        time.time = lambda: real_time() + self._clock
        signal.signal(signal.SIGALRM, self._interrupt)
        self._memory = open_memory(
            place,
            self._parts,
            Words(),
            self._closing,
            retry=RETRY,
            delivery_timeout=DELIVERY_SECONDS,
            clock=lambda: datetime.fromtimestamp(time.time(), UTC),
        )

    def live(self) -> None:
        """Do what is told until nothing is told any more."""
        while True:
            try:
                name, arguments, trouble = self._connection.recv()
            except EOFError:
                return
            answer = self._answer(partial(getattr(self, name), **arguments), trouble)
            stumbled = sum(
                switch.stumbled for switch in vars(self._parts).values() if hasattr(switch, "hook")
            )
            self._connection.send((answer, {**self._happened, "stumbles": stumbled}))
            if name == "close":
                return

    def _answer(self, call: Callable[[], object], trouble: Trouble | None) -> tuple[str, Any]:
        try:
            try:
                if trouble is not None:
                    self._begin(trouble)
                return "done", call()
            except Exception as error:
                return "raised", (type(error).__name__, str(error))
            finally:
                self._interruptible = False
        except KeyboardInterrupt:
            self._happened["interrupts"] += 1
            return "interrupted", None

    def _begin(self, trouble: Trouble) -> None:
        switch: Switch = getattr(self._parts, trouble.part, Switch())
        match trouble.kind:
            case "stumble":
                switch.stumble(trouble.count)
            case "delay":
                switch.hook = _Once(trouble.count, partial(self._delay, trouble.seconds))
            case "kill":
                switch.hook = _Once(trouble.count, _die)
            case "end":
                timer = threading.Timer(trouble.seconds, _die)
                timer.daemon = True
                timer.start()
            case "interrupt":
                self._interruptible = True
                signal.setitimer(signal.ITIMER_REAL, trouble.seconds)

    def _delay(self, seconds: float) -> None:
        self._happened["delays"] += 1
        time.sleep(seconds)

    def _interrupt(self, *_: object) -> None:
        if self._interruptible:
            self._interruptible = False
            raise KeyboardInterrupt

    def _call(self, method: str, *args: Any, **options: Any) -> Any:
        """Call a method of the memory in this thread, or its twin on a loop."""
        if self._way.mode == "sync":
            return getattr(self._memory, method)(*args, **options)
        return asyncio.run(getattr(self._memory, f"a{method}")(*args, **options))

    # --- What it can be told

    def remember(self, ids: Mapping[str, str], said: str, **options: Any) -> tuple[str, list[str]]:
        result = self._call("remember", said, scope=dict(ids), **options)
        return result.status, [memory.text for memory in result.memories]

    def listed(self, ids: Mapping[str, str]) -> list[tuple[str, str, Mapping[str, object]]]:
        return [_plain(memory) for memory in self._list(ids)]

    def update(self, ids: Mapping[str, str], memory_id: str, **changes: Any) -> None:
        self._call("update", memory_id, scope=dict(ids), **changes)

    def delete(self, ids: Mapping[str, str], memory_id: str) -> None:
        self._call("delete", memory_id, scope=dict(ids))

    def forget(self, ids: Mapping[str, str]) -> None:
        self._call("forget", dict(ids))

    def imported(self, ids: Mapping[str, str], said: Sequence[Mapping[str, str]]) -> None:
        self._call("remember_many", said, scope=dict(ids), batch_size=4)

    def put(self, key: str, value: Mapping[str, Any] | None) -> None:
        store = Mem0Store(self._memory)
        if self._way.mode == "sync":
            store.put(self._items, key, None if value is None else dict(value))  # type: ignore[arg-type]
        else:
            asyncio.run(store.aput(self._items, key, None if value is None else dict(value)))  # type: ignore[arg-type]

    def say(self, ids: Mapping[str, str], said: Sequence[str]) -> None:
        self._transcript(ids).add_messages([HumanMessage(text) for text in said])

    def save(
        self, ids: Mapping[str, str], rows: Sequence[tuple[str, str, Mapping[str, Any]]]
    ) -> None:
        """As a crew's storage does, which embeds itself and saves what it has extracted."""
        scope, now = Scope.of(dict(ids)), datetime.fromtimestamp(time.time(), UTC)
        memories = [VectorMemory(row_id, text, metadata, now) for row_id, text, metadata in rows]
        change = Change(scope, memory_ids=tuple(row_id for row_id, *_ in rows))
        self._memory.vectors().ask(
            lambda stored: stored.put(scope, memories), scopes=[scope], changes=[change]
        )

    def flush(self, seconds: float) -> bool:
        done: bool = self._call("flush", seconds)
        return done

    def rest(self, seconds: float) -> None:
        time.sleep(seconds)

    def jump(self, seconds: float) -> None:
        """Let the clock tell another time from now on."""
        self._clock += seconds

    def fill(self, spare: int, seconds: float) -> None:
        """Let no file grow beyond the largest by more than some bytes, for some time."""
        sizes = [path.stat().st_size for path in self._place.folder.rglob("*") if path.is_file()]
        _, unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes, default=0) + spare, unlimited))
        room = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (unlimited, unlimited))
        timer = threading.Timer(seconds, room)
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        self._closing.close()

    def report(
        self,
        users: Sequence[str],
        sessions: Sequence[Mapping[str, str]],
        asked: Sequence[tuple[Mapping[str, str], str]],
    ) -> dict[str, Any]:
        """Tell all that the memory holds.

        Args:
            users: Whose memories.
            sessions: The scopes of the transcripts.
            asked: Scopes and what is recalled of them.
        """
        found: dict[str, Any] = {"flushed": self._memory.flush(2 * PATIENCE)}
        found["dead"] = [f"{letter.error} after {letter.attempts}" for letter in self._dead()]
        own = {user: self._list({"user_id": user}) for user in users}
        found["memories"] = {
            user: [(_plain(each), each.scope.ids) for each in reversed(memories)]
            for user, memories in own.items()
        }
        everything = [each for memories in own.values() for each in memories]
        found["history"] = {
            each.id: [
                (change.event, change.new_text)
                for change in self._memory.history(each.id, scope=each.scope)
            ]
            for each in everything
        }
        found["recalled"] = [self._recalled(ids, text) for ids, text in asked]
        items = self._memory.documents("item").ask(lambda here: here.list(self._items))
        found["items"] = [(each.key, each.value) for each in items]
        found["said"] = [
            [str(message.content) for message in self._transcript(ids).messages] for ids in sessions
        ]
        if self._way.follower == "graph":
            found["facts"] = self._facts(users)
            for user in users:
                self._memory.rebuild_graph({"user_id": user})
            found["rebuilt"] = self._facts(users)
        if self._way.follower == "words":
            (index,) = self._memory._followers
            rows = index._words.newest(select(None), None)  # type: ignore[attr-defined]
            found["words"] = sorted((row.id, row.payload["data"]) for row in rows)
        return found

    def _recalled(self, ids: Mapping[str, str], text: str) -> list[str]:
        found = self._call("recall", text, scope=dict(ids), limit=10, on_error="raise")
        return [memory.text for memory in found.memories]

    def _facts(self, users: Sequence[str]) -> list[tuple[str, str, str, str]]:
        return sorted(
            (user, fact.source, fact.relationship, fact.target)
            for user in users
            for fact in self._memory.graph.relations(scope={"user_id": user}, limit=1_000)
        )

    def _dead(self) -> Any:
        return self._memory.dead_letters()

    def _list(self, ids: Mapping[str, str]) -> list[Memory]:
        memories: list[Memory] = self._call("list", scope=dict(ids), limit=1_000)
        return memories

    def _transcript(self, ids: Mapping[str, str]) -> Mem0ChatMessageHistory:
        return Mem0ChatMessageHistory(self._memory, session_id=SESSION, scope=dict(ids))

    @property
    def _items(self) -> tuple[str, ...]:
        return "notes", self._place.user


class _Once:
    """A hook that lets something happen once, after so many calls."""

    def __init__(self, count: int, happens: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._left = count
        self._happens = happens

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            due = self._left == -1
        if due:
            self._happens()


def live(place: Place, connection: Connection) -> None:
    """Live in this process, which has been made for it."""
    log = os.open(place.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    logging.basicConfig(level=logging.INFO)
    # Where it stands when it does not answer.
    faulthandler.register(signal.SIGUSR1)
    # What the campaign's own process is told must not end its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    life = Life(place, connection)
    connection.send((("done", None), {}))
    life.live()
    os._exit(0)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _plain(memory: Memory) -> tuple[str, str, Mapping[str, object]]:
    return memory.id, memory.text, dict(memory.metadata)
