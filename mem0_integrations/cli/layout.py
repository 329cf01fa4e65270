"""The layout of the commands' output."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape

__all__ = ["show_parts"]


def show_parts(console: Console, title: str, parts: Mapping[str, str]) -> None:
    """Print names and values below a title.

    Lines are not wrapped: a path that is broken in two cannot be copied.
    """
    console.print(f"[bold]{escape(title)}[/]")
    width = max(map(len, parts))
    for name, value in parts.items():
        console.print(
            f"  [dim]{escape(name.ljust(width))}[/]  {escape(value)}",
            highlight=False,
            soft_wrap=True,
        )
    console.print()
