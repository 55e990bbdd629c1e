"""One good report of each family of whole messages, made by hand from the protocols, and the settings it needs."""

import json
from base64 import b64encode
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from msgspec import Struct

from devices.families.dmr_hytera import write_message, write_packet
from devices.family import Message

# Door 2 forced, ten seconds old.
HIKVISION_FORCED = (
    '{"ipAddress":"192.0.2.10","macAddress":"88:DE:39:5D:B5:E1","dateTime":"2026-11-24T20:29:50+08:00",'
    '"eventType":"AccessControllerEvent","eventState":"active","shortSerialNumber":"GN7","AccessControllerEvent":'
    '{"majorEventType":5,"subEventType":27,"doorNo":2,"serialNo":179,"currentEvent":true,"name":"Zhang","cardNo":"4711"}}'
)


class Good(Struct, frozen=True):
    """A message of device `native_id` that raises an alarm under `settings`."""

    native_id: str
    message: Message
    settings: dict[str, Any] = {}
    flipped_is_caught: bool = False  # the family declares an integrity check


DEV_EUI = "24e12422115a212f"


def chirpstack(payload: bytes, profile: str = "milesight/gs524n", f_port: int = 85, **more: Any) -> Message:
    body = {
        "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
        "time": "2026-11-24T12:29:50.250123456+00:00",
        "deviceInfo": {"deviceName": "Hall A", "deviceProfileName": profile, "devEui": DEV_EUI},
        "fCnt": 42,
        "fPort": f_port,
        "data": b64encode(payload).decode(),
        "rxInfo": [{"gatewayId": "0016c001f153a14c", "rssi": -90, "snr": -3.2}, {"rssi": -70, "snr": 8}],
    }
    topic = f"application/17c82e96-be03-4f38-aef3-f83d48582d97/device/{DEV_EUI}/event/up"
    return Message(topic, json.dumps(body | more).encode())


def zigbee2mqtt(name: str = "hall/smoke_1", **state: Any) -> Message:
    return Message(f"zigbee2mqtt/{name}", json.dumps(state).encode())


BLE_KEY = "231d39c1d7cc1ab1aee224cd096db932"
BAND = "C0:FF:EE:00:00:02"


def bthome(objects: str, counter: int = 7, address: str = BAND, info: int = 0x45) -> Message:
    """Objects as hex, encrypted under BLE_KEY by the specification's own steps."""
    count = counter.to_bytes(4, "little")
    nonce = bytes.fromhex(address.replace(":", "")) + b"\xd2\xfc" + bytes((info,)) + count
    sealed = AESCCM(bytes.fromhex(BLE_KEY), tag_length=4).encrypt(nonce, bytes.fromhex(objects), None)
    return Message(f"{address}/service/fcd2", bytes((info,)) + sealed[:-4] + count + sealed[-4:])


def frigate_object(phase: str, **after: Any) -> Message:
    seen = {
        "id": "1795523389.1-mxklsc",
        "camera": "gate",
        "label": "person",
        "sub_label": ["Bob", 0.9],
        "frame_time": 1795523390.25,
        "start_time": 1795523389.1,
        "end_time": None,
        "false_positive": False,
        "stationary": False,
        "current_zones": ["ramp"],
        "entered_zones": ["street", "ramp"],
    }
    return Message("frigate/events", json.dumps({"type": phase, "before": seen, "after": seen | after}).encode())


MAPPED_TABLE: dict[str, Any] = {
    "each": "readings",
    "device": "id",
    "time": "at",
    "values": [{"at": "t", "metric": "temperature_c", "unit": "degF"}],
    "alarms": [{"at": "smoke", "kind": "smoke", "raised": ["ALARM", True], "cleared": ["ok", False]}],
}
CSV_TABLE: dict[str, Any] = {
    "format": "csv",
    "device": "id",
    "decimal_comma": True,
    "values": [{"at": "t", "metric": "temperature_c", "unit_at": "u"}],
    "states": [{"at": "smoke", "name": "smoke"}],
}
MAPPED_SETTINGS = {"tables": [MAPPED_TABLE, CSV_TABLE]}


def mapped(**reading: Any) -> Message:
    body = {"id": 17, "at": "2026-11-24T20:29:50+08:00", "t": "98.6", "smoke": "alarm"} | reading
    return Message("POST /detectors", json.dumps({"readings": [body]}).encode())


