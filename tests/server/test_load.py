from __future__ import annotations

from tests.servers.load import put_under_load
from tests.servers.platform import Running

CLIENTS = 20
SECONDS = 5


async def test_many_clients_at_once_get_answers_and_lose_nothing(running: Running) -> None:
    """Each waits for its turn; none is told that the server is busy, or broken."""
    key = running.new_project().key
    load = await put_under_load(running.url, key, clients=CLIENTS, seconds=SECONDS)
    assert load.errors == []
    assert load.wrong == []
    assert len(load.milliseconds) == 6
