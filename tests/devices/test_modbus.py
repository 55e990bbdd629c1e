"""Modbus sensors: what register maps make of reads, what a link has to read, and settings that cannot be."""

import struct
from typing import Any

import msgspec
import pytest
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import ReadDiscreteInputsResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadHoldingRegistersResponse

from devices.families import modbus, modbus_wire
from devices.families.modbus_maps import MAPS, Point
from devices.family import Message
from devices.framing import crc16
from devices.observation import Alarm, Observation, Rejected, Result, Telemetry
from tests.devices.frames import NOW


def settings(*units: dict[str, Any], **maps: list[dict[str, Any]]) -> modbus.Settings:
    return msgspec.convert({"units": units, "maps": maps}, modbus.Settings)


def session(*units: dict[str, Any], **maps: list[dict[str, Any]]) -> modbus.Session:
    return modbus.Session(settings(*units, **maps), {unit["device"] for unit in units})


def unit(map_: str, number: int = 1, device: str = "hall-a", base: int = 0) -> dict[str, Any]:
    return {"unit": number, "device": device, "map": map_, "base": base}


def registers(channel: str, *values: int) -> Message:
    return Message(channel, b"".join(value.to_bytes(2) for value in values))


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def test_the_page_names_every_map() -> None:
    assert modbus.__doc__ is not None
    assert {name for name in MAPS if f"`{name}`" in modbus.__doc__} == set(MAPS)
    own = modbus.__doc__[modbus.__doc__.index("maps = {") :].partition("`")[0]
    settings = msgspec.toml.decode(own.replace("\n", " "), type=modbus.Settings)
    assert [point.alarm for point in settings.maps["hall"]] == ["smoke", "fault"]


def test_climate_with_a_temperature_below_zero() -> None:
    found = session(unit("jxct_th")).receive(registers("unit/1/holding/0", 658, 0xFF9B), NOW)
    assert bodies(found) == [Telemetry({"humidity_percent": 65.8, "temperature_c": -10.1})]
    assert found[0].device == "modbus:hall-a"


@pytest.mark.parametrize("raw", [0x7FFF, 0x8000, 0xFFFF, 2000])
def test_a_missing_sensor_measures_nothing(raw: int) -> None:
    found = session(unit("jxct_th")).receive(registers("unit/1/holding/0", raw, 200), NOW)
    assert bodies(found) == [Telemetry({"temperature_c": 20.0})]


def test_a_missing_value_is_none_though_it_could_be_measured() -> None:
    found = session(unit("pzem_004t")).receive(registers("unit/1/input/0", 0x7FFF, 0, 0), NOW)
    assert bodies(found) == [Telemetry({"current_a": 0.0})]


def test_smoke_is_told_when_it_changes() -> None:
    link = session(unit("renke_smoke"))
    told = [bodies(link.receive(registers("unit/1/holding/3", value), NOW)) for value in (1, 1, 0, 0, 1)]
    raised, ended, nothing = [Alarm(kind="smoke")], [Alarm(kind="smoke", raised=False)], [Telemetry({})]
    assert told == [raised, nothing, ended, nothing, raised]
    assert bodies(session(unit("renke_smoke")).receive(registers("unit/1/holding/3", 0), NOW)) == ended


def test_dry_contacts_are_bits() -> None:
    link = session(unit("contacts_4"))
    found = bodies(link.receive(Message("unit/1/discrete/0", bytes((0, 1, 0, 1))), NOW))
    assert found[:2] == [Alarm(kind="fire", component="input-1"), Alarm(kind="fault", component="input-3")]
    assert all(isinstance(body, Alarm) and not body.raised for body in found[2:])


def test_bits_of_a_register_and_contacts_that_open() -> None:
    points = [
        {"address": 0, "alarm": "gas", "bit": 2},
        {"address": 0, "alarm": "fault", "bit": 7, "inverted": True},
        {"address": 1, "alarm": "heat", "raised_at": [2, 3]},
    ]
    found = bodies(session(unit("own"), own=points).receive(registers("unit/1/holding/0", 0x0084, 3), NOW))
    assert found[:2] == [Alarm(kind="gas"), Alarm(kind="heat")]
    assert found[2] == Alarm(kind="fault", raised=False)


def test_one_kind_from_two_points_is_raised_by_either() -> None:
    points = [{"address": address, "alarm": "fire"} for address in (0, 1)]
    link = session(unit("own"), own=points)
    assert bodies(link.receive(registers("unit/1/holding/0", 0, 1), NOW)) == [Alarm(kind="fire")]
    assert bodies(link.receive(registers("unit/1/holding/0", 1, 0), NOW)) == [Telemetry({})]


@pytest.mark.parametrize(
    ("order", "raw"), [("abcd", "41CC0000"), ("cdab", "000041CC"), ("badc", "CC410000"), ("dcba", "0000CC41")]
)
def test_the_four_orders_of_a_float(order: str, raw: str) -> None:
    points = [{"address": 10, "type": "f32", "order": order, "metric": "temperature_c"}]
    found = session(unit("own"), own=points).receive(Message("unit/1/holding/10", bytes.fromhex(raw)), NOW)
    assert bodies(found) == [Telemetry({"temperature_c": 25.5})]


def test_numbers_of_two_registers() -> None:
    assert modbus_wire.read_value([0xFFFF, 0xFFFE], "s32", "abcd") == -2
    assert modbus_wire.read_value([2, 1], "u32", "cdab") == 0x00010002
    assert modbus_wire.read_value(list(struct.unpack(">HH", struct.pack(">f", float("nan")))), "f32", "abcd") is None


def test_only_what_a_read_holds_whole_is_read() -> None:
    link = session(unit("jxct_th"))
    assert link.receive(registers("unit/1/input/0", 658), NOW) == []
    assert bodies(link.receive(registers("unit/1/holding/1", 200), NOW)) == [Telemetry({"temperature_c": 20.0})]


