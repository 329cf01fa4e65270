from __future__ import annotations

import email.utils
import errno
import math
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import httpx2
import openai
import psycopg
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from mem0.client.utils import api_error_handler
from mem0.exceptions import LLMError
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from mem0_integrations import (
    BackendError,
    BackendTimeoutError,
    ExtractionError,
    InvalidInputError,
    RetryPolicy,
    ScopeError,
    StorageError,
)
from mem0_integrations.retry import is_retryable, retry_after_seconds

ALWAYS = [408, 429, 502, 503, 504]
IF_IDEMPOTENT = [500]
NEVER = [400, 401, 403, 404, 409, 413, 422, 501]
FAST = RetryPolicy(attempts=4, base=0.0, cap=0.0)
URL = "http://127.0.0.1/"


def httpx_error(status: int, headers: dict[str, str] | None = None) -> BaseException:
    response = httpx.Response(status, headers=headers, request=httpx.Request("GET", URL))
    with pytest.raises(httpx.HTTPStatusError) as raised:
        response.raise_for_status()
    return raised.value


def openai_error(status: int, headers: dict[str, str] | None = None) -> BaseException:
    # As the client makes it, without a server.
    request = httpx2.Request("GET", URL)
    response = httpx2.Response(status, headers=headers, request=request)
    return openai.OpenAI(api_key="x")._make_status_error_from_response(response)  # type: ignore[arg-type]


def mem0_error(status: int, headers: dict[str, str] | None = None) -> BaseException:
    return mem0_handling(httpx_error(status, headers))


def qdrant_error(status: int, headers: dict[str, str] | None = None) -> BaseException:
    return UnexpectedResponse(status, "reason", b"", httpx.Headers(headers))


def requests_error(status: int, headers: dict[str, str] | None = None) -> BaseException:
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers or {})
    return requests.HTTPError(response=response)


def mem0_handling(error: BaseException) -> BaseException:
    """What the Mem0 client makes of an error of httpx."""

    @api_error_handler
    def call() -> None:
        raise error

    with pytest.raises(Exception) as raised:  # noqa: PT011  (its class is what is looked at)
        call()
    return raised.value


MAKERS = [httpx_error, openai_error, mem0_error, qdrant_error, requests_error]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("status", [*ALWAYS, *IF_IDEMPOTENT, *NEVER])
def test_the_status_decides(make: Callable[[int], BaseException], status: int) -> None:
    """The same rule for every client that Mem0 may be built on."""
    error = make(status)
    assert is_retryable(error, idempotent=True) == (status in ALWAYS + IF_IDEMPOTENT)
    assert is_retryable(error, idempotent=False) == (status in ALWAYS)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError(),
        ConnectionResetError(),
        BrokenPipeError(),
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("no answer"),
        httpx.PoolTimeout("busy"),
        httpx.RemoteProtocolError("closed"),
        httpx.ReadError("reset"),
        requests.ConnectionError(),
        openai.APIConnectionError(request=httpx2.Request("GET", URL)),  # type: ignore[arg-type]
        psycopg.OperationalError("server closed the connection"),
        ResponseHandlingException(httpx.ConnectError("refused")),
        mem0_handling(httpx.ConnectError("refused")),
    ],
    ids=repr,
)
def test_a_lost_connection_is_tried_again(error: BaseException) -> None:
    """Nothing was carried out, or the write is found by its key."""
    assert is_retryable(error, idempotent=True)
    assert is_retryable(error, idempotent=False)


def full_file() -> sqlite3.Error:
    """Let SQLite say that there is no room."""
    with closing(sqlite3.connect(":memory:")) as file:
        file.execute("CREATE TABLE texts (text)")
        file.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError) as raised:
            file.execute("INSERT INTO texts VALUES (zeroblob(100000))")
    return raised.value


