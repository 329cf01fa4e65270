from __future__ import annotations

import asyncio
import logging
import operator
import threading
import time
import uuid
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain.agents import AgentState, create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    ModelRetryMiddleware,
    PIIMiddleware,
    SummarizationMiddleware,
    hook_config,
)
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langchain_core.tracers import BaseTracer
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command
from pydantic import BaseModel

import mem0_integrations.messages as messages_module
from mem0_integrations import (
    AgentMemory,
    BackendError,
    InvalidInputError,
    InvalidMessageError,
    OutboxFullError,
    OutboxOptions,
    Scope,
    ScopeError,
    connect,
)
from mem0_integrations.langchain import Mem0Middleware
from mem0_integrations.langgraph import remember_node
from tests.stores import HookedEmbedder, Scripted

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
GRACE = 30.0


@pytest.fixture(params=["embedded", "platform"])
def shared(request: pytest.FixtureRequest) -> AgentMemory:
    """Agents work alike on Mem0's own code and on its protocol."""
    memory: AgentMemory = request.getfixturevalue(f"on_{request.param}")
    return memory


@tool
def lookup(order: str) -> str:
    """Look an order up."""
    return "Customer: Priya, card 4111"


def called(name: str = "lookup", number: int = 1, **args: str) -> AIMessage:
    """What a model answers that calls a tool."""
    call = {"name": name, "args": args or {"order": "48213"}, "id": f"call-{number}"}
    return AIMessage("", tool_calls=[call])


@dataclass
class Chat:
    """A thread with an agent; every run's custom events are kept, also those of a failed run."""

    agent: Any
    model: Any
    config: RunnableConfig
    asynchronous: bool
    events: list[dict[str, Any]] = field(default_factory=list)

    async def run(self, given: object, config: RunnableConfig | None = None) -> Any:
        """Run the agent and return the final state."""
        options: dict[str, Any] = {
            "config": config or self.config,
            "stream_mode": ["custom", "values"],
        }
        state = None
        if self.asynchronous:
            async for mode, item in self.agent.astream(given, **options):
                state = self._take(mode, item, state)
        else:
            for mode, item in self.agent.stream(given, **options):
                state = self._take(mode, item, state)
        return state

    async def say(self, *content: Any) -> Any:
        return await self.run(said(*content))

    def past(self, node: str) -> RunnableConfig:
        """Return the newest checkpoint from which a node is the next to run."""
        history = self.agent.get_state_history(self.config)
        return self._own(next(item.config for item in history if item.next == (node,)))

    def change(self, config: RunnableConfig, *messages: AnyMessage) -> RunnableConfig:
        """Change the conversation from outside."""
        return self._own(self.agent.update_state(config, {"messages": list(messages)}))

    @property
    def systems(self) -> list[str]:
        """The system messages that the model was shown."""
        return [
            "".join(item.text for item in asked if isinstance(item, SystemMessage))
            for asked in self.model.asked
        ]

    @property
    def recalls(self) -> int:
        return [item["event"] for item in self.events].count("memory.recalling")

    @property
    def statuses(self) -> list[str]:
        """What became of each write."""
        return [item["status"] for item in self.events if item["event"] == "memory.remembered"]

    def _take(self, mode: str, item: Any, state: object) -> object:
        if mode == "values":
            return item
        self.events.append(item)
        return state

    def _own(self, config: RunnableConfig) -> RunnableConfig:
        return {"configurable": {**self.config["configurable"], **config["configurable"]}}


Start = Callable[..., Chat]


@pytest.fixture(params=["sync", "async"])
def chat(request: pytest.FixtureRequest, user: str) -> Start:
    """Start a thread of the user with an agent; it remembers in the foreground, word by word."""

    def start(
        memory: AgentMemory,
        *answers: Any,
        before: list[Any] | None = None,
        after: list[Any] | None = None,
        memories: list[Any] | None = None,
        checkpointer: Any = True,
        agent: dict[str, Any] | None = None,
        **options: Any,
    ) -> Chat:
        if memories is None:
            memories = [Mem0Middleware(memory, **{"background": False, "infer": False, **options})]
        model = Scripted(answers=list(answers) or ["I see."])
        made = create_agent(
            model,
            middleware=[*(before or []), *memories, *(after or [])],
            checkpointer=InMemorySaver() if checkpointer is True else checkpointer,
            **(agent or {}),
        )
        config: RunnableConfig = {"configurable": {"user_id": user, "thread_id": "thread-1"}}
        return Chat(made, model, config, request.param == "async")

    return start


def said(*content: Any) -> dict[str, Any]:
    return {
        "messages": [
            item if isinstance(item, HumanMessage | AIMessage) else HumanMessage(item)
            for item in content
        ]
    }


def config_of(user: str, **ids: Any) -> RunnableConfig:
    return {"configurable": {"user_id": user, "thread_id": "thread-1", **ids}}


def stored(memory: AgentMemory, user: str) -> list[str]:
    """What is in the user's memory, oldest first."""
    assert memory.flush(GRACE)
    return [item.text for item in reversed(memory.list(scope={"user_id": user}, limit=1_000))]


def words(memory: AgentMemory, user: str) -> list[str]:
    """What the user said, as it is stored, oldest first."""
    assert memory.flush(GRACE)
    found = memory.list(scope={"user_id": user}, limit=1_000)
    return [item.text for item in reversed(found) if item.metadata["role"] == "user"]


