"""Crews that run offline: a scripted model, and a crew of two agents and two tasks.

Import it before `crewai`: it sets the environment that CrewAI reads when it is imported.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

os.environ.update(
    CREWAI_DISABLE_TELEMETRY="true",
    OTEL_SDK_DISABLED="true",
    CREWAI_TESTING="true",
    # Without it, the first run in a folder waits for an answer for ten seconds.
    CREWAI_TRACING_ENABLED="false",
    MEM0_TELEMETRY="False",
)
if "CREWAI_STORAGE_DIR" not in os.environ:
    os.environ["CREWAI_STORAGE_DIR"] = tempfile.mkdtemp(prefix="crewai-")
    atexit.register(shutil.rmtree, os.environ["CREWAI_STORAGE_DIR"], ignore_errors=True)

from crewai import Agent, Crew, Task
from crewai.llms.base_llm import BaseLLM
from crewai.memory.analyze import (
    ConsolidationPlan,
    ExtractedMemories,
    MemoryAnalysis,
    QueryAnalysis,
)
from crewai.utilities.i18n import I18N_DEFAULT
from pydantic import BaseModel, PrivateAttr

from mem0_integrations.recall.rendering import estimate_tokens

__all__ = ["Call", "Script", "ScriptedLLM", "crew_of", "prompts_of"]

Kind: TypeAlias = Literal["task", "extract", "save", "query", "explore", "consolidate"]
Messages: TypeAlias = list[dict[str, Any]]
Answer: TypeAlias = Any

# CrewAI's own prompts, by which its memory's calls are recognised.
_SYSTEM_PROMPTS: dict[Kind, str] = {
    "extract": I18N_DEFAULT.memory("extract_memories_system"),
    "save": I18N_DEFAULT.memory("save_system"),
    "query": I18N_DEFAULT.memory("query_system"),
    "consolidate": I18N_DEFAULT.memory("consolidation_system"),
}
# How it asks what of the memories that were found matters; it has no system prompt.
_EXCERPTS = "Relevant memory excerpts:\n"


@dataclass(frozen=True)
class Call:
    """One call of the model.

    Attributes:
        kind: `task`, or what CrewAI's memory asked for.
        messages: What it was asked.
        response_model: The class that the caller wants an object of, if any.
        tools: The tools that it could call natively.
    """

    kind: Kind
    messages: Messages
    response_model: type[BaseModel] | None = None
    tools: Sequence[Any] = ()

    @property
    def is_memory(self) -> bool:
        return self.kind != "task"

    @property
    def prompt(self) -> str:
        return "\n".join(str(message.get("content") or "") for message in self.messages)

    @property
    def tokens(self) -> int:
        return estimate_tokens(self.prompt)


@dataclass
class Script:
    """What a model answers and what it was asked: one for all copies of the model.

    Attributes:
        answers: For tasks: one after the other, the last for ever; or a function of the
            messages. An exception is raised; a list of tool calls is handed on as it is.
        memory: For CrewAI's memory, by kind, in place of the sensible answer: data, an object,
            a text or an exception, or a function of the messages that returns one.
        calls: Every call, in order.
    """

    answers: Sequence[Answer] | Callable[[Messages], Answer]
    memory: Mapping[str, Answer] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    asked: int = 0

    def next(self, messages: Messages) -> Answer:
        if callable(self.answers):
            return self.answers(messages)
        with self.lock:
            self.asked += 1
            return self.answers[min(self.asked, len(self.answers)) - 1]


class ScriptedLLM(BaseLLM):
    """A model that answers from a script, and the prompts of CrewAI's memory sensibly.

    Args:
        answers: See `Script`.
        memory: See `Script`.
        native: Whether it calls tools natively. CrewAI's memory then asks it for objects;
            otherwise it asks for JSON, and a task is answered in the ReAct format.
    """

    llm_type: str = "scripted"
    native: bool = False
    _script: Script = PrivateAttr()

    def __init__(
        self,
        answers: Sequence[Answer] | Callable[[Messages], Answer] = ("Done.",),
        *,
        memory: Mapping[str, Answer] | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(**{"model": "scripted", **fields})
        # By reference: CrewAI's memory and the copies of an agent have copies of the model.
        self._script = Script(answers, memory or {})

    @property
    def calls(self) -> list[Call]:
        return self._script.calls

    @property
    def memory_calls(self) -> list[Call]:
        return [call for call in self.calls if call.is_memory]

    @property
    def task_prompts(self) -> list[str]:
        """What the agents saw, one text for each call."""
        return [call.prompt for call in self.calls if not call.is_memory]

    def supports_function_calling(self) -> bool:
        return self.native

    def call(  # noqa: PLR0917  (CrewAI's signature)
        self,
        messages: str | Messages,  # type: ignore[override]
        tools: list[Any] | None = None,
        callbacks: list[Any] | None = None,
        available_functions: dict[str, Any] | None = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: type[BaseModel] | None = None,
    ) -> Any:
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        asked = Call(_kind_of(messages), [*map(dict, messages)], response_model, tools or ())
        with self._script.lock:
            self._script.calls.append(asked)
        if asked.kind == "task":
            answer = self._script.next(messages)
        else:
            answer = self._script.memory.get(asked.kind, _MEMORY_ANSWERS[asked.kind])
            answer = answer(messages) if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        if asked.kind == "task":
            return answer if self.native else _react(answer)
        return _structured(answer, asked, response_model)

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)

    def get_input_tokens_count(self, messages: str | Messages, *_: Any, **__: Any) -> int:  # type: ignore[override]
        return estimate_tokens(str(messages))

    def get_context_window_size(self) -> int:
        return 100_000


def _kind_of(messages: Messages) -> Kind:
    first = str(messages[0].get("content"))
    if len(messages) == 1 and _EXCERPTS in first:
        return "explore"
    return next((kind for kind, prompt in _SYSTEM_PROMPTS.items() if prompt == first), "task")


def _react(answer: Answer) -> Answer:
    if not isinstance(answer, str) or answer.startswith("Thought:"):
        return answer
    return f"Thought: I now can give a great answer\nFinal Answer: {answer}"


def _structured(answer: Answer, asked: Call, response_model: type[BaseModel] | None) -> Answer:
    if isinstance(answer, Mapping):
        answer = _MODELS[asked.kind](**answer)
    if isinstance(answer, BaseModel) and response_model is None:
        return answer.model_dump_json()
    return answer


def _extracted(messages: Messages) -> ExtractedMemories:
    """Each sentence of the result is something worth remembering; else the content is."""
    content = _between(messages, "Content:\n", "\n\nExtract memory statements")
    result = content.rpartition("\nResult: ")[2].rpartition("Final Answer:")[2].strip()
    sentences = [text.strip() for text in re.split(r"(?<=[.!?])\s+", result)]
    return ExtractedMemories(memories=[text for text in sentences if text])


def _analyzed(messages: Messages) -> MemoryAnalysis:
    return MemoryAnalysis(suggested_scope="/facts", categories=["fact"], importance=0.6)


def _query(messages: Messages) -> QueryAnalysis:
    query = _between(messages, "Query: ", "\n\nAvailable scopes")
    return QueryAnalysis(recall_queries=[query[:150]])


def _explored(messages: Messages) -> str:
    return _between(messages, _EXCERPTS, "\n\nExtract the most relevant")


def _consolidated(messages: Messages) -> ConsolidationPlan:
    """What is there already is not inserted again; nothing is changed."""
    new = _between(messages, "New content to consider storing:\n", "\n\nExisting similar")
    old = re.findall(r"^  content: (.*)$", str(messages[-1]["content"]), re.M)
    return ConsolidationPlan(insert_new=new not in old)


def _between(messages: Messages, start: str, end: str) -> str:
    return str(messages[-1]["content"]).partition(start)[2].rpartition(end)[0]


_MODELS: dict[Kind, type[BaseModel]] = {
    "extract": ExtractedMemories,
    "save": MemoryAnalysis,
    "query": QueryAnalysis,
    "consolidate": ConsolidationPlan,
}
_MEMORY_ANSWERS: dict[Kind, Callable[[Messages], Answer]] = {
    "extract": _extracted,
    "save": _analyzed,
    "query": _query,
    "explore": _explored,
    "consolidate": _consolidated,
}

RESEARCH = "Find out which animal the customer likes best."
WRITING = "Write one sentence about the animal that the customer likes best."
FINDINGS = "The customer likes zebras best."
ARTICLE = "Zebras are striped."


def crew_of(
    llm: BaseLLM | None = None,
    *,
    name: str = "zoo",
    tasks: Sequence[str] = (RESEARCH, WRITING),
    tools: Sequence[Any] = (),
    **options: Any,
) -> Crew:
    """Make a crew of a researcher and a writer.

    Args:
        llm: The model of both; a scripted one if left out, which is `crew.agents[0].llm`.
        name: The name of the crew; part of CrewAI's root scope.
        tasks: What the two are to do; they may hold `{placeholders}` for inputs.
        tools: The tools of both.
        options: Of the `Crew`, such as `memory`.
    """
    llm = llm or ScriptedLLM([FINDINGS, ARTICLE])
    agents = [
        Agent(
            role=role,
            goal=goal,
            backstory="You are brief.",
            llm=llm,
            tools=[*tools],
            max_retry_limit=0,
        )
        for role, goal in (("Researcher", "Find facts"), ("Writer", "Write about facts"))
    ]
    return Crew(
        name=name,
        agents=[*agents],
        tasks=[
            Task(name=role, description=description, expected_output="One sentence.", agent=agent)
            for role, description, agent in zip(("research", "writing"), tasks, agents, strict=True)
        ],
        **options,
    )


def prompts_of(crew: Crew) -> list[str]:
    """Return what the agents of a crew saw, one text for each call of their scripted model."""
    llm = crew.agents[0].llm
    assert isinstance(llm, ScriptedLLM)
    return llm.task_prompts
