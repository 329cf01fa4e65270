from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import ConfigurableFieldSpec, Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from pydantic import BaseModel

from mem0_integrations import (
    AgentMemory,
    BackendError,
    ClosedError,
    InvalidInputError,
    InvalidMessageError,
    Scope,
    ScopeError,
    connect,
)
from mem0_integrations.backends.documents import RowDocuments
from mem0_integrations.langchain import Mem0ChatMessageHistory
from tests.stores import MiniLM, Scripted, is_platform, nothing_on_the_loop, open_store

EVERY_KIND: list[BaseMessage] = [
    SystemMessage("Be kind.", id="s1"),
    HumanMessage("Hello", id="h1", name="Priya"),
    HumanMessage(
        [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        ]
    ),
    AIMessage(
        "",
        id="a1",
        tool_calls=[{"name": "look_up", "args": {"order": 48213, "deep": {"x": [1]}}, "id": "c1"}],
        invalid_tool_calls=[{"name": "bad", "args": "{", "id": "c2", "error": "not JSON"}],
        usage_metadata={
            "input_tokens": 7,
            "output_tokens": 5,
            "total_tokens": 12,
            "input_token_details": {"cache_read": 3},
        },
        response_metadata={"model_name": "m", "finish_reason": "tool_calls"},
        additional_kwargs={"reasoning": {"summary": ["thinking"]}},
    ),
    ToolMessage(
        [{"type": "text", "text": "Shipped"}],
        tool_call_id="c1",
        name="look_up",
        status="error",
        artifact={"rows": [[1, "two", None]]},
    ),
    AIMessage(
        [
            {"type": "reasoning", "reasoning": "It was shipped."},
            {"type": "text", "text": "It is on its way.", "annotations": []},
        ],
        id="a2",
    ),
    AIMessageChunk(content="half a ", id="run-1"),
    FunctionMessage(content="42", name="answer"),
    ChatMessage(content="Aye", role="pirate"),
    RemoveMessage(id="h0"),
    HumanMessage("Ünïcödé \0 \U0001f600 \ud800 \u202e", additional_kwargs={"%_*": "*"}),
]


class Session:
    """A history of a fresh session, read and written through its sync or its async methods."""

    def __init__(self, memory: AgentMemory, user: str, asynchronous: bool) -> None:
        self.scope = {"user_id": user}
        self.open: Callable[..., Mem0ChatMessageHistory] = partial(
            Mem0ChatMessageHistory, memory, session_id="1", scope=self.scope
        )
        self.asynchronous = asynchronous

    async def add(self, *messages: BaseMessage, **options: Any) -> None:
        history = self.open(**options)
        if self.asynchronous:
            await history.aadd_messages(messages)
        else:
            history.add_messages(messages)

    async def read(self, **options: Any) -> list[BaseMessage]:
        history = self.open(**options)
        return await history.aget_messages() if self.asynchronous else history.messages

    async def clear(self, **options: Any) -> None:
        history = self.open(**options)
        if self.asynchronous:
            await history.aclear()
        else:
            history.clear()


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def session(request: pytest.FixtureRequest, anywhere: AgentMemory, user: str) -> Session:
    return Session(anywhere, user, request.param)


async def test_messages_come_back_as_they_were_added(session: Session) -> None:
    """A lost tool call or id makes the next request to a provider invalid."""
    await session.add(*EVERY_KIND)
    found = await session.read()
    assert found == EVERY_KIND
    assert [type(message) for message in found] == [type(message) for message in EVERY_KIND]


async def test_they_are_in_the_order_in_which_they_were_added(session: Session) -> None:
    """A conversation out of order is another conversation."""
    for number in range(12):
        await session.add(*[HumanMessage(f"{number}.{part}") for part in range(3)])
    texts = [message.text for message in await session.read()]
    assert texts == [f"{number}.{part}" for number in range(12) for part in range(3)]


async def test_thousands_of_messages_come_back_complete_and_in_order(
    anywhere: AgentMemory, user: str
) -> None:
    """A page that ends at a round number loses the oldest half of a long conversation."""
    session = Session(anywhere, user, asynchronous=False)
    # Mem0's protocol takes a request for each message, and shows 200 of them on a page.
    count = 403 if is_platform(anywhere) else 10_003
    messages = [HumanMessage(f"{number}", id=f"{number}") for number in range(count)]
    await session.add(*messages)
    assert await session.read() == messages


