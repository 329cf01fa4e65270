"""How well and how fast a question finds the turns that answer it, beside other memories.

`python -m benchmarks.recall_quality DATA_DIR`, where DATA_DIR holds conversations in the format of
LoCoMo, one a JSON file. No model but the embedder is in the loop.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import random
import re
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from rich.console import Console
from rich.progress import track
from rich.text import Text

# Run as a file, Python would look for modules beside it.
if not __package__:
    sys.path[0] = str(Path(__file__).parents[1])
# CrewAI reads them when it is imported.
os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")
os.environ.setdefault("OTEL_SDK_DISABLED", "true")

from benchmarks.common import CONSOLE, Embedder, fresh_memory, median, table
from mem0_integrations import AgentMemory, Ranking, SentenceExtractor, connect

if TYPE_CHECKING:
    from langchain_classic.retrievers import EnsembleRetriever

    from mem0_integrations.messages import Mem0Message

Setting = TypeVar("Setting", bound=Hashable)

CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop"}
ALL = "all"
CUTOFFS = (5, 10, 20)
LIMIT = max(CUTOFFS)
# A turn is three sentences on average.
SENTENCES = 5 * LIMIT
REMEMBERED = 100
WARM_UP = 5
DIMENSION = 384
# Milliseconds of a recall, by the number of memories.
GOALS = {700: 25, 10_000: 60}
CHANGED_WORDS = 0.3
NOISE = 0.02
VALIDATED = 10
STRICT: dict[str, Any] = {"on_error": "raise", "recall_timeout": 60}
GRID = {
    "vector": (0.6, 0.8, 1.0),
    "lexical": (0.8, 0.9, 1.0),
    "vector_context": (0.0, 0.15, 0.2, 0.25),
    "lexical_context": (0.0, 0.3, 0.5, 0.7),
}
STORED = (
    "Each turn is one memory, `SPEAKER: text [shares CAPTION]`. The sentences are those that "
    "SentenceExtractor keeps of it, as if the user had said it: by default the speaker's name "
    "stays with the first one only; in the rows `named` an extractor around it puts the name "
    f"before each. {SENTENCES} sentences are recalled for {LIMIT} turns, and count as their turn, "
    "once. LangChain's BM25 splits at white space, as it does by default, and is built anew for "
    "each turn that is remembered."
)


class DataError(Exception):
    """The folder is not one of conversations."""


@dataclass(frozen=True)
class Turn:
    """What somebody said at once, as it is stored."""

    id: str
    session: str
    said_at: datetime
    text: str


@dataclass(frozen=True)
class Question:
    """A question, and the turns that hold its answer."""

    text: str
    category: int
    evidence: frozenset[str]


@dataclass(frozen=True)
class Conversation:
    """The memories of one user, and what is asked about them."""

    user: str
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Measured:
    """What a call returned, each time, and what it took."""

    results: list[Any]
    times: list[float]
    embedding: list[float]

    @property
    def cells(self) -> tuple[str, str]:
        """Its median ms, and those of the embedder in it."""
        return f"{median(self.times):.1f}", f"{median(self.embedding):.1f}"

    @property
    def multiple(self) -> str:
        """How many times the embedder's own time it took."""
        return f"{median(self.times) / median(self.embedding):.1f}"


