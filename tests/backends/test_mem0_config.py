from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mem0.vector_stores.configs import VectorStoreConfig

from mem0_integrations import ConfigurationError, SentenceExtractor, connect
from mem0_integrations.backends.stores.places import store_digest, store_place


def store(provider: str, **config: Any) -> VectorStoreConfig:
    return VectorStoreConfig(provider=provider, config={"collection_name": "m", **config})


def pgvector(connection_string: str) -> VectorStoreConfig:
    return store("pgvector", connection_string=connection_string)


def test_a_relative_path_is_another_store_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one project's outbox would deliver into another project's store."""
    digests = set()
    for project in ("a", "b"):
        (tmp_path / project).mkdir()
        monkeypatch.chdir(tmp_path / project)
        digests.add(store_digest(store("qdrant", path="./q")))
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("postgresql://me:old@db:5432/shop", "postgresql://me:new@db:5432/shop"),
        ("postgresql://me@db/shop", "postgresql://me@db/shop?options=-c%20hnsw.iterative_scan"),
        ("host=db dbname=shop password=old", "dbname=shop host=db password=new sslmode=require"),
    ],
)
def test_a_new_password_or_option_is_the_same_store(left: str, right: str) -> None:
    """Else what is queued, and every key, would be left behind."""
    assert store_digest(pgvector(left)) == store_digest(pgvector(right))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (pgvector("postgresql://db/shop"), pgvector("postgresql://db/other")),
        (pgvector("postgresql:///shop?host=/tmp/a"), pgvector("postgresql:///shop?host=/tmp/b")),
        (pgvector("host=a dbname=shop"), pgvector("host=b dbname=shop")),
        (store("qdrant", url="http://a:6333"), store("qdrant", url="http://b:6333")),
        (store("qdrant", host="a", port=1), store("qdrant", host="a", port=2)),
    ],
)
def test_another_place_is_another_store(left: VectorStoreConfig, right: VectorStoreConfig) -> None:
    """An outbox belongs to one store."""
    assert store_digest(left) != store_digest(right)


def test_a_place_is_named_without_credentials() -> None:
    """It is shown on the screen."""
    place = store_place(pgvector("postgresql://me:secret@db:5432/shop?password=secret"))
    assert place["connection_string"] == "db:5432/shop"
    assert "secret" not in str(place)


def test_a_misspelt_part_of_a_config_is_refused(data_dir: Path) -> None:
    """Mem0 would ignore it, and use a store that nobody meant."""
    with pytest.raises(ConfigurationError, match=r"unknown parts \['vectorstore'\]"):
        connect({"vectorstore": {"provider": "pgvector"}}, extractor=SentenceExtractor())
