"""The server's own database, beside the memories: SQLite or PostgreSQL, through SQLAlchemy.

On SQLite, SQLAlchemy takes several times as long for a short statement as the database does. So
the statements that run in every request are `Prepared`, and the driver runs them: `State.try_read`
takes `keys.VALID_KEYS`, and `State.run` takes the insertion of an event and its end. All others
are statements of SQLAlchemy, in a transaction of `begin`, `repeating` or `reading`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)

from mem0_integrations.data_folder import SQLITE_FILES, keep_private, make_file, make_folder
from mem0_integrations.errors import ConfigurationError, InvalidInputError, StorageError
from mem0_integrations.sqlite import Synchronous

__all__ = ["TABLES", "Moment", "Prepared", "State", "now"]

TABLES: Final = sa.MetaData()
"""The tables; each is defined in the module of its name, that of the members in `routes`."""

_BUSY_SECONDS: Final = 30
# Connections of each worker process; PostgreSQL takes a hundred from everyone.
_CONNECTIONS: Final = 20
# Any number, the same for all workers.
_CREATING: Final = 0x6D656D30
# SQLite, at once: a transaction that reads first could not wait for its turn to write.
_WRITE: Final = "BEGIN IMMEDIATE"
_DURABLE: Final = ("PRAGMA synchronous = FULL", _WRITE)
# On disk a little later, in the order of the commits.
_REPEATABLE: Final = ("PRAGMA synchronous = NORMAL", _WRITE)
# Readers do not wait for writers.
_READING: Final = ("BEGIN",)
_SQLITE: Final = sqlite.dialect(paramstyle="named")


def now() -> datetime:
    """Return the current time (aware UTC)."""
    return datetime.now(UTC)


class Moment(sa.types.TypeDecorator[datetime]):
    """A column type for times in UTC, also on SQLite, which has no time zones."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Write it in UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Read it as UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Prepared:
    """A statement that is compiled once, and that SQLite's driver runs itself.

    Its parameters have names; its results are texts and numbers.
    """

    def __init__(self, statement: sa.Select[Any] | sa.Insert | sa.Update) -> None:
        self.statement = statement
        compiled = statement.compile(dialect=_SQLITE)
        self.sql = str(compiled)
        self._constants = compiled.params
        self._writers = {
            name: writer
            for name, bind in compiled.binds.items()
            if (writer := bind.type.dialect_impl(_SQLITE).bind_processor(_SQLITE)) is not None
        }

    def parameters(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return values in the form that the driver takes."""
        found = {**self._constants, **values}
        for name, write in self._writers.items():
            found[name] = write(found[name])
        return found


class _File:
    """A connection to a SQLite file for single statements, each in its own transaction.

    Args:
        engine: SQLAlchemy's engine for the same file.
        patience: Seconds to wait for the connection, and then for other writers.
        synchronous: The pragma of this name: what a commit waits for.
    """

    def __init__(self, engine: sa.Engine, patience: float, synchronous: Synchronous) -> None:
        self._dialect = engine.dialect
        # Now: a relative path is that of this moment.
        self._where = engine.dialect.create_connect_args(engine.url)
        self._patience = patience
        self._synchronous = synchronous
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inherited: sqlite3.Connection | None = None

    def run(self, prepared: Prepared, values: Mapping[str, object]) -> list[Any]:
        """Run a statement and return its rows.

        Raises:
            DBAPIError: The database failed; the same error as from SQLAlchemy.
        """
        if self._process != os.getpid():
            # What a fork inherits is its parent's, to use and to close.
            self._process, self._lock = os.getpid(), threading.Lock()
            self._inherited, self._connection = self._connection, None
        parameters = prepared.parameters(values)
        try:
            if not self._lock.acquire(timeout=self._patience):
                raise sqlite3.OperationalError("database is locked")
            try:
                return self._opened().execute(prepared.sql, parameters).fetchall()
            finally:
                self._lock.release()
        except sqlite3.Error as error:
            raise _as_sqlalchemy(error, prepared.sql) from error

    def close(self) -> None:
        """Close the connection; the next statement opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            arguments, options = self._where
            options = {**options, "timeout": self._patience}
            connection = _prepare_sqlite(self._dialect.connect(*arguments, **options))
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            self._connection = connection
        return self._connection


class State:
    """A server's database; tables that are missing are created.

    Args:
        url: `sqlite:///file`, or `postgresql+psycopg://...`.

    Raises:
        ConfigurationError: This kind of database is not supported.
        StorageError: The database cannot be used.
    """

    def __init__(self, url: str) -> None:
        try:
            where = sa.make_url(url)
            is_sqlite = where.get_backend_name() == "sqlite"
            file: Path | None = None
            if is_sqlite:
                database = where.database or ":memory:"
                if ":memory:" in database or where.query.get("mode") == "memory":
                    raise ArgumentError("It would be gone with the last connection.")
                if not database.startswith("file:"):
                    file = Path(database).expanduser().absolute()
                    make_folder(file.parent)
                    make_file(file)
            self._engine = sa.create_engine(
                where,
                pool_size=_CONNECTIONS,
                max_overflow=0,
                pool_pre_ping=not is_sqlite,
                json_serializer=_dumps,
                connect_args={"timeout": _BUSY_SECONDS} if is_sqlite else {},
            )
            if is_sqlite:
                sa.event.listen(self._engine, "connect", lambda made, _: _prepare_sqlite(made))
                sa.event.listen(self._engine, "begin", _begin_sqlite)
            # The same connections.
            self._readable = self._engine.execution_options(mem0_begin=_READING)
            self._repeatable = self._engine.execution_options(mem0_begin=_REPEATABLE)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            # Its message may hold the password.
            raise ConfigurationError(
                f"The server cannot keep its state in this database ({type(error).__name__}): use "
                f"sqlite:///file, or postgresql+psycopg://user:password@host/database."
            ) from None
        self.place = where.render_as_string(hide_password=True)
        try:
            self._create_tables()
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise StorageError(
                f"The server cannot use {self.place} for its state: {type(error).__name__}. Is it "
                f"reachable, and may it be written?"
            ) from None
        if file is not None:
            keep_private(file, SQLITE_FILES)
        self._files: dict[Literal["read", "durable", "repeatable"], _File] = {}
        if is_sqlite:
            self._files["read"] = _File(self._engine, 0, "NORMAL")
            self._files["durable"] = _File(self._engine, _BUSY_SECONDS, "FULL")
            self._files["repeatable"] = _File(self._engine, _BUSY_SECONDS, "NORMAL")

    @property
    def single_writer(self) -> bool:
        """Whether only one transaction writes at a time, so that it sees all earlier ones."""
        return bool(self._files)

    def begin(self) -> AbstractContextManager[sa.Connection]:
        """Open a transaction that writes: all of it, or nothing."""
        return self._engine.begin()

    def repeating(self) -> AbstractContextManager[sa.Connection]:
        """Open a transaction that a power cut may undo.

        For changes that follow from what is on disk already, and are repeated after a restart.
        """
        return self._repeatable.begin()

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """Open a transaction that only reads."""
        return self._readable.connect()

    def rows(
        self, query: sa.Executable, values: Mapping[str, object] | None = None
    ) -> Sequence[Any]:
        """Return the rows of a query, read in its own transaction."""
        with self.reading() as connection:
            return connection.execute(query, values).all()

    def change(self, statement: sa.Insert | sa.Update | sa.Delete) -> int:
        """Change rows in its own transaction, and return their number."""
        with self.begin() as connection:
            return connection.execute(statement).rowcount

    def run(
        self, prepared: Prepared, values: Mapping[str, object], *, repeatable: bool = False
    ) -> Sequence[Any]:
        """Run a statement in its own transaction, as `begin` or `repeating`; returns its rows."""
        if file := self._files.get("repeatable" if repeatable else "durable"):
            return file.run(prepared, values)
        with self.repeating() if repeatable else self.begin() as connection:
            result = connection.execute(prepared.statement, values)
            return result.all() if result.returns_rows else []

    def try_read(self, prepared: Prepared, values: Mapping[str, object]) -> list[Any] | None:
        """Read rows without waiting, so that it may be called on the event loop.

        With a SQLite file, this takes less time than to wake another thread. Returns None when the
        database is not a file, or is locked or failing.
        """
        try:
            return self._files["read"].run(prepared, values) if self._files else None
        except OperationalError:
            # A lasting failure shows when the caller reads again, and waits.
            return None

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()
        for file in self._files.values():
            file.close()

    def _create_tables(self) -> None:
        with self.begin() as connection:
            # Workers start at once; SQLite's write lock is held already.
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATING)))
            TABLES.create_all(connection)


def _prepare_sqlite(connection: DBAPIConnection) -> sqlite3.Connection:
    assert isinstance(connection, sqlite3.Connection)
    # Python's own handling begins a transaction at the first write only.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _begin_sqlite(connection: sa.Connection) -> None:
    # Of the driver itself: SQLAlchemy would take longer for each of these than all of them take.
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    for statement in connection.get_execution_options().get("mem0_begin", _DURABLE):
        try:
            driver.execute(statement)
        except sqlite3.Error as error:
            raise _as_sqlalchemy(error, statement) from error


def _as_sqlalchemy(error: sqlite3.Error, sql: str) -> DBAPIError:
    found = DBAPIError.instance(sql, None, error, sqlite3.Error)
    assert isinstance(found, DBAPIError)
    return found


def _dumps(value: object) -> str:
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False)
    except ValueError:
        # It could be written, but not answered with: every later reading would break.
        raise InvalidInputError("JSON cannot hold the number NaN, nor an infinite one.") from None
