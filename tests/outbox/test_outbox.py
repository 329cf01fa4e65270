"""The outbox: durable, ordered, retried, once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mem0_integrations import (
    BackendError,
    BackendTimeoutError,
    CorruptFileError,
    ForgetResult,
    InvalidInputError,
    Memory,
    OutboxFullError,
    RetryPolicy,
    Scope,
    StorageError,
    WriteResult,
)
from mem0_integrations.outbox import Attempt, Outbox, OutboxCounts
from mem0_integrations.outbox.delivery import Receipt
from mem0_integrations.outbox.lanes import Lanes, lane_of
from mem0_integrations.outbox.ledger import Forget, Ledger
from mem0_integrations.requests import AddRequest

ANN = Scope(user_id="ann")
BOB = Scope(user_id="bob")
QUICK = RetryPolicy(attempts=3, base=0.001, cap=0.002)


def write(text: str, scope: Scope = ANN, key: str | None = None) -> AddRequest:
    return AddRequest(
        messages=({"role": "user", "content": text},),
        scope=scope,
        key=key or text,
        created_at=datetime.now(UTC),
    )


class Destination:
    """A place that writes are delivered to; it can be slow, or fail."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.erased: list[Scope] = []
        self.failures: list[Exception] = []
        self.open = threading.Event()
        self.open.set()
        self.erasing: Callable[[], object] = lambda: None
        self.entered = threading.Semaphore(0)

    def deliver(self, request: AddRequest, attempt: Attempt) -> list[Memory]:
        self.entered.release()
        assert self.open.wait(30)
        if self.failures:
            raise self.failures.pop(0)
        with attempt.applying():
            self.texts.append(request.messages[0]["content"])
            return self.find(request)

    def find(self, request: AddRequest) -> list[Memory]:
        text = request.messages[0]["content"]
        return [Memory(id=text, text=text, scope=request.scope)] if text != "nothing" else []

    def erase(self, scope: Scope, filters: Mapping[str, object] | None) -> ForgetResult:
        self.erasing()
        self.erased.append(scope)
        return ForgetResult(memories=len(self.texts))


Open = Callable[..., Outbox]


@pytest.fixture
def destination() -> Destination:
    return Destination()


@pytest.fixture
def opened(tmp_path: Path, destination: Destination) -> Iterator[Open]:
    """Opens outboxes on one file, and closes them."""
    outboxes: list[Outbox] = []

    def open_outbox(**options: object) -> Outbox:
        options = {"delivery": destination, "retry": QUICK} | options
        outbox = Outbox(tmp_path / "outbox.db", load=AddRequest.load, **options)  # type: ignore[arg-type]
        outboxes.append(outbox)
        return outbox

    yield open_outbox
    destination.open.set()
    for outbox in outboxes:
        outbox.close(timeout=30)


def done(outbox: Outbox, request: AddRequest) -> WriteResult:
    return outbox.accept(request).done.result(30)


def test_a_write_is_on_disk_before_accept_returns(
    opened: Open, destination: Destination, tmp_path: Path
) -> None:
    """Else a crash right after a turn would lose it."""
    destination.open.clear()
    receipt = opened().accept(write("hello"))
    assert receipt.accepted.status == "queued"
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as file:
        assert file.execute("SELECT status, body LIKE '%hello%' FROM writes").fetchall() == [
            ("queued", 1)
        ]


def test_writes_of_one_scope_arrive_in_order_and_once(
    opened: Open, destination: Destination
) -> None:
    """A later correction must not be overtaken by what it corrects."""
    outbox = opened()
    receipts = [outbox.accept(write(str(number))) for number in range(50)]
    assert all(receipt.done.result(30).status == "stored" for receipt in receipts)
    assert destination.texts == [str(number) for number in range(50)]


