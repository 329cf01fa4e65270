"""Mem0's own embedder, as CrewAI calls one."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self

import numpy as np
from chromadb.api.types import EmbeddingFunction
from crewai.rag.embeddings.providers.custom.embedding_callable import CustomEmbeddingFunction
from pydantic_core import SchemaSerializer, core_schema

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.values import storable

__all__ = ["SPEC", "CrewEmbedder", "Shared", "embedder_config"]

SPEC: Final = "mem0"
"""What a storage or an embedder of Mem0's is called in CrewAI's configuration."""


class Shared:
    """Stays the same object in a copy or a dump of a crew; in a dump to JSON it is a word."""

    __pydantic_serializer__: ClassVar[SchemaSerializer] = SchemaSerializer(
        core_schema.any_schema(
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda _: SPEC, when_used="json"
            )
        )
    )

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        # Copies of a crew share its memory.
        return self


class CrewEmbedder(Shared):
    """The embedder of a memory, as CrewAI calls one."""

    def __init__(self, memory: AgentMemory) -> None:
        self._vectors = memory.vectors()

    def __call__(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        read = [storable(text) for text in texts]
        return self._vectors.ask(lambda memories: memories.embed(read)) if texts else []


def embedder_config(embedder: CrewEmbedder) -> dict[str, Any]:
    """Return an embedder as CrewAI's configuration of one."""

    # CrewAI builds the one; a crew's `embedder` must be the other.
    class Mem0EmbeddingFunction(CustomEmbeddingFunction, EmbeddingFunction[Any]):
        """Mem0's own embedder."""

        def __init__(self, **_: object) -> None:
            pass

        def __call__(self, input: Any) -> Any:
            return [np.array(vector, dtype=np.float32) for vector in embedder(list(input))]

    return {"provider": "custom", "config": {"embedding_callable": Mem0EmbeddingFunction}}
