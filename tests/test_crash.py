"""Nothing lost: a process that is killed loses no turn that it accepted, and doubles none."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mem0_integrations import connect
from tests.killed import accepted_until_killed

TURNS = 500
KILLS = 12
WORKER = Path(__file__).with_name("crash_worker.py")


@pytest.mark.timeout(300)
def test_every_accepted_turn_is_stored_exactly_once_and_in_order(data_dir: Path) -> None:
    """Killed a dozen times at random moments, with unfinished deliveries each time."""
    moments = random.Random(48213)
    accepted = -1
    for kill in range(KILLS):
        # The client cannot know whether its last turns were accepted: it sends some again.
        first = max(0, accepted - 2)
        share = (TURNS - first) // (KILLS - kill)
        accepted = max(
            accepted,
            accepted_until_killed(WORKER, data_dir, first, TURNS, moments.randint(1, 2 * share)),
        )
    assert (
        accepted_until_killed(WORKER, data_dir, max(0, accepted - 2), TURNS, TURNS + 1) == TURNS - 1
    )
    with connect() as memory:
        assert memory.flush(60)
        counts = memory.outbox_counts()
        stored = {
            customer: [
                found.text for found in memory.list(scope={"user_id": customer}, limit=TURNS)
            ]
            for customer in ("customer-0", "customer-1", "customer-2")
        }
    assert (counts.queued, counts.dead, counts.done) == (0, 0, TURNS)
    for remainder, texts in enumerate(stored.values()):
        expected = [f"Turn {n:04d}: I bought {n} apples." for n in range(remainder, TURNS, 3)]
        assert sorted(texts) == expected
        assert in_order_of_writing(data_dir, f"customer-{remainder}") == expected


def in_order_of_writing(folder: Path, customer: str) -> list[str]:
    with closing(sqlite3.connect(folder / "embedded" / "memories.db")) as file:
        rows = file.execute(
            "SELECT json_extract(payload, '$.data') FROM memories WHERE user_id = ? ORDER BY seq",
            (customer,),
        )
        return [text for (text,) in rows]
