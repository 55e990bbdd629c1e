"""A small site for the edge's tests: its file, its frames, a device's socket, and waiting for things to happen."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from devices.documents import Command
from devices.envelope import Lane, decode_batch, join_batch
from devices.families import FAMILIES
from devices.observation import Alarm, DeviceId, GatewayId, Observation, Telemetry
from edge import clock
from edge.commands import FILE_NAME
from edge.config import Config, load
from edge.reports import Reports
from edge.spool_file import SpoolFile
from gridward.toml_text import toml_text
from tests.devices import frames

GATEWAY = DeviceId("gateway:gw-test")
NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
PANEL, BAND, TERMINAL = "gbt26875:889", "watch:8800000015", "jt808:13912345678"
WAIT_S_MAX = 15.0
ANSWER_BYTES_MIN = 30
CONFIRM = 3
ROWS_MAX = 1_000_000


async def until(happened: Callable[[], Any], what: str, wait_s_max: float = WAIT_S_MAX) -> None:
    """Poll until it has happened; fails with `what` when it does not."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + wait_s_max
    while not happened():
        assert loop.time() < give_up_at, f"not within {wait_s_max:.0f} s: {what}"
        await asyncio.sleep(0.005)


def told(folder: Path, **changes: Any) -> dict[str, Any]:
    """The keys of an edge file: three links on free ports, three devices, a siren and its rule."""
    links = [{"name": name, "kind": "tcp_server", "family": name, "port": 0} for name in ("gbt26875", "watch", "jt808")]
    devices = [{"id": PANEL, "zone": "hall"}, {"id": BAND}, {"id": TERMINAL}]
    when = {"group": "fire", "priority_max": 0, "zones": ["hall"]}
    keys: dict[str, Any] = {
        "site": "wuzhen",
        "gateway": "gw-test",
        "state_dir": str(folder / "state"),
        "links": links,
        "devices": devices,
        "actuators": [{"name": "siren", "kind": "gpio_file", "path": str(folder / "siren")}],
        "rules": [{"name": "smoke-siren", "when": when, "actuate": {"actuator": "siren", "state": "on"}}],
    }
    return {**keys, **changes}


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "edge.toml"
    path.write_text(toml_text(told(folder, **changes), "for a test"))
    return path


def config(folder: Path, **changes: Any) -> Config:
    return load(write(folder, **changes), FAMILIES)


def smoke(serial: int = 7, component: int = 0x12) -> bytes:
    """Panel 889 reports smoke at a component; another serial is another report."""
    head = serial.to_bytes(2, "little").hex() + frames.SMOKE_HEAD[4:]
    unit = frames.SMOKE_UNIT[:10] + component.to_bytes(4, "little").hex() + frames.SMOKE_UNIT[18:]
    return frames.gbt26875(head, unit)


def location(serial: int = 7) -> bytes:
    """Terminal 13912345678 reports where it is: a Position and its Telemetry."""
    return frames.jt808("0200", frames.LOCATION_BODY, serial=serial)


def steps(device: str, number: int, frame_id: str = "") -> Observation:
    """A routine row that can be told from others."""
    body = Telemetry({"steps": number})
    return Observation(device=DeviceId(device), observed_at=NOW, received_at=NOW, body=body, frame_id=frame_id)


def alarm(
    device: str = PANEL, kind: str = "smoke", component: str = "", raised: bool = True, frame_id: str = ""
) -> Observation:
    body = Alarm(kind=kind, component=component, raised=raised)
    return Observation(device=DeviceId(device), observed_at=NOW, received_at=NOW, body=body, frame_id=frame_id)


def command(gateway: str = "gw-test", issued_s_ago: float = 0.0, **changes: Any) -> Command:
    """The siren on, issued now by an operator."""
    issued_at = clock.now() - timedelta(seconds=issued_s_ago)
    keys: dict[str, Any] = {
        "gateway": gateway,
        "nonce": "n-1",
        "action": "actuator.set",
        "target": "siren",
        "value": "on",
        "actor": "operator",
        "issued_at": issued_at,
        "expires_at": issued_at + timedelta(seconds=20),
    }
    return Command(**{**keys, **changes})


def acted_before(folder: Path) -> None:
    """As if a command had acted on this edge an hour ago: a first start takes none for the clock skew's seconds."""
    folder.mkdir(exist_ok=True)
    (folder / FILE_NAME).write_text((clock.now() - timedelta(hours=1)).isoformat())


def spool_file(folder: Path, rows_max: int = ROWS_MAX, file_mb_max: int = 0, devices: int = 8) -> SpoolFile:
    """An open one; the folder is made."""
    folder.mkdir(exist_ok=True)
    file = SpoolFile(folder, rows_max, file_mb_max, Reports(devices), GATEWAY)
    file.open(NOW)
    return file


def fill(file: SpoolFile, full: bool) -> None:
    """The file takes nothing more, or takes again."""
    file._tables._pages_max = 1 if full else 0


def held(file: SpoolFile, lane: Lane) -> list[tuple[int, Observation]]:
    """(seq, observation) of all rows that wait, as they would travel."""
    rows: list[tuple[int, Observation]] = []
    while (found := file.fetch(lane, rows[-1][0] if rows else 0, 5_000, 500_000)).pieces:
        rows += decode_batch(join_batch(GatewayId("gw"), file.epoch, lane, found.pieces)).rows
    return rows


class Device:
    """A device's end of a link: `async with Device(port) as device`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.received = b""
        self.ended = False

    async def __aenter__(self) -> "Device":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        self._writer.transport.abort()

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    def hang_up(self) -> None:
        self._writer.close()

    @property
    def confirmed(self) -> int:
        """How many reports the edge has confirmed (GB/T 26875.3 command 3); it also sends its time."""
        found, at = 0, 0
        while len(self.received) >= at + ANSWER_BYTES_MIN:
            found += self.received[at + 26] == CONFIRM
            at += ANSWER_BYTES_MIN + int.from_bytes(self.received[at + 24 : at + 26], "little")
        return found

    async def _read(self) -> None:
        try:
            while data := await self._reader.read(65536):
                self.received += data
        except OSError:
            pass
        self.ended = True