def test_writes_accepted_by_many_threads_arrive_in_the_order_of_acceptance(
    opened: Open, destination: Destination, tmp_path: Path
) -> None:
    """The order on disk is the order of delivery, also under contention."""
    outbox = opened()
    destination.open.clear()

    def send(thread: int) -> None:
        for number in range(20):
            outbox.accept(write(f"{thread}-{number}"))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as file:
        accepted = [key for (key,) in file.execute("SELECT key FROM writes ORDER BY id")]
    destination.open.set()
    assert outbox.flush(30)
    assert destination.texts == accepted
    assert len(accepted) == 160


def test_scopes_do_not_wait_for_each_other(opened: Open, destination: Destination) -> None:
    """One user's slow write must not hold up another's."""
    outbox = opened(workers=2)
    destination.open.clear()
    outbox.accept(write("slow", ANN))
    outbox.accept(write("other", BOB))
    assert destination.entered.acquire(timeout=30)
    assert destination.entered.acquire(timeout=30), "the second scope was not started"


def test_a_key_is_accepted_once_in_its_scope(opened: Open, destination: Destination) -> None:
    """Replays and retries write a turn once; another scope's key is another key."""
    outbox = opened()
    assert done(outbox, write("first", ANN, "k")).status == "stored"
    assert outbox.accept(write("again", ANN, "k")).accepted.status == "duplicate"
    assert done(outbox, write("bob's", BOB, "k")).status == "stored"
    assert destination.texts == ["first", "bob's"]


def test_a_key_is_remembered_by_the_next_process(opened: Open, destination: Destination) -> None:
    """A replay may happen after a restart."""
    outbox = opened()
    done(outbox, write("first", key="k"))
    outbox.close()
    assert opened().accept(write("again", key="k")).accepted.status == "duplicate"


def test_nothing_worth_keeping_is_a_status_of_its_own(opened: Open) -> None:
    """It must not look like a failure, nor like a memory."""
    assert done(opened(), write("nothing")).status == "nothing"


def test_a_failure_that_may_pass_is_retried_in_order(
    opened: Open, destination: Destination
) -> None:
    """A short outage costs no memory, and no order."""
    destination.failures = [ConnectionError("down"), BackendError("busy", retryable=True)]
    outbox = opened()
    receipts = [outbox.accept(write(text)) for text in ("a", "b")]
    assert [receipt.done.result(30).status for receipt in receipts] == ["stored", "stored"]
    assert destination.texts == ["a", "b"]


def test_a_write_that_keeps_failing_becomes_a_dead_letter_that_can_be_replayed(
    opened: Open, destination: Destination
) -> None:
    """It is kept and shown, and does not stop the writes behind it."""
    destination.failures = [ConnectionError("down")] * QUICK.attempts
    outbox = opened()
    first, second = (outbox.accept(write(text)) for text in ("a", "b"))
    failed = first.done.result(30)
    assert (failed.status, failed.error) == ("failed", "ConnectionError: down")
    assert second.done.result(30).status == "stored"
    (letter,) = outbox.ledger.dead_letters()
    assert (letter.scope, letter.attempts, letter.error) == (ANN, 3, "ConnectionError: down")
    assert outbox.replay() == 1
    assert outbox.flush(30)
    assert destination.texts == ["b", "a"]
    assert outbox.ledger.counts() == OutboxCounts(queued=0, dead=0, done=2)


def test_the_next_write_does_not_hurry_one_that_waits_to_be_repeated() -> None:
    """A destination that is down, or allows so many requests, would be asked at every write."""
    lanes, lane = Lanes(), lane_of(ANN)
    lanes.add(1, lane, 0.0)
    assert lanes.take(0.0) == (lane, 1)
    lanes.pause(ANN)
    lanes.resume(ANN, 1.0)
    lanes.repeat(lane, 60.0)
    lanes.pause(ANN)
    lanes.resume(ANN, 1.0)
    assert lanes.take(59.0) is None
    assert lanes.take(60.0) == (lane, 1)


