"""Which write is next: in order within a scope, scopes side by side. No I/O, no locks."""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Set

from mem0_integrations.errors import CorruptFileError
from mem0_integrations.scope import Scope

__all__ = ["Lanes", "lane_of", "scope_of"]


class Lanes:
    """A queue of rows for each scope; at most one row of a lane is taken at a time.

    Times are those of any monotonic clock, in seconds. The caller keeps other threads out.
    """

    def __init__(self) -> None:
        self.last_row = 0
        self._rows: dict[str, deque[int]] = {}
        self._ready: deque[str] = deque()
        self._delayed: list[tuple[float, str]] = []
        self._repeats: dict[str, float] = {}
        self._busy: set[str] = set()
        self._paused: list[Scope] = []
        self._entered: list[Scope] = []
        self._count = 0

    def __len__(self) -> int:
        """Count the rows, those that are taken included."""
        return self._count

    def add(self, row: int, lane: str, not_before: float) -> None:
        """Append a row to its lane; if it is the first one, it is due at a time."""
        self.last_row = max(self.last_row, row)
        rows = self._rows.setdefault(lane, deque())
        rows.append(row)
        self._count += 1
        if len(rows) == 1 and lane not in self._busy:
            heapq.heappush(self._delayed, (not_before, lane))

    def take(self, now: float) -> tuple[str, int] | None:
        """Return the lane and the row that is next, if any is due."""
        while self._delayed and self._delayed[0][0] <= now:
            self._ready.append(heapq.heappop(self._delayed)[1])
        while self._ready:
            lane = self._ready.popleft()
            # It may have been dropped, taken or given back since it was scheduled; `resume` and
            # `repeat` schedule it again.
            if (
                lane in self._rows
                and lane not in self._busy
                and not self._is_held(lane)
                and self._repeats.get(lane, now) <= now
            ):
                self._busy.add(lane)
                return lane, self._rows[lane][0]
        return None

    def next_due(self) -> float | None:
        """Return when the next delayed row is due, or None."""
        return self._delayed[0][0] if self._delayed else None

    def finish(self, lane: str) -> None:
        """Remove the row that was taken from a lane."""
        self._busy.discard(lane)
        self._repeats.pop(lane, None)
        rows = self._rows[lane]
        rows.popleft()
        self._count -= 1
        if rows:
            self._ready.append(lane)
        else:
            del self._rows[lane]

    def repeat(self, lane: str, not_before: float) -> None:
        """Give the row that was taken from a lane back, to be taken again at a time."""
        self._busy.discard(lane)
        self._repeats[lane] = not_before
        heapq.heappush(self._delayed, (not_before, lane))

    def pause(self, scope: Scope) -> None:
        """Take no row of a scope from now on."""
        self._paused.append(scope)

    def resume(self, scope: Scope, not_before: float) -> None:
        """End a pause; what was held back is due at a time."""
        self._paused.remove(scope)
        for lane in self._rows:
            if scope.covers(scope_of(lane)):
                due = max(not_before, self._repeats.get(lane, not_before))
                heapq.heappush(self._delayed, (due, lane))

    def is_paused(self, scope: Scope) -> bool:
        """Tell whether a scope is within one that is paused."""
        return any(paused.covers(scope) for paused in self._paused)

    def enter(self, scope: Scope) -> None:
        """Count as busy for a scope, without a row."""
        self._entered.append(scope)

    def leave(self, scope: Scope) -> None:
        """End what `enter` began."""
        self._entered.remove(scope)

    def is_busy(self, scope: Scope) -> bool:
        """Tell whether a row of a scope is taken, or the scope was entered."""
        busy = (*map(scope_of, self._busy), *self._entered)
        return any(scope.covers(other) for other in busy)

    def has_taken(self) -> bool:
        """Tell whether any row is taken."""
        return bool(self._busy)

    def drop(self, doomed: Set[int]) -> list[int]:
        """Remove rows, but for those that are taken, and return them."""
        dropped: list[int] = []
        for lane, rows in list(self._rows.items()):
            taken = rows[0] if lane in self._busy else None
            left = deque(row for row in rows if row not in doomed or row == taken)
            if len(left) == len(rows):
                continue
            dropped.extend(row for row in rows if row in doomed and row != taken)
            if taken is None:
                self._repeats.pop(lane, None)
            if left:
                self._rows[lane] = left
            else:
                del self._rows[lane]
        self._count -= len(dropped)
        return dropped

    def _is_held(self, lane: str) -> bool:
        return bool(self._paused) and self.is_paused(scope_of(lane))


def lane_of(scope: Scope) -> str:
    """Return the name of the lane that keeps the order of a scope's writes."""
    return json.dumps(scope.ids, sort_keys=True)


def scope_of(lane: str) -> Scope:
    """Return the scope of a lane.

    Raises:
        CorruptFileError: It names none.
    """
    try:
        return Scope(**json.loads(lane))
    except (TypeError, ValueError) as error:
        raise CorruptFileError(
            "A row of an outbox names no scope: its file is damaged. `mem0-integrations doctor` "
            "says which it is, and what to do."
        ) from error
