"""The table of deliveries: what is still to be sent to webhooks, and the worker that sends it."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import httpx
import sqlalchemy as sa
from pydantic import JsonValue

from mem0_integrations.retry import RetryPolicy
from mem0_integrations.server.dependencies import Server
from mem0_integrations.server.state import TABLES, Moment, now
from mem0_integrations.server.webhooks import webhooks
from mem0_integrations.server.workers import Worker

__all__ = ["deliveries", "enqueue", "signature", "worker"]

logger = logging.getLogger(__name__)

_CONCURRENT: Final = 8
_TOLD: Final = ("id", "data", "event")
_RETRY: Final = RetryPolicy(base=1.0, cap=3600.0)

deliveries: Final = sa.Table(
    "deliveries",
    TABLES,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(36), nullable=False),
    sa.Column(
        "webhook_id",
        sa.String(36),
        sa.ForeignKey("webhooks.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("due_at", Moment, nullable=False, index=True),
)


def enqueue(
    connection: sa.Connection, project_id: str, changes: Sequence[Mapping[str, JsonValue]]
) -> bool:
    """Store what the webhooks of a project are to be told; returns whether there is anything.

    It becomes part of the connection's transaction. Each change has `id`, `event` and `data`.
    """
    if not changes:
        return False
    told = sa.select(webhooks.c.id, webhooks.c.event_types)
    told = told.filter_by(project_id=project_id, is_active=True)
    rows, at = connection.execute(told).all(), now()
    wanted = [
        {
            "id": str(uuid.uuid4()),
            "webhook_id": row.id,
            "body": json.dumps({"event_details": {key: change[key] for key in _TOLD}}),
            "due_at": at,
        }
        for change in changes
        for row in rows
        if f"memory_{str(change['event']).lower()}" in row.event_types
    ]
    if wanted:
        connection.execute(deliveries.insert(), wanted)
    return bool(wanted)


def signature(secret: str, body: bytes) -> str:
    """Return the value of the header `X-Mem0-Signature` with which a body is sent.

    Example:
        >>> signature("secret", b"{}")[:20]
        'sha256=77325902caca8'
    """
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def worker(server: Server) -> Worker:
    """Return the worker that delivers to the webhooks of a server."""
    return Worker("webhooks", _Deliverer(server))


class _Deliverer:
    """Delivers to each webhook in order, and to several webhooks at the same time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        timeout = server.settings.webhook_timeout
        self._client = httpx.Client(timeout=timeout)
        # Longer than one delivery can take, which waits for a connection, to connect, to write and
        # to read: another process leaves it alone for so long.
        self._lease = timedelta(seconds=5 * timeout)
        self._lock = threading.Lock()
        self._busy: set[str] = set()

    def __call__(self) -> bool:
        for row in self._heads():
            with self._lock:
                if row.webhook_id in self._busy or len(self._busy) >= _CONCURRENT:
                    continue
                self._busy.add(row.webhook_id)
            # Not in this thread: a receiver that hangs holds up itself alone.
            threading.Thread(
                target=self._deliver_all, args=(row,), name="mem0-server-webhook", daemon=True
            ).start()
        return False

    def _heads(self, webhook_id: str | None = None) -> Sequence[sa.Row[Any]]:
        """Return the next delivery of each webhook, or of one, if it is due."""
        numbers = sa.select(sa.func.min(deliveries.c.number)).group_by(deliveries.c.webhook_id)
        if webhook_id is not None:
            numbers = numbers.where(deliveries.c.webhook_id == webhook_id)
        return self._server.state.rows(
            sa.select(deliveries, webhooks.c.url, webhooks.c.secret)
            .join(webhooks)
            .where(deliveries.c.number.in_(numbers), deliveries.c.due_at <= now())
            .order_by(deliveries.c.due_at)
        )

    def _deliver_all(self, head: sa.Row[Any]) -> None:
        rows: Sequence[sa.Row[Any]] = [head]
        try:
            while rows and self._claim(rows[0]):
                self._deliver(rows[0])
                rows = self._heads(head.webhook_id)
        except Exception as error:
            logger.warning("Webhook %s: %s.", head.webhook_id, type(error).__name__)
        finally:
            with self._lock:
                self._busy.discard(head.webhook_id)

    def _claim(self, row: sa.Row[Any]) -> bool:
        """Claim a delivery, unless another process has claimed it."""
        claimed = self._server.state.change(
            deliveries.update()
            .filter_by(number=row.number, attempts=row.attempts)
            .values(attempts=row.attempts + 1, due_at=now() + self._lease)
        )
        return claimed > 0

    def _deliver(self, row: sa.Row[Any]) -> None:
        body = row.body.encode()
        headers = {
            "Content-Type": "application/json",
            "X-Mem0-Delivery": row.id,
            "X-Mem0-Signature": signature(row.secret, body),
            "X-Mem0-Timestamp": str(int(time.time())),
        }
        try:
            # What it answers is not read: some never come to an end.
            with self._client.stream("POST", row.url, content=body, headers=headers) as answer:
                failure = None if answer.is_success else f"status {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = type(error).__name__
        attempt = row.attempts + 1
        this = deliveries.c.number == row.number
        if failure is not None and attempt < self._server.settings.webhook_attempts:
            due = now() + timedelta(seconds=_RETRY.backoff(attempt))
            self._server.state.change(deliveries.update().where(this).values(due_at=due))
            return
        if failure is not None:
            said = "Webhook %s: gave delivery %s up after %d attempts (%s)."
            logger.error(said, row.webhook_id, row.id, attempt, failure)
        self._server.state.change(deliveries.delete().where(this))
