"""A graph as one HTML page to pan, zoom and explore, also without a network."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, cycle
from typing import TYPE_CHECKING, Any, Final

from mem0_integrations.errors import InvalidInputError, MissingExtraError
from mem0_integrations.records import Memory, Relation

if TYPE_CHECKING:
    import numpy as np
    from bokeh.plotting import figure
    from numpy.typing import NDArray

__all__ = ["MOST_FACTS", "graph_page"]

MOST_FACTS: Final = 2_000
"""Maximum number of facts on a page: more are a grey ball, and take long to lay out."""

# With more facts, a predicate is shown under the pointer only.
_LABELLED: Final = 150
_MOST_TEXTS: Final = 3
_LONGEST_TEXT: Final = 300
# Of labels in the drawing; the whole text appears under the pointer.
_LONGEST_LABEL: Final = 30
# Okabe and Ito's, for eyes of every kind; grey is for unknown types.
_COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442")
_GREY: Final = "#8c8c8c"
_POINTS: Final = 21
_BOX: Final = '<div style="max-width: 26em; font: 13px sans-serif">{}</div>'
_TEMPLATE: Final = """
{% block inner_head %}
{{ super() }}
<style>
  html, body { height: 100%; margin: 0; font-family: sans-serif; }
  body { display: flex; flex-direction: column; }
  h1 { font-size: 1.1rem; margin: 0.6rem 1rem; overflow-wrap: anywhere; }
  main { flex: 1; min-height: 0; }
