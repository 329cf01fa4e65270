"""The bodies of requests and answers: those of the memories, and what several endpoints share."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Annotated, Final, Literal, TypeAlias, TypedDict

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictFloat, StrictInt

from mem0_integrations.server.tenancy import ENTITY_KEYS, read_moment

__all__ = [
    "QUEUED",
    "AddBody",
    "AddResult",
    "Added",
    "BatchChange",
    "BatchDelete",
    "BatchUpdate",
    "DeletedAll",
    "DeletedMemory",
    "Done",
    "EntityFields",
    "EntityQuery",
    "Filters",
    "HistoryEntry",
    "Item",
    "ItemPage",
    "JsonObject",
    "ListBody",
    "OldAddBody",
    "OldListBody",
    "OldResults",
    "OldSearchBody",
    "Page",
    "PageLinks",
    "QueryBody",
    "Queued",
    "Reference",
    "RelationItem",
    "SearchBody",
    "SearchItem",
    "SearchResults",
    "Status",
    "UpdateBody",
    "page_links",
]

_MAX_RESULTS: Final = 1_000
_MAX_BATCH: Final = 1_000
_DEFAULT_RESULTS: Final = 10
QUEUED: Final = "Memory processing has been queued for background execution"

JsonObject: TypeAlias = dict[str, JsonValue]
Filters: TypeAlias = JsonObject
Status: TypeAlias = Literal["PENDING", "RUNNING", "FAILED", "SUCCEEDED"]
# `true` is neither an id nor a time.
EntityId: TypeAlias = str | StrictInt
Time: TypeAlias = StrictInt | StrictFloat | str


class Done(BaseModel):
    """Confirms that the request was carried out."""

    message: str


class Page(BaseModel):
    """What pages of any kind have in common."""

    count: int
    next: str | None
    previous: str | None


class PageLinks(TypedDict):
    """The links of a page to its neighbours; None where there is none."""

    next: str | None
    previous: str | None


def page_links(path: str, page: int, *, more: bool) -> PageLinks:
    """Return the links of a page to its neighbours; the path has `{}` in place of the number.

    Example:
        >>> page_links("/v1/events/?page={}", 1, more=True)
        {'next': '/v1/events/?page=2', 'previous': None}
    """
    return {
        "next": path.format(page + 1) if more else None,
        "previous": path.format(page - 1) if page > 1 else None,
    }


class Item(BaseModel):
    """A memory; if the request has `fields`, only those."""

    id: str
    memory: str
    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    session_id: Annotated[str | None, Field(description="The same as run_id.")] = None
    metadata: JsonObject | None = None
    categories: list[str] | None = None
    structured_attributes: JsonObject | None = None
    expiration_date: date | None = None
    role: Annotated[str | None, Field(description="Who said it, as Mem0's own code tells.")] = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class SearchItem(Item):
    """A memory that was found."""

    score: float | None = None


class EntityQuery(BaseModel):
    """The entities whose memories are meant.

    For deletions, `*` stands for any id.
    """

    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None


class ItemPage(Page):
    """A page of memories, the newest first."""

    results: list[Item]


class RelationItem(BaseModel):
    """A fact of the knowledge graph."""

    source: str
    relationship: str
    target: str


class SearchResults(BaseModel):
    """The results of a search, the most similar first."""

    results: list[SearchItem]
    relations: Annotated[
        list[RelationItem] | None, Field(description="Only if a knowledge graph is attached.")
    ] = None


class AddResult(BaseModel):
    """A memory that was stored."""

    id: str
    event: str
    memory: str
    data: JsonObject


class Added(BaseModel):
    """The state of an add; with `infer`, it goes on in the background."""

    message: str
    status: Status
    event_id: str
    results: list[AddResult] | None = None


class Queued(BaseModel):
    """An add that goes on in the background."""

    message: str = QUEUED
    status: Status
    event_id: str


class OldResults(BaseModel):
    """What was stored, in the envelope `v1.1`."""

    results: list[AddResult | Queued]


class HistoryEntry(BaseModel):
    """One change of one memory."""

    id: str
    memory_id: str
    input: list[JsonObject]
    old_memory: str | None
    new_memory: str | None
    user_id: str | None
    agent_id: str | None
    app_id: str | None
    session_id: str | None
    event: str
    metadata: JsonObject | None
    categories: list[str] | None = None
    created_at: datetime | None
    updated_at: datetime | None


class DeletedAll(Done):
    """Confirms a deletion; the event records it."""

    event_id: str


class DeletedMemory(Done):
    """Confirms that a memory was deleted."""

    cascade_count: int | None = None


class EntityFields(BaseModel):
    """The ids of entities; older clients send them beside a filter."""

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


class ChatMessage(BaseModel):
    """A message of a conversation, as of chat models; its other fields are ignored."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: str | JsonObject | list[JsonValue] | None = None
    name: str | None = None