async def test_a_clock_that_goes_back_does_not_reorder_a_session(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clocks are set, and differ between machines."""
    await session.add(HumanMessage("first"))
    history = session.open()
    assert [message.text for message in history.messages] == ["first"]
    monkeypatch.setattr("mem0_integrations.langchain.chat_history._last_time", 0)
    monkeypatch.setattr("time.time_ns", lambda: 1)
    history.add_messages([HumanMessage("second")])
    assert [message.text for message in await session.read()] == ["first", "second"]


async def test_clear_empties_this_session_only(session: Session) -> None:
    """Other sessions of the user, and other users' sessions of that name, are not its affair."""
    other = {"scope": {"user_id": f"{session.scope['user_id']}-2"}}
    await session.add(HumanMessage("Hello"))
    await session.add(HumanMessage("Hello"), session_id="2")
    await session.add(HumanMessage("Hello"), **other)
    await session.clear()
    assert await session.read() == []
    assert len(await session.read(session_id="2")) == 1
    assert len(await session.read(**other)) == 1
    await session.clear()
    await session.add(HumanMessage("Hello again"))
    assert [message.text for message in await session.read()] == ["Hello again"]


async def test_the_same_message_added_twice_is_there_twice(session: Session) -> None:
    """It is a transcript: `RunnableWithMessageHistory` counts its messages."""
    await session.add(HumanMessage("Hello", id="h1"))
    await session.add(HumanMessage("Hello", id="h1"))
    assert len(await session.read()) == 2


async def test_the_base_class_conveniences_work(anywhere: AgentMemory, user: str) -> None:
    """They are what tutorials use."""
    history = Mem0ChatMessageHistory(anywhere, session_id="1", scope={"user_id": user})
    history.add_user_message("Hello")
    history.add_ai_message("Hi!")
    history.add_message(SystemMessage("Be kind."))
    history.add_messages([])
    assert str(history) == "Human: Hello\nAI: Hi!\nSystem: Be kind."


async def test_it_is_never_recalled(session: Session, anywhere: AgentMemory) -> None:
    """A transcript in the recall would drown the memories."""
    anywhere.remember("I like green tea.", scope=session.scope)
    await session.add(HumanMessage("I like green tea very much, and black tea, and tea."))
    assert [found.text for found in anywhere.recall("tea", scope=session.scope).memories] == [
        "I like green tea."
    ]
    assert len(anywhere.list(scope=session.scope)) == 1


async def test_forget_erases_it(session: Session, anywhere: AgentMemory) -> None:
    """What a user wants forgotten is above all what they said."""
    agent = {"scope": {**session.scope, "agent_id": "a"}}
    other = {"scope": {"user_id": f"{session.scope['user_id']}-2"}}
    await session.add(HumanMessage("One"), HumanMessage("Two"))
    await session.add(HumanMessage("Three"), **agent)
    await session.add(HumanMessage("Four"), **other)
    assert anywhere.forget(agent["scope"]).transcript == 1
    assert anywhere.forget(session.scope).transcript == 2
    assert await session.read() == []
    assert len(await session.read(**other)) == 1


def test_forget_leaves_nothing_in_the_files(data_dir: Path) -> None:
    """Deleted rows stay readable in a SQLite file until it is rewritten."""
    secret = "walrus-48213"
    with connect() as memory:
        history = Mem0ChatMessageHistory(memory, session_id="1", scope={"user_id": "u"})
        history.add_messages([HumanMessage(f"{secret} {number}") for number in range(50)])
        memory.forget({"user_id": "u"})
        for file in filter(Path.is_file, data_dir.rglob("*")):
            assert secret.encode() not in file.read_bytes(), file.name


def test_without_a_scope_a_session_is_its_own(memory: AgentMemory) -> None:
    """There is no default user whom all sessions would share."""
    Mem0ChatMessageHistory(memory, session_id="1").add_user_message("Hello")
    assert Mem0ChatMessageHistory(memory, session_id="2").messages == []
    assert len(Mem0ChatMessageHistory(memory, session_id="1").messages) == 1
    assert memory.forget({"run_id": "1"}).transcript == 1


def test_the_scope_of_connect_is_the_default(data_dir: Path) -> None:
    """One who has said whose memory it is need not say it again."""
    with connect(scope={"user_id": "u"}) as memory:
        Mem0ChatMessageHistory(memory, session_id="1").add_user_message("Hello")
        assert Mem0ChatMessageHistory(memory, session_id="1", scope=Scope(user_id="u")).messages


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"session_id": ""}, InvalidInputError),
        ({"session_id": " "}, InvalidInputError),
        ({"session_id": 7}, InvalidInputError),
        ({"session_id": "1", "scope": {}}, ScopeError),
        ({"session_id": "1", "scope": {"app_id": "a"}}, ScopeError),
        ({"session_id": "1", "scope": {"user": "u"}}, ScopeError),
    ],
)
def test_a_malformed_session_or_scope_is_refused_at_once(
    memory: AgentMemory, options: dict[str, Any], error: type[Exception]
) -> None:
    """Later, LangChain would swallow the error."""
    with pytest.raises(error):
        Mem0ChatMessageHistory(memory, **options)


