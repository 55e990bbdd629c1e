"""Vehicle terminals: what they can be asked, byte for byte, and what they say to it."""

import re
from datetime import timedelta
from typing import Any

import pytest

from devices.asked import WAITING_MAX
from devices.families import jt808, jt808_commands, jt808_wire
from devices.family import CommandRefused, DeviceCommand, Everyone
from devices.observation import Alarm, CommandAnswer, Event, Observation, Result
from tests.devices.frames import LOCATION_BODY, NOW
from tests.devices.frames import jt808 as frame

PHONE, PHONE_2019 = "013912345678", "00000000013912345678"
DOORS_LOCKED = "00000000" + "00001003" + LOCATION_BODY[16:]
LONGITUDE, LATITUDE = "072E6FD8", "01D51C30"  # 120.4838, 30.7436


def asked(action: str, native_id: str = "13912345678", **args: str) -> DeviceCommand:
    return DeviceCommand(nonce="n", native_id=native_id, action=action, args=args)


def heard(wide: bool = False) -> jt808.Session:
    """A link on which the terminal has shown itself; `wide`: with the header of 2019."""
    link = jt808.Session(jt808.Settings(), {"13912345678"})
    link.receive(frame("0002", "", phone=PHONE) if not wide else frame_2019("0002", ""), NOW)
    link.to_send()
    return link


def frame_2019(id_: str, body: str) -> bytes:
    message = jt808_wire.Message(int(id_, 16), 0, True, 1, bytes.fromhex(PHONE_2019), 7, 0, 0, bytes.fromhex(body))
    return jt808_wire.write_message(message)


def sent(link: jt808.Session) -> list[jt808_wire.Message]:
    pieces = [piece for piece in link.to_send().split(b"\x7e") if piece]
    return [jt808_wire.read_message(jt808_wire.unescape(piece)) for piece in pieces]


def general(serial: int, id_: int, result: int) -> bytes:
    return frame("0001", f"{serial:04X}{id_:04X}{result:02X}", phone=PHONE)


def answers(found: list[Result]) -> list[tuple[str, str]]:
    return [(result.result, result.reason) for result in found if isinstance(result, CommandAnswer)]


def bodies(found: list[Result]) -> list[Any]:
    return [result.body for result in found if isinstance(result, Observation)]


PLACE = LATITUDE + LONGITUDE
NORTH_EAST = "01D6A2D0" + "072FF678"  # 120.5838, 30.8436
SOUTH_WEST = "120.4838,30.7436 120.5838,30.8436"
CIRCLE = {"id": "17", "centre": "120.4838,30.7436", "radius_m": "200"}
NIGHT_NAME = "0028" + "0004" + "B1B1C3C5"  # 40 km/h, "北门"
TIMES = {"from": "2026-11-24T20:00:00", "until": "2026-11-24T15:00:00Z"}

