"""Bluetooth low energy: health bands and sensors that are connected (GATT), and what others advertise.

What a message is, by its channel:

    ADDRESS/2A37                a characteristic's value (ble_gatt.py): heart rate, SpO2, temperature, blood pressure
    ADDRESS/service/FCD2        service data of an advertisement: BTHome v2 (ble_bthome.py) and models (ble_models.py)
    ADDRESS/manufacturer        manufacturer data, company id first; headers: the advertised `name`, `rssi` in dBm
    .../BTtoMQTT/ADDRESS        MQTT: what Theengs and OpenMQTTGateway publish, decoded by them or not

ADDRESS is six bytes in hex. A device is known by it, in upper case with colons.

- Phones and others that change their addresses, and strangers whose data no table knows, are passed over without a
  word: their addresses are never kept.
- BTHome devices with a key (`keys`) are heard encrypted only: a wrong key is a rejection, a counter that goes back is
  one, too (a replay), unless the device is one of `counters_restart`.
- One advertisement is sent many times: the same data of one device is told once in a minute; presses without a packet
  number once in three seconds.
- A press is a `button` event; that of a device in `sos_buttons` is `sos`. BTHome flags of smoke, carbon monoxide, gas,
  heat, water, tamper, problem are alarms, cleared when the flag is.
- A band that feels no skin is `off_wrist`, and its heart rate is left out.
- Times: advertisements have none. GATT measurements that were stored carry the device's wall clock (`time_zone`).
- Liveness: sensors advertise within minutes, the quietest once in some hours.

There is no authentication but BTHome's keys. Nothing is answered; characteristics are subscribed to by the link.
"""

import re
from collections.abc import Container, Iterator
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from devices.conditions import DEVICES_MAX, Conditions, frame_id
from devices.families import ble_bthome, ble_gatt, ble_meaning, ble_models
from devices.families.ble_advert import Advert, Fields
from devices.families.ble_bthome import Packet
from devices.families.ble_meaning import Meaning
from devices.family import Example, Message, MessageFamily
from devices.json_text import clean, read_json
from devices.local_time import LocalClock, observed
from devices.observation import BACKLOG, Body, DeviceId, Event, Observation, Result, Telemetry, digest, rejected

MESSAGE_BYTES_MAX = 4_000
REPEAT = timedelta(seconds=60)
PRESS_REPEAT = timedelta(seconds=3)
ADDRESS = r"(?P<address>[0-9A-Fa-f]{2}(?::?[0-9A-Fa-f]{2}){5})"
CHANNEL = re.compile(
    ADDRESS + r"/(?:(?P<characteristic>[0-9A-Fa-f]{4})|service/(?P<service>[0-9A-Fa-f]{4})|manufacturer)"
)
TOPIC = re.compile(r".+/BTtoMQTT/" + ADDRESS)
NO_DEVICES = frozenset({"RMAC"})
CHANGING = frozenset({"rssi", "id", "distance"})  # properties that differ between two receptions of one advertisement


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`keys`: address -> BTHome key, 32 hex digits. `sos_buttons`: addresses of buttons whose press asks for help.
    `counters_restart`: quirk of devices that count from 0 after a change of batteries, by address. `time_zone`: of the
    clocks of bands that store measurements. `any_time`: impossible times are flagged, but kept (recordings,
    `gridward decode`)."""

    keys: dict[str, str] = {}
    sos_buttons: tuple[str, ...] = ()
    counters_restart: tuple[str, ...] = ()
    time_zone: str = "Asia/Shanghai"
    any_time: bool = False

    def __post_init__(self) -> None:
        LocalClock(self.time_zone)
        for name, listed in (("keys", self.keys), ("sos_buttons", self.sos_buttons)):
            for address in listed:
                _checked(name, address)
        for address in self.counters_restart:
            _checked("counters_restart", address)
        for address, key in self.keys.items():
            if not re.fullmatch(r"[0-9A-Fa-f]{32}", key):
                raise ValueError(f"keys: that of {address} is not 32 hex digits")


def _checked(name: str, address: str) -> None:
    if not re.fullmatch(ADDRESS, address):
        raise ValueError(f"{name}: {address!r} is no address such as A4:C1:38:CF:01:56")


def normal(address: str) -> str:
    """Upper case, with colons."""
    return bytes.fromhex(address.replace(":", "")).hex(":").upper()


class Heard(Struct, frozen=True):
    data: bytes
    at: datetime


class When(Struct, frozen=True):
    """When something was measured, and the report's name ("" when nothing tells two of them apart)."""

    at: datetime
    flags: tuple[str, ...] = ()
    report: str = ""


