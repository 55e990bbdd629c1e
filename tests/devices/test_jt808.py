"""Vehicle terminals: what their messages mean, what they are answered, and how sub-packets are joined."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from devices.families import jt808, jt808_bodies, jt808_parts, jt808_wire
from devices.framing import xor8
from devices.observation import TEXT_CHARS_MAX, Alarm, Event, Observation, Position, Rejected, Result, Telemetry
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


def test_a_terminal_that_starts_again_without_a_clock_does_not_hide_a_second_sos() -> None:
    """Its serial begins anew, and so does its clock."""
    names = set()
    for hours in (0, 2, 4):
        found = session().receive(frame("0200", EMERGENCY_BODY), NOW + timedelta(hours=hours))
        names |= {result.frame_id for result in found if isinstance(result, Observation)}
        again = session().receive(frame("0200", EMERGENCY_BODY), NOW + timedelta(hours=hours, minutes=1))
        assert {result.frame_id for result in again if isinstance(result, Observation)} <= names
    assert len({name.partition(".")[0] for name in names}) == 3


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


@pytest.mark.parametrize(("kind", "flags"), [("00", ()), ("01", ("backlog",))])
def test_a_batch_that_was_kept_says_so(kind: str, flags: tuple[str, ...]) -> None:
    found = session().receive(frame("0704", f"0001{kind}{len(EMERGENCY_BODY) // 2:04X}{EMERGENCY_BODY}"), NOW)
    assert {result.flags for result in found if isinstance(result, Observation)} == {flags}


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
    late = NOW + timedelta(seconds=jt808_parts.PARTS_S_MAX + 1)
    found = link.receive(first, late)
    assert bodies(found) == [Telemetry({})]
    given_up = [result for result in found if isinstance(result, Rejected)]
    assert [(one.reason, one.device) for one in given_up] == [("sub-packets missing", "jt808:13912345678")]


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


NOWHERE = "FFFFFFFF" * 2


def located(**changes: str) -> str:
    """LOCATION_BODY with other `alarms`, `status`, `place` or `time`, hex."""
    parts = {
        "alarms": "00000000",
        "status": "00000003",
        "place": LOCATION_BODY[16:32],
        "time": "261124202950",
        **changes,
    }
    return f"{parts['alarms']}{parts['status']}{parts['place']}00050168005A" + parts["time"] + "310109"


def test_an_emergency_without_a_readable_place_is_still_an_emergency() -> None:
    found = session().receive(frame("0200", located(alarms="00000001", place=NOWHERE)), NOW)
    assert bodies(found)[0] == Alarm(kind="sos")
    assert not any(isinstance(body, Position) for body in bodies(found))
    assert any(isinstance(result, Rejected) and result.reason == "position not on the globe" for result in found)


@pytest.mark.parametrize(
    ("status", "place"),
    [("00000003", "00000000" * 2), ("00000001", "00000000" * 2), ("00000023", LOCATION_BODY[16:32])],
    ids=["fix at zero", "no fix", "encrypted"],
)
def test_what_is_no_place_makes_no_position(status: str, place: str) -> None:
    assert not any(
        isinstance(body, Position)
        for body in bodies(session().receive(frame("0200", located(status=status, place=place)), NOW))
    )


@pytest.mark.parametrize("time", ["000000000000", "000101000000", "261125202950", "2A1124202950"])
def test_impossible_times_are_replaced_and_flagged(time: str) -> None:
    found = session().receive(frame("0200", located(time=time)), NOW)[0]
    assert isinstance(found, Observation)
    assert (found.observed_at, found.flags) == (NOW, ("time_invalid",))


def test_a_stored_report_keeps_its_time() -> None:
    found = session().receive(frame("0200", located(time="261121202950")), NOW)[0]
    assert isinstance(found, Observation)
    assert (found.observed_at, found.flags) == (OBSERVED - timedelta(days=3), ())


def test_a_batch_that_is_cut_short_says_so() -> None:
    body = "0003" + "01" + f"{len(LOCATION_BODY) // 2:04X}" + LOCATION_BODY
    found = session().receive(frame("0704", body), NOW)
    assert sum(isinstance(body, Position) for body in bodies(found)) == 1
    assert [result.reason for result in found if isinstance(result, Rejected)] == ["batch cut short"]


def test_parts_of_two_messages_are_not_mixed() -> None:
    link = session()
    half = len(LOCATION_BODY) // 4 * 2
    first, second = LOCATION_BODY[:half], located(place="01D51C31" + "072E6FD9")[half:]
    assert bodies(link.receive(frame("0200", first, serial=21, parts="00020001"), NOW)) == [Telemetry({})]
    found = bodies(link.receive(frame("0200", second, serial=32, parts="00020002"), NOW))
    assert found == [Telemetry({})]


def test_a_part_that_was_asked_for_may_come_under_a_new_serial() -> None:
    link = session()
    [(_, last)] = parts([2])
    link.receive(last, NOW)
    half = len(LOCATION_BODY) // 4 * 2
    found = bodies(link.receive(frame("0200", LOCATION_BODY[:half], serial=90, parts="00020001"), NOW))
    assert sum(isinstance(body, Position) for body in found) == 1


def test_sub_packets_take_a_bounded_memory() -> None:
    link = session()
    reasons = set()
    for number in range(40):  # messages
        for index in range(1, 30):  # parts of 1,000 bytes, the last one missing
            part = frame("0801", "AB" * 1_000, serial=number * 30 + index, parts=f"001E{index:04X}")
            for result in link.receive(part, NOW):
                if isinstance(result, Rejected):
                    reasons.add(result.reason)
        link.to_send()
    assert link.joining_bytes <= jt808_parts.JOINING_BYTES_MAX
    for index in range(1, 201):
        part = frame("0801", "AB" * 1_000, serial=5_000 + index, parts=f"00FF{index:04X}")
        reasons |= {result.reason for result in link.receive(part, NOW) if isinstance(result, Rejected)}
        assert link.joining_bytes <= jt808_parts.JOINING_BYTES_MAX
    assert reasons == {"sub-packets too large", "sub-packets missing"}
    for number in range(200):  # nothing in them, but each a message of its own
        link.receive(frame("0801", "", serial=number, parts=f"{number % 200 + 2:04X}0001"), NOW)
    assert len(link._parts._joining) <= jt808_parts.JOINING_MAX


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("00020003", "sub-packet number wrong"),
        ("00020000", "sub-packet number wrong"),
        ("01010001", "sub-packets too large"),
    ],
)
def test_parts_that_cannot_be_are_refused_and_not_kept(item: str, reason: str) -> None:
    link = session()
    [found] = link.receive(frame("0200", LOCATION_BODY, parts=item), NOW)
    assert isinstance(found, Rejected)
    assert found.reason == reason
    assert link.joining_bytes == 0


def test_a_text_frame_is_answered_to_enrolled_terminals_only() -> None:
    text = b"(013912345678,1,001,BASE,2,TIME)"
    link = session()
    assert bodies(link.receive(text, NOW)) == [Telemetry({})]
    assert link.to_send() == text.replace(b"TIME", b"20261124123000")
    [found] = link.receive(text.replace(b"0139", b"0138"), NOW)
    assert isinstance(found, Rejected)
    assert (found.reason, found.device) == ("not enrolled", "jt808:13812345678")
    assert link.to_send() == b""


def test_a_text_frame_that_asks_no_time_is_told_and_not_sent_back() -> None:
    """A lock that tells its result must not hear its own words as an order."""
    link = session()
    [told] = bodies(link.receive(b"(013912345678,1,001,ELOCK,3,529439)", NOW))
    assert told == Event(kind="unknown_report", attributes={"text": "(013912345678,1,001,ELOCK,3,529439)"})
    assert link.to_send() == b""


@pytest.mark.parametrize("flag", [0, 0x4000])
def test_the_layout_is_the_one_whose_length_fits(flag: int) -> None:
    """The version flag lies in both directions."""
    for head in ("013912345678", "01" + "00000000013912345678"):
        raw = bytes.fromhex(f"0200{len(LOCATION_BODY) // 2 | flag:04X}{head}0007{LOCATION_BODY}")
        whole = b"\x7e" + jt808_wire.escape(raw + bytes((xor8(raw),))) + b"\x7e"
        link = session()
        assert any(isinstance(body, Position) for body in bodies(link.receive(whole, NOW)))
        answered = jt808_wire.read_message(jt808_wire.unescape(link.to_send().strip(b"\x7e")))
        assert (answered.phone.hex(), answered.is_2019) == (head[-20:], len(head) > 12)


def test_a_place_below_the_sea_is_not_above_the_clouds() -> None:
    low = LOCATION_BODY[:32] + "FFF6" + LOCATION_BODY[36:]
    [place] = [one for one in bodies(session().receive(frame("0200", low), NOW)) if isinstance(one, Position)]
    assert place.altitude_m == -10


def test_a_binary_frame_that_looks_like_text_is_none() -> None:
    for serial in range(256):  # one of them ends in a checksum that is ")"
        link = session()
        link.receive(frame("2800", "00", serial=serial), NOW)
        assert b"(" not in link.to_send()[:2]


def test_texts_are_short_and_hold_no_nul() -> None:
    link = session()
    register = "0021" + "012C" + "37003031" + "37" + "00" * 20 + "32333636313034" + "02" + "41" * 900
    [found] = link.receive(frame("0100", register), NOW)
    assert isinstance(found, Observation)
    assert isinstance(found.body, Event)
    assert found.body.attributes["manufacturer_id"] == "7017"
    assert len(found.body.attributes["plate"]) == TEXT_CHARS_MAX


def test_items_of_inputs_and_signals_are_telemetry_and_a_wrong_length_is_none() -> None:
    items = "2504" + "00000411" + "2A02" + "0002" + "2B04" + "00070102"
    [*_, telemetry] = bodies(session().receive(frame("0200", LOCATION_BODY + items), NOW))
    assert isinstance(telemetry, Telemetry)
    assert telemetry.values == {
        "gnss_satellites": 9,
        "vehicle_signals": 0x411,
        "vehicle_io_status": 2,
        "vehicle_analog_0": 0x102,
        "vehicle_analog_1": 7,
    }
    short = "2503" + "000411" + "2A01" + "02" + "2B02" + "0007"
    [*_, telemetry] = bodies(session().receive(frame("0200", LOCATION_BODY + short), NOW))
    assert telemetry == Telemetry({"gnss_satellites": 9})


def test_a_makers_items_are_read_as_the_installer_says() -> None:
    """Battery in the second byte of E4; in EB, whose parts have a length and a type each, voltage and battery."""
    inside = "000C00B289862280666134274509" + "0004002D0FA5" + "000300A85C"
    items = "E402" + "0163" + f"EB{len(inside) // 2:02X}" + inside + "5103" + "FFF6AA"
    body = LOCATION_BODY + items
    assert bodies(session().receive(frame("0200", body), NOW))[-1] == Telemetry({"gnss_satellites": 9})
    rules = [
        {"id": 0xE4, "at": 1, "metric": "battery_percent"},
        {"id": 0xEB, "inner": 0x2D, "bytes": 2, "scale": 0.001, "metric": "voltage_v"},
        {"id": 0x51, "bytes": 2, "signed": True, "scale": 0.1, "metric": "temperature_c"},
        {"id": 0x51, "at": 2, "bytes": 2, "metric": "people_count"},  # beyond its end
        {"id": 0xEB, "inner": 0xB2, "metric": "humidity_percent"},  # 137: out of range
    ]
    link = jt808.Session(msgspec.convert({"items": rules}, jt808.Settings), {"13912345678"})
    [*_, telemetry] = bodies(link.receive(frame("0200", body), NOW))
    assert telemetry == Telemetry(
        {"gnss_satellites": 9, "battery_percent": 99, "voltage_v": pytest.approx(4.005), "temperature_c": -1.0}
    )
    rules[1] |= {"inner": 0xA8, "bytes": 1, "scale": 1, "metric": "battery_percent"}
    link = jt808.Session(msgspec.convert({"items": rules[1:2]}, jt808.Settings), {"13912345678"})
    [*_, telemetry] = bodies(link.receive(frame("0200", body), NOW))
    assert telemetry == Telemetry({"gnss_satellites": 9, "battery_percent": 92})


@pytest.mark.parametrize("inside", ["", "00", "0000", "0000002D", "FFFF002D0FA5", "0002002D", "00"])
def test_a_makers_item_that_is_cut_short_measures_nothing(inside: str) -> None:
    rule = {"id": 0xEB, "inner": 0x2D, "bytes": 4, "metric": "voltage_v"}
    link = jt808.Session(msgspec.convert({"items": [rule]}, jt808.Settings), {"13912345678"})
    body = LOCATION_BODY + f"EB{len(inside) // 2:02X}{inside}"
    assert bodies(link.receive(frame("0200", body), NOW))[-1] == Telemetry({"gnss_satellites": 9})


def test_a_makers_alarm_bits_are_what_the_installer_says() -> None:
    opened = "00030000" + LOCATION_BODY[8:]  # bits 16 and 17
    assert not any(
        isinstance(body, Alarm) and body.raised for body in bodies(session().receive(frame("0200", opened), NOW))
    )
    settings = msgspec.convert({"alarm_bits": {"16": "tamper", "17": "input_active"}}, jt808.Settings)
    link = jt808.Session(settings, {"13912345678"})
    raised = [
        body.kind
        for body in bodies(link.receive(frame("0200", opened), NOW))
        if isinstance(body, Alarm) and body.raised
    ]
    assert raised == ["tamper", "input_active"]
    over = [body for body in bodies(link.receive(frame("0200", LOCATION_BODY, serial=8), NOW)) if _cleared(body)]
    assert over == [Alarm(kind="input_active", raised=False)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"items": [{"id": 1, "metric": "happiness"}]},
        {"items": [{"id": 256, "metric": "battery_percent"}]},
        {"items": [{"id": 1, "metric": "battery_percent", "bytes": 5}]},
        {"alarm_bits": {"0": "sos"}},
        {"alarm_bits": {"16": "happiness"}},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, jt808.Settings)
