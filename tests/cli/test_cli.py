from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from mem0_integrations import ConfigurationError, connect
from mem0_integrations.cli.agent import extractive_answer
from mem0_integrations.messages import Mem0Message
from tests.processes import environment
from tests.servers.openai import DIMENSION, running_openai

COMMAND = Path(sys.executable).with_name("mem0-integrations")


@dataclass(frozen=True)
class Shell:
    """A terminal with a home and a data folder of its own."""

    home: Path
    data: Path

    def run(
        self, *arguments: str, typed: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments],
            input=typed,
            env=environment(
                HOME=str(self.home), MEM0_DIR=str(self.data), **{"COLUMNS": "100", **variables}
            ),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


def new_shell(folder: Path) -> Shell:
    (folder / "home").mkdir()
    return Shell(folder / "home", folder / "data")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return new_shell(tmp_path)


def plain(text: str) -> str:
    """The words of a screen, wherever its lines and tables break."""
    return " ".join(re.sub("[│┃─━┏┓┗┛┡┩╇┳┴┼└┘├┤]", " ", text).split())


@dataclass(frozen=True)
class Demo:
    shell: Shell
    done: subprocess.CompletedProcess[str]

    @property
    def visits(self) -> list[str]:
        # Before the first heading is nothing.
        _, *visits = re.split(r"(?m)(?=^─+ \w+day )", self.done.stdout)
        return visits


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    shell = new_shell(tmp_path_factory.mktemp("demo"))
    return Demo(shell, shell.run("demo"))


class TestDemo:
    def test_it_succeeds_without_a_warning(self, demo: Demo) -> None:
        """It is the first thing that a newcomer runs."""
        assert (demo.done.returncode, demo.done.stderr) == (0, "")

    def test_the_visits_are_days_apart_in_processes_of_their_own(self, demo: Demo) -> None:
        """Memory that lives in a process or a thread proves nothing."""
        headings = [visit.partition("\n")[0] for visit in demo.visits]
        assert len(headings) == 2
        assert len({re.findall(r"process (\d+)", heading)[0] for heading in headings}) == 2
        assert len({re.findall(r"thread (\S+)", heading)[0] for heading in headings}) == 2
        assert len({re.findall(r"\d+ \w+ \d{4}", heading)[0] for heading in headings}) == 2

    @pytest.mark.parametrize(
        ("question", "fact"),
        [
            ("Do you remember my name?", "My name is Priya Raman."),
            ("What was wrong with the kettle I ordered?", "the kettle leaks at the base."),
            ("Which order number was that?", "My order 48213 arrived yesterday"),
            ("Will you call me about the replacement?", "I prefer e-mail to phone calls"),
            ("is there anything I am allergic to?", "I am allergic to peanuts"),
        ],
    )
    def test_the_second_visit_uses_what_the_first_stored(
        self, demo: Demo, question: str, fact: str
    ) -> None:
        """The main job: what was said days ago answers a question of today."""
        first, second = map(plain, demo.visits)
        assert re.search(rf"stored [^|]*{re.escape(fact)}", first)
        exchange = second.partition(question)[2].partition("Customer")[0]
        recalled, _, answer = exchange.partition("Agent This is what you told me about it:")
        assert fact in recalled
        assert "in visit-1" in recalled
        assert fact in answer

    def test_it_shows_where_the_memories_lie(self, demo: Demo) -> None:
        """Somebody who wants to delete or back them up must find them."""
        places = re.findall(r"(/\S+\.db)\b", demo.done.stdout)
        files = {Path(place) for place in places}
        assert {file.name for file in files} == {"memories.db", "history.db", "outbox.db"}
        assert all(file.is_file() and file.is_relative_to(demo.shell.data) for file in files)

    def test_nothing_is_written_outside_the_data_folder(self, demo: Demo) -> None:
        """Mem0, onnxruntime and others like to leave files in the home folder."""
        assert list(demo.shell.home.iterdir()) == []

    def test_it_leaves_the_memories_of_real_customers_alone(self, shell: Shell) -> None:
        """It begins with forgetting its own customer, whose name others may use."""
        scope = {"user_id": "customer-1"}
        with connect(data_dir=shell.data) as memory:
            memory.remember("My cat is called Ada.", scope=scope)
        shell.run("demo", "--visit", "1", "--data-dir", str(shell.data))
        with connect(data_dir=shell.data) as memory:
            assert [found.text for found in memory.list(scope=scope)] == ["My cat is called Ada."]


