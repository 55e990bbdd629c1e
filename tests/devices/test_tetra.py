"""TETRA radios through a terminal's PEI: locations, emergencies, status and texts, and delivery reports."""

from datetime import timedelta
from typing import Any

import pytest

from devices.families import tetra, tetra_wire
from devices.family import CommandRefused, DeviceCommand
from devices.observation import Alarm, CommandAnswer, Event, Observation, Position, Rejected, Result, Telemetry
from tests.devices.frames import NOW
from tests.devices.frames import nmea as sentence
from tests.devices.frames import tetra as frame


def session(mcc: str = "460", mnc: str = "1") -> tetra.Session:
    return tetra.Session(tetra.Settings(mcc=mcc, mnc=mnc), {"1234567", "901-7-1234567"})


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def heard() -> tetra.Session:
    """A link on which the radio has spoken."""
    link = session()
    link.receive(frame(3, tl="0A"), NOW)
    return link


def sds(data: str, service: int = 12, bits: int | None = None) -> bytes:
    return f"+CTSDSR: {service},1234567,0,7654321,0,{bits or len(data) * 4}\r\n{data}\r\n".encode()


def test_an_emergency_is_an_sos_with_its_place_and_gets_its_report() -> None:
    link = session()
    alarm, position = bodies(link.receive(frame(2), NOW))
    assert alarm == Alarm(kind="sos")
    assert isinstance(position, Position)
    assert position.longitude == pytest.approx(116.397003)
    assert position.latitude == pytest.approx(39.908996)
    assert (position.accuracy_m, position.speed_kmh, position.course_deg) == (2.0, None, 90.0)
    assert link.to_send() == b"AT+CMGS=1234567,32\r\n83100007\x1a"


def test_a_second_emergency_of_a_radio_that_counts_anew_is_not_the_first() -> None:
    link = session()
    ids = []
    for minutes in (0, 1, 2, 20, 21):
        found = link.receive(frame(2), NOW + timedelta(minutes=minutes))[0]
        assert isinstance(found, Observation)
        ids.append(found.frame_id)
    assert len({*ids[:3]}) == 1 and len({*ids[3:]}) == 1 and ids[0] != ids[3]
    [again, _] = session().receive(frame(2), NOW + timedelta(minutes=1))
    assert isinstance(again, Observation)
    assert again.frame_id == ids[0], "nor is one new that comes again on another connection"


def test_without_a_wish_for_a_report_there_is_none_and_without_sds_tl_no_id() -> None:
    link = session()
    link.receive(frame(2, tl="830007"), NOW)
    assert link.to_send() == b""
    [alarm, _] = link.receive(frame(2, tl="0A"), NOW)
    assert isinstance(alarm, Observation)
    assert (alarm.body, alarm.frame_id) == (Alarm(kind="sos"), "")


@pytest.mark.parametrize(
    ("reason", "first"),
    [
        (0, Event(kind="registered")),
        (1, Event(kind="logout")),
        (12, Alarm(kind="low_battery")),
    ],
)
def test_reasons_for_sending(reason: int, first: object) -> None:
    assert bodies(session().receive(frame(reason), NOW))[0] == first


def test_other_reasons_are_positions_only() -> None:
    [position] = bodies(session().receive(frame(3), NOW))
    assert isinstance(position, Position)


@pytest.mark.parametrize(
    ("elapsed", "minutes", "flags"),
    [(0, 0, ()), (1, 5, ("time_approximate",)), (2, 30, ("time_approximate",)), (3, 0, ("time_invalid",))],
)
def test_a_position_is_as_old_as_its_class_says(elapsed: int, minutes: int, flags: tuple[str, ...]) -> None:
    data = int("052C56D9C61360FE8030", 16) | elapsed << 76
    [found] = session().receive(sds(f"0A{data:020X}"), NOW)
    assert isinstance(found, Observation)
    assert (found.observed_at, found.flags) == (NOW - timedelta(minutes=minutes), flags)


