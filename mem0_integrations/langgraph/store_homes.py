"""Where the items of a store lie: beside the memories, or among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from langgraph.store.base import PutOp

from mem0_integrations.agent_memory import AgentMemory
from mem0_integrations.langgraph.store_ops import checked
from mem0_integrations.namespaces import NamespaceTemplate
from mem0_integrations.parts import DocumentPart, Documents
from mem0_integrations.records import Address
from mem0_integrations.scope import Scope

__all__ = ["Homes"]

T = TypeVar("T")


class Homes:
    """Finds the documents that a namespace belongs to; items under the template are memories.

    Raises:
        InvalidInputError: The template is malformed.
    """

    def __init__(self, memory: AgentMemory, labels: Sequence[str] | None) -> None:
        self._template = None if labels is None else _checked_template(memory, labels)
        self._memories = None if self._template is None else memory.documents(self._template)
        self._items = memory.documents("item")

    def __iter__(self) -> Iterator[DocumentPart]:
        yield self._items
        if self._memories is not None:
            yield self._memories

    def scope_of(self, namespace: tuple[str, ...]) -> Scope | None:
        """Return whose memories lie in a namespace; None where they are items beside memories.

        Raises:
            ScopeError: A label cannot be an id.
        """
        if self._template is None or not self._template.covers(namespace):
            return None
        return self._template.scope_of(namespace)

    def under(self, prefix: tuple[str, ...]) -> list[DocumentPart]:
        """Return where items under a prefix may lie."""
        if self._of(prefix) is self._items and self._template and self._template.meets(prefix):
            return [*self]
        return [self._of(prefix)]

    def ask(
        self,
        addresses: Iterable[Address],
        ask: Callable[[list[Address], Documents], T],
        *,
        scopes: Sequence[Scope | None] = (),
    ) -> list[tuple[list[Address], T]]:
        """Ask where addresses lie for those that lie there, each once; return both."""
        wanted = list(dict.fromkeys(addresses))
        lying = [(home, [one for one in wanted if self._of(one[0]) is home]) for home in self]
        return [(here, home.ask(partial(ask, here), scopes=scopes)) for home, here in lying if here]

    def _of(self, namespace: tuple[str, ...]) -> DocumentPart:
        covered = self._template is not None and self._template.covers(namespace)
        return self._memories if covered and self._memories is not None else self._items


def _checked_template(memory: AgentMemory, labels: Sequence[str]) -> NamespaceTemplate:
    template = NamespaceTemplate(tuple(labels))
    # With its placeholders for ids: no namespace could be one of it, or no scope be kept apart.
    checked(PutOp(template.labels, "", {}))
    memory.scope_of(template.scope_of(template.labels))
    return template