def load(folder: Path) -> list[Conversation]:
    """Read the conversations of a folder.

    Raises:
        DataError: There are none, or one is not in the format of LoCoMo.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except OSError as error:
        raise DataError(f"{folder} cannot be read as a folder ({error.strerror}).") from None
    if not paths:
        raise DataError(f"{folder} holds no conversation: there is no JSON file in it.")
    found = []
    for path in paths:
        try:
            found.append(conversation(path.stem, json.loads(path.read_bytes())))
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            raise DataError(f"{path} is no conversation as LoCoMo has them: {error!r}.") from None
    if not any(conversation.questions for conversation in found):
        raise DataError(f"{folder} holds no question with an answer and evidence.")
    return found


def conversation(user: str, data: Mapping[str, Any]) -> Conversation:
    turns = [
        Turn(
            turn["dia_id"],
            f"{user}/{name}",
            # One after the other, so that a listing keeps their order.
            session_time(data[f"{name}_date_time"]) + timedelta(seconds=position),
            stored_text(turn),
        )
        for name in sorted(filter(re.compile(r"session_\d+").fullmatch, data), key=session_number)
        for position, turn in enumerate(data[name])
    ]
    if not turns:
        raise ValueError("it has no turns")
    known = {turn.id for turn in turns}
    questions = []
    for asked in data["qa"]:
        evidence = evidence_of(asked.get("evidence") or ()) & known
        answered = asked.get("answer") not in (None, "")
        if evidence and answered and asked["category"] in CATEGORIES:
            questions.append(Question(asked["question"], asked["category"], evidence))
    return Conversation(user, tuple(turns), tuple(questions))


def session_number(name: str) -> int:
    return int(name.removeprefix("session_"))


def session_time(text: str) -> datetime:
    """Read a time such as `1:56 pm on 8 May, 2023`."""
    return datetime.strptime(text, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)


def stored_text(turn: Mapping[str, str]) -> str:
    caption = turn.get("blip_caption")
    return f"{turn['speaker']}: {turn['text']}" + (f" [shares {caption}]" if caption else "")


def evidence_of(given: Iterable[str]) -> frozenset[str]:
    """Return the ids of turns; several may stand in one string, and one in several."""
    return frozenset(
        f"D{int(session)}:{int(turn)}"
        for session, turn in re.findall(r"D(\d+):(\d+)", " ".join(given))
    )


def recall_at(k: int, found: Sequence[str], evidence: frozenset[str]) -> float:
    """Return the share of the evidence that is among the first k that were found."""
    return len(evidence.intersection(found[:k])) / len(evidence)


def by_category(
    k: int, questions: Sequence[Question], results: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Return the recall at k of each category that is asked for, and of all questions."""
    shares: dict[str, list[float]] = {}
    for question, found in zip(questions, results, strict=True):
        for name in (CATEGORIES[question.category], ALL):
            shares.setdefault(name, []).append(recall_at(k, found, question.evidence))
    return {name: fmean(values) for name, values in shares.items()}


