"""`remember` in the background and in the foreground, against `mem0.Memory.add`."""

from __future__ import annotations

from benchmarks.common import CONSOLE, fresh_memory, median, p95, side_by_side, statement, table

ROUNDS = 300


def main() -> None:
    with fresh_memory() as memory:
        mem0 = memory._backend._original  # type: ignore[attr-defined]

        def background(number: int) -> None:
            memory.remember(statement(number), scope={"user_id": "background"}, background=True)

        def foreground(number: int) -> None:
            memory.remember(statement(number), scope={"user_id": "foreground"}, infer=False)

        def add(number: int) -> None:
            mem0.add(statement(number), user_id="mem0", infer=False)

        # The deliveries of the background writes run meanwhile, as they do in an agent; they
        # are waited for between the rounds, so that the others are not measured with them.
        def settle(_: int) -> None:
            memory.flush()

        times = side_by_side(
            {
                "remember(background=True), durable": background,
                "(its delivery)": settle,
                "remember(infer=False)": foreground,
                "mem0.Memory.add(infer=False)": add,
            },
            rounds=ROUNDS,
        )
    result = table(
        f"One write, {ROUNDS} rounds (to reach: background at most 5 ms)",
        "call",
        "median ms",
        "p95 ms",
    )
    for name, values in times.items():
        if name != "(its delivery)":
            result.add_row(name, f"{median(values):.2f}", f"{p95(values):.2f}")
    CONSOLE.print(result)