def test_a_failure_that_cannot_pass_is_not_retried(opened: Open, destination: Destination) -> None:
    """A bad request stays bad; repeating it only costs."""
    destination.failures = [BackendError("bad request")]
    assert done(opened(), write("a")).status == "failed"
    assert not destination.failures
    assert destination.texts == []


def test_the_key_of_a_dead_letter_may_be_sent_again(opened: Open, destination: Destination) -> None:
    """The caller's own retry must not be refused as a duplicate of a failure."""
    destination.failures = [BackendError("bad request")]
    outbox = opened()
    done(outbox, write("a", key="k"))
    assert done(outbox, write("a", key="k")).status == "stored"
    assert outbox.ledger.counts() == OutboxCounts(done=1)


def test_what_was_not_delivered_is_delivered_after_a_restart(
    opened: Open, destination: Destination
) -> None:
    """Closing in time does not mean waiting for ever, nor losing."""
    destination.open.clear()
    outbox = opened(workers=1)
    receipts = [outbox.accept(write(text)) for text in ("a", "b", "c")]
    destination.open.set()
    receipts[0].done.result(30)
    outbox.close()
    assert opened().flush(30)
    assert destination.texts == ["a", "b", "c"]


def test_a_full_outbox_raises_or_waits_and_never_drops(
    opened: Open, destination: Destination
) -> None:
    """Back-pressure is visible."""
    destination.open.clear()
    outbox = opened(max_queued=2, when_full="raise")
    outbox.accept(write("a"))
    outbox.accept(write("b"))
    with pytest.raises(OutboxFullError, match="2 writes"):
        outbox.accept(write("c"))
    outbox._when_full = "block"
    accepted = threading.Event()

    def accept() -> None:
        outbox.accept(write("c"))
        accepted.set()

    sender = threading.Thread(target=accept)
    sender.start()
    assert not accepted.wait(0.2)
    destination.open.set()
    assert accepted.wait(30)
    assert outbox.flush(30)
    assert destination.texts == ["a", "b", "c"]


def test_a_second_user_of_the_file_lets_the_first_deliver_and_takes_over(
    opened: Open, destination: Destination
) -> None:
    """Several server processes share one outbox, in order."""
    leader, follower = opened(), opened()
    assert done(follower, write("by the other")).memories[0].text == "by the other"
    leader.close()
    assert done(follower, write("taken over")).status == "stored"
    assert destination.texts[0] == "by the other"
    assert destination.texts[-1] == "taken over"


def test_rows_of_another_process_are_not_overtaken_by_the_own_ones(
    opened: Open, destination: Destination, tmp_path: Path
) -> None:
    """The process that delivers may accept before it has looked at the file again."""
    outbox = opened()
    with closing(Ledger(tmp_path / "outbox.db")) as other_process:
        other_process.accept(write("by the other", BOB))
    outbox.accept(write("own"))
    assert outbox.flush(30)
    assert sorted(destination.texts) == ["by the other", "own"]
    assert outbox.ledger.counts() == OutboxCounts(done=2)


def test_a_delivery_that_hangs_is_given_up_and_holds_nobody_up(
    opened: Open, destination: Destination
) -> None:
    """A model that never answers must not block the other users for ever."""
    destination.open.clear()
    outbox = opened(workers=1, delivery_timeout=0.05)
    hanging = outbox.accept(write("hangs", ANN))
    assert destination.entered.acquire(timeout=30)
    for _ in range(QUICK.attempts - 1):
        assert destination.entered.acquire(timeout=30)
    failed = hanging.done.result(30)
    assert (failed.status, "did not end within" in str(failed.error)) == ("failed", True)
    assert len(outbox.ledger.dead_letters()) == 1
    destination.open.set()
    assert done(outbox, write("healthy", BOB)).status == "stored"


