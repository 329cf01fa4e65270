"""What a memory must hold after all that was asked of it. Pure.

A call that was cut off, or that failed, may have got through, and may still get through a little
later: what it would have changed is then uncertain, until something certain follows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Ids: TypeAlias = Mapping[str, str]
Certain: TypeAlias = bool | None
"""True, False, or None for what is not known."""


def covers(outer: Ids, inner: Ids) -> bool:
    return outer.items() <= inner.items()


@dataclass
class Statement:
    """One thing that was said: a memory, if all goes well."""

    ids: Ids
    first: str
    order: int
    accepted: Certain
    removed: Certain = False
    texts: set[str] = field(default_factory=set)
    loose: set[str] = field(default_factory=set)
    """What it says if a change that was cut off gets through late."""
    metadata: dict[str, Any] = field(default_factory=dict)
    ordered: bool = True
    """Whether it waited in the queue of its scope."""

    def __post_init__(self) -> None:
        self.texts = {self.first}

    @property
    def present(self) -> Certain:
        if self.accepted is False or self.removed is True:
            return False
        return None if self.accepted is None or self.removed is None else True


@dataclass
class Write:
    """A write under a key."""

    ids: Ids
    key: str
    said: str
    statements: list[Statement]
    infer: bool
    forgotten: Certain = False


@dataclass
class Chunk:
    """What was added to a transcript at once."""

    ids: Ids
    texts: list[str]
    present: Certain
    loose: bool = False


@dataclass
class Figures:
    """What was wrong, by kind."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def lines(self) -> list[str]:
        return [f"{kind}: {line}" for kind, found in vars(self).items() for line in found]


