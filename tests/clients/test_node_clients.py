"""Mem0's clients for JavaScript, unmodified, against a server of ours: in Node and in a browser.

Each program in this folder uses one of them and prints what came back. Without Node they are
skipped; with the environment variable TEST_NODE=required a missing Node is an error.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest

from mem0_integrations import AgentMemory
from mem0_integrations.server import ServerSettings, create_app
from tests.servers.openai import OpenAIServer, running_openai
from tests.servers.platform import Running, running_app

pytestmark = [
    # npm may have much to fetch.
    pytest.mark.timeout(300),
    # Where tests are spread over processes, the packages are installed by one of them.
    pytest.mark.xdist_group("node"),
]

PROGRAMS = Path(__file__).parent
# What the packages need.
OLDEST_NODE = (20, 11)
INSTALL_TIMEOUT, RUN_TIMEOUT = 240.0, 60.0

Run = Callable[..., dict[str, Any]]


@cache
def what_is_missing() -> str:
    """Why Node cannot run here; empty if it can."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "no Node with npm"
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    major, minor, *_ = said.strip().removeprefix("v").split(".")
    wanted = ".".join(map(str, OLDEST_NODE))
    return "" if (int(major), int(minor)) >= OLDEST_NODE else f"no Node {wanted} or newer"


def give_up(why: str) -> NoReturn:
    said = f"Mem0's clients for JavaScript are not tried: {why}"
    if os.environ.get("TEST_NODE") == "required":
        pytest.fail(said)
    pytest.skip(said)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The programs, beside the packages that they use."""
    if missing := what_is_missing():
        give_up(f"there is {missing}.")
    folder = tmp_path_factory.mktemp("clients")
    for source in (*PROGRAMS.glob("*.mjs"), *PROGRAMS.glob("*.json"), PROGRAMS / ".npmrc"):
        shutil.copy(source, folder)
    done = subprocess.run(
        ["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_TIMEOUT,
        check=False,
    )
    if done.returncode:
        give_up(f"npm failed: {done.stdout[-2000:]}")
    yield folder
    # Chromium alone is 200 MB, and pytest keeps the folders of three runs.
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def running(shared: AgentMemory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that a page of one origin may call."""
    state = tmp_path_factory.mktemp("server") / "state.db"
    settings = ServerSettings(
        state_url=f"sqlite:///{state}", cors_origins=("http://app.example.com",)
    )
    with running_app(create_app(shared, settings)) as server:
        yield server


