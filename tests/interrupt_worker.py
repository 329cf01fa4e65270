"""Calls a memory while signals interrupt it: `python interrupt_worker.py FOLDER WAY SEED COUNT`.

After COUNT interrupts at random moments everything must work, and be there that was accepted. It
ends with an error, and all threads' stacks, when a call takes longer than anything that goes well.
"""

from __future__ import annotations

import faulthandler
import itertools
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import HumanMessage

from mem0_integrations import AgentMemory, SentenceExtractor, connect
from mem0_integrations.langchain import Mem0ChatMessageHistory
from mem0_integrations.langgraph import Mem0Store
from tests.stores import store_config

PATIENCE = 120.0
LIVING, SESSION = {"user_id": "living"}, "session"
# Seconds; the second is about what a call takes.
MOMENTS = (0.0003, 0.01, 0.05)


class Interrupt(BaseException):
    """What the signal handler raises, as Python's own raises KeyboardInterrupt."""


def interrupt(*_: object) -> None:
    raise Interrupt


class Client:
    """Makes calls, some of which are interrupted, and knows what must have come of them."""

    def __init__(self, open_memory: Callable[[], AgentMemory], seed: int) -> None:
        self.open_memory = open_memory
        self.chance = random.Random(seed)
        self.numbers = itertools.count()
        self.interrupts: Counter[str] = Counter()
        self.memory = open_memory()
        result = self.memory.remember("I own item zero.", scope=LIVING)
        self.updated = result.memories[0].id
        self.update_texts = {"I own item zero."}
        self.accepted = set[str]()
        self.tried = set[str]()
        self.doomed = list[str]()
        self.items = set[str]()
        self.messages = set[str]()

    def interrupted(self, call: Callable[[], Any]) -> Any:
        """Make a call that may be interrupted; returns its result, or None."""
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        moment = self.chance.uniform(0, self.chance.choice(MOMENTS))
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, moment)
                return call()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Interrupt:
            self.interrupts[call.__name__] += 1
            return None

    def new_text(self) -> str:
        text = f"I own item {next(self.numbers)}."
        self.tried.add(text)
        return text

    def list_all(self) -> Any:
        return self.memory.list(scope=LIVING, limit=1_000) is not None

    def recall(self) -> Any:
        found = self.memory.recall("What do I own?", scope=LIVING, neighbours=1, timeout=PATIENCE)
        assert found.degraded is None, found
        return True

    def remember(self) -> Any:
        text, background = self.new_text(), self.chance.random() < 0.5
        result = self.memory.remember(text, scope=LIVING, key=text, background=background)
        assert result.status in ("queued", "stored"), result
        self.accepted.add(text)
        return True

    def remember_many(self) -> Any:
        texts = [self.new_text() for _ in range(3)]
        assert self.memory.remember_many(texts, scope=LIVING).stored == 3
        self.accepted.update(texts)
        return True

    def update(self) -> Any:
        text = f"I own thing {next(self.numbers)}."
        self.update_texts.add(text)
        self.memory.update(self.updated, scope=LIVING, text=text)
        return True

    def forget(self) -> Any:
        user = f"doomed-{next(self.numbers)}"
        self.doomed.append(user)
        self.memory.remember("I like tea.", scope={"user_id": user}, background=True)
        self.memory.forget({"user_id": user})
        assert self.memory.list(scope={"user_id": user}) == []
        return True

    def put(self) -> Any:
        key = f"item-{next(self.numbers)}"
        Mem0Store(self.memory).put(("notes",), key, {"text": key})
        self.items.add(key)
        return True

    def add_messages(self) -> Any:
        text = f"message {next(self.numbers)}"
        history = Mem0ChatMessageHistory(self.memory, session_id=SESSION, scope=LIVING)
        history.add_messages([HumanMessage(text)])
        self.messages.add(text)
        return True

    def graph(self) -> Any:
        if self.memory.has_graph:
            self.memory.graph.relations(scope=LIVING)
        return True

    def close(self) -> Any:
        self.memory.close()
        return True

    def reopen(self) -> Any:
        self.memory = self.open_memory()
        return True

    @property
    def calls(self) -> list[Callable[[], Any]]:
        return [
            self.list_all,
            self.recall,
            self.remember,
            self.remember_many,
            self.update,
            self.forget,
            self.put,
            self.add_messages,
            self.graph,
        ]

    def live(self, interrupts: int) -> None:
        """Make calls until so many were interrupted."""
        while self.interrupts.total() < interrupts:
            if self.chance.random() < 0.03:
                self.interrupted(self.close)
                if not self.interrupted(self.reopen):
                    self.reopen()
            else:
                self.interrupted(self.chance.choice(self.calls))

    def check(self) -> None:
        """Fail unless everything works, and is as it must be."""
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        for call in self.calls:
            call()
        for user in self.doomed:
            self.memory.forget({"user_id": user})
            assert self.memory.list(scope={"user_id": user}) == []
        assert self.memory.flush(PATIENCE)
        assert self.memory.dead_letters() == []
        for again in (False, True):
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            texts = Counter(found.text for found in self.memory.list(scope=LIVING, limit=1_000))
            assert self.accepted - texts.keys() == set()
            assert {text: count for text, count in texts.items() if count > 1} == {}
            assert len(texts.keys() - self.tried) == 1
            assert texts.keys() - self.tried <= self.update_texts
            store = Mem0Store(self.memory)
            assert all(store.get(("notes",), key) for key in self.items)
            history = Mem0ChatMessageHistory(self.memory, session_id=SESSION, scope=LIVING)
            added = Counter(str(message.content) for message in history.messages)
            assert self.messages - added.keys() == set()
            assert set(added.values()) <= {1}
            self.close()
            if not again:
                self.reopen()


def main() -> None:
    folder, way, seed, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    embedder = DeterministicFakeEmbedding(size=16)
    target: Any = "embedded"
    if way not in ("embedded", "graph"):
        target = store_config(way, folder, 16, os.environ.get("POSTGRES_URL"))

    def open_memory() -> AgentMemory:
        return connect(
            target,
            data_dir=folder,
            embedder=embedder,
            extractor=SentenceExtractor(),
            graph=way == "graph" or None,
        )

    faulthandler.enable()
    client = Client(open_memory, seed)
    signal.signal(signal.SIGALRM, interrupt)
    client.live(count)
    client.check()
    faulthandler.cancel_dump_traceback_later()
    print(sum(client.interrupts.values()), dict(client.interrupts))


if __name__ == "__main__":
    main()
