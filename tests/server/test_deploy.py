from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.core import TyperGroup

from mem0_integrations.cli import app
from mem0_integrations.connection import outbox_path
from mem0_integrations.graph.follower import open_graph
from mem0_integrations.server.settings import ServerSettings

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    text = (ROOT / "deploy" / "compose.yaml").read_text()
    return yaml.safe_load(re.sub(r"\$\{\w+:\?\}", "secret", text))


def test_the_image_installs_extras_that_there_are() -> None:
    """pip only warns about one that there is not."""
    text = DOCKERFILE.read_text()
    (extras,) = re.findall(r"'\.\[([\w,-]+)\]'", text)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras.split(",")) <= known["optional-dependencies"].keys()
    for copied in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in copied.split())


def test_the_commands_of_the_containers_are_commands(compose: dict[str, Any]) -> None:
    """A misspelt option would show when the container starts."""
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    image = json.loads(re.findall(r"^CMD (\[.+\])$", DOCKERFILE.read_text(), re.MULTILINE)[0])
    for arguments in (image, compose["services"]["server"]["command"]):
        name, *options = arguments
        known = {option for one in command.commands[name].params for option in one.opts}
        assert {option for option in options if option.startswith("--")} <= known


def test_the_config_of_the_containers_is_one_of_mem0(
    compose: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read when the container starts."""
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    config = json.loads(compose["configs"]["mem0"]["content"])
    open_graph(config.pop("graph_store"), tmp_path).close()
    assert outbox_path(config, tmp_path).parent == tmp_path
    server = compose["services"]["server"]
    assert server["configs"][0]["target"] in server["command"]
    ServerSettings(state_url=server["environment"]["MEM0_STATE_URL"])


def test_what_the_services_name_is_there(compose: dict[str, Any]) -> None:
    """Compose finds a volume or a service that is missing only when it starts."""
    services = compose["services"]
    for service in services.values():
        assert service.get("depends_on", {}).keys() <= services.keys()
        volumes = {one.partition(":")[0] for one in service["volumes"]}
        assert volumes <= compose["volumes"].keys()
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert ROOT / services["server"]["build"]["dockerfile"] == DOCKERFILE
