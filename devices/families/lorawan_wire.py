"""What LoRaWAN network servers publish, read into one form: ChirpStack v4 and The Things Stack v3, JSON.

    ChirpStack   application/APP/device/DEVEUI/event/EVENT     up join ack txack status log location integration
                 application/APP/device/DEVEUI/command/down    to the device
                 HTTP: POST ...?event=EVENT                    the same bodies
                 v3: the same topics; see _ChirpstackV3
    TTS          v3/APP@TENANT/devices/DEVICE/up | join | down/X | service/data | location/solved
                 v3/APP@TENANT/devices/DEVICE/down/push        to the device
                 HTTP (webhook): the same bodies

Protobuf JSON leaves default values out: a missing number is 0, a missing flag false. 64-bit numbers may be strings.
Times are RFC 3339. Many gateways hear one frame: the best signal counts. Source: the servers' documentation of their
events.
"""

import re
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct, field

from devices.families.lorawan_tlv import Fields
from devices.family import Message
from devices.json_text import read_json

CORRELATION = "gridward:"
DEV_EUI = re.compile(r"[0-9a-f]{16}")
CHIRPSTACK_TOPIC = re.compile(r"application/([^/]+)/device/([0-9a-fA-F]{16})/event/([a-z]+)")
CHIRPSTACK_HTTP = re.compile(r"[?&]event=([a-z]+)")
TTS_TOPIC = re.compile(r"v3/([^/]+)/devices/([^/]+)/(up|join|down/[a-z]+|service/data|location/solved)")


class Radio(Struct, frozen=True):
    """Best of all gateways that heard the frame; None when none told."""

    rssi_dbm: float | None = None
    snr_db: float | None = None
    gateways: tuple[str, ...] = ()


class Uplink(Struct, frozen=True):
    f_port: int
    f_cnt: int
    payload: bytes
    confirmed: bool
    radio: Radio


class Envelope(Struct, frozen=True):
    """One event of one device. `profile` is the device profile's name (ChirpStack), "" when the server does not tell.

    `dedup` is equal for two deliveries of the same event, b"" when the server gives nothing to tell by. `fields` hold
    what the events other than `up` say.
    """

    event: str
    dev_eui: str
    name: str
    profile: str
    time: datetime | None
    dedup: bytes = b""
    uplink: Uplink | None = None
    fields: Fields = {}
    to: str = ""  # where a downlink to this device is published
    said_to: str = ""  # the downlink that the event is about: the id it was given


# --- ChirpStack -----------------------------------------------------------------------------------


class _DeviceInfo(Struct, rename="camel"):
    dev_eui: str
    device_name: str = ""
    device_profile_name: str = ""


class _Reception(Struct, rename="camel"):
    gateway_id: str = ""
    rssi: float | None = None
    snr: float | None = None


class _ReceptionV3(Struct):
    gateway_id: str = field(default="", name="gatewayID")
    rssi: float | None = None
    snr: float | None = field(default=None, name="loRaSNR")


class _ChirpstackV3(Struct, rename="camel"):
    """Uplinks of version 3: names stand at the top, identifiers are base64 or hex."""

    dev_eui: str = field(name="devEUI")
    device_name: str = ""
    device_profile_name: str = ""
    published_at: str = ""
    f_cnt: int = 0
    f_port: int = 0
    data: bytes = b""
    confirmed_uplink: bool = False
    rx_info: list[_ReceptionV3] = []


class _Location(Struct):
    latitude: float = 0
    longitude: float = 0
    altitude: float = 0


class _Chirpstack(Struct, rename="camel"):
    """All events in one: what an event does not have is left out."""

    device_info: _DeviceInfo
    time: str = ""
    deduplication_id: str = ""
    f_cnt: int = 0
    f_port: int = 0
    data: bytes = b""
    confirmed: bool = False
    rx_info: list[_Reception] = []
    dev_addr: str = ""
    margin: float = 0
    battery_level: float = 0
    battery_level_unavailable: bool = False
    external_power_source: bool = False
    queue_item_id: str = ""
    acknowledged: bool = False
    f_cnt_down: int = 0
    downlink_id: int | str = 0
    gateway_id: str = ""
    level: str = ""
    code: str = ""
    description: str = ""
    location: _Location | None = None
    integration_name: str = ""
    event_type: str = ""


