"""Public names that are imported when they are first used, so that importing a package is fast."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence

__all__ = ["lazy_names"]


def lazy_names(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make the `__getattr__` and `__dir__` of a package.

    Args:
        package: The package, its `__name__`.
        modules: The names that come from each module of the package.

    Example:
        >>> getattribute, listing = lazy_names("mem0_integrations", {"outbox": ["Outbox"]})
        >>> getattribute("Outbox").__name__, "Outbox" in listing()
        ('Outbox', True)
    """
    namespace = vars(sys.modules[package])
    homes = {name: module for module, names in modules.items() for name in names}

    def __getattr__(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        namespace[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*namespace, *homes})

    return __getattr__, __dir__
