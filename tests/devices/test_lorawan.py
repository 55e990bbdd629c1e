"""LoRaWAN: what a network server's events become."""

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.families import lorawan, lorawan_wire
from devices.families.lorawan_codecs import CODECS
from devices.families.lorawan_milesight import MODELS
from devices.family import CommandRefused, DeviceCommand, Everyone, Message
from devices.observation import Alarm, CommandAnswer, Event, Observation, Rejected, Result, Telemetry
from tests.devices.frames import NOW
from tests.devices.messages import DEV_EUI, SMOKE_GS524N, chirpstack

OBSERVED = datetime(2026, 11, 24, 12, 29, 50, 250123, tzinfo=UTC)


PAYLOADS = [
    *(bytes((pair >> 8, pair & 0xFF)) for table in MODELS.values() for pair in table),
    SMOKE_GS524N,
    bytes.fromhex("010A011E010104B0000000"),
    bytes.fromhex("0F781A0302").ljust(35, b"\x7f"),
]


def followed(raw: bytes) -> st.SearchStrategy[bytes]:
    """A pair or message with other bytes behind it."""
    return st.binary(max_size=40).map(lambda rest: raw + rest)


def session(**settings: Any) -> lorawan.Session:
    return lorawan.Session(lorawan.Settings(**settings), {DEV_EUI})


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def raised(found: list[Result]) -> list[str]:
    return [body.kind for body in bodies(found) if isinstance(body, Alarm) and body.raised]


def server_event(event: str, **body: Any) -> Message:
    info = {"deviceInfo": {"devEui": DEV_EUI}, "time": "2026-11-24T12:29:50Z"}
    return Message(f"application/a/device/{DEV_EUI}/event/{event}", json.dumps(info | body).encode())


def test_smoke_comes_first_with_its_measurements() -> None:
    found = session().receive(chirpstack(SMOKE_GS524N), NOW)
    alarm, *_, telemetry = bodies(found)
    assert alarm == Alarm(kind="smoke")
    assert telemetry == Telemetry(
        {
            "signal_dbm": -70,
            "signal_noise_db": 8,
            "battery_percent": 90,
            "smoke_percent": 33,
            "temperature_c": 47,
        }
    )
    assert {one.observed_at for one in found if isinstance(one, Observation)} == {OBSERVED}


@pytest.mark.parametrize(
    ("profile", "f_port", "payload", "kind"),
    [
        ("netvox/ra02a", 6, "010A011E010000C8000000", "smoke"),
        ("netvox/ra02a", 6, "010A011E000100C8000000", "heat"),
        ("netvox/r718wb", 6, "0112011E01000000000000", "water_leak"),
        ("netvox/r312a", 6, "014D011E01000000000000", "sos"),
        ("netvox/r311a", 6, "0102019700000000000000", "low_battery"),
        ("netvox/rb11e", 6, "0103011E0A280064010100", "tamper"),
        ("tg563a", 1, "01781A0301", "smoke"),
        ("tg563a", 1, "02781A0302", "low_battery"),
        ("tg563a", 1, "00781A0200", "tamper"),
        ("dragino/lwl02", 10, "4BE2020000080000010000", "water_leak"),
        ("milesight/gs101", 85, "058E01", "gas"),
        ("milesight/gs101", 85, "FF3F02", "fault"),
        ("milesight/em300-zld", 85, "050001", "water_leak"),
        ("milesight/ws101", 85, "FF2E02", "sos"),
        ("milesight/ws301", 85, "040001", "tamper"),
        ("milesight/ts201-v2", 85, "8367340101", "supervisory"),
        ("milesight/ts201-v2", 85, "B36700", "fault"),
        ("milesight/gs524n", 85, "221A5A001951", "tamper"),
        ("milesight/em400-tld", 85, "880001", "tamper"),
        ("milesight/ct101-v2", 85, "8498B80BD007C40901", "supervisory"),
        ("milesight/em320-tilt", 85, "03D4010000000000", "supervisory"),
    ],
)
def test_what_devices_call_for(profile: str, f_port: int, payload: str, kind: str) -> None:
    found = session().receive(chirpstack(bytes.fromhex(payload), profile, f_port), NOW)
    assert kind in raised(found)


