"""Who may know whom: the arrows between the rooms of the package, read from its imports."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mem0_integrations"
NAME = PACKAGE.name

# Each room with the rooms below it that it may know; every room may know itself.
PURE = "pure"
TOOLS = "tools"
ROOMS: dict[str, set[str]] = {
    PURE: set(),
    TOOLS: {PURE},
    "learning": {PURE, TOOLS},
    "table": {PURE, TOOLS},
    "outbox": {PURE, TOOLS},
    "following": {PURE, "outbox"},
    "backends": {PURE, TOOLS, "learning", "table"},
    "word_index": {PURE, TOOLS, "following", "table"},
    "graph": {PURE, TOOLS, "learning", "following", "outbox"},
    "changes": {PURE, TOOLS, "outbox", "following", "backends"},
    "recall": {PURE, TOOLS, "following", "changes", "backends"},
    "core": {PURE, TOOLS, "learning", "outbox", "following", "changes", "recall", "backends"},
    "langgraph": {PURE, TOOLS, "core"},
    "langchain": {PURE, TOOLS, "core"},
    "crewai": {PURE, TOOLS, "core"},
}