def stored(cause: Exception) -> StorageError:
    """Return an error of ours with a cause."""
    error = StorageError("It cannot be written.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "no space"),
        OSError(errno.EDQUOT, "quota"),
        OSError(errno.EIO, "input/output"),
        stored(OSError(errno.ENOSPC, "no space")),
        stored(full_file()),
    ],
    ids=repr,
)
def test_a_full_or_failing_disk_passes(error: BaseException) -> None:
    """Somebody makes room, or mounts it again; what waits must not be given up before."""
    assert is_retryable(error, idempotent=True)
    assert is_retryable(error, idempotent=False)


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        httpx.ReadTimeout("slow"),
        httpx.WriteTimeout("slow"),
        requests.ReadTimeout(),
        openai.APITimeoutError(httpx2.Request("GET", URL)),  # type: ignore[arg-type]
        mem0_handling(httpx.ReadTimeout("slow")),
    ],
    ids=repr,
)
def test_a_time_out_is_tried_again_only_where_that_is_harmless(error: BaseException) -> None:
    """The service may have carried the call out."""
    assert is_retryable(error, idempotent=True)
    assert not is_retryable(error, idempotent=False)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        KeyError("x"),
        ScopeError("no scope"),
        InvalidInputError("bad"),
        StorageError("disk full"),
        stored(PermissionError(errno.EACCES, "denied")),
        stored(sqlite3.DatabaseError("malformed")),
        BackendError("bad"),
        BackendTimeoutError("slow"),
        psycopg.ProgrammingError("no such table"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_an_error_in_a_program_is_not_tried_again(error: BaseException) -> None:
    """It fails the same way each time, and the user waits for nothing."""
    assert not is_retryable(error, idempotent=True)


@pytest.mark.parametrize(
    "error",
    [
        BackendError("busy", retryable=True),
        BackendTimeoutError("slow", retryable=True),
        ExtractionError("rubbish", retryable=True),
    ],
)
def test_an_error_of_ours_says_itself_whether_it_may_pass(error: BackendError) -> None:
    """A backend knows more than the class of what its client raised."""
    assert is_retryable(error, idempotent=False)


def chained(outer: BaseException, cause: BaseException) -> BaseException:
    outer.__cause__ = cause
    return outer


def nested(outer: BaseException, context: BaseException) -> BaseException:
    outer.__context__ = context
    return outer


@pytest.mark.parametrize("link", [chained, nested])
def test_what_caused_an_error_is_looked_at(link: Callable[..., BaseException]) -> None:
    """Mem0 wraps what its parts raise."""
    busy = link(LLMError("failed", "LLM_001"), openai_error(429, {"retry-after": "3"}))
    assert is_retryable(busy, idempotent=False)
    assert retry_after_seconds(link(BackendError("failed"), busy)) == 3
    refused = link(BackendError("failed"), link(RuntimeError(), openai_error(401)))
    assert not is_retryable(refused, idempotent=True)


def test_the_outermost_status_decides() -> None:
    """An earlier attempt's 503 says nothing about the 401 that came in the end."""
    assert not is_retryable(nested(httpx_error(401), httpx_error(503)), idempotent=True)


def test_a_chain_that_bites_its_tail_ends() -> None:
    """Python allows it, and frameworks that re-raise stored errors make one."""
    first, second = RuntimeError(), RuntimeError()
    first.__cause__, second.__cause__ = second, first
    assert not is_retryable(first, idempotent=True)
    assert retry_after_seconds(first) is None


@pytest.mark.parametrize("make", [httpx_error, openai_error, qdrant_error, requests_error])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0), ("7", 7), ("2.5", 2.5), (" 3 ", 3), ("-1", 0), ("nan", 0), ("soon", None)],
)
def test_retry_after_in_seconds_is_read(
    make: Callable[..., BaseException], header: str, seconds: float | None
) -> None:
    """Some services send fractions; rubbish is as good as no header."""
    assert retry_after_seconds(make(429, {"Retry-After": header})) == seconds


def test_mem0s_own_note_of_retry_after_is_read() -> None:
    """The Mem0 client keeps the number only, in its debug information."""
    assert retry_after_seconds(mem0_error(429, {"Retry-After": "7"})) == 7
    assert retry_after_seconds(mem0_error(429)) is None


def test_qdrants_own_error_for_too_many_requests_is_tried_again() -> None:
    """Its client makes one with neither a status nor headers of a 429 that says when to return."""
    error = ResourceExhaustedResponse("busy", 7)
    assert is_retryable(error, idempotent=False)
    assert retry_after_seconds(error) == 7


