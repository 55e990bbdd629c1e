"""APRS packets: whose they are, emergencies, weather, messages, times without a date, copies over several stations."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devices.families import aprs, aprs_wire
from devices.family import CommandRefused, DeviceCommand
from devices.observation import Alarm, CommandAnswer, Event, Observation, Position, Rejected, Result, Telemetry
from tests.devices.frames import MIC_E, NOW
from tests.devices.frames import aprs as frame

PLACE = "3044.61N/12029.28E>"


def session(callsign: str = "", transmit: bool = False) -> aprs.Session:
    return aprs.Session(aprs.Settings(callsign=callsign, filter="r/30/120/50", transmit=transmit), {"BH4ABC-7"})


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def test_the_emergency_of_mic_e_is_an_sos_with_its_place() -> None:
    alarm, position = bodies(session().receive(frame(), NOW))
    assert alarm == Alarm(kind="sos", description="help")
    assert isinstance(position, Position)
    assert (position.latitude, position.longitude) == (pytest.approx(30.7435), pytest.approx(120.488))
    assert (position.speed_kmh, position.course_deg) == (pytest.approx(18.52), 90)


@pytest.mark.parametrize("letters", ["P04", "3P4", "30T", "A04"])
def test_other_message_bits_are_none(letters: str) -> None:
    found = bodies(session().receive(frame(letters + MIC_E[3:]), NOW))
    assert not any(isinstance(body, Alarm) for body in found)


def test_a_position_with_course_speed_and_altitude() -> None:
    [position] = bodies(session().receive(frame(f"APRS:={PLACE}090/010/A=000100 hello"), NOW))
    assert isinstance(position, Position)
    assert (position.speed_kmh, position.course_deg) == (18.52, 90)
    assert position.altitude_m == pytest.approx(30.48)


def test_weather_is_measured() -> None:
    [position, weather] = bodies(session().receive(frame(f"APRS:!{PLACE[:-1]}_.../...g...t077h50b09900"), NOW))
    assert isinstance(position, Position)
    assert isinstance(weather, Telemetry)
    assert weather.values == {
        "temperature_c": pytest.approx(25.0),
        "humidity_percent": 50,
        "pressure_kpa": pytest.approx(99.0),
    }


def test_a_weather_station_stands_still_and_its_wind_blows() -> None:
    """Course and speed behind its place are the wind's; an s behind them is snow, # a counter of rain."""
    place = f"APRS:!{PLACE[:-1]}_220/010g020t077s002#123h50"
    position, weather = bodies(session().receive(frame(place), NOW))
    assert isinstance(position, Position)
    assert (position.speed_kmh, position.course_deg) == (None, None)
    assert isinstance(weather, Telemetry)
    assert weather.values["wind_direction_deg"] == 220
    assert weather.values["wind_speed_m_s"] == pytest.approx(5.1444, abs=1e-3)
    assert weather.values["humidity_percent"] == 50


@pytest.mark.parametrize(
    "packet",
    [
        f"APRS:;HALL A   *241229z{PLACE}",
        f"APRS:)HALL!{PLACE}",
        "APRS:>on duty",
        "APRS:>",
        "APRS:<IGATE",
        "APRS:!0000.00N/00000.00E>",
    ],
)
def test_what_has_no_place_of_its_own_is_a_sign_of_life(packet: str) -> None:
    assert bodies(session().receive(frame(packet), NOW)) == [Telemetry({})]


def test_a_third_partys_packet_is_of_its_sender() -> None:
    [found] = session().receive(frame(f"APRS,TCPIP*:}}BH4ABC-7>APRS,NET*:={PLACE}", source="BH4GATE"), NOW)
    assert found.device == "aprs:BH4ABC-7"
    assert isinstance(found, Observation)


