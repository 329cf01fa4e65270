"""Mem0's `graph_store`, which Mem0 2.x ignores, as a `GraphMemory`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from mem0_integrations.errors import ConfigurationError
from mem0_integrations.graph.engines.base import GraphEngine
from mem0_integrations.graph.extraction import ModelRelationExtractor, RelationExtractor
from mem0_integrations.graph.graph_memory import GraphMemory

__all__ = ["embedded_path", "engine_from_config", "graph_from_config", "mem0_part"]

_KNOWN: Final = {"provider", "config", "llm", "custom_prompt", "threshold"}
_DROPPED: Final = ("apache_age", "kuzu")
# Settings of Mem0 1.x that have no meaning here: labels are fixed, and no vectors lie elsewhere.
_WITHOUT_MEANING: Final = {"base_label", "app_id", "collection_name"}


def graph_from_config(store: Mapping[str, Any], folder: Path) -> GraphMemory:
    """Make the graph that a `graph_store` describes, as in Mem0 1.x.

    Args:
        store: With `provider` (`neo4j`, `memgraph`, `neptune`, `neptunedb` or `embedded`),
            `config`, and perhaps `threshold`, `llm` and `custom_prompt`.
        folder: Where to put an embedded graph that has no `path`.

    Raises:
        ConfigurationError: It is malformed, or its provider is not supported.
        MissingExtraError: The driver is not installed.
    """
    if unknown := sorted(set(store) - _KNOWN):
        raise ConfigurationError(
            f"graph_store has unknown parts {unknown}; known are {', '.join(sorted(_KNOWN))}."
        )
    engine = engine_from_config(store, folder)
    options = {} if store.get("threshold") is None else {"similarity_threshold": store["threshold"]}
    return GraphMemory(engine, extractor=_extractor(store), **options)


def engine_from_config(store: Mapping[str, Any], folder: Path) -> GraphEngine:
    """Make the engine that a `graph_store` describes; see `graph_from_config`."""
    provider, config = store.get("provider"), store.get("config") or {}
    if not isinstance(config, Mapping):
        raise ConfigurationError(
            f"graph_store.config must be a mapping, not {type(config).__name__}."
        )
    makers: dict[str, Callable[[Mapping[str, Any]], GraphEngine]] = {
        "neo4j": _neo4j,
        "memgraph": _neo4j,
        "neptune": _neptune,
        "neptunedb": _neptune,
        "embedded": lambda config: _embedded(config, embedded_path(store, folder)),
    }
    if provider not in makers:
        hint = " Use 'embedded', which needs no server." if provider in _DROPPED else ""
        raise ConfigurationError(
            f"graph_store.provider must be one of {', '.join(makers)}, not {provider!r}.{hint}"
        )
    return makers[provider](config)


def embedded_path(store: Mapping[str, Any], folder: Path) -> Path:
    """Return where an embedded graph is kept: at its `path`, or else in the data folder."""
    settings = store.get("config")
    given = settings.get("path") if isinstance(settings, Mapping) else None
    if given is not None and not isinstance(given, str | Path):
        raise ConfigurationError(f"graph_store.config.path must be a path, not {given!r}.")
    return Path(given or folder / "graph" / "graph.kg").expanduser().absolute()


def _neo4j(config: Mapping[str, Any]) -> GraphEngine:
    from mem0_integrations.graph.engines.neo4j import Neo4jEngine

    settings = _settings(config, required=("url",), optional=("username", "password", "database"))
    return Neo4jEngine(settings.pop("url"), **settings)


def _neptune(config: Mapping[str, Any]) -> GraphEngine:
    from mem0_integrations.graph.engines.neptune import neptune_engine

    optional = ("region_name", "client", "endpoint_url")
    settings = _settings(config, required=("endpoint",), optional=optional)
    return neptune_engine(settings.pop("endpoint"), **settings)


def _embedded(config: Mapping[str, Any], path: Path) -> GraphEngine:
    from mem0_integrations.graph.engines.embedded import EmbeddedEngine

    _settings(config, required=(), optional=("path",))
    return EmbeddedEngine(path)


def _settings(
    config: Mapping[str, Any], *, required: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, Any]:
    given = {
        key: value
        for key, value in config.items()
        if value is not None and key not in _WITHOUT_MEANING
    }
    missing = [key for key in required if not given.get(key)]
    unknown = sorted(set(given) - {*required, *optional})
    if missing or unknown:
        raise ConfigurationError(
            f"graph_store.config needs {', '.join(required) or 'nothing'} and may have "
            f"{', '.join(optional)}; missing are {missing}, unknown are {unknown}."
        )
    return given


def _extractor(store: Mapping[str, Any]) -> RelationExtractor | None:
    llm, prompt = store.get("llm"), store.get("custom_prompt")
    if llm is None:
        if prompt is not None:
            raise ConfigurationError(
                "graph_store.custom_prompt needs a graph_store.llm; or make the graph yourself: "
                "GraphMemory(engine, extractor=ModelRelationExtractor(model, instructions=...))."
            )
        return None
    return ModelRelationExtractor(mem0_part("llm", llm), instructions=prompt)


def mem0_part(kind: Literal["llm", "embedder"], setting: Mapping[str, Any]) -> Any:
    """Make the language model or the embedder that a setting of Mem0's describes.

    Raises:
        ConfigurationError: Mem0 cannot make it.
    """
    from mem0.utils.factory import EmbedderFactory, LlmFactory

    try:
        given = setting["provider"], setting.get("config") or {}
        return LlmFactory.create(*given) if kind == "llm" else EmbedderFactory.create(*given, None)
    except Exception as error:
        raise ConfigurationError(
            f"The {kind} of the graph cannot be built: {type(error).__name__}: {error}"
        ) from error
