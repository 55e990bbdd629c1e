"""Simulated devices do what they are asked and say so: families' sessions and simulators, written apart, talk here."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devices.families import FAMILIES
from devices.family import DeviceCommand, Message
from devices.observation import Alarm, CommandAnswer, Event, Observation, Result
from simulators.band import Band
from simulators.device import SimulatedDevice
from simulators.families import BUILDERS
from simulators.terminal import Terminal

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ID = {"gbt26875": "889", "watch": "8800000001", "jt808": "13957300001"}


class Talk:
    """One device on one link, a second at a time."""

    def __init__(self, family: str, **settings: Any) -> None:
        self.family = family
        self.device: SimulatedDevice = BUILDERS[family](ID[family], {"report_every_s": 2, **settings}, 1)
        self.session: Any = FAMILIES[family].open_session(FAMILIES[family].settings(), frozenset(ID.values()))
        self.now = START
        self.found: list[Result] = []
        self.device.connected(self.now)
        self.pass_by(4)

    def pass_by(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            self.device.tick(self.now)
            for frame in self.device.to_send():
                self.found += self.session.receive(frame, self.now)
            self.device.receive(self.session.to_send(), self.now)

    def ask(self, action: str, wait_s: int = 4, **args: str) -> list[str]:
        """What the device says to it."""
        self.found.clear()
        command = DeviceCommand(nonce="n", native_id=ID[self.family], action=action, args=args)
        self.session.command(command, self.now)
        self.device.receive(self.session.to_send(), self.now)
        self.pass_by(wait_s)
        return [result.result for result in self.found if isinstance(result, CommandAnswer)]

    @property
    def bodies(self) -> list[Any]:
        return [result.body for result in self.found if isinstance(result, Observation)]


POLYGON = "120.48,30.74 120.49,30.74 120.49,30.75 120.48,30.75"
ASKED: list[tuple[str, str, dict[str, str], list[str]]] = [
    *(
        ("gbt26875", action, args, ["confirmed"])
        for action, args in (
            ("read_state", {}),
            ("read_state", {"of": "1-3"}),
            ("read_state", {"of": "1-3-18"}),
            ("read_value", {"of": "1-3-18"}),
            ("read_version", {}),
            ("read_version", {"of": "1-3"}),
            ("read_configuration", {}),
            ("read_configuration", {"of": "1-3"}),
            ("read_configuration", {"of": "1-3-18"}),
            ("read_time", {}),
            ("read_time", {"of": "1-3"}),
        )
    ),
    ("gbt26875", "set_time", {}, ["accepted", "confirmed"]),
    ("gbt26875", "duty_check", {"minutes": "1"}, ["accepted", "confirmed"]),
    ("gbt26875", "initialise", {}, ["accepted"]),
    ("gbt26875", "read_state", {"of": "1-4"}, ["refused"]),
    ("gbt26875", "read_value", {"of": "1-3-99"}, ["refused"]),
    ("gbt26875", "read_records", {"since": "2026-11-24T20:00:00"}, ["refused"]),
    ("watch", "find", {}, ["accepted"]),
    ("watch", "call", {"number": "110"}, ["accepted"]),
    ("watch", "sos_number", {"slot": "1", "number": "110"}, ["accepted"]),
    ("watch", "restart", {}, ["accepted"]),
    ("watch", "locate", {}, ["accepted", "confirmed"]),
    ("watch", "measure_heart", {}, ["accepted", "confirmed"]),
    ("watch", "measure_pressure", {}, ["accepted", "confirmed"]),
    ("watch", "measure_temperature", {}, ["accepted", "confirmed"]),
    ("watch", "measure_oxygen", {}, ["accepted", "confirmed"]),
    *(
        ("jt808", action, args, ["confirmed"])
        for action, args in (
            ("locate", {}),
            ("read_parameters", {}),
            ("read_parameters", {"which": "report_s"}),
            ("read_attributes", {}),
            ("lock_doors", {}),
            ("unlock_doors", {}),
        )
    ),
    ("jt808", "set_parameters", {"report_s": "30", "server": "other.example"}, ["accepted", "confirmed"]),
    ("jt808", "text", {"text": "到北门"}, ["accepted"]),
    ("jt808", "set_polygon", {"id": "1", "points": POLYGON}, ["accepted"]),
    ("jt808", "delete_areas", {"shape": "polygon"}, ["accepted"]),
]


@pytest.mark.parametrize(
    ("family", "action", "args", "said"), ASKED, ids=[f"{one[0]} {one[1]} {one[2]}" for one in ASKED]
)
def test_a_device_answers_as_it_does(family: str, action: str, args: dict[str, str], said: list[str]) -> None:
    standards = [{"standard": standard} for standard in ("2013", "2019")] if family == "jt808" else [{}]
    for settings in standards:
        assert Talk(family, **settings).ask(action, **args) == said


def test_nobody_on_duty_confirms_no_check() -> None:
    talk = Talk("gbt26875", on_duty=False)
    assert talk.ask("duty_check", 50, minutes="1") == ["accepted"]


def test_the_person_on_duty_is_in_the_record() -> None:
    talk = Talk("gbt26875")
    talk.ask("duty_check", minutes="1")
    assert Event(kind="confirm", attributes={"operator": "1"}) in talk.bodies
    talk.pass_by(10)
    assert [row.kind for row in talk.device.accepted() if row.kind == "confirm"] == ["confirm"]


def test_a_band_that_is_switched_off_is_silent_and_an_interval_is_kept() -> None:
    talk = Talk("watch")
    assert isinstance(talk.device, Band)
    assert talk.ask("interval", 30, seconds="10") == ["accepted"]
    assert len([body for body in talk.bodies if type(body).__name__ == "Position"]) == 3
    assert talk.ask("power_off", 60) == ["accepted"]
    talk.found.clear()
    talk.pass_by(600)
    assert talk.found == []
    assert talk.device.asked == ["UPLOAD,10", "POWEROFF"]


@pytest.mark.parametrize("standard", ["2013", "2019"])
@pytest.mark.parametrize(
    ("action", "args", "name"),
    [
        ("set_circle", {"centre": "120.4838,30.7466", "radius_m": "250"}, "circle 7"),
        ("set_rectangle", {"corners": "120.4700,30.7436 120.5000,30.7600"}, "rectangle 7"),
        ("set_polygon", {"points": "120.47,30.7436 120.50,30.7436 120.50,30.76 120.47,30.76"}, "polygon 7"),
        ("set_route", {"points": "120.47,30.7466 120.50,30.7466", "width_m": "250"}, "route 7"),
    ],
)
def test_a_terminal_watches_what_it_was_sent(standard: str, action: str, args: dict[str, str], name: str) -> None:
    """Its round has a radius of 400 m about 120.4838, 30.7436: it is in and out of each."""
    talk = Talk("jt808", standard=standard, speed_kmh=100)
    limits = {"speed_kmh": "40", "from": "2026-11-24T00:00:00", "until": "2026-11-25T00:00:00"}
    assert talk.ask(action, 240, id="7", **limits, **args) == ["accepted"]
    alarms = [body for body in talk.bodies if isinstance(body, Alarm) and body.kind == "zone_violation"]
    told = {body.description for body in alarms if body.raised}
    assert told == {f"{name} entered", f"{name} exited"}
    assert sum(body.raised for body in alarms) == sum(not body.raised for body in alarms)
    talk.device.accepted()
    assert talk.ask("delete_areas", 240, shape=name.partition(" ")[0], ids="7") == ["accepted"]
    assert not any(isinstance(body, Alarm) and body.raised for body in talk.bodies)


def test_an_alarm_that_a_person_confirms_is_taken_back_by_the_terminal() -> None:
    talk = Talk("jt808")
    talk.device.act("emergency", {}, talk.now)
    talk.pass_by(4)
    assert any(isinstance(body, Alarm) and body.kind == "sos" for body in talk.bodies)
    assert talk.ask("confirm_alarm", kinds="sos") == ["accepted"]
    talk.found.clear()
    talk.pass_by(6)
    assert not any(isinstance(body, Alarm) and body.kind == "sos" for body in talk.bodies)


def test_parameters_stay_as_they_were_set() -> None:
    talk = Talk("jt808")
    assert isinstance(talk.device, Terminal)
    talk.ask("set_parameters", report_s="30", **{"0xF001": "0A"})
    assert talk.device.kept.parameters[0x29] == bytes((0, 0, 0, 30))
    assert talk.device.kept.parameters[0xF001] == b"\n"


@pytest.mark.parametrize("family", sorted(ID))
def test_any_bytes_from_the_other_side_do_no_harm(family: str) -> None:
    talk = Talk(family)
    for noise in (
        b"[ZJ*1*0001*0004*UPLOAD,x]",
        b"[ZJ*1*0001*0001*]",
        b"@@" + bytes(24) + b"\4\0\0##",
        b"\x7e\x86\x00\x7e",
    ):
        talk.device.receive(noise, talk.now)
        talk.pass_by(1)


@pytest.mark.parametrize(
    ("family", "native_id", "settings", "said"),
    [
        ("hikvision", "88:de:39:5d:b5:e1", {}, ["accepted", "confirmed"]),
        ("dahua", "cam-7", {"device": "cam-7"}, ["accepted"]),
    ],
)
def test_doors_of_devices_that_stream(family: str, native_id: str, settings: dict[str, Any], said: list[str]) -> None:
    """What a session asks beside the stream is answered; what it does not know, it does not."""
    device: Any = BUILDERS[family](native_id, {}, 1)
    session: Any = FAMILIES[family].open_session(FAMILIES[family].settings(**settings), {native_id})
    found: list[Result] = []

    def ask() -> None:
        for request in session.requests():
            body = device.answer(*request.channel.split(" "), START)
            answer = Message(request.channel, body or b"", {"status": "404" if body is None else "200"})
            found.extend(session.answered(request, answer, START))

    session.begin(START)
    ask()
    ask()
    session.command(DeviceCommand(nonce="n", native_id=native_id, action="open"), START)
    ask()
    device.tick(START)
    for frame in device.to_send():
        found += session.receive(frame, START)
    assert [one.result for one in found if isinstance(one, CommandAnswer)] == said
