"""How the tests come by Neo4j: Maven brings it and builds the small program that starts it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from filelock import FileLock

PROJECT = Path(__file__).with_name("neo4j")
BUILDS = Path(__file__).parents[2] / ".venv" / "neo4j"

# Low limits and a quick start: it serves one test session.
JVM_FLAGS = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


class MissingNeo4jError(Exception):
    """Neo4j cannot run on this machine; the message says why."""


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def version() -> str:
    found = re.search(r"<neo4j.version>(.*)</", (PROJECT / "pom.xml").read_text())
    assert found
    return found[1]


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home, "bin", "java")) if home else "java"


@cache
def what_is_missing() -> str:
    """Why Neo4j cannot run here, as far as a quick look tells; empty if it can."""
    if not shutil.which("mvn"):
        return "no Maven"
    try:
        said = subprocess.run([_java(), "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "no Java"
    major = re.search(r'version "(\d+)', said.stderr)
    return "" if major and int(major[1]) >= 17 else "no Java 17 or newer"


def neo4j_command() -> list[str]:
    """The command that starts Neo4j, built by Maven unless an earlier run did."""
    if missing := what_is_missing():
        raise MissingNeo4jError(missing)
    sources = sorted(path for path in PROJECT.iterdir() if path.suffix in (".java", ".xml"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    build = BUILDS / digest[:12]
    build.mkdir(parents=True, exist_ok=True)
    with FileLock(build / "lock"):
        if not _is_built(build):
            _build(build)
    class_path = (build / "class_path").read_text()
    archive = f"-XX:SharedArchiveFile={build / 'classes.jsa'}"
    return [*_java_command(class_path), archive, "Neo4jServer"]


def _is_built(build: Path) -> bool:
    class_path = build / "class_path"
    if not class_path.exists():
        return False
    return all(map(os.path.exists, class_path.read_text().split(os.pathsep)))


def _build(build: Path) -> None:
    found = build / "dependencies"
    settings = [f"-Dbuild.folder={build}", f"-Dmdep.outputFile={found}"]
    goals = ["compile", "jar:jar", "dependency:build-classpath"]
    maven = ["mvn", "--batch-mode", "--quiet", f"--file={PROJECT / 'pom.xml'}"]
    _run([*maven, *settings, *goals])
    class_path = os.pathsep.join([str(build / "neo4j-1.jar"), found.read_text().strip()])
    # It starts, sees its input end, stops and leaves the classes it loaded: later starts take half
    # the time.
    archive = f"-XX:ArchiveClassesAtExit={build / 'classes.jsa'}"
    with tempfile.TemporaryDirectory() as folder:
        _run([*_java_command(class_path), archive, "Neo4jServer", folder, str(free_port())])
    (build / "class_path").write_text(class_path)  # Last: it stands for a complete build.


def _java_command(class_path: str) -> list[str]:
    return [_java(), *JVM_FLAGS, "-cp", class_path]


def _run(command: list[str]) -> None:
    environment = {**os.environ, "SERVER_PASSWORD": "not-a-secret"}
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise MissingNeo4jError(f"{command[0]} failed: {done.stdout[-2000:]}")
