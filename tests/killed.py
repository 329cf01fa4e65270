"""Processes that write until they are killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def accepted_until_killed(worker: Path, folder: Path, first: int, last: int, after: int) -> int:
    """Run a worker, kill it once it has accepted `after` turns; returns the last one."""
    command = [sys.executable, str(worker), str(folder), str(first), str(last)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        accepted = first - 1
        for count, line in enumerate(process.stdout, start=1):
            accepted = int(line)
            if count == after:
                process.kill()
                # What it had printed before it died was accepted, too.
        process.wait()
    return accepted
