from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mem0_integrations import Scope, ScopeError, ScopeRequest
from mem0_integrations.scope import SCOPE_KEYS, resolve_scope

# What Mem0 and a URL could stumble over is an id like any other here.
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255).filter(str.strip)
SCOPES = (
    st.fixed_dictionaries({}, optional=dict.fromkeys(SCOPE_KEYS, IDS))
    .filter(bool)
    .map(lambda ids: Scope(**ids))
)


@given(SCOPES)
def test_a_scope_survives_the_way_through_its_ids(scope: Scope) -> None:
    """Scopes are stored as their ids, in metadata and in the outbox."""
    assert Scope.of(scope.ids) == scope
    assert hash(Scope.of(scope.ids)) == hash(scope)
    assert all(value == value.strip() for value in scope.ids.values())


@given(SCOPES, SCOPES)
def test_covering_means_having_all_ids_in_common(left: Scope, right: Scope) -> None:
    """This decides what `forget` erases and what a search may return."""
    assert left.covers(left)
    common = all(getattr(right, key) == value for key, value in left.ids.items())
    assert left.covers(right) == common
    assert (left.covers(right) and right.covers(left)) == (left == right)


@pytest.mark.parametrize(
    "ids",
    [
        {},
        {"user_id": None},
        {"user_id": ""},
        {"user_id": " \n"},
        {"user_id": "x" * 256},
        {"user_id": "\ud800"},
        {"user_id": True},
        {"user_id": 1.5},
        {"user_id": b"u"},
        {"user_id": ["u"]},
        {"user_id": "u", "agent_id": ""},
    ],
)
def test_a_malformed_scope_is_refused(ids: dict[str, Any]) -> None:
    """An id that Mem0 would drop widens the scope to everybody."""
    with pytest.raises(ScopeError):
        Scope(**ids)


def test_ids_are_normalised() -> None:
    """A number from a database and its text are the same customer."""
    assert Scope(user_id=7) == Scope(user_id=" 7 ")  # type: ignore[arg-type]
    assert Scope(user_id="u" * 255).user_id == "u" * 255
    assert repr(Scope(user_id="u", run_id="r")) == "Scope(user_id='u', run_id='r')"


def test_a_scope_cannot_be_changed() -> None:
    """It is the tenant boundary, and is shared between threads."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Scope(user_id="u").user_id = "v"  # type: ignore[misc]


@pytest.mark.parametrize("value", ["u", None, 7, ["user_id"], {"user": "u"}, {7: "u"}])
def test_only_a_scope_or_a_mapping_of_known_ids_is_a_scope(value: Any) -> None:
    """`{"user": ...}` is a typo, not a scope without a user."""
    with pytest.raises(ScopeError):
        Scope.of(value)


@pytest.mark.parametrize("context", [{"user_id": "c"}, SimpleNamespace(user_id="c", locale="en")])
def test_the_context_goes_before_the_configuration(context: object) -> None:
    """The context is what the application passes for this call; it may be an object."""
    request = ScopeRequest(context=context, configurable={"user_id": "f", "agent_id": "a"})
    assert resolve_scope(None, request, {"user_id": "d"}) == Scope(user_id="c")


def test_the_configuration_goes_before_the_default() -> None:
    """A default for the demo must not catch real users."""
    request = ScopeRequest(context={"locale": "en"}, configurable={"user_id": "f", "x": 1})
    assert resolve_scope(None, request, {"user_id": "d"}) == Scope(user_id="f")


def test_the_default_is_the_last_resort() -> None:
    """A program with one user need not say so on every call."""
    assert resolve_scope(None, ScopeRequest(), {"user_id": "d"}) == Scope(user_id="d")


def test_nothing_found_says_where_it_was_looked_for() -> None:
    """There is no shared default user; the message is all that a newcomer gets."""
    with pytest.raises(ScopeError) as error:
        resolve_scope(None, ScopeRequest(context={"locale": "en"}, configurable={"thread_id": "t"}))
    for place in ("context", "configurable", "authenticated", "connected", "scope="):
        assert place in str(error.value)


@pytest.mark.parametrize(
    "source", [Scope(user_id="s"), {"user_id": "s"}, lambda request: {"user_id": "s"}]
)
def test_a_given_scope_decides_alone(source: Any) -> None:
    """Also against the authenticated user: the application knows what it does."""
    request = ScopeRequest({"user_id": "c"}, {"user_id": "f"}, "identity")
    assert resolve_scope(source, request, {"user_id": "d"}) == Scope(user_id="s")


def test_a_callable_is_given_the_request() -> None:
    """Custom rules see everything that the built-in ones see."""
    request = ScopeRequest({"customer": "c"}, {"team": "t"}, "identity")

    def source(given: ScopeRequest) -> dict[str, str]:
        assert given is request
        context: Any = given.context
        return {"user_id": context["customer"], "agent_id": str(given.configurable["team"])}

    assert resolve_scope(source, request) == Scope(user_id="c", agent_id="t")


def test_what_a_callable_returns_is_checked() -> None:
    """A callable that finds no user must not lead to everybody's memories."""
    with pytest.raises(ScopeError):
        resolve_scope(lambda request: {"user_id": request.identity}, ScopeRequest())


def test_the_authenticated_user_is_the_scope() -> None:
    """LangGraph Server knows who is calling; nothing else needs to be passed."""
    request = ScopeRequest(identity="alice")
    assert resolve_scope(None, request, {"user_id": "d"}) == Scope(user_id="alice")


@pytest.mark.parametrize("where", ["context", "configurable"])
def test_a_client_cannot_choose_another_user(where: str) -> None:
    """Context and configuration come from the client, which could name anybody."""
    with pytest.raises(ScopeError, match="alice"):
        resolve_scope(None, ScopeRequest(identity="alice", **{where: {"user_id": "bob"}}))
    own = ScopeRequest(identity="alice", **{where: {"user_id": " alice "}})
    assert resolve_scope(None, own) == Scope(user_id="alice")


@pytest.mark.parametrize("where", ["context", "configurable"])
def test_a_client_cannot_leave_its_user_out(where: str) -> None:
    """An agent's id alone would reach what the agent knows of all users."""
    request = ScopeRequest(identity="alice", **{where: {"agent_id": "support"}})
    assert resolve_scope(None, request) == Scope(user_id="alice", agent_id="support")


def test_the_servers_own_run_id_is_no_scope() -> None:
    """LangGraph Server numbers each run: every one would forget the one before."""
    server = {"run_id": "019a", "assistant_id": "x", "graph_id": "chat"}
    with pytest.raises(ScopeError):
        resolve_scope(None, ScopeRequest(configurable=server))
    request = ScopeRequest(configurable={**server, "user_id": "u"})
    assert resolve_scope(None, request) == Scope(user_id="u")


def test_a_run_id_of_the_application_is_a_scope() -> None:
    """Without the server, run_id is Mem0's session id."""
    request = ScopeRequest(configurable={"run_id": "session-1"})
    assert resolve_scope(None, request) == Scope(run_id="session-1")
