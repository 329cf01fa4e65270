"""A LangGraph store whose items lie in Mem0's vector store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Final, Literal, TypeVar

from langgraph.store.base import (
    BaseStore,
    GetOp,
    IndexConfig,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
)

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.arguments import check_timeout
from mem0_integrations.concurrency import call_within, shielded
from mem0_integrations.langgraph.store_filters import passes_filter
from mem0_integrations.langgraph.store_homes import Homes
from mem0_integrations.langgraph.store_ops import (
    check_minutes,
    check_ttl_config,
    checked,
    checked_fields,
    index_texts,
    listed_namespaces,
    plain_prefix,
    readable_text,
)
from mem0_integrations.langgraph.sweeper import Sweeper
from mem0_integrations.messages import last_words
from mem0_integrations.records import Address, Document

__all__ = ["Mem0Store"]

Found = TypeVar("Found", bound=Item)

_SWEEP_MINUTES: Final = 5.0


class Mem0Store(BaseStore):
    """A LangGraph `BaseStore` on Mem0: for `compile(store=...)`, `create_agent`, langmem.

    Items are found by meaning through Mem0's own embedder, and lie beside the memories in the
    same vector store. Namespaces are the application's boundary between users, as in every
    LangGraph store; only those of `memories` are scopes, and part of `AgentMemory.forget`.

    Unlike in other stores, semantic search is on without an `index`. What a batch puts is
    written as a whole where the vector store can do so. Values are kept as JSON. Of a query
    longer than 2,000 characters, only the end is used.

    Args:
        memory: The memory; it stays open when the store is no longer used.
        memories: A namespace template such as `("memories", "{user_id}")`. Items under it are
            memories of that scope: `recall` finds what is put there, and what was remembered is
            an item whose key is the memory's id and whose value has the text as `memory`. As a
            memory an item has one text, also with `index=False`. Namespaces that do not name the
            whole scope show only what was put.
        index: `{"fields": [...]}`, as for other stores: the paths of a value that are searched,
            by default all of it (`"$"`). False for no semantic search. Give the embedder to
            `connect`.
        ttl: As for other stores; times are minutes. `refresh_on_read` is on, `omit_expired` off
            unless said otherwise. Call `start_ttl_sweeper` to delete expired items.
        timeout: Seconds that a batch may take; one that takes longer is abandoned, but may
            still be carried out. None for no limit, as in other stores.

    Raises:
        InvalidInputError: An argument is malformed.

    Example:
        >>> from mem0_integrations import connect
        >>> from mem0_integrations.langgraph import Mem0Store
        >>> with connect() as memory:
        ...     store = Mem0Store(memory)
        ...     store.put(("notes", "customer-1"), "drink", {"text": "Prefers green tea."})
        ...     store.search(("notes",), query="What to serve?", limit=1)[0].value
        {'text': 'Prefers green tea.'}
    """

    supports_ttl = True

    def __init__(
        self,
        memory: AgentMemory,
        *,
        memories: Sequence[str] | None = None,
        index: IndexConfig | Literal[False] | None = None,
        ttl: TTLConfig | None = None,
        timeout: float | None = None,
    ) -> None:
        if ttl is not None:
            check_ttl_config(ttl)
        check_timeout("timeout", timeout)
        self.ttl_config = ttl
        self._timeout = timeout
        self._fields = checked_fields(index)
        self._omit_expired = bool(ttl and ttl.get("omit_expired"))
        self._memory = memory
        self._homes = Homes(memory, memories)
        self._sweeper = Sweeper(self.sweep_ttl)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations: first all reads, then all writes.

        Args:
            ops: The operations. If one is malformed, none is carried out.

        Returns:
            The result of each, in their order.

        Raises:
            InvalidNamespaceError: A namespace is malformed.
            InvalidInputError: Anything else is malformed.
            ScopeError: A label of `memories` cannot be an id.
            BackendError: The vector store or the embedder failed.
            BackendTimeoutError: The batch took longer than `timeout`.
        """
        work = partial(self._batch, list(ops))
        return work() if self._timeout is None else call_within(self._timeout, work)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Async twin of `batch`; it does not block the event loop."""
        return await self._memory.in_thread(partial(self._batch, list(ops)), timeout=self._timeout)

    @shielded
    def sweep_ttl(self) -> int:
        """Delete the items that have expired; returns how many."""
        now = datetime.now(UTC)
        return sum(home.ask(lambda documents: documents.sweep(now)) for home in self._homes)

    @shielded
    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> Future[None]:
        """Delete what has expired every few minutes, in a thread.

        Args:
            sweep_interval_minutes: Minutes between two sweeps; by default those of `ttl`, or 5.

        Returns:
            Ends with the sweeper; cancel it, or call `stop_ttl_sweeper`.
        """
        check_minutes("sweep_interval_minutes", sweep_interval_minutes)
        configured = (self.ttl_config or {}).get("sweep_interval_minutes")
        return self._sweeper.start(60 * (sweep_interval_minutes or configured or _SWEEP_MINUTES))

    @shielded
    def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """Stop the sweeper; returns whether it has ended within `timeout` seconds."""
        return self._sweeper.stop(timeout)

    @shielded
    def _batch(self, ops: Sequence[Op]) -> list[Result]:
        wanted = [self._checked(op) for op in ops]
        now = datetime.now(UTC)
        results: list[Result] = [None] * len(wanted)
        got = self._got([op for op in wanted if isinstance(op, GetOp)], now)
        read: list[Document] = []
        for number, op in enumerate(wanted):
            match op:
                case GetOp():
                    document = got[_address(op)]
                    results[number] = None if document is None else _item(document, Item)
                    read += [document] if document is not None and op.refresh_ttl else []
                case SearchOp():
                    found = self._searched(op, now)
                    results[number] = [
                        _item(document, partial(SearchItem, score=document.score))
                        for document in found
                    ]
                    read += found if op.refresh_ttl else []
                case ListNamespacesOp():
                    paths = self._paths(plain_prefix(op), now)
                    results[number] = listed_namespaces(paths, op)
        lasting = [document.address for document in read if document.ttl]
        self._homes.ask(lasting, lambda here, documents: documents.prolong(here, now))
        puts = {_address(op): op for op in wanted if isinstance(op, PutOp)}
        new = {at: self._document(op, now) for at, op in puts.items() if op.value is not None}
        self._homes.ask(
            new,
            lambda here, documents: documents.put([new[address] for address in here]),
            scopes=[document.scope for document in new.values()],
        )
        gone = [address for address in puts if address not in new]
        self._homes.ask(gone, lambda here, documents: documents.delete(here))
        return results

    def _checked(self, op: Op) -> Op:
        op = checked(op)
        match op:
            case SearchOp():
                namespace = op.namespace_prefix
            case ListNamespacesOp():
                namespace = plain_prefix(op)
            case _:
                namespace = op.namespace
        # Raises where its labels are no ids.
        self._homes.scope_of(namespace)
        return op

    def _is_visible(self, document: Document, now: datetime) -> bool:
        expired = document.expires_at is not None and document.expires_at <= now
        return not (expired and self._omit_expired)

    def _got(self, ops: Sequence[GetOp], now: datetime) -> dict[Address, Document | None]:
        found: dict[Address, Document | None] = {}
        asked = self._homes.ask(map(_address, ops), lambda here, documents: documents.get(here))
        for addresses, documents in asked:
            for address, document in zip(addresses, documents, strict=True):
                visible = document is not None and self._is_visible(document, now)
                found[address] = document if visible else None
        return found

    def _paths(self, prefix: tuple[str, ...], now: datetime) -> set[tuple[str, ...]]:
        found: set[tuple[str, ...]] = set()
        for home in self._homes.under(prefix):
            if self._omit_expired:
                listed = home.ask(lambda documents: documents.list(prefix))
                found.update(each.path for each in listed if self._is_visible(each, now))
            else:
                found |= home.ask(lambda documents: documents.paths(prefix))
        return found

    def _searched(self, op: SearchOp, now: datetime) -> list[Document]:
        def passes(document: Document) -> bool:
            return self._is_visible(document, now) and passes_filter(document.value, op.filter)

        prefix, end = op.namespace_prefix, op.offset + op.limit
        ranked: list[Document] = []
        query = last_words(op.query) if op.query else None
        if query is not None and self._fields is not None and op.limit:
            for home in self._homes.under(prefix):
                ranked += home.ask(
                    lambda found: [*islice(filter(passes, found.search(prefix, query, end)), end)]
                )
            ranked.sort(key=lambda document: -(document.score or 0.0))
        if len(ranked) < end:
            # Those that have no text to be searched by come last, as without a query.
            scored = {document.address for document in ranked}

            def rest(document: Document) -> bool:
                return passes(document) and document.address not in scored

            listed = [
                home.ask(lambda found: [*islice(filter(rest, found.newest(prefix, end)), end)])
                for home in self._homes.under(prefix)
            ]
            ranked += merge(*listed, key=attrgetter("updated_at"), reverse=True)
        return ranked[op.offset : end]

    def _document(self, op: PutOp, now: datetime) -> Document:
        value = op.value or {}
        seconds = None if op.ttl is None else op.ttl * 60
        fields = self._fields if op.index is None else op.index or None
        texts: tuple[str, ...] = ()
        scope = self._homes.scope_of(op.namespace)
        if scope is not None:
            texts = (readable_text(value, fields),)
        elif fields and self._fields is not None:
            texts = index_texts(value, fields)
        return Document(
            path=op.namespace,
            key=op.key,
            value=value,
            texts=texts,
            scope=scope,
            created_at=now,
            updated_at=now,
            ttl=seconds,
            expires_at=None if seconds is None else now + timedelta(seconds=seconds),
        )


def _address(op: GetOp | PutOp) -> Address:
    return op.namespace, op.key


def _item(document: Document, kind: Callable[..., Found]) -> Found:
    return kind(
        namespace=document.path,
        key=document.key,
        value=dict(document.value),
        created_at=document.created_at,
        updated_at=document.updated_at,
    )
