"""What the endpoints of memories are sent, and what they answer."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from mem0_integrations.server.adding import AddBody, EntityId, Time
from mem0_integrations.server.events import Status
from mem0_integrations.server.projects import Done
from mem0_integrations.server.tenancy import ENTITY_KEYS

__all__ = [
    "QUEUED",
    "AddResult",
    "Added",
    "Asked",
    "BatchChange",
    "BatchDelete",
    "BatchUpdate",
    "DeletedAll",
    "DeletedMemory",
    "Filters",
    "Found",
    "Item",
    "ItemPage",
    "ListBody",
    "OldAddBody",
    "OldIds",
    "OldListBody",
    "OldResults",
    "OldSearchBody",
    "Queued",
    "Reference",
    "RelationItem",
    "SearchBody",
    "SearchItem",
    "UpdateBody",
]

_MOST_RESULTS: Final = 1_000
_MOST_BATCH: Final = 1_000
_DEFAULT_RESULTS: Final = 10
QUEUED: Final = "Memory processing has been queued for background execution"

Filters: TypeAlias = dict[str, JsonValue]


class Item(BaseModel):
    """A memory; with `fields`, only some of this."""

    id: str
    memory: str
    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    session_id: Annotated[str | None, Field(description="The same as run_id.")] = None
    metadata: dict[str, JsonValue] | None = None
    categories: list[str] | None = None
    structured_attributes: dict[str, JsonValue] | None = None
    expiration_date: date | None = None
    role: Annotated[str | None, Field(description="Who said it, as Mem0's own code tells.")] = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class SearchItem(Item):
    """A memory that was found."""

    score: float | None = None


class ItemPage(BaseModel):
    """A page of memories, the newest first."""

    count: int
    next: str | None
    previous: str | None
    results: list[Item]


class RelationItem(BaseModel):
    """A fact of the knowledge graph."""

    source: str
    relationship: str
    target: str


class Found(BaseModel):
    """What a search found, nearest first."""

    results: list[SearchItem]
    relations: Annotated[
        list[RelationItem] | None, Field(description="Where a knowledge graph is attached.")
    ] = None


class AddResult(BaseModel):
    """A memory that was stored."""

    id: str
    event: str
    memory: str
    data: dict[str, JsonValue]


class Added(BaseModel):
    """What became of an add: with `infer`, it is under way."""

    message: str
    status: Status
    event_id: str
    results: list[AddResult] | None = None


class Queued(BaseModel):
    """An add that is under way."""

    message: str = QUEUED
    status: Status
    event_id: str


class OldResults(BaseModel):
    """What was stored, in the envelope `v1.1`."""

    results: list[AddResult | Queued]


class DeletedAll(Done):
    """What was done, and the event that says so."""

    event_id: str


class DeletedMemory(Done):
    """What was done."""

    cascade_count: int | None = None


class OldAddBody(AddBody):
    """The same as of version 3, for older clients."""

    output_format: str | None = None
    async_mode: Annotated[
        bool, Field(description="Whether to answer before the memory is stored.")
    ] = False


class Asked(BaseModel):
    """What listing and searching have in common; what else the Platform accepts is not read."""

    model_config = ConfigDict(extra="allow")

    categories: list[str] | None = None
    fields: list[str] | None = None
    show_expired: bool | None = None


class ListBody(Asked):
    """Which memories to list."""

    filters: Filters
    start_date: str | None = None
    end_date: Annotated[str | None, Field(description="A day counts to its end.")] = None
    keywords: Annotated[str | None, Field(description="A part of the text.")] = None


class SearchBody(Asked):
    """What to search for."""

    query: str
    filters: Filters
    top_k: Annotated[int, Field(ge=1, le=_MOST_RESULTS)] = _DEFAULT_RESULTS
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    metadata: Filters | None = None
    latest_only: Annotated[
        bool | None, Field(description="Of those that say the same, only the newest.")
    ] = None


class OldIds(BaseModel):
    """The ids where older clients put them."""

    user_id: EntityId | None = None
    agent_id: EntityId | None = None
    app_id: EntityId | None = None
    run_id: EntityId | None = None

    def all_filters(self, filters: Filters | None) -> Filters:
        """Return the ids and a filter as one filter."""
        ids: list[JsonValue] = [
            {key: value} for key in ENTITY_KEYS if (value := getattr(self, key)) is not None
        ]
        given: list[JsonValue] = [filters] if filters else []
        return {"AND": [*ids, *given]} if ids or given else {}


class OldListBody(ListBody, OldIds):
    """Which memories to list, for older clients."""

    filters: Filters = {}


class OldSearchBody(SearchBody, OldIds):
    """What to search for, for older clients."""

    filters: Filters = {}
    limit: Annotated[int, Field(ge=1, le=_MOST_RESULTS)] | None = None
    output_format: str | None = None


class UpdateBody(BaseModel):
    """What to change; metadata that is left out stays as it is."""

    text: str | None = None
    metadata: dict[str, JsonValue] | None = None
    timestamp: Time | None = None
    expiration_date: Annotated[str | None, Field(description="None to clear it.")] = None


class BatchChange(BaseModel):
    """What to change of one memory."""

    memory_id: str
    text: str | None = None
    metadata: dict[str, JsonValue] | None = None


class BatchUpdate(BaseModel):
    """What to change."""

    memories: Annotated[list[BatchChange], Field(min_length=1, max_length=_MOST_BATCH)]


class Reference(BaseModel):
    """One memory."""

    memory_id: str


class BatchDelete(BaseModel):
    """What to delete."""

    memories: Annotated[list[Reference], Field(min_length=1, max_length=_MOST_BATCH)]
