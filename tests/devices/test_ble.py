"""Bluetooth: what values and advertisements become."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.families import ble, ble_bthome, ble_gatt, ble_models
from devices.families.ble_advert import Advert
from devices.family import Everyone, Message
from devices.observation import Alarm, Event, Observation, Rejected, Result, Telemetry
from tests.devices.frames import NOW
from tests.devices.messages import BAND, BLE_KEY, bthome


def session(**settings: Any) -> ble.Session:
    return ble.Session(ble.Settings(**settings), Everyone())


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def raised(found: list[Result]) -> list[str]:
    return [body.kind for body in bodies(found) if isinstance(body, Alarm) and body.raised]


def value(characteristic: str, data: str) -> Message:
    return Message(f"{BAND}/{characteristic}", bytes.fromhex(data))


def service(data: str, uuid: str = "FCD2", address: str = BAND) -> Message:
    return Message(f"{address}/service/{uuid}", bytes.fromhex(data))


def published(**properties: Any) -> Message:
    return Message("home/gate/BTtoMQTT/C0FFEE000002", json.dumps(properties).encode())


@pytest.mark.parametrize(
    ("characteristic", "data", "values"),
    [
        ("2A37", "004B", {"heart_rate_bpm": 75}),
        ("2A37", "00FF", {"heart_rate_bpm": 255}),
        ("2A37", "0005", {}),
        ("2A5F", "0062004000", {"spo2_percent": 98, "heart_rate_bpm": 64}),
        ("2A5F", "00FF07FF07", {}),
        ("2A1C", "006C0100FF", {"body_temperature_c": 36.4}),
        ("2A1C", "00FFFF7F00", {}),
        ("2A35", "0078005000F07B", {"systolic_mmhg": 120, "diastolic_mmhg": 80}),
        ("2A35", "0110F0A0F0D0F0", {"diastolic_mmhg": 120, "mean_arterial_mmhg": 156}),
        ("2A19", "4B", {"battery_percent": 75}),
        ("2A6E", "0980", {}),
        ("2A6D", "02760F00", {"pressure_kpa": 101.325}),
        ("2A9D", "00B036", {"weight_kg": 70}),
    ],
)
def test_measurements(characteristic: str, data: str, values: dict[str, float]) -> None:
    [telemetry] = bodies(session().receive(value(characteristic, data), NOW))
    assert isinstance(telemetry, Telemetry)
    assert {name: round(found, 3) for name, found in telemetry.values.items()} == values


def test_a_band_without_skin_is_off_and_has_no_heart_rate() -> None:
    link = session()
    assert bodies(link.receive(value("2A37", "0450"), NOW)) == [Alarm(kind="off_wrist"), Telemetry({})]
    assert bodies(link.receive(value("2A37", "0650"), NOW)) == [
        Alarm(kind="off_wrist", raised=False),
        Telemetry({"heart_rate_bpm": 80}),
    ]


def test_stored_measurements_have_the_bands_own_time() -> None:
    stored = value("2A1C", "026C0100FF" + "EA070B18141D32")  # 2026-11-24 20:29:50 on the band's clock
    [found] = session(time_zone="Asia/Shanghai").receive(stored, NOW)
    assert isinstance(found, Observation)
    assert (found.observed_at, found.flags) == (
        datetime(2026, 11, 24, 12, 29, 50, tzinfo=UTC),
        ("backlog",),
    )
    unset = value("2A1C", "026C0100FF" + "0000000000000000"[:14])
    [found] = session().receive(unset, NOW)
    assert isinstance(found, Observation)
    assert found.observed_at == NOW


@pytest.mark.parametrize(
    ("objects", "kind"),
    [
        ("2901", "smoke"),
        ("1701", "carbon_monoxide"),
        ("1C01", "gas"),
        ("1D01", "heat"),
        ("2001", "water_leak"),
        ("2B01", "tamper"),
        ("1501", "low_battery"),
        ("2601", "fault"),
        ("2800", "supervisory"),
    ],
)
def test_what_flags_call_for(objects: str, kind: str) -> None:
    assert raised(session().receive(service("40" + objects), NOW)) == [kind]
    assert raised(session(keys={BAND: BLE_KEY}).receive(bthome(objects), NOW)) == [kind]


def test_a_replay_is_refused_and_a_repetition_is_silent() -> None:
    link = session(keys={BAND: BLE_KEY})
    assert raised(link.receive(bthome("2901", counter=7), NOW)) == ["smoke"]
    assert link.receive(bthome("2901", counter=7), NOW) == []
    [refused] = link.receive(bthome("2900", counter=6), NOW)
    assert isinstance(refused, Rejected)
    assert refused.reason == "BTHome: counter went back"
    assert Alarm(kind="smoke", raised=False) in bodies(link.receive(bthome("2900", counter=8), NOW))
    restarted = session(keys={BAND: BLE_KEY}, counters_restart=(BAND.lower(),))
    restarted.receive(bthome("2900", counter=900), NOW)
    assert raised(restarted.receive(bthome("2901", counter=0), NOW)) == ["smoke"]


def test_a_device_with_a_key_is_not_heard_without_it() -> None:
    [plain] = session(keys={BAND: BLE_KEY}).receive(service("402901"), NOW)
    [keyless] = session().receive(bthome("2901"), NOW)
    [wrong] = session(keys={BAND: "00" * 16}).receive(bthome("2901"), NOW)
    reasons = [one.reason for one in (plain, keyless, wrong) if isinstance(one, Rejected)]
    assert reasons == [
        "BTHome: not encrypted, though the device has a key",
        "BTHome: encrypted, no key for this device",
        "BTHome: wrong key or forged",
    ]


def test_the_same_advertisement_is_told_once_in_a_minute() -> None:
    link = session()
    assert bodies(link.receive(service("40000902CA09"), NOW)) == [Telemetry({"temperature_c": 25.06})]
    assert link.receive(service("40000902CA09"), NOW + timedelta(seconds=50)) == []
    assert bodies(link.receive(service("40000A02CA09"), NOW + timedelta(seconds=51))) != []
    assert bodies(link.receive(service("40000A02CA09"), NOW + timedelta(seconds=120))) != []


def test_a_press_asks_for_help_where_the_installer_says_so() -> None:
    press = service("4400013A01")
    assert bodies(session().receive(press, NOW))[0] == Event(
        kind="button", component="1", attributes={"press": "press"}
    )
    assert raised(session(sos_buttons=("c0ffee000002",)).receive(press, NOW)) == ["sos"]
    turned = service("4400023C0103")
    assert raised(session(sos_buttons=(BAND,)).receive(turned, NOW)) == []
    unnumbered = session(sos_buttons=(BAND,))
    for seconds, alarms in ((0, ["sos"]), (1, []), (5, ["sos"])):
        assert raised(unnumbered.receive(service("443A01"), NOW + timedelta(seconds=seconds))) == alarms


def test_doors_are_told_when_they_move() -> None:
    link = session()
    kinds = [
        [
            body.kind
            for body in bodies(link.receive(service(f"4000{number:02X}2D{state}"), NOW))
            if isinstance(body, Event)
        ]
        for number, state in enumerate(("00", "00", "01", "00"))
    ]
    assert kinds == [["door_closed"], [], ["door_opened"], ["door_closed"]]


def test_properties_that_a_gateway_decoded() -> None:
    found = session().receive(
        published(brand="SwitchBot", model_id="W120150X", type="CTMO", contact="timeout not closed", batt=87, rssi=-71),
        NOW,
    )
    assert raised(found) == ["door_held_open"]
    assert Event(kind="door_opened") in bodies(found)
    assert bodies(found)[-1] == Telemetry({"battery_percent": 87, "signal_dbm": -71})
    odd = published(model_id="X", tempc="warm", open="yes", button="1", batt=True, rssi=None)
    assert bodies(session().receive(odd, NOW)) == [Telemetry({})]


def test_what_a_gateway_did_not_decode_is_decoded_here() -> None:
    raw = published(name="Polar H10 7508", manufacturerdata="6b002f166b68", rssi=-60)
    assert bodies(session().receive(raw, NOW)) == [Telemetry({"heart_rate_bpm": 104, "signal_dbm": -60})]
    sealed = bthome("2901")
    raw = published(servicedatauuid="0xfcd2", servicedata=sealed.data.hex())
    assert raised(session(keys={BAND: BLE_KEY}).receive(raw, NOW)) == ["smoke"]
    direct = Message(f"{BAND}/manufacturer", bytes.fromhex("6b002f166b68"), {"name": "Polar H10 7508"})
    assert bodies(session().receive(direct, NOW)) == [Telemetry({"heart_rate_bpm": 104})]


@pytest.mark.parametrize(
    "properties",
    [
        {"model_id": "APPLE_CONT", "type": "RMAC"},
        {"model_id": "APPLEWATCH", "type": "BODY", "prmac": True},
        {"manufacturerdata": "4c00130100"},
        {"manufacturerdata": "ffff0102"},
        {},
    ],
)
def test_the_address_of_a_strangers_phone_is_not_kept(properties: dict[str, Any]) -> None:
    link = ble.Session(ble.Settings(), frozenset())
    assert link.receive(published(**properties), NOW) == []


def test_a_stranger_that_is_a_sensor_is_named() -> None:
    link = ble.Session(ble.Settings(), frozenset())
    for message in (service("402901"), value("2A37", "004B"), published(model_id="W120150X", type="CTMO")):
        [found] = link.receive(message, NOW)
        assert isinstance(found, Rejected)
        assert (found.reason, found.device) == ("not enrolled", f"ble:{BAND}")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"keys": {BAND: "secret"}}, "not 32 hex digits"),
        ({"keys": {"band": BLE_KEY}}, "'band' is no address"),
        ({"sos_buttons": ["x"]}, "sos_buttons: 'x' is no address"),
        ({"time_zone": "Mars"}, "Mars"),
    ],
)
def test_settings_that_cannot_be_are_refused_without_showing_keys(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=text) as raised_error:
        msgspec.convert(settings, ble.Settings)
    assert "secret" not in str(raised_error.value)


@pytest.mark.parametrize(
    ("advert", "properties"),
    [
        # Ruuvi's documentation of data format 5
        (
            Advert(manufacturer=bytes.fromhex("99040512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F")),
            {"tempc": 24.3, "hum": 53.49, "pres": 1000.44, "volt": 2.977, "tx": 4, "mov": 66, "seq": 205},
        ),
        (Advert(service=bytes.fromhex("71209800BC63B6658D7CC40D071003A08601"), uuid="fe95"), {"lux": 100_000}),
        (Advert(service=bytes.fromhex("20000BB818000000000000000000"), uuid="feaa"), {"volt": 3.0, "tempc": 24.0}),
        (Advert(service=bytes.fromhex("20000BB880000000000000000000"), uuid="feaa"), {"volt": 3.0}),
        # a beacon that has its battery where others have their strength
        (
            Advert(manufacturer=bytes.fromhex("4C000215FDA50693A4E24FB1AFCFC6EB07647825000100021A")),
            {"model_id": "IBEACON", "major": 1, "minor": 2, "volt": 2.6},
        ),
        (Advert(manufacturer=bytes.fromhex("FF0A00000010805908"), name="tps"), {"tempc": 28.15, "batt": 89}),
        (
            Advert(manufacturer=bytes.fromhex("6909AABBCCDDEEFF000005992A00"), name="WoIOSensorTH"),
            {"model_id": "W340001X", "tempc": 25.5, "hum": 42, "mac": "AA:BB:CC:DD:EE:FF"},
        ),
        (
            Advert(service=bytes.fromhex("54003A089ABB"), uuid="0d00"),
            {"model_id": "THX1/W230150X", "tempc": 26.8, "hum": 59, "batt": 58},
        ),
        (
            Advert(service=bytes.fromhex("44005D016405FC21002D013F9601"), uuid="fcd2", name="SBDW-002C"),
            {"model_id": "SBDW-002C", "packet": 93, "batt": 100, "lux": 87, "open": True, "rot": 40.6},
        ),
        (
            Advert(service=bytes.fromhex("44004E01642E3F3AFE45DF00"), uuid="fcd2", name="SBHT-003C"),
            {"model_id": "SBHT-003C", "batt": 100, "hum": 63, "button": 11, "tempc": 22.3},
        ),
        (Advert(uuid="feed"), {"model_id": "TILE", "type": "TRACK"}),
        (Advert(service=bytes.fromhex("3030DD0301FFEEDDCCBBAA08"), uuid="fe95"), {"mac": "AA:BB:CC:DD:EE:FF"}),
        (Advert(service=bytes.fromhex("2500"), uuid="2a06", name="P MAG C"), {"open": False}),
        (Advert(manufacturer=bytes.fromhex("88EC00811F094E00"), name="GVH5075_1"), {"tempc": -7.3481, "hum": 48.1}),
        (Advert(service=bytes.fromhex("6480D7060000000000"), uuid="0d00"), {"contact": "timeout not closed"}),
    ],
)
def test_models_that_no_vector_has(advert: Advert, properties: dict[str, Any]) -> None:
    """Values as Theengs' own decoder has them."""
    found = ble_models.decode(advert)
    assert found is not None
    assert {name: found[name] for name in properties} == pytest.approx(properties)
    assert ("tempc" in found) == ("tempc" in properties)


