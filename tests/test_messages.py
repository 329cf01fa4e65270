from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
    convert_to_openai_messages,
    messages_from_dict,
    messages_to_dict,
)

from mem0_integrations import InvalidMessageError, Scope
from mem0_integrations.messages import (
    MAX_MESSAGE_LENGTH,
    MAX_QUERY_LENGTH,
    Turn,
    is_summary,
    last_words,
    message_key,
    new_turn,
    query_text,
    to_mem0_messages,
    turn_key,
    turns,
)

CALL = {"name": "lookup", "args": {"order": "48213"}, "id": "call-1"}
IMAGE: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
FENCE = "<recalled_memories>\n- old\n</recalled_memories>"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SCOPE = Scope(user_id="u")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (HumanMessage("Hi"), {"role": "user", "content": "Hi"}),
        (HumanMessageChunk(content="Hi"), {"role": "user", "content": "Hi"}),
        (HumanMessage("Hi", name="Priya"), {"role": "user", "content": "Hi", "name": "Priya"}),
        (AIMessage("Hi"), {"role": "assistant", "content": "Hi"}),
        (AIMessageChunk(content="Hi"), {"role": "assistant", "content": "Hi"}),
        (AIMessage("Wait.", tool_calls=[CALL]), {"role": "assistant", "content": "Wait."}),
        (ChatMessage(content="Hi", role="user"), {"role": "user", "content": "Hi"}),
        (ChatMessageChunk(content="Hi", role="assistant"), {"role": "assistant", "content": "Hi"}),
        ("Hi", {"role": "user", "content": "Hi"}),
        (("user", "Hi"), {"role": "user", "content": "Hi"}),
        (("human", "Hi"), {"role": "user", "content": "Hi"}),
        (("ai", "Hi"), {"role": "assistant", "content": "Hi"}),
        ({"role": "user", "content": "Hi"}, {"role": "user", "content": "Hi"}),
        ({"type": "human", "content": "Hi"}, {"role": "user", "content": "Hi"}),
        ({"role": "assistant", "content": "Hi"}, {"role": "assistant", "content": "Hi"}),
        (
            {"role": "user", "content": "Hi", "name": "Priya"},
            {"role": "user", "content": "Hi", "name": "Priya"},
        ),
    ],
)
def test_what_was_said_is_kept(message: Any, expected: dict[str, str]) -> None:
    """Every way in which frameworks write a message down is understood."""
    assert to_mem0_messages(message) == [expected]
    assert to_mem0_messages([message]) == [expected]
    assert to_mem0_messages(iter([message])) == [expected]


@pytest.mark.parametrize(
    "message",
    [
        SystemMessage("Be kind."),
        SystemMessageChunk(content="Be kind."),
        ("system", "Be kind."),
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": "Be kind."},
        ChatMessage(content="Be kind.", role="system"),
        RemoveMessage("message-1"),
        {"role": "remove", "content": ""},
        AIMessage("", tool_calls=[CALL]),
        AIMessage([{"type": "tool_use", "id": "call-1", "name": "lookup", "input": {}}]),
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "assistant", "content": None, "function_call": {"name": "lookup"}},
        ToolMessage("4111", tool_call_id="call-1"),
        ToolMessageChunk(content="4111", tool_call_id="call-1"),
        FunctionMessage(content="4111", name="lookup"),
        FunctionMessageChunk(content="4111", name="lookup"),
        {"role": "tool", "content": "4111", "tool_call_id": "call-1"},
        HumanMessage([IMAGE]),
        HumanMessage([]),
        HumanMessage(" \n"),
        HumanMessage(FENCE),
    ],
)
def test_what_nobody_said_is_left_out(message: Any) -> None:
    """Instructions, calls, tool results, images and recalled memories are no memories."""
    assert to_mem0_messages([message]) == []


@pytest.mark.parametrize(
    ("message", "content"),
    [
        (ToolMessage("Paid.", tool_call_id="1", name="lookup"), "Tool lookup answered: Paid."),
        (ToolMessage("Paid.", tool_call_id="1"), "A tool answered: Paid."),
        (FunctionMessage(content="Paid.", name="lookup"), "Tool lookup answered: Paid."),
        ({"role": "tool", "content": "Paid."}, "A tool answered: Paid."),
    ],
)
def test_what_a_tool_answered_is_kept_if_asked_for(message: Any, content: str) -> None:
    """Mem0 knows no role of its own for it."""
    kept = to_mem0_messages([message], include_tool_messages=True)
    assert kept == [{"role": "assistant", "content": content}]