class KnowingEmbedder(Embedder):
    """Knows the vectors of some texts; those of others it computes each time, timed."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, list[float]] = {}

    def learn(self, texts: Iterable[str]) -> None:
        new = list(dict.fromkeys(texts))
        self.known.update(zip(new, self.embed_documents(new), strict=True))

    def embed_query(self, text: str) -> list[float]:
        return self.known.get(text) or super().embed_query(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        began = perf_counter()
        new = [text for text in texts if text not in self.known]
        vectors = dict(zip(new, super().embed_documents(new), strict=True))
        self.seconds += perf_counter() - began
        return [self.known.get(text) or vectors[text] for text in texts]


class Peer(Protocol):
    """Something that remembers the turns of several users."""

    def fill(self, user: str, turns: Sequence[Turn]) -> None:
        """Store a conversation."""

    def recall(self, user: str, question: str) -> list[str]:
        """Return the ids of the turns that were found, best first."""

    def remember(self, user: str, turn: Turn) -> None:
        """Store one turn more."""


@dataclass(frozen=True)
class Ours:
    """An `AgentMemory`, of turns as they are or of the sentences that it extracts."""

    memory: AgentMemory
    infer: bool = False
    limit: int = LIMIT

    def fill(self, user: str, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self.memory.remember_many(
                [{"role": "user", "content": turn.text, "id": turn.id, "created_at": turn.said_at}],
                scope={"user_id": user},
                infer=self.infer,
                thread_id=turn.session,
                metadata={"turn": turn.id},
            )

    def recall(self, user: str, question: str) -> list[str]:
        found = self.memory.recall(question, scope={"user_id": user}, limit=self.limit)
        return list(dict.fromkeys(str(memory.metadata["turn"]) for memory in found.memories))

    def remember(self, user: str, turn: Turn) -> None:
        self.memory.remember(
            turn.text,
            scope={"user_id": user},
            infer=self.infer,
            metadata={"turn": turn.id, "thread_id": turn.session},
            created_at=turn.said_at,
        )


class WithSpeaker:
    """Puts the name before a colon before each sentence that follows."""

    def __init__(self) -> None:
        self._extractor = SentenceExtractor()

    def extract(self, messages: Sequence[Mem0Message]) -> list[str]:
        found: list[str] = []
        for message in messages:
            speaker, _, text = message["content"].partition(": ")
            said = self._extractor.extract([{"role": message["role"], "content": text}])
            found += [f"{speaker}: {sentence}" for sentence in said]
        return found


class Mem0Alone:
    """`mem0.Memory` on a local Qdrant, without our layer."""

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        from mem0_integrations.backends.mem0_setup import import_mem0

        import_mem0(folder)
        from mem0_integrations.backends.mem0_config import mem0_embedder, memory_of, parsed_config

        parts: dict[str, Any] = {"llm": None, "extractor": SentenceExtractor()}
        own = mem0_embedder(embedder)
        config = {"vector_store": {"provider": "qdrant"}}
        self._memory = memory_of(parsed_config(config, folder, embedder=own, **parts), folder)
        self._memory.embedding_model = own

    def fill(self, user: str, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self.remember(user, turn)

    def recall(self, user: str, question: str) -> list[str]:
        found = self._memory.search(question, filters={"user_id": user}, top_k=LIMIT)
        return [result["metadata"]["turn"] for result in found["results"]]

    def remember(self, user: str, turn: Turn) -> None:
        self._memory.add(turn.text, user_id=user, infer=False, metadata={"turn": turn.id})

    def close(self) -> None:
        from mem0_integrations.backends.stores.collections import Collections

        Collections.of(self._memory).close()
        self._memory.close()


class LangGraph:
    """LangGraph's store in memory."""

    def __init__(self, embedder: Embedder) -> None:
        from langgraph.store.memory import InMemoryStore

        self._store = InMemoryStore(
            index={"embed": embedder, "dims": DIMENSION, "fields": ["text"]}
        )

    def fill(self, user: str, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self.remember(user, turn)

    def recall(self, user: str, question: str) -> list[str]:
        return [item.key for item in self._store.search((user,), query=question, limit=LIMIT)]

    def remember(self, user: str, turn: Turn) -> None:
        self._store.put((user,), turn.id, {"text": turn.text})


class CrewAI:
    """CrewAI's default storage."""

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        from crewai.memory.storage.lancedb_storage import LanceDBStorage

        self._storage = LanceDBStorage(path=str(folder), vector_dim=DIMENSION)
        self._embedder = embedder

    def fill(self, user: str, turns: Sequence[Turn]) -> None:
        from crewai.memory.types import MemoryRecord

        vectors = self._embedder.embed_documents([turn.text for turn in turns])
        self._storage.save(
            [
                MemoryRecord(
                    id=f"{user}/{turn.id}",
                    content=turn.text,
                    scope=f"/{user}",
                    metadata={"turn": turn.id},
                    created_at=turn.said_at.replace(tzinfo=None),
                    embedding=vector,
                )
                for turn, vector in zip(turns, vectors, strict=True)
            ]
        )

    def recall(self, user: str, question: str) -> list[str]:
        vector = self._embedder.embed_query(question)
        found = self._storage.search(vector, scope_prefix=f"/{user}", limit=LIMIT)
        return [record.metadata["turn"] for record, _ in found]

    def remember(self, user: str, turn: Turn) -> None:
        self.fill(user, [turn])


class LangChain:
    """LangChain's BM25 and vector retrievers together, a pair for each user."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: dict[str, InMemoryVectorStore] = {}
        self._documents: dict[str, list[Document]] = {}
        self._retrievers: dict[str, EnsembleRetriever] = {}

    def fill(self, user: str, turns: Sequence[Turn]) -> None:
        from langchain_classic.retrievers import EnsembleRetriever
        from langchain_community.retrievers import BM25Retriever

        new = [Document(turn.text, id=turn.id, metadata={"turn": turn.id}) for turn in turns]
        vectors = self._vectors.setdefault(user, InMemoryVectorStore(self._embedder))
        vectors.add_documents(new)
        documents = self._documents.setdefault(user, [])
        documents += new
        self._retrievers[user] = EnsembleRetriever(
            retrievers=[
                BM25Retriever.from_documents(documents, k=LIMIT),
                vectors.as_retriever(search_kwargs={"k": LIMIT}),
            ],
            weights=[0.5, 0.5],
            id_key="turn",
        )

    def recall(self, user: str, question: str) -> list[str]:
        found = self._retrievers[user].invoke(question)
        return [document.metadata["turn"] for document in found[:LIMIT]]

    def remember(self, user: str, turn: Turn) -> None:
        self.fill(user, [turn])


def vectors_alone() -> Ranking:
    """What a plain vector search weighs."""
    return Ranking(vector=1, lexical=0, date=0, vector_context=0, lexical_context=0)


@contextmanager
def peers(embedder: Embedder) -> Iterator[dict[str, Peer]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        mem0 = stack.enter_context(closing(Mem0Alone(folder / "mem0", embedder)))

        def ours(**options: object) -> AgentMemory:
            return stack.enter_context(fresh_memory(embedder=embedder, **STRICT, **options))

        yield {
            "mem0-integrations, turns": Ours(ours()),
            "mem0-integrations, sentences": Ours(ours(), infer=True, limit=SENTENCES),
            "the same by vectors alone": Ours(
                ours(ranking=vectors_alone()), infer=True, limit=SENTENCES
            ),
            "mem0-integrations, sentences, named": Ours(
                ours(extractor=WithSpeaker()), infer=True, limit=SENTENCES
            ),
            "the same, named, by vectors alone": Ours(
                ours(extractor=WithSpeaker(), ranking=vectors_alone()), infer=True, limit=SENTENCES
            ),
            "mem0.Memory.search, local Qdrant": mem0,
            "LangGraph InMemoryStore": LangGraph(embedder),
            "CrewAI LanceDBStorage": CrewAI(folder / "lance", embedder),
            "LangChain BM25 + vectors, ensemble": LangChain(embedder),
        }


def measured(
    embedder: Embedder, calls: Mapping[str, Callable[[int], Any]], rounds: int
) -> dict[str, Measured]:
    """Time calls in turns; each gets numbers from 0, and some below it to warm up."""
    found = {name: Measured([], [], []) for name in calls}
    chance = random.Random(0)
    gc.collect()
    for number in range(-WARM_UP, rounds):
        # In any order: what one leaves behind, in caches or running, meets all others alike.
        for name in chance.sample([*calls], len(calls)):
            embedder.seconds = 0.0
            began = perf_counter()
            result = calls[name](number)
            took = perf_counter() - began
            if number >= 0:
                found[name].results.append(result)
                found[name].times.append(took * 1000)
                found[name].embedding.append(embedder.seconds * 1000)
    return found


def compare(conversations: Sequence[Conversation]) -> None:
    embedder = KnowingEmbedder()
    embedder.learn(turn.text for found in conversations for turn in found.turns)
    asked = [(found.user, question) for found in conversations for question in found.questions]
    questions = [question for _, question in asked]
    new = list(itertools.islice(changed_turns(conversations), REMEMBERED + WARM_UP))
    with peers(embedder) as found:
        for peer, each in itertools.product(found.values(), conversations):
            peer.fill(each.user, each.turns)

        def recalling(peer: Peer) -> Callable[[int], object]:
            def call(number: int) -> list[str]:
                user, question = asked[number % len(asked)]
                return peer.recall(user, question.text)

            return call

        def remembering(peer: Peer) -> Callable[[int], object]:
            return lambda number: peer.remember(conversations[0].user, new[number + WARM_UP])

        recalls = measured(
            embedder, {name: recalling(peer) for name, peer in found.items()}, len(asked)
        )
        remembers = measured(
            embedder, {name: remembering(peer) for name, peer in found.items()}, REMEMBERED
        )
    quality = table(
        f"Recall at k of {len(asked)} questions about {len(conversations)} conversations of "
        f"{sum(len(each.turns) for each in conversations):,} turns",
        "memory",
        "k",
        *CATEGORIES.values(),
        ALL,
    )
    for name, recall in recalls.items():
        for k in CUTOFFS:
            shares = by_category(k, questions, recall.results)
            cells = [
                f"{shares[category]:.3f}" if category in shares else "-"
                for category in (*CATEGORIES.values(), ALL)
            ]
            first, last = k == CUTOFFS[0], k == CUTOFFS[-1]
            quality.add_row(name if first else "", str(k), *cells, end_section=last)
    quality.caption, quality.caption_justify = Text(STORED), "left"
    speed = table(
        f"The same recalls of {LIMIT} turns, and {REMEMBERED} turns remembered one by one: median "
        f"ms, and those of the embedder in them",
        "memory",
        "recall ms",
        "embedder ms",
        "remember ms",
        "embedder ms",
        "x embedder",
    )
    for name, recall in recalls.items():
        remember = remembers[name]
        speed.add_row(name, *recall.cells, *remember.cells, remember.multiple)
    CONSOLE.print(quality)
    CONSOLE.print(speed)


def changed_turns(conversations: Sequence[Conversation]) -> Iterator[Turn]:
    """Say the turns again and again, each time with other words in the place of some."""
    chance = random.Random(0)
    turns = [turn for each in conversations for turn in each.turns]
    words = [word for turn in turns for word in turn.text.split()]
    for again in itertools.count(1):
        for turn in turns:
            changed = (
                chance.choice(words) if chance.random() < CHANGED_WORDS else word
                for word in turn.text.split()
            )
            yield replace(
                turn,
                id=f"{turn.session}/{turn.id}/{again}",
                session=f"{turn.session}/{again}",
                text=" ".join(changed),
            )


def grow(conversations: Sequence[Conversation], sizes: Sequence[int]) -> None:
    embedder = KnowingEmbedder()
    asked = [question.text for each in conversations for question in each.questions]
    said = [turn for each in conversations for turn in each.turns]
    embedder.learn(turn.text for turn in said)
    vectors = itertools.cycle(nearby([embedder.known[turn.text] for turn in said]))
    changed = changed_turns(conversations)
    turns = itertools.chain(said, changed)
    user = conversations[0].user
    goals = ", ".join(f"{goal} ms at {size:,}" for size, goal in GOALS.items())
    result = table(
        f"Recall of {LIMIT} among the memories of a user, and one turn more: median ms, and those "
        f"of the embedder in them (to reach: a recall in {goals}; to remember in 2x embedder)",
        "memories",
        "recall ms",
        "embedder ms",
        "remember ms",
        "embedder ms",
        "x embedder",
    )
    with fresh_memory(embedder=embedder, **STRICT) as memory:
        ours, stored = Ours(memory), 0
        for size in sorted(sizes):
            missing = list(itertools.islice(turns, max(0, size - stored)))
            for turn in missing:
                # To compute them all would take minutes, and change no time.
                embedder.known.setdefault(turn.text, next(vectors))
            for session, together in itertools.groupby(missing, lambda turn: turn.session):
                messages = [{"role": "user", "content": t.text, "id": t.id} for t in together]
                memory.remember_many(messages, scope={"user_id": user}, thread_id=session)
            stored += len(missing)
            new = list(itertools.islice(changed, REMEMBERED + WARM_UP))
            calls: dict[str, Callable[[int], object]] = {
                "recall": lambda n: memory.recall(
                    asked[n % len(asked)], scope={"user_id": user}, limit=LIMIT
                ),
                "remember": lambda n: ours.remember(user, new[n + WARM_UP]),  # noqa: B023
            }
            took = measured(embedder, calls, REMEMBERED)
            cells = [*took["recall"].cells, *took["remember"].cells, took["remember"].multiple]
            result.add_row(f"{stored:,}", *cells)
            stored += len(new)
    CONSOLE.print(result)


def nearby(vectors: Sequence[Sequence[float]]) -> Iterator[list[float]]:
    """Yield a unit vector near each."""
    chance = np.random.default_rng(0)
    for vector in vectors:
        moved = np.array(vector) + chance.normal(scale=NOISE, size=len(vector))
        yield (moved / np.linalg.norm(moved)).tolist()


def cross_validate(conversations: Sequence[Conversation]) -> None:
    embedder = KnowingEmbedder()
    for each in conversations:
        embedder.learn(turn.text for turn in each.turns)
        embedder.learn(question.text for question in each.questions)
    default = Ranking()
    grid = [
        Ranking(**dict(zip(GRID, weights, strict=True)))
        for weights in itertools.product(*GRID.values())
    ]
    scores: dict[Ranking, dict[str, list[float]]] = {}
    with TemporaryDirectory() as folder:
        options: dict[str, Any] = {"data_dir": folder, "embedder": embedder, **STRICT}
        with connect("embedded", **options) as memory:
            for each in conversations:
                Ours(memory).fill(each.user, each.turns)
        settings = list(dict.fromkeys([default, *grid]))
        for setting in track(settings, "Settings", console=Console(stderr=True), transient=True):
            with connect("embedded", ranking=setting, **options) as memory:
                ours = Ours(memory, limit=VALIDATED)
                scores[setting] = {each.user: recalls(ours, each) for each in conversations}
    result = table(
        f"Recall at {VALIDATED} of each conversation with the weights, of {len(settings)}, that "
        f"are best on the others; means over questions",
        "left out",
        *GRID,
        f"recall@{VALIDATED}",
    )

    def add_row(name: str, setting: Ranking | None, score: float) -> None:
        weights = ["" if setting is None else str(getattr(setting, weight)) for weight in GRID]
        result.add_row(name, *weights, f"{score:.3f}")

    users = [each.user for each in conversations]
    held_out: list[float] = []
    for user in users:
        chosen = best_of(scores, [other for other in users if other != user])
        held_out += scores[chosen][user]
        add_row(user, chosen, fmean(scores[chosen][user]))
    add_row("mean", None, fmean(held_out))
    for name, setting in {
        "none: the best of all": best_of(scores, users),
        "none: the default": default,
    }.items():
        add_row(name, setting, mean_of(scores[setting], users))
    CONSOLE.print(result)


def recalls(peer: Peer, asked: Conversation) -> list[float]:
    return [
        recall_at(VALIDATED, peer.recall(asked.user, question.text), question.evidence)
        for question in asked.questions
    ]


def mean_of(scores: Mapping[str, Sequence[float]], users: Iterable[str]) -> float:
    return fmean(itertools.chain.from_iterable(scores[user] for user in users))


def best_of(
    scores: Mapping[Setting, Mapping[str, Sequence[float]]], users: Sequence[str]
) -> Setting:
    """Return the setting with the best mean over the questions of some users; else the first."""
    return max(scores, key=lambda setting: mean_of(scores[setting], users))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="recall_quality", description="Recall and its time, beside other memories."
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", nargs="?", help="conversations, as JSON")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--sizes",
        metavar="N",
        type=int,
        nargs="+",
        help="instead, the time of a recall among so many memories",
    )
    instead.add_argument(
        "--cross-validate",
        action="store_true",
        help="instead, weights of the ranking chosen on the other conversations",
    )
    given = parser.parse_args(arguments)
    try:
        if given.data_dir is None:
            raise DataError("DATA_DIR is missing: a folder of conversations in LoCoMo's format.")
        conversations = load(Path(given.data_dir))
        if given.cross_validate and len(conversations) < 2:
            raise DataError(f"{given.data_dir} holds one conversation; to leave one out takes two.")
    except DataError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    if given.sizes:
        grow(conversations, given.sizes)
    elif given.cross_validate:
        cross_validate(conversations)
    else:
        compare(conversations)


if __name__ == "__main__":
    main()
