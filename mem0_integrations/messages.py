"""Messages of any framework -> Mem0's messages, the turn that is new, and idempotency keys.

Understood are LangChain messages (recognised by their `type` and `content`, so that LangChain
need not be installed), OpenAI-style mappings, `(role, text)` pairs and plain strings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NotRequired, Protocol, TypeAlias, TypedDict, TypeGuard, TypeVar

from mem0_integrations.errors import InvalidMessageError
from mem0_integrations.recall.rendering import strip_recalled
from mem0_integrations.scope import Scope

__all__ = [
    "MAX_MESSAGE_LENGTH",
    "Mem0Message",
    "MessageLike",
    "MessagesLike",
    "Turn",
    "is_message",
    "is_of_user",
    "is_summary",
    "last_words",
    "message_key",
    "new_turn",
    "query_text",
    "to_mem0_messages",
    "turn_key",
    "turns",
]

MAX_MESSAGE_LENGTH: Final = 100_000
MAX_QUERY_LENGTH: Final = 2_000

_KINDS: Final = {
    "user": ("user", "human", "HumanMessageChunk"),
    "assistant": ("assistant", "ai", "AIMessageChunk"),
    "system": ("system", "developer", "SystemMessageChunk"),
    "tool": ("tool", "function", "ToolMessageChunk", "FunctionMessageChunk"),
    "remove": ("remove",),
}
_ROLES: Final = {kind: role for role, kinds in _KINDS.items() for kind in kinds}
_TEXT_BLOCKS: Final = ("text", "input_text", "output_text", "text-plain")


class Mem0Message(TypedDict):
    """A message as `mem0.Memory.add` takes it; `role` is `user` or `assistant`."""

    role: str
    content: str
    name: NotRequired[str]


class ChatMessage(Protocol):
    """What a LangChain `BaseMessage` has."""

    # To read only: LangChain's narrow `type` to a literal.
    @property
    def type(self) -> str: ...

    @property
    def content(self) -> str | list[str | dict[str, object]]: ...

    @property
    def id(self) -> str | None: ...

    @property
    def name(self) -> str | None: ...


MessageLike: TypeAlias = str | Mapping[str, object] | tuple[str, str] | ChatMessage
MessagesLike: TypeAlias = MessageLike | Iterable[MessageLike]

T = TypeVar("T")
M = TypeVar("M", bound=MessageLike)


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A message of any kind, reduced to what memory needs."""

    role: str
    text: str
    id: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Turn:
    """What the user said last, and what was answered.

    Attributes:
        messages: The turn's messages, ready for Mem0.
        human_id: The id of the user's message; where messages have no ids, its position
            among the user's messages; None where there is nothing to know it by.
        human_text: The text of the user's message.
        has_ids: Whether messages have ids.
        said_at: When it was said (aware), if known.
    """

    messages: tuple[Mem0Message, ...]
    human_id: str | None
    human_text: str
    has_ids: bool = True
    said_at: datetime | None = None


def is_message(value: object) -> TypeGuard[MessageLike]:
    """Tell whether something is one message, not several.

    Example:
        >>> is_message("I like tea."), is_message(["I like tea."])
        (True, False)
    """
    return isinstance(value, str | Mapping) or _is_chat_message(value) or _is_pair(value)


def to_mem0_messages(
    messages: MessagesLike, *, include_tool_messages: bool = False
) -> list[Mem0Message]:
    """Convert messages to the ones that Mem0 should learn from.

    Kept are what the user and the assistant said, as text. Left out are system messages,
    recalled memories, summaries of older messages, assistant messages that only call tools,
    and content without text (images, audio, reasoning).

    Args:
        messages: One message or several.
        include_tool_messages: Whether what tools answered is kept too, as text of the
            assistant. Tool results often hold secrets and data of third parties.

    Raises:
        InvalidMessageError: Something is not a message, has no role or no content, or is
            longer than 100,000 characters.

    Example:
        >>> to_mem0_messages([("user", "I am Priya."), {"role": "system", "content": "Be kind."}])
        [{'role': 'user', 'content': 'I am Priya.'}]
    """
    return _for_mem0(_parse_all(messages), include_tool_messages)


def query_text(query: MessagesLike) -> str:
    """Return what to search for: a string itself, or the last thing that the user said.

    Args:
        query: A text, a message or a conversation. Of a text longer than 2,000 characters
            the end is used; embedders read no more than a few hundred tokens.

    Raises:
        InvalidMessageError: There is no text to search for.

    Example:
        >>> query_text([("user", "Hello"), ("user", "Where is my order?"), ("assistant", "Hm")])
        'Where is my order?'
    """
    text = last_words(query)
    if text is None:
        raise InvalidMessageError(
            "The query is empty: recall needs a text, or messages whose last user message has "
            "some text."
        )
    return text


