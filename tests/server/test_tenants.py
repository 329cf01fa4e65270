"""Two projects: nothing that one has, says or does reaches the other, whatever it tries."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mem0_integrations.server.deliveries import deliveries
from mem0_integrations.server.webhooks import webhooks
from tests.servers.platform import Project, Running

NOBODY = "00000000-0000-4000-8000-000000000000"
NAMES = ["ann", "Ann", "%", "ann/profile", "' OR '1'='1", "é" * 100]
KEYS = ("user_id", "agent_id", "app_id", "run_id")
NOWHERE = "http://127.0.0.1:9/"
EVENT_TYPES = ["memory_add", "memory_update", "memory_delete"]


@dataclass
class Tenant:
    """A project that has something of everything, all of which tells its secret."""

    project: Project
    http: httpx.Client
    names: dict[str, str]
    secret: str = field(default_factory=lambda: f"secret-{uuid.uuid4().hex}")
    key: str = "the-same-key"
    ids: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, **request: Any) -> Any:
        answer = self.http.request(method, path, **request)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def fill(self) -> None:
        self._fill_memories()
        hook = {"url": f"{NOWHERE}{self.secret}", "name": self.secret, "event_types": EVENT_TYPES}
        made = self.call("POST", f"/api/v1/webhooks/projects/{self.project.id}/", json=hook)
        self.ids |= {"webhook_id": made["webhook_id"], "webhook_secret": made["secret"]}
        person = {"user_id": self.names["user_id"], "metadata": {"note": self.secret}}
        self.ids["entity_id"] = self.call("POST", "/v1/users/", json=person)["id"]
        export = {"schema": {"title": self.secret}, "filters": {"user_id": "*"}}
        self.ids["export_id"] = self.call("POST", "/v1/exports/", json=export)["id"]
        self.call("PATCH", self.path, json={"custom_instructions": self.secret})
        self.call("POST", f"{self.path}members/", json={"email": f"{self.secret}@example.com"})

    def _fill_memories(self) -> None:
        whose = {**self.names, "metadata": {"note": self.secret}, "categories": [self.secret]}
        kept = {"messages": f"My code is {self.secret}.", "infer": False, **whose}
        deleted = {**kept, "messages": f"My old code is {self.secret}."}
        added = self.call(
            "POST", "/v3/memories/add/", json=kept, headers={"Idempotency-Key": self.key}
        )
        gone = self.call("POST", "/v3/memories/add/", json=deleted)
        learnt = self.call("POST", "/v3/memories/add/", json={**kept, "infer": True})
        self.ids |= {
            "memory_id": added["results"][0]["id"],
            "deleted_id": gone["results"][0]["id"],
            "event_id": added["event_id"],
            "learnt_id": learnt["event_id"],
        }
        path = f"/v1/memories/{self.ids['memory_id']}/"
        self.call("PUT", path, json={"text": f"My new code is {self.secret}."})
        said = {"feedback": "POSITIVE", "feedback_reason": self.secret}
        self.call("POST", "/v1/feedback/", json={"memory_id": self.ids["memory_id"], **said})
        self.call("DELETE", f"/v1/memories/{self.ids['deleted_id']}/")
        deadline = time.monotonic() + 20
        while self.call("GET", f"/v1/event/{learnt['event_id']}/")["status"] != "SUCCEEDED":
            assert time.monotonic() < deadline
            time.sleep(0.01)

    @property
    def path(self) -> str:
        return f"/api/v1/orgs/organizations/default/projects/{self.project.id}/"

    @property
    def secrets(self) -> set[str]:
        """What nobody else can know."""
        return {self.secret, self.project.key, *self.ids.values()}

    def view(self) -> dict[str, Any]:
        """All that it sees of itself."""
        whole = {"filters": {"user_id": "*"}, "show_expired": True}
        seen = {
            path: self.call("GET", path)
            for path in (
                *(
                    "/v1/ping/",
                    "/v1/events/",
                    "/v1/memories/events/",
                    "/v1/entities/",
                    "/v1/stats/",
                ),
                *("/v1/entities/filters/", self.path, f"{self.path}members/"),
                f"/api/v1/webhooks/projects/{self.project.id}/",
                "/v1/memories/?user_id=*&show_expired=true",
            )
        }
        seen["list"] = self.call("POST", "/v3/memories/", json=whole)
        seen["search"] = self.call("POST", "/v3/memories/search/", json={"query": "code", **whole})
        seen["summary"] = self.call("POST", "/v1/summary/", json={})
        if self.ids:
            for name in ("memory_id", "deleted_id"):
                seen[name] = self.call("GET", f"/v1/memories/{self.ids[name]}/history/")
            for name in ("event_id", "learnt_id"):
                seen[name] = self.call("GET", f"/v1/event/{self.ids[name]}/")
            wanted = {"memory_export_id": self.ids["export_id"]}
            seen["export"] = self.call("POST", "/v1/exports/get/", json=wanted)
        return seen


class Attack(dict[str, str]):
    """What somebody may send who has read every source and guessed every id."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any], own: Tenant, other: Tenant):
        super().__init__()
        self._draw = draw
        self.own = own
        self.other = other
        self.sent = ""

    def __missing__(self, name: str) -> str:
        """Return a value of a part of a path."""
        ids = self.other.ids
        match name:
            case "memory_id":
                value = self.memory()
            case "event_id":
                value = self.one(ids["event_id"], ids["learnt_id"], self.own.ids["event_id"])
            case "webhook_id":
                value = self.one(ids["webhook_id"], self.own.ids["webhook_id"], "*")
            case "project_id":
                value = self.project()
            case "org_id":
                value = self.one("default", "*")
            case "entity_type":
                value = self.one("user", "user", "agent", "app", "run")
            case "entity_id" | "name":
                # By the name that is most often a user's.
                value = self.one(self.other.names["user_id"], ids["entity_id"], self.name())
            case _:
                value = NOBODY
        return quote(value, safe="")

    def one(self, *options: Any) -> Any:
        return self._draw(st.sampled_from(options))

    def memory(self) -> str:
        ids = self.other.ids
        return self.one(ids["memory_id"], ids["deleted_id"], NOBODY, self.own.ids["memory_id"])

    def name(self) -> str:
        """A name of an entity."""
        run_id = self.other.names["run_id"]
        return self.one(
            self.other.names["user_id"], run_id, self.other.project.id, "*", "ann", "platform-run:x"
        )

    def entities(self) -> dict[str, str]:
        """Ids of entities, as both have them."""
        names = {
            key: st.sampled_from([name, name, "*", self.other.project.id])
            for key, name in self.other.names.items()
        }
        found: dict[str, str] = self._draw(st.fixed_dictionaries({}, optional=names))
        return found

    def filters(self) -> dict[str, Any]:
        ids = list(self.other.ids.values())
        leaves = st.one_of(
            st.builds(
                lambda key, name: {key: name},
                st.sampled_from(list(self.other.names)),
                self._names(),
            ),
            st.builds(
                lambda key, name: {key: {"ne": name}},
                st.sampled_from(["user_id", "run_id"]),
                self._names(),
            ),
            st.sampled_from(
                [
                    {"user_id": {"in": [self.other.names["user_id"], "*"]}},
                    {"user_id": None},
                    {"memory_ids": ids},
                    {"metadata": {"note": "*"}},
                    {"metadata": {"platform_run_id": {"ne": "x"}}},
                    {"metadata": {"run_id": self.other.project.id}},
                    {"metadata": {"ne": {"note": "x"}}},
                    {"keywords": {"icontains": "code"}},
                    {"categories": "*"},
                    {"created_at": {"gte": 0}},
                ]
            ),
        )
        nested = st.recursive(
            leaves,
            lambda inner: st.builds(
                lambda key, parts: {key: parts},
                st.sampled_from(["AND", "OR", "NOT"]),
                st.lists(inner, min_size=1, max_size=3),
            ),
            max_leaves=6,
        )
        # Without anybody's name it would be refused at once.
        return {self.one("AND", "OR"): [{"user_id": "*"}, self._draw(nested)]}

    def _names(self) -> st.SearchStrategy[str]:
        other = self.other
        return st.sampled_from([*other.names.values(), other.project.id, "*"])

    def whose(self) -> dict[str, Any]:
        return self.one(
            {"filters": self.filters()}, {"filters": {"user_id": "*"}, **self.entities()}
        )

    def addition(self) -> dict[str, Any]:
        return {
            "messages": "I like tea.",
            "infer": self.one(True, False),
            **self.other.names,
            "metadata": {
                "mem0_integrations_key": self.one(self.other.key, self.other.ids["event_id"]),
                "run_id": self.other.project.id,
                "platform_run_id": self.other.project.id,
            },
        }

    def project(self) -> str:
        return self.one(self.other.project.id, self.own.project.id, "*", "%")


