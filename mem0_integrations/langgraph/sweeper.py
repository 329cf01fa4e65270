"""A thread that sweeps every few minutes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

from mem0_integrations.errors import ClosedError, Mem0IntegrationsError

__all__ = ["Sweeper"]

logger = logging.getLogger(__name__)


class Sweeper:
    """Calls a function at regular intervals in one thread, until it is stopped.

    Args:
        sweep: What to call; after a `ClosedError` it is not called again, any other error of
            ours is logged.
    """

    def __init__(self, sweep: Callable[[], object]) -> None:
        self._sweep = sweep
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def start(self, seconds: float) -> Future[None]:
        """Sweep every `seconds` from now on; an earlier schedule ends.

        Returns:
            Ends with the sweeping, and ends it when it is cancelled.
        """
        self.stop()
        stop = self._stop = threading.Event()
        ended: Future[None] = Future()
        ended.add_done_callback(lambda _: stop.set())
        self._thread = threading.Thread(
            target=self._work, args=(seconds, stop, ended), name="mem0-store-sweeper", daemon=True
        )
        self._thread.start()
        return ended

    def stop(self, timeout: float | None = None) -> bool:
        """Stop; returns whether the thread has ended within `timeout` seconds."""
        self._stop.set()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self, seconds: float, stop: threading.Event, ended: Future[None]) -> None:
        while not stop.wait(seconds):
            try:
                self._sweep()
            except ClosedError:
                break
            except Mem0IntegrationsError as error:
                logger.error("Expired items were not deleted: %s.", type(error).__name__)
        if ended.set_running_or_notify_cancel():
            ended.set_result(None)