def test_forgetting_waits_for_writes_beside_the_queue_and_holds_back_new_ones(
    opened: Open, destination: Destination
) -> None:
    """An import or an update must not bring back what was forgotten."""
    outbox = opened()
    steps: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def import_batch(name: str) -> None:
        with outbox.writing(ANN):
            inside.set()
            assert leave.wait(30)
            steps.append(name)

    first = threading.Thread(target=import_batch, args=("first",))
    first.start()
    assert inside.wait(30)
    second = threading.Thread(target=import_batch, args=("second",))

    def erasing() -> None:
        steps.append("forgotten")
        second.start()
        second.join(0.1)
        assert steps == ["first", "forgotten"]
        with outbox.writing(BOB):
            steps.append("another scope")

    destination.erasing = erasing
    threading.Timer(0.1, leave.set).start()
    outbox.forget(Scope(user_id="ann"))
    second.join(30)
    assert steps == ["first", "forgotten", "another scope", "second"]


def test_many_threads_do_not_overfill_it(opened: Open, destination: Destination) -> None:
    """The limit is a limit."""
    destination.open.clear()
    outbox = opened(max_queued=3, when_full="raise")
    refused = threading.Semaphore(0)

    def send(number: int) -> None:
        try:
            outbox.accept(write(str(number)))
        except OutboxFullError:
            refused.release()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outbox.ledger.counts().queued == 3
    assert all(refused.acquire(blocking=False) for _ in range(13))


def test_forgetting_drops_what_is_queued_and_gives_up_what_is_under_way(
    opened: Open, destination: Destination, tmp_path: Path
) -> None:
    """Nothing of the scope may arrive after it was forgotten, nor stay in the file."""
    outbox = opened(workers=2)
    destination.open.clear()
    first, second = (outbox.accept(write(text)) for text in ("under way", "queued"))
    other = outbox.accept(write("bob's", BOB))
    assert destination.entered.acquire(timeout=30)
    later: list[Receipt] = []

    def erasing() -> None:
        assert first.done.result(30).status == "failed"
        assert second.done.result(30).status == "failed"
        later.append(outbox.accept(write("later")))
        destination.open.set()
        assert other.done.result(30).status == "stored"
        assert not later[0].done.done()

    destination.erasing = erasing
    assert outbox.forget(ANN).writes == 2
    assert later[0].done.result(30).status == "stored"
    assert sorted(destination.texts) == ["bob's", "later"]
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"under way" not in content


def test_forgetting_waits_for_what_is_being_changed(opened: Open, destination: Destination) -> None:
    """What has begun to be stored cannot be stopped, only waited for."""
    outbox = opened()
    storing, go_on = threading.Event(), threading.Event()

    def find(request: AddRequest) -> list[Memory]:
        storing.set()
        assert go_on.wait(30)
        return []

    destination.find = find  # type: ignore[method-assign]
    receipt = outbox.accept(write("being stored"))
    assert storing.wait(30)
    forgetting = threading.Thread(target=outbox.forget, args=(ANN,))
    forgetting.start()
    forgetting.join(0.1)
    assert destination.erased == []
    go_on.set()
    forgetting.join(30)
    assert destination.erased == [ANN]
    assert receipt.done.result(30).status == "failed"


def test_another_process_that_forgets_is_served_by_the_one_that_delivers(
    opened: Open, destination: Destination
) -> None:
    """Only that one knows what is under way."""
    leader, follower = opened(), opened()
    destination.open.clear()
    receipt = leader.accept(write("erased"))
    assert destination.entered.acquire(timeout=30)
    threading.Timer(0.1, destination.open.set).start()
    assert follower.forget(ANN).writes == 1
    assert destination.erased == [ANN]
    assert receipt.done.result(30).status == "failed"
    assert leader.ledger.forgets() == []


def test_a_forgetting_that_fails_is_tried_again_and_holds_the_scope_back(
    opened: Open, destination: Destination
) -> None:
    """What was written after it must not be erased by the second attempt."""
    outbox = opened()
    failures = [BackendError("down")]

    def erasing() -> None:
        if failures:
            raise failures.pop()

    destination.erasing = erasing
    with pytest.raises(BackendError, match="down"):
        outbox.forget(ANN)
    later = outbox.accept(write("later"))
    assert later.done.result(30).status == "stored"
    assert destination.erased == [ANN]
    assert destination.texts == ["later"]


