"""The benchmark of recall: what it reads, how it counts, and that it runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from benchmarks import recall_quality
from benchmarks.recall_quality import (
    CUTOFFS,
    DataError,
    KnowingEmbedder,
    Ours,
    Question,
    WithSpeaker,
    best_of,
    by_category,
    changed_turns,
    evidence_of,
    load,
    main,
    recall_at,
)
from mem0_integrations import AgentMemory

PROJECT = Path(__file__).parents[1]
SESSION = "1:56 pm on 8 May, 2023"
PEERS = (
    "mem0-integrations, turns",
    "mem0-integrations, sentences",
    "the same by vectors alone",
    "mem0-integrations, sentences, named",
    "the same, named, by vectors alone",
    "mem0.Memory.search, local Qdrant",
    "LangGraph InMemoryStore",
    "CrewAI LanceDBStorage",
    "LangChain BM25 + vectors, ensemble",
)


def turn(dia_id: str, speaker: str, text: str, caption: str | None = None) -> dict[str, str]:
    shared = {} if caption is None else {"blip_caption": caption}
    return {"dia_id": dia_id, "speaker": speaker, "text": text, **shared}


def asked(
    question: str, category: int, evidence: list[str], answer: object = "yes"
) -> dict[str, Any]:
    return {"question": question, "answer": answer, "evidence": evidence, "category": category}


PRIYA: dict[str, Any] = {
    "speaker_a": "Priya",
    "speaker_b": "Tom",
    # LoCoMo's files have times of sessions that they do not have.
    "session_3_date_time": SESSION,
    "session_10_date_time": "12:05 am on 1 June, 2023",
    "session_10": [
        turn("D10:1", "Tom", "My sister Ada moved to Bergen to work as a nurse."),
        turn("D10:2", "Priya", "I repaired my old bicycle yesterday.", "a red bicycle"),
    ],
    "session_2_date_time": SESSION,
    "session_2": [
        turn("D2:1", "Priya", "Hi Tom! I adopted a grey cat called Miso."),
        turn("D2:2", "Tom", "I am allergic to peanuts, so I bake almond cookies."),
    ],
    "qa": [
        asked("What is the name of Priya's grey cat?", 4, ["D2:1"]),
        asked("Which cookies does Tom bake, and who is his sister?", 1, ["D2:2; D10:1"]),
        asked("When did Priya repair her bicycle?", 2, ["D10:2"], 2023),
        asked("What is the name of Tom's grey cat?", 5, ["D2:1"]),
        asked("Would Priya like a dog?", 3, []),
        asked("Does Tom like tea?", 4, ["D2:2"], ""),
        asked("Where did they meet?", 4, ["D7:1"]),
    ],
}
NORA: dict[str, Any] = {
    "session_1_date_time": SESSION,
    "session_1": [
        turn("D1:1", "Nora", "I play the cello in an orchestra."),
        turn("D1:2", "Sam", "I run a small bakery in Lisbon."),
    ],
    "qa": [asked("Which instrument does Nora play in the orchestra?", 4, ["D1:1"])],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two conversations in the format of LoCoMo."""
    made = tmp_path / "conversations"
    made.mkdir()
    for name, data in {"nora": NORA, "priya": PRIYA}.items():
        (made / f"{name}.json").write_text(json.dumps(data))
    return made


def test_turns_are_read_in_order_with_speaker_caption_and_time(folder: Path) -> None:
    """What is stored, and in which order, makes the figures comparable."""
    _, priya = load(folder)
    assert [turn.id for turn in priya.turns] == ["D2:1", "D2:2", "D10:1", "D10:2"]
    assert priya.turns[0].text == "Priya: Hi Tom! I adopted a grey cat called Miso."
    assert priya.turns[3].text.endswith("yesterday. [shares a red bicycle]")
    assert [turn.said_at for turn in priya.turns[1:3]] == [
        datetime(2023, 5, 8, 13, 56, 1, tzinfo=UTC),
        datetime(2023, 6, 1, 0, 5, tzinfo=UTC),
    ]
    assert [turn.session for turn in priya.turns[1:3]] == ["priya/session_2", "priya/session_10"]


