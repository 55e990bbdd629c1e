"""Bands: what their frames mean, and what they are answered."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from devices.asked import WAITING_MAX
from devices.families import watch, watch_commands, watch_wire
from devices.family import CommandRefused, DeviceCommand, Everyone
from devices.framing import Cut
from devices.observation import Alarm, CommandAnswer, Observation, Position, Rejected, Result, Telemetry
from tests.devices.frames import NOW, SOS_CONTENT, UD_CONTENT
from tests.devices.frames import watch as frame

OBSERVED = datetime(2026, 11, 24, 12, 29, 50, tzinfo=UTC)


def session(**settings: bool) -> watch.Session:
    return watch.Session(watch.Settings(**settings), {"8800000015"})


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def test_sos_is_answered_and_located() -> None:
    link = session()
    found = link.receive(frame(SOS_CONTENT), NOW)
    alarm, position, telemetry = bodies(found)
    assert alarm == Alarm(kind="sos")
    assert isinstance(position, Position)
    assert (position.longitude, position.latitude, position.fix) == (120.4838, 30.7436, "gnss")
    assert telemetry == Telemetry({"battery_percent": 80, "steps": 100, "tumbles": 0, "cell_signal_percent": 90})
    assert {result.observed_at for result in found if isinstance(result, Observation)} == {OBSERVED}
    assert link.to_send() == b"[3G*8800000015*0002*AL]"


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("LK,50,0,100", "LK"),
        ("INIT", "INIT,1"),
        ("TKQ", "TKQ"),
        ("CONFIG,TY:1", "CONFIG,1"),
        ("heart,71", ""),
        (UD_CONTENT, ""),
    ],
)
def test_answers(content: str, answer: str) -> None:
    link = session()
    link.receive(frame(content), NOW)
    assert link.to_send() == (frame(answer) if answer else b"")


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ("LK,50,0,99", {"steps": 50, "tumbles": 0, "battery_percent": 99}),
        ("LK", {}),
        ("heart,71", {"heart_rate_bpm": 71}),
        ("heart,0", {}),
        ("heart,abc", {}),
        ("heart,9999", {}),
        ("HEART,nan", {}),
        ("bphrt,120,80,73,,,,", {"systolic_mmhg": 120, "diastolic_mmhg": 80, "heart_rate_bpm": 73}),
        ("bphrt,0,0,0", {}),
        ("oxygen,0,97", {"spo2_percent": 97}),
        ("btemp2,0,36.5", {}),
        ("btemp2,1,36.5", {"body_temperature_c": 36.5}),
    ],
)
def test_measurements(content: str, values: dict[str, float]) -> None:
    assert bodies(session().receive(frame(content), NOW)) == [Telemetry(values)]


@pytest.mark.parametrize(("kind", "flags"), [("UD", ()), ("UD2", ("backlog",)), ("UD_LTE", ())])
def test_a_position_that_was_kept_says_so(kind: str, flags: tuple[str, ...]) -> None:
    found = session().receive(frame(SOS_CONTENT.replace("AL", kind)), NOW)
    assert found and {result.flags for result in found if isinstance(result, Observation)} == {flags}


def test_an_alarm_without_bits_or_place_is_still_an_alarm() -> None:
    assert bodies(session().receive(frame(SOS_CONTENT.replace("00010000", "00000000")), NOW))[0] == Alarm(
        kind="unspecified_alarm"
    )
    found = session().receive(frame("AL,garbage"), NOW)
    assert isinstance(found[0], Rejected)
    assert bodies(found) == [Alarm(kind="unspecified_alarm")]


def test_no_position_is_none() -> None:
    nowhere = UD_CONTENT.replace(",A,30.743600,N,120.483800", ",V,0.0,N,0.0")
    assert not any(isinstance(body, Position) for body in bodies(session().receive(frame(nowhere), NOW)))
    about = bodies(session().receive(frame(UD_CONTENT.replace(",A,", ",V,")), NOW))
    assert [body.fix for body in about if isinstance(body, Position)] == ["network"]


def test_taken_off_is_over_when_a_position_says_so_and_sos_never() -> None:
    link = session()
    link.receive(frame(UD_CONTENT), NOW)
    link.receive(frame(SOS_CONTENT.replace("00010000", "00110000")), NOW)
    later = UD_CONTENT.replace("122950", "123000")
    cleared = [body for body in bodies(link.receive(frame(later), NOW)) if isinstance(body, Alarm)]
    assert cleared == [Alarm(kind="off_wrist", raised=False)]


def test_what_a_platform_asks_is_read() -> None:
    text = {"command": "message", "text": "北门", "content": "MESSAGE,531795E8"}
    assert watch_wire.read_command(b"MESSAGE,531795E8") == text
    assert watch_wire.read_command(b"RESET")["command"] == "reboot"
    assert watch_wire.read_command(b"MESSAGE,531")["command"] == "custom"


def test_a_network_part_of_another_layout_is_left_out() -> None:
    layout = UD_CONTENT.partition(",00000000")[0] + ",00000000,1,1,FFFF,FFFF,FFFE,3B882A2,132,,00"
    fields = watch_wire.read_position(layout.split(",")[1:])
    assert fields is not None
    assert (fields["network"], "cells" in fields) == ("not_understood", False)


def test_a_frame_that_says_nothing_is_none() -> None:
    for content in ("", ",1"):
        link = session()
        [found] = link.receive(frame(content), NOW)
        assert isinstance(found, Rejected)
        assert (found.reason, link.to_send()) == ("type missing", b"")


def test_a_fence_is_told_when_it_is_crossed_and_not_with_every_position() -> None:
    """The low bits of the status are a state: they stay set."""
    link = session()
    told = []
    for second, status in enumerate(("00000000", "00000002", "00000002", "00000004", "00000002")):
        content = UD_CONTENT.replace("00000000", status).replace("122950", f"12295{second}")
        raised = [body for body in bodies(link.receive(frame(content), NOW)) if isinstance(body, Alarm) and body.raised]
        told.append([body.kind for body in raised])
    assert told == [[], ["left_fence"], [], ["entered_fence"], ["left_fence"]]
    pressed = SOS_CONTENT.replace("00010000", "00040000")
    assert Alarm(kind="left_fence") in bodies(link.receive(frame(pressed), NOW))
    state = UD_CONTENT.replace("00000000", "00000002").replace("122950", "122959")
    assert Alarm(kind="left_fence") not in bodies(link.receive(frame(state), NOW))


def test_a_wrong_length_ends_at_the_bracket() -> None:
    wrong = b"[3G*8800000015*000D*LK]"
    link = session()
    assert bodies(link.receive(wrong, NOW)) == []  # thirteen bytes may still come
    assert bodies(link.receive(frame("heart,70"), NOW)) == [Telemetry({}), Telemetry({"heart_rate_bpm": 70})]
    alone = session()
    alone.receive(wrong, NOW)
    assert bodies(alone.idle(NOW)) == [Telemetry({})]


def test_a_press_under_a_stopped_clock_is_new_an_hour_later() -> None:
    link = session()
    first = link.receive(frame(SOS_CONTENT), NOW)[0]
    stuck = link.receive(frame(SOS_CONTENT), NOW + timedelta(hours=2))[0]
    stuck_again = link.receive(frame(SOS_CONTENT), NOW + timedelta(hours=4))[0]
    ids = {result.frame_id for result in (first, stuck, stuck_again) if isinstance(result, Observation)}
    assert len(ids) == 3


def test_numbers_longer_than_an_int_may_be_do_not_raise() -> None:
    content = f"JXTK,1,a,{'9' * 5_000},1,x"
    assert bodies(session().receive(frame(content), NOW)) == [Telemetry({})]


@pytest.mark.parametrize("number", ["7_1", "nan", "inf", "0x47", "７１"])
def test_what_python_would_read_but_no_band_writes_is_no_number(number: str) -> None:
    data = f"heart,{number}".encode()
    raw = b"[3G*8800000015*%04X*%b]" % (len(data), data)
    assert bodies(session().receive(raw, NOW)) == [Telemetry({})]


def test_a_fix_at_zero_zero_is_no_position() -> None:
    nowhere = UD_CONTENT.replace(",A,30.743600,N,120.483800", ",A,0.0,N,0.0")
    assert not any(isinstance(body, Position) for body in bodies(session().receive(frame(nowhere), NOW)))


def test_a_press_that_is_sent_again_with_a_new_time_is_one_alarm_for_a_minute() -> None:
    link = session()
    link.receive(frame(SOS_CONTENT), NOW)
    link.to_send()
    again = SOS_CONTENT.replace("122950", "123010")
    found = bodies(link.receive(frame(again), NOW + timedelta(seconds=20)))
    assert [type(body) for body in found] == [Position, Telemetry]
    assert link.to_send() == frame("AL")
    other = SOS_CONTENT.replace("122950", "123020").replace("00010000", "00200000")
    assert Alarm(kind="fall") in bodies(link.receive(frame(other), NOW + timedelta(seconds=30)))
    later = SOS_CONTENT.replace("122950", "123130")
    assert Alarm(kind="sos") in bodies(link.receive(frame(later), NOW + timedelta(seconds=100)))


@pytest.mark.parametrize("time", ["241199,122950", "251126,122950"])  # 1999, tomorrow
def test_impossible_times_are_replaced_and_flagged(time: str) -> None:
    found = session().receive(frame(SOS_CONTENT.replace("241126,122950", time)), NOW)[0]
    assert isinstance(found, Observation)
    assert (found.observed_at, found.flags) == (NOW, ("time_invalid",))


def test_brackets_without_end_are_read_in_one_pass() -> None:
    cut = watch_wire.cutter(False)
    open_frame = b"[3G*1*0001*" + b"]x" * ((watch_wire.FRAME_BYTES_MAX - 20) // 2)
    assert cut(open_frame, False) == Cut(0)
    assert cut(open_frame + b"]\r\n[", False).taken == len(open_frame) + 1


# --- commands ---


def asked(action: str, native_id: str = "8800000015", nonce: str = "n", **args: str) -> DeviceCommand:
    return DeviceCommand(nonce=nonce, native_id=native_id, action=action, args=args)


def heard(**settings: bool) -> watch.Session:
    """A link on which the band has shown itself."""
    link = session(**settings)
    link.receive(frame("LK"), NOW)
    link.to_send()
    return link


def answers(found: list[Result]) -> list[str]:
    return [result.result for result in found if isinstance(result, CommandAnswer) and result.nonce == "n"]


CONTENTS: list[tuple[str, dict[str, str], str]] = [
    ("find", {}, "FIND"),
    ("locate", {}, "CR"),
    ("ping", {}, "PING"),
    ("call", {"number": "13800138000"}, "CALL,13800138000"),
    ("monitor", {"number": "+8613800138000"}, "MONITOR,+8613800138000"),
    ("centre_number", {"number": ""}, "CENTER,"),
    ("sos_number", {"slot": "1", "number": "123456789"}, "SOS1,123456789"),
    ("sos_number", {"slot": "3"}, "SOS3,"),
    ("interval", {"seconds": "600"}, "UPLOAD,600"),
    ("restart", {}, "RESET"),
    ("power_off", {}, "POWEROFF"),
    ("factory_reset", {}, "FACTORY"),
    ("message", {"text": "到北门 *[]"}, "MESSAGE,5230531795E80020002A005B005D"),
    ("time_zone", {"hours": "5.75"}, "LZ,,+5.75"),
    ("time_zone", {"hours": "-11.5", "language": "1"}, "LZ,1,-11.5"),
    ("measure_heart", {}, "hrtstart,1"),
    ("measure_heart", {"period": "stop"}, "hrtstart,0"),
    ("measure_heart", {"period": "300"}, "hrtstart,300"),
    ("measure_pressure", {}, "bphrt"),
    ("measure_temperature", {}, "bodytemp2"),
    ("measure_oxygen", {}, "oxstart,1"),
    ("take_off_alarm", {"turn": "on"}, "REMOVE,1"),
    ("fall_alarm", {"turn": "off"}, "FALLDOWN,0,0"),
    ("fall_sensitivity", {"level": "3"}, "LSSET,3"),
    ("server", {"host": "gw.example", "port": "9000"}, "IP,gw.example,9000"),
]


@pytest.mark.parametrize(("action", "args", "content"), CONTENTS, ids=[one[2] for one in CONTENTS])
def test_a_command_is_a_frame_and_its_word_accepts_it(action: str, args: dict[str, str], content: str) -> None:
    link = heard(allow_monitor=True)
    link.command(asked(action, **args), NOW)
    assert link.to_send() == frame(content)
    word = content.partition(",")[0]
    assert answers(link.receive(frame(word.lower()), NOW)) == ["accepted"]
    assert answers(link.receive(frame(word), NOW)) == [], "it is answered"


def test_nobody_is_listened_to_unless_the_site_allows_it() -> None:
    link = heard()
    with pytest.raises(CommandRefused, match="allow_monitor"):
        link.command(asked("monitor", number="13800138000"), NOW)
    assert link.to_send() == b""


def test_every_command_is_tried_above() -> None:
    assert {one[0] for one in CONTENTS} == set(watch_commands.KINDS)


SHOWN = [
    ("locate", UD_CONTENT),
    ("measure_heart", "heart,71"),
    ("measure_heart", "bphrt,120,80,73,,,,"),
    ("measure_pressure", "bphrt,120,80,73,,,,"),
    ("measure_temperature", "btemp2,1,36.5"),
    ("measure_oxygen", "oxygen,0,97"),
]


@pytest.mark.parametrize(("action", "content"), SHOWN)
def test_what_a_band_then_tells_confirms(action: str, content: str) -> None:
    link = heard()
    assert answers(link.receive(frame(content), NOW)) == [], "nobody asked"
    link.command(asked(action), NOW)
    assert answers(link.receive(frame(content), NOW)) == ["confirmed"]
    assert answers(link.receive(frame(content), NOW)) == []
    assert answers(link.receive(frame("CR"), NOW)) == []


@pytest.mark.parametrize(
    ("action", "content"),
    [
        ("measure_heart", "heart,0"),
        ("locate", UD_CONTENT.replace("UD", "UD2")),
        ("locate", SOS_CONTENT),
        ("locate", UD_CONTENT.replace("A,30.743600,N,120.483800", "V,0,N,0")),
        ("measure_pressure", "bphrt,0,0,0"),
    ],
)
def test_a_measurement_that_is_none_and_an_old_position_confirm_nothing(action: str, content: str) -> None:
    link = heard()
    link.command(asked(action), NOW)
    assert answers(link.receive(frame(content), NOW)) == []


def test_a_command_that_several_reports_can_show_is_confirmed_once() -> None:
    link = heard()
    link.command(asked("measure_heart"), NOW)
    assert answers(link.receive(frame("heart,71") + frame("bphrt,120,80,73") + frame("hrtstart"), NOW)) == ["confirmed"]


def test_numbered_firmware_and_other_makers_are_asked_in_their_own_way() -> None:
    link = session()
    link.receive(b"[ZJ*8800000015*0007*0002*LK]", NOW)
    link.to_send()
    link.command(asked("find"), NOW)
    link.command(asked("restart"), NOW)
    assert link.to_send() == b"[ZJ*8800000015*0001*0004*FIND][ZJ*8800000015*0002*0005*RESET]"
    assert answers(link.receive(b"[ZJ*8800000015*0009*0004*FIND]", NOW)) == ["accepted"]


def test_two_commands_of_one_word_cannot_be_told_apart() -> None:
    link = heard()
    link.command(asked("sos_number", slot="1", number="110"), NOW)
    link.command(asked("sos_number", slot="2", number="119"), NOW)
    with pytest.raises(CommandRefused, match="has not answered the one before yet"):
        link.command(asked("sos_number", slot="1", number="120"), NOW)
    link.command(asked("sos_number", slot="1", number="120"), NOW + timedelta(seconds=16))


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (asked("find", native_id="8800000016"), "8800000016 has not shown itself on this link"),
        (asked("explode"), "no command 'explode'"),
        (asked("find", loud="yes"), "find does not take loud"),
        (asked("call", number="110]"), "number: no telephone number"),
        (asked("call"), "number: no telephone number"),
        (asked("sos_number", slot="4", number="110"), "slot: '4' is no whole number from 1 to 3"),
        (asked("interval", seconds="5"), "seconds: '5' is no whole number from 10 to 65535"),
        (asked("interval", seconds="²"), "seconds: '²' is no whole number"),
        (asked("measure_heart", period="299"), "period: '299' is no whole number"),
        (asked("message", text=""), "text: 1 to 200 printable characters"),
        (asked("message", text="a\nb"), "text: 1 to 200 printable characters"),
        (asked("time_zone", hours="nan"), "hours: 'nan' is no offset"),
        (asked("time_zone", hours="8", language="1*"), "language: '1*' is no whole number"),
        (asked("fall_alarm", turn="maybe"), "turn: 'maybe' is none of on, off"),
        (asked("server", host="a,b", port="1"), "host: 'a,b' is no name or address"),
    ],
)
def test_commands_that_cannot_be_are_refused(command: DeviceCommand, text: str) -> None:
    link = heard()
    with pytest.raises(CommandRefused, match=re.escape(text)):
        link.command(command, NOW)
    assert link.to_send() == b""


def test_what_waits_is_bounded() -> None:
    link = watch.Session(watch.Settings(), Everyone())
    for number in range(3 * WAITING_MAX):
        link.receive(frame("LK", device=f"{number:010d}"), NOW)
        link.command(asked("locate", native_id=f"{number:010d}"), NOW)
    assert len(link._waiting) == len(link._accepted) == WAITING_MAX
