"""SenML: packs, and what they become."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.cbor import CborError, read_cbor
from devices.families import senml
from devices.families.senml_wire import Invalid, read
from devices.family import Everyone, Message
from devices.observation import Alarm, Event, Observation, Position, Rejected, Result, Telemetry
from tests.devices.frames import NOW
from tests.devices.messages import SMOKE_SENML

OBSERVED = datetime(2026, 11, 24, 12, 29, 50, tzinfo=UTC)


HOSTILE = "81 9F A2 BF FF 006161 02F97E00 0201 21612F 22FB7FEFFFFFFFFFFFFF 063BFFFFFFFFFFFFFFFF 04F5 084178"
HOSTILE += " 02C48219010001 241BFFFFFFFFFFFFFFFF 036100"
CBOR_PIECES = [bytes.fromhex(piece) for piece in HOSTILE.split()]


def session(**settings: Any) -> senml.Session:
    return senml.Session(senml.Settings(**settings), Everyone())


def pack(*records: dict[str, Any]) -> Message:
    return Message("senml", json.dumps(records).encode(), {"content-type": "application/senml+json"})


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def test_smoke_and_temperature_of_one_device() -> None:
    found = session().receive(Message("senml", SMOKE_SENML), NOW)
    assert bodies(found) == [Alarm(kind="smoke"), Telemetry({"temperature_c": 21.5}, "t1")]
    assert {(one.device, one.observed_at) for one in found if isinstance(one, Observation)} == {
        ("senml:urn:dev:mac:0024befffe804ff1", OBSERVED)
    }


@pytest.mark.parametrize(
    "hex_", ["81A2006161" + "02F93E00", "81A2006161" + "02FB3FF8000000000000", "9FBF00616102C482200FFFFF"]
)
def test_cbor_with_every_kind_of_number(hex_: str) -> None:
    [record] = read(bytes.fromhex(hex_), "application/senml+cbor")
    assert (record.name, record.value) == ("a", 1.5)
    assert read(bytes.fromhex(hex_), "") == [record]


@pytest.mark.parametrize(
    "records",
    [
        [{"n": "a"}],
        [{"bn": "a", "n": "b"}],
        [{"n": "a", "v": 1, "vs": "x"}],
        [{"n": "a", "v": "1"}],
        [{"n": "a", "v": True}],
        [{"n": "a", "vb": 1}],
        [{"n": "_a", "v": 1}],
        [{"n": "a b", "v": 1}],
        [{"v": 1}],
        [{"n": "a", "v": 1, "must_": 1}],
        [{"n": "a", "v": 1, "bver": 11}],
        [{"n": "a", "v": 1, "bver": True}],
        [],
        [1],
    ],
)
def test_packs_that_are_not_valid(records: list[Any]) -> None:
    with pytest.raises(Invalid):
        read(json.dumps(records).encode(), "application/senml+json")
    [refused] = session().receive(Message("senml", json.dumps(records).encode()), NOW)
    assert isinstance(refused, Rejected)
    assert refused.reason.startswith("SenML: ")


def test_labels_that_are_not_known_are_left_out() -> None:
    [record] = read(b'[{"n":"a","v":1,"hint":[2]}]', "")
    assert record.value == 1


def test_times_count_from_now_or_from_1970() -> None:
    found = session().receive(
        pack({"bn": "room:", "bu": "Cel", "n": "t", "v": 20, "t": -60}, {"n": "t", "v": 21, "bt": 1795523390}), NOW
    )
    times = [one.observed_at for one in found if isinstance(one, Observation)]
    assert times == [NOW - timedelta(seconds=60), OBSERVED]
    impossible = session().receive(pack({"n": "a", "u": "Cel", "v": 1, "t": 1e300}), NOW)
    assert [one.flags for one in impossible if isinstance(one, Observation)] == [("time_invalid",)]


@pytest.mark.parametrize(
    ("name", "base", "device", "measurement"),
    [
        ("urn:dev:mac:0024befffe804ff1:t1", "urn:dev:mac:0024befffe804ff1:", "urn:dev:mac:0024befffe804ff1", "t1"),
        ("urn:dev:ow:10e2073a01080063", "", "urn:dev:ow:10e2073a01080063", ""),
        ("urn:dev:ow:10e2073a01080063_temp", "", "urn:dev:ow:10e2073a01080063", "temp"),
        ("dev123temp", "dev123", "dev123", "temp"),
        ("room1/temp", "room1/temp", "room1", "temp"),
        ("room1/temp", "", "room1", "temp"),
        ("room1", "", "room1", ""),
    ],
)
def test_whose_record_it_is(name: str, base: str, device: str, measurement: str) -> None:
    assert senml.parted(name, base) == (device, measurement)


def test_a_place_is_latitude_and_longitude() -> None:
    found = session().receive(
        pack({"bn": "cart:", "n": "y", "u": "lat", "v": 30.5}, {"n": "x", "u": "lon", "v": 120.25}), NOW
    )
    assert bodies(found) == [Position(longitude=120.25, latitude=30.5)]
    nowhere = session().receive(
        pack({"bn": "cart:", "n": "y", "u": "lat", "v": 0}, {"n": "x", "u": "lon", "v": 0}), NOW
    )
    assert bodies(nowhere) == []


def test_what_the_installer_says_of_names() -> None:
    link = session(names={"co": "co_ppm"}, alarms={"wet": "water_leak"})
    message = pack(
        {"bn": "pump/", "n": "co", "u": "ppm", "v": 12}, {"n": "wet", "vb": True}, {"n": "odd", "u": "ppm", "v": 1}
    )
    assert bodies(link.receive(message, NOW)) == [Alarm(kind="water_leak"), Telemetry({"co_ppm": 12})]
    dry = pack({"bn": "pump/", "n": "wet", "vb": False})
    assert bodies(link.receive(dry, NOW)) == [Alarm(kind="water_leak", raised=False), Telemetry({})]


def test_one_of_two_detectors_in_alarm_is_an_alarm() -> None:
    link = session(alarms={"wet1": "water_leak", "wet2": "water_leak"})
    for one, other in ((True, False), (False, True)):
        message = pack({"bn": "pump/", "n": "wet1", "vb": one}, {"n": "wet2", "vb": other})
        assert bodies(link.receive(message, NOW))[0] == Alarm(kind="water_leak")


def test_words_are_told_when_they_change() -> None:
    link = session()
    for word, events in (("idle", 1), ("idle", 0), ("busy", 1)):
        found = bodies(link.receive(pack({"bn": "pump/", "n": "mode", "vs": word}), NOW))
        assert len([body for body in found if isinstance(body, Event)]) == events


def test_strangers_in_a_pack_are_named_and_friends_heard() -> None:
    link = senml.Session(senml.Settings(), {"a"})
    found = link.receive(pack({"n": "a/t", "u": "Cel", "v": 1}, {"n": "b/t", "u": "Cel", "v": 1}), NOW)
    assert bodies(found) == [Telemetry({"temperature_c": 1}, "t")]
    assert [one.device for one in found if isinstance(one, Rejected)] == ["senml:b"]


@pytest.mark.parametrize("settings", [{"names": {"x": "warmth"}}, {"alarms": {"x": "doom"}}])
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"docs/dictionary\.md"):
        msgspec.convert(settings, senml.Settings)


@pytest.mark.parametrize(
    ("hex_", "value"),
    [
        ("00", 0),
        ("1818", 24),
        ("1B000000E8D4A51000", 10**12),
        ("3863", -100),
        ("F97C00", float("inf")),
        ("FA47C35000", 100000.0),
        ("F5", True),
        ("F6", None),
        ("43010203", b"\x01\x02\x03"),
        ("5F42010243030405FF", b"\x01\x02\x03\x04\x05"),
        ("7F657374726561646D696E67FF", "streaming"),
        ("A2016161616202", {1: "a", "b": 2}),
        ("D9D9F78101", [1]),
        ("C48221196AB3", 273.15),
    ],
)
def test_cbor_values(hex_: str, value: Any) -> None:
    """Most of them from RFC 8949, appendix A."""
    assert read_cbor(bytes.fromhex(hex_)) == value


@pytest.mark.parametrize(
    "hex_",
    [
        "",
        "81",
        "1C",
        "FF",
        "0000",
        "C101",
        "A18001",
        "61FF",
        "5F6161FF",
        "9B7FFFFFFFFFFFFFFF",
        "81" * 100,
        "C482196AB301",
    ],
)
def test_what_is_no_cbor_is_refused(hex_: str) -> None:
    with pytest.raises(CborError):
        read_cbor(bytes.fromhex(hex_))


@given(data=st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(CBOR_PIECES), max_size=12).map(b"".join)))
def test_no_bytes_raise_another_error(data: bytes) -> None:
    with suppress(CborError):
        read_cbor(data)
    with suppress(Invalid):
        read(data, "application/senml+cbor")
    session().receive(Message("senml", data), NOW)


def test_a_press_under_a_stopped_clock_is_new_an_hour_later() -> None:
    link = session()
    reading = pack({"bn": "a/", "bt": 1767225600, "n": "sos", "vb": True})
    presses = [link.receive(reading, NOW + timedelta(hours=hours))[0] for hours in (0, 0, 2)]
    ids = [press.frame_id for press in presses if isinstance(press, Observation)]
    assert ids[0] == ids[1] != ids[2]