def test_smoke_that_is_over_is_told_once() -> None:
    link = session()
    link.receive(chirpstack(SMOKE_GS524N), NOW)
    normal = chirpstack(bytes.fromhex("22175A001954"), fCnt=43)
    assert Alarm(kind="smoke", raised=False) in bodies(link.receive(normal, NOW))
    assert not any(isinstance(body, Alarm) for body in bodies(link.receive(normal, NOW)))


def test_a_door_is_told_when_it_moves() -> None:
    link = session()
    opened, closed = (chirpstack(bytes.fromhex(hex_), "milesight/ws301") for hex_ in ("030001", "030000"))
    kinds = [
        [body.kind for body in bodies(link.receive(message, NOW)) if isinstance(body, Event)]
        for message in (closed, closed, opened, opened, closed)
    ]
    assert kinds == [["door_closed"], [], ["door_opened"], [], ["door_closed"]]


def test_the_codec_is_named_and_never_guessed() -> None:
    unknown = chirpstack(SMOKE_GS524N, "Smoke detectors, hall A")
    found = session().receive(unknown, NOW)
    assert [one.reason for one in found if isinstance(one, Rejected)] == ["no codec for this device profile"]
    assert [type(body) for body in bodies(found)] == [Telemetry]
    named = session(profiles={"Smoke detectors, hall A": "milesight/gs524n"})
    assert raised(named.receive(unknown, NOW)) == ["smoke"]
    by_device = session(devices={DEV_EUI: "milesight/gs524n"})
    assert raised(by_device.receive(unknown, NOW)) == ["smoke"]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"profiles": {"x": "milesight/gs999"}}, "'x' has no codec 'milesight/gs999'"),
        ({"devices": {"24E12422115A212F": "tg563a"}}, "no DevEUI"),
        ({"sos_presses": ["twice"]}, "'twice' is none of"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=text):
        msgspec.convert(settings, lorawan.Settings)


def test_a_press_that_is_for_something_else_is_no_sos() -> None:
    link = session(sos_presses=("long press",))
    found = link.receive(chirpstack(bytes.fromhex("FF2E01"), "milesight/ws101"), NOW)
    assert raised(found) == []
    assert Event(kind="button", attributes={"press": "short press"}) in bodies(found)


def test_a_broken_checksum_is_a_sign_of_life_only() -> None:
    found = session().receive(chirpstack(SMOKE_GS524N[:-1] + b"\x00"), NOW)
    assert [one.reason for one in found if isinstance(one, Rejected)] == ["payload unreadable: checksum"]
    assert raised(found) == []


def test_two_deliveries_of_one_frame_have_one_id_and_two_frames_two() -> None:
    link = session()

    def ids(message: Message) -> list[str]:
        return [one.frame_id for one in link.receive(message, NOW) if isinstance(one, Observation)]

    first = ids(chirpstack(SMOKE_GS524N, "netvox/none"))
    assert ids(chirpstack(SMOKE_GS524N, "netvox/none", rxInfo=[])) == first
    assert not set(ids(chirpstack(SMOKE_GS524N, "netvox/none", deduplicationId="other"))) & set(first)
    body = {"end_device_ids": {"device_id": "a", "dev_eui": DEV_EUI}, "uplink_message": {"f_cnt": 7}}
    tts = [
        ids(Message("POST /", json.dumps(body | {"uplink_message": {"f_cnt": 7, **more}}).encode()))
        for more in ({"session_key_id": "x"}, {"session_key_id": "x", "received_at": "2026-11-24T12:29:50Z"})
    ]
    assert tts[0] == tts[1]
    rejoined = ids(
        Message("POST /", json.dumps(body | {"uplink_message": {"f_cnt": 7, "session_key_id": "y"}}).encode())
    )
    assert rejoined != tts[0]


@pytest.mark.parametrize("coded", [True, False])
def test_uplinks_of_chirpstack_version_3(coded: bool) -> None:
    def identifier(text: str) -> str:
        return b64encode(bytes.fromhex(text)).decode() if coded else text

    heard = [{"gatewayID": identifier("0016c001f153a14c"), "rssi": -48, "loRaSNR": 9.5}]
    names = {"devEUI": identifier(DEV_EUI), "deviceProfileName": "milesight/gs524n", "applicationName": "hall"}
    body = names | {"fCnt": 3, "fPort": 85, "data": b64encode(SMOKE_GS524N).decode(), "rxInfo": heard}
    message = Message(f"application/1/device/{DEV_EUI}/event/up", json.dumps(body).encode())
    envelope = lorawan_wire.read(message)
    assert envelope is not None and envelope.uplink is not None
    assert (envelope.uplink.f_cnt, envelope.uplink.radio.gateways) == (3, ("0016c001f153a14c",))
    assert "smoke" in raised(session().receive(message, NOW))
    forged = Message(message.channel.replace(DEV_EUI, "0" * 16), message.data)
    assert lorawan_wire.read(forged) is None


