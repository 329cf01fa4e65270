"""The backend on the Mem0 Platform, or on a server that speaks its protocol."""

from __future__ import annotations

import asyncio
import builtins
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from importlib.metadata import version
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import quote

import httpx
from mem0 import AsyncMemoryClient, MemoryClient

from mem0_integrations.backends import platform_plans as plans
from mem0_integrations.backends.base import AsyncBackend, Backend
from mem0_integrations.backends.documents import RowDocuments
from mem0_integrations.backends.mem0_errors import translated
from mem0_integrations.backends.memory_documents import MemoryDocuments
from mem0_integrations.backends.platform_plans import Call, Pause, PlatformPlan
from mem0_integrations.backends.platform_rows import PlatformRows
from mem0_integrations.concurrency import LoopThread, call_within
from mem0_integrations.dialect import scope_filters
from mem0_integrations.errors import BackendError, ConfigurationError
from mem0_integrations.models import Models
from mem0_integrations.namespaces import NamespaceTemplate
from mem0_integrations.plans import arun, run
from mem0_integrations.records import DocumentKind, ForgetResult, Memory, MemoryChange
from mem0_integrations.requests import AddRequest, Attempt, Changing, OnlyAttempt, SearchRequest
from mem0_integrations.scope import Scope

__all__ = ["PlatformBackend", "open_client"]

T = TypeVar("T")

_PATIENCE_SECONDS: Final = 30.0
_TIMEOUT: Final = httpx.Timeout(_PATIENCE_SECONDS, connect=5.0)
_MEM0S_TIMEOUT: Final = httpx.Timeout(300)
_REFUSED: Final = (401, 403)
_HOMES: Final[Mapping[DocumentKind, Scope]] = {
    "item": Scope(app_id="mem0-integrations-items"),
    "message": Scope(app_id="mem0-integrations-transcripts"),
}
_key: ContextVar[str | None] = ContextVar("idempotency_key", default=None)


