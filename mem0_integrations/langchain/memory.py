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

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from langchain_classic.base_memory import BaseMemory
from langchain_core.messages import SystemMessage
from langchain_core.runnables import ensure_config
from pydantic import ConfigDict, Field, SkipValidation

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.arguments import OnError, check_metadata
from mem0_integrations.errors import InvalidInputError, InvalidMessageError, ScopeError
from mem0_integrations.messages import MessageLike, is_message, last_words
from mem0_integrations.options import SearchOptions, checked_search
from mem0_integrations.recall.rendering import recall_text
from mem0_integrations.records import Recall
from mem0_integrations.scope import Scope, ScopeSource
from mem0_integrations.turns import Run, TurnWriter

__all__ = ["Mem0Memory"]

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
        input_key: The chain's input that holds what the user says; otherwise the only one besides
            what memories add, or `input`.
        output_key: The chain's output that holds the answer; otherwise the only one, or `output`.
        return_messages: Whether the variable is a list, for a `MessagesPlaceholder`: with one
            system message, or empty when nothing is known.
        scope: Whose memories: a `Scope`, a mapping, or a callable that is given a
            `ScopeRequest`; otherwise it is found in the run's context or configuration, or it is
            the scope of `connect`.
        thread_id: Names the conversation, in the metadata of its memories; otherwise `thread_id` or
            `session_id` of the run's configuration, if any.
        limit: Maximum number of memories, 1 to 1,000.
        threshold: Minimum score in [0, 1].
        filters: Mem0's metadata filters.
        timeout: Seconds that the chain waits for memory, to be read and to be written; else
            `recall_timeout` of `connect`. A write that takes longer goes on.
        on_error: What a failure of memory does: `degrade` (the prompt says that memory could
            not be read; a failed write is logged) or `raise`; by default, as connected.
        infer: Whether to extract statements; otherwise each message is kept as it is.
        metadata: Values of the application, JSON-serialisable, for each memory.
        background: Whether to go on at once; the turn is on disk by then. Otherwise the chain waits
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
        options = checked_search(
            limit=limit, threshold=threshold, filters=filters, timeout=timeout, on_error=on_error
        )
        fields: dict[str, Any] = {
            "memory": memory,
            "memory_key": memory_key,
            "input_key": input_key,
            "output_key": output_key,
            "return_messages": return_messages,
            "scope": scope,
            "thread_id": thread_id,
            **options,
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
        run, query = self._run(), last_words(self._said(inputs))
        if query is None:
            return self._variables(Recall())
        return self._variables(self.memory.recall(query, scope=run.scope, **self._options))

    async def aload_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Async twin of `load_memory_variables`."""
        run, query = self._run(), last_words(self._said(inputs))
        if query is None:
            return self._variables(Recall())
        return self._variables(await self.memory.arecall(query, scope=run.scope, **self._options))

    def save_context(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Remember a turn.

        A turn whose messages have ids is written once; without ids, each call is a turn.

        Raises:
            InvalidInputError: The input or the output cannot be told from others, or is no
                text or message.
            ScopeError: There is no scope.
            BackendError: The write failed, and `on_error` is `raise`; it is kept.
        """
        self._writer.remember(self._run(), self._turn(inputs, outputs))

    async def asave_context(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Async twin of `save_context`."""
        await self._writer.aremember(self._run(), self._turn(inputs, outputs))

    def clear(self) -> None:
        """Erase everything of the scope for good, also what earlier conversations left.

        Raises:
            ScopeError: There is no scope.
            BackendError: Mem0 failed; some of it may be erased. Call it again.
        """
        self.memory.forget(self._run().scope)

    async def aclear(self) -> None:
        """Async twin of `clear`."""
        await self.memory.aforget(self._run().scope)

    @property
    def _options(self) -> SearchOptions:
        return {
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

    @property
    def _writer(self) -> TurnWriter:
        return TurnWriter(
            memory=self.memory,
            infer=self.infer,
            metadata=self.metadata,
            background=self.background,
            timeout=self.memory.recall_timeout if self.timeout is None else self.timeout,
            whole=False,
            on_error=self.on_error,
        )

    def _turn(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> list[MessageLike]:
        key = _key_of("output", outputs, self.output_key)
        return [*self._said(inputs), *_messages("output", key, outputs[key])]

    def _said(self, inputs: Mapping[str, Any]) -> list[MessageLike]:
        key = _key_of("input", inputs, self.input_key, ignored=(self.memory_key, _STOP))
        return _messages("input", key, inputs[key])

    def _run(self) -> Run:
        config = ensure_config()
        try:
            return Run.of(config, self.scope, self.memory, thread_id=self.thread_id)
        except ScopeError as error:
            if self.scope is not None or config["configurable"]:
                raise
            raise ScopeError(
                f"{error} A chain does not show its config to its memory: invoke "
                f"RunnableLambda(chain.invoke, chain.ainvoke) in its place."
            ) from None


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