def test_a_device_in_anothers_topic_is_refused() -> None:
    message = chirpstack(SMOKE_GS524N)
    other = Message(message.channel.replace(DEV_EUI, "0000000000000001"), message.data)
    [refused] = session().receive(other, NOW)
    assert isinstance(refused, Rejected)
    assert refused.reason == "event unreadable"


def test_a_payload_of_another_netvox_device_is_no_reading() -> None:
    found = session().receive(chirpstack(bytes.fromhex("014D011E01000000000000"), "netvox/ra02a", 6), NOW)
    assert [one.reason for one in found if isinstance(one, Rejected)] == ["payload unreadable: wrong_device"]


def test_a_counter_that_goes_back_is_flagged_unless_the_device_joined() -> None:
    link = session()
    link.receive(chirpstack(SMOKE_GS524N, fCnt=42), NOW)
    replayed = link.receive(chirpstack(SMOKE_GS524N, fCnt=41, deduplicationId="b"), NOW)
    assert {one.flags for one in replayed if isinstance(one, Observation)} == {("counter_went_back",)}
    assert bodies(link.receive(server_event("join", devAddr="00189440"), NOW)) == [
        Event(kind="joined", attributes={"dev_addr": "00189440"})
    ]
    joined = link.receive(chirpstack(SMOKE_GS524N, fCnt=0, deduplicationId="c"), NOW)
    assert {one.flags for one in joined if isinstance(one, Observation)} == {()}


@pytest.mark.parametrize("code", ["UPLINK_MIC", "UPLINK_F_CNT_RESET"])
def test_a_forged_frame_is_an_alarm(code: str) -> None:
    log = server_event("log", level="ERROR", code=code, description="MIC is invalid")
    assert bodies(session().receive(log, NOW)) == [
        Alarm(kind="network_intrusion", description=f"{code}: MIC is invalid")
    ]


def test_what_the_server_says_of_a_device() -> None:
    link = session()
    assert bodies(link.receive(server_event("status", margin=7, batteryLevel=88.3), NOW)) == [
        Telemetry({"battery_percent": 88.3})
    ]
    mains = server_event("status", externalPowerSource=True)
    assert bodies(link.receive(mains, NOW)) == [Telemetry({})]
    [answer] = bodies(link.receive(server_event("ack", queueItemId="q", fCntDown=3), NOW))
    assert isinstance(answer, Event)
    assert (answer.kind, answer.attributes["outcome"]) == ("answer", "refused")  # acknowledged: left out, false


def test_the_things_stack_by_webhook_and_topic() -> None:
    body = {
        "end_device_ids": {"device_id": "hall-a", "dev_eui": DEV_EUI.upper()},
        "uplink_message": {"session_key_id": "AX==", "f_port": 85, "frm_payload": "IhFaIS8j"},
    }
    data = json.dumps(body).encode()
    link = session(devices={DEV_EUI: "milesight/gs524n"})
    for channel in ("v3/gate@ttn/devices/hall-a/up", "POST /lorawan"):
        assert raised(link.receive(Message(channel, data), NOW)) == ["smoke"]
    [other] = link.receive(Message("v3/gate@ttn/devices/hall-b/up", data), NOW)
    assert isinstance(other, Rejected)


def test_kept_readings_carry_their_own_time() -> None:
    at = int(datetime(2026, 11, 24, 11, 0, tzinfo=UTC).timestamp())
    payload = bytes.fromhex("20CE") + at.to_bytes(4, "little") + bytes.fromhex("10015D")
    found = session().receive(chirpstack(payload, "milesight/em320-th"), NOW)
    kept = found[-1]
    assert isinstance(kept, Observation)
    assert kept.body == Telemetry({"temperature_c": 27.2, "humidity_percent": 46.5})
    assert kept.flags == ("backlog",)
    assert kept.observed_at == datetime(2026, 11, 24, 11, 0, tzinfo=UTC)