Request = Callable[[Attack], Mapping[str, Any]]


def nothing(_: Attack) -> Mapping[str, Any]:
    return {}


def json_of(make: Callable[[Attack], Mapping[str, Any]]) -> Request:
    return lambda attack: {"json": make(attack)}


def search(attack: Attack) -> Mapping[str, Any]:
    return {"query": "What is the code?", "top_k": 100, **attack.whose()}


def add(attack: Attack) -> Mapping[str, Any]:
    key = attack.one("the-same-key", "another-key")
    return {"json": attack.addition(), "headers": {"Idempotency-Key": key}}


def change(attack: Attack) -> dict[str, Any]:
    return {"text": "I like coffee.", "metadata": {"run_id": attack.project(), "note": "x"}}


def named(key: str) -> Request:
    return json_of(lambda attack: {key: attack.name(), "metadata": {"note": "x"}})


PROJECTS = "/api/v1/orgs/organizations/{org_id}/projects/"
PROJECT = f"{PROJECTS}{{project_id}}/"
MEMBERS = f"{PROJECT}members/"
HOOKS = "/api/v1/webhooks/projects/{project_id}/"
HOOK = "/api/v1/webhooks/{webhook_id}/"

# One for each endpoint there is; those that erase a project come last.
REQUESTS: dict[tuple[str, str], Request] = {
    ("GET", "/health"): nothing,
    ("GET", "/metrics"): nothing,
    ("GET", "/v1/ping/"): nothing,
    ("GET", "/v1/event/{event_id}/"): nothing,
    ("GET", "/v1/events/"): nothing,
    ("GET", "/v1/memories/events/"): nothing,
    ("POST", "/v3/memories/add/"): add,
    ("POST", "/v1/memories/"): add,
    ("GET", "/v1/memories/"): lambda attack: {"params": {"user_id": "*", **attack.entities()}},
    ("POST", "/v3/memories/"): json_of(lambda attack: {"filters": attack.filters()}),
    ("POST", "/v2/memories/"): json_of(Attack.whose),
    ("POST", "/v3/memories/search/"): json_of(
        lambda attack: {**search(attack), "filters": attack.filters()}
    ),
    ("POST", "/v2/memories/search/"): json_of(search),
    ("POST", "/v1/memories/search/"): json_of(search),
    ("GET", "/v1/memories/{memory_id}/"): nothing,
    ("GET", "/v1/memories/{memory_id}/history/"): nothing,
    ("PUT", "/v1/memories/{memory_id}/"): json_of(change),
    ("PUT", "/v1/batch/"): json_of(
        lambda attack: {"memories": [{"memory_id": attack.memory(), "text": "x"}]}
    ),
    ("POST", "/v1/feedback/"): json_of(
        lambda attack: {"memory_id": attack.memory(), "feedback": "NEGATIVE"}
    ),
    ("POST", "/v1/summary/"): json_of(lambda attack: {"filters": attack.filters()}),
    ("GET", "/v1/stats/"): nothing,
    ("GET", "/v1/entities/"): nothing,
    ("GET", "/v1/entities/filters/"): nothing,
    ("POST", "/v1/users/"): named("user_id"),
    ("POST", "/v1/agents/"): named("agent_id"),
    ("POST", "/v1/apps/"): named("app_id"),
    ("POST", "/v1/runs/"): named("run_id"),
    ("POST", "/v1/exports/"): json_of(lambda attack: {"schema": {}, **attack.whose()}),
    ("POST", "/v1/exports/get/"): json_of(
        lambda attack: attack.one(
            {"memory_export_id": attack.other.ids["export_id"]}, {}, {"filters": {"user_id": "*"}}
        )
    ),
    ("GET", "/v2/entities/user/{entity_id}/profile/"): nothing,
    ("GET", "/v2/profiles/jobs/{job_id}/"): nothing,
    ("POST", "/v2/profiles/jobs/"): nothing,
    ("GET", "/v2/profiles/settings/"): nothing,
    ("POST", "/v2/profiles/settings/"): nothing,
    ("POST", PROJECTS): json_of(lambda attack: {"name": attack.project()}),
    ("GET", PROJECT): nothing,
    ("PATCH", PROJECT): json_of(lambda _: {"custom_instructions": "x"}),
    ("GET", MEMBERS): nothing,
    ("POST", MEMBERS): json_of(lambda _: {"email": "x@example.com"}),
    ("PUT", MEMBERS): json_of(lambda _: {"email": "x@example.com", "role": "OWNER"}),
    ("DELETE", MEMBERS): lambda attack: {"params": {"email": attack.one("x@example.com", "%")}},
    ("GET", HOOKS): nothing,
    ("POST", HOOKS): json_of(lambda _: {"url": NOWHERE, "name": "x", "event_types": EVENT_TYPES}),
    ("PUT", HOOK): json_of(lambda _: {"url": NOWHERE, "event_types": EVENT_TYPES}),
    ("DELETE", HOOK): nothing,
    ("DELETE", "/v1/memories/{memory_id}/"): lambda attack: {
        "params": {"delete_linked": attack.one("true", "false")}
    },
    ("DELETE", "/v1/batch/"): lambda attack: {
        "json": {"memories": [{"memory_id": attack.memory()}]}
    },
    ("DELETE", "/v2/entities/{entity_type}/{name}/"): nothing,
    ("DELETE", "/v1/entities/{entity_type}/{entity_id}/"): nothing,
    ("DELETE", "/v1/memories/"): lambda attack: {
        "params": attack.one(
            {"user_id": "*"}, {"user_id": attack.other.names["user_id"]}, attack.entities()
        )
    },
    ("DELETE", PROJECT): nothing,
}


