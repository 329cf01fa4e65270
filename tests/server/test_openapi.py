from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.python.asgi import get_client, shutdown_lifespans
from schemathesis.schemas import APIOperation

from mem0_integrations import AgentMemory
from mem0_integrations.server import ServerSettings, create_app
from mem0_integrations.server.keys import create_key

CHECKS = {
    "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "501"]},
    # A text of the right type may still be no date, no filter, no id of a memory.
    "positive_data_acceptance": {"enabled": False},
    # Numbers and truth values are read from texts, too, as queries and older clients send them.
    "negative_data_rejection": {"enabled": False},
}
EXAMPLES = 5


@pytest.fixture(scope="module")
def api(
    shared: AgentMemory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[schemathesis.BaseSchema]:
    """The server's own page, and the server behind it, without a network."""
    state = tmp_path_factory.mktemp("openapi") / "state.db"
    app = create_app(shared, ServerSettings(state_url=f"sqlite:///{state}"))
    config = SchemathesisConfig.from_dict({"checks": CHECKS})
    yield schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
    shutdown_lifespans()


def test_the_page_is_true_and_no_request_breaks_the_server(api: schemathesis.BaseSchema) -> None:
    """Whoever makes a client of the page relies on it; whoever sends nonsense gets a sentence."""
    # Each gets a tenant of its own: some delete what the others need.
    answered = set[int]().union(*(_try(found.ok()) for found in api.get_all_operations()))  # type: ignore[union-attr]
    assert answered >= {200, 201, 400, 404, 501}


def test_a_wrong_method_is_answered_with_those_of_the_page(api: schemathesis.BaseSchema) -> None:
    """Also where another path of the page covers this one."""
    client = get_client(api.app)
    for path, operations in api.raw_schema["paths"].items():
        answer = client.options(path.format_map(Ids({})))
        assert answer.status_code == 405, path
        allowed = set(answer.headers["allow"].lower().split(", "))
        assert allowed == set(operations) & {"get", "post", "put", "patch", "delete"}, path


class Ids(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "user" if key == "entity_type" else uuid.uuid4().hex


def _try(operation: APIOperation[Any, Any, Any, Any]) -> set[int]:
    """Call an operation again and again; returns the statuses that it answered with."""
    project_id, answered = f"project-{uuid.uuid4().hex}", set[int]()
    key = create_key(operation.app.state.server.state, project_id)
    client = get_client(operation.app)
    client.headers["Authorization"] = f"Token {key}"
    there = _fill(client, project_id)

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=st.one_of(  # type: ignore[call-overload]
            operation.as_strategy(generation_mode=mode)
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        ),
        of_its_own=st.booleans(),
    )
    def call(case: Case, of_its_own: bool) -> None:
        if of_its_own:
            case.path_parameters |= {
                name: there[name] for name in case.path_parameters if name in there
            }
        answered.add(case.call_and_validate(headers=dict(client.headers)).status_code)

    call()
    return answered


def _fill(client: requests.Session, project_id: str) -> dict[str, str]:
    """Make what the paths name."""
    body: dict[str, Any] = {"messages": "I like tea.", "user_id": "ann", "infer": False}
    added = client.post("/v3/memories/add/", json=body).json()
    hook = {"url": "http://127.0.0.1:9/", "name": "w", "event_types": ["memory_categorize"]}
    made = client.post(f"/api/v1/webhooks/projects/{project_id}/", json=hook).json()
    return {
        "entity_id": "ann",
        "entity_type": "user",
        "event_id": added["event_id"],
        "memory_id": added["results"][0]["id"],
        "name": "ann",
        "org_id": "default",
        "project_id": project_id,
        "webhook_id": made["webhook_id"],
    }
