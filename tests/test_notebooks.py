from __future__ import annotations

import ast
from pathlib import Path

import nbclient
import nbformat
import pytest
from nbformat import NotebookNode

from tests.extras import needs_crewai

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def texts(notebook: NotebookNode) -> list[str]:
    """What each code cell shows, however the kernel cut its stream into pieces."""
    return [
        "".join(output.get("text") or output["data"]["text/plain"] for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def written(home: Path) -> list[Path]:
    """What was written there, but for the key that CrewAI makes when it is imported."""
    files = (file.relative_to(home) for file in home.rglob("*") if file.is_file())
    return [file for file in files if "crewai" not in file.parts]


def test_there_are_notebooks() -> None:
    """A folder that was moved would leave the tests below without a subject."""
    assert NOTEBOOKS


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=needs_crewai if "crewai" in path.stem else ())
        for path in NOTEBOOKS
    ],
)
def test_a_notebook_shows_what_its_code_does(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader who does not run it must see what one who does would see."""
    for variable in ("HOME", "IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.delenv("MEM0_DIR")
    committed = nbformat.read(path, as_version=4)
    fresh = nbformat.from_dict(committed)
    work = tmp_path / "work"
    work.mkdir()
    nbclient.NotebookClient(
        fresh, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    ).execute()
    outputs = [output for cell in fresh.cells for output in cell.get("outputs", ())]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert texts(committed) == texts(fresh)
    assert str(tmp_path) not in "".join(texts(fresh))
    assert list(work.iterdir()) == []
    assert written(tmp_path / "HOME") == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_code_that_is_only_shown_is_python(path: Path) -> None:
    """Nobody runs the fenced code of a text cell, so at least its syntax is checked."""
    notebook = nbformat.read(path, as_version=4)
    shown = [
        block.partition("```")[0]
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for block in cell.source.split("```python\n")[1:]
    ]
    assert shown
    for code in shown:
        ast.parse(code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_can_be_read_in_one_sitting(path: Path) -> None:
    """It was run from top to bottom in one go, and is short."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert len(notebook.cells) < 30
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