@pytest.fixture(scope="session")
def run(installed: Path, running: Running) -> Run:
    """Run a program as a new tenant, and return what it reports."""

    def program(name: str, **environment: str) -> dict[str, Any]:
        project = running.new_project()
        done = subprocess.run(
            ["node", name],
            cwd=installed,
            env={
                "PATH": os.environ["PATH"],
                # Here Chromium unpacks itself, and has its profile.
                "TMPDIR": str(installed),
                "HOME": str(installed),
                "MEM0_TELEMETRY": "false",
                "MEM0_HOST": project.url,
                "MEM0_API_KEY": project.key,
                "MEM0_PROJECT": project.id,
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    return program


# --- MemoryClient of mem0ai


@pytest.fixture(scope="session")
def client(run: Run) -> dict[str, Any]:
    """What Mem0's own client got back."""
    return run("memory_client.mjs")


def test_every_method_is_tried(client: dict[str, Any]) -> None:
    """A client that learns something new must not find a server that does not know it."""
    assert client["notCalled"] == []


def test_a_conversation_is_learned_in_the_background(client: dict[str, Any]) -> None:
    """The answer does not wait for a model; keys of metadata stay as they are."""
    assert client["pending"]["status"] == "PENDING"
    assert client["pending"]["eventId"]
    (memory,) = client["learned"]["results"]
    assert (memory["memory"], memory["userId"]) == ("I am allergic to peanuts.", "ann")
    assert memory["metadata"] == {"firstSeen": "here", "last_seen": {"byWhom": "me"}}


def test_a_memory_has_all_that_it_was_stored_with(client: dict[str, Any]) -> None:
    """Under the names that JavaScript has for it."""
    assert client["stored"]["status"] == "SUCCEEDED"
    (result,) = client["stored"]["results"]
    assert (result["event"], result["data"]) == ("ADD", {"memory": "I live in Oslo."})
    assert client["got"] == {
        "id": result["id"],
        "memory": "I live in Oslo.",
        "userId": "ann",
        "agentId": "guide",
        "appId": "travel",
        "runId": "r2",
        "sessionId": "r2",
        "metadata": {"tripNumber": 1},
        "categories": [],
        "structuredAttributes": None,
        "role": "user",
        "expirationDate": "2999-12-31",
        "createdAt": "1970-01-02T00:00:00Z",
        "updatedAt": "1970-01-02T00:00:00Z",
    }


def test_memories_are_listed(client: dict[str, Any]) -> None:
    """By page, time and entity; filters may be spelled as JavaScript does."""
    assert [one["memory"] for one in client["page"]["results"]] == ["I am allergic to peanuts."]
    assert (client["page"]["count"], bool(client["page"]["next"])) == (2, True)
    assert client["page"]["previous"] is None
    assert client["camelCase"] == ["I am allergic to cats."]
    assert client["since"] == ["I live in Oslo."]
    newest_first = ["The sale ends today.", "I am allergic to peanuts.", "I live in Oslo."]
    assert client["expired"] == newest_first


def test_memories_are_found(client: dict[str, Any]) -> None:
    """With a score, and only the fields that were asked for."""
    (found,) = client["found"]["results"]
    assert (found["memory"], found["appId"]) == ("I live in Oslo.", "travel")
    assert 0.1 < found["score"] <= 1
    found_by_fields = client["fields"]["results"]
    assert [(one["memory"], one["userId"]) for one in found_by_fields] == [
        ("I am allergic to peanuts.", "ann"),
        ("I am allergic to cats.", "bob"),
    ]
    assert set(found_by_fields[0]) == {"id", "memory", "userId", "score"}


def test_a_memory_is_changed(client: dict[str, Any]) -> None:
    """And its history says so."""
    updated = client["updated"]
    assert updated["metadata"] == {"tripNumber": 2, "bySea": True}
    assert (updated["createdAt"], updated["expirationDate"]) == ("1970-01-03T00:00:00Z", None)
    changes = [(one["event"], one["oldMemory"], one["newMemory"]) for one in client["history"]]
    assert changes[:2] == [
        ("ADD", None, "I live in Oslo."),
        ("UPDATE", "I live in Oslo.", "I live in Rome."),
    ]
    assert {one["memoryId"] for one in client["history"]} == {updated["id"]}
    kept = {"id": updated["id"], "feedback": "POSITIVE", "feedbackReason": "True."}
    assert client["feedback"] == kept
    assert client["batchUpdate"] == {"message": "Successfully updated 1 memories"}
    assert client["changed"] == "The sale is over."


def test_memories_are_exported(client: dict[str, Any]) -> None:
    """In the shape of the schema, found by the job or by its filters."""
    assert client["exported"] == {"memories": [{"memory": "I live in Rome.", "tripNumber": 2}]}
    assert client["exportedByFilters"] == client["exported"]


def test_the_project_has_settings_and_webhooks(client: dict[str, Any]) -> None:
    """All that the client can ask of a project."""
    assert client["project"] == {
        "customInstructions": "Keep numbers.",
        "customCategories": [{"homeTown": "where somebody lives"}],
    }
    assert client["webhook"]["eventTypes"] == ["memory_delete"]
    (webhook,) = client["webhooks"]
    assert (webhook["webhookId"], webhook["name"]) == (client["webhook"]["webhookId"], "new")
    assert (webhook["eventTypes"], webhook["isActive"]) == (["memory_add", "memory_update"], True)
    assert client["webhooksLeft"] == []


def test_everything_can_be_deleted(client: dict[str, Any]) -> None:
    """One, several, all of an entity, the entity, and everybody."""
    users = {(one["type"], one["name"]): one["totalMemories"] for one in client["users"]["results"]}
    assert users == {
        ("user", "ann"): 3,
        ("user", "bob"): 1,
        ("agent", "guide"): 1,
        ("app", "travel"): 1,
        ("run", "r1"): 1,
        ("run", "r2"): 1,
    }
    assert client["deletedLinked"]["cascadeCount"] == 0
    assert client["left"] == ["I am allergic to peanuts."]
    assert client["deletedAll"]["eventId"]
    assert client["deletedUser"]["message"] == "Entity deleted successfully!"
    assert client["nobody"] == []
    assert client["nobodyToDelete"]["message"] == "No entities to delete"


def test_what_the_server_cannot_do_it_says(client: dict[str, Any]) -> None:
    """Profiles need a model that writes them."""
    assert len(client["profiles"]) == 6
    for refusal in client["profiles"]:
        assert refusal["errorCode"] == "HTTP_501"
        assert "makes no profiles" in refusal["message"]


def test_errors_are_those_of_the_client(client: dict[str, Any]) -> None:
    """With a sentence that says what is wrong."""
    refused = {**client["refused"], "key": client["wrongKey"]}
    assert {case: (one["name"], one["errorCode"]) for case, one in refused.items()} == {
        "unknown": ("MemoryNotFoundError", "HTTP_404"),
        "malformed": ("MemoryNotFoundError", "HTTP_404"),
        "ofNobody": ("ValidationError", "HTTP_400"),
        "filter": ("ValidationError", "HTTP_400"),
        "key": ("AuthenticationError", "HTTP_401"),
    }
    assert all(json.loads(one["message"])["detail"] for one in refused.values())
    # Only the ping with the wrong key failed unheard.
    assert [one for one in client["complaints"] if "telemetry" not in one] == [
        f"Failed to initialize client: AuthenticationError: {client['wrongKey']['message']}"
    ]


# --- @mem0/vercel-ai-provider


@pytest.fixture(scope="session")
def model() -> Iterator[OpenAIServer]:
    """The model that the Vercel AI SDK asks; it keeps what it was sent."""
    with running_openai(answer="Not one with peanuts.", memories=[]) as server:
        yield server


@pytest.fixture(scope="session")
def vercel(run: Run, model: OpenAIServer) -> dict[str, Any]:
    """What the Vercel AI SDK got back with Mem0's provider."""
    said = run("vercel_provider.mjs", OPENAI_BASE_URL=model.url)
    assert said["complaints"] == []
    return said


def test_the_model_is_told_what_is_remembered(vercel: dict[str, Any], model: OpenAIServer) -> None:
    """That is what the provider is for; the whole conversation still comes after it."""
    assert vercel["generated"] == "Not one with peanuts."
    recalled, instructions, *conversation = model.chats[0]["messages"]
    assert recalled["role"] == instructions["role"] == "system"
    assert "Memory: I am allergic to peanuts." in recalled["content"]
    assert instructions["content"] == "Be brief."
    assert [message["role"] for message in conversation] == ["user", "assistant", "user"]
    (source,) = vercel["sources"]
    assert "peanuts" in source["providerMetadata"]["mem0"]["memoriesText"]


def test_what_the_model_is_asked_is_remembered(vercel: dict[str, Any]) -> None:
    """Images beside the text are no obstacle."""
    assert vercel["learned"][0]["memory"] == "I live in Oslo."


def test_a_streaming_model_is_told_what_its_user_said(
    vercel: dict[str, Any], model: OpenAIServer
) -> None:
    """And nothing of another user."""
    assert vercel["streamed"].strip() == "Not one with peanuts."
    recalled, question = model.chats[1]["messages"]
    assert "Memory: I am allergic to milk." in recalled["content"]
    assert "peanuts" not in recalled["content"]
    assert question == {"role": "user", "content": "Which cake may I eat?"}


def test_memories_are_used_without_the_provider(vercel: dict[str, Any]) -> None:
    """Its functions are for models that it does not know."""
    assert vercel["added"]["status"] == "SUCCEEDED"
    assert vercel["retrieved"].endswith("Memory: I am allergic to peanuts.\n\n")
    assert [one["memory"] for one in vercel["got"]] == ["I am allergic to peanuts."]
    assert [one["memory"] for one in vercel["filtered"]["results"]] == ["I am allergic to peanuts."]
    assert vercel["ofNobodyElse"] == vercel["notOfThisAgent"] == {"results": []}


# --- The client of browser extensions


@pytest.fixture(scope="session")
def page(run: Run) -> dict[str, Any]:
    """What a page in Chromium got back."""
    said = run("browser.mjs")
    assert said["browser"].startswith("HeadlessChrome/")
    return said


def test_an_extension_uses_the_server_from_its_page(page: dict[str, Any]) -> None:
    """Every call that one makes, as version 1 of the protocol has them."""
    assert page["origin"] == "http://app.example.com"
    assert page["project"] == {"message": "Project updated successfully."}
    added = [one["memory"] for one in page["added"]]
    assert added == ["I am learning to bake.", "Video title: Bread"]
    # A bare list, whose parts the extension reads like this.
    assert [(one["memory"], one["metadata"]) for one in page["found"]] == [
        ("I am learning to bake.", {"videoId": "v1"})
    ]
    assert sorted(one["memory"] for one in page["page"]["results"]) == added
    assert page["all"] == page["page"]["results"]
    assert page["updated"]["id"] == page["found"][0]["id"]
    assert page["updated"]["memory"] == "I can bake."
    assert page["notUpdated"].startswith("At least one of text")
    assert page["deleted"] == {"message": "Memory deleted successfully!"}
    assert page["deletedAll"]["message"] == "Memories deleted successfully!"
    assert page["left"]["results"] == []


def test_a_web_page_uses_the_newest_client(page: dict[str, Any]) -> None:
    """It sends more headers than the old one; errors can be read, too."""
    assert page["newest"] == {"memory": "I like tea.", "refused": "ValidationError", "status": 200}


def test_a_page_of_another_origin_is_refused(page: dict[str, Any]) -> None:
    """Whom the settings do not name, the browser keeps out."""
    assert page["stranger"] == "Failed to ping server: Failed to fetch"


# --- What the README shows


def test_the_readme_does_what_it_shows(
    installed: Path, running: Running, model: OpenAIServer
) -> None:
    """Code in a README is copied before anything else is read."""
    project = running.new_project()
    client = project.client()
    client.add("My kettle leaks at the base.", user_id="customer-2", infer=False)
    client.client.close()
    environment = {
        "PATH": os.environ["PATH"],
        "MEM0_TELEMETRY": "false",
        "MEM0_HOST": project.url,
        "MEM0_API_KEY": project.key,
        "OPENAI_API_KEY": "not-a-secret",
        "OPENAI_BASE_URL": model.url,
    }
    readme = (PROGRAMS.parents[1] / "README.md").read_text()
    for number, code in enumerate(re.findall(r"```ts\n(.*?)```", readme, re.S)):
        (installed / "readme.ts").write_text(code)
        esbuild = ["node_modules/.bin/esbuild", "readme.ts", f"--outfile=readme{number}.mjs"]
        subprocess.run([*esbuild, "--log-level=error"], cwd=installed, check=True)
        done = subprocess.run(
            ["node", f"readme{number}.mjs"],
            cwd=installed,
            env=environment,
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        shown = re.findall(r"(?m)^// (.*)$", code)
        assert done.stdout.splitlines() == (shown or [model.answer])
    assert "My kettle leaks at the base." in json.dumps(model.chats[-1]["messages"])
