"""`Mem0ChatMessageHistory` beside langchain-community's `SQLChatMessageHistory`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from benchmarks.common import CONSOLE, USER, median, side_by_side, statement, table
from mem0_integrations import connect
from mem0_integrations.langchain import Mem0ChatMessageHistory

SIZES = (10, 1_000, 10_000)


def messages(count: int) -> list[BaseMessage]:
    return [
        HumanMessage(statement(number), id=f"{number}")
        if number % 2 == 0
        else AIMessage("Let me see.", id=f"{number}")
        for number in range(count)
    ]


def main() -> None:
    with warnings.catch_warnings():
        # The package says that it is no longer developed.
        warnings.simplefilter("ignore")
        from langchain_community.chat_message_histories import SQLChatMessageHistory

    result = table(
        "Median ms of a transcript (the SQL one on SQLite, which it does not sync to disk alike)",
        "operation",
        "messages",
        "Mem0ChatMessageHistory",
        "SQLChatMessageHistory",
    )
    for size in SIZES:
        rounds = 5 if size > 1_000 else 20
        with (
            TemporaryDirectory() as folder,
            connect("embedded", data_dir=Path(folder, "mem0")) as memory,
        ):
            url = f"sqlite:///{folder}/sql.db"

            def ours(session: str) -> BaseChatMessageHistory:
                return Mem0ChatMessageHistory(memory, session_id=session, scope=USER)

            def theirs(session: str) -> BaseChatMessageHistory:
                return SQLChatMessageHistory(session, connection=url)  # noqa: B023

            def each(
                call: Callable[[BaseChatMessageHistory, int], object], session: str | None = None
            ) -> dict[str, Callable[[int], object]]:
                return {
                    kind.__name__: lambda n, kind=kind: call(kind(session or f"{n}"), n)
                    for kind in (ours, theirs)
                }

            batch = messages(size)
            timed = {
                "add all at once": each(lambda history, n: history.add_messages(batch)),  # noqa: B023
                "read all": each(lambda history, n: history.messages, session="0"),
                "append a turn": each(
                    lambda history, n: history.add_messages(messages(2)), session="0"
                ),
            }
            for operation, calls in timed.items():
                times = side_by_side(calls, rounds=rounds, warm_up=1)
                result.add_row(
                    operation, f"{size:,}", *(f"{median(times[kind]):.2f}" for kind in times)
                )
    CONSOLE.print(result)