# action, args, message id, body for a terminal of 2013, of 2019 (None: the same)
BODIES: list[tuple[str, dict[str, str], int, str, str | None]] = [
    ("locate", {}, 0x8201, "", None),
    ("track", {"interval_s": "5", "duration_s": "600"}, 0x8202, "0005" + "00000258", None),
    ("track", {"interval_s": "0"}, 0x8202, "0000", None),
    ("text", {"text": "到北门"}, 0x8300, "0C" + "B5BDB1B1C3C5", "0D01" + "B5BDB1B1C3C5"),
    ("text", {"text": "a", "show": "display", "urgent": "yes"}, 0x8300, "0561", "060161"),
    ("confirm_alarm", {}, 0x8203, "0000" + "18700009", None),
    ("confirm_alarm", {"kinds": "sos", "serial": "7"}, 0x8203, "0007" + "00000001", None),
    ("read_parameters", {}, 0x8104, "", None),
    ("read_parameters", {"which": "heartbeat_s, 0x0029"}, 0x8106, "02" + "00000001" + "00000029", None),
    ("set_parameters", {"heartbeat_s": "60"}, 0x8103, "01" + "00000001" + "04" + "0000003C", None),
    ("set_parameters", {"plate": "浙F1"}, 0x8103, "01" + "00000083" + "04" + "D5E34631", None),
    ("set_parameters", {"0xF001": "0A7E"}, 0x8103, "01" + "0000F001" + "02" + "0A7E", None),
    ("read_attributes", {}, 0x8107, "", None),
    ("restart", {}, 0x8105, "04", None),
    ("power_off", {}, 0x8105, "03", None),
    ("factory_reset", {}, 0x8105, "05", None),
    ("lock_doors", {}, 0x8500, "01", "0001" + "0001" + "00"),
    ("unlock_doors", {}, 0x8500, "00", "0001" + "0001" + "01"),
    ("transparent", {"type": "240", "hex": "54455354"}, 0x8900, "F054455354", None),
    (
        "set_circle",
        CIRCLE,
        0x8600,
        "0101" + "00000011" + "003C" + PLACE + "000000C8",
        "0101" + "00000011" + "003C" + PLACE + "000000C8" + "0000",
    ),
    (
        "set_circle",
        {**CIRCLE, "alarm": "leave", "speed_kmh": "40", "name": "北门", **TIMES},
        0x8600,
        "0101" + "00000011" + "0033" + PLACE + "000000C8" + "261124200000" + "261124230000" + "00280A",
        "0101" + "00000011" + "0033" + PLACE + "000000C8" + "261124200000" + "261124230000" + "00280A" + NIGHT_NAME,
    ),
    (
        "set_rectangle",
        {"id": "1", "corners": SOUTH_WEST, "alarm": "enter"},
        0x8602,
        "0101" + "00000001" + "000C" + NORTH_EAST[:8] + LONGITUDE + LATITUDE + NORTH_EAST[8:],
        "0101" + "00000001" + "000C" + NORTH_EAST[:8] + LONGITUDE + LATITUDE + NORTH_EAST[8:] + "0000",
    ),
    (
        "set_polygon",
        {"id": "2", "points": f"{SOUTH_WEST} 120.4838,30.8436", "alarm": "none", "speed_kmh": "40", "speed_s": "3"},
        0x8604,
        "00000002" + "0002" + "002803" + "0003" + PLACE + NORTH_EAST + NORTH_EAST[:8] + LONGITUDE,
        "00000002" + "0002" + "002803" + "0003" + PLACE + NORTH_EAST + NORTH_EAST[:8] + LONGITUDE + "0028" + "0000",
    ),
    (
        "set_polygon",
        {"id": "2", "points": "-120.4838,-30.7436 -120.5838,-30.8436 -120.4838,-30.8436"},
        0x8604,
        "00000002" + "00FC" + "0003" + PLACE + NORTH_EAST + NORTH_EAST[:8] + LONGITUDE,
        "00000002" + "00FC" + "0003" + PLACE + NORTH_EAST + NORTH_EAST[:8] + LONGITUDE + "0000",
    ),
    (
        "set_route",
        {"id": "3", "points": SOUTH_WEST, "width_m": "30"},
        0x8606,
        "00000003" + "003C" + "0002" + "0000000100000001" + PLACE + "1E00" + "0000000200000002" + NORTH_EAST + "1E00",
        "00000003" + "003C" + "0002" + "0000000100000001" + PLACE + "1E00" + "0000000200000002" + NORTH_EAST + "1E00"
        "0000",
    ),
    (
        "set_route",
        {"id": "3", "points": SOUTH_WEST, "speed_kmh": "40", "name": "北门"},
        0x8606,
        "00000003" + "003C" + "0002" + "0000000100000001" + PLACE + "3202" + "00280A"
        "0000000200000002" + NORTH_EAST + "3202" + "00280A",
        "00000003" + "003C" + "0002" + "0000000100000001" + PLACE + "3202" + "00280A" + "0028"
        "0000000200000002" + NORTH_EAST + "3202" + "00280A" + "0028" + NIGHT_NAME[4:],
    ),
    ("delete_areas", {"shape": "circle"}, 0x8601, "00", None),
    ("delete_areas", {"shape": "route", "ids": "3, 4"}, 0x8607, "02" + "00000003" + "00000004", None),
]


@pytest.mark.parametrize("wide", [False, True], ids=["2013", "2019"])
@pytest.mark.parametrize(("action", "args", "id_", "of_2013", "of_2019"), BODIES, ids=lambda value: str(value)[:24])
def test_a_command_byte_for_byte(  # noqa: PLR0917
    action: str, args: dict[str, str], id_: int, of_2013: str, of_2019: str | None, wide: bool
) -> None:
    link = heard(wide)
    link.command(asked(action, **args), NOW)
    [message] = sent(link)
    body = of_2019 if wide and of_2019 is not None else of_2013
    assert (f"{message.id:04X}", message.body.hex().upper()) == (f"{id_:04X}", body)
    assert (message.is_2019, message.phone.hex()) == (wide, PHONE_2019 if wide else PHONE)


def test_every_command_is_tried_above() -> None:
    assert {one[0] for one in BODIES} == set(jt808_commands.KINDS)


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        (0, ("accepted", "")),
        (1, ("refused", "the terminal failed to do it")),
        (2, ("refused", "the terminal cannot read it")),
        (3, ("refused", "the terminal does not know it")),
        (9, ("refused", "the terminal refused it")),
    ],
)
def test_the_general_answer(result: int, answer: tuple[str, str]) -> None:
    link = heard()
    link.command(asked("set_circle", **CIRCLE), NOW)
    [message] = sent(link)
    found = link.receive(general(message.serial, message.id, result), NOW)
    assert answers(found) == [answer]
    assert [body.kind for body in bodies(found)] == ["answer"]
    assert answers(link.receive(general(message.serial, message.id, result), NOW)) == [], "it is answered"
    assert sent(link) == []


