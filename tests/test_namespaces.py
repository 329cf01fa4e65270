"""Namespaces that stand for scopes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mem0_integrations import InvalidInputError, Scope, ScopeError
from mem0_integrations.namespaces import NamespaceTemplate

TEMPLATE = NamespaceTemplate(("memories", "{user_id}"))
BOTH = NamespaceTemplate(("{agent_id}", "of", "{user_id}"))


def test_a_namespace_names_a_scope() -> None:
    """And so does all that lies within it."""
    assert TEMPLATE.scope_of(("memories", "ann")) == Scope(user_id="ann")
    assert TEMPLATE.scope_of(("memories", "ann", "a", "b")) == Scope(user_id="ann")
    assert BOTH.scope_of(("waiter", "of", "ann")) == Scope(user_id="ann", agent_id="waiter")


def test_a_scope_has_a_namespace() -> None:
    """Also one with further ids."""
    assert TEMPLATE.namespace_of(Scope(user_id="ann", run_id="r")) == ("memories", "ann")
    assert BOTH.namespace_of(Scope(user_id="ann", agent_id="a")) == ("a", "of", "ann")


def test_only_namespaces_with_all_ids_are_covered() -> None:
    """One that is shorter names nobody, or everybody."""
    assert TEMPLATE.covers(("memories", "ann"))
    assert TEMPLATE.covers(("memories", "ann", "a"))
    assert not TEMPLATE.covers(("memories",))
    assert not TEMPLATE.covers(())
    assert not TEMPLATE.covers(("notes", "ann"))
    assert not TEMPLATE.covers(("Memories", "ann"))
    assert not BOTH.covers(("waiter", "of"))
    assert not BOTH.covers(("waiter", "for", "ann"))


def test_a_shorter_prefix_may_hold_namespaces_of_scopes() -> None:
    """A search there has to look at both kinds."""
    assert TEMPLATE.meets(())
    assert TEMPLATE.meets(("memories",))
    assert TEMPLATE.meets(("memories", "ann", "a"))
    assert not TEMPLATE.meets(("notes",))
    assert BOTH.meets(("anything",))
    assert not BOTH.meets(("anything", "for"))


@pytest.mark.parametrize("label", [" ", "ann ", "\tann", "x" * 256, "\ud800"])
def test_a_label_that_is_no_id_is_refused(label: str) -> None:
    """Trimmed, two namespaces would share one scope."""
    with pytest.raises(ScopeError):
        TEMPLATE.scope_of(("memories", label))


@given(st.lists(st.text(min_size=1, max_size=300), min_size=2, max_size=4))
def test_each_namespace_has_a_scope_of_its_own_or_none(labels: list[str]) -> None:
    """Whatever the labels are."""
    try:
        scope = TEMPLATE.scope_of(("memories", *labels))
    except ScopeError:
        return
    assert TEMPLATE.namespace_of(scope) == ("memories", labels[0])


@pytest.mark.parametrize(
    "labels",
    [
        (),
        ("memories",),
        ("{name}",),
        ("{user_id}", "{user_id}"),
        ("{user_id}", "of-{agent_id}"),
        ("{user_id}", "}"),
        ("user_id",),
    ],
)
def test_a_template_has_each_placeholder_once_and_no_other(labels: Any) -> None:
    """`of-{user_id}` would stand for itself."""
    with pytest.raises(InvalidInputError, match="namespace template"):
        NamespaceTemplate(labels)
