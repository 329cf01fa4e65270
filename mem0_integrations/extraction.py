"""What of a turn is worth keeping: without a model, and with one that is checked.

`SentenceExtractor` is the extractor of the embedded default. `LangChainLLM` and
`LangChainEmbedder` let Mem0's own pipeline run on LangChain's models; `CheckedLLM` keeps that
pipeline from losing a turn when the model's answer cannot be read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol

from mem0_integrations.errors import BackendError, ExtractionError, InvalidInputError
from mem0_integrations.sentences import plain, statements

if TYPE_CHECKING:
    from mem0_integrations.messages import Mem0Message

__all__ = [
    "ChatModel",
    "CheckedLLM",
    "EmbedderConfig",
    "Embeddings",
    "Extractor",
    "LangChainEmbedder",
    "LangChainLLM",
    "Mem0Embedder",
    "Mem0LLM",
    "Models",
    "SentenceExtractor",
]

logger = logging.getLogger(__name__)

_MAX_READ: Final = 20_000


class Extractor(Protocol):
    """Turns the messages of a turn into the statements to remember."""

    def extract(self, messages: Sequence[Mem0Message]) -> list[str]:
        """Return what to remember of these messages, in order; nothing is a valid answer."""
        ...


class SentenceExtractor:
    """Keeps the user's own statements, word for word, without a model.

    It works by exclusion, so that a statement in any language is kept: dropped are greetings,
    thanks, acknowledgements, farewells, questions and requests without a fact of the user's. A
    question keeps its declarative clause, or all of it if it carries an identifier. Only
    messages of the role `user` are read, quoted lines (`>`) are not, and only the first 20,000
    characters of a message: a pasted document is not a statement.

    Example:
        >>> SentenceExtractor().extract(
        ...     [{"role": "user", "content": "Hi! My kettle arrived broken, can you help?"}]
        ... )
        ['My kettle arrived broken']
    """

    def extract(self, messages: Sequence[Mem0Message]) -> list[str]:
        """Return the user's statements, each once, in the order they were made.

        Args:
            messages: Messages of any role.
        """
        kept: dict[str, str] = {}
        for message in messages:
            if message["role"] != "user":
                continue
            content = message["content"]
            if len(content) > _MAX_READ:
                logger.warning("read %d of the %d characters of a message", _MAX_READ, len(content))
            for statement in statements(content[:_MAX_READ]):
                kept.setdefault(plain(statement), statement)
        return list(kept.values())


class ChatModel(Protocol):
    """What is used of a LangChain chat model."""

    def invoke(self, input: list[dict[str, object]], /) -> object:
        """Answer a conversation."""
        ...


class Mem0LLM(Protocol):
    """What is used of a language model of Mem0's."""

    @property
    def generate_response(self) -> Callable[..., object]:
        """Answer a conversation; the options differ from provider to provider."""
        ...


class Mem0Embedder(Protocol):
    """What is used of an embedder of Mem0's."""

    def embed_batch(
        self, texts: list[str], memory_action: str = "add", /
    ) -> Sequence[Sequence[float]]:
        """Embed many texts."""
        ...


@dataclass(frozen=True, slots=True)
class Models:
    """What a Mem0 has that others can use.

    Attributes:
        llm: Its language model; None where it does without.
        embedder: Its embedder; None where it does not show one.
    """

    llm: Mem0LLM | None
    embedder: Mem0Embedder | None


class Embeddings(Protocol):
    """What is used of a LangChain `Embeddings`."""

    def embed_query(self, text: str, /) -> Sequence[float]:
        """Embed one text."""
        ...

    def embed_documents(self, texts: list[str], /) -> Sequence[Sequence[float]]:
        """Embed many texts."""
        ...


class LangChainLLM:
    """A LangChain chat model, as Mem0 calls its language model.

    Args:
        model: Anything with the `invoke` of a LangChain chat model.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> llm = LangChainLLM(FakeListChatModel(responses=['{"memory": []}']))
        >>> llm.generate_response([{"role": "user", "content": "Hello"}])
        '{"memory": []}'
    """

    def __init__(self, model: ChatModel) -> None:
        self.model = model

    def generate_response(
        self,
        messages: Sequence[Mapping[str, object]],
        response_format: object = None,
        tools: Sequence[object] | None = None,
        tool_choice: object = "auto",
    ) -> str:
        """Return the text of the model's answer.

        Args:
            messages: Mappings with `role` and `content`.
            response_format: Not passed on, since few LangChain models take it: Mem0's prompt
                asks for JSON in words, and `CheckedLLM` checks the answer.
            tools: Refused unless empty; Mem0 2 gives its model none.
            tool_choice: Without meaning, as there are no tools.

        Raises:
            InvalidInputError: There are tools.
        """
        if tools:
            raise InvalidInputError("LangChainLLM takes no tools; call the LangChain model itself")
        answer = self.model.invoke([dict(message) for message in messages])
        content = getattr(answer, "content", answer)
        if isinstance(content, str):
            return content
        blocks = content if isinstance(content, list) else []
        texts = (b.get("text") if isinstance(b, dict) else b for b in blocks)
        return "".join(text for text in texts if isinstance(text, str))


