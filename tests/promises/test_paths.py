"""The fixture of paths itself."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from itertools import combinations, product
from pathlib import Path

from tests.paths import FOLLOWERS, IMPOSSIBLE, MODELS, MODES, STORES, WAYS, Way
from tests.promises.broken import KNOWN_BROKEN


def test_each_possible_pair_of_values_is_tried() -> None:
    """Half of what was found broken had been tried on one way only."""
    possible = [
        way
        for way in (Way(*values) for values in product(MODELS, STORES, FOLLOWERS, MODES))
        if not any(excludes(way) for _, excludes in IMPOSSIBLE)
    ]
    wanted, tried = (
        {pair for way in found for pair in combinations(enumerate(way), 2)}
        for found in (possible, WAYS)
    )
    assert tried == wanted
    assert len(WAYS) == len(MODELS) * len(STORES) == len({*map(str, WAYS)})


def test_what_is_known_to_be_broken_is_a_test() -> None:
    """A line for a test that is gone would hide nothing, and mislead."""
    modules = [
        import_module(f"tests.promises.{file.stem}")
        for file in Path(__file__).parent.glob("test_*.py")
    ]
    names = Counter(name for module in modules for name in vars(module))
    assert [broken.test for broken in KNOWN_BROKEN if not names[broken.test]] == []
