"""Adapters use what others offer, not what others hide."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mem0_integrations"
ADAPTERS = ("crewai", "langchain", "langgraph", "mcp")
# What has no public name, and why it is used.
KNOWN = {
    # The constructor of `Neo4jGraph` does not know the home database of a user.
    ("langchain/graph.py", "graph._database"),
    # CrewAI can set the factory for storages, but not show the one that is set.
    ("crewai/storage.py", "storage_factory._factory"),
    # A copy of itself.
    ("crewai/record_storage.py", "bound._user_id"),
}
# Python's own names of named tuples, which are public.
OF_TUPLES = ("_asdict", "_fields", "_replace")


def private_names(source: str) -> set[str]:
    """Return the private attributes of others that a module reads or sets."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    return {
        ast.unparse(node)
        for node in nodes
        if node.attr.startswith("_")
        and not node.attr.startswith("__")
        and node.attr not in OF_TUPLES
        and ast.unparse(node.value) not in ("self", "cls", "super()")
    }


@pytest.mark.parametrize("adapter", [one for one in ADAPTERS if (PACKAGE / one).is_dir()])
def test_an_adapter_reads_no_private_name_of_another_object(adapter: str) -> None:
    """What is private changes without notice, in the core as in a framework."""
    found = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in sorted((PACKAGE / adapter).rglob("*.py"))
        for name in private_names(path.read_text())
    }
    assert found == {one for one in KNOWN if one[0].startswith(f"{adapter}/")}


def test_a_private_name_is_found_wherever_it_stands() -> None:
    """Otherwise the test above would hold nothing."""
    source = (
        "def f(memory):\n    memory._guard.run()\n    self._own = cls._other = memory._closed\n"
    )
    assert private_names(source) == {"memory._guard", "memory._closed"}
