"""Background threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

__all__ = ["Worker"]

logger = logging.getLogger(__name__)


class Worker:
    """A background thread that calls a job repeatedly until it is stopped.

    Args:
        name: The name of the worker, for the log.
        job: Does the work that there is; returns whether to call it again at once. Its errors are
            logged without their content, and it is called again after the pause.
        pause: Seconds between two calls; `wake` ends the pause.

    Example:
        >>> done = threading.Event()
        >>> worker = Worker("example", lambda: done.set() or False, pause=60)
        >>> worker.start()
        >>> done.wait(10), worker.stop(10)
        (True, True)
    """

    def __init__(self, name: str, job: Callable[[], bool], *, pause: float = 1.0) -> None:
        self._name = name
        self._job = job
        self._pause = pause
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"mem0-server-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Call the job now, because there is something to do."""
        self._woken.set()

    def stop(self, timeout: float | None = None) -> bool:
        """End after the current call of the job; returns whether that was in time.

        The timeout is in seconds; None for no limit.
        """
        self._stopped.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopped.is_set():
            again = False
            # Before the job: what comes in while it runs is looked for once more.
            self._woken.clear()
            try:
                again = self._job()
            except Exception as error:
                logger.warning("The worker %s failed: %s.", self._name, type(error).__name__)
            if not again:
                self._woken.wait(self._pause)
