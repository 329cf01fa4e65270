"""Language models and embedders: what is used of LangChain's and Mem0's, and adapters between them.

`LangChainLLM` and `LangChainEmbedder` let Mem0's own pipeline run on LangChain's models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from mem0_integrations.errors import BackendError, InvalidInputError

__all__ = [
    "ChatModel",
    "EmbedderConfig",
    "Embeddings",
    "LangChainEmbedder",
    "LangChainLLM",
    "Mem0Embedder",
    "Mem0LLM",
    "Models",
]


class ChatModel(Protocol):
    """What is used of a LangChain chat model."""

    def invoke(self, input: list[dict[str, object]], /) -> object:
        """Answer a conversation."""
        ...


class Mem0LLM(Protocol):
    """What is used of a Mem0 language model."""

    @property
    def generate_response(self) -> Callable[..., object]:
        """Answer a conversation; the options depend on the provider."""
        ...


class Mem0Embedder(Protocol):
    """What is used of a Mem0 embedder."""

    def embed_batch(
        self, texts: list[str], memory_action: str = "add", /
    ) -> Sequence[Sequence[float]]:
        """Embed many texts."""
        ...


@dataclass(frozen=True, slots=True)
class Models:
    """What a Mem0 has that others can use; None where it has none, or does not show it."""

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
    """A LangChain chat model with the interface of a Mem0 language model.

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
            tool_choice: Ignored, as there are no tools.

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


@dataclass(frozen=True, slots=True)
class EmbedderConfig:
    """The part of an embedder's configuration that Mem0 reads: the length of a vector."""

    embedding_dims: int


class LangChainEmbedder:
    """A LangChain `Embeddings` with the interface of a Mem0 embedder.

    Args:
        embeddings: Anything with `embed_query` and `embed_documents`.
        dims: Length of its vectors; by default, one short text is embedded to find out when
            the length is first needed.

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
        """Return the vector of a text; Mem0's reason to ask makes no difference."""
        return [float(x) for x in self.embeddings.embed_query(text)]

    def embed_batch(self, texts: Sequence[str], memory_action: str = "add") -> list[list[float]]:
        """Return the vectors of many texts, in their order, from one call.

        Raises:
            BackendError: There are fewer or more vectors than texts; Mem0 would drop the rest.
        """
        if not texts:
            return []
        vectors = self.embeddings.embed_documents(list(texts))
        if len(vectors) != len(texts):
            raise BackendError(f"the embedder gave {len(vectors)} vectors for {len(texts)} texts")
        return [[float(x) for x in vector] for vector in vectors]
