"""Whose memories: the `Scope` of an operation, and where an adapter finds it.

A scope comes from the application, never from the model. Its ids are the tenant boundary:
every read and every write carries them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from mem0_integrations.errors import ScopeError

__all__ = [
    "RUNTIME",
    "SCOPE_KEYS",
    "Scope",
    "ScopeLike",
    "ScopeRequest",
    "ScopeSource",
    "resolve_scope",
]

SCOPE_KEYS: Final = ("user_id", "agent_id", "run_id", "app_id")
MAX_ID_LENGTH: Final = 255
RUNTIME: Final = "__pregel_runtime"
"""Where LangGraph keeps a run's `Runtime`, which `langgraph.runtime.get_runtime` returns."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The ids that a memory belongs to, in Mem0's terms; at least one is set.

    A scope *covers* a memory when every id of the scope is that memory's id: the scope of a
    user covers what all agents stored for that user.

    Args:
        user_id: The person (or tenant) that the memories are about.
        agent_id: The agent that owns the memories.
        run_id: One session or task.
        app_id: The application.

    Each id is trimmed, not empty, at most 255 characters long; an `int` becomes its decimal
    string, as in Mem0.

    Raises:
        ScopeError: No id is set, or an id is empty, too long or not text.

    Example:
        >>> Scope(user_id=" customer-1 ")
        Scope(user_id='customer-1')
    """

    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    app_id: str | None = None
    ids: dict[str, str] = field(init=False, repr=False, compare=False)
    """The ids that are set, by key, in the order of `SCOPE_KEYS`; not to be changed."""

    def __post_init__(self) -> None:
        """Normalise and check the ids."""
        ids: dict[str, str] = {}
        for key in SCOPE_KEYS:
            value = _clean_id(key, getattr(self, key))
            object.__setattr__(self, key, value)
            if value is not None:
                ids[key] = value
        object.__setattr__(self, "ids", ids)
        if not ids:
            raise ScopeError(
                "A scope needs at least one of user_id, agent_id, run_id, app_id: "
                "say whose memories these are."
            )

    def __repr__(self) -> str:
        """Show only the ids that are set."""
        return f"Scope({', '.join(f'{key}={value!r}' for key, value in self.ids.items())})"

    @classmethod
    def of(cls, value: ScopeLike) -> Scope:
        """Make a scope of a `Scope` or of a mapping with its ids.

        Args:
            value: A `Scope`, or a mapping whose keys are among `user_id`, `agent_id`,
                `run_id` and `app_id`.

        Raises:
            ScopeError: `value` is something else, has an unknown key, or a malformed id.

        Example:
            >>> Scope.of({"user_id": "customer-1"})
            Scope(user_id='customer-1')
        """
        if isinstance(value, Scope):
            return value
        if not isinstance(value, Mapping):
            raise ScopeError(
                f"scope must be a Scope or a mapping such as {{'user_id': 'customer-1'}}, "
                f"not {type(value).__name__}."
            )
        if unknown := sorted(str(key) for key in value if key not in SCOPE_KEYS):
            raise ScopeError(f"Unknown scope keys {unknown}; use {', '.join(SCOPE_KEYS)}.")
        return cls(**{str(key): item for key, item in value.items()})

    def covers(self, other: Scope) -> bool:
        """Tell whether every id of this scope is also `other`'s.

        Example:
            >>> Scope(user_id="u").covers(Scope(user_id="u", agent_id="a"))
            True
        """
        return self == other or self.ids.items() <= other.ids.items()

    def overlaps(self, other: Scope) -> bool:
        """Tell whether there can be a memory that both scopes cover.

        Example:
            >>> Scope(user_id="u").overlaps(Scope(agent_id="a"))
            True
            >>> Scope(user_id="u").overlaps(Scope(user_id="v", agent_id="a"))
            False
        """
        return all(other.ids.get(key, value) == value for key, value in self.ids.items())


ScopeLike: TypeAlias = Scope | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ScopeRequest:
    """What an adapter knows about the call whose scope it has to find.

    Args:
        context: The framework's run-time context (LangGraph's `Runtime.context`): an object
            with attributes or a mapping.
        configurable: The run's configuration (`config["configurable"]`).
        identity: The user that LangGraph Server authenticated, if any.

    Example:
        >>> request = ScopeRequest(configurable={"user_id": "customer-1"})
        >>> resolve_scope(lambda asked: {"user_id": asked.configurable["user_id"]}, request)
        Scope(user_id='customer-1')
    """

    context: object | None = None
    configurable: Mapping[str, object] = field(default_factory=dict)
    identity: str | None = None

    @classmethod
    def of_run(cls, config: Mapping[str, object] | None) -> ScopeRequest:
        """Read what the config of a run tells: LangChain's, or LangGraph's within a graph.

        Args:
            config: A `RunnableConfig`; None where there is none.

        Example:
            >>> ScopeRequest.of_run({"configurable": {"user_id": "customer-1"}}).configurable
            {'user_id': 'customer-1'}
        """
        configurable = (config or {}).get("configurable")
        if not isinstance(configurable, Mapping):
            return cls()
        runtime = configurable.get(RUNTIME)
        user = getattr(getattr(runtime, "server_info", None), "user", None)
        return cls(
            context=getattr(runtime, "context", None),
            configurable=configurable,
            identity=getattr(user, "identity", None),
        )


ScopeSource: TypeAlias = ScopeLike | Callable[[ScopeRequest], ScopeLike]


def resolve_scope(
    source: ScopeSource | None, request: ScopeRequest, default: ScopeLike | None = None
) -> Scope:
    """Find the scope of one call.

    `source` decides when it is given. Otherwise the first of these that has any id does:
    the run-time context, the run's configuration, the authenticated user, `default`. An
    authenticated user's id is always part of it. There is never a shared default user.

    Args:
        source: A fixed scope, or a callable that is given the request.
        request: What is known about the call.
        default: The scope that the memory was connected with.

    Raises:
        ScopeError: No scope was found, an id is malformed, or a client asked for another
            `user_id` than the one it is authenticated as.

    Example:
        >>> resolve_scope(None, ScopeRequest(configurable={"user_id": "customer-1"}))
        Scope(user_id='customer-1')
    """
    if source is not None:
        return Scope.of(source(request) if callable(source) else source)
    asked = _ids_in(request.context) or _ids_in(_own_configuration(request.configurable))
    if request.identity is not None:
        own = Scope(user_id=request.identity)
        # Without the user's id, an agent_id would reach what the agent knows of all users.
        scope = Scope(**{**own.ids, **asked})
        if scope.user_id != own.user_id:
            raise ScopeError(
                f"The run asks for the memories of user_id={scope.user_id!r}, but its client is "
                f"authenticated as {own.user_id!r}. Pass scope= if that is intended."
            )
        return scope
    if asked:
        return Scope(**asked)
    if default is not None:
        return Scope.of(default)
    raise ScopeError(
        "No scope: whose memories? Looked for user_id, agent_id, run_id or app_id in the "
        "run-time context, in config['configurable'], for an authenticated user, and for the "
        "scope that the memory was connected with. Invoke with "
        "config={'configurable': {'user_id': ...}}, or pass scope=."
    )


def _clean_id(key: str, value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ScopeError(f"{key} must be a string, not {type(value).__name__}.")
    trimmed = value.strip()
    if not trimmed:
        raise ScopeError(f"{key} is empty; give an id or leave {key} out.")
    if len(trimmed) > MAX_ID_LENGTH:
        raise ScopeError(
            f"{key} has {len(trimmed)} characters; at most {MAX_ID_LENGTH} are allowed."
        )
    try:
        trimmed.encode()
    except UnicodeEncodeError as error:
        raise ScopeError(f"{key} is not valid Unicode text: {error.reason}.") from None
    return trimmed


def _ids_in(source: object | None) -> dict[str, str]:
    if source is None:
        return {}
    found = {
        key: source.get(key) if isinstance(source, Mapping) else getattr(source, key, None)
        for key in SCOPE_KEYS
    }
    return {key: value for key, value in found.items() if value is not None}


def _own_configuration(configurable: Mapping[str, object]) -> Mapping[str, object]:
    # LangGraph Server puts the id of the current run there; as a scope it would make every
    # run forget the one before.
    if "run_id" in configurable and "assistant_id" in configurable:
        return {key: value for key, value in configurable.items() if key != "run_id"}
    return configurable
