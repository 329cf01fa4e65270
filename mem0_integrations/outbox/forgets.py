"""Scopes that are to be forgotten: on disk before anything is erased, until everything is."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from mem0_integrations.concurrency import begin
from mem0_integrations.errors import BackendError, BackendTimeoutError, Mem0IntegrationsError
from mem0_integrations.outbox.delivery import Eraser
from mem0_integrations.outbox.lanes import Lanes
from mem0_integrations.outbox.ledger import Forget, Ledger
from mem0_integrations.records import ForgetResult
from mem0_integrations.scope import Scope

__all__ = ["PATIENCE_SECONDS", "Forgets"]

logger = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 60.0
"""How long is waited for a write of a scope that is forgotten, and the other way round."""

# How long for one that can be given up.
_GRACE_SECONDS: Final = 5.0

_RETRY_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.02


class Forgets:
    """The forgetting of scopes, by the process that delivers.

    From when it is taken up until it is done, no write of the scope is delivered.

    Args:
        ledger: Where it is on disk.
        lanes: The queued writes.
        changed: Notified when something ends; its lock is held around the lanes.
        is_busy: Tells whether a write of a scope is under way, for whoever holds the lock.
        drop: Gives up the writes that were erased, for whoever holds the lock: those that are
            queued, and when told so those that are under way, as far as they can be.
        ended: Called without the lock when a forgetting has ended, in any way.
    """

    def __init__(
        self,
        ledger: Ledger,
        lanes: Lanes,
        changed: threading.Condition,
        *,
        is_busy: Callable[[Scope], bool],
        drop: Callable[[Forget, bool], None],
        ended: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._lanes = lanes
        self._changed = changed
        self._is_busy = is_busy
        self._drop = drop
        self._ended = ended
        # By number, when they are tried again; None while they are carried out.
        self._due: dict[int, float | None] = {}

    def __len__(self) -> int:
        """Count those that are taken up and not done."""
        return len(self._due)

    @property
    def is_erasing(self) -> bool:
        """Whether one is being carried out."""
        return any(due is None for due in self._due.values())

    def take_up(self, intent: Forget, due: float | None) -> None:
        """Hold back the writes of a scope until it is forgotten; for whoever holds the lock.

        Args:
            intent: What is to be forgotten; nothing happens if it is taken up already.
            due: When `look` carries it out; None if the caller does.
        """
        if intent.number not in self._due:
            self._due[intent.number] = due
            self._lanes.pause(intent.scope)
            self._drop(intent, False)

    def carry_out(self, intent: Forget, eraser: Eraser, *, reported: bool) -> ForgetResult:
        """Erase what was taken up.

        Args:
            intent: What is to be forgotten.
            eraser: Erases it.
            reported: Whether the caller gets the result; else it is kept on disk.
        """
        try:
            self._wait_until_idle(intent)
            late = 0 if intent.filters is not None else self._ledger.erase_done(intent.scope)
            result = eraser.erase(intent.scope, intent.filters)
            if result.keys:
                self._ledger.erase_keys(intent.scope, result.keys)
            result = dataclasses.replace(result, writes=intent.writes + late + len(result.keys))
            self._ledger.compact()
            self._ledger.finish_forget(intent.number, None if reported else _dumped(result))
        except BaseException as error:
            with suppress(Mem0IntegrationsError):
                self._ledger.fail_forget(intent.number, f"{type(error).__name__}: {error}")
            with self._changed:
                self._due[intent.number] = time.monotonic() + _RETRY_SECONDS
            raise
        else:
            with self._changed:
                del self._due[intent.number]
                self._lanes.resume(intent.scope, time.monotonic())
        finally:
            self._ended()
        return result

    def look(self, eraser: Eraser) -> None:
        """Carry out what broke off or failed, and what other processes ask for."""
        for intent in self._ledger.forgets():
            with self._changed:
                due = self._due.get(intent.number)
                if due is None or due > time.monotonic():
                    continue
                self._due[intent.number] = None
            try:
                begin(partial(self._try, intent, eraser))
            except RuntimeError:
                # There can be no more threads now.
                with self._changed:
                    self._due[intent.number] = time.monotonic() + _RETRY_SECONDS

    def _try(self, intent: Forget, eraser: Eraser) -> None:
        try:
            self.carry_out(intent, eraser, reported=False)
        except Exception as error:
            # It may quote what was stored: the file has it, for whoever waits.
            logger.warning(
                "A scope could not be forgotten yet (%s); next attempt in %.0f s.",
                type(error).__name__,
                _RETRY_SECONDS,
            )

    def wait(self, intent: Forget, is_closed: Callable[[], bool]) -> ForgetResult:
        """Wait until the process that delivers has forgotten a scope.

        Raises:
            BackendTimeoutError: It has not come to it.
            BackendError: It failed, and tries again.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and not is_closed():
            outcome = self._ledger.forget_outcome(intent.number)
            if outcome is None:
                break
            result, error = outcome
            if result is not None:
                self._ledger.finish_forget(intent.number, None)
                return _loaded(result)
            if error is not None:
                raise BackendError(
                    f"{intent.scope} could not be forgotten yet: {error} It is tried again until "
                    f"it is."
                )
            with self._changed:
                self._changed.wait(_LOOK_SECONDS)
        raise BackendTimeoutError(
            f"{intent.scope} is not forgotten yet: another process delivers the writes of this "
            f"outbox, and has not come to it. It will; nothing has to be done again.",
            retryable=True,
        )

    def _wait_until_idle(self, intent: Forget) -> None:
        def is_idle() -> bool:
            return not self._is_busy(intent.scope)

        with self._changed:
            if self._changed.wait_for(is_idle, _GRACE_SECONDS):
                return
            self._drop(intent, True)
            if not self._changed.wait_for(is_idle, PATIENCE_SECONDS):
                raise BackendTimeoutError(
                    f"A write of {intent.scope} has been under way for more than "
                    f"{PATIENCE_SECONDS:.0f} s; {intent.scope} is forgotten as soon as it has "
                    f"ended.",
                    retryable=True,
                )


def _dumped(result: ForgetResult) -> str:
    return json.dumps({**dataclasses.asdict(result), "keys": []})


def _loaded(text: str) -> ForgetResult:
    return ForgetResult(**{**json.loads(text), "keys": frozenset()})
