from __future__ import annotations

import httpx
import pytest
from mem0 import AsyncMemoryClient, MemoryClient
from mem0.exceptions import MemoryNotFoundError

from tests.servers.platform import Project, Running

RULES = [{"travel": "Where they go."}]


def path_of(project: Project) -> str:
    return f"/api/v1/orgs/organizations/default/projects/{project.id}/"


def test_settings_are_kept_and_the_fields_asked_for_are_returned(client: MemoryClient) -> None:
    """Programs write them once and read single ones."""
    client.project.update(custom_instructions="Keep it short.", custom_categories=RULES)
    client.project.update(multilingual=True)
    whole = client.project.get()
    assert whole["custom_instructions"] == "Keep it short."
    assert whole["custom_categories"] == RULES
    assert whole["multilingual"] is True
    assert whole["agent_custom_instructions"] is None
    assert client.project.get(fields=["custom_instructions", "multilingual"]) == {
        "custom_instructions": "Keep it short.",
        "multilingual": True,
    }
    client.update_project(memory_depth="deep", usecase_setting="support")
    assert client.get_project(fields=["memory_depth"]) == {"memory_depth": "deep"}


async def test_the_async_client_has_the_same_project(project: Project) -> None:
    """Its requests are built by other code than those of the sync client."""
    client = AsyncMemoryClient(api_key=project.key, host=project.url)
    async with client.async_client:
        await client.project.update(decay=True)
        assert await client.project.get(fields=["decay"]) == {"decay": True}
        await client.project.add_member("ann@example.com", role="OWNER")
        members = await client.project.get_members()
    assert members == {"members": [{"username": "ann@example.com", "role": "OWNER"}]}


def test_fields_may_come_with_commas(http: httpx.Client, project: Project) -> None:
    """One client repeats the parameter, another joins it."""
    answer = http.get(path_of(project), params={"fields": "id,name"})
    assert answer.json() == {"id": project.id, "name": project.id}


def test_members_are_added_changed_and_removed(client: MemoryClient) -> None:
    """The Platform's client has a method for each."""
    client.project.add_member("ann@example.com")
    client.project.update_member("ann@example.com", "OWNER")
    assert client.project.get_members() == {
        "members": [{"username": "ann@example.com", "role": "OWNER"}]
    }
    client.project.remove_member("ann@example.com")
    assert client.project.get_members() == {"members": []}
    with pytest.raises(MemoryNotFoundError, match="no such member"):
        client.project.remove_member("ann@example.com")
    with pytest.raises(MemoryNotFoundError, match="no such member"):
        client.project.update_member("ann@example.com", "READER")


def test_a_member_is_added_once(http: httpx.Client, project: Project) -> None:
    """A second row for one person could have another role."""
    added = [
        http.post(f"{path_of(project)}members/", json={"email": "ann@example.com"})
        for _ in range(2)
    ]
    assert [one.status_code for one in added] == [200, 409]


def test_a_project_is_made_and_opened_with_a_key_of_its_own(
    client: MemoryClient, project: Project
) -> None:
    """Whoever may call must not be able to make keys for others."""
    made = client.project.create("Second", description="For the tests.")
    assert made["project_id"] in made["message"]
    assert made["project_id"] != project.id
    client.project.config.project_id = made["project_id"]
    with pytest.raises(MemoryNotFoundError):
        client.project.get()


def test_another_project_cannot_be_reached(
    http: httpx.Client, project: Project, running: Running
) -> None:
    """The key decides, not the path."""
    other = running.new_project()
    asked = [
        http.get(path_of(other)),
        http.patch(path_of(other), json={"custom_instructions": "x"}),
        http.delete(path_of(other)),
        http.get(f"{path_of(other)}members/"),
        http.post(f"{path_of(other)}members/", json={"email": "ann@example.com"}),
        http.get(f"/api/v1/webhooks/projects/{other.id}/"),
        http.post(
            f"/api/v1/webhooks/projects/{other.id}/",
            json={"url": "http://x.example", "name": "n", "event_types": ["memory_add"]},
        ),
        http.get(path_of(project).replace("organizations/default", "organizations/other")),
    ]
    assert {answer.status_code for answer in asked} == {404}
    with other.http() as theirs:
        assert theirs.get(path_of(other)).json()["custom_instructions"] is None