OWN: list[tuple[str, str, str]] = [
    ("locate", "0201", "{serial:04X}" + LOCATION_BODY),
    ("read_parameters", "0104", "{serial:04X}" + "01" + "00000001" + "04" + "0000003C"),
    ("read_attributes", "0107", "00" * 60),
    ("lock_doors", "0500", "{serial:04X}" + DOORS_LOCKED),
    ("unlock_doors", "0500", "{serial:04X}" + LOCATION_BODY),
]


@pytest.mark.parametrize("accepted_first", [False, True])
@pytest.mark.parametrize(("action", "id_", "body"), OWN)
def test_an_answer_of_its_own_confirms(action: str, id_: str, body: str, accepted_first: bool) -> None:
    link = heard()
    link.command(asked(action), NOW)
    [message] = sent(link)
    if accepted_first:
        assert answers(link.receive(general(message.serial, message.id, 0), NOW)) == [("accepted", "")]
    others = [other for other in OWN if other[1] != id_ and other[1] != "0107"]
    for _, other_id, other_body in others:
        wrong = frame(other_id, other_body.format(serial=message.serial), phone=PHONE)
        assert answers(link.receive(wrong, NOW)) == [], "that answers something else"
    data = frame(id_, body.format(serial=message.serial), phone=PHONE)
    assert answers(link.receive(data, NOW)) == [("confirmed", "")]
    assert answers(link.receive(data, NOW)) == []


@pytest.mark.parametrize(("action", "status"), [("lock_doors", LOCATION_BODY), ("unlock_doors", DOORS_LOCKED)])
def test_doors_that_are_not_so_are_no_confirmation(action: str, status: str) -> None:
    link = heard()
    link.command(asked(action), NOW)
    [message] = sent(link)
    found = link.receive(frame("0500", f"{message.serial:04X}{status}", phone=PHONE), NOW)
    assert answers(found) == [("refused", "the doors are not so")]


@pytest.mark.parametrize(("held", "answer"), [("0000003C", "confirmed"), ("0000000A", "refused")])
def test_parameters_that_were_set_are_read_back(held: str, answer: str) -> None:
    link = heard()
    link.command(asked("set_parameters", report_s="60"), NOW)
    [message] = sent(link)
    assert answers(link.receive(general(message.serial, message.id, 0), NOW)) == [("accepted", "")]
    [asking] = sent(link)
    assert (asking.id, asking.body.hex()) == (0x8106, "0100000029")
    assert answers(link.receive(general(asking.serial, asking.id, 0), NOW)) == []
    found = link.receive(frame("0104", f"{asking.serial:04X}0100000029" + "04" + held, phone=PHONE), NOW)
    assert [one[0] for one in answers(found)] == [answer]
    assert bodies(found)[0].attributes["report_s"] == str(int(held, 16))


def test_a_terminal_that_cannot_tell_single_parameters_leaves_it_at_accepted() -> None:
    link = heard()
    link.command(asked("set_parameters", report_s="60"), NOW)
    [message] = sent(link)
    link.receive(general(message.serial, message.id, 0), NOW)
    [asking] = sent(link)
    assert answers(link.receive(general(asking.serial, asking.id, 3), NOW)) == []


def test_parameters_are_told_but_for_what_may_be_secret() -> None:
    body = "0000" + "04" + "00000001" + "04" + "0000003C" + "00000012" + "02" + "7077"
    body += "00000048" + "03" + "313130" + "00000083" + "04" + "D5E34631"
    [event] = bodies(heard().receive(frame("0104", body, phone=PHONE), NOW))
    assert event == Event(kind="answer", attributes={"reply_serial": "0", "heartbeat_s": "60", "plate": "浙F1"})


def test_an_answer_that_nobody_waits_for_is_no_error_and_none_counts_for_ever() -> None:
    link = heard()
    unknown = general(77, 0x8103, 0) + frame("0001", "00", phone=PHONE) + frame("0104", "", phone=PHONE)
    assert answers(link.receive(unknown, NOW)) == []
    link.command(asked("restart"), NOW)
    *_, message = sent(link)
    assert answers(link.receive(general(message.serial, message.id, 0), NOW + timedelta(hours=2))) == []


