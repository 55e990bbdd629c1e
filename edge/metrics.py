"""Prometheus text on http://127.0.0.1:PORT/metrics. The only home of prometheus-client in the edge.

Nothing is counted here: each scrape asks the agent for its numbers. Loopback only; whoever wants them elsewhere puts
a proxy in front.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

HOST = "127.0.0.1"
PREFIX = "gridward_edge_"

Readings = Mapping[str, float]  # a name that ends with _total is a counter, any other a gauge


class MetricsError(Exception):
    """The port cannot be opened; the text is the one line to show."""


class _FromAgent(Collector):
    def __init__(self, read: Callable[[], Readings]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        for name, value in self._read().items():
            if name.endswith("_total"):
                yield CounterMetricFamily(PREFIX + name, name.replace("_", " "), value=value)
            else:
                yield GaugeMetricFamily(PREFIX + name, name.replace("_", " "), value=value)


def serve(port: int, read: Callable[[], Readings]) -> Callable[[], None]:
    """Serve until the returned function is called. `read` is called in another thread. Raises MetricsError."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_FromAgent(read))
    try:
        server, thread = start_http_server(port, HOST, registry)
    except OSError as error:
        raise MetricsError(f"metrics_port: cannot listen on {HOST}:{port}: {error.strerror or error}") from error

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close