def test_copies_over_several_stations_have_one_id_for_a_while() -> None:
    link = session()

    def name(path: str, at: datetime) -> str:
        [found] = link.receive(frame(f"APRS{path}:={PLACE}"), at)
        assert isinstance(found, Observation)
        return found.frame_id

    first = name(",WIDE1-1", NOW)
    assert name(",RELAY*,WIDE1-1", NOW + timedelta(seconds=29)) == first
    assert name("", NOW + timedelta(seconds=31)) != first


@pytest.mark.parametrize(
    ("stamp", "observed", "flags"),
    [
        ("241229z", datetime(2026, 11, 24, 12, 29, tzinfo=UTC), ()),
        ("231229z", datetime(2026, 11, 23, 12, 29, tzinfo=UTC), ()),
        ("241229/", datetime(2026, 11, 24, 4, 29, tzinfo=UTC), ()),
        ("122950h", datetime(2026, 11, 24, 12, 29, 50, tzinfo=UTC), ()),
        ("235950h", datetime(2026, 11, 23, 23, 59, 50, tzinfo=UTC), ()),
        ("242359z", NOW, ("time_invalid",)),
        ("992599z", NOW, ("time_invalid",)),
    ],
)
def test_times_without_a_date(stamp: str, observed: datetime, flags: tuple[str, ...]) -> None:
    [found] = session().receive(frame(f"APRS:@{stamp}{PLACE}"), NOW)
    assert isinstance(found, Observation)
    assert (found.observed_at, found.flags) == (observed, flags)


def test_messages_are_told_and_acknowledged_when_we_may_transmit() -> None:
    link = session("BH4VEN", transmit=True)
    assert link.to_send() == b"user BH4VEN pass %d vers gridward 1 filter r/30/120/50\r\n" % aprs_wire.passcode(
        "BH4VEN"
    )
    [body] = bodies(link.receive(frame("APRS::BH4VEN   :Smoke in hall A{12"), NOW))
    assert body == Event(kind="text_message", attributes={"to": "BH4VEN", "text": "Smoke in hall A"})
    assert link.to_send() == b"BH4VEN>APZGRD,TCPIP*::BH4ABC-7 :ack12\r\n"
    link.receive(frame("APRS::BH4VEN   :ack12"), NOW)
    link.receive(frame("APRS::OTHER    :hello{13"), NOW)
    assert link.to_send() == b""
    silent = session("BH4VEN")
    silent.to_send()
    silent.receive(frame("APRS::BH4VEN   :hello{12"), NOW)
    assert silent.to_send() == b""


@pytest.mark.parametrize(
    ("packet", "readable"),
    [
        ("A>APRS:>x", True),
        ("A-ABCDEFG>APRS-15:>x", True),
        ("A>aprs:>x", False),  # destinations are addresses of AX.25
        ("A>APRS-16:>x", False),
        ("A>ABCDEFG:>x", False),
        ("A>APRS:", False),
    ],
)
def test_callsigns_and_destinations(packet: str, readable: bool) -> None:
    assert (aprs_wire.read_packet(packet) is not None) is readable


@pytest.mark.parametrize(
    ("information", "expected"),
    [
        (":WXBOT    :Hello {AB}CD", {"message_text": "Hello", "msgNo": "AB", "ackMsgNo": "CD"}),
        (":WXBOT    :Hello {ABC}", {"message_text": "Hello {ABC}"}),  # a number before a brace has two letters
        (":WXBOT    :ackABC", {"response": "ack", "msgNo": "ABC"}),
        (":WXBOT    :ackABC}", {"message_text": "ackABC}"}),
        (":BLN1 wx  :Snow", {"format": "group-bulletin", "bid": "1", "identifier": " wx"}),
        (":WXBOT:Hello", {"format": "beacon", "text": ":WXBOT:Hello"}),
        (",test", {"format": "invalid", "body": "test"}),
        ("[IO91SX]", {"format": "unread"}),
        ("$GPRMC,!4903.50N/07201.75W-", {"format": "unread"}),
        ("> on duty ", {"format": "status", "status": "on duty"}),
    ],
)
def test_types_and_numbers(information: str, expected: dict[str, str]) -> None:
    found = aprs_wire.read_packet(f"A>APRS:{information}")
    assert found is not None
    assert {name: found.get(name) for name in expected} == expected


