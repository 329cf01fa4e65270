"""What is worth keeping of a turn, found without a model or with one whose answers are checked.

`SentenceExtractor` is the extractor of the embedded default. `CheckedLLM` keeps Mem0's own
pipeline from losing a turn when the model's answer cannot be read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from mem0_integrations.errors import ExtractionError
from mem0_integrations.learning.sentences import plain, statements
from mem0_integrations.models import Mem0LLM

if TYPE_CHECKING:
    from mem0_integrations.messages import Mem0Message

__all__ = ["CheckedLLM", "Extractor", "SentenceExtractor"]

logger = logging.getLogger(__name__)

_MAX_READ: Final = 20_000


class Extractor(Protocol):
    """Turns the messages of a turn into the statements to remember."""

    def extract(self, messages: Sequence[Mem0Message]) -> list[str]:
        """Return what to remember of these messages, in order; possibly nothing."""
        ...


class SentenceExtractor:
    """Keeps the user's own statements, word for word, without a model.

    It works by exclusion, so that statements in any language are kept: it drops greetings,
    thanks, acknowledgements, farewells, and questions and requests without a fact of the user's. A
    question keeps its declarative clause, or all of it if it carries an identifier. Only
    messages with the role `user` are read, without quoted lines (`>`), and only the first 20,000
    characters of each: a pasted document is not a statement.

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


class CheckedLLM:
    """A Mem0 language model whose extraction answers are checked.

    Mem0 takes an empty or unreadable answer for "nothing to remember", and the turn is lost
    without a trace. Here it is an error, and a retry may help. (Mem0 wraps what its model
    raises in `mem0.exceptions.LLMError`; the cause is this error.) Every other attribute is
    that of the wrapped model.

    Args:
        llm: Anything with the `generate_response` of Mem0's `LLMBase`.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from mem0_integrations.models import LangChainLLM
        >>> llm = CheckedLLM(LangChainLLM(FakeListChatModel(responses=['{"memory": []}'])))
        >>> llm.generate_response([{"role": "user", "content": "Hello"}])
        '{"memory": []}'
    """

    def __init__(self, llm: Mem0LLM) -> None:
        self.unchecked = llm

    def __getattr__(self, name: str) -> object:
        if name == "unchecked":  # not yet set while copying: looking it up again would never end
            raise AttributeError(name)
        return getattr(self.unchecked, name)

    def generate_response(
        self, messages: Sequence[Mapping[str, object]], **options: object
    ) -> object:
        """Return the wrapped model's answer.

        Raises:
            ExtractionError: A JSON object was asked for, but Mem0 cannot read memories from the
                answer.
        """
        answer = self.unchecked.generate_response(messages, **options)
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
