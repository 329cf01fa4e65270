from __future__ import annotations

import json
from datetime import timedelta

import httpx
import pytest
from mem0 import MemoryClient
from mem0.exceptions import MemoryNotFoundError

from mem0_integrations.server import exports
from mem0_integrations.server.state import now
from mem0_integrations.server.tenancy import ClientMemory, EntityIds
from tests.servers.platform import Project, Running

SCHEMA = {"type": "object", "properties": {"memory": {}, "team": {}, "user_id": {}, "zip": {}}}


def test_an_export_holds_the_fields_that_its_schema_asks_for(client: MemoryClient) -> None:
    """Values of the metadata count as fields; what nobody has is left out."""
    client.add("I like tea.", user_id="ann", metadata={"team": "billing"}, infer=False)
    client.add("I live in Oslo.", user_id="ann", infer=False)
    client.add("I like coffee.", user_id="bob", infer=False)
    filters = {"AND": [{"user_id": "ann"}]}
    made = client.create_memory_export(schema=json.dumps(SCHEMA), filters=filters)
    expected = {
        "memories": [
            {"memory": "I live in Oslo.", "team": None, "user_id": "ann"},
            {"memory": "I like tea.", "team": "billing", "user_id": "ann"},
        ]
    }
    assert client.get_memory_export(memory_export_id=made["id"]) == expected
    assert client.get_memory_export(filters=filters) == expected


def test_ids_may_stand_beside_the_filters(client: MemoryClient) -> None:
    """The client's own documentation shows them there."""
    client.add("I like tea.", user_id="ann", infer=False)
    client.add("I like coffee.", user_id="bob", infer=False)
    client.create_memory_export(schema=SCHEMA, user_id="bob")
    found = client.get_memory_export(user_id="bob")
    assert [one["memory"] for one in found["memories"]] == ["I like coffee."]


def test_instructions_are_not_followed_and_the_answer_says_so(client: MemoryClient) -> None:
    """Who asked for a rewritten export must not take this one for it."""
    made = client.create_memory_export(
        schema=SCHEMA, user_id="ann", export_instructions="Write poems."
    )
    assert "instructions are not followed" in made["message"]


def test_an_export_of_another_project_is_not_there(
    client: MemoryClient, stranger: MemoryClient
) -> None:
    """Its id alone must not be enough, nor the same filter."""
    client.add("I like tea.", user_id="ann", infer=False)
    made = client.create_memory_export(schema=SCHEMA, filters={"user_id": "ann"})
    for asked in ({"memory_export_id": made["id"]}, {"filters": {"user_id": "ann"}}, {}):
        with pytest.raises(MemoryNotFoundError, match="No memory export request found"):
            stranger.get_memory_export(**asked)


@pytest.mark.parametrize(
    "body",
    [
        {"filters": {"user_id": "ann"}},
        {"schema": "no JSON", "filters": {}},
        {"schema": "[]", "filters": {}},
        {"schema": {}, "filters": {"nonsense": 1}},
    ],
)
def test_what_cannot_be_exported_is_refused_at_once(
    body: dict[str, object], http: httpx.Client
) -> None:
    """Otherwise the job would fail when nobody looks."""
    assert http.post("/v1/exports/", json=body).status_code == 400


def test_a_job_of_a_process_that_died_is_done_by_another(
    client: MemoryClient, project: Project, running: Running
) -> None:
    """An accepted export survives the end of a process."""
    client.add("I like tea.", user_id="ann", infer=False)
    server = running.server
    at = now()
    with server.state.begin() as connection:
        connection.execute(
            exports.exports.insert(),
            [
                {
                    "id": f"{name}-{project.id}"[:36],
                    "project_id": project.id,
                    "schema": {},
                    "filters": {"user_id": "ann"},
                    "filters_hash": "",
                    "status": "running",
                    "attempts": 1,
                    "claimed_until": at + lease,
                    "created_at": at,
                }
                for name, lease in {
                    "dead": timedelta(seconds=-1),
                    "alive": timedelta(seconds=60),
                }.items()
            ],
        )
    server.wake("exports")
    dead = client.get_memory_export(memory_export_id=f"dead-{project.id}"[:36])
    assert [one["memory"] for one in dead["memories"]] == ["I like tea."]
    with server.state.reading() as connection:
        alive = connection.execute(
            exports.exports.select().filter_by(id=f"alive-{project.id}"[:36])
        ).one()
    assert alive.status == "running"


def test_what_was_exported_goes_with_whom_it_is_about(client: MemoryClient) -> None:
    """A person who is deleted must not live on in an old export."""
    client.add("I like tea.", user_id="ann", infer=False)
    made = client.create_memory_export(schema=SCHEMA, filters={"user_id": "ann"})
    assert client.get_memory_export(memory_export_id=made["id"])["memories"]
    client.delete_users(user_id="ann")
    with pytest.raises(MemoryNotFoundError):
        client.get_memory_export(memory_export_id=made["id"])


@pytest.mark.parametrize(
    ("schema", "keys"),
    [
        ({"properties": {"memory": {}, "id": {}}}, ["memory", "id"]),
        ({"properties": {"memories": {"items": {"properties": {"id": {}}}}}}, ["id"]),
        ({"properties": {"mood": {}}}, None),
        ({"properties": "?"}, None),
        ({}, None),
    ],
)
def test_a_schema_that_names_no_field_exports_all_of_them(
    schema: dict[str, object], keys: list[str] | None
) -> None:
    """Most schemas were written for a model that fills them in."""
    tea = ClientMemory("m1", "I like tea.", EntityIds(user_id="ann"), {"team": "x"}, None, None)
    (record,) = exports.shape([tea], schema)
    if keys is None:
        assert (record["memory"], record["metadata"]) == ("I like tea.", {"team": "x"})
    else:
        assert list(record) == keys
