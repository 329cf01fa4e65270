"""Neptune's openCypher, from kglite: what Neptune refuses is refused, what it names is renamed.

It is no parser. It checks the queries of the tests, and is stricter than Neptune where in doubt.
`keys(n)` and `n['name']` do not know of the renaming; the id of a relationship is the engine's
number, and a node without an id of its own has a number there too.
"""

from __future__ import annotations

import re
import threading
from datetime import date
from pathlib import Path
from typing import Any

import kglite

Row = dict[str, Any]

# kglite answers for these properties when nobody set them, and takes `id` for the node's identity.
# Properties and map keys of these names therefore get a suffix on the way in and lose it on the
# way out; Neptune's `~id` becomes kglite's `id`.
_OWN = ("id", "label", "name", "title", "type")
_SUFFIX = "__"
_SEGMENTS = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|//[^\n]*|/\*.*?\*/", re.DOTALL)
_ACCESSED = re.compile(rf"(\.\s*)`?({'|'.join(_OWN)})\b`?(?!\s*\()")
_KEYED = re.compile(rf"([{{,]\s*)`?({'|'.join(_OWN)})`?(?=\s*:)")
_COLUMN = re.compile(rf"(?<=\.)({'|'.join(_OWN)}){_SUFFIX}\b")

_WRITES = re.compile(r"\b(CREATE|MERGE|SET|DELETE|REMOVE)\b", re.IGNORECASE)
_REFUSED = {
    "APOC": r"\bapoc\.",
    "constraints and indexes": r"\b(CREATE|DROP)\s+(\w+\s+)?(CONSTRAINT|INDEX)\b",
    "SHOW": r"(^|[;}])\s*SHOW\b",
    "FOREACH": r"\bFOREACH\s*\(",
    "LOAD CSV": r"\bLOAD\s+CSV\b",
    "shortestPath": r"\b(all)?shortestPaths?\s*\(",
    "regular expressions": r"=~",
    "the operator ^": r"\^",
    "elementId": r"\belementId\s*\(",
    "dynamic labels and types": r"([(\[]\s*\w*|\bSET\s+\w+)\s*:\s*\$|:\s*\$\s*\w*\(",
    "temporal values other than datetime()": r"\b((local)?time|date|localdatetime|duration)\s*[(.]"
    r"|\bdatetime\s*\.\s*\w+\s*\(",
    "writes in a UNION": r"\bUNION\b(?=.*\b(CREATE|MERGE|SET|DELETE|REMOVE)\b)"
    r"|\b(CREATE|MERGE|SET|DELETE|REMOVE)\b.*\bUNION\b",
    "a filter of a variable-length pattern that is not constant": r"\[[^\]]*\*[^\]]*\{[^}]*"
    r":\s*(\$|[A-Za-z_]\w*\.)",
}
_REFUSED_BY = {
    "database": {
        "CALL of procedures": r"\bCALL\s+[\w.]+\s*\(",
        "SKIP and LIMIT other than literal integers": r"\b(SKIP|LIMIT)\s+(\$|[a-z]\w*\s*[.(])",
    },
    "analytics": {"CALL of other procedures": r"\bCALL\s+(?!neptune\.)[\w.]+\s*\("},
}
_FLAGS = re.IGNORECASE | re.DOTALL


class Refusal(Exception):
    """Neptune would not run the query; `kind` is "unsupported", "malformed" or "constraint"."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class NeptuneCypher:
    """An empty database of one of the two products, "analytics" or "database"."""

    def __init__(self, product: str, folder: Path) -> None:
        self._product = product
        self._session = kglite.open_session(str(folder / "graph"), durable="normal")
        self._lock = threading.Lock()

    def close(self) -> None:
        self._session.close()

    def run(self, query: str, parameters: Row) -> list[Row]:
        """Run a query as one transaction.

        Raises:
            Refusal: Neptune would refuse it.
        """
        bare = _SEGMENTS.sub("''", query)
        self._check(re.sub(r"`[^`]*`", "x", bare))
        with self._lock:
            if re.search(r"\bCALL\s+neptune\.graph\.pg_schema\s*\(", bare):
                return [{"schema": self.schema()}]
            transaction = self._session.begin()
            try:
                given = {name: _encoded(value) for name, value in parameters.items()}
                rows = _rows(transaction, _renamed(query), given)
                if _WRITES.search(bare):
                    self._check_stored(transaction)
                ids = _Ids(transaction)
                found = [
                    {
                        _COLUMN.sub(r"\1", column): _decoded(value, ids)
                        for column, value in row.items()
                    }
                    for row in rows
                ]
            except BaseException:
                transaction.rollback()
                raise
            transaction.commit()
            return found

    def _check(self, bare: str) -> None:
        for what, pattern in {**_REFUSED, **_REFUSED_BY[self._product]}.items():
            if re.search(pattern, bare, _FLAGS):
                raise Refusal("unsupported", f"Neptune does not support {what}")

    def _check_stored(self, transaction: Any) -> None:
        """Look at the result of a write: what it stored tells more than its text does."""
        nodes = _rows(transaction, "MATCH (n) RETURN n.id AS id, properties(n) AS properties")
        edges = _rows(transaction, "MATCH ()-[r]->() RETURN properties(r) AS properties")
        for row in (*nodes, *edges):
            for value in row["properties"].values():
                if isinstance(value, list | dict):
                    kind = "Map" if isinstance(value, dict) else "List"
                    raise Refusal("unsupported", f"Expected a simple literal but found {kind}")
        ids = [str(node["id"]) for node in nodes]
        if len(set(ids)) < len(ids):
            raise Refusal("constraint", "A node with this ~id exists already")
        if self._product == "analytics" and any("id" in edge["properties"] for edge in edges):
            raise Refusal("unsupported", "Custom ids of edges are not supported")

    def schema(self) -> Row:
        """What `neptune.graph.pg_schema()` says of the graph."""
        nodes = _rows(self._session, "MATCH (n) RETURN labels(n) AS names, properties(n) AS p")
        edges = _rows(
            self._session, "MATCH ()-[r]->() RETURN [type(r)] AS names, properties(r) AS p"
        )
        triples = _rows(
            self._session,
            "MATCH (a)-[r]->(b) UNWIND labels(a) AS x UNWIND labels(b) AS y "
            "RETURN DISTINCT x, type(r) AS t, y ORDER BY x, t, y",
        )
        return {
            "nodeLabels": sorted({name for row in nodes for name in row["names"]}),
            "edgeLabels": sorted({name for row in edges for name in row["names"]}),
            "nodeLabelDetails": _details(nodes),
            "edgeLabelDetails": _details(edges),
            "labelTriples": [{"~from": t["x"], "~type": t["t"], "~to": t["y"]} for t in triples],
        }

    def summary(self) -> Row:
        """What both products' summary of a property graph says."""
        with self._lock:
            schema = self.schema()
            nodes = _rows(self._session, "MATCH (n) RETURN count(n) AS total")
            edges = _rows(self._session, "MATCH ()-[r]->() RETURN count(r) AS total")
        return {
            "numNodes": nodes[0]["total"],
            "numEdges": edges[0]["total"],
            "numNodeLabels": len(schema["nodeLabels"]),
            "numEdgeLabels": len(schema["edgeLabels"]),
            "nodeLabels": schema["nodeLabels"],
            "edgeLabels": schema["edgeLabels"],
        }


