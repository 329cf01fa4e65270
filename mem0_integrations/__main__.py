"""The command `mem0-integrations`, also as `python -m mem0_integrations`."""

from __future__ import annotations

import sys

from mem0_integrations.errors import MissingExtraError

__all__ = ["main"]


def main() -> None:
    """Run the command; without its extra, name what installs it, with exit code 1."""
    try:
        from mem0_integrations.cli import main as run
    except MissingExtraError as error:
        sys.exit(f"Error: {error}")
    run()


if __name__ == "__main__":
    main()
