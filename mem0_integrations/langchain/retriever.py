"""A retriever: memories as LangChain documents, for chains and for other retrievers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypedDict, Unpack

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.runnables import RunnableConfig, ensure_config
from pydantic import SkipValidation

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.arguments import OnError
from mem0_integrations.errors import InvalidInputError
from mem0_integrations.options import RecallOptions, checked_search
from mem0_integrations.recall.rendering import facts_of_memories
from mem0_integrations.records import Memory, Recall
from mem0_integrations.scope import Scope, ScopeRequest, ScopeSource, resolve_scope

__all__ = ["Mem0Retriever"]

_DEGRADED: Final = "memory.degraded"
# What the limit and the threshold of a recall are called here.
_NAMES: Final = ("k", "score_threshold")


class _Asked(TypedDict, total=False):
    """What one call may say, and what is known about it."""

    k: int | None
    score_threshold: float | None
    filters: Mapping[str, object] | None
    request: ScopeRequest | None


class Mem0Retriever(BaseRetriever):
    """Retrieves memories as documents, nearest first.

    `Document.id` is the memory's id, `page_content` its text. The keys of `metadata` are
    always the same: `score`, `created_at` and `updated_at` (ISO 8601), `categories`, the ids of
    the memory's scope (`user_id`, ...), and `metadata`, which holds the application's own
    values, apart from ours; where a graph is attached also `relations`, the facts that the graph
    has of the memory.

    `k`, `score_threshold` and `filters` can also be given to one call, as in
    `retriever.invoke("tea", k=3)`; the filters of a call narrow those of the retriever. A
    recall that fails and degrades returns no documents, logs a warning, and dispatches the
    custom event `memory.degraded` with the reason.

    LangChain's retrievers around another one, except `EnsembleRetriever`, do not hand the
    configuration on when they are invoked by themselves: give `scope=`, or make them a step of
    a chain. `MultiQueryRetriever` returns a memory once for each query that finds it, because
    its score differs.

    Args:
        memory: The memory.
        k: Maximum number of documents, 1 to 1,000.
        score_threshold: Minimum score in [0, 1]; None for Mem0's default.
        filters: Mem0's metadata filters.
        scope: Whose memories: a `Scope`, a mapping, or a callable that is given a
            `ScopeRequest`; otherwise it is found in the run-time context, in
            `config["configurable"]`, or in the user that LangGraph Server authenticated.
        timeout: Seconds that a recall may take; by default, as connected.
        on_error: What a failed recall does: `degrade` or `raise`; by default, as connected.
        name: The name of its runs.
        tags: Tags of its runs.
        metadata: Metadata of its runs.

    Raises:
        InvalidInputError: An argument is malformed.

    Example:
        >>> from mem0_integrations import connect
        >>> from mem0_integrations.langchain import Mem0Retriever
        >>> with connect() as memory:
        ...     result = memory.remember("I am allergic to peanuts.", scope={"user_id": "u"})
        ...     retriever = Mem0Retriever(memory=memory, k=3)
        ...     config = {"configurable": {"user_id": "u"}}
        ...     [found.page_content for found in retriever.invoke("allergies?", config)]
        ['I am allergic to peanuts.']
    """

    memory: AgentMemory
    k: int
    score_threshold: float | None
    # Pydantic would make something else of a mapping.
    filters: Annotated[Mapping[str, object] | None, SkipValidation]
    scope: Annotated[ScopeSource | None, SkipValidation]
    timeout: float | None
    on_error: OnError | None

    def __init__(
        self,
        memory: AgentMemory,
        *,
        k: int = 5,
        score_threshold: float | None = None,
        filters: Mapping[str, object] | None = None,
        scope: ScopeSource | None = None,
        timeout: float | None = None,
        on_error: OnError | None = None,
        name: str | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        checked_search(
            _NAMES,
            limit=k,
            threshold=score_threshold,
            filters=filters,
            timeout=timeout,
            on_error=on_error,
        )
        if scope is not None and not callable(scope):
            scope = Scope.of(scope)
        fields: dict[str, Any] = {
            "memory": memory,
            "k": k,
            "score_threshold": score_threshold,
            "filters": filters,
            "scope": scope,
            "timeout": timeout,
            "on_error": on_error,
            "name": name,
            "tags": tags,
            "metadata": metadata,
        }
        super().__init__(**fields)

    def invoke(
        self, input: str, config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """Retrieve what is remembered about a text.

        Args:
            input: The text.
            config: Its `configurable` may say whose memories.
            **kwargs: `k`, `score_threshold` and `filters`, for this call.

        Raises:
            InvalidInputError: The text is empty, or an argument is malformed.
            ScopeError: There is no scope.
            BackendError: Memory could not be read, and `on_error` is `raise`.
        """
        # `_get_relevant_documents` is given no config.
        return super().invoke(input, config, request=_request_of(config), **kwargs)

    async def ainvoke(
        self, input: str, config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """Async twin of `invoke`."""
        return await super().ainvoke(input, config, request=_request_of(config), **kwargs)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **asked: Unpack[_Asked]
    ) -> list[Document]:
        options = self._options(query, **asked)
        recall = self.memory.recall(query, **options)
        if recall.degraded is not None:
            config: RunnableConfig = {"callbacks": run_manager.get_child()}
            dispatch_custom_event(_DEGRADED, {"reason": recall.degraded}, config=config)
        return self._documents(recall)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        **asked: Unpack[_Asked],
    ) -> list[Document]:
        options = self._options(query, **asked)
        recall = await self.memory.arecall(query, **options)
        if recall.degraded is not None:
            config: RunnableConfig = {"callbacks": run_manager.get_child()}
            await adispatch_custom_event(_DEGRADED, {"reason": recall.degraded}, config=config)
        return self._documents(recall)

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        return {**super()._get_ls_params(**kwargs), "ls_vector_store_provider": "mem0"}

    def _documents(self, recall: Recall) -> list[Document]:
        documents = [_document(memory) for memory in recall.memories]
        if self.memory.has_graph:
            facts = facts_of_memories(recall)
            for document in documents:
                document.metadata["relations"] = facts.get(str(document.id), [])
        return documents

    def _options(
        self,
        query: str,
        k: int | None = None,
        score_threshold: float | None = None,
        filters: Mapping[str, object] | None = None,
        request: ScopeRequest | None = None,
    ) -> RecallOptions:
        if not isinstance(query, str):
            raise InvalidInputError(
                f"A retriever takes a text, not {type(query).__name__}; in a chain, pick it out "
                f"before: itemgetter('question') | retriever."
            )
        limit = self.k if k is None else k
        threshold = self.score_threshold if score_threshold is None else score_threshold
        checked_search(_NAMES, limit=limit, threshold=threshold, filters=filters)
        both = [given for given in (self.filters, filters) if given]
        return {
            "scope": resolve_scope(
                self.scope, request or _request_of(None), self.memory.default_scope
            ),
            "limit": limit,
            "threshold": threshold,
            "filters": {"AND": both} if len(both) > 1 else next(iter(both), None),
            "timeout": self.timeout,
            "on_error": self.on_error,
        }


def _request_of(config: RunnableConfig | None) -> ScopeRequest:
    # Within a chain or a graph, what its configuration says holds here too.
    return ScopeRequest.of_run(ensure_config(config))


def _document(memory: Memory) -> Document:
    fields = memory.to_dict()
    del fields["id"], fields["memory"]
    return Document(id=memory.id, page_content=memory.text, metadata=fields)
