"""Memory for LangChain's chains: what is recalled becomes a variable of the prompt.

In a pipe of runnables, two steps recall and remember; they see the config of the run:

```python
load = RunnableLambda(memory.load_memory_variables, memory.aload_memory_variables)
save = RunnableLambda(lambda t: memory.save_context(t, t), lambda t: memory.asave_context(t, t))
chain = RunnablePassthrough.assign(history=load | itemgetter("history"))
chain |= RunnablePassthrough.assign(output=prompt | model | StrOutputParser())
chain |= RunnablePassthrough.assign(saved=save)
```
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

from langchain_classic.base_memory import BaseMemory
from langchain_core.messages import SystemMessage
from langchain_core.runnables import ensure_config
from pydantic import ConfigDict, Field, SkipValidation

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.errors import (
    NOT_ACCEPTED,
    InvalidInputError,
    InvalidMessageError,
    ScopeError,
)
from mem0_integrations.messages import MessageLike, is_message, last_words, new_turn, turn_key
from mem0_integrations.planning import (
    OnError,
    check_metadata,
    check_on_error,
    check_search,
    check_timeout,
)
from mem0_integrations.records import Recall
from mem0_integrations.rendering import recall_text
from mem0_integrations.scope import Scope, ScopeRequest, ScopeSource, resolve_scope

__all__ = ["Mem0Memory"]

logger = logging.getLogger(__name__)

# With it LangChain passes stop words among the inputs.
_STOP = "stop"


class Mem0Memory(BaseMemory):
    """The long-term memory of a chain: `ConversationChain(llm=model, memory=Mem0Memory(...))`.

    Before a chain runs, it is searched for what the user says now; what is found becomes the
    variable `memory_key` of the prompt. Afterwards the turn is remembered: what the user said
    and what was answered, never what was recalled.

    It keeps nothing of a call, so one object serves many users. Whose memories these are is
    looked up in each call. A config that is given to `Chain.invoke` does not reach the memory,
    which then knows only the scope of `connect`: where the config names the user, invoke
    `RunnableLambda(chain.invoke, chain.ainvoke)` in the chain's place.

    `clear` erases everything of the scope, for good, not only this conversation; to begin a
    new conversation, nothing has to be cleared.

    Args:
        memory: The memory.
        memory_key: The variable of the prompt; `history` is what `ConversationChain` expects.
        input_key: The chain's input that holds what the user says; else the only one besides
            what memories add, or `input`.
        output_key: The chain's output that holds the answer; else the only one, or `output`.
        return_messages: Whether the variable is a list, for a `MessagesPlaceholder`: with one
            system message, or empty when nothing is known.
        scope: Whose memories: a `Scope`, a mapping, or a callable that is given a
            `ScopeRequest`; else it is found in the run's context or configuration, or it is
            the scope of `connect`.
        thread_id: Names the conversation, in the metadata of its memories; else `thread_id` or
            `session_id` of the run's configuration, if any.
        limit: The most memories.
        threshold: The least score in [0, 1].
        filters: Mem0's metadata filters.
        timeout: Seconds that the chain waits for memory, to be read and to be written; else
            `recall_timeout` of `connect`. A write that takes longer goes on.
        on_error: What a failure of memory does: `degrade` (the prompt says that memory could
            not be read; a failed write is logged) or `raise`; else as connected.
        infer: Whether to extract statements; else each message is kept as it is.
        metadata: Values of the application, JSON-serialisable, for each memory.
        background: Whether to go on at once; the turn is on disk by then. Else the chain waits
            until it is stored, so that the next turn knows of it, as with any chain's memory.
        render: Turns the `Recall` into text.

    Raises:
        InvalidInputError: An argument is malformed.

    Example:
        >>> from mem0_integrations import connect
        >>> from mem0_integrations.langchain import Mem0Memory
        >>> with connect() as memory:
        ...     chain_memory = Mem0Memory(memory, scope={"user_id": "u"})
        ...     chain_memory.save_context({"input": "I like tea."}, {"output": "Noted."})
        ...     variables = chain_memory.load_memory_variables({"input": "tea or coffee?"})
        >>> "I like tea." in variables["history"]
        True
    """

    memory: AgentMemory = Field(exclude=True, repr=False)
    memory_key: str
    input_key: str | None
    output_key: str | None
    return_messages: bool
    scope: Annotated[ScopeSource | None, SkipValidation]
    thread_id: str | None
    limit: int
    threshold: float | None
    # Pydantic would make something else of a mapping.
    filters: Annotated[Mapping[str, object] | None, SkipValidation]
    timeout: float | None
    on_error: OnError | None
    infer: bool
    metadata: Mapping[str, object]
    background: bool
    render: Callable[[Recall], str]

    # One object serves many users: a scope that is set for one would be the next one's, too.
    model_config = ConfigDict(frozen=True)

    def __init__(
        self,
        memory: AgentMemory,
        *,
        memory_key: str = "history",
        input_key: str | None = None,
        output_key: str | None = None,
        return_messages: bool = False,
        scope: ScopeSource | None = None,
        thread_id: str | None = None,
        limit: int = 5,
        threshold: float | None = None,
        filters: Mapping[str, object] | None = None,
        timeout: float | None = None,
        on_error: OnError | None = None,
        infer: bool = True,
        metadata: Mapping[str, object] | None = None,
        background: bool = False,
        render: Callable[[Recall], str] = recall_text,
    ) -> None:
        if not memory_key or memory_key in (input_key, _STOP):
            raise InvalidInputError(
                f"memory_key must be a variable of its own in the prompt, not {memory_key!r}."
            )
        if scope is not None and not callable(scope):
            scope = Scope.of(scope)
        check_search(limit, threshold, filters)
        check_timeout("timeout", timeout)
        check_on_error(on_error)
        fields: dict[str, Any] = {
            "memory": memory,
            "memory_key": memory_key,
            "input_key": input_key,
            "output_key": output_key,
            "return_messages": return_messages,
            "scope": scope,
            "thread_id": thread_id,
            "limit": limit,
            "threshold": threshold,
            "filters": filters,
            "timeout": timeout,
            "on_error": on_error,
            "infer": infer,
            "metadata": check_metadata(metadata),
            "background": background,
            "render": render,
        }
        super().__init__(**fields)

    @property
    def memory_variables(self) -> list[str]:
        """The variable that it adds to the prompt."""
        return [self.memory_key]

    def load_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Recall what is known about the chain's input.

        Raises:
            InvalidInputError: The input cannot be told from others, or is no text or message.
            ScopeError: There is no scope.
            BackendError: Memory could not be read, and `on_error` is `raise`.
        """
        search = self._search(inputs)
        return self._variables(Recall() if search is None else self.memory.recall(**search))

    async def aload_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Async twin of `load_memory_variables`."""
        search = self._search(inputs)
        return self._variables(Recall() if search is None else await self.memory.arecall(**search))

    def save_context(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Remember a turn.

        A turn whose messages have ids is written once; without ids, each call is a turn.

        Raises:
            InvalidInputError: The input or the output cannot be told from others, or is no
                text or message.
            ScopeError: There is no scope.
            BackendError: The write failed, and `on_error` is `raise`; it is kept.
        """
        with self._reporting():
            if write := self._write(inputs, outputs):
                self.memory.remember(**write)

    async def asave_context(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Async twin of `save_context`."""
        with self._reporting():
            if write := self._write(inputs, outputs):
                await self.memory.aremember(**write)

    def clear(self) -> None:
        """Erase everything of the scope for good, also what earlier conversations left.

        Raises:
            ScopeError: There is no scope.
            BackendError: Mem0 failed; some of it may be erased. Call it again.
        """
        self.memory.forget(self._whose(_request()))

    async def aclear(self) -> None:
        """Async twin of `clear`."""
        await self.memory.aforget(self._whose(_request()))

    def _search(self, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
        scope = self._whose(_request())
        query = last_words(self._said(inputs))
        if query is None:
            return None
        return {
            "query": query,
            "scope": scope,
            "limit": self.limit,
            "threshold": self.threshold,
            "filters": self.filters,
            "timeout": self.timeout,
            "on_error": self.on_error,
        }

    def _variables(self, recall: Recall) -> dict[str, Any]:
        text = self.render(recall)
        if self.return_messages:
            return {self.memory_key: [SystemMessage(text)] if text else []}
        return {self.memory_key: text}

    def _write(
        self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        request = _request()
        scope, thread_id = self._whose(request), self._thread(request)
        key = _key_of("output", outputs, self.output_key)
        turn = new_turn([*self._said(inputs), *_messages("output", key, outputs[key])])
        if turn is None:
            return None
        provenance = {} if thread_id is None else {"thread_id": thread_id}
        if turn.has_ids:
            provenance["message_id"] = turn.human_id
        return {
            "messages": turn.messages,
            "scope": scope,
            "infer": self.infer,
            "metadata": {**self.metadata, **provenance},
            # Without ids, who says the same twice cannot be told from a chain that is retried.
            "key": turn_key(scope, thread_id, turn) if turn.has_ids else None,
            "background": self.background,
            "timeout": self.memory.recall_timeout if self.timeout is None else self.timeout,
            "on_error": self.on_error,
        }

    def _said(self, inputs: Mapping[str, Any]) -> list[MessageLike]:
        key = _key_of("input", inputs, self.input_key, ignored=(self.memory_key, _STOP))
        return _messages("input", key, inputs[key])

    def _whose(self, request: ScopeRequest) -> Scope:
        try:
            return resolve_scope(self.scope, request, self.memory.default_scope)
        except ScopeError as error:
            if self.scope is not None or request.configurable:
                raise
            raise ScopeError(
                f"{error} A chain does not show its config to its memory: invoke "
                f"RunnableLambda(chain.invoke, chain.ainvoke) in its place."
            ) from None

    def _thread(self, request: ScopeRequest) -> str | None:
        named = map(request.configurable.get, ("thread_id", "session_id"))
        return next((str(name) for name in (self.thread_id, *named) if name is not None), None)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except NOT_ACCEPTED as error:
            if (self.on_error or self.memory.on_error) == "raise":
                raise
            logger.error(
                "A turn was not accepted and will not be remembered: %s.", type(error).__name__
            )


def _request() -> ScopeRequest:
    return ScopeRequest.of_run(ensure_config())


def _key_of(
    kind: str, values: Mapping[str, Any], named: str | None, *, ignored: Sequence[str] = ()
) -> str:
    candidates = [key for key in values if key not in ignored]
    if named is None and len(candidates) == 1:
        return candidates[0]
    # What `ConversationChain` and agents call it; beside it stand variables of other memories.
    key = kind if named is None else named
    if key not in candidates:
        raise InvalidInputError(
            f"Which {kind} of the chain is to be remembered? It has {sorted(candidates)}"
            f"{f', not {named!r}' if named is not None else ''}; name one with {kind}_key=."
        )
    return key


def _messages(kind: str, key: str, value: object) -> list[MessageLike]:
    role = "user" if kind == "input" else "assistant"
    items = value if isinstance(value, Sequence) and not is_message(value) else [value]
    messages: list[Any] = [(role, item) if isinstance(item, str) else item for item in items]
    try:
        # It parses all of them, however long they are.
        last_words(messages)
    except InvalidMessageError as error:
        raise InvalidInputError(
            f"The {kind} {key!r} of the chain cannot be remembered: {error} Name another one "
            f"with {kind}_key=."
        ) from None
    return messages
