"""An exception of a signal handler, at any moment of any call, leaves the memory usable."""

from __future__ import annotations

import _thread
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mem0_integrations import AgentMemory, connect
from mem0_integrations.concurrency import WorkerPool, call_within, shielded
from mem0_integrations.errors import BackendTimeoutError
from tests.processes import environment
from tests.stores import HookedEmbedder
from tests.switches import PATIENCE

ROOT = Path(__file__).parents[1]
WORKER = Path(__file__).with_name("interrupt_worker.py")
USER = {"user_id": "customer-1"}


class Interrupt(BaseException):
    """What the signal handler raises."""


@pytest.fixture
def interrupts() -> Iterator[Callable[[], None]]:
    """Interrupts the main thread, as a key does; other threads go on."""

    def interrupt(*_: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield lambda: os.kill(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("way", "seed", "count"),
    [("embedded", 1, 150), ("graph", 2, 200), ("chroma", 3, 100), ("qdrant", 4, 100)],
)
def test_a_memory_that_was_interrupted_works_and_has_lost_nothing(
    way: str, seed: int, count: int, tmp_path: Path
) -> None:
    """In a process of its own, since what goes wrong hangs; the seed says where it was."""
    command = [sys.executable, str(WORKER), str(tmp_path), way, str(seed), str(count)]
    own = environment(PYTHONPATH=str(ROOT), MEM0_TELEMETRY="False", MEM0_DIR=str(tmp_path))
    result = subprocess.run(command, capture_output=True, text=True, env=own, check=False)
    assert result.returncode == 0, f"{way}, seed {seed}: {result.stdout}{result.stderr}"
    assert int(result.stdout.split()[0]) >= count


def test_a_call_that_is_interrupted_goes_on(interrupts: Callable[[], None]) -> None:
    """Half of it done, it would be worse than done, or not begun."""
    going_on: queue.SimpleQueue[None] = queue.SimpleQueue()
    ended: queue.SimpleQueue[str] = queue.SimpleQueue()

    @shielded
    def call() -> None:
        interrupts()
        going_on.get(timeout=PATIENCE)
        ended.put(threading.current_thread().name)

    with pytest.raises(Interrupt):
        call()
    going_on.put(None)
    assert ended.get(timeout=PATIENCE) != threading.main_thread().name


def test_what_a_shielded_function_raises_and_returns_is_its_callers() -> None:
    """With the place where it was raised, and without a thread where none is needed."""

    @shielded
    def failing(number: int, *, divisor: int) -> float:
        """Divide."""
        return number / divisor

    with pytest.raises(ZeroDivisionError) as caught:
        failing(1, divisor=0)
    assert caught.traceback[-1].name == "failing"
    assert failing(1, divisor=2) == 0.5
    assert failing.__doc__ == "Divide."

    @shielded
    def outer() -> tuple[int, int]:
        return threading.get_ident(), shielded(threading.get_ident)()

    first, second = outer()
    assert first == second != threading.get_ident()


def test_calls_of_a_signal_handler_get_through() -> None:
    """A handler that closes the memory may come while the main thread waits for a call."""
    heard: queue.SimpleQueue[int] = queue.SimpleQueue()
    thread = shielded(threading.get_ident)

    @shielded
    def call() -> int:
        os.kill(os.getpid(), signal.SIGUSR1)
        return heard.get(timeout=PATIENCE)

    before = signal.signal(signal.SIGUSR1, lambda *_: heard.put(thread()))
    try:
        assert call() not in (threading.get_ident(), None)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_without_a_thread_a_call_is_carried_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.12.0 to 3.12.2 start none any more when the interpreter ends."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    assert WorkerPool(1).run(threading.get_ident) == threading.get_ident()


async def test_without_a_thread_a_coroutine_has_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the loop up, and does not wait for ever."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    assert await WorkerPool(1).arun(threading.get_ident) == threading.get_ident()


def test_a_thread_that_is_late_does_not_hold_up_the_next_call() -> None:
    """The one that hangs is left behind, with its thread."""
    released: queue.SimpleQueue[None] = queue.SimpleQueue()
    for _ in range(3):
        with pytest.raises(BackendTimeoutError):
            call_within(0.01, lambda: released.get(timeout=PATIENCE))
    assert call_within(PATIENCE, lambda: "answer") == "answer"
    for _ in range(3):
        released.put(None)


@pytest.mark.parametrize("size", [1, 3])
def test_a_pool_carries_out_more_calls_than_it_has_threads(size: int) -> None:
    """In threads that are used again."""
    pool = WorkerPool(size)
    threads: set[str] = set()

    def call(number: int) -> int:
        threads.add(threading.current_thread().name)
        return pool.run(lambda: number) if size > 1 and number == 0 else number

    asking = [threading.Thread(target=lambda n=n: pool.run(lambda: call(n))) for n in range(20)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert 1 <= len(threads) <= size
    pool.shutdown()


def test_a_forked_process_has_threads_of_its_own() -> None:
    """It inherits the pool, but none of its threads."""
    shielded(threading.get_ident)()
    child = os.fork()
    if child == 0:
        os._exit(0 if shielded(threading.get_ident)() != threading.get_ident() else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_close_waits_for_a_call_that_goes_on(
    tmp_path: Path, interrupts: Callable[[], None]
) -> None:
    """It would meet closed files; a store in native code would take the process with it."""
    embedder = HookedEmbedder()
    going_on: queue.SimpleQueue[None] = queue.SimpleQueue()
    memory = connect("embedded", data_dir=tmp_path, embedder=embedder, scope=USER)
    written = memory.remember("I live in Oslo.").memories[0]

    def hook() -> None:
        interrupts()
        going_on.get(timeout=PATIENCE)

    embedder.hook = hook
    with pytest.raises(Interrupt):
        memory.update(written.id, text="I live in Bergen.")
    embedder.hook = lambda: None
    closing = threading.Thread(target=memory.close)
    closing.start()
    going_on.put(None)
    closing.join(PATIENCE)
    assert not closing.is_alive()
    with connect("embedded", data_dir=tmp_path, embedder=embedder, scope=USER) as again:
        assert [found.text for found in again.list()] == ["I live in Bergen."]


def test_an_import_reads_its_messages_in_the_thread_of_its_caller(memory: AgentMemory) -> None:
    """They may come from what only that may use, such as a cursor of SQLite."""
    threads: set[int] = set()

    def messages() -> Iterator[Any]:
        for number in range(5):
            threads.add(threading.get_ident())
            yield f"I own item {number}."

    def on_progress(_: int) -> None:
        threads.add(threading.get_ident())

    memory.remember_many(messages(), scope=USER, batch_size=2, on_progress=on_progress)
    assert threads == {threading.get_ident()}