def test_the_last_half_byte_may_be_missing() -> None:
    [_, position] = bodies(session().receive(sds("0A052C56D9C61360FE802", bits=84), NOW))
    assert isinstance(position, Position)


def test_an_emergency_status_and_an_emergency_call() -> None:
    assert bodies(session().receive(sds("0000", service=13), NOW)) == [
        Alarm(kind="sos", description="emergency status")
    ]
    assert bodies(session().receive(sds("8003", service=13), NOW)) == [
        Event(kind="state", attributes={"status": "32771"})
    ]
    call = "+CTICN: 1,0,0,0,1234567,1,1,0,1,1,0,7654321,{}\r\n"
    assert bodies(session().receive(call.format(15).encode(), NOW)) == [Alarm(kind="sos", description="emergency call")]
    assert bodies(session().receive(call.format(4).encode(), NOW)) == [Telemetry({})]


def test_texts_with_and_without_sds_tl() -> None:
    for data in ("0201" + b"Smoke".hex(), "82000701" + b"Smoke".hex()):
        found = bodies(session().receive(sds(data), NOW))
        assert found == [Event(kind="text_message", attributes={"text": "Smoke"})]
    assert bodies(session().receive(sds("82100007"), NOW)) == [Telemetry({})]  # a report to a text of another
    assert tetra_wire.read_text(b"\x1a" + "烟".encode("utf-16-be")) == "烟"
    assert tetra_wire.read_text(b"\x81\1\2\3Smoke") == "Smoke"


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ("00", CommandAnswer(nonce="n", result="accepted")),
        ("40", CommandAnswer(nonce="n", result="refused", reason="not delivered")),
    ],
)
def test_a_text_to_a_radio_is_answered_by_its_report(status: str, answer: CommandAnswer) -> None:
    link = heard()
    link.command(DeviceCommand(nonce="n", native_id="1234567", action="text", args={"text": "Hall A"}), NOW)
    assert link.to_send() == b"AT+CMGS=1234567,80\r\n82040101" + b"Hall A".hex().upper().encode() + b"\x1a"
    assert answer in link.receive(sds(f"8210{status}01"), NOW)
    assert answer not in link.receive(sds(f"8210{status}01"), NOW)
    link.command(DeviceCommand(nonce="m", native_id="1234567", action="text", args={"text": "大厅"}), NOW)
    assert "大厅".encode("utf-16-be").hex().upper().encode() in link.to_send()


def test_a_radio_is_asked_where_it_is_and_its_location_confirms() -> None:
    link = heard()
    asked = DeviceCommand(nonce="n", native_id="1234567", action="locate")
    link.command(asked, NOW)
    assert link.to_send() == b"AT+CMGS=1234567,24\r\n0A4580\x1a"
    confirmed = CommandAnswer(nonce="n", result="confirmed")
    assert confirmed not in link.receive(frame(129), NOW), "a report of its own accord is no answer"
    found = link.receive(frame(32), NOW)
    assert confirmed in found
    assert any(isinstance(body, Position) for body in bodies(found))
    assert confirmed not in link.receive(frame(32), NOW)


def test_a_radio_that_will_not_tell_where_it_is_refuses() -> None:
    link = heard()
    link.command(DeviceCommand(nonce="n", native_id="1234567", action="locate"), NOW)
    result = f"{0b01_0001_1 << 9 | 5 << 1:04X}"
    refused = CommandAnswer(nonce="n", result="refused", reason="the radio refused it")
    assert link.receive(sds(f"0A{result}"), NOW)[0] == refused
    assert bodies(link.receive(sds(f"0A{result}"), NOW)) == [Telemetry({})]


@pytest.mark.parametrize(
    "wrong",
    [
        {"native_id": "99"},
        {"native_id": "901-7-1234567"},
        {"action": "reboot"},
        {"args": {}},
        {"args": {"text": "x" * 200}},
    ],
)
def test_commands_that_cannot_be_sent_are_refused(wrong: dict[str, Any]) -> None:
    link = heard()
    good = {"nonce": "n", "native_id": "1234567", "action": "text", "args": {"text": "Hall A"}}
    with pytest.raises(CommandRefused):
        link.command(DeviceCommand(**(good | wrong)), NOW)
    assert link.to_send() == b""