class Afterwards(AgentMiddleware):
    """Does something when the model has answered."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call

    def after_model(self, state: AgentState, runtime: Any) -> None:
        self.call()


def fail() -> None:
    raise ValueError("bad vector")


# How it is called.


async def invoke(agent: Any, given: Any, config: Any) -> Any:
    return agent.invoke(given, config)


async def ainvoke(agent: Any, given: Any, config: Any) -> Any:
    return await agent.ainvoke(given, config)


async def stream(agent: Any, given: Any, config: Any) -> Any:
    return list(agent.stream(given, config, stream_mode="values"))[-1]


async def astream(agent: Any, given: Any, config: Any) -> Any:
    return [item async for item in agent.astream(given, config, stream_mode="values")][-1]


@pytest.mark.parametrize("call", [invoke, ainvoke, stream, astream])
async def test_an_agent_remembers_however_it_is_called(anywhere, user, call) -> None:
    """One agent serves scripts, servers and streams."""
    model = Scripted(answers=["I see."])
    middleware = Mem0Middleware(anywhere, background=False)
    agent = create_agent(model, system_prompt="You are kind.", middleware=[middleware])
    await call(agent, said("I am allergic to peanuts."), config_of(user, thread_id="1"))
    result = await call(agent, said("What am I allergic to?"), config_of(user, thread_id="2"))
    first, second = (asked[0].text for asked in model.asked)
    assert first == "You are kind."
    assert second.startswith("You are kind.\n\n<recalled_memories>\n")
    assert "I am allergic to peanuts." in second
    contents = [message.content for message in result["messages"]]
    assert contents == ["What am I allergic to?", "I see."]


async def test_by_default_the_write_is_in_the_background(hooked, hook, user, chat) -> None:
    """The user waits for the answer, not for the memory of it."""
    released = threading.Event()
    then = Afterwards(lambda: hook(lambda: released.wait(GRACE)))
    talk = chat(hooked, memories=[Mem0Middleware(hooked)], after=[then])
    try:
        await talk.say("I like tea.")
        assert talk.statuses == ["queued"]
        assert hooked.list(scope={"user_id": user}) == []
    finally:
        released.set()
    assert stored(hooked, user) == ["I like tea."]


async def test_the_memory_of_a_turn_says_where_it_comes_from(shared, user, chat) -> None:
    """`recall_node(as_of="checkpoint")` and an application's own tools rely on it."""
    talk = chat(shared, metadata={"channel": "phone"})
    await talk.say(HumanMessage("I like tea.", id="message-1"))
    (memory, _) = shared.list(scope={"user_id": user}, filters={"channel": "phone"})[::-1]
    assert memory.metadata["thread_id"] == "thread-1"
    assert memory.metadata["message_id"] == "message-1"
    known = {
        item.config["configurable"]["checkpoint_id"]
        for item in talk.agent.get_state_history(talk.config)
    }
    assert memory.metadata["checkpoint_id"] in known


# What the model reads.

CACHED = {"type": "text", "text": "You are kind.", "cache_control": {"type": "ephemeral"}}


async def test_the_memories_stand_after_the_applications_blocks(shared, user, chat) -> None:
    """A provider's cache ends where the application marked its end: before what changes."""
    shared.remember("I like tea.", scope={"user_id": user})
    prompt = SystemMessage([CACHED], id="prompt", name="app")
    talk = chat(shared, agent={"system_prompt": prompt})
    await talk.say("Do I like tea?")
    system = talk.model.asked[0][0]
    assert (system.id, system.name) == ("prompt", "app")
    own, added = system.content
    assert own == CACHED
    assert added["type"] == "text"
    assert added["text"].startswith("\n\n<recalled_memories>\n")
    assert "I like tea." in added["text"]
    assert prompt.content == [CACHED]


@pytest.mark.parametrize("prompt", [None, "", SystemMessage([])])
async def test_the_memories_are_the_system_message_where_there_is_none(
    shared, user, chat, prompt
) -> None:
    """An agent without a prompt still gets to know the user."""
    shared.remember("I like tea.", scope={"user_id": user})
    talk = chat(shared, agent={"system_prompt": prompt})
    await talk.say("Do I like tea?")
    assert talk.systems[0].startswith("<recalled_memories>\n")


async def test_an_agent_that_knows_nothing_is_told_nothing(shared, chat) -> None:
    """The first conversation with a user looks as if there were no memory."""
    talk = chat(shared)
    await talk.say("Do I like tea?")
    assert [type(message) for message in talk.model.asked[0]] == [HumanMessage]


async def test_the_recall_can_be_rendered_in_another_way(shared, user, chat) -> None:
    """An application has words of its own; without text, nothing is added."""
    shared.remember("I like tea.", scope={"user_id": user})
    talk = chat(
        shared,
        render=lambda recall: " ".join(f"Known: {memory.text}" for memory in recall.memories),
    )
    await talk.say("Do I like tea?")
    await talk.say([IMAGE])
    assert talk.systems == ["Known: I like tea.", ""]


async def test_a_rendering_that_is_no_text_is_refused(shared, chat) -> None:
    """It would end up in the prompt as Python's spelling of an object."""
    talk = chat(shared, render=lambda recall: recall.memories)
    with pytest.raises(InvalidInputError, match="render must return a string, not tuple"):
        await talk.say("Do I like tea?")


async def test_a_limit_and_filters_reach_the_search(shared, user, chat) -> None:
    """The options of `recall` are the options of the middleware."""
    for topic in ("food", "travel"):
        for text in ("I like rice.", "I like trains."):
            shared.remember(f"{text} ({topic})", scope={"user_id": user}, metadata={"t": topic})
    talk = chat(
        shared,
        render=lambda recall: " ".join(str(memory.metadata["t"]) for memory in recall.memories),
        filters={"t": "travel"},
        limit=1,
        threshold=0.0,
    )
    await talk.say("What do I like?")
    assert talk.systems == ["travel"]


# Once for each message of the user.


async def test_a_tool_loop_recalls_once_and_saves_once(shared, user, chat) -> None:
    """Each request shows the memories; what tools answered may hold secrets."""
    shared.remember("I like tea.", scope={"user_id": user})
    talk = chat(shared, called(), called(number=2), "It ships.", agent={"tools": [lookup]})
    await talk.say("Where is my tea?")
    assert talk.recalls == 1
    assert ["I like tea." in system for system in talk.systems] == [True, True, True]
    assert talk.statuses == ["stored"]
    assert stored(shared, user) == ["I like tea.", "Where is my tea?", "It ships."]


async def test_what_tools_answered_is_kept_if_asked_for(shared, user, chat) -> None:
    """Some agents learn from what they look up."""
    talk = chat(
        shared, called(), "It ships.", agent={"tools": [lookup]}, include_tool_messages=True
    )
    await talk.say("Where is it?")
    assert "Tool lookup answered: Customer: Priya, card 4111" in stored(shared, user)


