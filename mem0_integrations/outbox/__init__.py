"""Durable background writes: on disk before `remember` returns, delivered in order, once."""

from mem0_integrations.outbox.ledger import DeadLetter, OutboxCounts
from mem0_integrations.outbox.outbox import Outbox

__all__ = ["DeadLetter", "Outbox", "OutboxCounts"]
