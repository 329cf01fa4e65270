"""What Mem0 does not promise stands in one module, where the next Mem0 is read."""

from __future__ import annotations

import ast
from pathlib import Path

import mem0

import mem0_integrations

PACKAGE = Path(mem0_integrations.__file__).parent
ALLOWED = PACKAGE / "backends" / "mem0_private.py"


def private_names(tree: ast.AST) -> set[str]:
    """The names with one underscore that a module defines: functions, classes, attributes."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                found.add(name)
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


def trees(folder: Path) -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in folder.rglob("*.py")}


def test_private_names_of_mem0_have_one_module() -> None:
    """None is imported elsewhere, and none is an attribute of what is not this package's own."""
    theirs = set[str]().union(*map(private_names, trees(Path(mem0.__file__).parent).values()))
    package = trees(PACKAGE)
    del package[ALLOWED]
    ours = set[str]().union(*map(private_names, package.values()))
    found: list[tuple[str, str]] = []
    for path, tree in package.items():
        for node in ast.walk(tree):
            match node:
                case ast.ImportFrom(module=str(module), names=names):
                    private = [each.name for each in names if each.name.startswith("_")]
                    found += [(path.name, name) for name in private if module.startswith("mem0.")]
                case ast.Attribute(attr=name) if name in theirs - ours:
                    found.append((path.name, name))
    assert found == []