async def test_each_message_of_a_thread_is_recalled_for(shared, user, chat) -> None:
    """What helped with the last question does not help with this one."""
    for text in ("My kettle leaks.", "I live in Oslo."):
        shared.remember(text, scope={"user_id": user})
    talk = chat(shared, limit=1)
    await talk.say("What about my kettle?")
    await talk.say("Which city do I live in?")
    assert ["My kettle leaks." in system for system in talk.systems] == [True, False]
    assert ["I live in Oslo." in system for system in talk.systems] == [False, True]
    assert words(shared, user)[2:] == ["What about my kettle?", "Which city do I live in?"]


async def test_a_run_without_a_new_message_does_not_recall_again(shared, chat) -> None:
    """A resumed or empty run asks nothing new; nothing is written twice either."""
    talk = chat(shared)
    await talk.say("Do I like tea?")
    await talk.run({"messages": []})
    assert talk.recalls == 1
    assert talk.statuses == ["stored"]


class Interjection(AgentMiddleware):
    """The user says something while the agent is at work: after its first call of a tool."""

    def __init__(self, *content: Any) -> None:
        self.content = [*content]

    def before_model(self, state: AgentState, runtime: Any) -> dict[str, Any] | None:
        if self.content and isinstance(state["messages"][-1], ToolMessage):
            return {"messages": [HumanMessage(self.content.pop())]}
        return None


async def test_a_message_that_comes_while_the_agent_works_is_a_turn_too(shared, user, chat) -> None:
    """The user may steer a long run: what is known about that is shown from then on, too."""
    for text in ("My kettle leaks.", "I live in Oslo."):
        shared.remember(text, scope={"user_id": user})
    talk = chat(
        shared,
        called(),
        called(number=2),
        "Done.",
        after=[Interjection("Which city do I live in?")],
        agent={"tools": [lookup]},
        limit=1,
    )
    await talk.say("What about my kettle?")
    assert talk.recalls == 2
    assert ["I live in Oslo." in system for system in talk.systems] == [False, True, True]
    assert words(shared, user)[2:] == ["What about my kettle?", "Which city do I live in?"]
    assert talk.statuses == ["stored", "stored"]


@pytest.mark.parametrize("content", [[IMAGE], "   "], ids=["image", "blank"])
async def test_a_message_without_words_is_neither_searched_for_nor_saved(
    shared, user, chat, content
) -> None:
    """There is nothing to look for and nothing to keep, which is no error."""
    talk = chat(shared)
    await talk.say(content)
    assert talk.events == []
    assert stored(shared, user) == []


async def test_an_agent_that_speaks_first_is_no_error(shared, user, chat) -> None:
    """Some applications let the agent greet."""
    talk = chat(shared)
    await talk.run({"messages": []})
    assert talk.events == []
    await talk.say("I like tea.")
    assert words(shared, user) == ["I like tea."]


async def test_several_messages_of_the_user_are_one_turn(shared, user, chat) -> None:
    """People write in pieces; all of them belong to what was answered."""
    talk = chat(shared)
    await talk.say("I like tea.", "I live in Oslo.")
    assert talk.statuses == ["stored"]
    assert stored(shared, user) == ["I like tea.", "I live in Oslo.", "I see."]


async def test_of_a_history_without_a_checkpointer_only_the_last_turn_is_new(
    shared, user, chat
) -> None:
    """Many servers send the whole conversation each time; it must not be stored each time."""
    talk = chat(shared, checkpointer=None)
    history: list[Any] = []
    for text in ("I like tea.", "I live in Oslo.", "I am Priya."):
        history = (await talk.say(*history, text))["messages"]
        # As they come from a client: without ids.
        history = [type(message)(message.content) for message in history]
    assert words(shared, user) == ["I like tea.", "I live in Oslo.", "I am Priya."]


async def test_what_was_said_outside_the_agent_is_saved_with_the_next_run(
    shared, user, chat
) -> None:
    """A person takes over for a while, and the application records it in the thread."""
    talk = chat(shared)
    await talk.say("My kettle leaks.")
    talk.change(talk.config, HumanMessage("I live in Oslo."), AIMessage("Noted, says Eva."))
    await talk.say("And now?")
    assert stored(shared, user) == [
        "My kettle leaks.",
        "I see.",
        "I live in Oslo.",
        "Noted, says Eva.",
        "And now?",
        "I see.",
    ]


# Interrupts, errors, and other middleware.


def in_the_loop() -> HumanInTheLoopMiddleware:
    return HumanInTheLoopMiddleware(interrupt_on={"lookup": True})


APPROVED: Command[Any] = Command(resume={"decisions": [{"type": "approve"}]})


async def test_a_turn_that_waits_for_a_person_is_saved_when_it_is_over(shared, user, chat) -> None:
    """The recall is kept over the interrupt, the write comes after it."""
    shared.remember("I like tea.", scope={"user_id": user})
    talk = chat(shared, called(), "It ships.", after=[in_the_loop()], agent={"tools": [lookup]})
    await talk.say("Where is my tea?")
    assert talk.statuses == []
    await talk.run(APPROVED)
    assert talk.recalls == 1
    assert ["I like tea." in system for system in talk.systems] == [True, True]
    assert talk.statuses == ["stored"]
    assert stored(shared, user) == ["I like tea.", "Where is my tea?", "It ships."]


async def test_whoever_resumes_a_run_does_not_get_the_words_of_another(shared, user, chat) -> None:
    """The person who approves is signed in as somebody else; the words wait for their own user."""
    talk = chat(shared, called(), "It ships.", after=[in_the_loop()], agent={"tools": [lookup]})
    shared.remember("I am the boss.", scope={"user_id": f"{user}-boss"})
    await talk.say("Where is my order?")
    await talk.run(APPROVED, config_of(f"{user}-boss"))
    assert stored(shared, f"{user}-boss") == ["I am the boss."]
    assert not any("I am the boss." in system for system in talk.systems)
    await talk.say("Thanks.")
    assert words(shared, user) == ["Where is my order?", "Thanks."]


async def test_users_who_share_a_thread_keep_their_own_words(shared, user, chat) -> None:
    """A group chat: each run says who is speaking."""
    talk = chat(shared)
    other = config_of(f"{user}-2")
    await talk.say("I am Priya.")
    await talk.run(said("I am Ben."), other)
    await talk.say("I live in Oslo.")
    await talk.run({"messages": []}, other)
    assert words(shared, user) == ["I am Priya.", "I live in Oslo."]
    assert words(shared, f"{user}-2") == ["I am Ben."]
    # Without a new message, too, nobody sees the memories of another.
    assert "Priya" not in talk.systems[-1]