def test_a_forgetting_that_broke_off_is_finished_at_the_next_start(
    opened: Open, destination: Destination, tmp_path: Path
) -> None:
    """Nobody asks again."""
    with closing(Ledger(tmp_path / "outbox.db")) as died:
        died.accept_forget(ANN, {"topic": "tea"}, None)
    outbox = opened()
    assert outbox.flush(30)
    assert destination.erased == [ANN]
    assert outbox.ledger.forgets() == []


def test_a_late_attempt_that_is_storing_ends_the_write(
    opened: Open, destination: Destination
) -> None:
    """It outlived its time, but what it stored counts, and no other attempt stores it again."""
    outbox = opened(delivery_timeout=0.05)
    storing, go_on = threading.Event(), threading.Event()

    def deliver(request: AddRequest, attempt: Attempt) -> list[Memory]:
        with attempt.applying():
            storing.set()
            assert go_on.wait(30)
            destination.texts.append("stored")
        return Destination.find(destination, request)

    destination.deliver = deliver  # type: ignore[method-assign]
    receipt = outbox.accept(write("late"))
    assert storing.wait(30)
    assert receipt.done.result(30).status == "failed"
    assert len(outbox.ledger.dead_letters()) == 1
    go_on.set()
    destination.open.wait(30)
    while outbox.ledger.dead_letters():
        time.sleep(0.01)
    assert destination.texts == ["stored"]
    assert outbox.ledger.counts() == OutboxCounts(done=1)


def test_closing_says_when_something_goes_on(
    opened: Open, destination: Destination, caplog: pytest.LogCaptureFixture
) -> None:
    """Another process must not deliver what is still being stored here."""
    outbox = opened()
    storing, go_on = threading.Event(), threading.Event()

    def deliver(request: AddRequest, attempt: Attempt) -> list[Memory]:
        with attempt.applying():
            storing.set()
            assert go_on.wait(30)
        return []

    destination.deliver = deliver  # type: ignore[method-assign]
    outbox.accept(write("late"))
    assert storing.wait(30)
    assert outbox.close(timeout=0.01) is False
    assert "still being written" in caplog.text
    assert not opened().delivers
    go_on.set()
    assert opened().flush(30)


def test_keys_survive_but_contents_do_not(opened: Open, tmp_path: Path) -> None:
    """The ledger is no second copy of the conversations."""
    outbox = opened()
    done(outbox, write("a very private sentence", key="k"))
    outbox.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"private sentence" not in content


@pytest.mark.parametrize(
    "content", [b"this is not a database " * 40, b"SQLite format 3\0" + b"\x42" * 8000]
)
def test_a_file_that_is_no_outbox_is_left_alone(
    opened: Open, tmp_path: Path, content: bytes
) -> None:
    """The error names the file, and nothing is overwritten."""
    path = tmp_path / "outbox.db"
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"outbox\.db"):
        opened()
    assert path.read_bytes() == content


