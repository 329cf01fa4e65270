"""The graph on the terminal: as a table, as a page, and what `doctor` says of it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from mem0_integrations import AgentMemory, ExtractionError, connect
from mem0_integrations.cli import app
from mem0_integrations.cli.doctor import _examine_graph
from mem0_integrations.graph import GraphMemory, Neo4jEngine
from mem0_integrations.outbox.ledger import Ledger
from mem0_integrations.places import graph_outbox_path
from tests.cli.test_cli import Shell, new_shell, plain
from tests.graph.facts import follower_of, graph_of

ANN = {"user_id": "ann [x]"}


def fill(folder: Path) -> None:
    """Ann has moved and likes brackets; Bob is somebody else."""
    with connect(graph=True, data_dir=folder) as memory:
        memory.remember("I live in Oslo. I work at Acme [/b].", scope=ANN)
        memory.remember("I moved to Bergen.", scope=ANN)
        memory.remember("I live in Rome.", scope={"user_id": "bob"})
        assert memory.flush(30)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    shell = new_shell(tmp_path_factory.mktemp("graph"))
    fill(shell.data)
    return shell


@pytest.fixture
def empty(tmp_path: Path) -> Shell:
    return new_shell(tmp_path)


def test_a_table_of_the_facts_of_one_user(filled: Shell) -> None:
    """What holds, since when, and what was said; nothing of anybody else, and no markup."""
    done = filled.run("graph", "--user", "ann [x]")
    assert (done.returncode, done.stderr) == (0, "")
    screen = plain(done.stdout)
    assert "user ann [x]: 2 facts" in screen
    assert "ann [x] lives_in Bergen" in screen
    assert "I moved to Bergen." in screen
    assert "I work at Acme [/b]." in screen
    assert "Oslo" not in screen
    assert "Rome" not in screen


def test_the_history_shows_what_has_ended(filled: Shell) -> None:
    """And until when it held."""
    done = filled.run("graph", "--user", "ann [x]", "--history", COLUMNS="200")
    assert "until" in done.stdout
    assert "ann [x] lives_in Oslo" in plain(done.stdout)


def test_who_asks_for_less_is_told_that_there_is_more(filled: Shell) -> None:
    """Else the latest look like all."""
    done = filled.run("graph", "--user", "ann [x]", "--limit", "1")
    assert "1 fact (the latest; --limit shows more)" in plain(done.stdout)


def test_a_page(filled: Shell, tmp_path: Path) -> None:
    """A file that opens in a browser."""
    target = tmp_path / "out.html"
    done = filled.run("graph", "--user", "ann [x]", "--html", str(target))
    assert (done.returncode, done.stderr) == (0, "")
    assert str(target) in done.stdout
    page = target.read_text(encoding="utf-8")
    assert page.lstrip().startswith("<!DOCTYPE html>")
    assert "<h1>What is known of user ann [x]</h1>" in page
    assert "I moved to Bergen." in page
    assert "Rome" not in page


def test_nothing_known_says_where_to_look(filled: Shell) -> None:
    """The graph follows a little later: it may be on its way."""
    done = filled.run("graph", "--user", "nobody")
    assert (done.returncode, done.stderr) == (0, "")
    assert "doctor --graph" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "user_id"),
        (["--user", " "], "user_id is empty"),
        (["--user", "u", "--limit", "0"], "limit"),
        (["--user", "u", "--html", "/no/such/folder/x.html"], "Cannot write /no/such/folder"),
    ],
)
def test_what_cannot_work_is_one_line(filled: Shell, arguments: list[str], message: str) -> None:
    """The line says what to do; a traceback does not."""
    done = filled.run("graph", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert message in line


def test_looking_makes_no_graph(empty: Shell) -> None:
    """A slip in --data-dir must not look like an empty graph."""
    done = empty.run("graph", "--user", "u")
    assert (done.returncode, done.stdout) == (1, "")
    assert "connect(graph=True)" in done.stderr
    config = empty.home / "config.json"
    store = {"provider": "embedded", "config": {"path": str(empty.data / "g.kg")}}
    config.write_text(json.dumps({"graph_store": store}))
    done = empty.run("graph", "--user", "u", "--config", str(config))
    assert str(empty.data / "g.kg") in done.stderr
    config.write_text("{}")
    assert "graph_store" in empty.run("graph", "--user", "u", "--config", str(config)).stderr
    done = empty.run("doctor", "--graph")
    assert (done.returncode, done.stderr) == (0, "")
    assert "none yet in" in done.stdout
    assert not list(empty.data.rglob("*.kg"))


def test_a_graph_of_a_config_is_shown(filled: Shell) -> None:
    """Nothing else of the config is needed for it: no model, no key."""
    config = filled.home / "config.json"
    store = {"provider": "embedded", "config": {"path": str(filled.data / "graph" / "graph.kg")}}
    config.write_text(json.dumps({"graph_store": store}))
    done = filled.run("graph", "--user", "bob", "--config", str(config))
    assert (done.returncode, done.stderr) == (0, "")
    assert "bob lives_in Rome" in plain(done.stdout)


def test_a_graph_in_use_names_the_way_out(empty: Shell) -> None:
    """One process at a time has an embedded graph open."""
    with connect(graph=True, data_dir=empty.data) as memory:
        memory.graph.relations(scope=ANN)
        done = empty.run("graph", "--user", "u")
        examined = empty.run("doctor", "--graph")
    assert (done.returncode, done.stdout) == (1, "")
    assert "another process has this graph open" in done.stderr
    assert examined.returncode == 1
    assert "To fix: The graph does not answer:" in plain(examined.stdout)


def test_doctor_says_which_engine_answers_and_what_waits(filled: Shell) -> None:
    """It finds the embedded graph of the folder by itself."""
    done = filled.run("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    screen = plain(done.stdout)
    assert "Graph engine kglite" in screen
    assert "Outbox of the graph holds 0 queued, 0 dead, 3 delivered" in screen


def break_graph(memory: AgentMemory) -> None:
    """Leave one change of the graph behind that was given up."""

    def fail(*_: object, **__: object) -> None:
        raise ExtractionError("the answer [is] no JSON")

    outbox = follower_of(memory).outbox
    outbox._failures._retry = type(outbox._retry)(attempts=1)
    graph_of(memory)._extractor = type("Broken", (), {"extract": fail})()
    memory.remember("I live in Oslo.", scope=ANN)
    assert memory.flush(30)


def test_doctor_delivers_again_what_the_graph_gave_up(empty: Shell) -> None:
    """And tells why it was given up; looking alone delivers nothing."""
    with connect(graph=True, data_dir=empty.data) as memory:
        break_graph(memory)
    shown = empty.run("doctor", COLUMNS="200")
    assert (shown.returncode, shown.stderr) == (1, "")
    screen = plain(shown.stdout)
    assert "Outbox of the graph holds 0 queued, 1 dead, 0 delivered" in screen
    assert "the answer [is] no JSON" in screen
    assert "mem0-integrations doctor --replay" in screen
    replayed = empty.run("doctor", "--replay")
    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert "Outbox of the graph holds 0 queued, 0 dead, 1 delivered" in plain(replayed.stdout)
    assert "lives_in Oslo" in plain(empty.run("graph", "--user", "ann [x]").stdout)


def test_looking_delivers_nothing_to_the_graph(empty: Shell) -> None:
    """What a model is to extract must not be extracted by whoever looks."""
    with connect(graph=True, data_dir=empty.data) as memory:
        break_graph(memory)
        outbox = graph_outbox_path(Path(memory.describe()["outbox"]))
    with closing(Ledger(outbox)) as ledger:
        assert ledger.replay() == 1
    assert "Outbox of the graph holds 1 queued" in plain(empty.run("doctor").stdout)


def test_a_server_that_is_away_is_something_to_fix(capsys: pytest.CaptureFixture[str]) -> None:
    """Without what its driver says to itself, and without the password."""
    engine = Neo4jEngine(
        "bolt://127.0.0.1:9", username="neo4j", password="not-a-secret", timeout=0.5
    )
    fixes: list[str] = []
    _examine_graph(Console(), GraphMemory(engine), None, fixes)
    engine.close()
    screen = capsys.readouterr()
    assert "answers  no" in screen.out
    assert screen.err == ""
    [fix] = fixes
    assert fix.startswith("The graph does not answer: ")
    assert "not-a-secret" not in fix


def test_a_graph_store_that_says_nothing_is_something_to_fix(tmp_path: Path) -> None:
    """`connect` refuses it; "all is well" would be no help."""
    file = tmp_path / "config.json"
    file.write_text('{"graph_store": {}}')
    done = CliRunner().invoke(app, ["doctor", "--config", str(file), "--data-dir", str(tmp_path)])
    assert done.exit_code == 1
    assert "graph_store.provider must be one of" in plain(done.output)
