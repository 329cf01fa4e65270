"""What all tests share: a data folder of their own, and nothing of the developer's environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Mem0 reads its environment when it is imported.
os.environ["MEM0_TELEMETRY"] = "False"
os.environ.pop("MEM0_API_KEY", None)

import pytest

from mem0_integrations import AgentMemory, connect

pytest_plugins = ["tests.servers.postgres", "tests.stores"]


@pytest.fixture(scope="session", autouse=True)
def _mem0_dir(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["MEM0_DIR"] = str(tmp_path_factory.mktemp("mem0"))


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that is used by default, and that nobody else uses."""
    folder = tmp_path / "data"
    monkeypatch.setenv("MEM0_DIR", str(folder))
    return folder


@pytest.fixture
def memory(data_dir: Path) -> Iterator[AgentMemory]:
    """A fresh memory on the embedded default."""
    with connect() as connected:
        yield connected
