from __future__ import annotations

import json
import re
import signal
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from mem0 import MemoryClient
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner, Result

from mem0_integrations import ConfigurationError, InvalidInputError, connect
from mem0_integrations.cli import app
from mem0_integrations.server.tenancy import project_scope
from tests.servers.openai import DIMENSION, running_openai
from tests.servers.platform import served
from tests.servers.postgres import new_state, with_iterative_scan


def run(folder: Path, *arguments: str) -> Result:
    """Run the command in this process: starting one takes two seconds."""
    return CliRunner().invoke(
        app, arguments, env={"MEM0_DIR": str(folder / "data"), "COLUMNS": "200"}
    )


def test_the_server_runs_as_a_process_and_delivers_before_it_ends(tmp_path: Path) -> None:
    """Who stops it with Ctrl+C or `docker stop` loses nothing that was accepted."""
    key = run(tmp_path, "keys", "create", "--project", "acme", "--name", "laptop").stdout.strip()
    with served(tmp_path) as (url, process):
        assert httpx.get(f"{url}/v1/ping/").status_code == 401
        client = MemoryClient(api_key=key, host=url)
        with closing(client.client):
            client.add("I am allergic to peanuts.", user_id="priya", infer=False)
            found = client.search("allergies?", filters={"user_id": "priya"})["results"]
            assert [one["memory"] for one in found] == ["I am allergic to peanuts."]
            event = client.add("My name is Priya. I live in Oslo.", user_id="priya")
            assert event["status"] == "PENDING"
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    log = (tmp_path / "log").read_text()
    assert "POST /v3/memories/add/ 200" in log
    assert "project=acme" in log
    assert not re.search("priya|peanuts|oslo|Traceback", log, re.IGNORECASE)
    assert key not in log
    with connect("embedded", data_dir=tmp_path / "data") as memory:
        assert memory.outbox_counts().queued == 0
        kept = memory.list(scope=project_scope("acme", user_id="priya"))
        assert {one.text for one in kept} >= {"I am allergic to peanuts.", "I live in Oslo."}


def test_several_workers_serve_one_memory(tmp_path: Path, postgres_url: str) -> None:
    """They share the store, the state, the outbox and the numbers."""
    state = new_state(postgres_url)
    with running_openai(answer="", memories=["User likes tea"]) as openai:
        model = {"api_key": "test", "openai_base_url": openai.url}
        store = {
            "connection_string": with_iterative_scan(postgres_url),
            "collection_name": "served",
            "embedding_model_dims": DIMENSION,
        }
        config = tmp_path / "config.json"
        config.write_text(
            json.dumps(
                {
                    "vector_store": {"provider": "pgvector", "config": store},
                    "embedder": {"provider": "openai", "config": model},
                    "llm": {"provider": "openai", "config": model},
                    "history_db_path": str(tmp_path / "history.db"),
                }
            )
        )
        key = run(tmp_path, "keys", "create", "--state-url", state).stdout.strip()
        arguments = ("--workers", "2", "--config", str(config), "--state-url", state)
        with served(tmp_path, *arguments) as (url, _):
            headers = {"Authorization": f"Token {key}"}
            body = {"messages": [{"role": "user", "content": "I like tea."}], "user_id": "ann"}

            def ask() -> str:
                # A connection of its own each time, so that either worker may answer.
                return httpx.get(f"{url}/v1/ping/", headers=headers).json()["status"]

            assert {ask() for _ in range(10)} == {"ok"}
            added = httpx.post(f"{url}/v3/memories/add/", json=body, headers=headers, timeout=30)
            event = f"{url}/v1/event/{added.json()['event_id']}/"
            for _ in range(200):
                found = httpx.get(event, headers=headers).json()
                if found["status"] in ("SUCCEEDED", "FAILED"):
                    break
                time.sleep(0.1)
            assert (found["status"], len(found["results"])) == ("SUCCEEDED", 1)
            assert len(openai.extractions) == 1
            metrics = httpx.get(f"{url}/metrics").text
    pings = [
        sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "mem0_server_requests_total" and sample.labels["route"] == "/v1/ping/"
    ]
    # Whichever worker is asked knows of all.
    assert pings == [10.0]
    assert 'mem0_server_events{status="SUCCEEDED"} 1.0' in metrics


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "There is no API key, so the server does not listen on 0.0.0.0"),
        (["--workers", "2"], "Several workers cannot share the embedded default"),
        (["--rate-limit", "often"], "rate_limit must be like '600/minute'"),
        (["--state-url", "nonsense"], "cannot keep its state in this database"),
    ],
)
def test_what_cannot_be_served_safely_is_refused(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    """One line that says what to do, instead of a server that others can read."""
    error = run(tmp_path, "serve", *arguments).exception
    assert isinstance(error, ConfigurationError)
    assert message in str(error)


def test_several_workers_cannot_share_a_local_store(tmp_path: Path) -> None:
    """The second worker would fail to open it, and be started again for ever."""
    config = tmp_path / "config.json"
    store = {"provider": "qdrant", "config": {"path": str(tmp_path / "q"), "on_disk": True}}
    parts = {"vector_store": store, "llm": {"provider": "openai", "config": {"api_key": "x"}}}
    parts["embedder"] = parts["llm"]
    config.write_text(json.dumps(parts))
    error = run(tmp_path, "serve", "--workers", "2", "--config", str(config)).exception
    assert isinstance(error, ConfigurationError)
    assert f"cannot share the vector store in {tmp_path / 'q'}" in str(error)
    assert not (tmp_path / "q").exists()


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    """The key alone is on standard output: `KEY=$(mem0-integrations keys create)`."""
    made = run(tmp_path, "keys", "create", "--project", "acme", "--name", "laptop")
    assert re.fullmatch(r"m0-[\w-]{40}\n", made.stdout)
    key = made.stdout.strip()
    listed = run(tmp_path, "keys", "list").stdout
    assert key[:11] in listed
    assert "acme" in listed
    assert "laptop" in listed
    assert key not in listed
    assert "Revoked" in run(tmp_path, "keys", "revoke", key[:11]).stdout
    again = run(tmp_path, "keys", "revoke", key[:11]).exception
    assert isinstance(again, InvalidInputError)
    assert "No keys that are good" in str(again)


def test_the_server_is_not_the_first_to_close_a_connection_that_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that is sent in that moment would fail, and an add would be in doubt."""
    options: dict[str, object] = {}
    # Only what it is told counts here: to see it would take longer than the clients wait.
    monkeypatch.setattr("uvicorn.run", lambda _, **given: options.update(given))
    assert run(tmp_path, "serve").exception is None
    with httpx.Client() as client:
        pool = client._transport._pool  # type: ignore[attr-defined]
        assert options["timeout_keep_alive"] > 2 * pool._keepalive_expiry
