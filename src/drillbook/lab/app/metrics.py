"""Counters of the API, in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass
class Metrics:
    """Counters of the requests that this process served.

    Requests are counted by method, route and status. Durations in seconds are counted by route.
    """

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    buckets: Counter[tuple[str, float]] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    finished: Counter[str] = field(default_factory=Counter)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request with its status and its duration in seconds."""
        self.requests[method, route, status] += 1
        self.finished[route] += 1
        self.seconds[route] += seconds
        for limit in BUCKETS:
            if seconds <= limit:
                self.buckets[route, limit] += 1

    def state(self) -> dict[str, Any]:
        """Return all counters as a JSON object."""
        return {
            "requests": [[*key, n] for key, n in self.requests.items()],
            "seconds": list(self.seconds.items()),
            "buckets": [[*key, n] for key, n in self.buckets.items()],
            "finished": list(self.finished.items()),
        }

    def add(self, state: Mapping[str, Any]) -> None:
        """Add the counters of another process. ``state``: result of the method ``state`` in that process."""
        for method, route, status, n in state["requests"]:
            self.requests[method, route, status] += n
        for route, limit, n in state["buckets"]:
            self.buckets[route, limit] += n
        for route, seconds in state["seconds"]:
            self.seconds[route] += seconds
        for route, n in state["finished"]:
            self.finished[route] += n

    def begin(self) -> None:
        """Prepare the counters when this process begins to serve requests.

        With a single process there is nothing to prepare.
        """

    def workers(self) -> int:
        """Number of processes that are serving requests."""
        return 1

    def whole(self) -> Metrics:
        """Counters of the whole service. With one process, they are the counters of that process."""
        return self

    def render(self, gauges: Mapping[str, float | None]) -> str:
        """Render all metrics as text. A gauge whose value is None is left out."""
        lines = ["# TYPE http_requests_total counter"]
        for (method, route, status), count in sorted(self.requests.items()):
            lines.append(f'http_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}')
        lines.append("# TYPE http_request_duration_seconds histogram")
        for route, count in sorted(self.finished.items()):
            name = "http_request_duration_seconds"
            lines += [f'{name}_bucket{{route="{route}",le="{limit}"}} {self.buckets[route, limit]}' for limit in BUCKETS]
            lines += [
                f'{name}_bucket{{route="{route}",le="+Inf"}} {count}',
                f'{name}_sum{{route="{route}"}} {self.seconds[route]:.6f}',
                f'{name}_count{{route="{route}"}} {count}',
            ]
        for gauge, value in gauges.items():
            if value is not None:
                lines += [f"# TYPE {gauge} gauge", f"{gauge} {value:g}"]
        return "\n".join(lines) + "\n"
