"""The customer-support agent of the command line: recall, answer, remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.langgraph import recall_node, remember_node
from mem0_integrations.learning.extraction import SentenceExtractor
from mem0_integrations.recall.rendering import recall_text
from mem0_integrations.records import Recall

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

__all__ = ["build_agent", "extractive_answer"]

_PROMPT: Final = (
    "You are a friendly and precise customer-support agent. Use what you know about the "
    "customer; do not ask again for what they have told you."
)
# Scores of the embedded default: less similar memories are about something else.
_RELATED: Final = 0.2
# Similar enough to mention without being asked.
_VERY_NEAR: Final = 0.6
# Memories much less similar than the best one are not quoted with it.
_NEAR_BEST: Final = 0.75


class SupportState(MessagesState):
    """The conversation, and what was recalled for the customer's last message."""

    recalled: dict[str, Any]


def build_agent(
    memory: AgentMemory, model: BaseChatModel | None = None, *, background: bool = True
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Build the agent; without a model that answers, it quotes what it remembers."""

    def respond(state: SupportState) -> dict[str, list[BaseMessage]]:
        recalled = state["recalled"]
        if model is None:
            said = str(state["messages"][-1].text)
            return {"messages": [AIMessage(extractive_answer(said, recalled))]}
        system = SystemMessage("\n\n".join(filter(None, (_PROMPT, recalled["text"]))))
        return {"messages": [model.invoke([system, *state["messages"]])]}

    builder = StateGraph(SupportState)
    builder.add_node("recall", recall_node(memory, output_key="recalled", render=_plain))
    builder.add_node("respond", respond)
    builder.add_node("remember", remember_node(memory, background=background))
    builder.add_edge(START, "recall")
    builder.add_edge("recall", "respond")
    builder.add_edge("respond", "remember")
    builder.add_edge("remember", END)
    return builder.compile(checkpointer=InMemorySaver())


def extractive_answer(said: str, recalled: Mapping[str, Any]) -> str:
    """Answer what was said by quoting what was recalled for it; no model is involved."""
    if recalled["degraded"]:
        return "I cannot look up my notes right now, so I do not know what you told me before."
    stated = SentenceExtractor().extract([{"role": "user", "content": said}])
    asked = "?" in said or not stated
    quotes = _quotable(recalled["memories"], least=_RELATED if asked else _VERY_NEAR)
    if quotes:
        told = "\n".join(f"- {_date(memory)}: “{memory['memory']}”" for memory in quotes)
        return f"This is what you told me about it:\n{told}"
    if stated:
        return "Thank you, I have noted that."
    if "?" in said:
        return "You have not told me anything about that yet."
    return "How can I help you?"


def _plain(recall: Recall) -> dict[str, object]:
    return {
        "text": recall_text(recall),
        "memories": [memory.to_dict() for memory in recall.memories],
        "degraded": recall.degraded,
    }


def _quotable(memories: Sequence[Mapping[str, Any]], *, least: float) -> list[Mapping[str, Any]]:
    best = max((memory["score"] or 0.0 for memory in memories), default=0.0)
    least = max(least, _NEAR_BEST * best)
    return [memory for memory in memories if (memory["score"] or 0.0) >= least]


def _date(memory: Mapping[str, Any]) -> str:
    return str(memory["created_at"] or "some time ago")[:10]
