"""Many clients at once: what they wait for, what fails, and what of theirs is lost."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Load:
    """What clients have seen of a server.

    Attributes:
        milliseconds: Of each answer, by endpoint.
        errors: Answers that were none of 200, and connections that broke.
        wrong: Memories that are missing, or there twice, and events that did not succeed.
        seconds: How long they called.
    """

    milliseconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        """How many were answered."""
        return sum(map(len, self.milliseconds.values()))


async def put_under_load(url: str, key: str, *, clients: int, seconds: float) -> Load:
    """Let clients do what agents do, each for a user of its own, one thing after another."""
    load = Load()
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    headers = {"Authorization": f"Token {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=60) as http:
        began = time.monotonic()
        users = [_User(http, load, number) for number in range(clients)]
        await asyncio.gather(*(user.talk(began + seconds) for user in users))
        load.seconds = time.monotonic() - began
        for user in users:
            await user.check()
    return load


class _User:
    def __init__(self, http: httpx.AsyncClient, load: Load, number: int) -> None:
        self._http = http
        self._load = load
        self._ids = {"user_id": f"customer-{number}"}
        self._said: list[str] = []
        self._events: list[str] = []

    async def talk(self, until: float) -> None:
        while time.monotonic() < until:
            added = await self._add(infer=False)
            await self._search()
            await self._add(infer=True)
            await self._search()
            body = {"filters": self._ids}
            await self._call("list", "POST", "/v3/memories/?page=1&page_size=20", body)
            if added:
                memory_id = added["results"][0]["id"]
                await self._call("get", "GET", f"/v1/memories/{memory_id}/")
            if self._events:
                await self._call("event", "GET", f"/v1/event/{self._events[-1]}/")

    async def _add(self, *, infer: bool) -> Any:
        text = f"Order {len(self._said)} of {self._ids['user_id']} arrived late."
        body = {"messages": text, "infer": infer, **self._ids}
        label = "add, infer=true" if infer else "add, infer=false"
        added = await self._call(label, "POST", "/v3/memories/add/", body)
        if added:
            self._said.append(text)
            self._events.append(added["event_id"])
        return added

    async def _search(self) -> None:
        body = {"query": f"Which order came late? {len(self._said)}", "filters": self._ids}
        await self._call("search", "POST", "/v3/memories/search/", {**body, "top_k": 5})

    async def check(self) -> None:
        """Look whether everything that was acknowledged is there, once."""
        deadline = time.monotonic() + 60
        for event_id in self._events:
            while (event := await self._get(f"/v1/event/{event_id}/"))["status"] != "SUCCEEDED":
                if event["status"] == "FAILED" or time.monotonic() > deadline:
                    self._load.wrong.append(f"event {event_id}: {event['status']}")
                    break
                await asyncio.sleep(0.05)
        answer = await self._http.post("/v2/memories/", json={"filters": self._ids})
        found = Counter(item["memory"] for item in answer.json())
        self._load.wrong += [
            f"{text}: {found[text]}" for text in {*self._said, *found} if found[text] != 1
        ]

    async def _get(self, path: str) -> Any:
        return (await self._http.get(path)).json()

    async def _call(self, label: str, method: str, path: str, body: object = None) -> Any:
        began = time.perf_counter()
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            self._load.errors.append(f"{label}: {error!r}")
            return None
        self._load.milliseconds[label].append((time.perf_counter() - began) * 1000)
        if answer.status_code != httpx.codes.OK:
            self._load.errors.append(f"{label}: {answer.status_code} {answer.text}")
            return None
        return answer.json()
