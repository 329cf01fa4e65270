"""Model calls and prompt tokens of a turn, beside the graph memory of Mem0 1.x."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from benchmarks.common import CONSOLE, USER, fresh_memory, table
from mem0_integrations import Scope
from mem0_integrations.graph import EmbeddedEngine, GraphMemory, ModelRelationExtractor
from mem0_integrations.recall.rendering import estimate_tokens
from tests.stores import Scripted

# The last release with graph memory.
MEM0_1 = "1.0.11"
STATEMENTS = (
    "I moved from Oslo to Bergen last month.",
    "I work at Acme, where Jon Smith is my boss.",
    "My order A-1234 is a copper kettle.",
)
KNOWN = [
    {"source": USER["user_id"], "relationship": predicate, "destination": target}
    for predicate, target in (
        ("lives_in", "Oslo"),
        ("works_at", "Umbrella"),
        ("likes", "tea"),
        ("brother", "Bo"),
        ("ordered", "A-1233"),
    )
]


def modules(folder: str) -> tuple[ModuleType, ModuleType]:
    """Load the prompts and tools of Mem0 1.x, and nothing else of it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    subprocess.run([*command, f"mem0ai=={MEM0_1}"], check=True)
    [wheel] = Path(folder).glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    loaded: list[ModuleType] = []
    for name in ("utils", "tools"):
        path = Path(folder, "mem0", "graphs", f"{name}.py")
        spec = importlib.util.spec_from_file_location(f"mem0_1_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        loaded.append(module)
    return loaded[0], loaded[1]


def calls_of_mem0_1() -> list[int]:
    """The prompt tokens of the three calls that `MemoryGraph.add` makes."""
    with TemporaryDirectory() as folder:
        prompts, tools = modules(folder)
    user, text = f"user_id: {USER['user_id']}", "\n".join(STATEMENTS)
    names = ["oslo", "bergen", "acme", "jon_smith", "a-1234", "copper_kettle"]
    known = "\n".join(
        f"{one['source']} -- {one['relationship']} -- {one['destination']}" for one in KNOWN
    )
    # As `_retrieve_nodes_from_data`, `_establish_nodes_relations_from_data` and
    # `_get_delete_entities_from_search_output` put them together.
    entities = (
        "You are a smart assistant who understands entities and their types in a given text. If "
        "user message contains self reference such as 'I', 'me', 'my' etc. then use "
        f"{USER['user_id']} as the source entity. Extract all the entities from the text. ***DO "
        "NOT*** answer the question itself if the given text is a question."
    )
    relations = prompts.EXTRACT_RELATIONS_PROMPT.replace("USER_ID", user)
    return [
        tokens([entities, text], [tools.EXTRACT_ENTITIES_TOOL]),
        tokens([relations, f"List of entities: {names}. \n\nText: {text}"], [tools.RELATIONS_TOOL]),
        tokens(prompts.get_delete_messages(known, text, user), [tools.DELETE_MEMORY_TOOL_GRAPH]),
    ]


def calls_of_ours() -> list[int]:
    """The prompt tokens of what a turn asks of the model, its schema included."""
    model = Scripted(answers=['{"memories": []}'])
    with TemporaryDirectory() as folder, fresh_memory() as memory:
        engine = EmbeddedEngine(Path(folder, "graph.kg"))
        graph = GraphMemory(engine, extractor=ModelRelationExtractor(model))
        graph.complete(
            extractor=ModelRelationExtractor(model), embedder=memory._backend.models().embedder
        )
        scope = Scope(**USER)
        memory.remember("\n".join(STATEMENTS), scope=scope)
        graph.sync(scope, memory.list(scope=scope))
        engine.close()
    return [
        tokens([str(message.content) for message in asked], model.tools) for asked in model.asked
    ]


def tokens(messages: Iterable[str], tools: Iterable[Any]) -> int:
    schemas = [tool if isinstance(tool, Mapping) else tool.model_json_schema() for tool in tools]
    return sum(map(estimate_tokens, messages)) + sum(
        estimate_tokens(json.dumps(schema)) for schema in schemas
    )


def main() -> None:
    result = table(
        f"A turn of {len(STATEMENTS)} statements (tokens by the rule of four bytes)",
        "graph memory",
        "model calls: add",
        "search",
        "delete",
        "prompt tokens: add",
        "each",
    )
    rows: dict[str, tuple[Callable[[], list[int]], int, int]] = {
        f"Mem0 {MEM0_1}": (calls_of_mem0_1, 1, 2),
        "mem0-integrations": (calls_of_ours, 0, 0),
    }
    for name, (calls, search, delete) in rows.items():
        spent = calls()
        result.add_row(
            name, str(len(spent)), str(search), str(delete), f"{sum(spent):,}", str(spent)
        )
    CONSOLE.print(result)
