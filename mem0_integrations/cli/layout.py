"""The layout of the commands' output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

__all__ = ["say", "show_parts", "table_of"]


def say(console: Console, text: str) -> None:
    """Print a text whose lines are not wrapped: a path that is broken in two cannot be copied."""
    console.print(text, highlight=False, soft_wrap=True)


def table_of(
    columns: Iterable[str | Column], rows: Iterable[Iterable[str]], title: str | None = None
) -> Table:
    """Return a table of texts."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def show_parts(console: Console, title: str, parts: Mapping[str, str]) -> None:
    """Print names and values below a title."""
    console.print(f"[bold]{escape(title)}[/]")
    width = max(map(len, parts))
    for name, value in parts.items():
        say(console, f"  [dim]{escape(name.ljust(width))}[/]  {escape(value)}")
    console.print()