def _of_chirpstack(event: str, found: _Chirpstack) -> Fields:
    if event == "status":
        power = {"margin_db": found.margin, "external_power": found.external_power_source}
        return power | ({} if found.battery_level_unavailable else {"battery_pct": found.battery_level})
    if event == "join":
        return {"dev_addr": found.dev_addr}
    if event == "ack":
        acknowledged = {"acknowledged": found.acknowledged, "f_cnt_down": found.f_cnt_down}
        return {"queue_item_id": found.queue_item_id} | acknowledged
    if event == "txack":
        sent = {"queue_item_id": found.queue_item_id, "f_cnt_down": found.f_cnt_down}
        return sent | {"downlink_id": found.downlink_id, "gateway_id": found.gateway_id}
    if event == "log":
        return {"level": found.level, "code": found.code, "description": found.description}
    if event == "location" and found.location:
        return msgspec.structs.asdict(found.location)
    if event == "integration":
        return {"integration_name": found.integration_name, "event_type": found.event_type}
    return {}


def _chirpstack(message: Message, event: str, dev_eui: str) -> Envelope | None:
    found = read_json(message.data, _Chirpstack)
    if found is None:
        return _chirpstack_v3(message, dev_eui) if event == "up" and dev_eui else None
    said = found.device_info.dev_eui.lower()
    if not DEV_EUI.fullmatch(said) or dev_eui.lower() not in ("", said):
        return None
    uplink = None
    if event == "up":
        heard = [(one.rssi, one.snr, one.gateway_id) for one in found.rx_info]
        uplink = Uplink(found.f_port, found.f_cnt, found.data, found.confirmed, _radio(heard))
    return Envelope(
        event,
        said,
        found.device_info.device_name,
        found.device_info.device_profile_name,
        _time(found.time),
        found.deduplication_id.encode(),
        uplink,
        _of_chirpstack(event, found),
        message.channel.partition("/event/")[0] + "/command/down" if dev_eui else "",
        found.queue_item_id,
    )


def _chirpstack_v3(message: Message, dev_eui: str) -> Envelope | None:
    """The topic says in hex who it is."""
    found = read_json(message.data, _ChirpstackV3)
    if found is None:
        return None
    dev_eui = dev_eui.lower()
    if found.dev_eui.lower() != dev_eui and found.dev_eui != b64encode(bytes.fromhex(dev_eui)).decode():
        return None
    heard = [(one.rssi, one.snr, _hex(one.gateway_id)) for one in found.rx_info]
    return Envelope(
        "up",
        dev_eui,
        found.device_name,
        found.device_profile_name,
        _time(found.published_at),
        uplink=Uplink(found.f_port, found.f_cnt, found.data, found.confirmed_uplink, _radio(heard)),
    )


def _hex(identifier: str) -> str:
    """Of a gateway, which has eight bytes."""
    if len(identifier) == 16:
        return identifier.lower()
    try:
        return b64decode(identifier, validate=True).hex()
    except ValueError:
        return ""


# --- The Things Stack -----------------------------------------------------------------------------


class _Ids(Struct):
    device_id: str = ""
    dev_eui: str = ""
    dev_addr: str = ""


class _GatewayIds(Struct):
    gateway_id: str = ""


class _RxMetadata(Struct):
    gateway_ids: _GatewayIds = field(default_factory=_GatewayIds)
    rssi: float | None = None
    snr: float | None = None


class _UplinkMessage(Struct):
    session_key_id: str = ""
    f_port: int = 0
    f_cnt: int = 0
    frm_payload: bytes = b""
    confirmed: bool = False
    rx_metadata: list[_RxMetadata] = []
    received_at: str = ""


class _Locations(Struct):
    location: _Location = field(default_factory=_Location)


class _Downlink(Struct):
    correlation_ids: list[str] = []
    f_port: int = 0
    f_cnt: int = 0


class _Failed(Struct):
    downlink: _Downlink = field(default_factory=_Downlink)


class _Tts(Struct):
    end_device_ids: _Ids
    received_at: str = ""
    uplink_message: _UplinkMessage | None = None
    join_accept: dict[str, Any] | None = None
    location_solved: _Locations | None = None
    downlink_ack: _Downlink | None = None
    downlink_nack: _Downlink | None = None
    downlink_sent: _Downlink | None = None
    downlink_queued: _Downlink | None = None
    downlink_failed: _Failed | None = None