STARTS = sorted({(model.start, model.uuid, model.name) for model in ble_models.MODELS})


@given(
    start=st.sampled_from(STARTS),
    rest=st.binary(max_size=30),
    size=st.sampled_from(sorted({size for model in ble_models.MODELS for size in model.sizes})),
    whole=st.booleans(),
)
def test_no_advertisement_raises(start: tuple[str, str, str], rest: bytes, size: int, whole: bool) -> None:
    """What begins as a model's data does, in its length or another."""
    shape, uuid, name = start
    head = bytes.fromhex(re.sub(r"\[(.)[^]]*\]", r"\1", shape[1:]).replace(".", "0"))
    data = (head + rest).ljust(size, b"\xff")[: size if whole else None]
    heard = name.replace("[25]", "5").replace("[59]", "5").replace("[CP]", "C").replace("0?", "0")
    where = f"{BAND}/service/{uuid or 'fe95'}" if shape[0] == "s" else f"{BAND}/manufacturer"
    link = session(sos_buttons=(BAND,))
    for seconds in (0, 2, 100):
        link.receive(Message(where, data, {"name": heard}), NOW + timedelta(seconds=seconds))


@given(characteristic=st.sampled_from(sorted(ble_gatt.CHARACTERISTICS)), data=st.binary(max_size=20))
def test_no_value_raises(characteristic: str, data: bytes) -> None:
    session().receive(Message(f"{BAND}/{characteristic}", data), NOW)