def test_webhooks_are_made_changed_and_deleted(client: MemoryClient, project: Project) -> None:
    """The secret is shown once: who reads the list later cannot sign for the server."""
    made = client.create_webhook(
        url="https://hooks.example/mem0",
        name="Mine",
        project_id=project.id,
        event_types=["memory_add"],
    )
    assert len(made.pop("secret")) >= 32
    assert made["is_active"] is True
    assert client.get_webhooks(project.id) == [made]
    client.update_webhook(made["webhook_id"], name="Yours", event_types=["memory_delete"])
    (changed,) = client.get_webhooks(project.id)
    assert (changed["name"], changed["url"]) == ("Yours", made["url"])
    assert changed["event_types"] == ["memory_delete"]
    assert "secret" not in changed
    client.delete_webhook(made["webhook_id"])
    assert client.get_webhooks(project.id) == []
    with pytest.raises(MemoryNotFoundError, match="no such webhook"):
        client.delete_webhook(made["webhook_id"])


@pytest.mark.parametrize(
    "change",
    [{"url": "ftp://x.example"}, {"url": "nonsense"}, {"event_types": ["sneeze"]}, {"name": ""}],
)
def test_a_webhook_that_could_never_be_delivered_is_refused(
    change: dict[str, object], http: httpx.Client, project: Project
) -> None:
    """It would fail silently, in the background."""
    body = {"url": "http://x.example", "name": "n", "event_types": ["memory_add"], **change}
    assert http.post(f"/api/v1/webhooks/projects/{project.id}/", json=body).status_code == 400


def test_a_webhook_of_another_project_cannot_be_changed(
    http: httpx.Client, running: Running
) -> None:
    """Its id alone must not be enough."""
    other = running.new_project()
    with other.http() as theirs:
        listing = f"/api/v1/webhooks/projects/{other.id}/"
        body = {"url": "http://x.example", "name": "n", "event_types": ["memory_add"]}
        made = theirs.post(listing, json=body).json()["webhook_id"]
        assert http.put(f"/api/v1/webhooks/{made}/", json={"name": "m"}).status_code == 404
        assert http.delete(f"/api/v1/webhooks/{made}/").status_code == 404
        assert [one["name"] for one in theirs.get(listing).json()] == ["n"]


def test_deleting_a_project_erases_all_of_it_and_closes_it(
    client: MemoryClient, project: Project, running: Running
) -> None:
    """What is left would belong to nobody, and be found by a new project of that name."""
    client.add("I like tea.", user_id="ann", infer=False)
    client.create_webhook("http://x.example", "n", project.id, ["memory_update"])
    client.create_memory_export(schema="{}", filters={"user_id": "ann"})
    assert client.project.delete() == {"message": "Project deleted successfully."}
    with project.http() as http:
        assert http.get("/v1/ping/").status_code == 401
    again = running.new_project(project.id)
    with again.http() as http:
        memories = http.post("/v3/memories/", json={"filters": {"user_id": "ann"}})
        assert memories.json()["results"] == []
        assert http.get("/v1/entities/").json()["results"] == []
        assert http.get(f"/api/v1/webhooks/projects/{project.id}/").json() == []
        assert http.post("/v1/exports/get/", json={}).status_code == 404


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get_profile("ann"),
        lambda client: client.generate_profile("ann"),
        lambda client: client.sample_profiles(limit=2),
        lambda client: client.get_profile_job("1"),
        lambda client: client.get_profile_settings(),
        lambda client: client.update_profile_settings(enabled=True),
    ],
)
def test_profiles_are_not_supported_and_the_server_says_so(call, client: MemoryClient) -> None:
    """A 404 would look like a mistake of the program."""
    with pytest.raises(Exception, match="makes no profiles") as caught:
        call(client)
    assert vars(caught.value)["error_code"] == "HTTP_501"
