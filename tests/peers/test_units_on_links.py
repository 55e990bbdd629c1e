"""Units of TAK and APRS on real links: emergencies come in, texts go out and are answered, alerts reach the far end.

The far end of TAK reads with takproto what it is sent; that of APRS is the server's side of its text protocol.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devices.families import aprs, aprs_wire, cot
from devices.family import DeviceCommand, Family
from devices.observation import Alarm, CommandAnswer
from edge import clock
from edge.links_dialled import DialledLink, over_tcp
from edge.turns import Turns
from tests.devices.frames import COT_LINK, MIC_E
from tests.devices.frames import aprs as packet
from tests.edge.site import until
from tests.edge.test_links_dialled import FarEnd
from tests.edge.wired import Behind, behind

takproto: Any = pytest.importorskip("takproto", reason="takproto reads what we send")

PHONE, STATION = "PHONE-7", "BH4ABC-7"
POINT = '<point lat="30.7436" lon="120.4838" hae="25.0" ce="5.0" le="9999999.0"/>'
EVENT = (
    '<event version="2.0" uid="{uid}" type="{type}" how="m-g" time="{at}" start="{at}" stale="{at}">'
    + POINT
    + "<detail>{detail}</detail></event>"
)
EMERGENCY = '<emergency type="911 Alert">Gate 3</emergency>' + COT_LINK
CANCEL = '<emergency cancel="true">Gate 3</emergency>' + COT_LINK


def event(uid: str, type_: str, detail: str = "") -> bytes:
    at = f"{clock.now():%Y-%m-%dT%H:%M:%SZ}"
    return EVENT.format(uid=uid, type=type_, at=at, detail=detail).encode()


@asynccontextmanager
async def link(made: Behind, family: Family, port: int, native_id: str, **settings: Any) -> AsyncIterator[DialledLink]:
    wiring = made.wiring(msgspec.convert(settings, family.settings), native_id)
    client = DialledLink(wiring, family, Turns(), over_tcp("127.0.0.1", port))
    await client.open()
    try:
        yield client
    finally:
        client.stop_reading()
        await client.close()


def told(made: Behind) -> list[tuple[str, bool]]:
    return [(row.body.kind, row.body.raised) for row in made.rows() if isinstance(row.body, Alarm)]


def text(native_id: str, **more: Any) -> DeviceCommand:
    given = {"nonce": "n-1", "native_id": native_id, "action": "text", "args": {"text": "Go to gate 3"}}
    return DeviceCommand(**(given | more))


async def test_a_tak_server(tmp_path: Path) -> None:
    server = FarEnd()
    port = await server.open()
    async with behind(tmp_path) as made, link(made, cot.FAMILY, port, PHONE) as tak:
        await until(lambda: server.lines, "dialled")
        server.say(event(f"{PHONE}-9-1-1", "b-a-o-tbl", EMERGENCY))
        await until(lambda: told(made) == [("sos", True)], "raised")
        server.say(event(f"{PHONE}-9-1-1", "b-a-o-can", CANCEL))
        await until(lambda: told(made) == [("sos", True), ("sos", False)], "ended")

        tak.command(text(PHONE), clock.now())
        await until(lambda: b"</event>" in server.received, "sent")
        chat = takproto.parse_proto(bytearray(server.received)).cotEvent
        assert (chat.type, chat.uid) == ("b-t-f", f"GeoChat.gridward-edge.{PHONE}.n-1")
        assert "Go to gate 3" in chat.detail.xmlDetail
        receipt = '<__chatreceipt messageId="n-1" chatroom="x"/>' + COT_LINK
        for type_ in ("b-t-f-d", "b-t-f-r"):
            server.say(event("n-1", type_, receipt))
        await until(lambda: [one.result for one in made.answers] == ["accepted", "confirmed"], "received and read")

        server.received = b""
        tak.command(text(PHONE, action="alert", args={"callsign": "Gate 3"}), clock.now())
        await until(lambda: b"</event>" in server.received, "sent")
        alert = takproto.parse_proto(bytearray(server.received)).cotEvent
        assert (alert.type, alert.uid, round(alert.lat, 4)) == ("b-a-o-tbl", f"{PHONE}-9-1-1", 30.7436)
        server.say(server.received)  # a server that sends our own back
        server.say(event(PHONE, "a-f-G-U-C"))
        await until(lambda: made.rows("routine"), "and goes on")
        assert told(made) == [("sos", True), ("sos", False)]
    await server.close()


async def test_an_aprs_server(tmp_path: Path) -> None:
    server = FarEnd()
    port = await server.open()
    settings = {"callsign": "BH4VEN", "filter": "r/30/120/50", "transmit": True}
    async with behind(tmp_path) as made, link(made, aprs.FAMILY, port, STATION, **settings) as station:
        await until(lambda: server.lines, "dialled")
        server.say(b"# aprsc 2.1.14\r\n")
        login = b"user BH4VEN pass %d vers gridward 1 filter r/30/120/50\r\n" % aprs_wire.passcode("BH4VEN")
        await until(lambda: server.received == login, "logged in")
        server.say(packet(MIC_E))
        await until(lambda: told(made) == [("sos", True)], "raised")

        station.command(text(STATION), clock.now())
        sent = b"BH4VEN>APZGRD,TCPIP*::BH4ABC-7 :Go to gate 3{1\r\n"
        await until(lambda: server.received == login + sent, "sent")
        server.say(packet("APRS::BH4VEN   :ack1"))
        await until(lambda: made.answers == [CommandAnswer(nonce="n-1", result="accepted")], "acknowledged")
        server.received = b""
        server.say(packet("APRS::BH4VEN   :on my way{12"))
        await until(lambda: server.received == b"BH4VEN>APZGRD,TCPIP*::BH4ABC-7 :ack12\r\n", "and we acknowledge")
    await server.close()
