"""Remembers, with a graph, until it is killed: `python crash_worker.py DATA_DIR FIRST LAST`."""

from __future__ import annotations

import sys

from mem0_integrations import connect

folder, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
memory = connect("embedded", graph=True, data_dir=folder)
for number in range(first, last):
    memory.remember(
        f"I like thing number {number}.",
        scope={"user_id": f"customer-{number % 3}"},
        key=f"turn-{number}",
        background=number % 2 == 0,
    )
    print(number, flush=True)
memory.flush(60)
