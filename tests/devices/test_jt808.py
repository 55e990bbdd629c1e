"""Vehicle terminals: what their messages mean, what they are answered, and how sub-packets are joined."""

from datetime import UTC, datetime, timedelta

import pytest

from devices.families import jt808, jt808_bodies, jt808_wire
from devices.observation import Alarm, Event, Observation, Position, Rejected, Result, Telemetry
from tests.devices.frames import EMERGENCY_BODY, LOCATION_BODY, NOW
from tests.devices.frames import jt808 as frame

OBSERVED = datetime(2026, 11, 24, 12, 29, 50, tzinfo=UTC)


def session() -> jt808.Session:
    return jt808.Session(jt808.Settings(), {"13912345678"})


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def answers(data: bytes) -> list[tuple[int, dict[str, object]]]:
    inner = [piece for piece in data.split(b"\x7e") if piece]
    messages = [jt808_wire.read_message(jt808_wire.unescape(piece)) for piece in inner]
    return [(message.id, jt808_bodies.read_body(message)) for message in messages]


def test_a_location_with_the_emergency_bit() -> None:
    link = session()
    found = link.receive(frame("0200", EMERGENCY_BODY), NOW)
    alarm, *cleared, position, telemetry = bodies(found)
    assert alarm == Alarm(kind="sos")
    assert {body.kind for body in cleared if isinstance(body, Alarm)} == jt808.CLEARED_BY_TERMINAL
    assert isinstance(position, Position)
    assert (position.longitude, position.latitude, position.speed_kmh) == (120.4838, 30.7436, 36.0)
    assert telemetry == Telemetry({"gnss_satellites": 9})
    assert {result.observed_at for result in found if isinstance(result, Observation)} == {OBSERVED}
    assert answers(link.to_send()) == [(0x8001, {"reply_serial": 7, "reply_id": "0x0200", "result": 0})]


def test_register_and_log_in() -> None:
    link = session()
    register = "0021" + "012C" + "3730313037" + "00" * 20 + "32333636313034" + "02" + "CBD54241"
    [found] = link.receive(frame("0100", register), NOW)
    assert isinstance(found, Observation)
    assert isinstance(found.body, Event)
    assert (found.body.kind, found.body.attributes["plate"]) == ("registered", "苏BA")
    [(id_, fields)] = answers(link.to_send())
    assert (id_, fields["result"]) == (0x8100, 0)
    code = str(fields["auth_code"]).encode().hex()
    assert bodies(link.receive(frame("0102", code), NOW))[0] == Event(kind="authenticated")


def test_a_stranger_who_registers_is_told_so() -> None:
    link = session()
    [found] = link.receive(frame("0100", "00" * 40, phone="000000000099"), NOW)
    assert isinstance(found, Rejected)
    assert answers(link.to_send()) == [(0x8100, {"reply_serial": 7, "result": 4})]


def test_what_the_terminal_ends_itself_is_cleared_and_sos_is_not() -> None:
    link = session()
    link.receive(frame("0200", "00000003" + LOCATION_BODY[8:]), NOW)  # SOS and overspeed
    cleared = [body for body in bodies(link.receive(frame("0200", LOCATION_BODY, serial=8), NOW)) if _cleared(body)]
    assert cleared == [Alarm(kind="overspeed", raised=False)]


def _cleared(body: object) -> bool:
    return isinstance(body, Alarm) and not body.raised


def test_without_a_fix_there_is_no_position() -> None:
    nowhere = LOCATION_BODY[:8] + "00000001" + "00000000" * 2 + LOCATION_BODY[32:]
    assert not any(isinstance(body, Position) for body in bodies(session().receive(frame("0200", nowhere), NOW)))


def test_a_batch_is_several_reports_with_ids_of_their_own() -> None:
    body = "0002" + "01" + 2 * (f"{len(LOCATION_BODY) // 2:04X}" + LOCATION_BODY)
    found = session().receive(frame("0704", body), NOW)
    positions = [result for result in found if isinstance(result, Observation) and isinstance(result.body, Position)]
    assert len(positions) == 2
    assert len({position.frame_id for position in positions}) == 2


def parts(order: list[int]) -> list[tuple[int, bytes]]:
    half = len(LOCATION_BODY) // 4 * 2
    pieces = {1: LOCATION_BODY[:half], 2: LOCATION_BODY[half:]}
    return [(index, frame("0200", pieces[index], serial=20 + index, parts=f"0002{index:04X}")) for index in order]


@pytest.mark.parametrize("order", [[1, 2], [2, 1], [1, 1, 2]])
def test_sub_packets_are_joined_in_any_order(order: list[int]) -> None:
    link = session()
    found = [body for _, part in parts(order) for body in bodies(link.receive(part, NOW))]
    assert sum(isinstance(body, Position) for body in found) == 1


def test_missing_parts_are_asked_for_and_given_up_in_time() -> None:
    link = session()
    [(_, last)] = parts([2])
    link.receive(last, NOW)
    asked = jt808_wire.read_message(jt808_wire.unescape(link.to_send().split(b"\x7e")[3]))
    assert (asked.id, asked.body.hex()) == (0x8003, "0015" + "01" + "0001")
    [(_, first)] = parts([1])
    late = NOW + timedelta(seconds=jt808.PARTS_S_MAX + 1)
    assert bodies(link.receive(first, late)) == [Telemetry({})]


def test_two_frames_may_share_a_mark() -> None:
    first, second = frame("0200", LOCATION_BODY), frame("0200", LOCATION_BODY, serial=8)
    found = session().receive(first + second[1:], NOW)
    assert sum(isinstance(body, Position) for body in bodies(found)) == 2


def test_a_phone_that_is_no_bcd_is_an_imei() -> None:
    native_id = "123451042521700"  # 48 bits hold 12345104252170, the check digit follows
    phone = f"{12345104252170:012x}"
    link = jt808.Session(jt808.Settings(), {"12345104252170" + jt808.luhn_digit("12345104252170")})
    found = link.receive(frame("0002", "", phone=phone), NOW)
    assert jt808.luhn_digit("49015420323751") == "8"
    assert len(native_id) == 15
    assert bodies(found) == [Telemetry({})]