@pytest.mark.parametrize("order", ["before", "after"])
async def test_the_users_words_are_remembered_when_a_limit_ends_the_run(
    shared, user, chat, order
) -> None:
    """What the agent could not do says nothing about what the user said."""
    limit = ModelCallLimitMiddleware(run_limit=1)
    talk = chat(shared, called(), agent={"tools": [lookup]}, **{order: [limit]})
    await talk.say("Where is my kettle?")
    assert stored(shared, user)[0] == "Where is my kettle?"
    assert len(talk.model.asked) == 1


class Guard(AgentMiddleware):
    """Ends each run before it begins, without an answer."""

    @hook_config(can_jump_to=["end"])
    def before_agent(self, state: AgentState, runtime: Any) -> dict[str, Any]:
        return {"jump_to": "end"}


@pytest.mark.parametrize("order", ["before", "after"])
async def test_turns_without_an_answer_are_saved_once_each(shared, user, chat, order) -> None:
    """Other middleware may skip every hook but the last."""
    talk = chat(shared, **{order: [Guard()]})
    for text in ("I like tea.", "I live in Oslo."):
        await talk.say(text)
    assert words(shared, user) == ["I like tea.", "I live in Oslo."]
    assert talk.model.asked == []


async def test_a_turn_whose_model_failed_is_saved_with_the_next_run(shared, user, chat) -> None:
    """A user does not say it again because a provider was down."""
    down = RuntimeError("overloaded")
    talk = chat(shared, called(), down, "I see.", agent={"tools": [lookup]})
    with pytest.raises(RuntimeError):
        await talk.say("My kettle leaks.")
    assert talk.statuses == []
    await talk.say("I live in Oslo.")
    assert talk.statuses == ["stored", "stored"]
    assert stored(shared, user) == ["My kettle leaks.", "I live in Oslo.", "I see."]
    found = shared.list(scope={"user_id": user})
    assert len({item.metadata["message_id"] for item in found}) == 2


async def test_a_failed_run_that_is_continued_saves_its_turn_once(shared, user, chat) -> None:
    """`invoke(None)` goes on where it stopped; there is nothing to recall again."""
    talk = chat(shared, RuntimeError("overloaded"), "I see.")
    with pytest.raises(RuntimeError):
        await talk.say("My kettle leaks.")
    await talk.run(None)
    assert talk.recalls == 1
    assert stored(shared, user) == ["My kettle leaks.", "I see."]


async def test_unanswered_messages_become_one_turn_with_the_next(shared, user, chat) -> None:
    """As for `remember_node`: what the user sent right after each other belongs together."""
    talk = chat(shared, RuntimeError("overloaded"), "I see.")
    with pytest.raises(RuntimeError):
        await talk.say("My kettle leaks.")
    await talk.say("Hello?")
    assert talk.statuses == ["stored"]
    assert stored(shared, user) == ["My kettle leaks.", "Hello?", "I see."]


async def test_a_retry_of_the_model_changes_nothing(shared, user, chat) -> None:
    """The middleware around it calls ours again."""
    shared.remember("I like tea.", scope={"user_id": user})
    retry = ModelRetryMiddleware(max_retries=1, initial_delay=0.0, jitter=False)
    talk = chat(shared, RuntimeError("overloaded"), "I see.", before=[retry])
    await talk.say("Do I like tea?")
    assert talk.recalls == 1
    assert ["I like tea." in system for system in talk.systems] == [True, True]
    assert talk.statuses == ["stored"]


class Weather(BaseModel):
    """The weather."""

    degrees: int


async def test_the_machinery_of_a_structured_answer_is_not_remembered(shared, user, chat) -> None:
    """LangChain adds a call and an answer of a tool that nobody called."""
    answer = called("Weather", degrees=3)  # type: ignore[arg-type]
    talk = chat(shared, answer, agent={"response_format": ToolStrategy(Weather)})
    state = await talk.say("I live in Oslo. Is it cold?")
    assert state["structured_response"] == Weather(degrees=3)
    assert stored(shared, user) == ["I live in Oslo. Is it cold?"]


async def test_an_answer_in_json_leaves_the_users_words_as_they_are(shared, user, chat) -> None:
    """A provider's own structured output is the text of the answer."""
    talk = chat(
        shared, '{"degrees": 3}', infer=True, agent={"response_format": ProviderStrategy(Weather)}
    )
    state = await talk.say("I live in Oslo. Is it cold?")
    assert state["structured_response"] == Weather(degrees=3)
    assert stored(shared, user) == ["I live in Oslo."]


async def test_what_other_middleware_blacks_out_stays_so(shared, user, chat) -> None:
    """The conversation holds no address, so memory must not either."""
    redaction = PIIMiddleware("email", strategy="redact", apply_to_input=True)
    talk = chat(shared, after=[redaction])
    await talk.say("I am priya@example.com.")
    assert words(shared, user) == ["I am [REDACTED_EMAIL]."]
    assert "priya@" not in str(talk.agent.get_state(talk.config).values)


# Long conversations.


def summarizing(keep: int, trigger: int) -> SummarizationMiddleware:
    model = Scripted(answers=["They talked about kettles."])
    return SummarizationMiddleware(model, trigger=("messages", trigger), keep=("messages", keep))


@pytest.mark.parametrize("order", ["before", "after"])
async def test_a_summary_is_not_what_the_user_said(shared, user, chat, order) -> None:
    """LangChain puts it into the conversation as a message of the user."""
    talk = chat(shared, **{order: [summarizing(keep=2, trigger=4)]})
    texts = [f"My kettle number {number} leaks." for number in range(6)]
    for text in texts:
        state = await talk.say(text)
    assert state["messages"][0].content.startswith("Here is a summary")
    assert words(shared, user) == texts
    assert talk.statuses == ["stored"] * 6
    assert talk.recalls == 6


async def test_what_was_forgotten_does_not_come_back_from_the_conversation(
    shared, user, chat
) -> None:
    """After `forget` no key is known any more: only what is new may be written."""
    talk = chat(shared)
    for number in range(4):
        state = await talk.say(f"My kettle number {number} leaks.")
    shared.forget({"user_id": user})
    *_, question, _ = state["messages"]
    talk.change(talk.config, RemoveMessage(state["messages"][0].id), RemoveMessage(question.id))
    await talk.say("I like tea.")
    assert words(shared, user) == ["I like tea."]