def remembered(score: float) -> dict[str, object]:
    return {"memory": "My kettle leaks.", "created_at": "2026-11-18T10:00:00Z", "score": score}


QUOTE = "- 2026-11-18: “My kettle leaks.”"


@pytest.mark.parametrize(
    ("said", "score", "answer"),
    [
        ("What is wrong with my kettle?", 0.4, f"This is what you told me about it:\n{QUOTE}"),
        ("Tell me about the kettle.", 0.4, f"This is what you told me about it:\n{QUOTE}"),
        ("My kettle is broken.", 0.4, "Thank you, I have noted that."),
        ("My kettle still leaks.", 0.8, f"This is what you told me about it:\n{QUOTE}"),
        ("Where is Oslo?", 0.1, "You have not told me anything about that yet."),
        ("My order 48213 is late, where is it?", 0.1, "Thank you, I have noted that."),
        ("Hello!", 0.1, "How can I help you?"),
    ],
)
def test_the_agent_quotes_what_was_asked_for(said: str, score: float, answer: str) -> None:
    """An agent that repeats old complaints at every message is not a help."""
    recalled = {"memories": [remembered(score)], "degraded": None}
    assert extractive_answer(said, recalled) == answer


def test_the_agent_does_not_quote_what_is_far_behind_the_best() -> None:
    """One good answer is hidden among four half-fitting ones."""
    recalled = {"memories": [remembered(0.6), remembered(0.3)], "degraded": None}
    assert extractive_answer("What is broken?", recalled).count(QUOTE) == 1


def test_the_agent_says_that_it_cannot_look_things_up() -> None:
    """`You have not told me` would be a lie when the store is down."""
    recalled = {"memories": [], "degraded": "BackendError: the store is down"}
    assert "cannot look up my notes" in extractive_answer("What is broken?", recalled)