@pytest.mark.parametrize(
    "content",
    [
        ["one", "two"],
        [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
        [{"type": "input_text", "text": "one"}, {"type": "output_text", "text": "two"}],
        [{"type": "text", "text": "one"}, IMAGE, {"type": "text", "text": "two"}],
        [{"type": "reasoning", "text": "secret"}, "one", "two"],
        [{"type": "thinking", "thinking": "secret"}, "one", "two"],
        ["one", {"type": "audio", "base64": "AA=="}, {"type": "file", "url": "x"}, "two"],
        ["one", {"type": "text-plain", "text": "two", "mime_type": "text/plain"}],
        ["one", {"type": "text", "text": None}, {"text": "two"}],
        ["one", {"type": "tool_use", "text": "secret"}, {"type": "non_standard"}, "two"],
    ],
)
def test_of_content_blocks_the_text_is_kept(content: list[Any]) -> None:
    """Reasoning, calls and media are not what was said."""
    assert to_mem0_messages({"role": "user", "content": content})[0]["content"] == "one\ntwo"


def test_langchains_own_block_types_are_understood() -> None:
    """LangChain builds content from standard blocks of its own since 1.0."""
    message = HumanMessage(content_blocks=[{"type": "text", "text": "My kettle leaks."}, IMAGE])
    assert to_mem0_messages(message)[0]["content"] == "My kettle leaks."


def test_a_conversation_is_the_same_in_all_spellings() -> None:
    """Converted to OpenAI's format, or saved and loaded, it becomes the same memories."""
    conversation = [
        SystemMessage("Be kind."),
        HumanMessage("Where is order 48213?", id="1", name="Priya"),
        AIMessage("", tool_calls=[CALL], id="2"),
        ToolMessage("In transit.", tool_call_id="call-1", name="lookup", id="3"),
        AIMessage([{"type": "text", "text": "It is on its way."}], id="4"),
    ]
    for tools in (False, True):
        expected = to_mem0_messages(conversation, include_tool_messages=tools)
        assert len(expected) == 2 + tools
        loaded = messages_from_dict(messages_to_dict(conversation))
        assert to_mem0_messages(loaded, include_tool_messages=tools) == expected
    expected = to_mem0_messages(conversation)
    assert to_mem0_messages(convert_to_openai_messages(conversation)) == expected


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        (7, "iterable of messages"),
        (None, "iterable of messages"),
        ([7], r"messages\[0\] is a int"),
        (["Hi", None], r"messages\[1\] is a NoneType"),
        ([["user", "Hi"]], r"messages\[0\] is a list"),
        ([("user", "Hi", "there")], r"messages\[0\] is a tuple"),
        ([("nobody", "Hi")], r"messages\[0\] is a tuple"),
        ({"content": "Hi"}, "no role"),
        ({"role": "", "content": "Hi"}, "no role"),
        ({"role": 7, "content": "Hi"}, "no role"),
        ({}, "no role"),
        ({"role": "user"}, "content is a NoneType"),
        ({"role": "user", "content": 7}, "content is a int"),
        ({"role": "user", "content": b"Hi"}, "content is a bytes"),
        ({"role": "user", "content": [7]}, "content holds a int"),
        ({"role": "user", "content": "\ud800"}, "not valid Unicode"),
        ({"role": "user", "content": "x" * (MAX_MESSAGE_LENGTH + 1)}, "at most 100,000"),
    ],
)
def test_bad_input_is_refused_and_the_message_says_what_is_wrong(
    messages: Any, complaint: str
) -> None:
    """Nothing is half-written, and nothing silently dropped."""
    with pytest.raises(InvalidMessageError, match=complaint):
        to_mem0_messages(messages)


def test_the_longest_message_is_kept_whole() -> None:
    """The limit itself is allowed."""
    text = "x" * MAX_MESSAGE_LENGTH
    assert to_mem0_messages(text) == [{"role": "user", "content": text}]


def test_an_error_does_not_quote_the_message() -> None:
    """Errors go into logs; what the user said does not."""
    with pytest.raises(InvalidMessageError) as error:
        to_mem0_messages("secret " * MAX_MESSAGE_LENGTH)
    assert "secret" not in str(error.value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | TEXT, st.lists, max_leaves=8))