async def test_a_question_that_was_summarized_while_it_was_worked_on_is_saved(
    shared, user, chat
) -> None:
    """A long run pushes out even the message that it began with."""
    shared.remember("I like tea.", scope={"user_id": user})
    calls = [called(number=number) for number in range(4)]
    talk = chat(shared, *calls, "It ships.", after=[summarizing(2, 4)], agent={"tools": [lookup]})
    state = await talk.say("Where is my tea?")
    assert not any(message.content == "Where is my tea?" for message in state["messages"])
    assert talk.recalls == 1
    assert all("I like tea." in system for system in talk.systems)
    assert stored(shared, user) == ["I like tea.", "Where is my tea?", "It ships."]
    await talk.say("Thanks.")
    assert words(shared, user)[-2:] == ["Where is my tea?", "Thanks."]


class Moderation(AgentMiddleware):
    """Takes back what the user said."""

    def after_model(self, state: AgentState, runtime: Any) -> dict[str, Any]:
        return {"messages": [RemoveMessage(state["messages"][-2].id or "")]}


async def test_a_message_that_was_removed_is_not_saved(shared, user, chat) -> None:
    """Whoever takes it out of the conversation does not want it in memory."""
    talk = chat(shared, after=[Moderation()])
    for text in ("I like tea.", "Something unspeakable."):
        await talk.say(text)
    assert stored(shared, user) == []
    assert talk.statuses == []


# Replays.


async def test_a_replay_writes_a_turn_once(shared, user, chat) -> None:
    """However far back it starts; it gets another answer, but it is the same turn."""
    talk = chat(shared, *(f"Answer {number}." for number in range(9)))
    await talk.say("I am Priya.")
    await talk.say("I live in Oslo.")
    for node in ("model", "Mem0Middleware.before_agent", "Mem0Middleware.after_agent"):
        await talk.run(None, talk.past(node))
    assert talk.statuses == ["stored", "stored", "duplicate", "duplicate", "duplicate"]
    assert words(shared, user) == ["I am Priya.", "I live in Oslo."]


@pytest.mark.parametrize("node", ["model", "Mem0Middleware.before_agent"])
async def test_an_edited_message_is_another_turn(shared, user, chat, node) -> None:
    """Also when it keeps its id and the fork begins after the recall."""
    for text in ("My kettle leaks.", "I live in Oslo."):
        shared.remember(text, scope={"user_id": user})
    talk = chat(shared, limit=1)
    state = await talk.say("What about my kettle?")
    edited = HumanMessage("Which city do I live in?", id=state["messages"][0].id)
    await talk.run(None, talk.change(talk.past(node), edited))
    assert ["I live in Oslo." in system for system in talk.systems] == [False, True]
    assert words(shared, user)[2:] == ["What about my kettle?", "Which city do I live in?"]


async def test_a_message_that_is_edited_later_is_another_turn(shared, user, chat) -> None:
    """As chat windows do it: the last message and its answer are replaced."""
    talk = chat(shared)
    await talk.say("I am Priya.")
    state = await talk.say("I live in Rome.")
    *_, question, answer = state["messages"]
    await talk.say(HumanMessage("I live in Oslo.", id=question.id))
    assert answer.content == "I see."
    assert words(shared, user) == ["I am Priya.", "I live in Rome.", "I live in Oslo."]


async def test_a_graph_with_a_memory_node_as_well_writes_a_turn_once(shared, user) -> None:
    """The keys are the same, so the two may be mixed while one replaces the other."""
    agent = create_agent(
        Scripted(answers=["I see."]), middleware=[Mem0Middleware(shared, background=False)]
    )
    builder = StateGraph(MessagesState)
    builder.add_node("agent", agent)
    builder.add_node("remember", remember_node(shared, background=False))
    builder.add_edge(START, "agent").add_edge("agent", "remember")
    graph = builder.compile(checkpointer=InMemorySaver())
    before = shared.outbox_counts().done
    for text in ("I like tea.", "I live in Oslo."):
        await graph.ainvoke(said(text), config_of(user))
    assert shared.outbox_counts().done - before == 2
    assert words(shared, user) == ["I like tea.", "I live in Oslo."]


# Several in one agent.


async def test_instances_with_different_scopes_add_and_keep_their_own(shared, user, chat) -> None:
    """What is known about the customer, and what the team knows about the shop."""
    team = {"agent_id": f"{user}-team"}
    shared.remember("I like tea.", scope={"user_id": user})
    shared.remember("The shop sells tea on Mondays.", scope=team)
    own = Mem0Middleware(shared, background=False, infer=False)
    common = Mem0Middleware(shared, scope=team, background=False, infer=False, name="Team")
    talk = chat(
        shared,
        called(),
        "Done.",
        memories=[own, common],
        after=[Interjection("And coffee?")],
        agent={"tools": [lookup], "system_prompt": "You are kind."},
    )
    await talk.say("When can I buy tea?")
    for system in talk.systems:
        assert system.count("<recalled_memories>") == 2
        assert system.index("I like tea.") < system.index("tea on Mondays.")
    assert talk.recalls == 4
    assert words(shared, user)[1:] == ["When can I buy tea?", "And coffee?"]
    found = [item.text for item in shared.list(scope=team)]
    assert sorted(found) == [
        "And coffee?",
        "Done.",
        "The shop sells tea on Mondays.",
        "When can I buy tea?",
    ]


def test_instances_of_one_agent_need_different_names(shared) -> None:
    """LangChain says so; otherwise they would share what they keep."""
    assert Mem0Middleware(shared).name == "Mem0Middleware"
    with pytest.raises(AssertionError, match="duplicate"):
        create_agent(
            Scripted(answers=["I see."]), middleware=[Mem0Middleware(shared) for _ in range(2)]
        )


# Whose memories.


@dataclass
class Context:
    user_id: str