class AddBody(EntityFields):
    """Messages to remember, and the entities to which the memories belong.

    Other fields of the Platform (custom instructions and categories, schemas) are ignored: what
    is extracted is up to the memory behind the server.
    """

    model_config = ConfigDict(extra="allow")

    messages: list[ChatMessage] | ChatMessage | str
    filters: Annotated[JsonObject | None, Field(description="May hold the ids as well.")] = None
    metadata: JsonObject | None = None
    infer: bool = True
    timestamp: Annotated[
        Time | None, Field(description="When it was said: seconds since the epoch, or ISO 8601.")
    ] = None
    expiration_date: Annotated[
        str | None, Field(description="The last day on which it is found: YYYY-MM-DD.")
    ] = None
    categories: list[str] | None = None
    structured_attributes: JsonObject | None = None


class OldAddBody(AddBody):
    """Messages to remember, from older clients."""

    output_format: str | None = None
    async_mode: Annotated[
        bool, Field(description="Whether to answer before the memory is stored.")
    ] = False


class QueryBody(BaseModel):
    """What listing and searching have in common; other fields of the Platform are ignored."""

    model_config = ConfigDict(extra="allow")

    categories: list[str] | None = None
    fields: list[str] | None = None
    show_expired: bool | None = None


class ListBody(QueryBody):
    """Which memories to list."""

    filters: Filters
    start_date: str | None = None
    end_date: Annotated[str | None, Field(description="A day counts to its end.")] = None
    keywords: Annotated[str | None, Field(description="A part of the text.")] = None

    @property
    def conditions(self) -> list[JsonValue]:
        """The conditions beside the filter, as filters."""
        found: list[JsonValue] = []
        if self.start_date is not None:
            found.append({"created_at": {"gte": self.start_date}})
        if self.end_date is not None:
            end, day = self.end_date, read_moment(self.end_date)
            if day is not None and len(end) <= len("YYYY-MM-DD"):
                end = datetime.combine(day, time.max, UTC).isoformat()
            found.append({"created_at": {"lte": end}})
        if self.keywords:
            found.append({"keywords": {"icontains": self.keywords}})
        return found


class SearchBody(QueryBody):
    """What to search for."""

    query: str
    filters: Filters
    top_k: Annotated[int, Field(ge=1, le=_MAX_RESULTS)] = _DEFAULT_RESULTS
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    metadata: Filters | None = None
    latest_only: Annotated[
        bool | None, Field(description="Of memories that say the same, only the newest.")
    ] = None


class OldListBody(ListBody, EntityFields):
    """Which memories to list, for older clients."""

    filters: Filters = {}


class OldSearchBody(SearchBody, EntityFields):
    """What to search for, for older clients."""

    filters: Filters = {}
    limit: Annotated[int, Field(ge=1, le=_MAX_RESULTS)] | None = None
    output_format: str | None = None


class UpdateBody(BaseModel):
    """What to change; fields and metadata that are left out stay as they are."""

    text: str | None = None
    metadata: JsonObject | None = None
    timestamp: Time | None = None
    expiration_date: Annotated[str | None, Field(description="None to clear it.")] = None


class Reference(BaseModel):
    """One memory."""

    memory_id: str


class BatchChange(Reference):
    """What to change in one memory."""

    text: str | None = None
    metadata: JsonObject | None = None


class BatchUpdate(BaseModel):
    """What to change in several memories."""

    memories: Annotated[list[BatchChange], Field(min_length=1, max_length=_MAX_BATCH)]


class BatchDelete(BaseModel):
    """Which memories to delete."""

    memories: Annotated[list[Reference], Field(min_length=1, max_length=_MAX_BATCH)]