def test_an_area_that_the_terminal_watches_names_itself_in_its_alarm() -> None:
    for flag, item, kind, text in (
        ("00100000", "1206" + "01" + "00000011" + "01", "zone_violation", "circle 17 exited"),
        ("00200000", "1206" + "04" + "00000003" + "00", "zone_violation", "route 3 entered"),
        ("00400000", "1307" + "00000005" + "0078" + "00", "zone_violation", "segment 5 in 120 s: too fast"),
        ("00800000", "1206" + "04" + "00000003" + "01", "route_deviation", "route 3 exited"),
        ("00000002", "1105" + "02" + "00000001", "overspeed", "rectangle 1"),
        ("00000002", "1101" + "00", "overspeed", ""),
        ("00100000", "1206" + "09" + "00000001" + "01", "zone_violation", "area 1 exited"),
    ):
        found = bodies(heard().receive(frame("0200", flag + LOCATION_BODY[8:] + item, phone=PHONE), NOW))
        assert found[0] == Alarm(kind=kind, description=text)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (asked("locate", native_id="13912345679"), "13912345679 has not shown itself on this link"),
        (asked("explode"), "no command 'explode'"),
        (asked("locate", now="1"), "locate does not take now"),
        (asked("track", interval_s="x"), "interval_s: 'x' is no whole number"),
        (asked("text", text=""), "text: 1 to 300 printable characters"),
        (asked("text", text="\U0001f525"), "text: not in GBK"),
        (asked("text", text="a", show="loud"), "show: 'loud' is none of display, speak, both"),
        (asked("confirm_alarm", kinds="fire"), "kinds: 'fire' is none of sos,"),
        (asked("read_parameters", which="colour"), "no parameter 'colour'"),
        (asked("set_parameters"), "which parameters?"),
        (asked("set_parameters", heartbeat_s="-1"), "heartbeat_s: '-1' is no such number"),
        (asked("set_parameters", plate_colour="256"), "plate_colour: '256' is no such number"),
        (asked("set_parameters", plate="x" * 256), "is no text of 255 bytes"),
        (asked("set_parameters", **{"0x0029": "0G"}), "0x0029: '0G' is no hex"),
        (asked("set_parameters", report_s="1", **{"0x29": "01"}), "parameter 0x0029 stands there twice"),
        (asked("set_parameters", **{f"0xF00{n}": "00" * 250 for n in range(5)}), "too long for one message"),
        (asked("transparent", type="1", hex="0"), "hex: no hex"),
        (asked("set_circle", id="0", centre="1,1", radius_m="5"), "id: '0' is no whole number"),
        (asked("set_circle", id="1", centre="1,91", radius_m="5"), "centre: 1 points such as"),
        (asked("set_circle", id="1", centre="1,1 2,2", radius_m="5"), "centre: 1 points such as"),
        (asked("set_circle", id="1", centre="nan,1", radius_m="5"), "centre: 1 points such as"),
        (asked("set_circle", **{**CIRCLE, "from": "2026-11-24T20:00:00"}), "until: '' is no time"),
        (asked("set_circle", **{**CIRCLE, "name": "x" * 61}), "name: more than 60 bytes"),
        (asked("set_rectangle", id="1", corners="1,1 1,2"), "corners: they are not opposite"),
        (asked("set_polygon", id="1", points="1,1 2,2"), "points: 3 to 60 points"),
        (asked("set_polygon", id="1", points="1,1 2,2 -1,3"), "a terminal takes longitudes of one sign only"),
        (asked("set_route", id="1", points="1,1 2,2", width_m="256"), "width_m: '256' is no whole number"),
        (asked("delete_areas"), "shape: '' is none of circle, rectangle, polygon, route"),
        (asked("delete_areas", shape="circle", ids="1,x"), "ids: 'x' is no whole number"),
    ],
)
def test_commands_that_cannot_be_are_refused(command: DeviceCommand, text: str) -> None:
    link = heard()
    with pytest.raises(CommandRefused, match=re.escape(text)):
        link.command(command, NOW)
    assert link.to_send() == b""


def test_the_largest_polygon_and_route_fit_into_a_message() -> None:
    for action, most in (("set_polygon", 60), ("set_route", 40)):
        points = " ".join(f"{100 + number / 10},{30 + number / 10}" for number in range(most))
        link = heard(wide=True)
        rules = {"speed_kmh": "40", "name": "x" * 60, **TIMES}
        link.command(asked(action, id="1", points=points, **rules), NOW)
        [message] = sent(link)
        assert len(message.body) > 500


def test_what_waits_is_bounded() -> None:
    link = jt808.Session(jt808.Settings(), Everyone())
    link.receive(frame("0002", "", phone=PHONE), NOW)
    for _ in range(3 * WAITING_MAX):
        link.command(asked("locate"), NOW)
    assert len(link._answers) == WAITING_MAX