def test_retry_after_as_a_date_is_read() -> None:
    """RFC 9110 allows both forms; proxies send dates."""
    soon = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    past = email.utils.format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    seconds = retry_after_seconds(httpx_error(503, {"Retry-After": soon}))
    assert seconds is not None
    assert 60 < seconds <= 100
    assert retry_after_seconds(httpx_error(503, {"Retry-After": past})) == 0


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)) | st.integers().map(str))
def test_whatever_retry_after_holds_the_answer_is_a_delay_or_none(value: str) -> None:
    """A server can send anything."""
    seconds = retry_after_seconds(httpx_error(429, {"Retry-After": value}))
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("attempt", [1, 2, 3, 6, 7, 20])
def test_delays_are_drawn_from_the_whole_range(attempt: int) -> None:
    """Full jitter: clients that failed together do not come back together."""
    policy = RetryPolicy(attempts=100, base=0.5, cap=30.0)
    longest = min(30.0, 0.5 * 2 ** (attempt - 1))
    delays = [policy.delay(attempt, ConnectionError(), spent=0) for _ in range(400)]
    drawn = [delay for delay in delays if delay is not None]
    assert len(drawn) == len(delays)
    assert all(0 <= delay <= longest for delay in drawn)
    assert min(drawn) < 0.2 * longest
    assert max(drawn) > 0.8 * longest


def test_a_delay_is_never_shorter_than_the_service_asked_for() -> None:
    """Coming back early earns another refusal."""
    policy = RetryPolicy(base=0.1, cap=0.1)
    delays = [policy.delay(1, BackendError("", retryable=True, retry_after=5), spent=0)]
    assert delays == [5]


@pytest.mark.parametrize(
    ("attempt", "error", "spent"),
    [
        (3, ConnectionError(), 0),
        (1, ValueError(), 0),
        (1, ConnectionError(), 11),
        (1, BackendError("", retryable=True, retry_after=10.5), 0),
        (1, BackendError("", retryable=True, retry_after=math.inf), 0),
    ],
    ids=["attempts", "not retryable", "deadline", "asked for too long", "for ever"],
)
def test_it_gives_up(attempt: int, error: BaseException, spent: float) -> None:
    """After the attempts, after the deadline, and where waiting would lead past it."""
    policy = RetryPolicy(attempts=3, base=0.1, cap=0.1, deadline=10)
    assert policy.delay(attempt, error, spent=spent) is None


@pytest.mark.parametrize(
    "values", [{"attempts": 0}, {"base": -1}, {"cap": 0.1, "base": 0.5}, {"deadline": -1}]
)
def test_a_policy_that_makes_no_sense_is_refused(values: dict[str, Any]) -> None:
    """It would never try, or wait a negative time."""
    with pytest.raises(InvalidInputError, match="RetryPolicy needs"):
        RetryPolicy(**values)


class Service:
    """Fails with these errors, one a call, and then answers."""

    def __init__(self, *errors: BaseException) -> None:
        self._errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return "done"


def test_a_call_is_repeated_until_it_succeeds() -> None:
    """A store that restarts is back after some attempts."""
    service = Service(ConnectionError(), httpx_error(503), TimeoutError())
    assert FAST.run(service) == "done"
    assert service.calls == 4


def test_after_the_last_attempt_the_last_error_is_raised() -> None:
    """The caller sees the failure itself, not a wrapper of the retry library's."""
    last = ConnectionError("the last one")
    service = Service(*[ConnectionError()] * 3, last, ConnectionError())
    with pytest.raises(ConnectionError) as raised:
        FAST.run(service)
    assert raised.value is last
    assert service.calls == 4


def test_a_failure_that_stays_is_raised_at_once() -> None:
    """Bad input does not get better."""
    service = Service(ConnectionError(), ValueError("bad vector"))
    with pytest.raises(ValueError, match="bad vector"):
        FAST.run(service)
    assert service.calls == 2


@pytest.mark.parametrize(
    ("policy", "deadline"),
    [(RetryPolicy(), 1.0), (RetryPolicy(deadline=1.0), None), (RetryPolicy(deadline=1.0), 500.0)],
)
def test_no_wait_leads_past_the_deadline(policy: RetryPolicy, deadline: float | None) -> None:
    """A recall has a budget: it is of no use to wait for what comes after it."""
    service = Service(BackendError("busy", retryable=True, retry_after=120))
    began = time.monotonic()
    with pytest.raises(BackendError, match="busy"):
        policy.run(service, deadline=deadline)
    assert service.calls == 1
    assert time.monotonic() - began < 60
