"""`AgentMemory`: recall, remember and forget, through whichever Mem0 lies behind it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal, NamedTuple, Self, Unpack

from mem0_integrations.arguments import (
    OnError,
    add_request,
    check_batch_size,
    check_integer,
    check_key,
    check_on_error,
    check_timeout,
    import_requests,
    in_batches,
    search_request,
)
from mem0_integrations.backends.base import Backend
from mem0_integrations.changes.delivery import MemoryDelivery
from mem0_integrations.concurrency import bell, result_of, shielded
from mem0_integrations.errors import BackendError, ScopeError
from mem0_integrations.filters import compile_filters
from mem0_integrations.following import Follower
from mem0_integrations.memory_upkeep import MemoryUpkeep
from mem0_integrations.messages import MessageLike, MessagesLike
from mem0_integrations.options import ImportOptions, RecallOptions, RememberOptions
from mem0_integrations.outbox import Outbox
from mem0_integrations.outbox.delivery import Receipt
from mem0_integrations.recall.ranking import Ranking
from mem0_integrations.recall.refinement import Reranker
from mem0_integrations.recall.steps import Recaller, RecallRequest
from mem0_integrations.records import (
    BulkResult,
    ForgetResult,
    Memory,
    Recall,
    WriteResult,
    WriteStatus,
)
from mem0_integrations.requests import AddRequest, Change
from mem0_integrations.retry import RetryPolicy
from mem0_integrations.scope import Scope, ScopeLike

__all__ = ["AgentMemory"]

_MOST_NEIGHBOURS: Final = 10


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


class _Write(NamedTuple):
    """What `remember` was asked for."""

    request: AddRequest
    background: bool
    timeout: float | None
    on_error: OnError


class AgentMemory(MemoryUpkeep):
    """The long-term memory of an agent. Make one with `connect`.

    Every method has an async twin whose name begins with `a`; it never blocks the event loop.
    All may be called from any thread. What the main thread calls, a thread of the memory carries
    out: interrupted there, by Ctrl-C for example, a call goes on and ends, and harms nothing. Use
    it as a context manager, or call `close`; a memory that is dropped is closed in a thread.

    Args:
        backend: The Mem0 behind it.
        outbox: Keeps writes until they are delivered; it delivers through this memory.
        scope: Whose memories, where a call does not say; there is no default user.
        retry: How failures that may pass are retried.
        recall_timeout: Seconds that a recall may take.
        on_error: What a failed recall or write does: `degrade` reports it in the result,
            `raise` raises. Bad input always raises.
        clock: Tells the time that writes carry (aware).
        ranking: What counts in a recall, and how much.
        reranker: Puts what a recall found in its own order.
        followers: What follows the memories, in the order in which they are told.
        on_close: Called once by `close`, after the outbox.

    Example:
        >>> from mem0_integrations import connect
        >>> with connect(scope={"user_id": "u"}) as memory:
        ...     result = memory.remember("I like tea.")
        ...     [found.text for found in memory.list()]
        ['I like tea.']
    """

    def __init__(
        self,
        backend: Backend,
        outbox: Outbox[AddRequest],
        *,
        scope: ScopeLike | None = None,
        retry: RetryPolicy | None = None,
        recall_timeout: float = 5.0,
        on_error: OnError = "degrade",
        clock: Callable[[], datetime] = utc_now,
        ranking: Ranking | None = None,
        reranker: Reranker | None = None,
        followers: Sequence[Follower] = (),
        on_close: Callable[[float | None], bool] | None = None,
    ) -> None:
        check_timeout("recall_timeout", recall_timeout)
        check_on_error(on_error)
        super().__init__(
            backend,
            outbox,
            scope=scope,
            retry=retry or RetryPolicy(),
            followers=followers,
            on_close=on_close,
        )
        self._recall_timeout = recall_timeout
        self._on_error: OnError = on_error
        self._clock = clock
        self._ranking = ranking or Ranking()
        self._recaller = Recaller(self._access, reranker=reranker)
        self._delivery = MemoryDelivery(backend, followers)
        # Apart, so that a full outbox holds up nothing else.
        self._accepts = self._access.pool()

    @property
    def on_error(self) -> OnError:
        """What a failed recall or write does, where a call does not say."""
        return self._on_error

    @property
    def recall_timeout(self) -> float:
        """Seconds that a recall may take, where a call does not say."""
        return self._recall_timeout

    def recall(
        self,
        query: MessagesLike,
        *,
        scope: ScopeLike | None = None,
        limit: int = 5,
        threshold: float | None = None,
        filters: Mapping[str, object] | None = None,
        timeout: float | None = None,
        as_of: datetime | None = None,
        accept: Callable[[Memory], bool] | None = None,
        repeats: bool = False,
        neighbours: int = 0,
        explain: bool = False,
        on_error: OnError | None = None,
    ) -> Recall:
        """Find what is remembered about a query.

        Meaning, words, the conversation around a memory and the times that the query names are
        weighed as `connect(ranking=)` says. Memories that say the same are returned once, the
        newest of them; of those that say something else about the same thing, the newest comes
        first. Where a graph is attached, the facts that it adds are returned as `relations`, with
        filters or `accept` only those of the memories that were found. A graph, or a reranker,
        that fails only costs what it adds, and `degraded` says so.

        Args:
            query: A text, or messages: the last thing that the user said is searched for. Of
                a text longer than 2,000 characters, the end.
            scope: Whose memories; else the scope of `connect`.
            limit: Maximum number of memories, 1 to 1,000.
            threshold: Minimum score in [0, 1] before a graph or a reranker is asked; None for
                what a similarity of 0.1, Mem0's default, counts.
            filters: Mem0's metadata filters, for example `{"topic": {"in": ["order"]}}`.
            timeout: Seconds; else `recall_timeout` of `connect`.
            as_of: Only what was known at that time (aware). Memories that were changed since then
                are found by their new text and shown with the old one; their metadata is
                today's. Deleted ones do not come back.
            accept: What a filter cannot say: whether a memory counts. It is called in another
                thread, with many memories, until there are enough.
            repeats: Whether memories that say the same are all returned.
            neighbours: How many of those that were said just before and after each, in its
                conversation, are returned with it: 0 to 10.
            explain: Whether each memory says in `signals` what found it.
            on_error: `degrade` or `raise`; else as connected.

        Returns:
            The memories, best first; or a `Recall` whose `degraded` says why memory could
            not be read.

        Raises:
            InvalidInputError: An argument is malformed.
            BackendError: Memory could not be read, and `on_error` is `raise`.

        Example:
            >>> from mem0_integrations import connect
            >>> with connect() as memory:
            ...     result = memory.remember("I am allergic to peanuts.", scope={"user_id": "u"})
            ...     memory.recall("allergies?", scope={"user_id": "u"}).memories[0].text
            'I am allergic to peanuts.'
        """
        request = self._recall_request(
            query,
            scope=scope,
            limit=limit,
            threshold=threshold,
            filters=filters,
            timeout=timeout,
            as_of=as_of,
            accept=accept,
            repeats=repeats,
            neighbours=neighbours,
            explain=explain,
            on_error=on_error,
        )
        return self._recaller.recall(request)

    async def arecall(self, query: MessagesLike, **options: Unpack[RecallOptions]) -> Recall:
        """Async twin of `recall`."""
        return await self._recaller.arecall(self._recall_request(query, **options))

    def remember(
        self,
        messages: MessagesLike,
        *,
        scope: ScopeLike | None = None,
        infer: bool = True,
        metadata: Mapping[str, object] | None = None,
        key: str | None = None,
        background: bool = False,
        timeout: float | None = None,
        created_at: datetime | None = None,
        include_tool_messages: bool = False,
        on_error: OnError | None = None,
    ) -> WriteResult:
        """Remember a turn of a conversation.

        The write is on disk, in the outbox, before anything else happens: it survives the end
        of the process, is retried when it fails, and kept as a dead letter in the end.

        Args:
            messages: What was said. System messages, tool messages and recalled memories are
                left out.
            scope: Whose memory it becomes; else the scope of `connect`.
            infer: Whether to extract statements; else each message is kept as it is.
            metadata: Values of the application, JSON-serialisable, to filter by later.
            key: Makes the write happen once: the scope accepts a key one time.
            background: Whether to return at once, with status `queued`.
            timeout: Seconds to wait for the write; after that it goes on and the status is
                `queued`. None to wait until it is done or given up.
            created_at: When it was said (aware); now if left out.
            include_tool_messages: Whether to learn from what tools answered, too.
            on_error: `degrade` or `raise`, for a write that was waited for; else as connected.

        Returns:
            What became of it.

        Raises:
            InvalidInputError: An argument is malformed; nothing was written.
            OutboxFullError: Too many writes are queued, and the outbox is to raise then.
            StorageError: The write could not be put on disk; it was not accepted.
            BackendError: The write failed, and `on_error` is `raise`; it is kept.

        Example:
            >>> from mem0_integrations import connect
            >>> with connect() as memory:
            ...     memory.remember("My name is Priya.", scope={"user_id": "u"}).status
            'stored'
        """
        write = self._write(
            messages,
            scope=scope,
            infer=infer,
            metadata=metadata,
            key=key,
            background=background,
            timeout=timeout,
            created_at=created_at,
            include_tool_messages=include_tool_messages,
            on_error=on_error,
        )
        return self._remember(write) if write.request.messages else WriteResult("nothing", key=key)

    async def aremember(
        self, messages: MessagesLike, **options: Unpack[RememberOptions]
    ) -> WriteResult:
        """Async twin of `remember`. Cancelling it does not lose a write that was accepted."""
        write = self._write(messages, **options)
        if not write.request.messages:
            return WriteResult("nothing", key=options.get("key"))
        done, ring = bell()

        def accept() -> Receipt:
            receipt = self._accept(write.request)
            receipt.done.add_done_callback(ring)
            return receipt

        receipt = await self._accepts.arun(accept)
        if write.background:
            return receipt.accepted
        try:
            await asyncio.wait_for(done, write.timeout)
            return _reported(receipt.done.result(), write.on_error)
        except TimeoutError:
            return receipt.accepted

    @shielded
    def written(self, key: str, *, scope: ScopeLike | None = None) -> WriteResult | None:
        """Tell what became of a write that was accepted under a key.

        Args:
            key: The key that `remember` was given.
            scope: Whose memory it was to become, exactly; else the scope of `connect`.

        Returns:
            `queued`, `stored` with those of its memories that are still there, `nothing`, or
            `failed`; None when the scope has accepted no such key, or was forgotten since.

        Raises:
            InvalidInputError: An argument is malformed.
            BackendError: Memory could not be read.

        Example:
            >>> from mem0_integrations import connect
            >>> with connect(scope={"user_id": "u"}) as memory:
            ...     result = memory.remember("I like tea.", key="turn-1", background=True)
            ...     delivered = memory.flush()
            ...     memory.written("turn-1").status, memory.written("turn-2")
            ('stored', None)
        """
        check_key(key)
        found = self.scope_of(scope)
        self._access.require_open()
        outcome = self._outbox.ledger.outcome(found, key)
        if outcome is None:
            return None
        status, error = outcome
        if status == "stored":
            memories = self._access.call(lambda mem0: mem0.find(found, key))
            return WriteResult("stored", tuple(memories), key=key)
        if status == "dead":
            return WriteResult("failed", key=key, error=error)
        return WriteResult(status, key=key)

    async def awritten(self, key: str, *, scope: ScopeLike | None = None) -> WriteResult | None:
        """Async twin of `written`."""
        return await self.in_thread(partial(self.written, key, scope=scope))

    def remember_many(
        self,
        messages: Iterable[MessageLike],
        *,
        scope: ScopeLike | None = None,
        infer: bool = False,
        metadata: Mapping[str, object] | None = None,
        thread_id: str | None = None,
        batch_size: int = 128,
        on_progress: Callable[[int], None] | None = None,
    ) -> BulkResult:
        """Import many messages: each becomes a memory, or its statements do.

        They are embedded and inserted in batches where the backend can. An import that broke
        off can be repeated: what was stored is skipped.

        Args:
            messages: The messages, oldest first; a mapping may carry `id` and `created_at`
                (an ISO 8601 string or an aware `datetime`).
            scope: Whose memories they become; else the scope of `connect`.
            infer: Whether to extract statements from each message.
            metadata: Values of the application for all of them.
            thread_id: Names the conversation; part of the keys and of the metadata.
            batch_size: Messages per batch.
            on_progress: Called after each batch with the number of messages done so far.

        Raises:
            InvalidInputError: A message or argument is malformed; batches before it are
                stored.
            BackendError: A batch failed; batches before it are stored.

        Example:
            >>> from mem0_integrations import connect
            >>> with connect() as memory:
            ...     memory.remember_many(["I like tea.", "I live in Oslo."], scope={"user_id": "u"})
            BulkResult(stored=2, nothing=0, duplicates=0)
        """
        check_batch_size(batch_size)
        found = self.scope_of(scope)
        requests = import_requests(
            messages, found, infer=infer, metadata=metadata, thread_id=thread_id, now=self._clock()
        )
        total = BulkResult()
        for batch in in_batches(requests, batch_size):
            result = self._import_batch(found, batch)
            total = BulkResult(
                stored=total.stored + result.stored,
                nothing=total.nothing + result.nothing,
                duplicates=total.duplicates + result.duplicates,
            )
            if on_progress is not None:
                on_progress(total.stored + total.nothing + total.duplicates)
        return total

    async def aremember_many(
        self, messages: Iterable[MessageLike], **options: Unpack[ImportOptions]
    ) -> BulkResult:
        """Async twin of `remember_many`; `on_progress` is called in another thread."""
        return await self.in_thread(partial(self.remember_many, messages, **options))

    @shielded
    def forget(
        self, scope: ScopeLike, *, filters: Mapping[str, object] | None = None
    ) -> ForgetResult:
        """Erase everything of a scope: memories, history, raw messages, queued writes, graph.

        What is to be forgotten is on disk before anything is erased. Where it breaks off or fails
        it is tried again until it is done, at the latest by the next `connect`; writes of the
        scope wait meanwhile.

        Args:
            scope: Whose; it must be given. A `user_id` alone covers what all agents and runs
                stored for that user.
            filters: Erase only the memories that these select, as in `recall`, and what belongs
                to them: `{"thread_id": "t1"}` for one conversation, its transcript included. The
                raw messages of the scope all go, because Mem0 does not say of which memories
                they are.

        Raises:
            ScopeError: The scope is empty.
            InvalidFilterError: The filters are malformed; nothing was erased.
            BackendTimeoutError: Something of the scope is still being written, or another process
                is to erase it and has not come to it; it is erased as soon as possible.
            BackendError: Mem0 or the graph failed; some of it may be erased. It is tried again.

        Example:
            >>> from mem0_integrations import connect
            >>> with connect() as memory:
            ...     result = memory.remember("I like tea.", scope={"user_id": "u"})
            ...     memory.forget({"user_id": "u"}).memories
            1
        """
        if scope is None:
            raise ScopeError("forget needs the scope that is to be erased.")
        passes = compile_filters(filters) if filters else None

        def matches(request: AddRequest) -> bool:
            return passes is not None and passes(request.record)

        erased = self.scope_of(scope)
        self._access.require_open()
        result = self._outbox.forget(
            erased, self._delivery, filters=filters or None, matches=matches if filters else None
        )
        if result.pending is not None:
            raise BackendError(
                f"The memories of {erased} are erased, but not what was made of them: "
                f"{result.pending}"
            )
        return result

    async def aforget(
        self, scope: ScopeLike, *, filters: Mapping[str, object] | None = None
    ) -> ForgetResult:
        """Async twin of `forget`."""
        return await self.in_thread(partial(self.forget, scope, filters=filters))

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        # It holds threads and open files: copies of what uses it share it.
        return self

    def _recall_request(
        self,
        query: MessagesLike,
        *,
        scope: ScopeLike | None = None,
        limit: int = 5,
        threshold: float | None = None,
        filters: Mapping[str, object] | None = None,
        timeout: float | None = None,
        as_of: datetime | None = None,
        accept: Callable[[Memory], bool] | None = None,
        repeats: bool = False,
        neighbours: int = 0,
        explain: bool = False,
        on_error: OnError | None = None,
    ) -> RecallRequest:
        check_timeout("timeout", timeout)
        check_integer("neighbours", neighbours, 0, _MOST_NEIGHBOURS)
        self._access.require_open()
        search = search_request(
            query,
            self.scope_of(scope),
            limit=limit,
            threshold=threshold,
            filters=filters,
            as_of=as_of,
            accept=accept,
            repeats=repeats,
            now=self._clock(),
            ranking=self._ranking,
        )
        return self._recaller.request(
            search,
            neighbours=neighbours,
            explain=explain,
            budget=self._recall_timeout if timeout is None else timeout,
            on_error=self._checked_on_error(on_error),
        )

    def _write(
        self,
        messages: MessagesLike,
        *,
        scope: ScopeLike | None = None,
        infer: bool = True,
        metadata: Mapping[str, object] | None = None,
        key: str | None = None,
        background: bool = False,
        timeout: float | None = None,
        created_at: datetime | None = None,
        include_tool_messages: bool = False,
        on_error: OnError | None = None,
    ) -> _Write:
        on_error = self._checked_on_error(on_error)
        check_timeout("timeout", timeout)
        request = add_request(
            messages,
            self.scope_of(scope),
            infer=infer,
            metadata=metadata,
            key=key,
            created_at=self._clock() if created_at is None else created_at,
            include_tool_messages=include_tool_messages,
        )
        return _Write(request, background, timeout, on_error)

    @shielded
    def _remember(self, write: _Write) -> WriteResult:
        receipt = self._accept(write.request)
        if write.background and not receipt.done.done():
            return receipt.accepted
        try:
            return _reported(result_of(receipt.done, write.timeout), write.on_error)
        except TimeoutError:
            return receipt.accepted

    def _accept(self, request: AddRequest) -> Receipt:
        self._access.require_open()
        return self._outbox.accept(request, self._delivery)

    @shielded
    def _import_batch(self, scope: Scope, batch: Sequence[AddRequest]) -> BulkResult:
        if any(request.infer for request in batch) and self._backend.extracts:
            # What a model finds is kept between the attempts, as that of any turn.
            statuses = [self._imported(request) for request in batch]
        else:
            statuses = self._import_at_once(scope, batch)
        counts = Counter(statuses)
        return BulkResult(
            stored=counts["stored"], nothing=counts["nothing"], duplicates=counts["duplicate"]
        )

    def _imported(self, request: AddRequest) -> WriteStatus:
        return _reported(result_of(self._accept(request).done, None), "raise").status

    def _import_at_once(self, scope: Scope, batch: Sequence[AddRequest]) -> list[WriteStatus]:
        ledger = self._outbox.ledger
        with self._access.held(scope):
            known = ledger.known(scope, [request.key for request in batch])
            new = {request.key: request for request in batch if request.key not in known}
            stored = (
                self._access.told(
                    Change(scope, keys=tuple(new)), lambda mem0: mem0.add_many(list(new.values()))
                )
                if new
                else []
            )
            statuses: list[Literal["stored", "nothing"]] = [
                "stored" if count else "nothing" for count in stored
            ]
            ledger.record(scope, dict(zip(new, statuses, strict=True)))
        duplicates: list[WriteStatus] = ["duplicate"] * (len(batch) - len(new))
        return [*statuses, *duplicates]

    def _checked_on_error(self, on_error: OnError | None) -> OnError:
        check_on_error(on_error)
        return self._on_error if on_error is None else on_error


def _reported(result: WriteResult, on_error: OnError) -> WriteResult:
    if result.status == "failed" and on_error == "raise":
        raise BackendError(
            f"The write failed: {result.error} It is kept as a dead letter; retry it with "
            f"`mem0-integrations doctor --replay`."
        )
    return result