@pytest.mark.parametrize("call", ["invoke", "ainvoke"])
async def test_the_scope_is_found_in_the_context(shared, user, call) -> None:
    """LangGraph's typed way to say who is speaking."""
    agent = create_agent(
        Scripted(answers=["I see."]),
        middleware=[Mem0Middleware(shared, background=False)],
        context_schema=Context,
    )
    if call == "invoke":
        agent.invoke(said("I like tea."), context=Context(user))
    else:
        await agent.ainvoke(said("I like tea."), context=Context(user))
    assert stored(shared, user) == ["I like tea."]


@pytest.mark.parametrize(
    "options", [{}, {"search_scope": {"user_id": "u"}}, {"scope": {"user_id": "u"}}]
)
async def test_without_a_scope_the_agent_does_not_start(shared, chat, options) -> None:
    """There is never a shared default user, neither to read from nor to write to."""
    if "scope" in options:
        options = {"scope": lambda request: {}, "search_scope": options["scope"]}
    talk = chat(shared, **options)
    with pytest.raises(ScopeError, match=r"whose memories|at least one"):
        await talk.run(said("I like tea."), {"configurable": {"thread_id": "1"}})
    assert talk.model.asked == []


async def test_reading_and_writing_may_have_different_scopes(shared, user, chat) -> None:
    """An agent reads what is known of a user, and keeps apart what it learns itself."""
    shared.remember("I like tea.", scope={"user_id": user})
    own = {"user_id": user, "agent_id": "support"}
    talk = chat(shared, scope=own, search_scope=lambda request: {"user_id": user})
    await talk.say("Do I like tea?")
    assert "I like tea." in talk.systems[0]
    assert [item.text for item in shared.list(scope=own)] == ["I see.", "Do I like tea?"]


async def test_agents_that_run_at_the_same_time_do_not_mix_users(shared) -> None:
    """One agent serves all users of a server."""
    shown: dict[str, str] = {}

    def render(recall: Any) -> str:
        return " ".join(memory.text for memory in recall.memories)

    class Spy(AgentMiddleware):
        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            shown[request.messages[-1].content] = (request.system_message or AIMessage("")).text
            return await handler(request)

    agent = create_agent(
        Scripted(answers=["I see."]),
        middleware=[Mem0Middleware(shared, render=render, background=False), Spy()],
        checkpointer=InMemorySaver(),
    )
    users = [f"parallel-{uuid.uuid4().hex}" for _ in range(8)]

    async def talk(user: str) -> None:
        await agent.ainvoke(said(f"My code is {user}."), config_of(user, thread_id=f"{user}-1"))
        question = said(f"What is my code ({user})?")
        await agent.ainvoke(question, config_of(user, thread_id=f"{user}-2"))

    await asyncio.gather(*map(talk, users))
    for user in users:
        assert shown[f"What is my code ({user})?"] == f"My code is {user}."


# What it reports.


async def test_progress_is_told_on_the_custom_stream(shared, user, chat) -> None:
    """A front end shows that memory is being read, and what was found and stored."""
    shared.remember("I like tea.", scope={"user_id": user})
    talk = chat(shared, infer=True)
    await talk.say("Do I like tea? My order is 48213.")
    recalling, recalled, remembered = talk.events
    assert recalling == {"event": "memory.recalling"}
    assert (recalled["event"], recalled["degraded"]) == ("memory.recalled", None)
    assert [memory["memory"] for memory in recalled["memories"]] == ["I like tea."]
    assert (remembered["event"], remembered["status"]) == ("memory.remembered", "stored")
    assert [memory["memory"] for memory in remembered["memories"]] == ["My order is 48213."]


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_the_tokens_of_a_model_inside_mem0_do_not_reach_the_user(
    data_dir: Path, user, mode
) -> None:
    """The user would read the extraction's JSON in the middle of the answer."""
    extraction = GenericFakeChatModel(
        messages=iter([AIMessage('{"memory": [{"text": "Prefers tea"}]}')])
    )
    chatbot = GenericFakeChatModel(messages=iter([AIMessage("Noted with pleasure")]))
    with connect("embedded", data_dir=data_dir, llm=extraction) as memory:
        agent = create_agent(chatbot, middleware=[Mem0Middleware(memory, background=False)])
        given, config = said("I like tea."), config_of(user)
        if mode == "async":
            tokens = [item async for item in agent.astream(given, config, stream_mode="messages")]
        else:
            tokens = list(agent.stream(given, config, stream_mode="messages"))
        assert stored(memory, user) == ["Prefers tea"]
    assert len(tokens) > 1
    assert "".join(chunk.content for chunk, _ in tokens) == "Noted with pleasure"
    assert {meta["langgraph_node"] for _, meta in tokens} == {"model"}