</style>
{% endblock %}
{% block inner_body %}
<h1>{{ title | e }}</h1>
<main>{{ plot_div }}</main>
{{ plot_script }}
{% endblock %}
"""


def graph_page(
    relations: Sequence[Relation],
    *,
    title: str = "Knowledge graph",
    types: Mapping[str, str] | None = None,
    memories: Mapping[str, Memory] | None = None,
) -> str:
    """Draw facts as an HTML page that is complete in itself and opens without a network.

    Arrows are facts, dashed if they no longer hold; point at an arrow's head or at a dot to see
    more. Click an entry of the legend to hide what it stands for.

    Args:
        relations: The facts, at most 2,000.
        title: The heading.
        types: The types of entities by name, as `read_snapshot` returns them.
        memories: The memories behind the facts by id, to show what they say.

    Raises:
        InvalidInputError: There are too many facts.
        MissingExtraError: Bokeh is not installed.

    Example:
        >>> page = graph_page([Relation("Priya", "lives_in", "Oslo")], types={"Oslo": "city"})
        >>> page.lstrip()[:15], "Priya" in page
        ('<!DOCTYPE html>', True)
    """
    if len(relations) > MOST_FACTS:
        raise InvalidInputError(
            f"A page shows at most {MOST_FACTS:,} facts, not {len(relations):,}: choose a smaller "
            f"scope or limit."
        )
    try:
        from bokeh.embed import file_html
        from bokeh.models import HoverTool, WheelZoomTool
        from bokeh.plotting import figure
        from bokeh.resources import INLINE
    except ImportError as error:
        raise MissingExtraError("A page of the graph", "graph") from error

    names = list(dict.fromkeys(chain(*((one.source, one.target) for one in relations))))
    number = {name: place for place, name in enumerate(names)}
    ends = [(number[one.source], number[one.target]) for one in relations]
    places = _laid_out(len(names), ends)
    plot = figure(
        sizing_mode="stretch_both",
        # A unit is as long upwards as sideways: arrows point where their lines lead.
        match_aspect=True,
        tools="pan,reset,save",
    )
    wheel = WheelZoomTool()
    plot.add_tools(wheel)
    plot.toolbar.active_scroll = wheel
    plot.toolbar.logo = None
    plot.axis.visible = plot.grid.visible = False
    heads = [
        _draw_facts(plot, rows, label, dash, labelled=len(relations) <= _LABELLED)
        for label, dash, rows in _by_state(relations, _curves(places, ends), memories or {})
    ]
    dots = [
        _draw_entities(plot, rows, label, colour)
        for label, colour, rows in _by_type(names, places, types or {}, ends)
    ]
    plot.add_tools(
        HoverTool(renderers=heads, tooltips=_BOX.format("<b>@fact</b><br>@time<br>@said")),
        HoverTool(renderers=dots, tooltips=_BOX.format("<b>@name</b><br>@type, facts: @facts")),
    )
    if relations:
        plot.legend.click_policy = "hide"
        plot.add_layout(plot.legend[0], "right")
    else:
        plot.text([0], [0], ["There are no facts."], text_align="center")
    return file_html(plot, INLINE, title=title, template=_TEMPLATE)


def _by_state(
    relations: Sequence[Relation],
    curves: Iterable[NDArray[np.float64]],
    memories: Mapping[str, Memory],
) -> Iterator[tuple[str, str, list[dict[str, object]]]]:
    drawn = list(zip(relations, curves, strict=True))
    for label, dash, holds in (("holds", "solid", True), ("has ended", "dashed", False)):
        of_state = [pair for pair in drawn if (pair[0].valid_to is None) is holds]
        if of_state:
            yield label, dash, [_fact_row(*pair, memories) for pair in of_state]


def _fact_row(
    relation: Relation, curve: NDArray[np.float64], memories: Mapping[str, Memory]
) -> dict[str, object]:
    middle = len(curve) // 2
    right, up = curve[middle + 1] - curve[middle - 1]
    times = _day("since", relation.valid_from), _day("until", relation.valid_to)
    return {
        "xs": curve[:, 0].tolist(),
        "ys": curve[:, 1].tolist(),
        "x": float(curve[middle, 0]),
        "y": float(curve[middle, 1]),
        # A triangle points upwards by itself.
        "angle": math.atan2(up, right) - math.pi / 2,
        "label": _short(relation.relationship),
        "fact": f"{relation.source} | {relation.relationship} | {relation.target}",
        "time": " ".join(filter(None, times)),
        "said": _said(relation.memory_ids, memories),
    }


def _said(memory_ids: Sequence[str], memories: Mapping[str, Memory]) -> str:
    shown = [
        f"“{memories[one].text[:_LONGEST_TEXT]}”" if one in memories else f"memory {one}"
        for one in memory_ids[:_MOST_TEXTS]
    ]
    if len(memory_ids) > len(shown):
        shown.append(f"{len(memory_ids) - len(shown)} more")
    return ", ".join(shown)


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


def _day(word: str, time: datetime | None) -> str:
    return "" if time is None else f"{word} {time:%Y-%m-%d}"


def _draw_facts(
    plot: figure, rows: Sequence[Mapping[str, object]], label: str, dash: str, *, labelled: bool
) -> Any:
    source = _source(rows)
    style: dict[str, Any] = {"source": source, "color": "#666666", "legend_label": label}
    plot.multi_line("xs", "ys", line_dash=dash, alpha=0.6, **style)
    head = plot.scatter("x", "y", marker="triangle", angle="angle", size=11, **style)
    if labelled:
        _write(plot, source, label, y_offset=-6, text_font_size="11px", text_color="#444444")
    return head


def _by_type(
    names: Sequence[str],
    places: NDArray[np.float64],
    types: Mapping[str, str],
    ends: Iterable[tuple[int, int]],
) -> Iterator[tuple[str, str, list[dict[str, object]]]]:
    facts = Counter(place for pair in ends for place in set(pair))
    by_type: dict[str, list[dict[str, object]]] = defaultdict(list)
    for place, name in enumerate(names):
        known = types.get(name, "")
        by_type[known].append(
            {
                "x": float(places[place, 0]),
                "y": float(places[place, 1]),
                "name": name,
                "label": _short(name),
                "type": known or "of unknown type",
                "facts": facts[place],
                "size": 10 + 3 * math.sqrt(facts[place]),
            }
        )
    colours = cycle(_COLOURS)
    for known in sorted(by_type, key=lambda one: (not one, one)):
        yield _short(known) or "of unknown type", next(colours) if known else _GREY, by_type[known]


def _draw_entities(
    plot: figure, rows: Sequence[Mapping[str, object]], label: str, colour: str
) -> Any:
    source = _source(rows)
    dots = plot.scatter(
        "x", "y", source=source, size="size", color=colour, line_color="white", legend_label=label
    )
    _write(plot, source, label, y_offset=20, text_font_size="13px")
    return dots


def _write(plot: figure, source: Any, label: str, **style: Any) -> None:
    font: dict[str, Any] = {"text_align": "center", "text_font": {"value": "sans-serif"}}
    plot.text("x", "y", "label", source=source, legend_label=label, **font, **style)


def _source(rows: Sequence[Mapping[str, object]]) -> Any:
    from bokeh.models import ColumnDataSource

    return ColumnDataSource({name: [row[name] for row in rows] for name in rows[0]})


def _curves(
    places: NDArray[np.float64], ends: Sequence[tuple[int, int]]
) -> Iterator[NDArray[np.float64]]:
    """Yield the line of each fact; several between the same two entities bend apart."""
    import numpy as np

    drawn: Counter[frozenset[int]] = Counter()
    along = np.linspace(0, 1, _POINTS)[:, None]
    for source, target in ends:
        pair = frozenset((source, target))
        nth = drawn[pair]
        drawn[pair] += 1
        start, end = places[source], places[target]
        if source == target:
            turn = 2 * np.pi * along
            yield start + (0.25 + 0.1 * nth) * np.hstack([np.sin(turn), 1 - np.cos(turn)])
            continue
        # The same side for both directions, else two facts would lie on each other.
        low, high = places[min(pair)], places[max(pair)]
        sideways = np.array([low[1] - high[1], high[0] - low[0]])
        bend = 0.15 * ((nth + 1) // 2) * (-1) ** nth
        yield start + along * (end - start) + 4 * bend * along * (1 - along) * sideways


def _laid_out(count: int, ends: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Return a place for each entity: all push each other away, facts pull them together.

    After Fruchterman and Reingold; the same graph always looks the same.
    """
    import numpy as np

    places = np.random.default_rng(0).normal(size=(count, 2)) * math.sqrt(max(count, 1)) / 2
    if not ends:
        return places
    sources, targets = np.array(sorted(set(ends))).T
    # Few are cheap to lay out well.
    for heat in np.linspace(1, 0.02, 60 if count > 500 else 300):  # noqa: PLR2004
        lengths = np.square(places).sum(1)
        near = 1 / np.maximum(lengths[:, None] + lengths - 2 * places @ places.T, 0.01)
        # What pushes from each other one, summed up without a matrix of differences.
        move = places * near.sum(1, keepdims=True) - near @ places - 0.5 * places
        pull = places[targets] - places[sources]
        pull *= np.linalg.norm(pull, axis=1, keepdims=True) / 2
        np.add.at(move, sources, pull)
        np.add.at(move, targets, -pull)
        far = np.linalg.norm(move, axis=1, keepdims=True) + 1e-9
        places += move / far * np.minimum(far, heat)
    return places
