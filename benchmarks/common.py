"""Timing, data and tables for all benchmarks."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from langchain_core.embeddings import Embeddings
from rich.console import Console
from rich.table import Table

from mem0_integrations import AgentMemory, connect
from mem0_integrations.minilm import MiniLMEmbedder

CONSOLE = Console(width=110)
USER = {"user_id": "customer-1"}

_THINGS = ("kettle", "laptop", "bicycle", "garden chair", "headset", "coffee grinder", "tent")
_FAULTS = ("leaks at the base", "arrived late", "makes a rattling noise", "has the wrong colour")
_WISHES = ("a refund", "a replacement", "a call back", "an invoice", "a different delivery date")


def statement(number: int) -> str:
    """One of endlessly many things that a customer may say; no two are alike."""
    thing = _THINGS[number % len(_THINGS)]
    fault = _FAULTS[number // 7 % len(_FAULTS)]
    wish = _WISHES[number // 28 % len(_WISHES)]
    return f"My {thing} from order {40_000 + number} {fault}, and I would like {wish}."


def question(number: int) -> str:
    """A question about some of the statements."""
    thing, fault = _THINGS[number % len(_THINGS)], _FAULTS[number // 3 % len(_FAULTS)]
    return f"Which {thing} {fault}? (case {number})"


class Embedder(Embeddings):
    """The embedded default's embedder for every store, with a stop-watch."""

    def __init__(self) -> None:
        self._embedder = MiniLMEmbedder()
        self.seconds = 0.0

    def embed_query(self, text: str) -> list[float]:
        began = time.perf_counter()
        vector = self._embedder.embed(text)
        self.seconds += time.perf_counter() - began
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._embedder.embed_batch(texts)


@contextmanager
def fresh_memory(**options: object) -> Iterator[AgentMemory]:
    """A memory on the embedded default in a folder of its own."""
    with (
        TemporaryDirectory() as folder,
        connect("embedded", data_dir=Path(folder), **options) as memory,  # type: ignore[arg-type]
    ):
        yield memory


def side_by_side(
    calls: dict[str, Callable[[int], object]], *, rounds: int, warm_up: int = 20
) -> dict[str, list[float]]:
    """Time calls in turns, so that what else the machine does hits them alike.

    Returns:
        Milliseconds of each call, by name.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    names = list(calls)
    for number in range(-warm_up, rounds):
        # In another order each time: whoever comes second finds warm caches.
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            began = time.perf_counter()
            calls[name](number)
            if number >= 0:
                times[name].append((time.perf_counter() - began) * 1000)
    return times


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def p95(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


def table(title: str, *columns: str) -> Table:
    made = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index == 0 else "right")
    return made
