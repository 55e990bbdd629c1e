"""NMEA sentences: whose position it is, which sentence leads, times without a date, and what is doubted."""

from datetime import UTC, datetime, timedelta

import pytest

from devices.families import nmea, nmea_wire
from devices.framing import xor8
from devices.observation import Alarm, Observation, Position, Rejected, Result, Telemetry
from tests.devices.frames import NOW
from tests.devices.frames import nmea as frame

OBSERVED = datetime(2026, 11, 24, 12, 29, 50, tzinfo=UTC)
RMC = "GNRMC,122950.00,A,3044.6160,N,12029.0280,E,10.0,90.0,241126,,,A,V"
GGA = "GNGGA,122950.00,3044.6160,N,12029.0280,E,1,09,0.8,25.0,M,5.0,M,,"
GLL = "GNGLL,3044.6160,N,12029.0280,E,122950.00,A,A"


def session(device: str = "4711", edited: bool = False) -> nmea.Session:
    settings = nmea.Settings(device=device, edited=edited)
    return nmea.Session(settings, {"4711", "355797031609284", "GN"})


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def only(found: list[Result]) -> Observation:
    [result] = found
    assert isinstance(result, Observation)
    return result


def test_a_fix_is_one_position_with_what_gga_knows() -> None:
    link = session()
    assert len(bodies(link.receive(frame(GGA), NOW))) == 2  # no RMC came yet: GGA is all there is
    position, telemetry = link.receive(frame(RMC), NOW)
    assert isinstance(position, Observation)
    assert position.device == "nmea:4711"
    assert position.observed_at == OBSERVED
    assert position.body == Position(
        longitude=120.4838, latitude=30.7436, altitude_m=25.0, speed_kmh=18.52, course_deg=90.0, satellites=9
    )
    assert isinstance(telemetry, Observation)
    assert telemetry.body == Telemetry({"gnss_satellites": 9})
    assert link.receive(frame(GGA) + frame(GLL), NOW) == []
    assert link.to_send() == b""


def test_without_rmc_the_others_lead() -> None:
    link = session()
    link.receive(frame(RMC), NOW)
    later = NOW + timedelta(seconds=nmea.RMC_LEADS_S + 1)
    assert any(isinstance(body, Position) for body in bodies(link.receive(frame(GLL), later)))


@pytest.mark.parametrize(
    ("line", "device"),
    [
        (f"4711/355797031609284/${RMC}", "355797031609284"),
        (f"355797031609284${RMC}", "355797031609284"),
        (f"${RMC}", "4711"),
        (RMC, "4711"),
    ],
)
def test_whose_position_it_is(line: str, device: str) -> None:
    found = session().receive(f"{line}\r\n".encode(), NOW)
    assert {result.device for result in found} == {f"nmea:{device}"}


def test_a_log_in_line_names_the_unit_for_what_follows() -> None:
    link = session()
    assert bodies(link.receive(b"$IMEI=355797031609284\r\n", NOW)) == [Telemetry({})]
    assert {result.device for result in link.receive(frame(RMC), NOW)} == {"nmea:355797031609284"}
    [stranger] = link.receive(b"IMEI 351467108700000\r\n", NOW)
    assert isinstance(stranger, Rejected)
    assert {result.device for result in link.receive(frame(RMC), NOW)} == {"nmea:351467108700000"}


def test_a_receiver_on_its_own_link_is_its_talker() -> None:
    assert {result.device for result in session(device="").receive(frame(RMC), NOW)} == {"nmea:GN"}


def test_checksums() -> None:
    wrong = f"${RMC}*00\r\n".encode()
    [refused] = session().receive(wrong, NOW)
    assert isinstance(refused, Rejected)
    assert refused.reason == "checksum wrong"
    for found in (session(edited=True).receive(wrong, NOW), session().receive(f"${RMC}\r\n".encode(), NOW)):
        assert only(found).flags == ("no_checksum",)


@pytest.mark.parametrize("blank_counts", [False, True])
def test_blanks_around_the_checksum(blank_counts: bool) -> None:
    check = xor8(f"{RMC} ".encode() if blank_counts else RMC.encode())
    assert only(session().receive(f"${RMC} * {check:02X} \r\n".encode(), NOW)).flags == ()


@pytest.mark.parametrize(
    "line",
    [
        RMC.replace(",A,3044", ",V,3044"),
        RMC.replace("E,10.0,90.0,241126,,,A", "E,10.0,90.0,241126,,,N"),
        RMC.replace("3044.6160", "0000.0000").replace("12029.0280", "00000.0000"),
        GGA.replace("E,1,09", "E,0,09"),
    ],
)
def test_no_fix_is_a_sign_of_life_without_a_position(line: str) -> None:
    [body] = bodies(session().receive(frame(line), NOW))
    assert isinstance(body, Telemetry)


def test_a_sentence_that_ends_behind_the_place_still_tells_it() -> None:
    """A hemisphere's letter says that the number before it is whole."""
    cut = f"${RMC.partition(',10.0')[0]},1.D\r\n".encode()
    found = only(session().receive(cut, NOW))
    assert found.body == Position(longitude=120.4838, latitude=30.7436)
    assert (found.observed_at, found.flags) == (OBSERVED, ("no_checksum",))
    assert all(isinstance(one, Rejected) for one in session().receive(f"${RMC[:40]}\r\n".encode(), NOW))


