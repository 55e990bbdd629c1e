"""Peers that we did not write: their libraries and ours on one line. Skipped where they are not installed.

`pip install libosdp takproto` gives them (libosdp is imported as `osdp`).
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from devices.families import cot_sent, cot_wire, osdp
from devices.family import DeviceCommand
from devices.observation import CommandAnswer, Event, Observation, Result

WAIT_S = 15.0
KEY = bytes(range(1, 17))
AT = datetime(2026, 11, 24, 12, 0, 0, 123_000, tzinfo=UTC)
UNIT = cot_sent.Unit("PHONE-7", "Nörd <gate> & co", cot_wire.Point(30.7436, 120.4838, hae=12.5, ce=4.0))
SENT = [
    cot_sent.alert(UNIT, "b-a-o-tbl", AT),
    cot_sent.alert(UNIT, cot_wire.CANCEL, AT),
    cot_sent.position(UNIT, AT),
    cot_sent.chat("gridward-edge", "PHONE-7", "n-1", "to <you>", AT),
]


# --- TAK: takproto -------------------------------------------------------------------------------


@pytest.mark.parametrize("event", SENT, ids=lambda event: event.type)
@pytest.mark.parametrize("write", [cot_wire.write_stream, cot_wire.write_mesh])
def test_takproto_reads_what_we_write(event: cot_wire.Event, write: Callable[[cot_wire.Event], bytes]) -> None:
    takproto: Any = pytest.importorskip("takproto")
    read = takproto.parse_proto(bytearray(write(event))).cotEvent
    assert event.point is not None
    assert (read.uid, read.type, read.how, read.lat) == (event.uid, event.type, event.how, event.point.lat)
    assert read.sendTime == round(AT.timestamp() * 1000)
    assert read.detail.contact.callsign == (event.said("contact", "callsign") or "")


@pytest.mark.parametrize("event", SENT, ids=lambda event: event.type)
@pytest.mark.parametrize("header", ["STREAM", "MESH"])
def test_we_read_what_takproto_writes(event: cot_wire.Event, header: str) -> None:
    takproto: Any = pytest.importorskip("takproto")
    xml = cot_wire.write_event(event).removeprefix(cot_wire.DECLARATION).decode()
    read = cot_wire.read_frame(bytes(takproto.xml2proto(xml, takproto.TAKProtoVer[header])))
    assert read is not None
    assert (read.uid, read.type, read.emergency, read.links) == (event.uid, event.type, event.emergency, event.links)
    assert (read.point, read.time, read.stale) == (event.point, event.time, event.stale)


# --- OSDP: libosdp's reader on our control panel -------------------------------------------------


class Wire:
    """What libosdp calls a channel."""

    id = 0

    def __init__(self) -> None:
        self.to_reader = self.to_panel = b""

    def read(self, count: int) -> bytes:
        taken, self.to_reader = self.to_reader[:count], self.to_reader[count:]
        return taken

    def write(self, data: bytes) -> int:
        self.to_panel += bytes(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""


class Bus:
    """A reader of libosdp and a session of ours; bytes go to and fro as fast as both like."""

    def __init__(self, peer: Any, key: bytes | None, reader: dict[str, object], install: bool) -> None:
        self.wire = Wire()
        self.heard: list[dict[str, Any]] = []
        flags = [peer.LibFlag.InstallMode] if install else []
        able = peer.PDCapabilities([(peer.Capability.AudibleControl, 1, 1), (peer.Capability.OutputControl, 1, 2)])
        self.reader = peer.PeripheralDevice(
            peer.PDInfo(5, self.wire, key, flags=flags),
            able,
            log_level=peer.LogLevel.Error,
            command_handler=self._command,
        )
        settings = {"readers": [{"address": 5, **reader}], "reply_s": 1.0}
        self.panel = osdp.Session(msgspec.convert(settings, osdp.Settings), {"bus/5"})
        self.found: list[Result] = []

    def _command(self, command: dict[str, Any]) -> tuple[int, None]:
        self.heard.append(command)
        return 0, None

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, self.found
            self.found += self.panel.idle(datetime.now(UTC))
            self.wire.to_reader += self.panel.to_send()
            self.reader.ctx.refresh()
            answer, self.wire.to_panel = self.wire.to_panel, b""
            self.found += self.panel.receive(answer, datetime.now(UTC)) if answer else []
            time.sleep(0.001)  # both sides have clocks of their own

    def told(self, kind: str) -> list[dict[str, str]]:
        bodies = [one.body for one in self.found if isinstance(one, Observation)]
        return [body.attributes for body in bodies if isinstance(body, Event) and body.kind == kind]


@pytest.mark.parametrize(
    ("key", "reader", "install"),
    [
        (None, {}, False),
        (KEY, {"key": KEY.hex()}, False),
        (None, {"key": KEY.hex(), "install": True}, True),
    ],
    ids=["clear", "key", "install"],
)
def test_a_reader_of_libosdp_obeys_our_panel(key: bytes | None, reader: dict[str, object], install: bool) -> None:
    peer: Any = pytest.importorskip("osdp")
    if not hasattr(peer, "PeripheralDevice"):
        pytest.skip("another package of that name")
    bus = Bus(peer, key, reader, install)
    bus.until(lambda: bool(bus.told("attributes")) and (not reader or bus.reader.is_sc_active()))
    card = {"event": peer.Event.CardRead, "reader_no": 0, "direction": 0, "format": peer.CardFormat.Wiegand}
    bus.reader.ctx.submit_event(card | {"length": 26, "data": bytes.fromhex("225127C0")})
    bus.until(lambda: bool(bus.told("access")))
    assert bus.told("access") == [{"granted": "undecided", "credential": "card", "format": "H10301"}]
    asked = DeviceCommand(nonce="n-1", native_id="bus/5", action="buzzer", args={"count": "2"})
    bus.panel.command(asked, datetime.now(UTC))
    bus.until(lambda: any(isinstance(one, CommandAnswer) for one in bus.found))
    assert CommandAnswer(nonce="n-1", result="accepted") in bus.found
    assert [one["rep_count"] for one in bus.heard if "rep_count" in one] == [2]