def test_a_full_disk_refuses_the_write_and_keeps_the_queue(
    opened: Open, destination: Destination
) -> None:
    """Not accepted is said; what was accepted stays."""
    outbox = opened()
    destination.open.clear()
    kept = outbox.accept(write("kept"))
    with outbox.ledger._database.read() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="full"):
        outbox.accept(write("x" * 90_000))
    with outbox.ledger._database.read() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    destination.open.set()
    assert kept.done.result(30).status == "stored"
    assert destination.texts == ["kept"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Run as another user: root may write anywhere."""
    tmp_path.chmod(0o555)
    for parent in tmp_path.parents:
        if parent.is_relative_to("/tmp") and parent != Path("/tmp"):
            parent.chmod(0o755)
    script = f"""
import os
from pathlib import Path
from mem0_integrations.outbox.ledger import Forget, Ledger
from mem0_integrations import StorageError
if os.getuid() == 0:
    os.setuid(65534)
try:
    Ledger(Path({str(tmp_path)!r}) / "outbox.db")
except StorageError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert "outbox.db" in result.stdout, result.stderr
    assert "MEM0_DIR" in result.stdout


@pytest.mark.parametrize("options", [{"workers": 0}, {"max_queued": 0}, {"when_full": "drop"}])
def test_senseless_options_are_refused(opened: Open, options: dict[str, object]) -> None:
    """At once, not when the first write is lost."""
    with pytest.raises(InvalidInputError):
        opened(**options)


def test_flush_gives_up_in_time(opened: Open, destination: Destination) -> None:
    """A hanging store must not hang the program."""
    outbox = opened()
    destination.open.clear()
    outbox.accept(write("a"))
    began = time.monotonic()
    assert not outbox.flush(0.2)
    assert time.monotonic() - began < 10


def test_a_clock_that_was_set_back_holds_nothing_up(
    opened: Open, destination: Destination, tmp_path: Path
) -> None:
    """A write failed while the clock was a day ahead."""
    with closing(Ledger(tmp_path / "outbox.db")) as earlier:
        row = earlier.accept(write("a")).row
        earlier.postpone(row, time.time() + 24 * 3600, "down")
    assert opened().flush(30)
    assert destination.texts == ["a"]


@pytest.mark.parametrize("jump", [600, 24 * 3600, -24 * 3600])
def test_a_clock_that_is_set_costs_no_attempt(
    opened: Open, destination: Destination, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """A machine that slept for ten minutes has not tried for ten minutes."""
    outbox, now = opened(), time.time
    destination.open.clear()
    destination.failures = [ConnectionError("down"), ConnectionError("down")]
    receipt = outbox.accept(write("a"))
    assert destination.entered.acquire(timeout=30)
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    destination.open.set()
    assert receipt.done.result(30).status == "stored"


def test_a_forgetting_that_ends_while_the_queue_is_read_holds_nothing_back(
    opened: Open, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its scope could be written no more, until the next start."""
    outbox = opened()
    erasing, erase = threading.Event(), threading.Event()

    def wait() -> None:
        erasing.set()
        assert erase.wait(30)

    destination.erasing = wait
    forgetting = threading.Thread(target=outbox.forget, args=(ANN,))
    forgetting.start()
    assert erasing.wait(30)
    read = outbox.ledger.forgets

    def slowly() -> list[Forget]:
        found = read()
        erase.set()
        forgetting.join(0.5)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(outbox.ledger, "forgets", slowly)
        outbox._look_for_writes()
    forgetting.join(30)
    assert outbox.flush(30)
    assert done(outbox, write("later")).status == "stored"


def test_a_reader_of_the_file_at_the_end_of_a_forgetting_holds_nothing_back(
    opened: Open, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that it keeps in the journal is whose it was."""
    outbox = opened()
    compact, calls = outbox.ledger._database.compact, iter([True, False])

    def compact_once(traces: Collection[bytes] | None = None) -> None:
        if not next(calls):
            raise BackendTimeoutError("Another process reads the file.", retryable=True)
        compact(traces)

    monkeypatch.setattr(outbox.ledger._database, "compact", compact_once)
    assert outbox.forget(ANN).writes == 0
    assert done(outbox, write("later")).status == "stored"


def test_a_forgetting_that_fails_in_the_background_says_so_without_content(
    opened: Open, destination: Destination, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Nobody waits for it, and its error may quote what was stored."""
    with closing(Ledger(tmp_path / "outbox.db")) as died:
        died.accept_forget(ANN, None, None)
    failures = [BackendError("secret")]

    def erasing() -> None:
        if failures:
            raise failures.pop()

    destination.erasing = erasing
    assert opened().flush(30)
    assert destination.erased == [ANN]
    assert "could not be forgotten yet (BackendError)" in caplog.text
    assert "secret" not in caplog.text
