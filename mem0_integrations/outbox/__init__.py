"""Durable background writes: on disk before `remember` returns, delivered in order, once."""

from __future__ import annotations

from typing import Any, Final

from mem0_integrations.outbox.attempts import Attempt
from mem0_integrations.outbox.ledger import DeadLetter, OutboxCounts
from mem0_integrations.outbox.outbox import Outbox
from mem0_integrations.resources import SharedResources

__all__ = ["OUTBOXES", "Attempt", "DeadLetter", "Outbox", "OutboxCounts"]

OUTBOXES: Final[SharedResources[Outbox[Any]]] = SharedResources(
    lambda outbox, timeout: outbox.close(timeout)
)
"""Those that several memories of this process use together, by their files."""