def test_whatever_comes_in_the_error_is_one_of_ours(value: Any) -> None:
    """State keys may hold anything."""
    try:
        kept = to_mem0_messages(value)
    except InvalidMessageError:
        return
    assert all(message["content"] == message["content"].strip() != "" for message in kept)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("  Where is it? ", "Where is it?"),
        (HumanMessage("Where?"), "Where?"),
        ([HumanMessage("Hello"), HumanMessage("Where?"), AIMessage("Hm")], "Where?"),
        ([HumanMessage("Where?"), HumanMessage([IMAGE])], "Where?"),
        ([HumanMessage("Where?"), RemoveMessage("1")], "Where?"),
        ([HumanMessage(f"{FENCE}Where?"), SystemMessage("Be kind.")], "Where?"),
        ([("user", "Where?"), ("assistant", "Here."), ("tool", "x")], "Where?"),
        ("x" * 5_000 + "Where?", "x" * (MAX_QUERY_LENGTH - 6) + "Where?"),
        ("Where\ud800?", "Where??"),
    ],
)
def test_the_query_is_what_the_user_said_last(query: Any, text: str) -> None:
    """An embedder reads a few hundred tokens; the question is at the end."""
    assert query_text(query) == text
    assert last_words(query) == text


@pytest.mark.parametrize(
    "query",
    [
        "",
        " \n",
        [],
        FENCE,
        AIMessage("Hello"),
        HumanMessage([IMAGE]),
        [HumanMessage("Hello"), AIMessage("Hi"), HumanMessage([IMAGE])],
    ],
)
def test_without_words_there_is_no_query(query: Any) -> None:
    """What was said before an image was answered already: it is not what is asked now."""
    assert last_words(query) is None
    with pytest.raises(InvalidMessageError, match="query is empty"):
        query_text(query)


def test_a_query_of_a_megabyte_is_cut_in_no_time() -> None:
    """It is planned on the event loop; look-alikes of the fence must not make it quadratic."""
    began = time.monotonic()
    assert len(query_text("<recalled_memories>" * 60_000)) == MAX_QUERY_LENGTH
    assert time.monotonic() - began < 5


def test_a_turn_is_the_users_last_message_and_what_followed() -> None:
    """That is what one run of a graph adds to the conversation."""
    turn = new_turn(
        [
            HumanMessage("Hello", id="1"),
            AIMessage("Hi!", id="2"),
            HumanMessage("I am Priya.", id="3"),
            AIMessage("", tool_calls=[CALL], id="4"),
            ToolMessage("4111", tool_call_id="call-1", id="5"),
            AIMessage("Welcome, Priya.", id="6"),
        ]
    )
    assert turn == Turn(
        messages=(
            {"role": "user", "content": "I am Priya."},
            {"role": "assistant", "content": "Welcome, Priya."},
        ),
        human_id="3",
        human_text="I am Priya.",
    )


def test_messages_right_after_each_other_are_one_turn() -> None:
    """People write in pieces; also while a message is removed in between."""
    turn = new_turn(
        [
            AIMessage("Hi!"),
            HumanMessage("I am Priya.", id="1"),
            RemoveMessage("0"),
            HumanMessage("I live in Oslo.", id="2"),
        ]
    )
    assert turn is not None
    assert (turn.human_id, turn.human_text) == ("1\n2", "I am Priya.\nI live in Oslo.")


def test_without_ids_a_message_is_known_by_its_place_among_the_users() -> None:
    """The assistant's messages may differ from replay to replay, the user's do not."""
    first = new_turn([("user", "Yes."), ("assistant", "Ok.")])
    second = new_turn([("user", "Yes."), ("assistant", "Ok."), ("tool", "x"), ("user", "Yes.")])
    assert first is not None
    assert second is not None
    assert (first.human_id, second.human_id) == ("position 0", "position 1")


@pytest.mark.parametrize(
    "messages", [[], [AIMessage("Hi!")], [HumanMessage([IMAGE])], [HumanMessage(" ")]]
)
def test_without_the_users_words_there_is_no_turn(messages: list[Any]) -> None:
    """There is nothing to remember, which is no error."""
    assert new_turn(messages) is None


def test_a_conversation_splits_into_its_turns() -> None:
    """What was before the user's first message belongs to none of them."""
    hello, name, city, thanks = (HumanMessage(text) for text in ("Hello", "Priya", "Oslo", "Ta"))
    welcome, reply, done = AIMessage("Hi!"), AIMessage("Yes?"), AIMessage("Noted.")
    assert turns([welcome, hello, reply, name, RemoveMessage("0"), city, done, thanks]) == [
        ([hello], [reply]),
        ([name, city], [done]),
        ([thanks], []),
    ]
    assert turns([welcome]) == turns([]) == []


