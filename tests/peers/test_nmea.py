"""NMEA 0183 with pynmea2."""

from datetime import UTC, datetime
from typing import Any

import pytest

from devices.families import nmea, nmea_wire
from devices.observation import Observation, Position, Result, Telemetry

pynmea2: Any = pytest.importorskip("pynmea2", reason="pynmea2 makes the sentences")

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
RMC = ("122950", "A", "3044.6160", "N", "12029.0280", "E", "10.0", "90.0", "241126", "", "", "A")
GGA = ("122950", "3044.6160", "N", "12029.0280", "E", "1", "09", "0.9", "25.0", "M", "8.0", "M", "", "")
XDR = ("C", "21.5", "C", "AIR", "H", "44.0", "P", "AIR")


def heard(*sentences: Any) -> list[Result]:
    session = nmea.Session(nmea.Settings(), {"GN"})
    return session.receive("".join(one.render(newline=True) for one in sentences).encode(), NOW)


def test_a_fix_that_pynmea2_wrote_is_where_it_says() -> None:
    written = pynmea2.RMC("GN", "RMC", RMC)
    [position] = [one for one in heard(written) if isinstance(one, Observation)]
    assert isinstance(position.body, Position)
    assert position.observed_at == datetime.combine(written.datestamp, written.timestamp, UTC)
    assert position.body.latitude == pytest.approx(written.latitude, abs=1e-7)
    assert position.body.longitude == pytest.approx(written.longitude, abs=1e-7)
    assert position.body.speed_kmh == pytest.approx(written.spd_over_grnd * 1.852)
    assert position.flags == ()


def test_satellites_and_altitude_are_those_of_pynmea2() -> None:
    written = pynmea2.GGA("GN", "GGA", GGA)
    found = [one.body for one in heard(written) if isinstance(one, Observation)]
    [position] = [body for body in found if isinstance(body, Position)]
    assert (position.altitude_m, position.satellites) == (written.altitude, int(written.num_sats))


def test_transducers_are_those_of_pynmea2() -> None:
    found = [one.body for one in heard(pynmea2.XDR("GN", "XDR", XDR)) if isinstance(one, Observation)]
    told = {name: value for body in found if isinstance(body, Telemetry) for name, value in body.values.items()}
    assert told == {"temperature_c": 21.5, "humidity_percent": 44.0}


@pytest.mark.parametrize("sentence", [("RMC", RMC), ("GGA", GGA), ("XDR", XDR)], ids=["RMC", "GGA", "XDR"])
def test_both_refuse_a_wrong_checksum(sentence: tuple[str, tuple[str, ...]]) -> None:
    kind, fields = sentence
    line = getattr(pynmea2, kind)("GN", kind, fields).render()
    wrong = line[:-1] + ("0" if line[-1] != "0" else "1")
    with pytest.raises(pynmea2.ChecksumError):
        pynmea2.parse(wrong)
    session = nmea.Session(nmea.Settings(), {"GN"})
    assert not [one for one in session.receive(f"{wrong}\r\n".encode(), NOW) if isinstance(one, Observation)]
    assert nmea_wire.read_sentence(line.encode()) is not None