class PlatformBackend(Backend, AsyncBackend):
    """`AgentMemory`'s operations on Mem0's own clients.

    What is stored carries its scope and its idempotency key in the metadata. Documents are
    memories of applications of their own, stored as they are.

    Args:
        client: Mem0's client. An `AsyncMemoryClient` with the same key and host is made when
            it is needed; its connections belong to one event loop, so it gets a loop of its own.
            Requests of a client with Mem0's own time-out, five minutes, end after 30 seconds.
        models: Models for a graph; the Platform exposes none of its own.
        owned: Whether `close` closes the client.
    """

    concurrency = 32

    def __init__(self, client: MemoryClient, *, models: Models, owned: bool = False) -> None:
        self._client = client
        self._models = models
        self._owned = owned
        self._closed = False
        self._pending: dict[tuple[Scope, str], str] = {}
        self._closing = threading.Lock()
        self._loop = LoopThread(
            "mem0-integrations-platform", "The memory is closed; connect() again."
        )
        self._making: asyncio.Future[AsyncMemoryClient] | None = None
        client.client.event_hooks["request"].append(_send_key)
        if client.client.timeout == _MEM0S_TIMEOUT:
            client.client.timeout = _TIMEOUT

    def check_scope(self, scope: Scope) -> None:
        """Accept every scope: all of them can be kept apart."""

    def search(self, request: SearchRequest) -> Iterator[Memory]:
        """Yield the memories of the scope, nearest first; pages are fetched as they are needed."""
        seen: set[str] = set()
        top_k: int | None = plans.top_k_of(request)
        while top_k is not None:
            found, top_k = self._run(plans.search_page(request, top_k, seen))
            yield from found

    async def asearch(self, request: SearchRequest) -> AsyncIterator[list[Memory]]:
        """Yield pages of the scope's memories, nearest first; each is fetched when it is needed."""
        seen: set[str] = set()
        top_k: int | None = plans.top_k_of(request)
        while top_k is not None:
            found, top_k = await self._arun(plans.search_page(request, top_k, seen))
            yield found

    @property
    def extracts(self) -> bool:
        """Whether a model finds the statements of a turn: the Platform's does."""
        return True

    def add(self, request: AddRequest, attempt: Attempt) -> builtins.list[Memory]:
        """Store a turn, follow its event to the end, and return the memories that it became."""
        # From the request on it is the Platform's work, which nothing takes back.
        with attempt.applying():
            return self.find(request.scope, request.key) or self._run(
                plans.add(request, self._pending)
            )

    def add_many(self, requests: Sequence[AddRequest]) -> builtins.list[int]:
        """Store turns, one after the other: the protocol knows no batch."""
        return [len(self.add(request, OnlyAttempt())) for request in requests]

    def find(self, scope: Scope, key: str) -> builtins.list[Memory]:
        """Return what was stored under an idempotency key."""
        return self._run(plans.find(scope, key))

    def list(
        self, scope: Scope, *, filters: Mapping[str, object] | None, limit: int, offset: int
    ) -> builtins.list[Memory]:
        """Return a page of the scope's memories, newest first."""
        return self._run(plans.list_memories(scope, filters, limit, offset))

    async def alist(
        self, scope: Scope, *, filters: Mapping[str, object] | None, limit: int, offset: int
    ) -> builtins.list[Memory]:
        """Async twin of `list`."""
        return await self._arun(plans.list_memories(scope, filters, limit, offset))

    def get(self, scope: Scope, memory_id: str) -> Memory | None:
        """Return a memory of the scope, or None."""
        return self._run(plans.get(scope, memory_id))

    async def aget(self, scope: Scope, memory_id: str) -> Memory | None:
        """Async twin of `get`."""
        return await self._arun(plans.get(scope, memory_id))

    def update(
        self,
        scope: Scope,
        memory_id: str,
        *,
        text: str | None,
        metadata: Mapping[str, object] | None,
    ) -> Memory:
        """Change a memory of the scope."""
        with PlatformRows.changing.hold([memory_id]):
            return self._run(plans.update(scope, memory_id, text, metadata))

    def delete(self, scope: Scope, memory_id: str) -> None:
        """Delete a memory of the scope."""
        with PlatformRows.changing.hold([memory_id]):
            self._run(plans.delete(scope, memory_id))

    def history(self, scope: Scope, memory_id: str) -> builtins.list[MemoryChange]:
        """Return the changes of a memory of the scope, oldest first, also after its deletion."""
        return self._run(plans.history(scope, memory_id))

    async def ahistory(self, scope: Scope, memory_id: str) -> builtins.list[MemoryChange]:
        """Async twin of `history`."""
        return await self._arun(plans.history(scope, memory_id))

    def forget(self, scope: Scope, filters: Mapping[str, object] | None) -> ForgetResult:
        """Erase the memories of the scope and its transcripts.

        Of a scope with one id, Mem0 is told to delete the entity, and the history with it; of one
        with several, or of some memories, their history is Mem0's own affair.
        """
        if filters is None:
            # A copy: writes of other scopes come and go meanwhile.
            for place in list(self._pending):
                if scope.covers(place[0]):
                    self._pending.pop(place, None)
        memories, keys = self._run(plans.erase(scope, filters))
        transcript = self.documents("message").forget(scope, filters)
        return ForgetResult(memories=memories, transcript=transcript, keys=keys)

    def documents(self, kind: DocumentKind) -> RowDocuments:
        """Return documents that are kept beside the memories and never recalled."""
        return RowDocuments(PlatformRows(self._run, self._run_all, _HOMES[kind]))

    def memory_documents(self, template: NamespaceTemplate, changing: Changing) -> MemoryDocuments:
        """Return the memories as documents; what is put becomes a memory."""
        rows = PlatformRows(self._run, self._run_all, None)
        return MemoryDocuments(
            rows,
            template,
            # The Platform keeps a history of its own.
            note=lambda entries: None,
            delete=lambda scope, row_id: rows.delete_many([row_id], scope_filters(scope)),
            changing=changing,
        )

    def vector_memories(self) -> NoReturn:
        """Refuse: the protocol shows no vectors.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            "The Mem0 Platform shows no vectors and takes none. CrewAI's own engine "
            "(Mem0Storage) needs them: use Mem0CrewMemory, or connect() to a Mem0 config."
        )

    def models(self) -> Models:
        """Return the models that were given; the Platform exposes none of its own."""
        return self._models

    def describe(self) -> dict[str, str]:
        """Return which client is used, and where the Platform is."""
        return {
            "Mem0": f"mem0ai {version('mem0ai')} ({type(self._client).__name__})",
            "store": f"{self._client.host} (project={self._client.project_id})",
            "extraction": "the Platform's",
        }

    def close(self) -> None:
        """Close the client, if it is owned."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._client.client.event_hooks["request"].remove(_send_key)
        if self._owned:
            self._client.client.close()
        self._loop.close(self._close_async_client)

    async def _close_async_client(self) -> None:
        made = self._making
        if made is not None and not made.cancelled() and made.exception() is None:
            await made.result().async_client.aclose()

    def _run(self, plan: PlatformPlan[T]) -> T:
        return run(plan, self._ask)

    async def _arun(self, plan: PlatformPlan[T]) -> T:
        return await self._loop.arun(arun(plan, self._aask))

    def _run_all(self, plans: Sequence[PlatformPlan[T]]) -> builtins.list[T]:
        """Carry out plans concurrently."""

        async def all_of_them() -> builtins.list[T]:
            free = asyncio.Semaphore(self.concurrency)

            async def one(plan: PlatformPlan[T]) -> T:
                async with free:
                    return await arun(plan, self._aask)

            return await asyncio.gather(*map(one, plans))

        return self._loop.submit(all_of_them()).result()

    def _ask(self, step: Call | Pause) -> Any:
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        with translated(step.doing):
            return self._call(step)

    async def _aask(self, step: Call | Pause) -> Any:
        if isinstance(step, Pause):
            return await asyncio.sleep(step.seconds)
        with translated(step.doing):
            client = await self._async()
            return await getattr(client, step.method)(**step.arguments)

    async def _async(self) -> AsyncMemoryClient:
        if self._making is None:
            make = partial(
                AsyncMemoryClient,
                api_key=self._client.api_key,
                host=self._client.host,
                client=httpx.AsyncClient(timeout=_TIMEOUT),
            )
            # Its constructor waits for an answer, without an end.
            self._making = asyncio.ensure_future(
                asyncio.to_thread(call_within, _PATIENCE_SECONDS, make)
            )
        making = self._making
        try:
            return await asyncio.shield(making)
        except Exception:
            if self._making is making and making.done():
                self._making = None
            raise

    def _call(self, call: Call) -> Any:
        if call.method == "event":
            event_id = quote(call.arguments["event_id"], safe="")
            return self._client.client.get(f"/v1/event/{event_id}/").raise_for_status().json()
        token = _key.set(call.key)
        try:
            return getattr(self._client, call.method)(**call.arguments)
        finally:
            _key.reset(token)