class Expected:
    """Keeps account of what must be there."""

    def __init__(self) -> None:
        self.writes: dict[str, Write] = {}
        self.statements: dict[str, Statement] = {}
        """By each text that it may have."""
        self.items: dict[str, set[str | None]] = {}
        self.loose_items: dict[str, set[str | None]] = {}
        self.chunks: list[Chunk] = []
        self.forgotten: set[str] = set()
        """Texts of which no byte may be left."""
        self.wrong = Figures()
        self.accepted = 0
        self._order = 0
        # Scopes whose forgetting was cut off, and may go on while that process lives.
        self._being_forgotten: list[Ids] = []
        # Of each forget that was cut off, what it takes all of, or nothing.
        self._together: list[list[Statement]] = []

    def new(
        self, ids: Ids, texts: Sequence[str], certain: bool, *, ordered: bool = True
    ) -> list[Statement]:
        self._order += 1
        found = [
            Statement(ids, text, self._order, True if certain else None, ordered=ordered)
            for text in texts
        ]
        for statement in found:
            self.statements[statement.first] = statement
            self._may_be_forgotten(statement)
        self.accepted += certain
        return found

    def wrote(
        self, ids: Ids, key: str, said: str, texts: Sequence[str], *, infer: bool, certain: bool
    ) -> None:
        """Note a write under a new key."""
        self.writes[key] = Write(ids, key, said, self.new(ids, texts, certain), infer)

    def repeated(self, write: Write, certain: bool) -> None:
        """Note that a write was sent again under its key."""
        for statement in write.statements:
            statement.texts.add(statement.first)
            if statement.present is not True:
                # Perhaps it was only now that it was accepted.
                statement.ordered = False
            self.statements[statement.first] = statement
            self.forgotten.discard(statement.first)
            if write.forgotten is True:
                statement.texts, statement.metadata = {statement.first}, {}
                statement.accepted, statement.removed = (True if certain else None), False
            elif certain and write.forgotten is False:
                statement.accepted = True
            elif certain:
                statement.accepted = True
                # It was deleted, or is stored again if it was forgotten.
                statement.removed = None if statement.removed is True else False
            else:
                statement.removed = None if statement.removed is not False else False
            for group in self._together:
                group[:] = [each for each in group if each is not statement]
            self._may_be_forgotten(statement)
        if certain:
            write.forgotten = False
        elif write.forgotten is True:
            write.forgotten = None

    def updated(self, statement: Statement, text: str, certain: bool) -> None:
        self.statements[text] = statement
        if certain:
            statement.texts = {text} | statement.loose
        else:
            statement.texts.add(text)
            statement.loose.add(text)

    def amended(self, statement: Statement, metadata: Mapping[str, Any], certain: bool) -> None:
        if certain:
            statement.metadata.update(metadata)

    def deleted(self, statement: Statement, certain: bool) -> None:
        if statement.removed is not True:
            statement.removed = True if certain else None

    def forgot(self, ids: Ids, certain: bool) -> None:
        own = [each for each in self._all() if covers(ids, each.ids)]
        if certain:
            for statement in own:
                statement.removed = True
                self.forgotten |= statement.texts | {statement.first}
        else:
            self._being_forgotten.append(ids)
            self._together.append([each for each in own if each.present is True])
            for statement in own:
                if statement.removed is False:
                    statement.removed = None
        for write in self.writes.values():
            if covers(ids, write.ids):
                write.forgotten = True if certain else (write.forgotten or None)
        for chunk in self.chunks:
            if covers(ids, chunk.ids) and chunk.present is not False:
                chunk.present = False if certain else None
                if certain:
                    self.forgotten |= set(chunk.texts)

    def ended(self) -> None:
        """Note that no process lives any more in which something could still go on."""
        self._being_forgotten.clear()

    def put(self, key: str, value: str | None, certain: bool) -> None:
        if certain:
            self.items[key] = {value} | self.loose_items.get(key, set())
        else:
            self.items.setdefault(key, {None}).add(value)
            self.loose_items.setdefault(key, set()).add(value)

    def said(self, ids: Ids, texts: list[str], certain: bool) -> None:
        present = True if certain else None
        if any(covers(each, ids) for each in self._being_forgotten):
            present = None
        self.chunks.append(Chunk(ids, texts, present, loose=not certain))
        self.accepted += certain

    def seen(self, ids: Ids, texts: Iterable[str]) -> None:
        """Compare what is listed at any moment: what is missing may be on its way."""
        for text, count in Counter(texts).items():
            statement = self.statements.get(text)
            if statement is None:
                self.wrong.other.append(f"{text!r} was never said")
            elif statement.present is False or text not in statement.texts:
                self.wrong.back.append(f"{text!r}, while others go on")
            elif count > 1:
                self.wrong.doubled.append(f"{text!r}, while others go on")

    def compare(self, found: Mapping[str, Any], *, in_order: bool) -> None:
        """Compare what the memory holds in the end."""
        wrong = self.wrong
        if not found["flushed"]:
            wrong.other.append("the queue was not delivered")
        wrong.other += [f"dead letter: {letter}" for letter in found["dead"]]
        self._compare_memories(found["memories"], in_order)
        self._compare_history(found)
        self._compare_items(found["items"])
        for texts, ids in zip(found["said"], found["sessions"], strict=True):
            self._compare_transcript(ids, texts)
        for (ids, asked), texts in zip(found["asked"], found["recalled"], strict=True):
            self._compare_recall(ids, asked, texts)
        if "facts" in found:
            self._compare_facts(found["facts"], found["rebuilt"])
        if "words" in found:
            stored = sorted(
                (row[0], row[1]) for memories in found["memories"].values() for row, _ in memories
            )
            if [tuple(row) for row in found["words"]] != stored:
                wrong.other.append(f"words: {sorted(set(found['words']) ^ set(stored))}")

    def _all(self) -> list[Statement]:
        return list({id(each): each for each in self.statements.values()}.values())

    def _may_be_forgotten(self, statement: Statement) -> None:
        if any(covers(ids, statement.ids) for ids in self._being_forgotten):
            statement.removed = None

    def _compare_memories(self, memories: Mapping[str, Any], in_order: bool) -> None:
        counted: Counter[int] = Counter()
        for listed in memories.values():
            last: dict[str, int] = {}
            for (_, text, metadata), ids in listed:
                statement = self.statements.get(text)
                if statement is None or text not in statement.texts:
                    kind = self.wrong.other if statement is None else self.wrong.back
                    kind.append(f"{text!r} is there")
                    continue
                counted[id(statement)] += 1
                self._compare_memory(statement, text, metadata, ids)
                if statement.ordered and in_order:
                    lane = repr(sorted(ids.items()))
                    if statement.order < last.get(lane, 0):
                        self.wrong.other.append(f"order: {text!r} comes too late")
                    last[lane] = statement.order
        self._count(counted)

    def _compare_memory(
        self, statement: Statement, text: str, metadata: Mapping[str, Any], ids: Ids
    ) -> None:
        if dict(ids) != dict(statement.ids):
            self.wrong.other.append(f"{text!r} has the scope {ids}")
        missing = {k: v for k, v in statement.metadata.items() if metadata.get(k) != v}
        if missing and statement.present:
            self.wrong.lost.append(f"{missing} of {text!r}")

    def _count(self, counted: Counter[int]) -> None:
        for statement in self._all():
            count, what = counted[id(statement)], f"{sorted(statement.texts)} of {statement.ids}"
            if count > 1:
                self.wrong.doubled.append(what)
            if count == 0 and statement.present is True:
                self.wrong.lost.append(what)
            if count and statement.present is False:
                self.wrong.back.append(what)
        for group in self._together:
            there = [each for each in group if counted[id(each)]]
            gone = [each for each in group if not counted[id(each)] and each.removed is None]
            if there and gone:
                self.wrong.other.append(
                    f"half forgotten: {[each.first for each in there]} are there, "
                    f"{[each.first for each in gone]} are not"
                )

    def _compare_history(self, found: Mapping[str, Any]) -> None:
        for memories in found["memories"].values():
            for (memory_id, text, _), _ in memories:
                events = found["history"][memory_id]
                names = [event for event, _ in events]
                if not events or events[-1][1] != text:
                    self.wrong.other.append(f"history of {text!r} ends with {events[-1:]}")
                if names[:1] != ["ADD"] or "ADD" in names[1:] or "DELETE" in names:
                    self.wrong.other.append(f"history of {text!r} is {names}")

    def _compare_items(self, items: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        there = {key: value["text"] for key, value in items}
        if len(there) < len(items):
            self.wrong.doubled.append(f"items: {items}")
        for key, allowed in self.items.items():
            if there.get(key) not in allowed:
                kind = self.wrong.back if allowed == {None} else self.wrong.lost
                kind.append(f"item {key!r} is {there.get(key)!r}, not one of {allowed}")

    def _compare_transcript(self, ids: Ids, texts: list[str]) -> None:
        for text, count in Counter(texts).items():
            if count > 1:
                self.wrong.doubled.append(f"message {text!r}")
        place = 0
        for chunk in (each for each in self.chunks if each.ids == ids):
            there = [text for text in chunk.texts if text in texts]
            if there and len(there) < len(chunk.texts):
                self.wrong.other.append(f"messages: {there} without the rest of {chunk.texts}")
            elif there and chunk.present is False:
                self.wrong.back.append(f"messages {chunk.texts}")
            elif not there and chunk.present is True:
                self.wrong.lost.append(f"messages {chunk.texts}")
            elif there and not chunk.loose:
                here = texts.index(there[0])
                if here < place or texts[here : here + len(there)] != chunk.texts:
                    self.wrong.other.append(f"messages {chunk.texts} are not in order")
                place = here

    def _compare_recall(self, ids: Ids, asked: str, texts: list[str]) -> None:
        for text, count in Counter(texts).items():
            statement = self.statements.get(text)
            if statement is None or text not in statement.texts or statement.present is False:
                self.wrong.back.append(f"recalled: {text!r}")
            elif not covers(ids, statement.ids):
                self.wrong.other.append(f"recalled of another scope: {text!r}")
            if count > 1:
                self.wrong.doubled.append(f"recalled: {text!r}")
        asked_for = self.statements[asked]
        if asked_for.present and asked_for.texts == {asked} and asked not in texts:
            self.wrong.lost.append(f"not recalled: {asked!r}")

    def _compare_facts(self, facts: Sequence[Any], rebuilt: Sequence[Any]) -> None:
        missing, stale = set(rebuilt) - set(facts), set(facts) - set(rebuilt)
        if missing:
            self.wrong.other.append(f"graph: only made again it says {sorted(missing)}")
        if stale:
            self.wrong.other.append(f"graph: made again it says no more {sorted(stale)}")
        living = " ".join(
            text for each in self._all() if each.present is not False for text in each.texts
        )
        for _, _, _, target in facts:
            if target not in living:
                self.wrong.back.append(f"fact about {target!r}")