def _tts_event(found: _Tts) -> str:
    """What the body says, since a webhook has no topic."""
    if found.uplink_message is not None:
        return "up"
    if found.join_accept is not None:
        return "join"
    if found.location_solved is not None:
        return "location"
    for name in ("ack", "nack", "sent", "queued", "failed"):
        if getattr(found, f"downlink_{name}") is not None:
            return name
    return "other"


def _of_tts(event: str, found: _Tts) -> Fields:
    if event == "join":
        return {"dev_addr": found.end_device_ids.dev_addr.lower()}
    if event == "location" and found.location_solved:
        return msgspec.structs.asdict(found.location_solved.location)
    downlink = getattr(found, f"downlink_{event}", None)
    if isinstance(downlink, _Failed):
        downlink = downlink.downlink
    return {"f_cnt_down": downlink.f_cnt, "f_port": downlink.f_port} if downlink else {}


def _correlated(found: _Tts) -> str:
    """The id that a downlink was given, among those of the server."""
    about = found.downlink_failed.downlink if found.downlink_failed else None
    for downlink in (about, found.downlink_ack, found.downlink_nack, found.downlink_sent, found.downlink_queued):
        for id_ in downlink.correlation_ids if downlink else ():
            if id_.startswith(CORRELATION):
                return id_.removeprefix(CORRELATION)
    return ""


def _tts(message: Message, device_id: str) -> Envelope | None:
    found = read_json(message.data, _Tts)
    if found is None:
        return None
    ids = found.end_device_ids
    dev_eui = ids.dev_eui.lower()
    if not DEV_EUI.fullmatch(dev_eui) or device_id not in ("", ids.device_id):
        return None
    event = _tts_event(found)
    uplink, dedup, time = None, b"", found.received_at
    if found.uplink_message is not None:
        up = found.uplink_message
        heard = [(one.rssi, one.snr, one.gateway_ids.gateway_id) for one in up.rx_metadata]
        uplink = Uplink(up.f_port, up.f_cnt, up.frm_payload, up.confirmed, _radio(heard))
        dedup = f"{up.session_key_id} {up.f_cnt}".encode() if up.session_key_id else b""
        time = up.received_at or time
    topic = message.channel.split("/")
    to = "/".join([*topic[:4], "down/push"]) if device_id else ""
    return Envelope(
        event, dev_eui, ids.device_id, "", _time(time), dedup, uplink, _of_tts(event, found), to, _correlated(found)
    )


# --- both -----------------------------------------------------------------------------------------


def read(message: Message) -> Envelope | None:
    """None for what is neither server's event."""
    topic = CHIRPSTACK_TOPIC.fullmatch(message.channel)
    if topic:
        return _chirpstack(message, topic[3], topic[2])
    topic = TTS_TOPIC.fullmatch(message.channel)
    if topic:
        return _tts(message, topic[2])
    if message.channel.startswith("POST "):
        event = CHIRPSTACK_HTTP.search(message.channel)
        return _chirpstack(message, event[1], "") if event else _tts(message, "")
    return None


def _radio(heard: list[tuple[float | None, float | None, str]]) -> Radio:
    strengths = [rssi for rssi, _, _ in heard if rssi is not None]
    noises = [snr for _, snr, _ in heard if snr is not None]
    gateways = tuple(gateway for _, _, gateway in heard if gateway)
    return Radio(max(strengths, default=None), max(noises, default=None), gateways)


def _time(text: str) -> datetime | None:
    """Aware UTC; None for no time. Digits behind the microsecond are dropped."""
    try:
        time = msgspec.convert(text, datetime, strict=False)
        return time.astimezone(UTC) if time.tzinfo else None
    except (msgspec.ValidationError, OverflowError):
        return None


class Downlink(Struct, frozen=True):
    f_port: int
    payload: bytes
    confirmed: bool


def downlink(to: str, dev_eui: str, id_: str, what: Downlink) -> Message:
    """What is published to `to` (Envelope.to) to have bytes sent in the device's next receive window.

    `id_` (a UUID) comes back in `said_to` of the events about it.
    """
    data = b64encode(what.payload).decode()
    if to.startswith("v3/"):
        one = {"f_port": what.f_port, "frm_payload": data, "confirmed": what.confirmed, "priority": "NORMAL"}
        return Message(to, msgspec.json.encode({"downlinks": [one | {"correlation_ids": [CORRELATION + id_]}]}))
    body = {"id": id_, "devEui": dev_eui, "confirmed": what.confirmed, "fPort": what.f_port, "data": data}
    return Message(to, msgspec.json.encode(body))