def last_words(messages: MessagesLike) -> str | None:
    """Return the last thing that the user said, as `query_text`; None if it has no text.

    Of messages that the user sent right after each other, the last one with text counts.

    Example:
        >>> last_words([("user", "Hello"), ("assistant", "Hi!"), ("user", " ")]) is None
        True
    """
    parsed = [message for message in _parse_all(messages) if message.role != "remove"]
    while parsed and parsed[-1].role != "user":
        parsed.pop()
    while parsed and parsed[-1].role == "user":
        if text := strip_recalled(parsed.pop().text).strip():
            return text[-MAX_QUERY_LENGTH:].encode(errors="replace").decode()
    return None


def new_turn(
    messages: Iterable[MessageLike], *, include_tool_messages: bool = False, whole: bool = True
) -> Turn | None:
    """Return the last turn of a conversation: from the user's last message to the end.

    Messages that the user sent right after each other are one turn.

    Args:
        messages: The conversation, oldest first.
        include_tool_messages: As in `to_mem0_messages`.
        whole: Whether these are all messages of the conversation, so that a position tells one
            from another.

    Returns:
        The turn, or None when the user has not said anything (in text) yet.

    Raises:
        InvalidMessageError: Something is not a message that can be remembered.

    Example:
        >>> new_turn([("user", "Hi"), ("assistant", "Hello!"), ("user", "I am Priya.")]).human_text
        'I am Priya.'
    """
    parsed = _parse_all(messages)
    split = _split(parsed, parsed)
    if not split:
        return None
    said, answered = split[-1]
    text = "\n".join(message.text for message in said)
    if not text.strip():
        return None
    position = sum(len(words) for words, _ in split[:-1])
    ids = [message.id or f"position {n}" for n, message in enumerate(said, position)]
    has_ids = all(message.id for message in said)
    return Turn(
        messages=tuple(_for_mem0([*said, *answered], include_tool_messages)),
        human_id="\n".join(ids) if has_ids or whole else None,
        human_text=text,
        has_ids=has_ids,
    )


def turns(messages: Iterable[M]) -> list[tuple[list[M], list[M]]]:
    """Split a conversation into its turns: what the user said, and what followed.

    What came before the user's first message is left out. The messages of one turn, or of all
    turns up to it, are what `new_turn` makes a `Turn` of.

    Raises:
        InvalidMessageError: Something is not a message.

    Example:
        >>> turns([("user", "Hi"), ("assistant", "Hello!"), ("user", "I am Priya.")])
        [([('user', 'Hi')], [('assistant', 'Hello!')]), ([('user', 'I am Priya.')], [])]
    """
    given = list(messages)
    return _split(given, _parse_all(given))


def is_of_user(message: MessageLike) -> bool:
    """Tell whether the user said it.

    Raises:
        InvalidMessageError: It is not a message.

    Example:
        >>> is_of_user(("user", "Hello")), is_of_user(("assistant", "Hello!"))
        (True, False)
    """
    if isinstance(message, str | tuple | Mapping) or not hasattr(message, "type"):
        return _parse(message, 0).role == "user"
    # Without reading its text: an agent's loop asks this of the same messages again and again.
    return _ROLES.get(_role_of(message)) == "user" and not is_summary(message)


def is_summary(message: MessageLike) -> bool:
    """Tell whether LangChain put a message in the place of older ones, in the user's name.

    Example:
        >>> is_summary(("user", "Here is a summary of the conversation to date: ..."))
        False
    """
    key = "additional_kwargs"
    extra = message.get(key) if isinstance(message, Mapping) else getattr(message, key, None)
    return bool(extra) and isinstance(extra, Mapping) and extra.get("lc_source") == "summarization"


def turn_key(scope: Scope, thread_id: str | None, turn: Turn) -> str | None:
    """Return the idempotency key of a turn: the same over retries, resumes, replays and forks.

    A turn that nothing is known by has none: who says the same twice cannot be told from an
    application that tries again.

    It is a SHA-256 over the scope, the thread, and the user's message (id and text), not over
    the answer: a replay from before the model has another answer, but is the same turn, and a
    message that was edited under its old id is another one.

    Example:
        >>> scope, turn = Scope(user_id="u"), new_turn("I am Priya.")
        >>> turn_key(scope, "thread-1", turn) == turn_key(scope, "thread-1", turn)
        True
    """
    if turn.human_id is None:
        return None
    # With neither a thread nor an id, "Yes please." is told apart by what it was answered.
    answer = turn.messages if thread_id is None and not turn.has_ids else ()
    return _digest("turn", scope.ids, thread_id, turn.human_id, turn.human_text, *answer)


def message_key(scope: Scope, thread_id: str | None, message_id: str, message: Mem0Message) -> str:
    """Return the idempotency key of one message: a SHA-256 over scope, thread, id, role, text.

    Example:
        >>> key = message_key(Scope(user_id="u"), None, "1", {"role": "user", "content": "Hi"})
        >>> len(key)
        64
    """
    return _digest("message", scope.ids, thread_id, message_id, message["role"], message["content"])


