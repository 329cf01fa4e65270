"""Expects those tests to fail of which `broken` says that they do, strictly: that, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.paths import Way
from tests.promises.broken import KNOWN_BROKEN

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent != HERE or not isinstance(item, pytest.Function):
            continue
        parameters: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
        # Tests of one way have none.
        way = parameters.get("path", Way("", "", "", ""))
        for broken in KNOWN_BROKEN:
            if item.originalname == broken.test and broken.where(way, parameters):
                promise = item.path.stem.removeprefix("test_").replace("_", " ")
                reason = f"{promise}: {broken.reason}"
                item.add_marker(pytest.mark.xfail(strict=True, raises=broken.raises, reason=reason))
                break