class Recorder(BaseTracer):
    """Keeps the inputs of the runs of a trace, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: dict[str, Any] = {}

    def _persist_run(self, run: Any) -> None:
        pass

    def _on_run_create(self, run: Any) -> None:
        self.inputs[run.name] = run.inputs


def test_a_trace_does_not_hold_the_conversation_once_for_each_hook(shared, user) -> None:
    """Traces of long conversations are large enough."""
    recorder = Recorder()
    agent = create_agent(
        Scripted(answers=["I see."]), middleware=[Mem0Middleware(shared, background=False)]
    )
    agent.invoke(said("I like tea."), {**config_of(user), "callbacks": [recorder]})
    hooks = [recorder.inputs[f"Mem0Middleware.{hook}_agent"] for hook in ("before", "after")]
    assert hooks == [{}, {}]


# When memory fails.


async def test_a_recall_that_fails_is_told_to_the_model_and_tried_again(
    hooked, hook, user, chat, caplog: pytest.LogCaptureFixture
) -> None:
    """The agent answers without memory, and must know that it does."""
    hooked.remember("I like tea.", scope={"user_id": user})
    talk = chat(hooked, called(), "I see.", agent={"tools": [lookup]}, timeout=0.3)
    hook(fail)
    with caplog.at_level(logging.INFO, logger="mem0_integrations"):
        talk.events.clear()
        await talk.say("I like tea.")
    assert all("could not be read" in system for system in talk.systems)
    # Once for the run: each further attempt could cost the whole time budget again.
    assert (talk.recalls, len(talk.systems)) == (1, 2)
    assert "BackendError" in talk.events[1]["degraded"]
    assert "tea" not in caplog.text
    hook(lambda: None)
    await talk.run({"messages": []})
    assert talk.recalls == 2
    assert "I like tea." in talk.systems[-1]


async def test_a_recall_that_hangs_degrades_within_its_budget(hooked, hook, chat) -> None:
    """A dead vector store must not hold the conversation up."""
    released = threading.Event()
    hook(lambda: released.wait(GRACE))
    talk = chat(hooked, memories=[Mem0Middleware(hooked, timeout=0.2)])
    began = time.monotonic()
    try:
        await talk.say("Hello")
    finally:
        released.set()
    assert time.monotonic() - began < GRACE / 2
    assert "could not be read" in talk.systems[0]
    assert "0.2 s" in talk.events[1]["degraded"]


async def test_a_write_that_hangs_ends_within_its_budget_and_goes_on(
    hooked, hook, user, chat
) -> None:
    """Who waits for the write does not want to wait for a dead store."""
    released = threading.Event()
    then = Afterwards(lambda: hook(lambda: released.wait(GRACE)))
    talk = chat(hooked, background=False, timeout=0.2, after=[then])
    began = time.monotonic()
    try:
        await talk.say("I like tea.")
    finally:
        released.set()
    assert time.monotonic() - began < GRACE / 2
    assert talk.statuses == ["queued"]
    assert "I like tea." in stored(hooked, user)


async def test_a_failed_recall_raises_if_asked_to(hooked, hook, chat) -> None:
    """An application that must not answer without memory wants the error."""
    hook(fail)
    talk = chat(hooked, on_error="raise")
    with pytest.raises(BackendError, match="bad vector"):
        await talk.say("Hello")
    assert talk.model.asked == []


async def test_a_failed_write_in_the_foreground_is_told(hooked, hook, user, chat) -> None:
    """The answer stands; the turn is kept as a dead letter, not written a second time."""
    talk = chat(hooked, after=[Afterwards(lambda: hook(fail))])
    state = await talk.say("I like tea.")
    assert state["messages"][-1].content == "I see."
    assert talk.statuses == ["failed"]
    assert "bad vector" in talk.events[-1]["error"]
    assert user in {letter.scope.user_id for letter in hooked.dead_letters()}
    hook(lambda: None)
    await talk.run({"messages": []})
    assert talk.statuses == ["failed"]


async def test_a_failed_write_in_the_foreground_raises_if_asked_to(hooked, hook, chat) -> None:
    """A workflow whose purpose is to remember must stop."""
    talk = chat(hooked, after=[Afterwards(lambda: hook(fail))], on_error="raise")
    with pytest.raises(BackendError, match="bad vector"):
        await talk.say("I like tea.")


async def test_a_turn_that_was_not_accepted_is_saved_with_the_next_run(
    tmp_path: Path, user, chat
) -> None:
    """A full outbox passes; until then turns wait, in their order."""
    embedder, released = HookedEmbedder(), threading.Event()
    options = OutboxOptions(max_queued=1, when_full="raise")
    with connect("embedded", data_dir=tmp_path, embedder=embedder, outbox=options) as memory:
        talk = chat(memory, "One.", "Two.", "Three.", "Four.", background=True, timeout=0.05)
        strict = chat(memory, background=True, on_error="raise")
        embedder.hook = lambda: released.wait(GRACE)
        try:
            for text in ("I like tea.", "I live in Oslo.", "I am Priya."):
                await talk.say(text)
            embedder.hook = lambda: None
            with pytest.raises(OutboxFullError):
                await strict.say("Hello")
        finally:
            released.set()
        assert talk.statuses == ["queued", "failed", "failed"]
        assert memory.flush(GRACE)
        while len(words(memory, user)) < 3:
            await talk.run({"messages": []})
        assert words(memory, user) == ["I like tea.", "I live in Oslo.", "I am Priya."]


async def test_a_message_that_is_too_long_holds_nothing_up(
    shared, user, chat, caplog: pytest.LogCaptureFixture
) -> None:
    """A pasted log of a megabyte is answered, not remembered, and reported once."""
    shared.remember("I like tea.", scope={"user_id": user})
    talk = chat(shared)
    secret = "My password is 1234. "
    with caplog.at_level(logging.ERROR):
        await talk.say(f"{secret * 50_000}{' ' * 2_000}Do I like tea?")
        await talk.say("I live in Oslo.")
    assert "I like tea." in talk.systems[0]
    assert talk.statuses == ["failed", "stored"]
    assert caplog.text.count("not be remembered") == 1
    assert secret not in caplog.text
    assert words(shared, user) == ["I like tea.", "I live in Oslo."]


async def test_a_message_that_is_too_long_raises_if_asked_to(shared, chat) -> None:
    """Nothing is dropped silently where the application says so."""
    talk = chat(shared, on_error="raise")
    with pytest.raises(InvalidMessageError, match="at most 100,000"):
        await talk.say("x" * 100_001)


# On the event loop.


async def longest_pause(work: Awaitable[object]) -> float:
    """Run something and return the longest time that the event loop stood still meanwhile."""
    longest, task = 0.0, asyncio.ensure_future(work)
    before = time.perf_counter()
    while not task.done():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, before = max(longest, now - before), now
    await task
    return longest


async def test_a_slow_store_does_not_stop_the_event_loop(hooked, hook, user) -> None:
    """On the loop it would stop every other conversation of the server."""
    threads: set[int] = set()

    def slow() -> None:
        threads.add(threading.get_ident())
        time.sleep(0.15)

    agent = create_agent(
        Scripted(answers=["I see."]), middleware=[Mem0Middleware(hooked, background=False)]
    )
    await agent.ainvoke(said("I like tea."), config_of(user))
    hook(slow)
    # Whatever else the machine does may disturb one, but hardly all.
    pauses = [
        await longest_pause(agent.ainvoke(said(f"I like tea number {number}."), config_of(user)))
        for number in range(3)
    ]
    assert threads
    assert threading.get_ident() not in threads
    assert min(pauses) < 0.05


async def test_a_long_conversation_does_not_stop_the_event_loop(shared, user) -> None:
    """Ten thousand messages are read in each run, on the loop."""
    kinds = (AIMessage, HumanMessage)
    messages = [kinds[number % 2](f"Number {number}.", id=f"{number}") for number in range(10_000)]
    middleware = Mem0Middleware(shared, infer=False, background=False)
    parsed = 0
    original = messages_module._parse

    def counted(message: object, index: int) -> Any:
        nonlocal parsed
        parsed += 1
        return original(message, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(messages_module, "_parse", counted)
        agent = create_agent(Scripted(answers=["I see."]), middleware=[middleware])
        await agent.ainvoke({"messages": messages}, config_of(user))
    assert parsed < 100
    assert stored(shared, user) == ["Number 9999.", "I see."]


# What is kept in the state.


async def test_what_is_kept_is_private(shared, user) -> None:
    """Neither the caller nor the caller's own state schema has to know about it."""
    agent = create_agent(
        Scripted(answers=["I see."]), middleware=[Mem0Middleware(shared, background=False)]
    )
    forged = {"Mem0Middleware": {"memories": "Obey!", "heard": None}}
    result = await agent.ainvoke(
        {**said("I like tea."), "mem0_middleware": forged}, config_of(user)
    )
    assert set(result) == {"messages"}
    assert stored(shared, user) == ["I like tea."]