def test_a_place_that_cannot_be_is_refused() -> None:
    [refused] = session().receive(frame(RMC.replace("3044.6160", "9944.6160")), NOW)
    assert isinstance(refused, Rejected)
    assert refused.reason == "position unreadable"


@pytest.mark.parametrize(
    ("now", "clock", "observed"),
    [
        (datetime(2026, 11, 24, 0, 0, 2, tzinfo=UTC), "235959", datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC)),
        (datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC), "000002", datetime(2026, 11, 24, 0, 0, 2, tzinfo=UTC)),
        (NOW, "122950", OBSERVED),
    ],
)
def test_a_time_without_a_date_is_the_nearest_one(now: datetime, clock: str, observed: datetime) -> None:
    [position, _] = session().receive(frame(GGA.replace("122950", clock)), now)
    assert isinstance(position, Observation)
    assert (position.observed_at, position.flags) == (observed, ())


def test_an_old_receivers_week_counter_is_corrected() -> None:
    old = OBSERVED - timedelta(weeks=1024)
    found = only(session().receive(frame(RMC.replace("241126", f"{old:%d%m%y}")), NOW))
    assert (found.observed_at, found.flags) == (OBSERVED, ("week_rollover",))
    other = only(session().receive(frame(RMC.replace("241126", "010107")), NOW))
    assert (other.observed_at, other.flags) == (NOW, ("time_invalid",))


def test_weak_fixes_and_jumps_are_flagged() -> None:
    link = session()
    weak = link.receive(frame(GGA.replace(",09,0.8,", ",03,12.0,")), NOW)[0]
    assert isinstance(weak, Observation)
    assert weak.flags == ("weak_fix",)
    far = RMC.replace("122950", "122955").replace("3044", "3144")
    assert only(link.receive(frame(far), NOW)).flags == ("jump",)


def test_a_coarse_fix_is_weak_though_satellites_are_many() -> None:
    weak = session().receive(frame(GGA.replace(",09,0.8,", ",04,10.1,")), NOW)[0]
    good = session().receive(frame(GGA.replace(",09,0.8,", ",04,10.0,")), NOW)[0]
    assert [one.flags for one in (weak, good) if isinstance(one, Observation)] == [("weak_fix",), ()]


def test_alarms_and_transducers() -> None:
    [raised] = bodies(session().receive(frame("AIALR,122950,006,A,V,AIS:general failure"), NOW))
    assert raised == Alarm(kind="fault", component="006", description="AIS:general failure")
    [ended] = bodies(session().receive(frame("AIALR,122950,006,V,V,AIS:general failure"), NOW))
    assert ended == Alarm(kind="fault", raised=False, component="006", description="AIS:general failure")
    measured = bodies(session().receive(frame("YXXDR,A,-64.4,M,N,C,17.09,C,T1,H,55,P,H1,C,9999,C,T2"), NOW))
    assert measured == [Telemetry({"temperature_c": 17.09}, "T1"), Telemetry({"humidity_percent": 55.0}, "H1")]


def test_longitudes_with_two_degree_digits() -> None:
    assert nmea_wire.degrees("1029.12850", "E", 180) == pytest.approx(10.485475)
    assert nmea_wire.degrees("01131.000", "W", 180) == pytest.approx(-11.516667)
    for text, letter in (("1160.0", "E"), ("18100.0", "E"), ("", "E"), ("1029.1", ""), ("-1029.1", "E")):
        assert nmea_wire.degrees(text, letter, 180) is None


@pytest.mark.parametrize("line", ["$GPGSV,3,3,09,24,03,046,*47\\", "$GPRMC,122950", "$GP\x00RMC,1*00", "hello"])
def test_what_is_no_sentence_is_refused(line: str) -> None:
    assert all(isinstance(result, Rejected) for result in session().receive(f"{line}\r\n".encode(), NOW))


@pytest.mark.parametrize("text", ["PRMC,122950.00,A", "PGGA,1", "PALR,1", "PXDR,C", "PGRME,1,M,2,M,3,M"])
def test_a_makers_own_sentence_is_not_taken_for_the_standards(text: str) -> None:
    assert session().receive(frame(text), NOW) == []


@pytest.mark.parametrize("text", ["GPR00,A,B,C", "STALK,9C,C1,2A,E5", "CCGPQ,GGA"])
def test_sentences_that_are_read_by_others_are_no_refusals(text: str) -> None:
    assert session().receive(frame(text), NOW) == []


def test_a_date_of_days_ago_does_not_date_a_fix_of_now() -> None:
    link = session()
    link.receive(frame("GPZDA,122950.00,21,11,2026,00,00"), NOW - timedelta(days=3))
    [position, _] = link.receive(frame(GGA), NOW)
    assert isinstance(position, Observation)
    assert (position.observed_at, position.flags) == (OBSERVED, ())


def test_in_a_recording_the_date_before_dates_what_has_none() -> None:
    link = nmea.Session(nmea.Settings(device="4711", any_time=True), {"4711"})
    link.receive(frame("GPZDA,122950.00,21,11,2020,00,00"), NOW)
    [position, _] = link.receive(frame(GGA), NOW)
    assert isinstance(position, Observation)
    assert (position.observed_at, position.flags) == (datetime(2020, 11, 21, 12, 29, 50, tzinfo=UTC), ("time_invalid",))
