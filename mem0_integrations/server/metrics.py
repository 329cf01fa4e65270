"""Metrics for Prometheus."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

__all__ = ["Metrics"]


class Metrics:
    """The metrics of one application: requests, writes of the outbox, and events.

    With several worker processes, they share the folder `PROMETHEUS_MULTIPROC_DIR`.

    Args:
        outbox: Returns the number of writes in the outbox by status.
        events: Returns the number of events by status.

    Example:
        >>> metrics = Metrics(outbox=lambda: {"queued": 2}, events=dict)
        >>> metrics.observe("GET", "/v1/ping/", 200, 0.002)
        >>> 'mem0_outbox_writes{status="queued"} 2.0' in metrics.text().decode()
        True
    """

    def __init__(
        self, *, outbox: Callable[[], Mapping[str, int]], events: Callable[[], Mapping[str, int]]
    ) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "mem0_server_requests",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "mem0_server_request_seconds",
            "Seconds until the answer.",
            ["method", "route"],
            registry=self._registry,
        )
        # Apart: all workers see the same ones.
        self._shared = CollectorRegistry()
        self._shared.register(_Counted("mem0_outbox_writes", "Writes of the outbox.", outbox))
        self._shared.register(_Counted("mem0_server_events", "Events of adds.", events))

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; the route is the template of its path, without any values."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        registry = self._registry
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry) + generate_latest(self._shared)


class _Counted(Collector):
    """Numbers by status that are counted when they are collected."""

    def __init__(self, name: str, what: str, count: Callable[[], Mapping[str, int]]) -> None:
        self._name = name
        self._what = what
        self._count = count

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._name, self._what, labels=["status"])
        for status, number in self._count().items():
            family.add_metric([status], number)
        yield family
