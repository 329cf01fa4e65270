"""A graph as one page: complete in itself, and safe whatever things are called."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mem0_integrations import InvalidInputError, Memory, MissingExtraError, Relation, Scope
from mem0_integrations.graph import projection
from mem0_integrations.graph.graph_memory import GraphMemory
from mem0_integrations.graph.page import MOST_FACTS, _curves, _laid_out, graph_page
from mem0_integrations.graph.snapshot import aread_snapshot, read_snapshot
from tests.graph.facts import memory, told

START = datetime(2026, 3, 1, tzinfo=UTC)
HOSTILE = (
    '</script><script>window.byaname=1</script><img src=x onerror="byaname"> \' " & ]]> <!-- $$x$$'
)


class Page(HTMLParser):
    """What a browser makes of a page: its elements, and the texts of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self._within: tuple[str, dict[str, str | None]] | None = None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = (tag, dict(attrs))
        self.elements.append(self._within)

    def handle_endtag(self, tag: str) -> None:
        self._within = None

    def handle_data(self, data: str) -> None:
        if self._within and self._within[0] == "script":
            kind = self._within[1].get("type") or "text/javascript"
            self.scripts.append((kind, data))
        else:
            self.texts.append(data)

    @property
    def document(self) -> str:
        """The document that the page's program draws."""
        [document] = [text for kind, text in self.scripts if kind == "application/json"]
        # As Bokeh reads it: character references, then JSON.
        from html import unescape

        return json.dumps(json.loads(unescape(document)), ensure_ascii=False)


def relation(source: str, predicate: str, target: str, **values: Any) -> Relation:
    return Relation(source, predicate, target, **{"valid_from": START, **values})


def hostile_page() -> Page:
    return Page(
        graph_page(
            [relation(HOSTILE, HOSTILE, "Oslo", memory_ids=("m",))],
            title=HOSTILE,
            types={HOSTILE: HOSTILE},
            memories={"m": Memory("m", HOSTILE, Scope(user_id="u"))},
        )
    )


def test_it_shows_facts_and_what_is_behind_them() -> None:
    """Since when, until when, and what was said."""
    ended = relation("ann", "lives_in", "Rome", valid_to=START, memory_ids=("gone",))
    said = Memory("m1", "I live in Oslo.", Scope(user_id="ann"))
    page = Page(
        graph_page(
            [relation("ann", "lives_in", "Oslo", memory_ids=("m1",)), ended],
            title="What is known",
            types={"Oslo": "city"},
            memories={"m1": said},
        )
    )
    assert "What is known" in page.texts
    for part in ("ann | lives_in | Oslo", "since 2026-03-01", "“I live in Oslo.”", "city"):
        assert part in page.document
    for part in ("since 2026-03-01 until 2026-03-01", "memory gone", "has ended", "dashed"):
        assert part in page.document


def test_it_loads_nothing() -> None:
    """It opens where there is no network, and tells nobody that it was opened."""
    for page in (hostile_page(), Page(graph_page([]))):
        for tag, attributes in page.elements:
            assert not {"src", "href", "srcset", "data", "action"} & set(attributes), tag
            assert tag not in {"link", "iframe", "object", "embed", "base", "form", "img"}
        styles = " ".join(page.texts)
        assert "@import" not in styles
        assert not re.search(r"url\(\s*['\"]?https?:", styles)


def test_hostile_names_stay_text() -> None:
    """A customer chooses what he is called, and an operator opens the page."""
    page = hostile_page()
    assert [tag for tag, _ in page.elements if tag in {"h1", "img", "main"}] == ["h1", "main"]
    assert not any("byaname" in str(attributes) for _, attributes in page.elements)
    programs = [text for kind, text in page.scripts if kind == "text/javascript"]
    assert not any("byaname" in text for text in programs)
    # Whole, under the pointer; what is shown of it there is escaped by Bokeh, unless `safe`.
    assert json.dumps(HOSTILE, ensure_ascii=False)[1:-1] in page.document
    assert "safe}" not in page.document
    assert HOSTILE in page.texts


@pytest.mark.skipif(not shutil.which("node"), reason="there is no Node to read JavaScript")
def test_its_programs_are_programs(tmp_path: Path) -> None:
    """A name that ends a string or a script would break them."""
    programs = [text for kind, text in hostile_page().scripts if kind == "text/javascript"]
    assert programs
    for number, text in enumerate(programs):
        (tmp_path / f"{number}.js").write_text(text, encoding="utf-8")
        subprocess.run(["node", "--check", tmp_path / f"{number}.js"], check=True, timeout=60)