def test_only_questions_that_turns_answer_are_asked(folder: Path) -> None:
    """Adversarial ones, and those without an answer or evidence, would only lower the figures."""
    _, priya = load(folder)
    assert [(question.category, question.evidence) for question in priya.questions] == [
        (4, {"D2:1"}),
        (1, {"D2:2", "D10:1"}),
        (2, {"D10:2"}),
    ]


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        (["D8:6; D9:17"], {"D8:6", "D9:17"}),
        (["D9:1 D4:4 D4:6"], {"D9:1", "D4:4", "D4:6"}),
        (["D1:3", "D1:3"], {"D1:3"}),
        (["D30:05"], {"D30:5"}),
        (["D"], set()),
        ([], set()),
    ],
)
def test_evidence_may_be_written_in_many_ways(given: list[str], ids: set[str]) -> None:
    """Ids that are read wrongly are never found."""
    assert evidence_of(given) == ids


@pytest.mark.parametrize(
    ("k", "found", "share"),
    [
        (1, ["a", "b", "x"], 0.5),
        (2, ["a", "b", "x"], 1.0),
        (2, ["x", "a", "b"], 0.5),
        (5, ["x", "y"], 0.0),
        (5, [], 0.0),
    ],
)
def test_recall_is_the_share_of_the_evidence_among_the_first(
    k: int, found: list[str], share: float
) -> None:
    """Not whether any of it is there."""
    assert recall_at(k, found, frozenset({"a", "b"})) == share


def test_recall_is_averaged_over_questions_by_category() -> None:
    """A question counts once, however much evidence it has."""
    questions = [
        Question("one", 4, frozenset({"a"})),
        Question("two", 4, frozenset({"a", "b", "c", "d"})),
        Question("three", 2, frozenset({"b"})),
    ]
    shares = by_category(2, questions, [["a", "x"], ["a", "b"], ["x", "y", "b"]])
    assert shares == {"single-hop": 0.75, "all": 0.5, "temporal": 0.0}


def test_what_is_left_out_does_not_choose() -> None:
    """Else the figure says nothing about conversations that nobody has seen."""
    scores = {"low": {"a": [0.9, 0.9], "b": [0.1]}, "high": {"a": [0.2, 0.2], "b": [0.8]}}
    assert best_of(scores, ["a"]) == "low"
    assert best_of(scores, ["b"]) == "high"
    # Over questions, of which one conversation has more than the other.
    assert best_of(scores, ["a", "b"]) == "low"


def test_each_sentence_gets_its_speaker() -> None:
    """Who is asked about is said once a turn, and each sentence becomes a memory."""
    said = "Tom: Hi! I moved to Oslo. I like it: the sea is near. [shares a boat]"
    assert WithSpeaker().extract([{"role": "user", "content": said}]) == [
        "Tom: I moved to Oslo.",
        "Tom: I like it: the sea is near.",
        "Tom: [shares a boat]",
    ]


def test_sentences_of_one_turn_count_once(shared: AgentMemory, user: str, folder: Path) -> None:
    """A turn of many sentences would fill the first ten places by itself."""
    _, priya = load(folder)
    ours = Ours(shared, infer=True)
    ours.fill(user, priya.turns)
    texts = [memory.text for memory in shared.list(scope={"user_id": user})]
    assert len(texts) > len(priya.turns)
    found = ours.recall(user, "Which bicycle did Priya repair?")
    assert found[0] == "D10:2"
    assert len(found) == len(set(found))


def test_turns_are_changed_without_an_end(folder: Path) -> None:
    """Memories that say the same would be thinned out."""
    turns = list(islice(changed_turns(load(folder)), 60))
    assert len({turn.id for turn in turns}) == 60
    assert len({turn.text for turn in turns}) > 40