class _Ids:
    """The `~id`s of nodes by kglite's numbers, looked up when a result has relationships."""

    def __init__(self, transaction: Any) -> None:
        self._transaction = transaction
        self._known: dict[str, str] | None = None

    def __getitem__(self, number: int) -> str:
        if self._known is None:
            rows = _rows(self._transaction, "MATCH (n) RETURN elementId(n) AS e, n.id AS id")
            self._known = {row["e"]: str(row["id"]) for row in rows}
        return self._known[str(number)]


def _rows(runner: Any, query: str, parameters: Row | None = None) -> list[Row]:
    try:
        return [dict(row) for row in runner.cypher(query, params=parameters or {})]
    except (kglite.CypherSyntaxError, kglite.SchemaError) as error:
        raise Refusal("malformed", str(error)) from error
    except kglite.KgError as error:
        duplicate = "duplicate id" in str(error)
        raise Refusal("constraint" if duplicate else "malformed", str(error)) from error


def _renamed(query: str) -> str:
    pieces, end = [], 0
    for literal in _SEGMENTS.finditer(query):
        pieces += [_renamed_code(query[end : literal.start()]), literal.group()]
        end = literal.end()
    return "".join([*pieces, _renamed_code(query[end:])])


def _renamed_code(code: str) -> str:
    code = _ACCESSED.sub(rf"\1\2{_SUFFIX}", code)
    code = _KEYED.sub(rf"\1\2{_SUFFIX}", code)
    # An id is a text in Neptune, for relationships too.
    code = re.sub(r"\bid\s*\(\s*(\w+)\s*\)", r"toString(id(\1))", code)
    return code.replace("`~id`", "id")


def _encoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {_in(key): _encoded(item) for key, item in value.items()}
    return [_encoded(item) for item in value] if isinstance(value, list) else value


def _in(key: str) -> str:
    return "id" if key == "~id" else key + _SUFFIX if key in _OWN else key


def _decoded(value: Any, ids: _Ids) -> Any:
    if isinstance(value, list):
        return [_decoded(item, ids) for item in value]
    if isinstance(value, date):  # A datetime is one.
        return value.isoformat().replace("+00:00", "Z")
    if not isinstance(value, dict):
        return value
    if value.keys() == {"id", "labels", "properties"}:
        return {
            "~id": str(value["properties"]["id"]),
            "~entityType": "node",
            "~labels": value["labels"],
            "~properties": _decoded(value["properties"], ids),
        }
    if value.keys() == {"id", "start", "end", "type", "properties"}:
        return {
            "~id": str(value["properties"].get("id", value["id"])),
            "~entityType": "relationship",
            "~start": ids[value["start"]],
            "~end": ids[value["end"]],
            "~type": value["type"],
            "~properties": _decoded(value["properties"], ids),
        }
    return {_out(key): _decoded(item, ids) for key, item in value.items() if key not in _OWN}


def _out(key: str) -> str:
    return key.removesuffix(_SUFFIX) if key.removesuffix(_SUFFIX) in _OWN else key


def _details(rows: list[Row]) -> Row:
    kinds = {str: "String", bool: "Boolean", int: "Long", float: "Double"}
    details: Row = {name: {"properties": {}} for row in rows for name in row["names"]}
    for row in rows:
        for key, value in row["p"].items():
            if key not in _OWN and type(value) in kinds:
                for name in row["names"]:
                    properties = details[name]["properties"]
                    datatypes = properties.setdefault(_out(key), {"datatypes": []})["datatypes"]
                    datatypes[:] = sorted({*datatypes, kinds[type(value)]})
    return details
