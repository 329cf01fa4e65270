from __future__ import annotations

import re
import tomllib
from pathlib import Path

import mem0_integrations

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]


def test_the_version_is_said_in_one_place() -> None:
    """Of two that disagree, a bug report names the wrong one."""
    assert "version" not in PROJECT
    assert PROJECT["dynamic"] == ["version"]
    source = (ROOT / PYPROJECT["tool"]["hatch"]["version"]["path"]).read_text()
    said = re.findall(r'^__version__ = "(\d+\.\d+\.\d+)"$', source, re.MULTILINE)
    assert said == [mem0_integrations.__version__]


def test_the_changelog_begins_with_this_version() -> None:
    """What a version changes is written before it is published."""
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == mem0_integrations.__version__
