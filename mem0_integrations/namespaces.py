"""Namespaces of documents that stand for scopes: `("memories", "{user_id}")`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mem0_integrations.errors import InvalidInputError, ScopeError
from mem0_integrations.scope import SCOPE_KEYS, Scope

__all__ = ["NamespaceTemplate"]

_PLACEHOLDERS = {f"{{{key}}}": key for key in SCOPE_KEYS}


@dataclass(frozen=True, slots=True)
class NamespaceTemplate:
    """Tells which namespaces hold the memories of a scope, and of which.

    Args:
        labels: Plain labels, and at least one of `{user_id}`, `{agent_id}`, `{run_id}` and
            `{app_id}`, each at most once.

    Raises:
        InvalidInputError: There is no placeholder, an unknown one, or one twice.

    Example:
        >>> template = NamespaceTemplate(("memories", "{user_id}"))
        >>> template.scope_of(("memories", "customer-1", "tastes"))
        Scope(user_id='customer-1')
    """

    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        found = [label for label in self.labels if label in _PLACEHOLDERS]
        unknown = [label for label in self.labels if {"{", "}"} & set(str(label))]
        if not found or len(set(found)) < len(found) or len(unknown) > len(found):
            raise InvalidInputError(
                f"A namespace template is made of labels and at least one of "
                f"{', '.join(_PLACEHOLDERS)}, each at most once; got {self.labels!r}."
            )

    def covers(self, namespace: Sequence[str]) -> bool:
        """Tell whether a namespace is one of a scope's, or lies within one."""
        return len(namespace) >= len(self.labels) and self.meets(namespace)

    def meets(self, prefix: Sequence[str]) -> bool:
        """Tell whether there are namespaces of scopes that begin with a prefix, or hold it.

        Example:
            >>> template = NamespaceTemplate(("memories", "{user_id}"))
            >>> template.meets(()), template.meets(("memories",)), template.meets(("notes",))
            (True, True, False)
        """
        return all(
            label in _PLACEHOLDERS or label == given
            for label, given in zip(self.labels, prefix, strict=False)
        )

    def scope_of(self, namespace: Sequence[str]) -> Scope:
        """Return the scope that a covered namespace stands for.

        Raises:
            ScopeError: One of its labels cannot be an id.
        """
        given = zip(self.labels, namespace, strict=False)
        scope = Scope(
            **{_PLACEHOLDERS[label]: value for label, value in given if label in _PLACEHOLDERS}
        )
        if self.namespace_of(scope) != tuple(namespace[: len(self.labels)]):
            # Ids are trimmed: two namespaces would share one scope.
            raise ScopeError(
                f"The ids in the namespace {tuple(namespace)!r} must not begin or end with white "
                f"space."
            )
        return scope

    def namespace_of(self, scope: Scope) -> tuple[str, ...]:
        """Return the namespace that stands for a scope; the scope has all of its ids."""
        return tuple(
            scope.ids[_PLACEHOLDERS[label]] if label in _PLACEHOLDERS else label
            for label in self.labels
        )
