"""Accepts background turns until it is killed: `python crash_worker.py DATA_DIR FIRST LAST`."""

from __future__ import annotations

import sys

from mem0_integrations import connect

folder, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
memory = connect("embedded", data_dir=folder)
for number in range(first, last):
    memory.remember(
        f"Turn {number:04d}: I bought {number} apples.",
        scope={"user_id": f"customer-{number % 3}"},
        key=f"turn-{number}",
        infer=False,
        background=True,
    )
    print(number, flush=True)
memory.flush(60)