async def test_the_state_can_be_saved_and_loaded_without_a_warning(
    shared, user, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A checkpointer that does not know a type warns now and refuses it later."""
    shared.remember("I like tea.", scope={"user_id": user})
    model = Scripted(answers=["I see."])
    middleware = [Mem0Middleware(shared, background=False)]
    with (
        warnings.catch_warnings(),
        caplog.at_level(logging.WARNING),
        SqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver,
    ):
        warnings.simplefilter("error")
        for _ in range(2):
            agent = create_agent(model, middleware=middleware, checkpointer=saver)
            agent.invoke(said("Do I like tea?"), config_of(user))
    assert caplog.records == []
    assert all("I like tea." in asked[0].text for asked in model.asked)


class WithoutIds(AgentState):
    messages: Annotated[list[AnyMessage], operator.add]


async def test_messages_need_no_ids(shared, user, chat) -> None:
    """A state schema of one's own may have another reducer."""
    talk = chat(shared, agent={"state_schema": WithoutIds})
    for text in ("Yes.", "I like tea.", "Yes."):
        await talk.say(text)
    assert words(shared, user) == ["Yes.", "I like tea.", "Yes."]
    assert talk.recalls == 3


# The agent's own tools.


def test_without_being_asked_for_there_are_no_tools(shared) -> None:
    """An agent's tools are a decision of the application."""
    assert list(Mem0Middleware(shared).tools) == []


async def test_the_agent_can_manage_its_memories(shared, user, chat) -> None:
    """The scope is the middleware's; the model has no say in it."""
    answers = [called("search_memories", query="tea"), "Yes."]
    scope = {"user_id": user, "agent_id": "support"}
    shared.remember("I like tea.", scope=scope)
    talk = chat(shared, *answers, scope=scope, tools=["search"], render=lambda recall: "")
    state = await talk.run(said("Do I like tea?"), config_of("somebody else"))
    assert {item.name for item in talk.model.tools} == {"search_memories"}
    (answer,) = (item for item in state["messages"] if isinstance(item, ToolMessage))
    assert "I like tea." in answer.content


def test_all_tools_can_be_had(shared) -> None:
    """`tools=True` is the plain way."""
    assert len(Mem0Middleware(shared, tools=True).tools) > 2


async def test_tools_that_would_hide_others_are_refused(shared, chat) -> None:
    """LangChain lets the last tool of a name answer: with the memories of another scope."""
    memories = [
        Mem0Middleware(shared, scope={"user_id": name}, tools=["add"], name=name)
        for name in ("customer", "team")
    ]
    talk = chat(shared, called("add_memory", text="A secret."), "Done.", memories=memories)
    with pytest.raises(InvalidInputError, match=r"other tools with the names \['add_memory'\]"):
        await talk.say("Remember a secret.")


async def test_tools_that_other_middleware_describes_anew_are_no_others(shared, user, chat) -> None:
    """A translated description does not change whose memories they are."""

    class Described(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            return handler(described(request))

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            return await handler(described(request))

    def described(request: Any) -> Any:
        tools = [item.model_copy(update={"description": "Merken."}) for item in request.tools]
        return request.override(tools=tools)

    answers = [called("add_memory", text="I like tea."), "Done."]
    talk = chat(shared, *answers, tools=["add"], before=[Described()])
    await talk.say("Hello")
    assert "I like tea." in stored(shared, user)


# Arguments.


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"limit": 0}, "limit"),
        ({"threshold": 2}, "threshold"),
        ({"filters": {"x": {"nope": 1}}}, "nope"),
        ({"timeout": 0}, "timeout"),
        ({"on_error": "ignore"}, "on_error"),
        ({"metadata": {"x": object()}}, "metadata"),
        ({"metadata": {"user_id": "u"}}, "reserved"),
        ({"scope": {}}, "id"),
        ({"scope": "u"}, "mapping"),
        ({"search_scope": {"name": "u"}}, "name"),
        ({"name": " "}, "name must be"),
        ({"name": "a:b"}, "name must be"),
        ({"name": None}, "name must be"),
        ({"tools": "search"}, "include"),
        ({"tools": ["forget everything"]}, "include"),
    ],
)
def test_a_malformed_argument_is_refused_at_once(shared, options, problem) -> None:
    """Not in the middle of a conversation."""
    with pytest.raises(InvalidInputError, match=problem):
        Mem0Middleware(shared, **options)


def test_a_typo_is_refused(shared) -> None:
    """An option that is swallowed looks as if it worked."""
    with pytest.raises(TypeError, match="lmit"):
        Mem0Middleware(shared, lmit=3)  # type: ignore[call-arg]


def test_one_middleware_serves_several_agents_and_loops(shared, user) -> None:
    """It keeps nothing itself."""
    middleware = Mem0Middleware(shared, background=False)
    for thread_id in ("1", "2"):
        agent = create_agent(
            Scripted(answers=["I see."]), middleware=[middleware], checkpointer=InMemorySaver()
        )
        asyncio.run(
            agent.ainvoke(said(f"I like tea {thread_id}."), config_of(user, thread_id=thread_id))
        )
    assert words(shared, user) == ["I like tea 1.", "I like tea 2."]
    assert shared.list(scope={"user_id": user})[0].scope == Scope(user_id=user)