def test_manuals_that_count_from_one_and_two_sensors_in_a_unit() -> None:
    two = (unit("jxct_th", device="hall-a", base=1), unit("renke_smoke", device="hall-b", base=7))
    link = session(*two)
    found = link.receive(registers("unit/1/holding/0", 0, 500, 200, 0, 0, 0, 0, 0, 0, 0, 1), NOW)
    assert [(result.device, body) for result, body in zip(found, bodies(found), strict=True)] == [
        ("modbus:hall-a", Telemetry({"humidity_percent": 50.0, "temperature_c": 20.0})),
        ("modbus:hall-b", Alarm(kind="smoke")),
    ]


@pytest.mark.parametrize(
    "message",
    [
        Message("unit/9/holding/0", b"\0\1"),
        Message("unit/1/holding/0", b"\0"),
        Message("unit/1/holding/0", b""),
        Message("unit/1/coil/0", b"\2"),
        Message("unit/1/holding/0", bytes(2 * 126)),
        Message("elsewhere", b"\0\1"),
    ],
)
def test_what_is_no_read_of_ours_is_refused(message: Message) -> None:
    assert all(isinstance(result, Rejected) for result in session(unit("jxct_th")).receive(message, NOW))


def test_what_a_link_has_to_read_alarms_first_and_neighbours_at_once() -> None:
    points = [
        {"address": 0, "metric": "temperature_c"},
        {"address": 8, "metric": "humidity_percent"},
        {"address": 17, "type": "u32", "metric": "co_ppm"},
        {"address": 200, "metric": "co2_ppm"},
        {"table": "input", "address": 5, "alarm": "smoke"},
    ]
    wanted = modbus.reads(settings(unit("own", number=7), own=points))
    assert [(read.channel, read.count) for read in wanted] == [
        ("unit/7/input/5", 1),
        ("unit/7/holding/0", 19),
        ("unit/7/holding/200", 1),
    ]


def test_no_read_is_longer_than_modbus_allows() -> None:
    points = [{"address": address, "metric": "temperature_c"} for address in range(0, 400, 4)]
    wanted = modbus.reads(settings(unit("own"), own=points))
    assert max(read.count for read in wanted) <= modbus_wire.REGISTERS_MAX
    assert wanted[-1].address + wanted[-1].count == 397


@pytest.mark.parametrize(
    "wrong",
    [
        {"units": [unit("no_such_map")]},
        {"units": [unit("jxct_th"), unit("jxbs_co")]},
        {"units": [unit("jxct_th", base=-1)]},
        {"maps": {"own": [{"address": 0}]}},
        {"maps": {"own": [{"address": 0, "metric": "temperature_c", "alarm": "smoke"}]}},
        {"maps": {"own": [{"address": 0, "metric": "no_such_metric"}]}},
        {"maps": {"own": [{"address": 0, "alarm": "no_such_alarm"}]}},
        {"maps": {"own": [{"address": 65_535, "type": "u32", "metric": "co_ppm"}]}},
        {"maps": {"own": []}},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, modbus.Settings)


def test_every_map_of_ours_can_be_read() -> None:
    for name, points in MAPS.items():
        assert modbus.reads(settings(unit(name)))
        assert all(isinstance(point, Point) for point in points)


def test_frames_of_both_kinds() -> None:
    body = bytes.fromhex("010302028A")
    rtu = modbus_wire.read_rtu(body + crc16(body, 0xFFFF).to_bytes(2, "little"))
    assert rtu is not None
    assert (rtu.crc_ok, modbus_wire.read_answer(rtu)) == (True, {"registers": [650]})
    refused = modbus_wire.read_tcp(bytes.fromhex("000100000003018302"))
    assert refused is not None
    assert modbus_wire.read_answer(refused) == {"exception": 2}
    bits = modbus_wire.read_tcp(bytes.fromhex("00010000000401020105"))
    assert bits is not None
    assert modbus_wire.read_answer(bits) == {"bits": [1, 0, 1, 0, 0, 0, 0, 0]}
    for short in ("", "0001000000060103", "000100010003018302"):
        assert modbus_wire.read_tcp(bytes.fromhex(short)) is None


ANSWERS = (
    (ReadHoldingRegistersResponse(registers=[658, 0xFF9B], dev_id=17, transaction_id=7), {"registers": [658, 0xFF9B]}),
    (ReadDiscreteInputsResponse(bits=[True, False, True], dev_id=17, transaction_id=7), {"bits": [1, 0, 1] + [0] * 5}),
    (ExceptionResponse(3, 2, device_id=17, transaction=7), {"exception": 2}),
)


@pytest.mark.parametrize(("answer", "fields"), ANSWERS)
def test_frames_that_a_library_of_others_builds(answer: ModbusPDU, fields: dict[str, Any]) -> None:
    rtu = modbus_wire.read_rtu(FramerRTU(DecodePDU(False)).buildFrame(answer))
    tcp = modbus_wire.read_tcp(FramerSocket(DecodePDU(False)).buildFrame(answer))
    assert rtu is not None and tcp is not None
    assert rtu.crc_ok
    assert (rtu.unit, tcp.unit, tcp.transaction) == (17, 17, 7)
    assert modbus_wire.read_answer(rtu) == modbus_wire.read_answer(tcp) == fields


def test_a_request_that_a_library_of_others_builds() -> None:
    request = ReadHoldingRegistersRequest(address=6, count=2, dev_id=17)
    adu = modbus_wire.read_rtu(FramerRTU(DecodePDU(False)).buildFrame(request))
    assert adu is not None
    assert modbus_wire.read_request(adu) == {"address": 6, "count": 2}
