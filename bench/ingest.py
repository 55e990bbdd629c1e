"""Hub ingest of full batches, from the broker to committed rows, beside `psql \\copy` of the same rows.

A hub process, a broker and a durable PostgreSQL are real. Feeders publish what edges publish (SHAPES: how many, with
how many devices each): batches of at most the bytes that an edge sends, a window of them under way, half of the
observations positions of bands and vehicles and half telemetry of one to four values. The time runs from the first
PUBLISH to the last Committed. Then psql loads the same rows into tables made by the same schema in another database of
the same server: the same partitions and indexes, without the hub's upserts of newest values. Both are done ROUNDS times
in turn; the middle one counts.

The second measurement is the wait of a single batch at an idle hub, beside a bare trip through the broker plus a bare
commit.
"""

import asyncio
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import paho.mqtt.client as mqtt

from bench.result import Result
from devices.envelope import Committed, encode, encode_rows, join_batch, topic
from devices.observation import DeviceId, GatewayId, Observation, Position, Telemetry, ZoneId
from gridward.broker import Broker, free_port
from gridward.hub_client import HubClient
from gridward.postgres import Postgres, connect
from gridward.processes import Child, start, wait_until
from gridward.rehearsal import percentile
from gridward.toml_text import toml_text
from hub.config import Retention
from hub.migrations import migrate
from hub.partitions import keep
from hub.store import Store

SHAPES = ((8, 250), (4, 500))  # gateways, devices of each
WINDOW = 8
BATCH_BYTES = 500_000
BATCHES = 192  # of all gateways in a round
ROUNDS, ROUNDS_QUICK = 5, 1
SAMPLES, SAMPLES_QUICK = 400, 100
GOAL = 0.5
GOAL_IDLE_MS = 100
WAIT_S_MAX = 120
EPOCH = "bench"
TELEMETRY = "device, metric, component, observed_at, received_at, value"
POSITIONS = (
    "device, observed_at, received_at, longitude, latitude, altitude_m, accuracy_m, speed_kmh, course_deg, fix, zone"
)
VALUES = ("battery_percent", "heart_rate_bpm", "steps", "signal_strength_percent")

Sent = tuple[int, bytes]  # last seq, payload


def run(quick: bool) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="gridward-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        postgres, broker = Postgres(home / "postgres"), Broker(home / "broker")
        hub: Child | None = None
        try:
            postgres.start()
            broker.start()
            dsn, other = postgres.ensure_database("gridward"), postgres.ensure_database("beside")
            asyncio.run(_prepare(other))
            hub = _start_hub(home, dsn, broker)
            return _measure(home, postgres, dsn, other, broker, quick)
        finally:
            if hub is not None:
                hub.stop()
            broker.stop()
            postgres.stop()


def _measure(  # noqa: PLR0917
    home: Path, postgres: Postgres, dsn: str, other: str, broker: Broker, quick: bool
) -> list[Result]:
    loading: list[Result] = []
    for gateways, devices in SHAPES:
        feeders = [Feeder(broker, f"gw-{gateways}-{number}", devices) for number in range(gateways)]
        try:
            rounds = range(ROUNDS_QUICK if quick else ROUNDS)
            rates = [_round(home, postgres, dsn, other, feeders, number) for number in rounds]
        finally:
            for feeder in feeders:
                feeder.close()
        loading.append(_loading(rates, f"{gateways} gateways with {devices} devices each"))
    alone = Feeder(broker, "gw-alone", 1)
    try:
        waits_ms, bare_ms = _idle(alone, dsn, SAMPLES_QUICK if quick else SAMPLES)
    finally:
        alone.close()
    return [
        *loading,
        *(
            Result(
                name=f"one batch at an idle hub → Committed, {name}",
                value=percentile(waits_ms, share),
                unit="ms",
                limit=percentile(bare_ms, share),
                limit_name="bare broker trip + commit",
                goal=f"≤ {GOAL_IDLE_MS} ms",
                met=percentile(waits_ms, share) <= GOAL_IDLE_MS,
                note=f"{len(waits_ms)} batches of one alarm-free row, one at a time",
            )
            for name, share in (("p50", 0.5), ("p99", 0.99))
        ),
    ]


