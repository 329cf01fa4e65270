"""LangChain's own tests for retrievers and tools, unmodified, on an embedded store and a server."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import RetrieversIntegrationTests, ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from mem0_integrations import AgentMemory
from mem0_integrations.langchain import Mem0Retriever, create_memory_tools

KNOWN = [f"I like {thing}." for thing in ("tea", "coffee", "milk", "water")]


class OnAMemory:
    """Knows a memory in which the user has said something, and the id of one statement."""

    memory: AgentMemory
    user: str
    memory_id: str

    @pytest.fixture(autouse=True)
    def _seed(self, anywhere: AgentMemory) -> None:
        # The suites read properties, which are given no fixtures.
        self.memory = anywhere
        self.user = f"user-{uuid.uuid4().hex}"
        anywhere.remember_many(KNOWN, scope={"user_id": self.user})
        self.memory_id = anywhere.list(scope={"user_id": self.user}, limit=1)[0].id


class TestRetriever(OnAMemory, RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[Mem0Retriever]:
        return Mem0Retriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"memory": self.memory, "scope": {"user_id": self.user}}

    @property
    def retriever_query_example(self) -> str:
        return "What do I like?"


class OfATool(OnAMemory):
    """Takes the tool and its arguments from the parameters of a test class."""

    @property
    def tool_constructor(self) -> BaseTool:
        (tool,) = create_memory_tools(
            self.memory, scope={"user_id": self.user}, include=[self.kind]
        )
        return tool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        params: dict[str, dict[str, Any]] = {
            "search": {"query": "What does the user like?"},
            "add": {"text": "The user likes cocoa."},
            "update": {"memory_id": self.memory_id, "text": "The user likes juice."},
            "delete": {"memory_id": self.memory_id},
            "list": {"page": 1},
        }
        return params[self.kind]

    @pytest.fixture(autouse=True, params=["search", "add", "update", "delete", "list"])
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.kind = request.param


class TestToolsUnit(OfATool, ToolsUnitTests):
    pass


class TestToolsIntegration(OfATool, ToolsIntegrationTests):
    pass
