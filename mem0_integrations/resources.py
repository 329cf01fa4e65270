"""Resources that several `AgentMemory` objects of one process use together."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["SharedResources"]

T = TypeVar("T")


class _Shared(Generic[T]):
    """A resource, its users, and those that wait until it is open."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.resource: T | None = None


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
        self._shared: dict[Hashable, _Shared[T]] = {}
        os.register_at_fork(after_in_child=self._abandon)

    def acquire(self, key: Hashable, create: Callable[[], T]) -> T:
        """Return the resource of a key; create it if nobody uses it yet."""
        with self._lock:
            shared = self._shared.setdefault(key, _Shared())
            shared.users += 1
        try:
            with shared.lock:
                if shared.resource is None:
                    shared.resource = create()
                return shared.resource
        except BaseException:
            self._leave(key, shared, None)
            raise

    def release(self, key: Hashable, timeout: float | None) -> bool:
        """Give a resource back; returns False where it was closed and something goes on."""
        return self._leave(key, self._shared[key], timeout)

    def _leave(self, key: Hashable, shared: _Shared[T], timeout: float | None) -> bool:
        with self._lock:
            shared.users -= 1
        # Until it is closed, nobody may open it again; who uses another one does not wait.
        with shared.lock:
            is_idle = True
            if not shared.users and shared.resource is not None:
                resource, shared.resource = shared.resource, None
                is_idle = self._close(resource, timeout) is not False
            with self._lock:
                if not shared.users and self._shared.get(key) is shared:
                    del self._shared[key]
        return is_idle

    def _abandon(self) -> None:
        """Drop all resources without closing them: they are those of another process."""
        self._lock = threading.Lock()
        # Never freed, not even at the end: native code waits for its threads before it goes.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._shared))
        self._shared = {}