def test_a_symbol_table_has_a_name() -> None:
    assert aprs_wire.read_packet("A>APRS:!4903.50Nl07201.75W-") is None


def test_equations_that_are_left_out_change_nothing() -> None:
    found = aprs_wire.read_packet("A>APRS::A        :EQNS.0,.53,-32")
    assert found is not None
    assert found["tEQNS"] == [[0, 0.53, -32], [0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]]


def test_a_course_that_cannot_be_is_none() -> None:
    found = aprs_wire.read_packet('A>T7SYWP:`|:Kl~Zk/]"5g}=')
    assert found is not None
    assert "course" not in found


def test_an_object_may_have_no_time() -> None:
    found = aprs_wire.read_packet(f"A>APRS:;HALL A   *{PLACE}")
    assert found is not None
    assert (found["object_name"], "raw_timestamp" in found) == ("HALL A   ", False)


def test_a_message_may_carry_the_acknowledgement() -> None:
    link = session("BH4VEN", transmit=True)
    for number in range(1, 11):
        link.command(DeviceCommand(nonce=f"n{number}", native_id="BH4ABC-7", action="text", args={"text": "go"}), NOW)
    found = link.receive(frame("APRS::BH4VEN   :on my way{AB}10"), NOW)
    assert CommandAnswer(nonce="n10", result="accepted") in found


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("ack1", CommandAnswer(nonce="n", result="accepted")),
        ("rej1", CommandAnswer(nonce="n", result="refused", reason="rejected by the station")),
    ],
)
def test_a_message_to_a_station_is_answered_by_its_acknowledgement(response: str, answer: CommandAnswer) -> None:
    link = session("BH4VEN", transmit=True)
    link.to_send()
    link.command(DeviceCommand(nonce="n", native_id="BH4ABC-7", action="text", args={"text": "Hall A"}), NOW)
    assert link.to_send() == b"BH4VEN>APZGRD,TCPIP*::BH4ABC-7 :Hall A{1\r\n"
    assert answer not in link.receive(frame("APRS::OTHER    :" + response), NOW)
    assert answer in link.receive(frame("APRS::BH4VEN   :" + response), NOW)
    assert answer not in link.receive(frame("APRS::BH4VEN   :" + response), NOW)


@pytest.mark.parametrize(
    ("transmit", "wrong"),
    [
        (True, {"native_id": "OTHER"}),
        (True, {"action": "reboot"}),
        (True, {"args": {"text": "a|b"}}),
        (True, {"args": {"text": "x\r\nBH4VEN>A:>y"}}),
        (True, {"args": {"text": "x" * 68}}),
        (False, {}),
    ],
)
def test_commands_that_cannot_be_sent_are_refused(transmit: bool, wrong: dict[str, Any]) -> None:
    link = session("BH4VEN", transmit=transmit)
    link.to_send()
    good = {"nonce": "n", "native_id": "BH4ABC-7", "action": "text", "args": {"text": "Hall A"}}
    with pytest.raises(CommandRefused):
        link.command(DeviceCommand(**(good | wrong)), NOW)
    assert link.to_send() == b""


def test_transmitting_needs_a_callsign() -> None:
    with pytest.raises(ValueError, match="callsign"):
        aprs.Settings(transmit=True)


def test_the_servers_lines_are_quiet_and_rubbish_is_refused() -> None:
    assert session().receive(b"# aprsc 2.1\r\n", NOW) == []
    for data in (b"A>B:!\r\n", b"hello\r\n", b"KZZ>ZZZZZZ:`098m v>/\r\n", b"A>B:}C>D:}E>F:}G>H:>x\r\n"):
        assert all(isinstance(result, Rejected) for result in session().receive(data, NOW))