def _round(  # noqa: PLR0917
    home: Path, postgres: Postgres, dsn: str, other: str, feeders: list["Feeder"], number: int
) -> tuple[float, float]:
    """Rows a second: (the hub's, psql's of the same rows)."""
    batches = [_batches(feeder, BATCHES // len(feeders), number) for feeder in feeders]
    since = _now(dsn)
    seconds = _together([feeder.send for feeder in feeders], batches)
    files, rows = _export(home, dsn, since)
    return rows / seconds, rows / _load(postgres, other, files)


def _loading(rates: list[tuple[float, float]], shape: str) -> Result:
    """The round in the middle, by its ratio."""
    ours, theirs = sorted(rates, key=lambda pair: pair[0] / pair[1])[len(rates) // 2]
    return Result(
        name="hub ingest, broker → committed rows",
        value=ours,
        unit="rows/s",
        limit=theirs,
        limit_name="psql \\copy",
        goal=f"≥ {GOAL:.2f}×",
        met=ours / theirs >= GOAL,
        note=f"{shape}, newest values kept; the middle of {len(rates)} rounds",
    )


class Feeder:
    """What an edge is to the hub: batches up, at most WINDOW not committed."""

    def __init__(self, broker: Broker, gateway: str, devices: int) -> None:
        self.gateway = GatewayId(gateway)
        self.devices = devices
        self.seq = 0
        self.committed = 0
        self.random = random.Random(gateway)
        self._moved = threading.Condition()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.max_inflight_messages_set(100)
        self._client.on_message = self._told
        self._client.connect(broker.host, broker.port)
        sock = self._client.socket()
        assert isinstance(sock, socket.socket)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.subscribe([(topic(self.gateway, "committed", "routine"), 1), (f"bench/{gateway}", 1)])
        self._client.loop_start()

    def send(self, batches: list[Sent]) -> None:
        """Return when all of it is committed."""
        for number, (_, payload) in enumerate(batches):
            if number >= WINDOW:
                self.wait_for(batches[number - WINDOW][0])
            self._client.publish(topic(self.gateway, "up", "routine"), payload, qos=1)
        self.wait_for(batches[-1][0])

    def echo(self) -> None:
        """One trip through the broker and back."""
        with self._moved:
            self._echoed = False
        self._client.publish(f"bench/{self.gateway}", b"x", qos=1)
        with self._moved:
            assert self._moved.wait_for(lambda: self._echoed, WAIT_S_MAX)

    def wait_for(self, seq: int) -> None:
        with self._moved:
            assert self._moved.wait_for(lambda: self.committed >= seq, WAIT_S_MAX), "the hub has not committed"

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _told(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        with self._moved:
            if message.topic.startswith("bench/"):
                self._echoed = True
            else:
                self.committed = msgspec.json.decode(message.payload, type=Committed).seq
            self._moved.notify_all()


def _batches(feeder: Feeder, count: int, number: int) -> list[Sent]:
    batches: list[Sent] = []
    at = datetime.now(UTC) - timedelta(seconds=60 - number * 10)
    while len(batches) < count:
        rows: list[tuple[int, bytes]] = []
        size = 0
        while size < BATCH_BYTES:
            feeder.seq += 1
            at += timedelta(microseconds=137)
            row = encode(_observation(feeder, at))
            rows.append((feeder.seq, row))
            size += len(row) + 12
        batches.append((feeder.seq, join_batch(feeder.gateway, EPOCH, "routine", [encode_rows(rows)])))
    return batches


def _observation(feeder: Feeder, at: datetime) -> Observation:
    chance = feeder.random
    number = chance.randrange(feeder.devices)
    device = DeviceId(f"{('watch', 'jt808')[number % 2]}:{feeder.gateway}{number:08d}")
    body: Position | Telemetry
    if chance.random() < 0.5:
        body = Position(
            longitude=round(120.48 + chance.random() / 50, 6),
            latitude=round(30.74 + chance.random() / 50, 6),
            speed_kmh=round(chance.random() * 60, 1),
            course_deg=float(chance.randrange(360)),
            satellites=chance.randrange(4, 14),
        )
    else:
        names = VALUES[: chance.randrange(1, len(VALUES) + 1)]
        body = Telemetry({name: float(chance.randrange(30, 100)) for name in names})
    return Observation(
        device=device,
        observed_at=at,
        received_at=at + timedelta(milliseconds=chance.randrange(20, 900)),
        body=body,
        frame_id=f"{chance.getrandbits(64):016x}.0",
        zone=ZoneId("west-street"),
    )


def _together(works: list[Callable[[list[Sent]], None]], batches: list[list[Sent]]) -> float:
    """Seconds until all are done."""
    threads = [threading.Thread(target=work, args=(mine,)) for work, mine in zip(works, batches, strict=True)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def _export(home: Path, dsn: str, since: tuple[int, int]) -> tuple[list[tuple[str, Path]], int]:
    """The rows of this round as files for psql; how many there are."""
    files: list[tuple[str, Path]] = []
    rows = 0
    with connect(dsn) as connection:
        for table, columns, skipped in (("telemetry", TELEMETRY, since[0]), ("positions", POSITIONS, since[1])):
            path = home / f"{table}.txt"
            query = f"COPY (SELECT {columns} FROM {table} ORDER BY ctid OFFSET {skipped}) TO STDOUT"  # noqa: S608
            with path.open("wb") as out, connection.cursor() as cursor, cursor.copy(query) as copy:  # type: ignore[call-overload]
                for piece in copy:
                    out.write(piece)
            rows += path.read_bytes().count(b"\n")
            files.append((f"\\copy {table} ({columns}) FROM '{path}'", path))
    return files, rows


def _now(dsn: str) -> tuple[int, int]:
    """Rows held before the round."""
    with connect(dsn) as connection:
        connection.execute("CHECKPOINT")
        row = connection.execute(
            "SELECT (SELECT count(*) FROM telemetry) AS t, (SELECT count(*) FROM positions) AS p"
        ).fetchone()
        assert row is not None
        return row["t"], row["p"]


def _load(postgres: Postgres, dsn: str, files: list[tuple[str, Path]]) -> float:
    """Seconds that psql takes."""
    with connect(dsn) as connection:
        connection.execute("CHECKPOINT")
    words = [word for command, _ in files for word in ("-c", command)]
    began = time.perf_counter()
    subprocess.run([str(postgres.psql), "-q", "-X", "-v", "ON_ERROR_STOP=1", *words, dsn], check=True)
    return time.perf_counter() - began


def _idle(feeder: Feeder, dsn: str, samples: int) -> tuple[list[float], list[float]]:
    """Milliseconds of one batch at an idle hub; and of a bare trip through the broker plus a bare commit."""
    waits: list[float] = []
    bare: list[float] = []
    with connect(dsn) as connection:
        connection.execute("CREATE TABLE bare (n bigint)")
        for number in range(samples):
            feeder.seq += 1
            row = (feeder.seq, encode(_observation(feeder, datetime.now(UTC))))
            payload = join_batch(feeder.gateway, EPOCH, "routine", [encode_rows([row])])
            began = time.perf_counter()
            feeder.send([(feeder.seq, payload)])
            waits.append((time.perf_counter() - began) * 1000)
            began = time.perf_counter()
            feeder.echo()
            connection.execute("INSERT INTO bare VALUES (%s)", (number,))
            bare.append((time.perf_counter() - began) * 1000)
    return waits, bare


async def _prepare(dsn: str) -> None:
    async with Store(dsn) as store:
        await migrate(store)
        await keep(store, Retention(), datetime.now(UTC).date())


def _start_hub(home: Path, dsn: str, broker: Broker) -> Child:
    port = free_port()
    site = {
        "id": "bench",
        "name_zh": "测",
        "name_en": "Bench",
        "time_zone": "Asia/Shanghai",
        "longitude": 120.48,
        "latitude": 30.74,
    }
    (home / "site.toml").write_text(toml_text({"site": site}, "Bench"))
    config = {
        "state_dir": str(home / "hub"),
        "listen_port": port,
        "site_file": str(home / "site.toml"),
        "database": {"dsn": dsn},
        "broker": {"host": broker.host, "port": broker.port},
    }
    (home / "hub.toml").write_text(toml_text(config, "Bench"))
    hub = start("hub", [sys.executable, "-m", "hub", "--config", home / "hub.toml"], home / "hub.log")
    client = HubClient(f"http://127.0.0.1:{port}")
    wait_until(hub, client.healthy, WAIT_S_MAX)
    client.close()
    return hub
