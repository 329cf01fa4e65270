"""The table of webhooks: who is told when the memories of a project change."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from mem0_integrations.server.projects import project_column
from mem0_integrations.server.state import TABLES, Moment

__all__ = ["webhooks"]

webhooks: Final = sa.Table(
    "webhooks",
    TABLES,
    sa.Column("id", sa.String(36), primary_key=True),
    project_column(),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("event_types", sa.JSON, nullable=False),
    sa.Column("secret", sa.String(64), nullable=False),
    sa.Column("is_active", sa.Boolean, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
)