class CheckedLLM:
    """A language model of Mem0's whose extraction answers are checked.

    Mem0 takes an empty or unreadable answer for "nothing to remember", and the turn is lost
    without a trace. Here it is an error that a retry may cure. (Mem0 wraps what its model
    raises in `mem0.exceptions.LLMError`; the cause is this error.) Every other attribute is
    that of the wrapped model.

    Args:
        llm: Anything with the `generate_response` of Mem0's `LLMBase`.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> llm = CheckedLLM(LangChainLLM(FakeListChatModel(responses=['{"memory": []}'])))
        >>> llm.generate_response([{"role": "user", "content": "Hello"}])
        '{"memory": []}'
    """

    def __init__(self, llm: Mem0LLM) -> None:
        self._llm = llm

    def __getattr__(self, name: str) -> object:
        if name == "_llm":  # not yet set while copying: looking it up again would never end
            raise AttributeError(name)
        return getattr(self._llm, name)

    def generate_response(
        self, messages: Sequence[Mapping[str, object]], **options: object
    ) -> object:
        """Return the wrapped model's answer.

        Args:
            messages: Mappings with `role` and `content`.
            options: `response_format`, `tools` and whatever else the wrapped model takes.

        Raises:
            ExtractionError: A JSON object was asked for, and the answer is none that Mem0 can
                read memories from.
        """
        answer = self._llm.generate_response(messages, **options)
        wanted = options.get("response_format")
        if isinstance(wanted, Mapping) and wanted.get("type") == "json_object":
            _check_extraction(answer)
        return answer


def _check_extraction(answer: object) -> None:
    # Read by Mem0's own rules: what it can read is no error here, and the other way round.
    from mem0.memory.utils import extract_json, remove_code_blocks

    text = remove_code_blocks(answer)
    try:
        try:
            data = json.loads(text, strict=False)
        except json.JSONDecodeError:
            data = json.loads(extract_json(text), strict=False)
    except (ValueError, RecursionError):
        data = None
    memories = data.get("memory") if isinstance(data, dict) else None
    if not isinstance(memories, list) or not all(
        isinstance(item, dict) and isinstance(item.get("text"), str) for item in memories
    ):
        raise ExtractionError(
            "the model's extraction answer is not a JSON object with a list of texts under "
            f"'memory' ({len(text)} characters); retry, or use a model that follows instructions",
            retryable=True,
        )


@dataclass(frozen=True, slots=True)
class EmbedderConfig:
    """The part of an embedder's configuration that Mem0 reads.

    Attributes:
        embedding_dims: Length of a vector.
    """

    embedding_dims: int


class LangChainEmbedder:
    """A LangChain `Embeddings`, as Mem0 calls its embedder.

    Args:
        embeddings: Anything with `embed_query` and `embed_documents`.
        dims: Length of its vectors; by default one short text is embedded to find out, when
            the length is first asked for.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> embedder = LangChainEmbedder(DeterministicFakeEmbedding(size=8))
        >>> len(embedder.embed("I am vegan.", "add")), embedder.embedding_dims
        (8, 8)
    """

    def __init__(self, embeddings: Embeddings, *, dims: int | None = None) -> None:
        self.embeddings = embeddings
        self._dims = dims

    @cached_property
    def embedding_dims(self) -> int:
        """Length of a vector."""
        return self._dims if self._dims is not None else len(self.embed("dimensions"))

    @property
    def config(self) -> EmbedderConfig:
        """The part of the configuration that Mem0 reads."""
        return EmbedderConfig(self.embedding_dims)

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:
        """Return the vector of a text.

        Args:
            text: What to embed.
            memory_action: Mem0's reason (`add`, `search`, `update`); makes no difference.
        """
        return [float(x) for x in self.embeddings.embed_query(text)]

    def embed_batch(self, texts: Sequence[str], memory_action: str = "add") -> list[list[float]]:
        """Return the vectors of many texts, in their order, from one call.

        Args:
            texts: What to embed.
            memory_action: Mem0's reason (`add`, `search`, `update`); makes no difference.

        Raises:
            BackendError: There are not as many vectors as texts: Mem0 would drop the rest.
        """
        if not texts:
            return []
        vectors = self.embeddings.embed_documents(list(texts))
        if len(vectors) != len(texts):
            raise BackendError(f"the embedder gave {len(vectors)} vectors for {len(texts)} texts")
        return [[float(x) for x in vector] for vector in vectors]
