"""Processes of their own, which see nothing of the developer's environment."""

from __future__ import annotations

import os


def environment(**own: str) -> dict[str, str]:
    """What a new process is given: where programs are, and that it is measured if we are."""
    kept = ("COVERAGE_PROCESS_CONFIG", "PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | own
