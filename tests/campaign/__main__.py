"""Many rounds side by side, and a table of figures: `python -m tests.campaign --rounds 200`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from tests.campaign.life import Words
from tests.campaign.round import ALL_WAYS, KINDS, Result, Round, Services, Tell, new_seeds
from tests.paths import Way, served_platform
from tests.servers.postgres import running_postgres
from tests.switches import Parts

_JOBS: Final = 3
"""Rounds at a time: much of one is waiting."""


class Campaign:
    """Runs rounds on the services that they need.

    Args:
        services: What the rounds have.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        # What stumbles there is the server's, for all of its clients.
        self._served = {model: threading.Lock() for model in ("no model", "scripted model")}

    def round(self, seed: int, tell: Tell = lambda line: None, ways: Sequence[Way] = ()) -> Result:
        """Live one round."""
        new = Round(seed, self._services, tell, ways or ALL_WAYS)
        way = new.result.way
        with self._served[way.model] if way.store == "platform" else nullcontext():
            return new.run()

    def rounds(
        self, seeds: Sequence[int], done: Callable[[Result], None], ways: Sequence[Way] = ()
    ) -> list[Result]:
        """Live rounds side by side."""
        results: list[Result] = []

        def live(seed: int) -> None:
            result = self.round(seed, ways=ways)
            results.append(result)
            done(result)

        with ThreadPoolExecutor(_JOBS) as threads:
            for each in [threads.submit(live, seed) for seed in seeds]:
                each.result()
        return results


@contextmanager
def services(folder: Path, postgres_url: str) -> Iterator[Services]:
    """Serve the Platform's protocol, with a model and without, when that is asked for."""
    with ExitStack() as closing:
        running: dict[str, tuple[Any, Parts]] = {}
        opening = threading.Lock()

        def platform(model: str) -> tuple[str, str, Parts]:
            with opening:
                if model not in running:
                    home = folder / f"server, {model}"
                    home.mkdir()
                    running[model] = closing.enter_context(served_platform(model, home, Words()))
                server, parts = running[model]
                project = server.new_project()
                return project.url, project.key, parts

        yield Services(folder, postgres_url, platform)


def table(results: Sequence[Result], seconds: float) -> str:
    """Return the figures of a campaign, a line each."""
    happened: Counter[str] = Counter()
    for result in results:
        happened.update(result.happened)
    failed = [result for result in results if result.wrong]
    rows: list[tuple[str, object]] = [
        ("rounds", len(results)),
        *((kind, happened[kind]) for kind in KINDS),
        ("operations", sum(result.operations for result in results)),
        ("accepted", sum(result.accepted for result in results)),
        *(
            (kind, sum(len(getattr(result.wrong, kind)) for result in results))
            for kind in ("lost", "doubled", "back")
        ),
        ("otherwise wrong", sum(len(result.wrong.other) for result in results)),
        ("seconds", f"{seconds:.0f}"),
        ("seeds", f"{results[0].seed} to {results[-1].seed}" if results else "none"),
        ("seeds of failures", ", ".join(str(each.seed) for each in failed) or "none"),
    ]
    return "\n".join(f"{name:<20}{value:>12}" for name, value in rows)


def main() -> int:
    """Run a campaign, or one seed of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, help="only this one, step by step")
    parser.add_argument("--times", type=int, default=1, help="how often, with --seed")
    parser.add_argument("--first", type=int, help="the first of the seeds; else new ones")
    parser.add_argument("--on", default="", help="only ways whose names have this in them")
    given = parser.parse_args()
    # Of the servers that are told to stumble.
    logging.disable(logging.ERROR)
    seeds = new_seeds(given.rounds)
    if given.first is not None:
        seeds = [*range(given.first, given.first + given.rounds)]
    if given.seed is not None:
        seeds = [given.seed] * given.times
    ways = [way for way in ALL_WAYS if given.on in str(way)]
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="campaign-") as folder,
        running_postgres() as url,
        services(Path(folder), url) as having,
    ):
        os.environ["MEM0_DIR"] = folder
        campaign = Campaign(having)
        if given.seed is not None:
            results = [campaign.round(seed, print, ways) for seed in seeds]
            for result in results:
                _said(result)
        else:
            results = campaign.rounds(seeds, _said, ways)
    results.sort(key=lambda result: result.seed)
    print(table(results, time.monotonic() - began))
    return int(any(result.wrong for result in results))


def _said(result: Result) -> None:
    state = "WRONG" if result.wrong else "ok"
    print(f"{result.seed} {result.way}: {state}, {result.operations} operations", flush=True)
    for line in result.wrong.lines():
        print(f"    {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