def test_every_endpoint_is_tried(running: Running) -> None:
    """Whoever adds one has to say here how somebody could misuse it."""
    endpoints = {
        (method.upper(), path)
        for path, operations in running.app.openapi()["paths"].items()
        for method in operations
    }
    assert set(REQUESTS) == endpoints


@settings(
    max_examples=5,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_nothing_crosses_from_one_project_to_another(running: Running, data: st.DataObject) -> None:
    """Not by guessed ids, crafted filters, names, keys that both use, jobs, nor webhooks."""
    names = {key: data.draw(st.sampled_from(NAMES)) for key in KEYS}
    with filled(running, names) as own:
        own_view = own.view()
        with filled(running, names) as other:
            assert own.view() == own_view
            view = other.view()
            attack = Attack(data.draw, own, other)
            for method, path in REQUESTS:
                _try(method, path, attack)
                assert not _told_by_webhooks(running, own, other.secrets)
            assert other.view() == view


def _try(method: str, path: str, attack: Attack) -> None:
    """Send a request with one's own key, and look into the answer for what is another's."""
    given = REQUESTS[method, path](attack)
    url = path.format_map(attack)
    # Some of Mem0's clients send these along.
    params = {"org_id": "default", "project_id": attack.project(), **given.get("params", {})}
    attack.sent += f"{url} {params} {json.dumps(given)}"
    answer = attack.own.http.request(method, url, **{**given, "params": params})
    assert answer.status_code < 500 or answer.status_code == 501, f"{method} {url} {answer.text}"
    # What was guessed may be quoted; nothing that was not.
    told = {secret for secret in attack.other.secrets if secret in answer.text}
    assert not {secret for secret in told if secret not in attack.sent}, f"{method} {url} {given}"


@contextmanager
def filled(running: Running, names: dict[str, str]) -> Iterator[Tenant]:
    """A project that has something of everything, until the block ends."""
    project = running.new_project()
    with project.http() as http:
        tenant = Tenant(project, http, names)
        tenant.fill()
        yield tenant
        http.delete(tenant.path)


def _told_by_webhooks(running: Running, to: Tenant, secrets: set[str]) -> list[str]:
    """Return what a tenant's webhooks are told of another's secrets."""
    with running.server.state.reading() as connection:
        rows = connection.execute(
            sa.select(deliveries.c.body)
            .join(webhooks)
            .where(webhooks.c.project_id == to.project.id)
        ).all()
    return [row.body for row in rows if any(secret in row.body for secret in secrets)]
