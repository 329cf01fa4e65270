from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import mem0_integrations
from tests.extras import installable

NOT_HERE = set() if installable("crewai") else {"mem0_integrations.crewai"}
MODULES = [
    importlib.import_module(info.name)
    for info in pkgutil.walk_packages(mem0_integrations.__path__, "mem0_integrations.")
    if info.name not in NOT_HERE
] + [mem0_integrations]
FACES = [
    "mem0_integrations",
    "mem0_integrations.crewai",
    "mem0_integrations.langchain",
    "mem0_integrations.langgraph",
    "mem0_integrations.server",
]

EXAMPLES = {
    example.name: example
    for module in MODULES
    for example in doctest.DocTestFinder(exclude_empty=True).find(module)
    if example.examples
}


def public(module: ModuleType) -> Iterator[tuple[str, object]]:
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            yield name, value


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_does_what_it_shows(
    name: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Examples are copied; each runs in a data folder that nothing else has written to."""
    if installable("crewai"):
        # What an example registers with CrewAI ends with it.
        monkeypatch.setattr("crewai.memory.storage.factory._factory", None)
    results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(EXAMPLES[name])
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_what_is_public_is_documented(module: ModuleType) -> None:
    """Help in an editor is the documentation that is read most."""
    assert module.__doc__
    for name, value in public(module):
        summary = (value.__doc__ or "").partition("\n")[0]
        assert summary.endswith((".", ":")), name


@pytest.mark.parametrize(
    "module",
    [module for module in MODULES if module.__name__ in FACES],
    ids=lambda module: module.__name__,
)
def test_the_public_face_is_shown_in_use(module: ModuleType) -> None:
    """A signature says what can be passed; an example says what one usually passes."""
    without = [
        name
        for name, value in public(module)
        if not (inspect.isclass(value) and issubclass(value, Exception))
        and "Example:\n" not in (inspect.getdoc(value) or "")
    ]
    assert without == []