class Custom(BaseMessage):
    """A type that LangChain cannot read back."""

    type: str = "custom"


@pytest.mark.parametrize("message", ["Hello", Custom(content="Hello"), None])
async def test_what_could_not_be_read_back_is_refused_as_a_whole(
    session: Session, message: Any
) -> None:
    """One unreadable row would make the session unreadable for ever."""
    with pytest.raises(InvalidMessageError):
        await session.add(HumanMessage("Hello"), message)
    assert await session.read() == []


async def test_values_beyond_json_are_kept_as_json(session: Session) -> None:
    """Providers put objects into the metadata; that must not cost the turn."""

    class Parsed(BaseModel):
        answer: int

    await session.add(
        AIMessage(
            "42",
            additional_kwargs={"parsed": Parsed(answer=42), "raw": b"\xff", "nan": float("nan")},
            response_metadata={"at": datetime(2026, 11, 1, tzinfo=UTC), "thing": threading.Lock},
        )
    )
    (found,) = await session.read()
    assert found.additional_kwargs["parsed"] == {"answer": 42}
    assert found.response_metadata["at"].startswith("2026-11-01")


LABELS = st.text(min_size=1, max_size=40).filter(str.strip)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(left=LABELS, right=LABELS)
def test_sessions_of_any_name_stay_apart(
    anywhere: AgentMemory, user: str, left: str, right: str
) -> None:
    """Names with quotes, wildcards, dots or odd characters are names."""
    run = f"{user}-{uuid.uuid4().hex}"
    histories = [
        Mem0ChatMessageHistory(anywhere, session_id=name, scope={"user_id": run})
        for name in (left, right, f"{left}.{right}")
    ]
    for history in histories[:2]:
        history.add_user_message("Hello")
    assert len(histories[0].messages) == (2 if left == right else 1)
    histories[1].clear()
    assert len(histories[0].messages) == (0 if left == right else 1)
    assert histories[2].messages == []


def test_writers_in_many_threads_lose_nothing_and_keep_their_turns_together(
    anywhere: AgentMemory, user: str
) -> None:
    """A turn with another's answer in its middle is read wrongly by every model."""

    def write(writer: int) -> None:
        history = Mem0ChatMessageHistory(anywhere, session_id="1", scope={"user_id": user})
        for turn in range(10):
            history.add_messages([HumanMessage(f"{writer}.{turn}"), AIMessage(f"{writer}.{turn}!")])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    found = Mem0ChatMessageHistory(anywhere, session_id="1", scope={"user_id": user}).messages
    asked, answered = found[::2], found[1::2]
    assert len(found) == 160
    assert [f"{message.text}!" for message in asked] == [message.text for message in answered]
    for writer in range(8):
        own = [message.text for message in asked if message.text.startswith(f"{writer}.")]
        assert own == [f"{writer}.{turn}" for turn in range(10)]


