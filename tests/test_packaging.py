from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mem0_integrations

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]


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


def test_the_library_alone_brings_nothing_of_the_command() -> None:
    """A server or a worker has no use for a terminal's colours."""
    bare = {Requirement(line).name for line in PROJECT["dependencies"]}
    assert bare == {"filelock", "mem0ai", "platformdirs", "requests", "tenacity"}
    assert {Requirement(line).name for line in EXTRAS["cli"]} == {"rich", "typer"}


def test_all_is_every_extra_for_users() -> None:
    """Who asks for everything should not find that one is missing."""
    assert {Requirement(line).name for line in EXTRAS["all"]} == {PROJECT["name"]}
    listed = set().union(*(Requirement(line).extras for line in EXTRAS["all"]))
    assert listed == EXTRAS.keys() - {"all", "dev"}


def test_the_readme_says_what_each_extra_brings() -> None:
    """An extra that nobody finds is installed by nobody."""
    table = (ROOT / "README.md").read_text().partition("\n| extra | brings |")[2]
    rows = table.partition("\n\n")[0].splitlines()[2:]
    told = {extra for row in rows for extra in re.findall(r"`([\w-]+)`", row.split("|")[1])}
    assert told == EXTRAS.keys() - {"all", "dev"}


def test_the_constraints_are_what_pyproject_allows() -> None:
    """A package that is not pinned is another one tomorrow, and the tests say nothing of it."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(name): version for name, version in map(parts_of, lines)}
    for line in [*PROJECT["dependencies"], *chain.from_iterable(EXTRAS.values())]:
        wanted = Requirement(line)
        if wanted.name != PROJECT["name"]:
            assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), line


def parts_of(line: str) -> tuple[str, str]:
    """A name and a version: neither an editable install nor a file is one on another machine."""
    pin = re.fullmatch(r"([\w.-]+)==([\w.!+-]+)", line)
    assert pin is not None, line
    return pin[1], pin[2]
