"""One round of the campaign: lives on one memory, and what is left of it in the end."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, TypeAlias

from tests.campaign import life
from tests.campaign.expected import Expected, Figures, Statement
from tests.campaign.life import DELIVERY_SECONDS, Trouble
from tests.paths import FOLLOWERS, IMPOSSIBLE, MODES, PRELOADED, STORES, Place, Way
from tests.switches import PATIENCE, Parts

Tell: TypeAlias = Callable[[str], None]

# A graph that has stumbled several times is tried again after a minute.
_REPORT_PATIENCE: Final = 4 * PATIENCE
MODELS: Final = ("no model", "scripted model")
PARTS: Final = ("model", "embedder", "store", "stored", "rows", "history", "graph")
# Weights of what is done, and of what happens meanwhile.
DEEDS: Final = {
    "remember": 36,
    "repeat": 8,
    "look": 8,
    "update": 8,
    "amend": 6,
    "delete": 7,
    "forget": 4,
    "import": 4,
    "put": 7,
    "say": 6,
    "save": 3,
    "flush": 3,
    "rest": 2,
}
TROUBLES: Final = {
    "": 40,
    "stumble": 38,
    "kill": 9,
    "end": 5,
    "interrupt": 7,
    "delay": 2,
    "jump": 1,
    "disk": 1,
}
KINDS: Final = ("kills", "stumbles", "delays", "interrupts", "clock jumps", "full disks")
JUMPS: Final = (-86_400.0, 86_400.0, 600.0, -600.0, 86_400.0 * 200)


@dataclass(frozen=True)
class Services:
    """What lives as long as the campaign.

    Attributes:
        folder: Where the memories lie.
        postgres_url: A database server.
        platform: Returns the URL and a new key of a server for ways with a model or without, and
            its switches.
    """

    folder: Path
    postgres_url: str
    platform: Callable[[str], tuple[str, str, Parts]]


@dataclass
class Result:
    """What became of a round."""

    seed: int
    way: Way
    wrong: Figures
    operations: int = 0
    accepted: int = 0
    happened: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))


class _Gone(Exception):
    """The process is no more."""


class _Hangs(_Gone):
    """The process does not answer."""


class _Living:
    """A process that lives, seen from outside."""

    def __init__(self, place: Place) -> None:
        spawning = multiprocessing.get_context("forkserver")
        spawning.set_forkserver_preload(PRELOADED)
        self._connection: Connection
        self._connection, theirs = spawning.Pipe()
        self._process = spawning.Process(target=life.live, args=(place, theirs), daemon=True)
        self._log = place.folder / "log"
        self._process.start()
        theirs.close()
        self.happened: Mapping[str, int] = {}
        self.answer()

    def tell(self, name: str, trouble: Trouble | None = None, **arguments: Any) -> None:
        try:
            self._connection.send((name, arguments, trouble))
        except OSError:
            raise _Gone from None

    def answer(self, patience: float = PATIENCE) -> tuple[str, Any]:
        """Return what became of what was told last."""
        try:
            if not self._connection.poll(patience):
                raise _Hangs(self._stack())
            (kind, value), happened = self._connection.recv()
        except (EOFError, OSError):
            raise _Gone from None
        self.happened = {**self.happened, **happened}
        return kind, value

    def _stack(self) -> str:
        """Return where its threads are."""
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGUSR1)
        time.sleep(1)
        return self._log.read_text()[-20_000:]

    def ask(self, name: str, trouble: Trouble | None = None, **arguments: Any) -> tuple[str, Any]:
        self.tell(name, trouble, **arguments)
        return self.answer()

    def report(self, **arguments: Any) -> tuple[str, Any]:
        """Ask what the memory holds, when a graph that stumbled was tried again: up to a minute."""
        self.tell("report", **arguments)
        return self.answer(_REPORT_PATIENCE)

    def end(self, *, kill: bool) -> bool:
        """Wait for the end, and tell whether it was killed."""
        if kill:
            self._process.kill()
        self._connection.close()
        self._process.join(PATIENCE)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        killed = self._process.exitcode == -9
        self._process.close()
        return killed


class Round:
    """Lives on one memory.

    Args:
        seed: Decides what is done and what happens.
        services: What the campaign has.
        tell: Is told what is done.
        ways: Of which it is one.
    """

    def __init__(self, seed: int, services: Services, tell: Tell, ways: Sequence[Way] = ()) -> None:
        self._dice = random.Random(seed)
        self._tell = tell
        self._services = services
        self._way = self._dice.choice(ways or ALL_WAYS)
        self._expected = Expected()
        self.result = Result(seed, self._way, self._expected.wrong)
        folder = services.folder / f"round-{seed}-{uuid.uuid4().hex[:6]}"
        folder.mkdir()
        self._place = Place(self._way, folder, f"user-{uuid.uuid4().hex}")
        self._served: Parts | None = None
        match self._way.store:
            case "pgvector":
                self._place = replace(self._place, postgres_url=services.postgres_url)
            case "platform":
                url, key, self._served = services.platform(self._way.model)
                self._place = replace(self._place, url=url, key=key)
        # Of two users, one of whom has an agent apart.
        users = [f"{name}-{self._place.user}" for name in ("ann", "bob")]
        self._users = users
        self._scopes = [
            {"user_id": users[0]},
            {"user_id": users[0], "agent_id": "shop"},
            {"user_id": users[1]},
        ]
        self._lives: list[_Living] = []
        self._number = 0
        self._jumped = 0.0

    def run(self) -> Result:
        """Live, then compare."""
        self._tell(f"seed {self.result.seed}: {self._way}")
        for _ in range(self._dice.randint(2, 4)):
            self._live()
        self._compare()
        self.result.accepted = self._expected.accepted
        return self.result

    # --- A life

    def _live(self) -> None:
        dice = self._dice
        together = self._way.store == "pgvector" and self._way.follower != "graph"
        for _ in range(2 if together and dice.random() < 0.4 else 1):
            self._begin()
        for _ in range(dice.randint(5, 14)):
            if not self._lives:
                break
            one = dice.choice(self._lives)
            try:
                self._do(one)
            except _Gone as error:
                if isinstance(error, _Hangs):
                    self._expected.wrong.other.append(f"no answer: {error}")
                self._lives.remove(one)
                self._ended(one, kill=isinstance(error, _Hangs))
        for one in self._lives:
            self._leave(one)
        self._lives.clear()
        self._expected.ended()

    def _begin(self) -> None:
        one = _Living(self._place)
        if self._jumped or self._dice.random() < 0.15:
            self._jump(one)
        self._lives.append(one)

    def _jump(self, one: _Living) -> None:
        jump = self._dice.choice((*JUMPS, -self._jumped, -self._jumped))
        self._tell(f"the clock is {jump:+.0f} s")
        one.ask("jump", seconds=self._jumped + jump)
        self._jumped += jump
        self.result.happened["clock jumps"] += jump != 0

    def _leave(self, one: _Living) -> None:
        kill = self._dice.random() < 0.5
        self._tell("is killed" if kill else "closes")
        if not kill:
            try:
                kind, value = one.ask("close")
                if kind != "done":
                    self._expected.wrong.other.append(f"close: {value}")
            except _Gone:
                pass
        self._ended(one, kill=kill)

    def _ended(self, one: _Living, *, kill: bool) -> None:
        killed = one.end(kill=kill)
        self.result.happened["kills"] += killed
        if not killed:
            self._tell("has ended")
        for name, count in one.happened.items():
            self.result.happened[name] += count

    # --- What is done

    def _do(self, one: _Living) -> None:
        deeds = dict(DEEDS)
        if self._way.store == "platform":
            del deeds["save"]
        deed = self._chosen(deeds)
        trouble = self._trouble(one)
        before = self.result.operations
        getattr(self, f"_{deed}")(one, trouble)
        self.result.operations = before + 1

    def _chosen(self, weights: Mapping[str, int]) -> str:
        return self._dice.choices([*weights], [*weights.values()])[0]

    def _trouble(self, one: _Living) -> Trouble | None:
        """Choose what happens meanwhile; what is told at once happens now."""
        dice, kind = self._dice, self._chosen(TROUBLES)
        part = dice.choice(PARTS[not self._way.has_model :])
        if part == "graph" and self._way.follower != "graph":
            part = "embedder"
        match kind:
            case "stumble" if self._served is not None:
                # What stumbles is the server's.
                getattr(self._served, part).stumble(dice.randint(1, 2))
                self._tell(f"{part} of the server stumbles")
            case "stumble":
                # A graph waits for a second, then for two.
                return Trouble(kind, part, 1 if part == "graph" else dice.randint(1, 4))
            case "kill":
                return Trouble(kind, part, dice.randint(0, 3))
            case "delay":
                seconds = DELIVERY_SECONDS * dice.uniform(1.1, 2.0)
                return Trouble(kind, dice.choice(("embedder", "store", "stored")), 0, seconds)
            case "interrupt":
                return Trouble(kind, seconds=dice.uniform(0.0005, 0.03))
            case "end":
                return Trouble(kind, seconds=dice.uniform(0.0, 0.08))
            case "jump":
                self._jump(one)
            # Chroma's own database does not come back from that while its process lives.
            case "disk" if self._way.store != "chroma":
                self._tell("the disk is full for a while")
                self.result.happened["full disks"] += 1
                spare = dice.choice((0, 4_096, 40_000))
                one.ask("fill", spare=spare, seconds=dice.uniform(0.3, 2.0))
        return None

    def _ask(
        self, one: _Living, name: str, trouble: Trouble | None, **arguments: Any
    ) -> tuple[str, Any]:
        """Ask for something; a process that is killed meanwhile leaves nothing certain."""
        shown = {key: value for key, value in arguments.items() if key != "ids"}
        scope = "/".join(str(each)[:4] for each in arguments.get("ids", {}).values())
        told = f"{name} {scope} {shown}" + (f", {trouble}" if trouble else "")
        try:
            kind, value = one.ask(name, trouble, **arguments)
        except _Gone:
            self._tell(f"{told} -> gone")
            raise
        self._tell(f"{told} -> {kind} {value if name != 'listed' else ''}")
        return kind, value

    def _noting(
        self,
        one: _Living,
        note: Callable[[bool], object],
        name: str,
        trouble: Trouble | None,
        **arguments: Any,
    ) -> tuple[str, Any]:
        """Ask for a change, and note it, certain only if that was the answer."""
        try:
            kind, value = self._ask(one, name, trouble, **arguments)
        except _Gone:
            note(False)
            raise
        note(kind == "done")
        return kind, value

    def _texts(self, count: int, what: str = "apple") -> list[str]:
        texts = []
        for _ in range(count):
            self._number += 1
            texts.append(f"I like {what}{self._number:05}{self._place.user[-6:]}.")
        return texts

    def _remember(self, one: _Living, trouble: Trouble | None) -> None:
        dice, ids = self._dice, self._dice.choice(self._scopes)
        infer = dice.random() < 0.7
        texts = self._texts(dice.randint(1, 3) if infer else 1)
        key, said = f"key-{self._number}", " ".join(texts)
        write = partial(self._expected.wrote, ids, key, said, texts, infer=infer)
        kind, value = self._noting(
            one,
            lambda certain: write(certain=certain),
            "remember",
            trouble,
            ids=ids,
            said=said,
            key=key,
            infer=infer,
            background=dice.random() < 0.5,
        )
        if kind == "done" and value[0] not in ("stored", "queued"):
            self._expected.wrong.other.append(f"remember {texts}: {value}")

    def _repeat(self, one: _Living, trouble: Trouble | None) -> None:
        if not self._expected.writes:
            return
        write = self._dice.choice([*self._expected.writes.values()])
        self._noting(
            one,
            lambda certain: self._expected.repeated(write, certain),
            "remember",
            trouble,
            ids=write.ids,
            said=write.said,
            key=write.key,
            infer=write.infer,
            background=self._dice.random() < 0.3,
        )

    def _look(self, one: _Living, trouble: Trouble | None) -> None:
        self._seen(one, self._dice.choice(self._scopes), trouble)

    def _seen(
        self, one: _Living, ids: Mapping[str, str], trouble: Trouble | None = None
    ) -> list[tuple[str, str]]:
        kind, value = self._ask(one, "listed", trouble, ids=ids)
        if kind != "done":
            return []
        self._expected.seen(ids, [text for _, text, _ in value])
        return [(memory_id, text) for memory_id, text, _ in value]

    def _one(self, one: _Living) -> tuple[Statement, str] | None:
        """Choose a memory that is there."""
        listed = self._seen(one, self._dice.choice(self._scopes))
        if not listed:
            return None
        memory_id, text = self._dice.choice(listed)
        statement = self._expected.statements.get(text)
        return None if statement is None else (statement, memory_id)

    def _update(self, one: _Living, trouble: Trouble | None) -> None:
        if (found := self._one(one)) is None:
            return
        (statement, memory_id), (text,) = found, self._texts(1, "pear")
        note = partial(self._expected.updated, statement, text)
        self._noting(
            one, note, "update", trouble, ids=statement.ids, memory_id=memory_id, text=text
        )

    def _amend(self, one: _Living, trouble: Trouble | None) -> None:
        if (found := self._one(one)) is None:
            return
        statement, memory_id = found
        self._number += 1
        metadata = {f"mood_{self._number}": self._number}
        self._noting(
            one,
            partial(self._expected.amended, statement, metadata),
            "update",
            trouble,
            ids=statement.ids,
            memory_id=memory_id,
            metadata=metadata,
        )

    def _delete(self, one: _Living, trouble: Trouble | None) -> None:
        if (found := self._one(one)) is None:
            return
        statement, memory_id = found
        note = partial(self._expected.deleted, statement)
        self._noting(one, note, "delete", trouble, ids=statement.ids, memory_id=memory_id)

    def _forget(self, one: _Living, trouble: Trouble | None) -> None:
        ids = self._dice.choice(self._scopes)
        self._noting(
            one, lambda certain: self._expected.forgot(ids, certain), "forget", trouble, ids=ids
        )

    def _import(self, one: _Living, trouble: Trouble | None) -> None:
        ids = self._dice.choice(self._scopes)
        texts = self._texts(self._dice.randint(2, 9), "plum")
        said = [{"role": "user", "content": text, "id": text} for text in texts]
        made: list[Statement] = []

        def note(certain: bool) -> None:
            made.extend(self._expected.new(ids, texts, certain, ordered=False))

        kind, _ = self._noting(one, note, "imported", trouble, ids=ids, said=said)
        if kind != "done":
            # An import that broke off is repeated.
            kind, _ = self._ask(one, "imported", None, ids=ids, said=said)
            if kind == "done":
                for statement in made:
                    statement.accepted = True

    def _put(self, one: _Living, trouble: Trouble | None) -> None:
        self._number += 1
        key = f"item-{self._dice.randint(0, 3)}"
        text = None if self._dice.random() < 0.25 else f"value {self._number}"
        self._noting(
            one,
            lambda certain: self._expected.put(key, text, certain),
            "put",
            trouble,
            key=key,
            value=None if text is None else {"text": text},
        )

    def _say(self, one: _Living, trouble: Trouble | None) -> None:
        ids = self._dice.choice(self._scopes)
        texts = self._texts(self._dice.randint(1, 3), "word")
        self._noting(
            one,
            lambda certain: self._expected.said(ids, texts, certain),
            "say",
            trouble,
            ids=ids,
            said=texts,
        )

    def _save(self, one: _Living, trouble: Trouble | None) -> None:
        ids = self._dice.choice(self._scopes)
        texts = self._texts(self._dice.randint(1, 3), "crew")
        rows = [
            (str(uuid.UUID(int=self._dice.getrandbits(128), version=4)), text, {"crew": "yes"})
            for text in texts
        ]
        self._noting(
            one,
            lambda certain: self._expected.new(ids, texts, certain, ordered=False),
            "save",
            trouble,
            ids=ids,
            rows=rows,
        )

    def _flush(self, one: _Living, trouble: Trouble | None) -> None:
        self._ask(one, "flush", trouble, seconds=5.0)

    def _rest(self, one: _Living, trouble: Trouble | None) -> None:
        """Let what is late come to its end."""
        self._ask(one, "rest", trouble, seconds=2.1 * DELIVERY_SECONDS)
        for ids in self._scopes:
            self._seen(one, ids)

    # --- The end

    def _compare(self) -> None:
        if self._served is not None:
            self.result.happened["stumbles"] += sum(
                switch.stumbled for switch in vars(self._served).values() if hasattr(switch, "hook")
            )
            self._served.reset()
        said = [each for each in self._expected.statements.values() if each.first]
        asked = [
            (dict(each.ids), each.first) for each in self._dice.sample(said, min(6, len(said)))
        ]
        one = _Living(self._place)
        try:
            kind, found = one.report(users=self._users, sessions=self._scopes, asked=asked)
            if kind == "done":
                kind, value = one.ask("close")
                found |= {"asked": asked, "sessions": self._scopes}
                self._expected.compare(found, in_order=not self.result.happened["clock jumps"])
            else:
                value = found
            if kind != "done":
                self._expected.wrong.other.append(f"the end: {value}")
        except _Gone as error:
            self._expected.wrong.other.append(f"the end: {str(error) or 'the process is gone'}")
        one.end(kill=False)
        self._look_at_files()

    def _look_at_files(self) -> None:
        forgotten = [text.encode() for text in self._expected.forgotten]
        for path in self._place.folder.rglob("*"):
            if not path.is_file() or path.name == "log":
                continue
            content = path.read_bytes()
            if content.startswith(b"SQLite format 3\0"):
                with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
                    checked = file.execute("PRAGMA integrity_check").fetchone()[0]
                if checked != "ok":
                    self._expected.wrong.other.append(f"{path.name}: {checked}")
            # Other databases overwrite what is deleted when they come to it.
            if self._way.store == "embedded":
                left = [text.decode() for text in forgotten if text in content]
                if left:
                    self._expected.wrong.back.append(f"bytes in {path.name}: {left}")


def _possible(way: Way) -> bool:
    return not any(excludes(way) for _, excludes in IMPOSSIBLE)


ALL_WAYS: Final = [
    way
    for model in MODELS
    for store in STORES
    for follower in FOLLOWERS
    for mode in MODES
    if _possible(way := Way(model, store, follower, mode))
]


def new_seeds(count: int) -> list[int]:
    """Return seeds that nobody has tried."""
    first = int(time.time())
    return [first * 1_000 + number for number in range(count)]