MESSAGES = st.lists(
    st.builds(
        lambda kind, text, number: kind(text, id=f"message-{number}"),
        st.sampled_from([HumanMessage, AIMessage, SystemMessage]),
        TEXT.filter(str.strip),
        st.integers(),
    ),
    max_size=12,
)


@given(MESSAGES)
def test_each_turn_of_a_conversation_was_its_new_turn_once(messages: list[Any]) -> None:
    """So a turn that is saved later than others has the key that it would have had then."""
    ends = [
        index
        for index in range(1, len(messages) + 1)
        if index == len(messages)
        or (
            isinstance(messages[index], HumanMessage)
            != isinstance(messages[index - 1], HumanMessage)
        )
    ]
    then = {new.human_id: new for end in ends if (new := new_turn(messages[:end]))}
    later = {
        new.human_id: new
        for said, answered in turns(messages)
        if (new := new_turn([*said, *answered]))
    }
    assert later == then


SUMMARY = HumanMessage(
    "Here is a summary of the conversation to date: kettles.",
    additional_kwargs={"lc_source": "summarization"},
)


@pytest.mark.parametrize(
    "summary", [SUMMARY, {"role": "user", **messages_to_dict([SUMMARY])[0]["data"]}]
)
def test_a_summary_is_not_what_the_user_said(summary: Any) -> None:
    """LangChain's middleware puts it in the place of old messages, in the user's name."""
    assert is_summary(summary)
    assert to_mem0_messages([summary]) == []
    assert last_words([summary]) is None
    assert new_turn([summary, AIMessage("Hi!")]) is None
    turn = new_turn([summary, HumanMessage("Oslo", id="1")])
    assert turn is not None
    assert turn.human_id == "1"


@given(TEXT.filter(str.strip), TEXT, TEXT)
def test_the_key_of_a_turn_does_not_depend_on_the_answer(
    said: str, answer: str, other: str
) -> None:
    """A replay from before the model gets another answer; it is the same turn."""
    keys = {
        turn_key(SCOPE, "t", turn)
        for reply in (answer, other)
        if (turn := new_turn([HumanMessage(said, id="1"), AIMessage(reply)])) is not None
    }
    assert len(keys) == 1


@given(st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT.filter(str.strip)), unique=True, max_size=8))
def test_turns_that_differ_in_anything_else_have_different_keys(
    turns: list[tuple[str, str, str, str]],
) -> None:
    """A collision would lose a turn; parts must not run into each other."""
    keys = {
        turn_key(Scope(user_id=f"u{user}"), thread, Turn((), human_id, text))
        for user, thread, human_id, text in turns
    }
    assert len(keys) == len({(f"u{user}".strip(), *rest) for user, *rest in turns})


def test_a_key_depends_on_which_id_of_the_scope_it_is() -> None:
    """A user and an agent may have the same name; no thread is not the thread "None"."""
    turn = new_turn("I am Priya.")
    assert turn is not None
    keys = {
        turn_key(Scope(user_id="x"), "t", turn),
        turn_key(Scope(agent_id="x"), "t", turn),
        turn_key(Scope(user_id="x"), None, turn),
        turn_key(Scope(user_id="x"), "None", turn),
    }
    assert len(keys) == 4


def test_keys_stay_what_they_are() -> None:
    """They are on users' disks: another algorithm would write every turn again."""
    turn = new_turn([HumanMessage("I am Priya.", id="message-1")])
    assert turn is not None
    assert turn_key(SCOPE, "thread-1", turn) == (
        "1b87fcef8f7875713b389158de5f05d2725ddc4c889c95fb965254b92d2d297a"
    )
    assert message_key(SCOPE, None, "1", {"role": "user", "content": "Hi"}) == (
        "96f91072b69276ad13c01b06d09ba909c038dd8d221d4787e6f4c4e8d5f853dd"
    )


def test_the_key_of_a_message_depends_on_role_and_text() -> None:
    """Imports number messages from zero in every conversation."""
    keys = {
        message_key(scope, thread, message_id, {"role": role, "content": text})
        for scope in (SCOPE, Scope(user_id="v"))
        for thread in (None, "t")
        for message_id in ("1", "2")
        for role in ("user", "assistant")
        for text in ("Hi", "Ho")
    }
    assert len(keys) == 32