def test_a_simple_location_is_a_position() -> None:
    rmc = "GNRMC,122950.00,A,3044.6160,N,12029.0280,E,10.0,90.0,241126,,,A,V"
    [found] = session().receive(sds("0300" + sentence(rmc).strip().hex()), NOW)
    assert isinstance(found, Observation)
    assert found.observed_at == NOW - timedelta(seconds=10)
    assert found.body == Position(longitude=120.4838, latitude=30.7436, speed_kmh=18.52, course_deg=90.0)


@pytest.mark.parametrize("place", ["0000.0000,N,00000.0000,E", "3044.6160,N,,", ",,,"])
def test_a_simple_location_without_a_place_is_a_sign_of_life(place: str) -> None:
    rmc = f"GNRMC,122950.00,A,{place},10.0,90.0,241126,,,A,V"
    assert bodies(session().receive(sds("0300" + sentence(rmc).strip().hex()), NOW)) == [Telemetry({})]


@pytest.mark.parametrize(
    ("calling", "device"),
    [
        ("01234567", "1234567"),
        ("04600000101234567", "1234567"),
        ("09010000701234567", "901-7-1234567"),
    ],
)
def test_radios_of_other_networks_are_others(calling: str, device: str) -> None:
    assert {result.device for result in session().receive(frame(calling=calling), NOW)} == {f"tetra:{device}"}


def test_other_documents_are_kept_as_they_are() -> None:
    [found] = bodies(session().receive(sds("0A4C123456789ABCDEF0123456"), NOW))
    assert found == Event(kind="unknown_report", attributes={"protocol": "0x0A", "hex": "4c123456789abcdef0123456"})


@pytest.mark.parametrize(
    "data",
    [
        b"+CTSDSR: 12,1234567,0,7654321,0,84\r\nOK\r\n",
        b"+CTSDSR: 12,,0,7654321,0,16\r\n0A00\r\n",
        b"+CTSDSR: 12,1234567,0,7654321,0,84\r\n0A05\r\n",
        b"+CTSDSR: 99,1234567,0,7654321,0,16\r\n0A00\r\n",
        b"+CTSDSR\r\n",
        b"hello\r\n",
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes) -> None:
    link = session()
    found = link.receive(data, NOW)
    assert found
    assert all(isinstance(result, Rejected) for result in found)
    assert link.to_send() == b""


def test_the_terminals_own_lines_are_quiet() -> None:
    assert session().receive(b"\r\nOK\r\nAT+CTSP=1,3,10\r\n+CREG: 1,1\r\n", NOW) == []


def test_a_terminal_is_told_to_pass_things_on_one_word_after_the_other() -> None:
    """A terminal forgets it when it is switched off, and takes a command when it has answered the one before."""
    link = tetra.Session(tetra.Settings(set_up=True), {"1234567"})
    said = []
    assert link.idle(NOW) == []
    for answer in (b"OK\r\n", b"ERROR\r\n", b"+CME ERROR: 35\r\n", b"OK\r\n", b"OK\r\n"):
        said.append(link.to_send())
        link.receive(answer, NOW)
    assert said == [b"AT+CTSP=1,3,%d\r\n" % identifier for identifier in (10, 131, 130)] + [b"AT+CTSP=1,2,20\r\n", b""]
    link.idle(NOW + timedelta(seconds=599))
    assert link.to_send() == b""
    link.receive(frame(3), NOW + timedelta(seconds=600))
    assert b"AT+CTSP=1,3,10\r\n" in link.to_send()
    link.idle(NOW + timedelta(seconds=610))  # no answer
    assert link.to_send() == b"AT+CTSP=1,3,131\r\n"
    silent = session()
    silent.idle(NOW)
    assert silent.to_send() == b"", "not unless it is asked for"
