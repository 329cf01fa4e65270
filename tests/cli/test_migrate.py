"""`mem0-integrations migrate-graph`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mem0_integrations.cli import app
from mem0_integrations.errors import ConfigurationError, ScopeError
from mem0_integrations.graph import EmbeddedEngine, GraphMemory
from tests.cli.test_cli import plain
from tests.graph.old_graph import write

ANN = {"user_id": "ann [x]"}
BOB = {"user_id": "bob"}


def config(folder: Path, name: str) -> str:
    """A config whose graph lies in a file of that name."""
    file = folder / f"{name}.json"
    store = {"provider": "embedded", "config": {"path": str(folder / f"{name}.kg")}}
    file.write_text(json.dumps({"graph_store": store}))
    return str(file)


@pytest.fixture
def old(tmp_path: Path) -> str:
    made = config(tmp_path, "old")
    engine = EmbeddedEngine(tmp_path / "old.kg")
    write(engine, "acme_[/b]", "is_in", "oslo", ANN)
    write(engine, "acme", "was_in", "rome", ANN, ended=1)
    write(engine, "acme", "is_in", "oslo", BOB)
    engine.close()
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["migrate-graph", *arguments])


def facts(folder: Path, name: str, owner: dict[str, str]) -> int:
    engine = EmbeddedEngine(folder / f"{name}.kg")
    found = len(GraphMemory(engine).history(scope=owner))
    engine.close()
    return found


def test_a_graph_is_migrated_within_one_database(old: str, tmp_path: Path) -> None:
    """It says what was found of whom, and the second time that nothing was new."""
    done = run("--config", old)
    assert done.exit_code == 0, done.output
    screen = plain(done.output)
    assert "user ann [x] 2 1 2" in screen
    assert "3 facts; 3 were written, 0 were there already." in screen
    assert "3 facts; 0 were written, 3 were there already." in plain(run("--config", old).output)
    assert facts(tmp_path, "old", ANN) == 2


def test_to_another_database_for_one_user(old: str, tmp_path: Path) -> None:
    """The others stay where they are."""
    new = config(tmp_path, "new")
    done = run("--config", new, "--source-config", old, "--user", "bob")
    assert done.exit_code == 0, done.output
    assert "ann" not in plain(done.output)
    assert facts(tmp_path, "new", BOB) == 1
    assert facts(tmp_path, "new", ANN) == facts(tmp_path, "old", BOB) == 0


def test_a_dry_run_makes_nothing(old: str, tmp_path: Path) -> None:
    """Not even the new file."""
    new = config(tmp_path, "new")
    done = run("--config", new, "--source-config", old, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "3 facts; this was a dry run, nothing was written." in plain(done.output)
    assert not (tmp_path / "new.kg").exists()
    assert facts(tmp_path, "old", ANN) == 0


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    """A script must notice that not everything came along."""
    made = config(tmp_path, "mixed")
    engine = EmbeddedEngine(tmp_path / "mixed.kg")
    write(engine, "a", "b", "c", ANN)
    write(engine, "a", "b", "d", ANN, target_owner=BOB)
    engine.close()
    done = run("--config", made)
    assert done.exit_code == 1
    assert "To look at: 1 relationships are left out" in plain(done.output)


def test_nothing_found(old: str) -> None:
    """It may be the wrong database, or a misspelled user."""
    done = run("--config", old, "--user", "nobody")
    assert done.exit_code == 1
    assert "Nothing was found that Mem0 1.x wrote" in plain(done.output)


def test_an_empty_user_is_not_everybody(old: str, tmp_path: Path) -> None:
    """As from a variable of the shell that is not set."""
    done = run("--config", old, "--user", "")
    assert isinstance(done.exception, ScopeError)
    assert facts(tmp_path, "old", ANN) == 0


def test_a_graph_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """A path that is misspelled would otherwise be an empty graph."""
    done = run("--config", config(tmp_path, "missing"))
    assert isinstance(done.exception, ConfigurationError)
    assert not (tmp_path / "missing.kg").exists()


def test_a_config_without_a_graph(tmp_path: Path) -> None:
    """The command says what it needs."""
    file = tmp_path / "config.json"
    file.write_text("{}")
    done = run("--config", str(file))
    assert isinstance(done.exception, ConfigurationError)
    assert "graph_store" in str(done.exception)
