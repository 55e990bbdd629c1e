"""What the hub counts of itself, as Prometheus text. The only home of prometheus_client in the hub."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from devices.envelope import LANES, Lane
from hub.ingest_commit import Stored

COMMIT_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics:
    """One registry, so that several hubs in one process (tests) do not meet."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._rows = self._counter("rows_committed", "Rows taken from edges")
        self._values = self._counter("values_committed", "Rows of telemetry, one for each metric of an observation")
        self._skipped = self._counter("rows_skipped", "Rows that were sent again and known already")
        self._unreadable = self._counter("rows_refused", "Rows set aside in refused_rows")
        self._batches = self._counter("batches_committed", "Batches committed")
        self._unfit = self._counter("batches_unfit", "Publications that are no batch of ours")
        self._beyond = self._counter("batches_beyond_a_hole", "Batches that started beyond rows that never came")
        self._dropped = self._counter("batches_dropped", "Batches dropped because the buffer was full")
        self._held_up = Gauge(
            "gridward_ingest_held_up", "Workers that cannot commit what they have", ["lane"], registry=self._registry
        )
        self._seconds = Histogram(
            "gridward_commit_seconds",
            "Time of one transaction",
            ["lane"],
            registry=self._registry,
            buckets=COMMIT_BUCKETS_S,
        )
        self._incidents = Gauge("gridward_incidents_active", "Incidents not closed", registry=self._registry)
        self._refused = Gauge(
            "gridward_refused_rows", "Rows in refused_rows; from 1,000 on they are not counted", registry=self._registry
        )
        self._outbox = Gauge("gridward_outbox_due", "Notices not delivered yet", registry=self._registry)
        self._clients = Gauge("gridward_live_clients", "Streams of live changes", registry=self._registry)
        self._database = Gauge("gridward_database_up", "Whether the database answers", registry=self._registry)
        self._broker = Gauge("gridward_broker_up", "Whether the broker is connected", registry=self._registry)
        self.refused_rows = 0
        self.totals: dict[Lane, dict[str, int]] = {lane: dict.fromkeys(TOTALS, 0) for lane in LANES}

    def committed(self, lane: Lane, batches: int, stored: Stored, seconds: float) -> None:
        self._rows.labels(lane).inc(stored.rows)
        self._values.labels(lane).inc(stored.values)
        self._skipped.labels(lane).inc(stored.skipped)
        self._unreadable.labels(lane).inc(stored.unreadable)
        self._batches.labels(lane).inc(batches)
        self._seconds.labels(lane).observe(seconds)
        totals = self.totals[lane]
        totals["rows"] += stored.rows
        totals["batches"] += batches
        totals["refused"] += stored.unreadable

    def unfit(self, lane: Lane) -> None:
        self._unfit.labels(lane).inc()
        self.totals[lane]["unfit"] += 1

    def refused_batch(self, lane: Lane) -> None:
        self._beyond.labels(lane).inc()
        self.totals[lane]["beyond_a_hole"] += 1

    def dropped(self, lane: Lane) -> None:
        self._dropped.labels(lane).inc()
        self.totals[lane]["dropped"] += 1

    def held_up(self, lane: Lane, workers: int) -> None:
        """So many more workers of a lane cannot commit, though the database is there."""
        self.totals[lane]["held_up"] += workers
        self._held_up.labels(lane).inc(workers)

    def counted(self, incidents: int, outbox: int, refused: int) -> None:
        """What only the database knows."""
        self.refused_rows = refused
        self._refused.set(refused)
        self._incidents.set(incidents)
        self._outbox.set(outbox)

    def watch(self, database: Callable[[], bool], broker: Callable[[], bool], clients: Callable[[], int]) -> None:
        """Asked whenever the metrics are read."""
        self._database.set_function(lambda: float(database()))
        self._broker.set_function(lambda: float(broker()))
        self._clients.set_function(lambda: float(clients()))

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def _counter(self, name: str, meaning: str) -> Counter:
        counter = Counter(f"gridward_{name}", meaning, ["lane"], registry=self._registry)
        for lane in LANES:
            counter.labels(lane)  # a counter that is not there yet looks like a hub that does not count
        return counter


TOTALS = ("rows", "batches", "refused", "unfit", "beyond_a_hole", "dropped", "held_up")
