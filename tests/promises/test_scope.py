"""Scope comes from the application, and nothing crosses it."""

from __future__ import annotations

import unicodedata

import pytest

from mem0_integrations import InvalidInputError, MemoryNotFoundError, Scope, ScopeError
from tests.paths import MemoryPath

HOME, DRINK = "I live in Oslo.", "I like tea."

# Ids that a careless store, filter, URL or encoding takes for one another.
LOOKALIKES = (
    *("ann", "Ann", "ann1", "ann smith", "ann  smith", "ann%20smith", "ann+smith"),
    *("*", "%", "_", "$or", "null", "1", "01", "1.0", "a.b", "a/b", "a%2Fb", "a&user_id=b"),
    *("' OR '1'='1", '"', "\\", "a\u200bb", "ab", "x" * 255, "x" * 254 + "y"),
    *(unicodedata.normalize(form, "café") for form in ("NFC", "NFD")),
)


async def test_another_user_sees_and_touches_nothing(path: MemoryPath) -> None:
    """The same words, the same key, and an id that leaked."""
    other = Scope(user_id=f"other-{path.scope.user_id}")
    [mine] = await path.say(HOME, key="turn")
    [theirs] = await path.say(HOME, key="turn", scope=other)
    await path.say(DRINK, scope=other)
    await path.flush()
    assert mine.id != theirs.id
    assert await path.texts() == [HOME]
    found = await path.recall("What do I like?", threshold=0.0)
    assert [memory.text for memory in found.memories] == [HOME]
    assert "tea" not in {relation.target for relation in found.relations}
    assert await path.get(theirs.id) is None
    for call in (
        path.update(theirs.id, text=DRINK),
        path.delete(theirs.id),
        path.history(theirs.id),
    ):
        with pytest.raises(MemoryNotFoundError):
            await call
    await path.forget()
    await path.flush()
    assert await path.texts(scope=other) == [HOME, DRINK]
    found = await path.recall("What do I like?", scope=other)
    assert DRINK in {memory.text for memory in found.memories}
    if path.way.follower == "graph":
        assert {fact.target for fact in path.memory.graph.relations(scope=other)} == {"Oslo", "tea"}


async def test_a_user_covers_their_agents_and_an_agent_only_itself(path: MemoryPath) -> None:
    """Containment is the one way in which scopes see each other, and it has a direction."""
    user = path.scope
    shop, bank = (
        Scope(user_id=user.user_id, agent_id=f"{agent}-{user.user_id}")
        for agent in ("shop", "bank")
    )
    # The write of the user must not pass for stored because that of an agent was.
    said = {shop: "I like cake.", bank: "I like gold.", user: "I like tea."}
    for scope, text in said.items():
        assert [found.text for found in await path.say(text, scope=scope, key="turn")] == [text]
    await path.flush()
    assert await path.texts() == list(said.values())
    assert await path.texts(scope={"agent_id": shop.agent_id}) == [said[shop]]
    for scope in (shop, bank):
        assert await path.texts(scope=scope) == [said[scope]]
        found = await path.recall("What do I like?", scope=scope, threshold=0.0)
        assert [memory.text for memory in found.memories] == [said[scope]]
        assert {relation.target for relation in found.relations} <= {said[scope][7:-1]}
    await path.forget(shop)
    await path.flush()
    assert await path.texts() == [said[bank], said[user]]
    await path.forget(user)
    assert await path.texts(scope=bank) == []


async def test_the_words_of_another_scope_do_not_count_as_said(path: MemoryPath) -> None:
    """What the shop was told is no reason to tell the bank nothing."""
    user = path.scope
    shop, bank = (Scope(user_id=user.user_id, agent_id=agent) for agent in ("shop", "bank"))
    for scope in (shop, bank, user):
        assert [memory.text for memory in await path.say(HOME, scope=scope)] == [HOME]
    await path.forget(shop)
    assert await path.texts(scope=bank) == [HOME]


async def test_ids_that_look_alike_are_apart(path: MemoryPath) -> None:
    """Case, Unicode forms, wildcards, escapes and quotes: each id is its own user."""
    run = path.scope.user_id
    scopes = {name: Scope(user_id=name, run_id=run) for name in LOOKALIKES}
    for name, scope in scopes.items():
        await path.say(f"I am {name!r}.", scope=scope, infer=False)
    for name, scope in scopes.items():
        assert await path.texts(scope=scope) == [f"I am {name!r}."]
    for name in ("*", "%", "ann", "a/b"):
        await path.forget(scopes.pop(name))
    for name, scope in scopes.items():
        [found] = (await path.recall("Who am I?", scope=scope, threshold=0.0)).memories
        assert (found.text, found.scope) == (f"I am {name!r}.", scope)


async def test_metadata_cannot_move_a_memory(path: MemoryPath) -> None:
    """Metadata may come from a model or a request; the scope never does."""
    [home] = await path.say(HOME)
    for key in ("user_id", "agent_id", "run_id", "app_id", "actor_id", "data"):
        with pytest.raises(InvalidInputError, match="reserved"):
            await path.say(DRINK, metadata={key: "other"})
        with pytest.raises(InvalidInputError, match="reserved"):
            await path.update(home.id, metadata={key: "other"})
    assert [(found.text, found.scope) for found in await path.list()] == [(HOME, path.scope)]


async def test_nobody_is_not_everybody(path: MemoryPath) -> None:
    """A missing id must never mean all users."""
    await path.say(HOME)
    for nobody in ({}, {"user_id": None}, {"user_id": " "}, "*", ""):
        for method, *arguments in (("recall", "Oslo"), ("list",), ("forget",)):
            with pytest.raises(ScopeError):
                await path.call(method, *arguments, scope=nobody)
    with pytest.raises(ScopeError):
        path.memory.forget(None)  # type: ignore[arg-type]
    assert await path.texts() == [HOME]