SMOKE_SENML = (
    b'[{"bn":"urn:dev:mac:0024befffe804ff1:","bt":1795523390,"bu":"Cel","n":"t1","v":21.5},{"n":"smoke","vb":true}]'
)
SMOKE_ZIGBEE = {"smoke": True, "battery": 80, "linkquality": 90, "last_seen": "2026-11-24T12:29:50+00:00"}

# An event of a door controller, as a pull point or a metadata stream gives it.
ONVIF = (
    '<tt:MetadataStream xmlns:tt="http://www.onvif.org/ver10/schema"><tt:Event><wsnt:NotificationMessage '
    'xmlns:tns1="http://www.onvif.org/ver10/topics" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2" '
    'xmlns:wsa5="http://www.w3.org/2005/08/addressing" xmlns:a="http://www.axis.com/2009/event/topics">'
    "<wsnt:Topic>{topic}</wsnt:Topic><wsnt:ProducerReference><wsa5:Address>uri://cam-7/ProducerReference"
    '</wsa5:Address></wsnt:ProducerReference><wsnt:Message><tt:Message UtcTime="2026-11-24T12:29:50.5Z"{operation}>'
    '<tt:Source><tt:SimpleItem Name="DoorToken" Value="door-1"/></tt:Source><tt:Data>{data}</tt:Data>'
    "</tt:Message></wsnt:Message></wsnt:NotificationMessage></tt:Event></tt:MetadataStream>"
)


def onvif(topic: str, operation: str = "", **data: str) -> Message:
    items = "".join(f'<tt:SimpleItem Name="{name}" Value="{value}"/>' for name, value in data.items())
    said = f' PropertyOperation="{operation}"' if operation else ""
    return Message("POST /", ONVIF.format(topic=topic, operation=said, data=items).encode())


def dmr(data: str, port: int = 4001, peer: str = "12.0.0.11") -> Message:
    return Message(f"udp/{port}/{peer}:{port}", bytes.fromhex(data))


def hytera(service: int, opcode: int, payload: bytes, sequence: int | None = None) -> Message:
    """A message of a radio behind the repeater 192.168.1.10, or one that a radio sends itself."""
    data = write_message(service, opcode, payload)
    peer = "10.0.0.20" if sequence is None else "192.168.1.10"
    return dmr((data if sequence is None else write_packet(0, sequence, data)).hex(), 30003, peer)


# LP emergency report of radio 20: kind 1, a fix at 30.743600 N 120.483800 E, 12:29:50, 10 knots, course 90.
EMERGENCY_LP = bytes((10, 0, 0, 20, 1)) + b"A122950241126N3044.6160E12029.0280010090"

GATE = "33010200001190000001"


def gat1400(path: str, body: dict[str, Any], device: str = GATE, **headers: str) -> Message:
    return Message(f"POST /VIID/{path}", json.dumps(body).encode(), {"user-identify": device} | headers)


def viid_list(name: str, *objects: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}ListObject": {f"{name}Object": list(objects)}}


MATCH = {"NotificationID": f"{GATE}0120261124202950000011100001", "TriggerTime": "20261124202950", "Title": "Zhang"}

MODBUS_SMOKE = {"units": [{"unit": 2, "device": "hall-a", "map": "renke_smoke"}]}

SMOKE_GS524N = bytes.fromhex("22115A212F23")

GOOD_MESSAGES: dict[str, Good] = {
    "hikvision_push": Good("88:de:39:5d:b5:e1", Message("POST /events", HIKVISION_FORCED.encode())),
    "gat1400": Good(
        GATE, gat1400("DispositionNotifications", viid_list("DispositionNotification", MATCH)), {"no_digest": True}
    ),
    "ble": Good(BAND, bthome("2901"), {"keys": {BAND: BLE_KEY}}, flipped_is_caught=True),
    "frigate": Good("gate", frigate_object("new"), {"intrusion": [{"camera": "gate", "zone": "ramp"}]}),
    "lorawan": Good(DEV_EUI, chirpstack(SMOKE_GS524N)),
    "mapped": Good("17", mapped(), MAPPED_SETTINGS),
    "senml": Good("urn:dev:mac:0024befffe804ff1", Message("senml", SMOKE_SENML)),
    "zigbee2mqtt": Good("hall/smoke_1", zigbee2mqtt(**SMOKE_ZIGBEE)),
    "modbus": Good("hall-a", Message("unit/2/holding/3", b"\0\1"), MODBUS_SMOKE),
    "dmr": Good("20", hytera(0x08, 0xB003, EMERGENCY_LP)),
    "onvif": Good("cam-7", onvif("tns1:AccessControl/Duress", CredentialToken="4711")),
}
