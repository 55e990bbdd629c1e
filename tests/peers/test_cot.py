"""Cursor on Target with takproto: its protobuf and its reading of XML."""

from datetime import UTC, datetime
from typing import Any

import pytest

from devices.families import cot, cot_wire
from devices.observation import Alarm, Observation, Position, Telemetry

takproto: Any = pytest.importorskip("takproto", reason="takproto writes and reads the messages")

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
UNIT = b"""<event version="2.0" uid="PHONE-7" type="a-f-G-U-C" how="m-g" time="2026-11-24T12:29:50.000Z"
 start="2026-11-24T12:29:50.000Z" stale="2026-11-24T12:32:50.000Z">
<point lat="30.7436" lon="120.4838" hae="25.0" ce="5.0" le="9999999.0"/>
<detail><contact callsign="Gate 3"/><status battery="87"/><track speed="10" course="90"/></detail></event>"""
SOS = UNIT.replace(b"a-f-G-U-C", b"b-a-o-tbl").replace(
    b"<detail>", b'<detail><emergency type="911 Alert">Gate 3</emergency>'
)


def from_takproto(xml: bytes, form: Any) -> list[Any]:
    data = bytes(takproto.xml2proto(xml, form))
    session = cot.Session(cot.Settings(), {"PHONE-7"})
    found = [*session.receive(data, NOW), *session.idle(NOW)]
    assert all(isinstance(one, Observation) for one in found), found
    return [one.body for one in found]


@pytest.mark.parametrize("form", [takproto.TAKProtoVer.STREAM, takproto.TAKProtoVer.MESH], ids=["stream", "mesh"])
def test_we_read_what_takproto_writes(form: Any) -> None:
    position, telemetry = from_takproto(UNIT, form)
    assert isinstance(position, Position)
    assert (position.latitude, position.longitude, position.altitude_m) == (30.7436, 120.4838, 25.0)
    assert (position.speed_kmh, position.course_deg) == (36.0, 90.0)
    assert telemetry == Telemetry({"battery_percent": 87})


@pytest.mark.parametrize("form", [takproto.TAKProtoVer.STREAM, takproto.TAKProtoVer.MESH], ids=["stream", "mesh"])
def test_an_sos_by_takproto_is_an_alarm(form: Any) -> None:
    assert Alarm(kind="sos", description="911 Alert Gate 3") in from_takproto(SOS, form)


@pytest.mark.parametrize("write", [cot_wire.write_stream, cot_wire.write_mesh], ids=["stream", "mesh"])
def test_takproto_reads_what_we_write(write: Any) -> None:
    event = cot_wire.read_event(UNIT)
    assert event is not None
    read = takproto.parse_proto(bytearray(write(event))).cotEvent
    assert (read.uid, read.type, read.how, read.lat, read.lon) == ("PHONE-7", "a-f-G-U-C", "m-g", 30.7436, 120.4838)
    assert (read.sendTime, read.staleTime) == (1_795_523_390_000, 1_795_523_570_000)
    assert (read.detail.contact.callsign, read.detail.status.battery) == ("Gate 3", 87)
    assert (read.detail.track.speed, read.detail.track.course) == (10.0, 90.0)


def test_takproto_reads_our_xml() -> None:
    event = cot_wire.read_event(UNIT)
    assert event is not None
    read = takproto.parse_proto(bytearray(cot_wire.write_event(event))).cotEvent
    assert (read.uid, read.lat, read.hae, read.detail.status.battery) == ("PHONE-7", 30.7436, 25.0, 87)
