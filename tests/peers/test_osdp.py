"""OSDP with libosdp as the reader: our control panel asks it, in clear text and in the secure channel."""

import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from devices.families import osdp
from devices.observation import Event, Observation, Rejected, Result

peer: Any = pytest.importorskip("osdp", reason="libosdp is the reader; it has wheels for Linux only")

KEY = bytes(range(16))
WAIT_S_MAX = 20.0
CARD = int("00100010010100010010011111" + "0" * 6, 2).to_bytes(4)  # 26 bits: facility 68, card 41551
CAPABILITIES = [
    (peer.Capability.OutputControl, 1, 1),
    (peer.Capability.LEDControl, 1, 1),
    (peer.Capability.AudibleControl, 1, 1),
    (peer.Capability.CommunicationSecurity, 1, 1),
]


class Wire(peer.Channel):
    """The line between the two, without a port."""

    def __init__(self) -> None:
        super().__init__()
        self.to_reader, self.to_panel = bytearray(), bytearray()

    def read(self, max_bytes: int) -> bytes:
        taken = bytes(self.to_reader[:max_bytes])
        del self.to_reader[:max_bytes]
        return taken

    def write(self, buf: bytes) -> int:
        self.to_panel += buf
        return len(buf)

    def flush(self) -> None:
        self.to_reader.clear()


class Line:
    def __init__(self, key: bytes, readers_key: bytes) -> None:
        self.wire = Wire()
        flags = [peer.LibFlag.EnforceSecure] if readers_key else []
        info = peer.PDInfo(5, self.wire, scbk=readers_key or None, flags=flags)
        capabilities = peer.PDCapabilities(CAPABILITIES)
        self.reader = peer.PeripheralDevice(info, capabilities, log_level=peer.LogLevel.Critical)
        settings = {"readers": [{"address": 5, "key": key.hex()}]}
        self.panel = osdp.Session(msgspec.convert(settings, osdp.Settings), {"bus/5"})
        self.found: list[Result] = []

    def until(self, happened: Any) -> None:
        end = time.monotonic() + WAIT_S_MAX
        while not happened():
            assert time.monotonic() < end, self.found
            self.found += self.panel.idle(datetime.now(UTC))
            self.wire.to_reader += self.panel.to_send()
            self.reader.ctx.refresh()
            heard = bytes(self.wire.to_panel)
            self.wire.to_panel.clear()
            self.found += self.panel.receive(heard, datetime.now(UTC)) if heard else []
            time.sleep(0.005)  # both have clocks of their own

    def events(self, kind: str) -> list[Event]:
        bodies = [one.body for one in self.found if isinstance(one, Observation)]
        return [body for body in bodies if isinstance(body, Event) and body.kind == kind]


@pytest.mark.parametrize("key", [b"", KEY], ids=["clear", "secure"])
def test_a_reader_is_found_and_its_card_is_told_without_its_number(key: bytes) -> None:
    line = Line(key, key)
    line.until(lambda: line.events("attributes") and line.reader.is_online())
    line.until(lambda: bool(line.reader.is_sc_active()) == bool(key))
    card = {
        "event": peer.Event.CardRead,
        "reader_no": 0,
        "direction": 0,
        "format": peer.CardFormat.Wiegand,
        "data": CARD,
        "length": 26,
    }
    assert line.reader.ctx.submit_event(card) in (0, None, True)
    line.until(lambda: line.events("access"))
    assert line.events("access")[0].attributes == {"granted": "undecided", "credential": "card", "format": "H10301"}


def test_a_reader_with_another_key_is_not_believed() -> None:
    line = Line(KEY, bytes(16))
    line.until(lambda: any(isinstance(one, Rejected) for one in line.found))
    assert not line.events("access") and not line.reader.is_sc_active()