def downlink(**args: str) -> DeviceCommand:
    return DeviceCommand(nonce="n-1", native_id=DEV_EUI, action="downlink", args=args)


def answers(found: list[Result]) -> list[str]:
    return [result.result for result in found if isinstance(result, CommandAnswer) and result.nonce == "n-1"]


def test_a_downlink_is_sent_accepted_and_confirmed() -> None:
    link = session()
    with pytest.raises(CommandRefused, match="not heard"):
        link.command(downlink(f_port="85", payload_hex="FF10FF"), NOW)
    link.receive(chirpstack(SMOKE_GS524N), NOW)
    link.command(downlink(f_port="85", payload_hex="FF10FF", confirmed="yes"), NOW)
    [sent] = link.to_send()
    assert sent.channel == f"application/17c82e96-be03-4f38-aef3-f83d48582d97/device/{DEV_EUI}/command/down"
    body = json.loads(sent.data)
    assert body == {"id": body["id"], "devEui": DEV_EUI, "confirmed": True, "fPort": 85, "data": "/xD/"}
    assert answers(link.receive(server_event("ack", queueItemId="another", acknowledged=True), NOW)) == []
    assert answers(link.receive(server_event("txack", queueItemId=body["id"]), NOW)) == ["accepted"]
    assert answers(link.receive(server_event("ack", queueItemId=body["id"], acknowledged=True), NOW)) == ["confirmed"]
    assert answers(link.receive(server_event("ack", queueItemId=body["id"], acknowledged=True), NOW)) == []


def test_a_downlink_of_the_things_stack_is_refused_by_the_device() -> None:
    ids = {"end_device_ids": {"device_id": "hall-a", "dev_eui": DEV_EUI}}
    link = session()
    link.receive(Message("v3/gate@ttn/devices/hall-a/up", json.dumps(ids | {"uplink_message": {}}).encode()), NOW)
    link.command(downlink(f_port="1", payload_hex=""), NOW)
    [sent] = link.to_send()
    assert sent.channel == "v3/gate@ttn/devices/hall-a/down/push"
    [one] = json.loads(sent.data)["downlinks"]
    nack = ids | {"downlink_nack": {"correlation_ids": ["as:x", *one["correlation_ids"]], "f_port": 1}}
    found = link.receive(Message("v3/gate@ttn/devices/hall-a/down/nack", json.dumps(nack).encode()), NOW)
    assert answers(found) == ["refused"]


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({"f_port": "0", "payload_hex": ""}, "f_port"),
        ({"f_port": "x", "payload_hex": ""}, "f_port"),
        ({"f_port": "1", "payload_hex": "0g"}, "no hex"),
        ({"f_port": "1", "payload_hex": "00" * 223}, "more than 222"),
    ],
)
def test_downlinks_that_cannot_be_are_refused(args: dict[str, str], text: str) -> None:
    link = session()
    link.receive(chirpstack(SMOKE_GS524N), NOW)
    with pytest.raises(CommandRefused, match=text):
        link.command(downlink(**args), NOW)
    assert link.to_send() == []


@given(
    codec=st.sampled_from(sorted(CODECS)),
    f_port=st.sampled_from([1, 6, 7, 10, 13, 85]),
    payload=st.one_of(st.binary(max_size=60), st.sampled_from(PAYLOADS).flatmap(followed)),
    down=st.booleans(),
)
def test_no_payload_raises(codec: str, f_port: int, payload: bytes, down: bool) -> None:
    """In every codec, and in what the fields of it mean."""
    assert isinstance(CODECS[codec](f_port, payload, down), dict)
    link = session()
    link.receive(chirpstack(payload, codec, f_port), NOW)
    link.receive(chirpstack(payload, codec, f_port), NOW)


def test_default_values_that_protobuf_leaves_out_are_zero() -> None:
    body = {"deviceInfo": {"devEui": DEV_EUI, "deviceProfileName": "tg563a"}, "data": ""}
    message = Message(f"application/a/device/{DEV_EUI}/event/up", json.dumps(body).encode())
    envelope = lorawan_wire.read(message)
    assert envelope is not None
    assert envelope.uplink is not None
    assert (envelope.uplink.f_cnt, envelope.uplink.f_port, envelope.uplink.confirmed) == (0, 0, False)
    found = lorawan.Session(lorawan.Settings(), Everyone()).receive(message, NOW)
    assert {one.flags for one in found if isinstance(one, Observation)} == {("time_invalid",)}
