"""What the tests of crews share: an offline CrewAI that writes into a folder of its own."""

from __future__ import annotations

import os

import pytest

# First: it sets the environment that CrewAI reads when it is imported.
from tests.crewai.crews import ARTICLE, FINDINGS, Call, Script, ScriptedLLM, crew_of, prompts_of

__all__ = ["ARTICLE", "FINDINGS", "Call", "Script", "ScriptedLLM", "crew_of", "prompts_of"]

# CrewAI reads its own deprecated fields, and dumps a crew to copy it.
_THEIRS = pytest.mark.filterwarnings(
    r"ignore::DeprecationWarning:crewai\.", "ignore:Pydantic serializer warnings:UserWarning"
)


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(_THEIRS)


@pytest.fixture(scope="session", autouse=True)
def _crewai_dir(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["CREWAI_STORAGE_DIR"] = str(tmp_path_factory.mktemp("crewai"))


@pytest.fixture
def llm() -> ScriptedLLM:
    """A model for `crew_of`, which answers both tasks."""
    return ScriptedLLM([FINDINGS, ARTICLE])