def _split(messages: Sequence[T], parsed: Sequence[_Parsed]) -> list[tuple[list[T], list[T]]]:
    split: list[tuple[list[T], list[T]]] = []
    for message, role in zip(messages, (item.role for item in parsed), strict=True):
        if role == "user":
            if not split or split[-1][1]:
                split.append(([], []))
            split[-1][0].append(message)
        elif split and role != "remove":
            split[-1][1].append(message)
    return split


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _for_mem0(parsed: Sequence[_Parsed], include_tool_messages: bool) -> list[Mem0Message]:
    roles = ("user", "assistant", "tool") if include_tool_messages else ("user", "assistant")
    kept: list[Mem0Message] = []
    for message in parsed:
        if message.role not in roles:
            continue
        # PostgreSQL cannot hold a NUL.
        text = strip_recalled(_checked(message).text).replace("\0", "").strip()
        if not text:
            continue
        if message.role == "tool":
            # Mem0 reads no role "tool", but keeps its raw text and shows it to the model on
            # the next write.
            source = f"Tool {message.name}" if message.name else "A tool"
            kept.append({"role": "assistant", "content": f"{source} answered: {text}"})
        elif message.name:
            kept.append({"role": message.role, "content": text, "name": message.name})
        else:
            kept.append({"role": message.role, "content": text})
    return kept


def _parse_all(messages: MessagesLike) -> list[_Parsed]:
    if is_message(messages):
        return [_parse(messages, 0)]
    if not isinstance(messages, Iterable):
        raise InvalidMessageError(
            f"messages must be a string, a message or an iterable of messages, "
            f"not {type(messages).__name__}."
        )
    return [_parse(message, index) for index, message in enumerate(messages)]


def _is_chat_message(value: object) -> TypeGuard[ChatMessage]:
    # `isinstance` with a protocol would take most of the time that a long conversation takes.
    return (
        hasattr(value, "type")
        and hasattr(value, "content")
        and hasattr(value, "id")
        and hasattr(value, "name")
    )


def _role_of(message: ChatMessage) -> str:
    # Only LangChain's `ChatMessage` has a role; to look for one in others raises inside pydantic.
    kind = message.type
    return kind if kind in _ROLES else getattr(message, "role", kind)


def _is_pair(value: object) -> TypeGuard[tuple[str, str]]:
    match value:
        case (str(role), str()) if isinstance(value, tuple):
            return role in _ROLES
    return False


def _parse(message: object, index: int) -> _Parsed:
    if isinstance(message, str):
        return _Parsed("user", message, None, None)
    if _is_pair(message):
        return _Parsed(_ROLES[message[0]], message[1], None, None)
    if isinstance(message, Mapping):
        fields: Mapping[str, object] = message
        role = fields.get("role", fields.get("type"))
        content = fields.get("content")
        if content is None and (fields.get("tool_calls") or fields.get("function_call")):
            content = ""
    elif _is_chat_message(message):
        fields = {"id": message.id, "name": message.name}
        role = _role_of(message)
        content = message.content
    else:
        raise InvalidMessageError(
            f"messages[{index}] is a {type(message).__name__}; use a LangChain message, a "
            f"mapping with 'role' and 'content', a (role, text) pair or a string."
        )
    if not isinstance(role, str) or not role:
        raise InvalidMessageError(
            f"messages[{index}] has no role; use one of 'user', 'assistant', 'system', 'tool'."
        )
    if role == "remove":
        return _Parsed("remove", "", None, None)
    return _Parsed(
        role="system" if is_summary(message) else _ROLES.get(role, role),
        text=_text_of(content, index),
        id=_optional_text(fields.get("id")),
        name=_optional_text(fields.get("name")),
    )


def _text_of(content: object, index: int) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        content = [content]
    if isinstance(content, Sequence) and not isinstance(content, bytes | bytearray):
        parts: list[str] = []
        for block in content:
            if isinstance(block, str):
                parts.append(block)
            elif isinstance(block, Mapping):
                text = block.get("text")
                if block.get("type", "text") in _TEXT_BLOCKS and isinstance(text, str):
                    parts.append(text)
            else:
                raise InvalidMessageError(
                    f"messages[{index}].content holds a {type(block).__name__}; a content block "
                    f"is a string or a mapping with a 'type'."
                )
        return "\n".join(parts)
    raise InvalidMessageError(
        f"messages[{index}].content is a {type(content).__name__}; it must be a string or a "
        f"list of content blocks."
    )


def _checked(message: _Parsed) -> _Parsed:
    if len(message.text) > MAX_MESSAGE_LENGTH:
        raise InvalidMessageError(
            f"A message of the {message.role} has {len(message.text):,} characters; at most "
            f"{MAX_MESSAGE_LENGTH:,} are remembered. Split it, or remember a summary."
        )
    try:
        message.text.encode()
    except UnicodeEncodeError as error:
        raise InvalidMessageError(
            f"A message of the {message.role} is not valid Unicode text: {error.reason}."
        ) from None
    return message


def _optional_text(value: object) -> str | None:
    return str(value) if value not in (None, "") else None
