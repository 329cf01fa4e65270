"""A short campaign; `make campaign` runs a long one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaign.__main__ import Campaign, services, table
from tests.campaign.round import ALL_WAYS

# One round on each store, without a model and with one.
ROUNDS = {
    "no model, embedded, graph": 41,
    "scripted model, embedded": 42,
    "no model, pgvector, no follower": 43,
    "scripted model, pgvector, words": 44,
    "scripted model, chroma, words": 45,
    "no model, platform, no follower": 46,
}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Campaign]:
    folder: Path = tmp_path_factory.mktemp("campaign")
    with services(folder, postgres_url) as having:
        yield Campaign(having)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("on", "seed"), ROUNDS.items())
def test_nothing_is_lost_doubled_or_back(campaign: Campaign, on: str, seed: int) -> None:
    """Whoever is killed, whatever stumbles: told step by step where it fails."""
    told: list[str] = []
    result = campaign.round(seed, told.append, [way for way in ALL_WAYS if on in str(way)])
    assert result.operations
    assert not result.wrong, "\n".join([*told, *result.wrong.lines(), table([result], 0)])