def test_only_what_is_not_known_is_embedded() -> None:
    """The time of the embedder stands beside that of a recall."""
    embedder = KnowingEmbedder()
    embedder.learn(["I like tea."])
    known = embedder.known["I like tea."]
    embedder.known["I like tea."] = [0.5]
    assert embedder.embed_query("I like tea.") == [0.5]
    embedder.seconds = 0.0
    one, other = embedder.embed_documents(["I like tea.", "I like it too."])
    assert (one, len(other)) == ([0.5], len(known))
    assert embedder.seconds > 0


@pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset")
@pytest.mark.filterwarnings("ignore:create_scalar_index is deprecated")
def test_all_are_compared(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among so few turns each finds what was asked for, if its results are read rightly."""
    monkeypatch.setattr(recall_quality, "REMEMBERED", 2)
    main([str(folder)])
    quality, speed = re.split(r"(?=The same recalls)", capsys.readouterr().out)
    assert "4 questions about 2 conversations of 6 turns" in quality
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in quality.splitlines()]
    rows = [row for row in rows if row]
    assert [row[0] for row in rows[:: len(CUTOFFS)]] == list(PEERS)
    assert [int(row[1]) for row in rows] == [*CUTOFFS] * len(PEERS)
    for row in rows:
        assert row[2:] == ["1.000", "1.000", "-", "1.000", "1.000"], row
    for name in PEERS:
        assert re.search(rf"{re.escape(name)}( *│ *\d+\.\d){{5}} *│\n", speed), name


def test_growth_is_shown(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recall among many memories is what users wait for."""
    monkeypatch.setattr(recall_quality, "REMEMBERED", 2)
    main([str(folder), "--sizes", "4", "30"])
    shown = capsys.readouterr().out
    for size in (4, 30):
        assert re.search(rf"│ {size} ( *│ *\d+\.\d){{5}} *│\n", shown), size


def test_weights_are_cross_validated(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that were chosen on the questions that they are measured by prove nothing."""
    grid = dict.fromkeys(recall_quality.GRID, (0.0,)) | {"vector": (0.0, 0.5)}
    monkeypatch.setattr(recall_quality, "GRID", grid)
    main([str(folder), "--cross-validate"])
    shown = capsys.readouterr().out
    assert "of 3, that are best" in " ".join(shown.split())
    rows = re.findall(r"│ (\w[^│]*?) *│.*│ *(\d\.\d{3}) │\n", shown)
    assert [name for name, _ in rows] == [
        "nora",
        "priya",
        "mean",
        "none: the best of all",
        "none: the default",
    ]
    assert rows[-1][1] == "1.000"


@pytest.mark.parametrize("way", [["-m", "benchmarks.recall_quality"], ["recall_quality.py"]])
def test_a_missing_folder_is_told_in_one_line(way: list[str], tmp_path: Path) -> None:
    """As a module or as a file; a traceback would not say what to do."""
    cwd = PROJECT if "-m" in way else PROJECT / "benchmarks"
    ran = subprocess.run(
        [sys.executable, *way, str(tmp_path / "nowhere")],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    (line,) = ran.stderr.splitlines()
    assert "nowhere cannot be read as a folder (No such file or directory)" in line


@pytest.mark.parametrize("content", ["[]", "{", '{"qa": []}', '{"session_1": [{}], "qa": []}'])
def test_a_file_of_something_else_is_named(folder: Path, content: str) -> None:
    """A folder that holds other JSON files is a likely slip."""
    (folder / "other.json").write_text(content)
    with pytest.raises(DataError, match=r"other\.json is no conversation"):
        load(folder)


@pytest.mark.parametrize(
    ("arguments", "complaint"), [([], "DATA_DIR is missing"), (["."], "holds no conversation")]
)
def test_no_data_is_told_in_one_line(
    arguments: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The data is not shipped: this is what everybody sees first."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
