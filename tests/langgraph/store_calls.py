"""A store as the tests call it: through its sync methods, or through its async ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langgraph.store.base import BaseStore, SearchItem


class Calls:
    """The methods of a store, to be awaited: either its sync or its async ones."""

    def __init__(self, store: BaseStore, asynchronous: bool) -> None:
        self.store: Any = store
        self._asynchronous = asynchronous

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **options: Any) -> Any:
            if self._asynchronous:
                return await getattr(self.store, f"a{name}")(*args, **options)
            return getattr(self.store, name)(*args, **options)

        return call


def keys(items: list[SearchItem]) -> list[str]:
    return [item.key for item in items]
