"""Who may know whom: the arrows between the rooms of the package, read from its imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "mem0_integrations"
README = (ROOT / "README.md").read_text()

# No I/O, and nothing above: data, and functions of it.
PURE = {
    *("arguments", "dialect", "errors", "filters", "messages", "models", "names", "namespaces"),
    *("options", "plans", "records", "requests", "scope", "values"),
    *("recall.dates", "recall.fusion", "recall.ranking", "recall.rendering", "recall.versions"),
    "recall.words",
}
# What an application of any kind could use: threads, files, retries.
TOOLS = {"concurrency", "data_folder", "lazy_imports", "resources", "retry", "sqlite"}
# From the lowest room to the highest: a room knows rooms below it, of these only those named.
ROOMS: dict[str, set[str]] = {
    "pure": set(),
    "tools": {"pure"},
    "learning": {"pure", "tools"},
    "minilm": {"pure", "tools"},
    "table": {"pure", "tools"},
    "outbox": {"pure", "tools"},
    "following": {"pure", "tools", "outbox"},
    "word_index": {"pure", "tools", "following", "table"},
    "graph": {"pure", "tools", "learning", "minilm", "outbox", "following"},
    "backends": {"pure", "tools", "learning", "minilm", "table"},
    "changes": {"pure", "tools", "outbox", "following", "backends"},
    "recall": {"pure", "tools", "following", "backends", "changes"},
    "core": {"pure", "tools", "learning", "outbox", "following", "backends", "changes", "recall"},
    # Opens what was configured, and so knows what there is.
    "connection": {"core", "word_index", "graph", *("pure", "tools", "learning", "outbox")},
    "langgraph": {"pure", "tools", "core"},
    # LangChain's classes for graph databases, on ours.
    "langchain.graph": {"pure", "tools", "following", "graph"},
    "langchain": {"pure", "tools", "core", "langchain.graph"},
    "crewai": {"pure", "tools", "core"},
    "server": {"pure", "tools", "learning", "outbox", "core", "connection"},
    "cli": {"pure", "tools", "learning", "outbox", "core", "connection", "graph", "server"},
}
ROOMS["connection"] |= {"following", "backends", "changes", "recall"}
ROOMS["cli"] |= {"langgraph", "backends"}
CORE = {"agent_memory", "memory_access", "memory_tools", "memory_upkeep", "parts", "turns"}
OF_MODULES = {
    **dict.fromkeys(PURE, "pure"),
    **dict.fromkeys(TOOLS, "tools"),
    **dict.fromkeys(CORE, "core"),
    **dict.fromkeys(("langchain.graph", "langchain.scoped_graph"), "langchain.graph"),
    "places": "connection",
    "__main__": "cli",
}


def modules() -> dict[str, Path]:
    """Return the modules of the package, by their names within it."""
    files = sorted((ROOT / PACKAGE).rglob("*.py"))
    names = (".".join(path.relative_to(ROOT / PACKAGE).with_suffix("").parts) for path in files)
    found = {name.removesuffix(".__init__"): path for name, path in zip(names, files, strict=True)}
    del found["__init__"]
    return found


MODULES = modules()


def room_of(module: str) -> str:
    return OF_MODULES.get(module) or module.split(".", maxsplit=1)[0]


def known_by(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a module imports, also for types only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE):
            for alias in node.names:
                name = f"{node.module}.{alias.name}".removeprefix(f"{PACKAGE}.")
                yield name if name in MODULES else name.rpartition(".")[0]
        elif isinstance(node, ast.Import):
            ours = (alias.name for alias in node.names if alias.name.startswith(f"{PACKAGE}."))
            yield from (name.removeprefix(f"{PACKAGE}.") for name in ours)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_knows_only_rooms_below_its_own(module: str) -> None:
    """An arrow that goes back up makes two rooms one: neither can be read, or moved, alone."""
    own = room_of(module)
    assert own in ROOMS, f"Say in ROOMS what {module} may know."
    others = {other: room_of(other) for other in known_by(MODULES[module]) if other}
    assert {
        other: room for other, room in others.items() if room != own and room not in ROOMS[own]
    } == {}


def test_rooms_have_an_order() -> None:
    """What may know each other in a circle is one room."""
    TopologicalSorter(ROOMS).prepare()


def test_modules_have_an_order() -> None:
    """Also within a room; imports for types only are left out, for they are never carried out."""
    arrows = {
        module: {other for other in imported_at_once(path) if other in MODULES} - {module}
        for module, path in MODULES.items()
    }
    TopologicalSorter(arrows).prepare()


def imported_at_once(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE):
            for alias in node.names:
                name = f"{node.module}.{alias.name}".removeprefix(f"{PACKAGE}.")
                yield name if name in MODULES else name.rpartition(".")[0]


def test_only_pure_modules_say_that_they_are() -> None:
    """`Pure.` in a first line is a promise: no I/O, nor anything that does some."""
    doing = {"asyncio", "httpx", "os", "pathlib", "socket", "sqlite3", "subprocess"}

    def does_io(name: str) -> bool:
        nodes = [*ast.walk(ast.parse(MODULES[name].read_text()))]
        aliases = (
            alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
        )
        froms = (node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module)
        return not doing.isdisjoint(module.partition(".")[0] for module in (*aliases, *froms))

    for name, path in MODULES.items():
        first = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
        if first.endswith("Pure."):
            assert [each for each in (name, *known_by(path)) if does_io(each)] == [], name


@pytest.mark.parametrize(
    ("folder", "most"), [("", 600), ("langchain", 300), ("langgraph", 300), ("crewai", 300)]
)
def test_modules_are_short_enough_to_be_read(folder: str, most: int) -> None:
    """A module has one reason to change."""
    files = (ROOT / PACKAGE / folder).rglob("*.py")
    lengths = {path.name: len(path.read_text().splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length > most} == {}


def test_the_map_in_the_readme_is_complete() -> None:
    """Whoever looks for a thing looks there first."""
    [layout] = [block for block in README.split("```") if block.startswith(f"text\n{PACKAGE}/")]
    told = {line.split()[0] for line in layout.splitlines()[2:] if line.startswith("  ")}
    there = {
        path.name + ("/" if path.is_dir() else "")
        for path in (ROOT / PACKAGE).iterdir()
        if path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__")
    } - {"__main__.py"}
    assert told == there