@given(data=st.binary(max_size=40), encrypted=st.booleans())
def test_no_bthome_data_raises(data: bytes, encrypted: bool) -> None:
    message = bthome(data.hex()) if encrypted else Message(f"{BAND}/service/fcd2", b"\x40" + data)
    session(keys={BAND: BLE_KEY} if encrypted else {}).receive(message, NOW)


def test_bthome_that_a_gateway_did_not_decode() -> None:
    found = session().receive(published(servicedatauuid="fcd2", servicedata="4000012901"), NOW)
    assert raised(found) == ["smoke"]


def test_a_button_that_is_let_go_asks_for_no_help() -> None:
    link = session(sos_buttons=(BAND,))
    assert raised(link.receive(service("4400013A80"), NOW)) == ["sos"]
    assert raised(link.receive(service("4400023A81"), NOW)) == []


def test_a_command_does_not_end_the_reading() -> None:
    packet = ble_bthome.read(bytes.fromhex("40" + "3B0102AA" + "4003001964"))
    assert [(one.name, one.value) for one in packet.readings][:2] == [("command", "toggle"), ("distance", 3)]


def test_an_object_that_is_not_known_ends_the_reading() -> None:
    packet = ble_bthome.read(bytes.fromhex("40015DFE5D0903B718"))
    assert [(one.name, one.value) for one in packet.readings] == [("battery", 93)]
    assert packet.rest == bytes.fromhex("FE5D0903B718")


@pytest.mark.parametrize(
    ("bits", "data", "expected"),
    [
        (12, "0008", {"special": "nres"}),
        (12, "0108", {"special": "reserved"}),
        (12, "0208", {"special": "-inf"}),
        (12, "FE07", {"special": "+inf"}),
        (12, "2E0B", {"value": -1234.0, "precision_text": "-1234"}),
        (12, "14F0", {"value": 2.0, "precision_text": "2.0"}),
        (24, "6C0100FF", {"value": 36.4, "precision_text": "36.4"}),
        (24, "FFFFFFFE", {"value": -0.01, "precision_text": "-0.01"}),
    ],
)
def test_medical_numbers(bits: int, data: str, expected: dict[str, Any]) -> None:
    assert ble_gatt.medical_float(bytes.fromhex(data), bits) == expected