class TestChat:
    def test_it_quotes_what_was_said_in_an_earlier_process(self, shell: Shell) -> None:
        """Without a model the answer is real retrieval, and it says so."""
        first = shell.run(
            "chat", "--user", "u", typed="I am Priya and my order is 48213.\n/memories\n/quit\n"
        )
        assert (first.returncode, first.stderr) == (0, "")
        assert "No model" in first.stdout
        assert "Agent: Thank you, I have noted that." in first.stdout
        assert re.search(r"1 memory .* I am Priya and my order is 48213\.", plain(first.stdout))
        second = shell.run("chat", "--user", "u", typed="What is my order number?\n")
        assert (second.returncode, second.stderr) == (0, "")
        assert "“I am Priya and my order is 48213.”" in second.stdout
        stranger = shell.run("chat", "--user", "v", typed="What is my order number?\n")
        assert "You have not told me anything about that yet." in stranger.stdout

    def test_forget_asks_first(self, shell: Shell) -> None:
        """A slip of the fingers must not erase a customer."""
        with connect(data_dir=shell.data) as memory:
            memory.remember("I like tea.", scope={"user_id": "u"})
        done = shell.run("chat", "--user", "u", typed="/forget\nn\n/forget\ny\n/memories\n/quit\n")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("Erase everything about u? [y/N]") == 2
        kept, _, erased = done.stdout.partition("Nothing was erased.")
        assert "Erased" not in kept
        assert "Erased 1 memory" in erased
        assert "I do not remember anything." in erased

    def test_an_input_that_ends_at_a_question_erases_nothing(self, shell: Shell) -> None:
        """A closed terminal is not a yes, and not a crash."""
        done = shell.run("chat", "--user", "u", typed="I like tea.\n/forget\n")
        assert (done.returncode, done.stderr) == (0, "")
        assert "Nothing was erased." in done.stdout
        with connect(data_dir=shell.data) as memory:
            assert len(memory.list(scope={"user_id": "u"})) == 1

    def test_what_is_said_is_not_read_as_markup(self, shell: Shell) -> None:
        """A message with brackets must neither vanish nor end the conversation."""
        done = shell.run("chat", "--user", "[u]", typed="My shelf is [/b] and [red].\n/memories\n")
        assert (done.returncode, done.stderr) == (0, "")
        assert "Customer support for [u]." in done.stdout
        assert "My shelf is [/b] and [red]." in done.stdout

    def test_a_model_answers_and_extracts(self, shell: Shell) -> None:
        """`--model` replaces both halves: the answer, and what Mem0 keeps of the turn."""
        with running_openai(
            answer="We will send you a new kettle.", memories=["User's kettle leaks"]
        ) as server:
            key = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "test"}
            model = ("--model", "openai:gpt-test")
            first = shell.run(
                "chat", "--user", "u", *model, typed="My kettle leaks.\n/memories\n", **key
            )
            second = shell.run("chat", "--user", "u", *model, typed="Is my kettle ok?\n", **key)
        assert (first.returncode, first.stderr) == (0, "")
        assert (second.returncode, second.stderr) == (0, "")
        assert "Agent: We will send you a new kettle." in first.stdout
        assert "User's kettle leaks" in first.stdout
        assert len(server.extractions) == 2
        assert all(chat["stream"] for chat in server.chats)
        before, after = (chat["messages"][0] for chat in server.chats)
        assert before["role"] == after["role"] == "system"
        assert "User's kettle leaks" not in before["content"]
        assert "User's kettle leaks" in after["content"]

    def test_a_model_that_fails_does_not_end_the_conversation(self, shell: Shell) -> None:
        """The next message may get through; a traceback helps no customer."""
        done = shell.run(
            "chat",
            *("--user", "u", "--model", "openai:gpt-test"),
            typed="My kettle leaks.\n/memories\n/quit\n",
            # Nothing listens there.
            OPENAI_BASE_URL="http://127.0.0.1:9/v1",
            OPENAI_API_KEY="test",
        )
        assert (done.returncode, done.stderr) == (0, "")
        shown = " ".join(done.stdout.split())
        assert "ConnectionError: Connection error.; what you said is queued" in shown
        assert "still queued; the next start stores them" in shown
        counts = shell.run("doctor").stdout
        assert "1 queued" in counts

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--user", "u", "--model", "openai:gpt-test"], "OPENAI_API_KEY"),
            (["--user", "u", "--model", "mistralai:m"], "pip install langchain-mistralai"),
            (["--user", "u", "--model", "nonsense"], "The model 'nonsense' cannot be used"),
            (["--user", " "], "user_id is empty"),
        ],
    )
    def test_what_cannot_work_is_one_line(
        self, shell: Shell, arguments: list[str], message: str
    ) -> None:
        """The line says what to do; a traceback does not."""
        done = shell.run("chat", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("Error: ")
        assert message in line


class Unreadable:
    """An extractor that fails in a way that no retry cures."""

    def extract(self, messages: Sequence[Mem0Message]) -> list[str]:
        raise ConfigurationError(f"cannot read [{len(messages)}] messages")


class TestDoctor:
    def test_a_healthy_installation(self, shell: Shell) -> None:
        """It says what is in use, so that a surprise is seen."""
        done = shell.run("doctor")
        assert (done.returncode, done.stderr) == (0, "")
        screen = plain(done.stdout)
        for part in ("mem0ai 2.", "langgraph 1.", "MiniLMEmbedder", "SentenceExtractor"):
            assert part in screen
        assert str(shell.data / "embedded" / "memories.db") in done.stdout
        assert "answers yes" in screen
        assert "0 queued, 0 dead, 0 delivered" in screen
        assert "All is well." in screen

    def test_dead_letters_are_shown_and_delivered_again(self, shell: Shell) -> None:
        """A write that was given up is not lost, if somebody is told how to get it back."""
        scope = {"user_id": "u"}
        with connect(data_dir=shell.data, extractor=Unreadable()) as memory:
            assert memory.remember("I like tea.", scope=scope).status == "failed"
        shown = shell.run("doctor")
        assert (shown.returncode, shown.stderr) == (1, "")
        screen = plain(shown.stdout)
        assert "0 queued, 1 dead, 0 delivered" in screen
        assert "Scope(user_id='u')" in screen
        assert "cannot read [1] messages" in screen
        assert "mem0-integrations doctor --replay" in screen
        assert "I like tea" not in screen
        replayed = shell.run("doctor", "--replay")
        assert (replayed.returncode, replayed.stderr) == (0, "")
        assert "0 queued, 0 dead, 1 delivered" in plain(replayed.stdout)
        with connect(data_dir=shell.data) as memory:
            assert [found.text for found in memory.list(scope=scope)] == ["I like tea."]

    def test_the_index_of_the_words_is_made_again(self, shell: Shell) -> None:
        """A file that was copied while it was written may lack a part of it."""
        scope = {"user_id": "u"}
        with connect(data_dir=shell.data) as memory:
            memory.remember_many(["My code is KX-4711.", "I like tea."], scope=scope)
        with closing(sqlite3.connect(shell.data / "embedded" / "memories.db")) as connection:
            connection.execute("INSERT INTO memories_text (memories_text) VALUES ('delete-all')")
            connection.commit()
        done = shell.run("doctor", "--reindex")
        assert (done.returncode, done.stderr) == (0, "")
        assert "The words of 2 memories are indexed again." in plain(done.stdout)
        with connect(data_dir=shell.data) as memory:
            [best, *_] = memory.recall("kx 4711", scope=scope, explain=True).memories
        assert best.signals is not None
        assert best.signals["lexical"] > 0.5

    def test_a_folder_that_is_in_use_names_the_way_out(self, shell: Shell) -> None:
        """The usual reason: a program of one's own is still running."""
        with connect(data_dir=shell.data) as memory:
            memory.remember("I like tea.", scope={"user_id": "u"})
            examined = shell.run("doctor")
            refused = shell.run("chat", "--user", "u")
        assert (examined.returncode, examined.stderr) == (1, "")
        screen = plain(examined.stdout)
        assert "in use by another process" in screen
        assert "MEM0_DIR" in screen
        assert "holds 0 queued, 0 dead, 1 delivered" in screen
        assert (refused.returncode, refused.stdout) == (1, "")
        (line,) = refused.stderr.splitlines()
        assert "in use by another process" in line

    def test_a_corrupt_outbox_is_named(self, shell: Shell) -> None:
        """Which file it is, is what one has to know."""
        outbox = shell.data / "embedded" / "outbox.db"
        outbox.parent.mkdir(parents=True)
        outbox.write_bytes(b"this is no database" * 1000)
        done = shell.run("doctor")
        assert (done.returncode, done.stderr) == (1, "")
        assert str(outbox) in done.stdout
        assert plain(done.stdout).count("To fix:") == 1
        assert outbox.read_bytes() == b"this is no database" * 1000

    @pytest.mark.parametrize("text", ["{not json", "[1, 2]"])
    def test_a_config_that_cannot_be_read_is_one_line(self, shell: Shell, text: str) -> None:
        """The file's name, not a traceback of the JSON module."""
        config = shell.home / "config.json"
        config.write_text(text)
        done = shell.run("doctor", "--config", str(config))
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert str(config) in line

    def test_a_mem0_config_is_examined(self, shell: Shell) -> None:
        """The same questions for a Mem0 of one's own: which store, does it answer."""
        config = shell.home / "config.json"
        with running_openai(answer="", memories=[]) as server:
            key = {"api_key": "test", "openai_base_url": server.url}
            store = {"path": str(shell.data / "qdrant"), "on_disk": True}
            store |= {"collection_name": "notes", "embedding_model_dims": DIMENSION}
            parts = {
                "vector_store": {"provider": "qdrant", "config": store},
                "embedder": {"provider": "openai", "config": key},
                "llm": {"provider": "openai", "config": key},
                "history_db_path": str(shell.data / "history.db"),
            }
            config.write_text(json.dumps(parts))
            done = shell.run("doctor", "--config", str(config))
        assert (done.returncode, done.stderr) == (0, "")
        screen = plain(done.stdout)
        assert "Qdrant(" in screen
        assert "collection_name=notes" in screen
        assert "answers yes" in screen
        assert "OpenAIEmbedding" in screen