class Published(Struct, frozen=True):
    """An advertisement and what a gateway says of it: properties, when it decoded them."""

    advert: Advert
    frame: bytes
    properties: Fields = {}
    rssi: Any = None


class Session:
    """See devices.family.MessageSession."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._clock = LocalClock(settings.time_zone)
        self._keys = {normal(address): bytes.fromhex(key) for address, key in settings.keys.items()}
        self._sos = frozenset(map(normal, settings.sos_buttons))
        self._restart = frozenset(map(normal, settings.counters_restart))
        self._conditions = Conditions()
        self._heard: dict[str, Heard] = {}
        self._counters: dict[str, int] = {}

    def to_send(self) -> list[Message]:
        return []

    def receive(self, message: Message, now: datetime) -> list[Result]:
        channel = CHANNEL.fullmatch(message.channel) or TOPIC.fullmatch(message.channel)
        if channel is None:
            return [rejected("channel unknown", message.data)]
        parts = channel.groupdict()
        address = normal(parts["address"])
        if parts.get("characteristic"):
            return self._gatt(address, parts["characteristic"].lower(), message, now)
        uuid = (parts.get("service") or "").lower()
        if uuid == ble_bthome.UUID:
            return self._bthome(address, message.data, message.data, now)
        if "service" not in parts:
            return self._published(address, message.data, now)
        name, rssi = message.headers.get("name", ""), _dbm(message.headers.get("rssi", ""))
        if uuid:
            advert = Advert(service=message.data, uuid=uuid, name=name)
        else:
            advert = Advert(manufacturer=message.data, name=name)
        return self._advert(address, Published(advert, message.data, rssi=rssi), now)

    def _stranger(self, address: str, data: bytes) -> list[Result]:
        return [rejected("not enrolled", data, DeviceId(f"ble:{address}"))]

    def _gatt(self, address: str, characteristic: str, message: Message, now: datetime) -> list[Result]:
        device = DeviceId(f"ble:{address}")
        if address not in self._enrolled:
            return self._stranger(address, message.data)
        read = ble_gatt.CHARACTERISTICS.get(characteristic)
        fields: Fields = read(message.data) if read else {"error": "characteristic unknown"}
        if "error" in fields:
            return [rejected(f"value unreadable: {fields['error']}", message.data, device)]
        when = When(now)
        if "time" in fields:
            claimed = self._clock.utc(_wall_clock(fields["time"]))
            at, flags = observed(claimed, now, self._settings.any_time)
            when = When(at, (*flags, BACKLOG), digest(address.encode(), characteristic.encode(), message.data))
        return self._observations(address, ble_meaning.of_gatt(fields), when, now)

    def _bthome(self, address: str, data: bytes, frame: bytes, now: datetime) -> list[Result]:
        """`frame` is what came, `data` the service data in it."""
        device = DeviceId(f"ble:{address}")
        if address not in self._enrolled:
            return self._stranger(address, frame)
        packet = ble_bthome.read(data, bytes.fromhex(address.replace(":", "")), self._keys.get(address))
        if packet.error:
            return [rejected(f"BTHome: {packet.error}", frame, device)]
        if packet.counter is not None:
            last = self._counters.get(address, -1)
            if packet.counter == last:
                return []
            if packet.counter < last and address not in self._restart:
                return [rejected("BTHome: counter went back", frame, device)]
            _remember(self._counters, address, packet.counter)
        elif self._repeated(f"{address} bthome", data, now, _presses_unnumbered(packet)):
            return []
        meaning = ble_meaning.of_bthome(packet, address in self._sos)
        report = digest(address.encode(), b"%d" % packet.counter) if packet.counter is not None else ""
        return self._observations(address, meaning, When(now, report=report), now)

    def _published(self, address: str, data: bytes, now: datetime) -> list[Result]:
        """A gateway's JSON: properties when it decoded them, else the advertisement's data."""
        said = read_json(data, dict[str, Any])
        if said is None:
            return [rejected("message unreadable", data, DeviceId(f"ble:{address}"))]
        manufacturer, service = (_hex(said.get(name)) for name in ("manufacturerdata", "servicedata"))
        uuid, name = (text if isinstance(text := said.get(key), str) else "" for key in ("servicedatauuid", "name"))
        uuid = uuid.lower().removeprefix("0x")
        if uuid == ble_bthome.UUID and service and (address in self._keys or "model_id" not in said):
            return self._bthome(address, service, data, now)
        properties = said if "model_id" in said else {}
        published = Published(Advert(manufacturer, service, uuid, name), data, properties, said.get("rssi"))
        return self._advert(address, published, now)

    def _advert(self, address: str, published: Published, now: datetime) -> list[Result]:
        advert, properties = published.advert, published.properties
        found = properties or ble_models.decode(advert) or {}
        if address not in self._enrolled:
            private = not found or found.get("type") in NO_DEVICES or found.get("prmac") is True
            return [] if private else self._stranger(address, published.frame)
        meaning = ble_meaning.of_properties(found, address in self._sos)
        said = repr(sorted((name, repr(value)) for name, value in properties.items() if name not in CHANGING))
        key = said.encode() if properties else advert.manufacturer + advert.service
        if self._repeated(f"{address} {advert.uuid}", key, now, bool(meaning.presses) and "packet" not in found):
            return []
        meaning.measure("signal_dbm", published.rssi)
        return self._observations(address, meaning, When(now), now)

    def _repeated(self, what: str, data: bytes, now: datetime, press: bool) -> bool:
        last = self._heard.get(what)
        window = PRESS_REPEAT if press else REPEAT
        if last is not None and last.data == data and abs(now - last.at) < window:
            return True
        _remember(self._heard, what, Heard(data, now))
        return False

    def _bodies(self, address: str, meaning: Meaning) -> Iterator[Body]:
        """Alarms first: they are what the siren waits for."""
        yield from self._conditions.alarms(address, meaning.alarms)
        for which, press in meaning.presses:
            yield Event(kind="button", component=which, attributes={"press": clean(press)})
        for (component, what), (kind, attributes) in meaning.states.items():
            if self._conditions.changed(address, f"{component} {what}", f"{kind} {attributes}"):
                yield Event(kind=kind, component=component, attributes=attributes)
        yield Telemetry(meaning.values)

    def _observations(self, address: str, meaning: Meaning, when: When, now: datetime) -> list[Result]:
        return [
            Observation(
                device=DeviceId(f"ble:{address}"),
                observed_at=when.at,
                received_at=now,
                body=body,
                frame_id=frame_id(when.report, body),
                flags=when.flags,
            )
            for body in self._bodies(address, meaning)
        ]


def _wall_clock(text: str) -> datetime | None:
    """None for a date that the calendar does not have (31 April)."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _presses_unnumbered(packet: Packet) -> bool:
    return packet.packet_id is None and any(one.what for one in packet.happened)


def _remember(memory: dict[str, Any], key: str, value: Any) -> None:
    memory.pop(key, None)
    if len(memory) >= DEVICES_MAX:
        del memory[next(iter(memory))]
    memory[key] = value


def _dbm(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-\d{1,3}", text) else None


def _hex(text: Any) -> bytes:
    """Bytes of hex; b"" for anything else."""
    try:
        return bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return b""


FAMILY = MessageFamily(
    name="ble",
    title="Bluetooth bands, sensors, buttons and tags: GATT, BTHome, Theengs",
    native_id="the Bluetooth address in upper case with colons",
    native_id_pattern=r"([0-9A-F]{2}:){5}[0-9A-F]{2}",
    example=Example("C0:FF:EE:00:00:02", {"topics": ["+/+/BTtoMQTT/#"], "connect": ["C0:FF:EE:00:00:02"]}),
    links=("ble", "mqtt"),
    integrity="AES-CCM for BTHome devices with a key",
    message_bytes_max=MESSAGE_BYTES_MAX,
    silence_s_max=21_600,
    settings=Settings,
    open_session=Session,
)