def open_client(api_key: str | None, host: str | None) -> MemoryClient:
    """Make Mem0's client, with a time-out of 30 seconds instead of five minutes.

    Args:
        api_key: The key; by default `MEM0_API_KEY`.
        host: The server's URL; by default `MEM0_HOST`, or else the hosted Platform.

    Raises:
        ConfigurationError: The key was refused, or `host` is not a URL.
        BackendError: The server cannot be reached.
    """
    http = httpx.Client(timeout=_TIMEOUT)
    where = host or os.environ.get("MEM0_HOST") or None
    try:
        with translated("connect"):
            return MemoryClient(api_key=api_key, host=where, client=http)
    except BackendError as error:
        http.close()
        cause = error.__cause__
        if isinstance(cause, httpx.UnsupportedProtocol | httpx.InvalidURL):
            raise ConfigurationError(
                f"host must be a URL such as https://host, not {where!r}."
            ) from error
        answer = getattr(cause and cause.__context__, "response", None)
        if getattr(answer, "status_code", None) in _REFUSED:
            raise ConfigurationError(
                f"{where or 'The Mem0 Platform'} refused the API key. Check api_key=, or "
                f"MEM0_API_KEY."
            ) from error
        raise


def _send_key(request: httpx.Request) -> None:
    key = _key.get()
    if key is not None:
        request.headers["Idempotency-Key"] = quote(key, safe="")
