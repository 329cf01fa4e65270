"""Resources that several `AgentMemory` objects of one process use together."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["SharedResources"]

T = TypeVar("T")


class SharedResources(Generic[T]):
    """Opens a resource for its first user, and closes it after its last. Made once, never dropped.

    A forked process begins with none: what it inherits has lost its threads.

    Args:
        close: Closes a resource; the second argument is the seconds that it may take. Returns
            False where something goes on.
    """

    def __init__(self, close: Callable[[T, float | None], bool | None]) -> None:
        self._close = close
        self._lock = threading.Lock()
        self._users: dict[Hashable, tuple[T, int]] = {}
        os.register_at_fork(after_in_child=self._abandon)

    def acquire(self, key: Hashable, create: Callable[[], T]) -> T:
        """Return the resource of a key; create it if nobody uses it yet."""
        with self._lock:
            resource, users = self._users.get(key, (None, 0))
            if resource is None:
                resource = create()
            self._users[key] = resource, users + 1
            return resource

    def release(self, key: Hashable, timeout: float | None) -> bool:
        """Give a resource back; returns False where it was closed and something goes on."""
        with self._lock:
            resource, users = self._users[key]
            if users > 1:
                self._users[key] = resource, users - 1
                return True
            # Still under the lock: nobody may open it again before it is closed.
            del self._users[key]
            return self._close(resource, timeout) is not False

    def _abandon(self) -> None:
        """Drop all resources without closing them: they are those of another process."""
        self._lock = threading.Lock()
        self._users.clear()
