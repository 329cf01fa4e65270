"""A real Neo4j with Bolt on loopback, from Maven.

Without Maven or Java 17, ArcadeDB takes its place: it speaks Bolt and openCypher too, but it is not
Neo4j. The environment variable TEST_NEO4J decides otherwise: "required" makes a missing Neo4j an
error, "bolt" takes ArcadeDB in any case.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers.neo4j_build import (
    MissingNeo4jError,
    free_port,
    neo4j_command,
    version,
    what_is_missing,
)

if TYPE_CHECKING:
    from neo4j import Driver

STAND_IN = Path(__file__).with_name("arcadedb.py")

START_TIMEOUT = STOP_TIMEOUT = 60.0


@dataclass
class BoltServer:
    """A graph server with a data folder and a port of its own; both outlive a restart."""

    folder: Path
    command: list[str] = field(repr=False)
    username: str
    real: bool
    password: str = field(default="not-a-secret", repr=False)
    database: str = "neo4j"
    product: str = ""
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"bolt://127.0.0.1:{self.port}"

    def driver(self) -> Driver:
        """A new driver; the caller closes it."""
        from neo4j import GraphDatabase

        return GraphDatabase.driver(self.url, auth=(self.username, self.password))

    def start(self) -> None:
        """Start the server and return when it answers."""
        assert self._process is None, "already running"
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "output.log"
        with log.open("wb") as output:
            # The server stops when its standard input ends: it does not outlive a killed test run.
            self._process = subprocess.Popen(
                [*self.command, str(self.folder), str(self.port)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, "SERVER_PASSWORD": self.password},
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while b"READY" not in (said := log.read_bytes()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"The graph server did not start: {said.decode()[-4000:]}")
            time.sleep(0.05)
        with self.driver() as driver:
            self.product = _product(driver, self.real)

    def stop(self) -> None:
        """Stop the server in good order; nothing happens if it does not run."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the server at once, as a crash would (SIGKILL)."""
        if self._process is None:
            return
        with self._process as process:
            process.kill()
        self._process = None


def _product(driver: Driver, real: bool) -> str:
    if not real:
        return driver.get_server_info().agent
    components, _, _ = driver.execute_query(
        "CALL dbms.components() YIELD name, versions, edition WHERE name = 'Neo4j Kernel' "
        "RETURN 'Neo4j ' + versions[0] + ' ' + edition AS product"
    )
    return str(components[0]["product"])


@dataclass(frozen=True)
class _Choice:
    command: list[str]
    username: str
    real: bool
    why_not: str = ""

    def new_server(self, folder: Path) -> BoltServer:
        return BoltServer(folder, self.command, self.username, self.real)


@cache
def _choice() -> _Choice:
    """The server of this test run; builds Neo4j unless an earlier run did."""
    try:
        if missing := _what_is_missing():
            raise MissingNeo4jError(missing)
        return _Choice(neo4j_command(), "neo4j", real=True)
    except MissingNeo4jError as missing_neo4j:
        if _wish() == "required":
            raise
        # -P: the folder of the program has modules named after packages.
        command = [sys.executable, "-P", str(STAND_IN)]
        return _Choice(command, "root", real=False, why_not=str(missing_neo4j))


def new_bolt_server(folder: Path) -> BoltServer:
    """Return an empty server that is not started yet; also for what is no test."""
    return _choice().new_server(folder)


def _what_is_missing() -> str:
    return "TEST_NEO4J=bolt" if _wish() == "bolt" else what_is_missing()


def _wish() -> str:
    wish = os.environ.get("TEST_NEO4J", "")
    if wish not in ("", "required", "bolt"):
        raise pytest.UsageError(f"TEST_NEO4J must be 'required' or 'bolt', not {wish!r}")
    return wish


def pytest_report_header() -> str:
    """Say which server the tests would start."""
    missing = _what_is_missing()
    if not missing:
        return f"graph servers: Neo4j {version()} Community (real)"
    if _wish() == "required":
        return f"graph servers: Neo4j is required, but there is {missing}"
    return f"graph servers: ArcadeDB over Bolt in place of Neo4j: {missing}"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the tests: the first download may take longer than a test's time limit."""
    wanted = {"bolt_server", "another_bolt_server"}
    items = (item for item in session.items if isinstance(item, pytest.Function))
    if session.config.option.collectonly or all(wanted.isdisjoint(i.fixturenames) for i in items):
        return
    try:
        choice = _choice()
    except MissingNeo4jError as missing:
        pytest.exit(f"TEST_NEO4J=required: {missing}", returncode=1)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and choice.why_not != _what_is_missing():  # The header could not know it.
        reporter.write_line(f"ArcadeDB over Bolt in place of Neo4j: {choice.why_not}")


@pytest.fixture(scope="session")
def bolt_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoltServer]:
    """One graph server for all tests; each uses labels or users of its own."""
    server = new_bolt_server(tmp_path_factory.mktemp("bolt"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def another_bolt_server(tmp_path: Path) -> Iterator[Callable[[], BoltServer]]:
    """Starts an empty graph server of the test's own at each call; the test may stop or kill it."""
    with ExitStack() as stack:

        def start() -> BoltServer:
            server = new_bolt_server(tmp_path / f"bolt-{time.monotonic_ns()}")
            stack.callback(server.kill)
            server.start()
            return server

        yield start