def test_a_graph_of_many_is_drawn_within_seconds() -> None:
    """A hub and its neighbours, as graphs of memories are."""
    facts = [relation("ann", f"knows_{n % 7}", f"person {n}") for n in range(MOST_FACTS)]
    assert graph_page(facts).count("person 1999")
    with pytest.raises(InvalidInputError, match="at most 2,000 facts, not 2,001"):
        graph_page([*facts, facts[0]])


def test_no_facts_are_a_page_that_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """A white page looks like a broken one."""
    assert "There are no facts." in Page(graph_page([])).document
    assert caplog.records == []


def test_entities_lie_apart_and_always_the_same() -> None:
    """Who looks twice must find what he saw."""
    ends = [(0, number) for number in range(1, 30)] + [(30, 31), (31, 31)]
    places = _laid_out(32, ends)
    assert np.array_equal(places, _laid_out(32, ends))
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1) + 9 * np.eye(32)
    assert distances.min() > 0.3
    assert np.linalg.norm(places, axis=1).max() < 30


def test_facts_between_the_same_two_do_not_lie_on_each_other() -> None:
    """Neither in one direction nor in both; what leads back to itself is a loop."""
    places = np.array([[0.0, 0.0], [2.0, 0.0]])
    lines = list(_curves(places, [(0, 1), (1, 0), (0, 1), (1, 1)]))
    for line, (start, end) in zip(lines, [(0, 1), (1, 0), (0, 1), (1, 1)], strict=True):
        assert np.allclose(line[0], places[start])
        assert np.allclose(line[-1], places[end])
    middles = [tuple(line[len(line) // 2].round(3)) for line in lines]
    assert len(set(middles)) == 4


def test_without_bokeh_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """`No module named 'bokeh'` does not say what to do."""
    monkeypatch.setitem(sys.modules, "bokeh.embed", None)
    with pytest.raises(MissingExtraError, match=r"mem0-integrations\[graph\]"):
        graph_page([])


async def test_a_snapshot_has_facts_types_and_texts(graph: GraphMemory, ann: Scope) -> None:
    """What the page, the table and LangChain's documents are made of; on every engine."""
    narrow = Scope(user_id=ann.user_id, agent_id="a")
    home = memory("I|lives in|Oslo; @Oslo", ann)
    moved = memory("I|lives in|Rome", ann, day=1)
    work = memory("I|works at|Acme", narrow, day=2)
    graph.sync(ann, [home, moved, work])
    found = read_snapshot(graph, scope=ann)
    assert found == await aread_snapshot(graph, scope=ann)
    assert [one.target for one in found.relations] == ["Acme", "Rome"]
    assert {one.id: (one.text, one.scope) for one in found.memories.values()} == {
        moved.id: (moved.text, ann),
        work.id: (work.text, narrow),
    }
    whole = read_snapshot(graph, scope=ann, history=True)
    assert told(whole.relations) == told(graph.history(scope=ann))
    assert whole.types["Oslo"] == "thing"
    assert whole.types[str(ann.user_id)] == "user"
    assert whole.complete
    assert not read_snapshot(graph, scope=ann, limit=1).complete
    graph.sync(ann, [], gone=[work.id])
    assert work.id not in read_snapshot(graph, scope=ann, history=True).memories


def test_a_snapshot_is_of_one_scope(graph: GraphMemory, ann: Scope, bob: Scope) -> None:
    """And of nobody else, also where nothing was ever written."""
    graph.sync(bob, [memory("I|lives in|Rome", bob)])
    found = read_snapshot(graph, scope=ann)
    assert (found.relations, found.types, found.memories) == ((), {}, {})
    with pytest.raises(InvalidInputError, match="limit"):
        read_snapshot(graph, scope=ann, limit=0)


def test_a_snapshot_of_many_memories_is_read_in_parts(
    graph: GraphMemory, ann: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query with ten thousand values is refused by some engines."""
    monkeypatch.setattr(projection, "_ROWS", 2)
    graph.sync(ann, [memory(f"I|likes|thing{n}", ann) for n in range(5)])
    assert len(read_snapshot(graph, scope=ann).memories) == 5