async def test_the_event_loop_goes_on_meanwhile(anywhere: AgentMemory, user: str) -> None:
    """A server answers others while a long transcript is packed, written and read."""
    session = Session(anywhere, user, asynchronous=True)
    # Mem0's protocol takes a request for each message.
    turns = 4 if is_platform(anywhere) else 40
    with nothing_on_the_loop(Mem0ChatMessageHistory, "_append"):
        await asyncio.gather(
            *(session.add(*[HumanMessage(f"{n}") for n in range(25)]) for _ in range(turns))
        )
    with nothing_on_the_loop(RowDocuments, "list", "delete"):
        assert len(await session.read()) == turns * 25
        await session.clear()


class TestUnderRunnableWithMessageHistory:
    """It reads twice, slices by length, and swallows exceptions."""

    @pytest.fixture(params=["messages", "prompt"])
    def chain(self, request: pytest.FixtureRequest, session: Session) -> Any:
        model = Scripted(answers=[f"Answer {number}." for number in range(50)])
        placed: dict[str, str] = {}
        runnable: Runnable = model
        if request.param == "prompt":
            prompt = ChatPromptTemplate.from_messages(
                [MessagesPlaceholder("history"), ("human", "{question}")]
            )
            runnable = prompt | model
            placed = {"input_messages_key": "question", "history_messages_key": "history"}

        def open_history(user_id: str, session_id: str) -> Mem0ChatMessageHistory:
            return session.open(scope={"user_id": user_id}, session_id=session_id)

        wrapped = RunnableWithMessageHistory(
            runnable,
            open_history,
            history_factory_config=[
                ConfigurableFieldSpec(id="user_id", annotation=str),
                ConfigurableFieldSpec(id="session_id", annotation=str),
            ],
            **placed,
        )
        config: RunnableConfig = {
            "configurable": {"user_id": session.scope["user_id"], "session_id": "1"}
        }

        async def say(text: str, *, stream: bool = False) -> None:
            given = {"question": text} if placed else [HumanMessage(text)]
            if session.asynchronous and stream:
                async for _ in wrapped.astream(given, config):
                    pass
            elif session.asynchronous:
                await wrapped.ainvoke(given, config)
            elif stream:
                for _ in wrapped.stream(given, config):
                    pass
            else:
                wrapped.invoke(given, config)

        return say, model

    @pytest.mark.parametrize("stream", [False, True], ids=["invoke", "stream"])
    async def test_every_turn_is_kept_and_shown_to_the_model(
        self, chain: Any, session: Session, stream: bool
    ) -> None:
        """A history that varies between the two reads silently loses the user's message."""
        say, model = chain
        for number in range(4):
            await say(f"Question {number}?", stream=stream)
        texts = [message.text for message in await session.read()]
        assert texts == [
            text for number in range(4) for text in (f"Question {number}?", f"Answer {number}.")
        ]
        assert [message.text for message in model.asked[-1]] == [*texts[:6], "Question 3?"]

    @pytest.mark.parametrize("stream", [False, True], ids=["invoke", "stream"])
    @pytest.mark.parametrize("meanwhile", ["added", "cleared", "failing"])
    async def test_what_happens_during_a_run_does_not_lose_the_users_message(
        self, session: Session, meanwhile: str, stream: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What it reads at the end tells it which of its messages are new."""
        others = [HumanMessage("Another question?"), AIMessage("Another answer.")]
        await session.add(HumanMessage("First question?"), AIMessage("First answer."))

        def answer(messages: list[BaseMessage]) -> AIMessage:
            if meanwhile == "added":
                session.open().add_messages(others)
            elif meanwhile == "cleared":
                session.open().clear()
            else:
                monkeypatch.setattr(RowDocuments, "list", fail)
            return AIMessage(f"Answer to {messages[-1].text}")

        def fail(*_: object) -> None:
            raise BackendError("The store is down.")

        wrapped = RunnableWithMessageHistory(
            RunnableLambda(answer), lambda session_id: session.open(session_id=session_id)
        )
        config: RunnableConfig = {"configurable": {"session_id": "1"}}
        if session.asynchronous and stream:
            [_ async for _ in wrapped.astream([HumanMessage("Mine?")], config)]
        elif session.asynchronous:
            await wrapped.ainvoke([HumanMessage("Mine?")], config)
        elif stream:
            [*wrapped.stream([HumanMessage("Mine?")], config)]
        else:
            wrapped.invoke([HumanMessage("Mine?")], config)
        monkeypatch.undo()
        before = {
            "added": ["First question?", "First answer.", "Another question?", "Another answer."],
            "cleared": [],
            "failing": ["First question?", "First answer."],
        }
        texts = [message.text for message in await session.read()]
        assert texts == [*before[meanwhile], "Mine?", "Answer to Mine?"]

    async def test_one_object_for_all_runs_shows_what_was_cleared_between_them(
        self, session: Session
    ) -> None:
        """Many programs keep their histories; a run that failed must not outlive a `clear`."""
        answers: Iterator[AIMessage | Exception] = iter(
            [AIMessage("Hi!"), ValueError("the model is down"), AIMessage("Hi again!")]
        )
        shown: list[list[str]] = []

        def answer(messages: list[BaseMessage]) -> AIMessage:
            shown.append([message.text for message in messages])
            result = next(answers)
            if isinstance(result, Exception):
                raise result
            return result

        history = session.open()
        wrapped = RunnableWithMessageHistory(RunnableLambda(answer), lambda _: history)

        async def say(text: str) -> None:
            config: RunnableConfig = {"configurable": {"session_id": "1"}}
            if session.asynchronous:
                await wrapped.ainvoke([HumanMessage(text)], config)
            else:
                wrapped.invoke([HumanMessage(text)], config)

        await say("One")
        with pytest.raises(ValueError, match="the model is down"):
            await say("Two")
        if session.asynchronous:
            await history.aclear()
        else:
            history.clear()
        await say("Three")
        assert shown == [["One"], ["One", "Hi!", "Two"], ["Three"]]

    async def test_a_failure_is_visible_although_langchain_swallows_it(
        self, session: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The caller gets an answer and no exception: only the log and the callback can tell."""
        failed: list[tuple[list[BaseMessage], Exception]] = []
        history = session.open(on_failure=lambda messages, error: failed.append((messages, error)))

        def fail(*_: object) -> None:
            raise BackendError("The disk is full.")

        monkeypatch.setattr(RowDocuments, "put", fail)
        hello: RunnableLambda[Any, str] = RunnableLambda(lambda _: "Hi!")
        wrapped = RunnableWithMessageHistory(hello, lambda _: history)
        config: RunnableConfig = {"configurable": {"session_id": "1"}}
        with caplog.at_level(logging.ERROR, "mem0_integrations"):
            if session.asynchronous:
                assert await wrapped.ainvoke("My secret is 48213.", config) == "Hi!"
            else:
                assert wrapped.invoke("My secret is 48213.", config) == "Hi!"
        ours = [r.getMessage() for r in caplog.records if r.name.startswith("mem0_integrations")]
        assert ours == ["2 messages of a transcript were not stored: BackendError."]
        ((messages, error),) = failed
        assert [message.text for message in messages] == ["My secret is 48213.", "Hi!"]
        assert isinstance(error, BackendError)


async def test_a_closed_memory_says_so(data_dir: Path) -> None:
    """It would be taken for an empty transcript."""
    memory = connect()
    history = Mem0ChatMessageHistory(memory, session_id="1")
    memory.close()
    with pytest.raises(ClosedError):
        _ = history.messages
    with pytest.raises(ClosedError):
        await history.aadd_messages([HumanMessage("Hello")])
    with pytest.raises(ClosedError):
        Mem0ChatMessageHistory(memory, session_id="1")


def test_it_survives_the_process(data_dir: Path) -> None:
    """It is on disk when `add_messages` returns."""
    with connect() as memory:
        Mem0ChatMessageHistory(memory, session_id="1").add_messages(EVERY_KIND)
    with connect() as memory:
        assert Mem0ChatMessageHistory(memory, session_id="1").messages == EVERY_KIND


def test_it_works_on_a_local_qdrant(
    tmp_path: Path, minilm: MiniLM, request: pytest.FixtureRequest
) -> None:
    """Mem0's own default store."""
    with (
        open_store("qdrant", tmp_path / "store", minilm, request) as store,
        store.connect(tmp_path / "outbox.db") as memory,
    ):
        history = Mem0ChatMessageHistory(memory, session_id="1", scope={"user_id": "u"})
        history.add_messages(EVERY_KIND)
        assert history.messages == EVERY_KIND
        assert memory.forget({"user_id": "u"}).transcript == len(EVERY_KIND)
        assert history.messages == []
