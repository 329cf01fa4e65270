"""Many threads and tasks at once on the embedded default."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from mem0_integrations import AgentMemory, ClosedError, connect
from mem0_integrations.concurrency import LoopThread, WorkerPool

USER = {"user_id": "customer-1"}


def test_eight_threads_write_and_read_without_loss_or_error(memory: AgentMemory) -> None:
    """LangGraph and LangChain run sync tools in threads."""

    def work(thread: int) -> None:
        for number in range(25):
            result = memory.remember(f"Thread {thread} likes number {number}.", scope=USER)
            assert result.status == "stored", result
            assert memory.recall(f"number {number}", scope=USER).degraded is None

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    texts = {found.text for found in memory.list(scope=USER, limit=1000)}
    assert texts == {f"Thread {t} likes number {n}." for t in range(8) for n in range(25)}


async def test_two_hundred_writes_and_reads_at_once_are_all_carried_out(
    memory: AgentMemory,
) -> None:
    """An async server does this all day."""
    writes = [memory.aremember(f"I own item {number}.", scope=USER) for number in range(200)]
    reads = [memory.arecall(f"item {number}", scope=USER, timeout=60) for number in range(200)]
    written, recalled = await asyncio.gather(asyncio.gather(*writes), asyncio.gather(*reads))
    assert {result.status for result in written} == {"stored"}
    assert {result.degraded for result in recalled} == {None}
    assert len(await memory.alist(scope=USER, limit=1000)) == 200


async def test_no_async_method_works_on_the_event_loop(
    memory: AgentMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stalled loop stalls every user of a server."""
    loop_thread = threading.get_ident()
    threads: dict[str, int] = {}
    backend = type(memory._backend)

    def watched(name: str, method: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            threads[name] = threading.get_ident()
            return method(*args, **options)

        return call

    names = (
        "search",
        "add",
        "add_many",
        "find",
        "list",
        "get",
        "update",
        "delete",
        "history",
        "forget",
    )
    for name in names:
        monkeypatch.setattr(backend, name, watched(name, getattr(backend, name)))
    accept = type(memory._outbox).accept
    monkeypatch.setattr(type(memory._outbox), "accept", watched("accept", accept))

    await memory.aremember("I like tea.", scope=USER, key="turn")
    await memory.awritten("turn", scope=USER)
    await memory.aremember_many(["I like coffee."], scope=USER)
    await memory.arecall("tea", scope=USER)
    (first, *_) = await memory.alist(scope=USER)
    await memory.aget(first.id, scope=USER)
    await memory.aupdate(first.id, scope=USER, text="I like water.")
    await memory.ahistory(first.id, scope=USER)
    await memory.adelete(first.id, scope=USER)
    await memory.aforget(USER)
    await memory.aflush()
    assert set(threads) == {*names, "accept"}
    assert loop_thread not in threads.values()


async def test_cancelling_does_not_lose_an_accepted_write(
    memory: AgentMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that disconnects must not undo what it said."""
    accepted = asyncio.Event()
    loop = asyncio.get_running_loop()
    accept = memory._outbox.accept

    def watched(*arguments: object) -> object:
        receipt = accept(*arguments)  # type: ignore[arg-type]
        loop.call_soon_threadsafe(accepted.set)
        return receipt

    monkeypatch.setattr(memory._outbox, "accept", watched)
    task = asyncio.create_task(memory.aremember("I like tea.", scope=USER))
    await accepted.wait()
    task.cancel()
    await asyncio.wait([task])
    assert await memory.aflush(30)
    assert [found.text for found in memory.list(scope=USER)] == ["I like tea."]


def test_two_memories_on_one_folder_share_it(data_dir: Path) -> None:
    """Parts of one program may each connect; what one stores, the other finds at once."""
    with connect() as first, connect() as second:
        with ThreadPoolExecutor(4) as threads:
            for number in range(40):
                memory = (first, second)[number % 2]
                threads.submit(memory.remember, f"I own item {number}.", scope=USER)
        assert len(first.list(scope=USER)) == len(second.list(scope=USER)) == 40
        first.close()
        assert second.remember("I like tea.", scope=USER).status == "stored"
    with connect() as again:
        assert len(again.list(scope=USER)) == 41


def test_a_second_process_is_told_what_to_do(memory: AgentMemory, data_dir: Path) -> None:
    """Two processes in one folder would overwrite each other."""
    script = """
from mem0_integrations import FolderLockedError, connect
try:
    connect()
except FolderLockedError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert str(data_dir / "embedded") in result.stdout
    for way_out in ("MEM0_DIR", "Qdrant server", "pgvector"):
        assert way_out in result.stdout


def test_the_folder_is_free_again_after_close(data_dir: Path) -> None:
    """Within a process and between processes."""
    connect().close()
    script = "from mem0_integrations import connect; connect().close()"
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
    connect().close()


async def test_a_call_that_raises_stop_iteration_has_an_end() -> None:
    """A future of asyncio cannot hold it: whoever waited for it waited for ever."""
    pool = WorkerPool(1)
    call: Callable[[], object] = partial(next, iter(()))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(pool.arun(call), 10)
    pool.shutdown()


def test_a_loop_that_is_closed_cuts_off_its_work_and_refuses_more() -> None:
    """Whoever waits for an answer learns that there will be none; connections are closed last."""
    began, ended = threading.Event(), list[str]()
    loop = LoopThread("test-loop", "It is closed.")

    async def hang() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    async def last() -> None:
        ended.append("connections")

    waiting = loop.submit(hang())
    assert began.wait(30)
    loop.close(last)
    loop.close(last)
    assert ended == ["work", "connections"]
    for future in (lambda: waiting, lambda: loop.submit(hang())):
        with pytest.raises(ClosedError, match="It is closed"):
            future().result(30)


def test_a_loop_without_work_has_no_thread() -> None:
    """Most programs are sync; and what was never opened needs no closing."""

    async def last() -> None:
        raise AssertionError("There are no connections.")

    loop = LoopThread("test-idle-loop", "It is closed.")
    assert "test-idle-loop" not in {thread.name for thread in threading.enumerate()}
    loop.close(last)
