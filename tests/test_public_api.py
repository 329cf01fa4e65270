from __future__ import annotations

import importlib
from types import ModuleType

import pytest

import mem0_integrations
from tests.extras import needs_crewai

PUBLIC = {
    "mem0_integrations": [
        "AgentMemory",
        "BackendError",
        "BackendTimeoutError",
        "BulkResult",
        "ClosedError",
        "ConfigurationError",
        "CorruptFileError",
        "DimensionMismatchError",
        "ExtractionError",
        "FolderLockedError",
        "ForgetResult",
        "InvalidFilterError",
        "InvalidInputError",
        "InvalidMessageError",
        "Mem0IntegrationsError",
        "Memory",
        "MemoryChange",
        "MemoryNotFoundError",
        "MissingExtraError",
        "OutboxFullError",
        "OutboxOptions",
        "Ranking",
        "Recall",
        "Relation",
        "RetryPolicy",
        "Scope",
        "ScopeError",
        "ScopeRequest",
        "SentenceExtractor",
        "StorageError",
        "WriteResult",
        "connect",
        "recall_text",
    ],
    "mem0_integrations.crewai": [
        "Mem0CrewMemory",
        "Mem0Storage",
        "Mem0TaskListener",
        "create_memory_tools",
        "register",
    ],
    "mem0_integrations.graph": [
        "EmbeddedEngine",
        "Extracted",
        "GraphEntity",
        "GraphMemory",
        "ModelRelationExtractor",
        "Neo4jEngine",
        "NeptuneAnalyticsEngine",
        "NeptuneDatabaseEngine",
        "PatternRelationExtractor",
        "RelationExtractor",
        "Triple",
    ],
    "mem0_integrations.langchain": [
        "Mem0ChatMessageHistory",
        "Mem0Memory",
        "Mem0Middleware",
        "Mem0Retriever",
        "agraph_documents",
        "as_langchain_graph",
        "create_memory_tools",
        "graph_documents",
    ],
    "mem0_integrations.langgraph": ["Mem0Store", "MemoryState", "recall_node", "remember_node"],
    "mem0_integrations.server": ["ServerSettings", "create_app"],
}


def marks_of(module: str) -> tuple[pytest.MarkDecorator, ...]:
    return (needs_crewai,) if module == "mem0_integrations.crewai" else ()


@pytest.fixture
def module(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


@pytest.mark.parametrize(
    "module",
    [pytest.param(module, id=module, marks=marks_of(module)) for module in PUBLIC],
    indirect=True,
)
def test_the_public_names_are_these(module: ModuleType) -> None:
    """A name that is added is kept for years; one that goes breaks programs. Neither by chance."""
    assert sorted(module.__all__) == PUBLIC[module.__name__]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        pytest.param(module, name, marks=marks_of(module))
        for module, names in PUBLIC.items()
        for name in names
    ],
    indirect=["module"],
)
def test_a_public_name_can_be_imported_and_is_listed(module: ModuleType, name: str) -> None:
    """Some are imported when they are first used: `dir` and `import *` must know them, too."""
    assert getattr(module, name).__name__ == name
    assert name in dir(module)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """`hasattr`, and whoever inspects modules, relies on it."""
    assert not hasattr(mem0_integrations, "no_such_name")
