from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
from mem0 import MemoryClient
from typer.core import TyperGroup
from typer.main import get_command

from mem0_integrations.cli import app
from tests.extras import needs_crewai
from tests.servers.openai import running_openai
from tests.servers.platform import Project, Running
from tests.servers.postgres import with_iterative_scan

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(
    r"(?:<!-- needs: (?P<needs>[^\n]*) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.S
)


def blocks(kind: str, text: str = README) -> list[re.Match[str]]:
    return [block for block in BLOCK.finditer(text) if block["kind"] == kind]


SECTIONS = {
    section.partition("\n")[0]: found
    for section in README.split("\n## ")[1:]
    if (found := blocks("python", section))
}


@pytest.fixture
def needs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The servers that the blocks of a section say they need."""
    wanted = {need for block in request.param for need in (block["needs"] or "").split(", ")}
    if "postgres" in wanted:
        url = request.getfixturevalue("postgres_url")
        monkeypatch.setenv("DATABASE_URL", with_iterative_scan(url))
    if "platform" in wanted:
        server = request.getfixturevalue("running")
        monkeypatch.setenv("MEM0_HOST", server.url)
        monkeypatch.setenv("MEM0_API_KEY", server.new_project().key)
    with running_openai(answer="Hello.", memories=["The kettle leaks at the base"]) as server:
        if "openai" in wanted:
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            monkeypatch.setenv("OPENAI_API_KEY", "test")
        yield


@pytest.mark.parametrize(
    ("section", "needs"),
    [
        pytest.param(name, found, id=name, marks=needs_crewai if name == "CrewAI" else ())
        for name, found in SECTIONS.items()
    ],
    indirect=["needs"],
)
def test_the_code_of_a_section_does_what_it_shows(
    section: str, needs: None, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Code in a README is copied before anything else is read."""
    namespace: dict[str, Any] = {"__name__": "readme"}
    for block in SECTIONS[section]:
        exec(compile(block["text"], f"README.md, {section}", "exec"), namespace)
        expected = re.findall(r"(?m)^ *# (?!crew = )(.*)$", block["text"])
        printed = capsys.readouterr().out.splitlines()
        if block["needs"] == "crewai":
            # CrewAI draws panels of what it does.
            printed = [line for line in printed if line.strip() and line[0] not in "╭│╰"]
        assert printed == expected
    for value in namespace.values():
        if isinstance(value, MemoryClient):
            # A program may leave that to its end.
            value.client.close()


def test_each_piece_of_code_closes_what_it_opens() -> None:
    """Copied alone, it leaves no write to the end of the interpreter."""
    opening = [block["text"] for block in blocks("python") if "connect(" in block["text"]]
    assert opening
    for text in opening:
        opened = len(re.findall(r"(?m)^ *(?:async )?with connect\(", text))
        opened += text.count("memory.close()")
        assert opened == text.count("connect("), text


def test_the_server_is_asked_with_curl(
    running: Running, client: MemoryClient, project: Project
) -> None:
    """Plain HTTP is what every language has."""
    client.add("My kettle leaks at the base.", user_id="customer-2", infer=False)
    (block,) = blocks("bash")
    environment = {**os.environ, "MEM0_HOST": running.url, "MEM0_API_KEY": project.key}
    done = subprocess.run(
        ["bash", "-c", block["text"]], env=environment, capture_output=True, text=True, check=True
    )
    (found,) = json.loads(done.stdout)["results"]
    assert found["memory"] == "My kettle leaks at the base."


def test_the_commands_exist_with_their_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that ends with `No such option` is a newcomer lost."""
    monkeypatch.chdir(tmp_path)
    Path("mem0.json").write_text("{}")
    targets = re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text())
    extras = metadata("mem0-integrations").get_all("Provides-Extra") or []
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    lines = [line for block in blocks("sh") for line in block["text"].splitlines()]
    seen = set()
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        seen.add(program)
        if program == "mem0-integrations":
            command = root.commands[arguments[0]]
            command.make_context(arguments[0], arguments[1:])
        elif program == "make":
            assert arguments[0] in targets
        else:
            assert program == "pip"
            (named,) = re.findall(r"mem0-integrations\[(.*)\]", arguments[-1])
            assert set(named.split(",")) <= set(extras)
    assert seen == {"mem0-integrations", "make", "pip"}


def test_the_folder_layout_is_that_of_the_repository() -> None:
    """A map that is wrong is worse than none."""
    (layout,) = blocks("text")
    folder = ROOT
    for line in layout["text"].splitlines():
        ((indent, name),) = re.findall(r"^( *)(\S+)", line)
        if not indent:
            folder = ROOT
        assert (folder / name).exists(), name
        if name.endswith("/") and not indent:
            folder = ROOT / name


def test_links_to_files_lead_somewhere() -> None:
    """Broken links in the first file that people read say that nobody reads it."""
    links = [link for link in re.findall(r"\]\((.*?)\)", README) if "://" not in link]
    assert links
    headings = {
        "#" + heading.lower().replace(" ", "-") for heading in re.findall(r"(?m)^#+ (.*)$", README)
    }
    for link in links:
        assert link in headings or (ROOT / link).is_file(), link
