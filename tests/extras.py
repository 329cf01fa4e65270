"""Which extras there are for this Python."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

__all__ = ["installable", "needs_crewai"]

ROOT = Path(__file__).parents[1]


def installable(extra: str) -> bool:
    """Whether pip brings an extra here; one that is held back by a marker cannot be tested."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = map(Requirement, project["optional-dependencies"][extra])
    return all(each.marker is None or each.marker.evaluate() for each in wanted)


# Where it could be installed and is not, the tests fail.
needs_crewai = pytest.mark.skipif(
    not installable("crewai"), reason="the extra crewai is held below this Python"
)
