"""LoRaWAN sensors behind ChirpStack v4 or The Things Stack v3: smoke, door, leak, gas, SOS, climate.

The network server is trusted for who sent a frame and for its integrity (the frame's MIC); this family reads what the
server publishes. Envelopes: lorawan_wire.py, payloads: lorawan_codecs.py, what the vendors' names mean:
lorawan_meaning.py.

- The codec is chosen by the device profile's name (ChirpStack) or by the device (The Things Stack names no profile).
  A profile that is called as a codec is (`milesight/gs524n`) needs no setting. Nothing is guessed from bytes: without a
  codec an uplink is a sign of life and one rejection.
- Two deliveries of one event have one frame_id: ChirpStack's deduplication id, The Things Stack's session and counter.
- Times are the network server's, UTC. Readings that a device kept carry the device's own time (UTC).
- Smoke, leak, gas and the like are raised each time they are told, cleared once. A counter that goes back without a
  join is flagged `counter_went_back`: a replay, or a device that was reset.
- A wrong MIC or frame counter in the server's log is `network_intrusion`.
- Liveness: devices report at least once in a day; sites with other periods set `lost_contact` in their rules.
- Commands: `downlink`, to the server that the device's last event came from by MQTT. Sent is accepted; a confirmed one
  is confirmed or refused by the device. Class A devices hear it only after their next uplink.

The family does not make the server's join policy: an unknown device that joins is named once, as not enrolled.
"""

from collections.abc import Container, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar
from uuid import NAMESPACE_OID, uuid5

from msgspec import Struct

from devices.conditions import DEVICES_MAX, Conditions, frame_id
from devices.dictionary import in_range
from devices.families import lorawan_meaning, lorawan_wire
from devices.families.lorawan_codecs import CODECS
from devices.families.lorawan_tlv import Fields
from devices.families.lorawan_wire import Downlink, Envelope, Uplink
from devices.family import CommandKind, CommandRefused, DeviceCommand, Example, Message, MessageFamily
from devices.json_text import clean
from devices.local_time import observed
from devices.observation import (
    BACKLOG,
    Alarm,
    Body,
    CommandAnswer,
    DeviceId,
    Event,
    Observation,
    Position,
    Result,
    Telemetry,
    digest,
    rejected,
)

V = TypeVar("V")

MESSAGE_BYTES_MAX = 64_000
SECURITY_CODES = frozenset({"UPLINK_MIC", "UPLINK_F_CNT_RESET", "UPLINK_F_CNT_RETRANSMISSION", "OTAA"})
OUTCOMES = {"ack": "confirmed", "nack": "refused", "failed": "refused", "queued": "accepted", "sent": "sent"}
OUTCOMES |= {"txack": "sent"}
PRESSES = ("short press", "long press", "double press")


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`profiles`: device profile name -> codec; `devices`: DevEUI (lower case) -> codec, goes before `profiles`.

    `sos_presses`: which presses of a plain button (WS101) ask for help: all of them, unless some are for other things.
    `any_time`: impossible times are flagged, but kept (recordings, `gridward decode`).
    """

    profiles: dict[str, str] = {}
    devices: dict[str, str] = {}
    sos_presses: tuple[str, ...] = PRESSES
    any_time: bool = False

    def __post_init__(self) -> None:
        for place, table in (("profiles", self.profiles), ("devices", self.devices)):
            for name, codec in table.items():
                if codec not in CODECS:
                    raise ValueError(f"{place}: {name!r} has no codec {codec!r}; known: {', '.join(sorted(CODECS))}")
        for dev_eui in self.devices:
            if not lorawan_wire.DEV_EUI.fullmatch(dev_eui):
                raise ValueError(f"devices: {dev_eui!r} is no DevEUI: 16 hex digits in lower case")
        for press in self.sos_presses:
            if press not in PRESSES:
                raise ValueError(f"sos_presses: {press!r} is none of {', '.join(PRESSES)}")


COMMANDS = (
    CommandKind(
        name="downlink",
        meaning="send bytes to the device",
        args={"f_port": "1 to 223", "payload_hex": "up to 222 bytes as hex", "confirmed": "yes or no"},
    ),
)
PAYLOAD_BYTES_MAX = 222
WAITING_MAX = 1_000
ANSWERS: dict[str, Literal["accepted", "refused", "confirmed"]] = {
    "ack": "confirmed",
    "nack": "refused",
    "failed": "refused",
    "txack": "accepted",
    "sent": "accepted",
    "queued": "accepted",
}


class Session:
    """See devices.family.MessageSession and Commanded."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._conditions = Conditions()
        self._counters: dict[str, int] = {}
        self._servers: dict[str, str] = {}  # DevEUI -> where downlinks go
        self._waiting: dict[str, str] = {}  # id of a downlink -> nonce
        self._sending: list[Message] = []

    def to_send(self) -> list[Message]:
        """Commands only: network servers want no answer."""
        sending, self._sending = self._sending, []
        return sending

    def command(self, command: DeviceCommand, now: datetime) -> None:
        """See devices.family.Commanded."""
        dev_eui = command.native_id
        if dev_eui not in self._enrolled:
            raise CommandRefused(f"{dev_eui} is not enrolled")
        if command.action != "downlink":
            raise CommandRefused(f"no command {command.action}")
        if dev_eui not in self._servers:
            raise CommandRefused(f"{dev_eui} was not heard by MQTT yet: its application is not known")
        what = _downlink(command.args)
        id_ = str(uuid5(NAMESPACE_OID, command.nonce))
        _remember(self._waiting, id_, command.nonce, WAITING_MAX)
        self._sending.append(lorawan_wire.downlink(self._servers[dev_eui], dev_eui, id_, what))

    def receive(self, message: Message, now: datetime) -> list[Result]:
        envelope = lorawan_wire.read(message)
        if envelope is None:
            return [rejected("event unreadable", message.data)]
        device = DeviceId(f"lorawan:{envelope.dev_eui}")
        if envelope.dev_eui not in self._enrolled:
            return [rejected("not enrolled", message.data, device, name=envelope.name, model=envelope.profile)]
        at, flags = observed(envelope.time, now, self._settings.any_time)
        flags += self._counted(envelope)
        report = digest(envelope.dev_eui.encode(), envelope.event.encode(), envelope.dedup or message.data)
        if envelope.to:
            _remember(self._servers, envelope.dev_eui, envelope.to, DEVICES_MAX)
        found: list[Result] = list(self._answers(envelope))
        for body, own_time in self._told(envelope, message, device, found):
            when, marks = at, flags
            if own_time is not None:
                when, marks = observed(own_time, now, self._settings.any_time)
                marks += (BACKLOG,)
            found.append(
                Observation(
                    device=device,
                    observed_at=when,
                    received_at=now,
                    body=body,
                    frame_id=frame_id(report, body, own_time.isoformat() if own_time else ""),
                    flags=marks,
                )
            )
        return found

    def _answers(self, envelope: Envelope) -> Iterator[CommandAnswer]:
        """What an event says to a command; confirmation ends the wait."""
        nonce = self._waiting.get(envelope.said_to, "")
        if nonce and envelope.event in ANSWERS:
            result = ANSWERS[envelope.event] if envelope.fields.get("acknowledged", True) else "refused"
            if result != "accepted":
                del self._waiting[envelope.said_to]
            yield CommandAnswer(nonce=nonce, result=result)

    def _counted(self, envelope: Envelope) -> tuple[str, ...]:
        """Remembers the frame counter; a join starts it anew."""
        if envelope.event == "join":
            self._counters.pop(envelope.dev_eui, None)
        if envelope.uplink is None:
            return ()
        before = self._counters.get(envelope.dev_eui, -1)
        _remember(self._counters, envelope.dev_eui, envelope.uplink.f_cnt, DEVICES_MAX)
        return ("counter_went_back",) if envelope.uplink.f_cnt < before else ()

    def _told(
        self, envelope: Envelope, message: Message, device: DeviceId, found: list[Result]
    ) -> Iterator[tuple[Body, datetime | None]]:
        """Bodies, with a time of their own when they have one. Rejections go to `found`."""
        if envelope.uplink is None:
            yield from ((body, None) for body in _server_event(envelope))
            return
        fields, problem = self._decoded(envelope, envelope.uplink)
        if problem:
            found.append(rejected(problem, message.data, device))
        yield from self._uplink(envelope, envelope.uplink, fields)

    def _decoded(self, envelope: Envelope, uplink: Uplink) -> tuple[Fields, str]:
        codec = self._codec(envelope)
        if not codec:
            return {}, "no codec for this device profile"
        fields = CODECS[codec](uplink.f_port, uplink.payload, False)
        if "error" in fields:
            return {}, f"payload unreadable: {fields['error']}"
        return fields, "payload partly unreadable" if "rest_hex" in fields else ""

    def _codec(self, envelope: Envelope) -> str:
        named = self._settings.devices.get(envelope.dev_eui) or self._settings.profiles.get(envelope.profile)
        return named or (envelope.profile if envelope.profile in CODECS else "")

    def _uplink(self, envelope: Envelope, uplink: Uplink, fields: Fields) -> Iterator[tuple[Body, datetime | None]]:
        """Alarms first: they are what the siren waits for."""
        codec = self._codec(envelope)
        meaning = lorawan_meaning.read(codec, fields, frozenset(self._settings.sos_presses))
        for alarm in self._conditions.alarms(envelope.dev_eui, meaning.alarms):
            yield alarm, None
        for kind, attributes in meaning.happened:
            yield Event(kind=kind, attributes=attributes), None
        for (component, name), (kind, attributes) in meaning.states.items():
            if self._conditions.changed(envelope.dev_eui, f"{component} {name}", f"{kind} {attributes}"):
                words = {key: clean(word) for key, word in attributes.items()}
                yield Event(kind=kind, component=component, attributes=words), None
        radio = {"signal_dbm": uplink.radio.rssi_dbm, "signal_noise_db": uplink.radio.snr_db}
        heard = {name: value for name, value in radio.items() if value is not None and in_range(name, value)}
        yield Telemetry(heard | meaning.values.pop("", {})), None
        for component, values in meaning.values.items():
            yield Telemetry(values, component), None
        place = _place(fields)
        if place:
            yield place, None
        for entry in fields.get("history", ()):
            time = datetime.fromtimestamp(entry["timestamp"], UTC)
            for component, values in lorawan_meaning.measured(codec, entry).items():
                yield Telemetry(values, component), time


def _downlink(args: Mapping[str, str]) -> Downlink:
    port, text = args.get("f_port", ""), args.get("payload_hex", "")
    if not (port.isascii() and port.isdigit() and len(port) < 4 and 1 <= int(port) <= 223):
        raise CommandRefused(f"f_port {port!r} is not 1 to 223")
    try:
        payload = bytes.fromhex(text)
    except ValueError as error:
        raise CommandRefused("payload_hex is no hex") from error
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise CommandRefused(f"payload_hex has more than {PAYLOAD_BYTES_MAX} bytes")
    return Downlink(int(port), payload, args.get("confirmed") == "yes")


def _remember(memory: dict[str, V], key: str, value: V, entries_max: int) -> None:
    """The newest stand at the end; the oldest is forgotten."""
    memory.pop(key, None)
    if len(memory) >= entries_max:
        del memory[next(iter(memory))]
    memory[key] = value


def _server_event(envelope: Envelope) -> Iterator[Body]:
    """What the network server says of a device; what it says nothing of is a sign of its own life only."""
    fields: dict[str, Any] = envelope.fields
    words = {name: clean(str(value)) for name, value in fields.items() if value != ""}
    if envelope.event == "status":
        battery = fields.get("battery_pct", -1)
        known = in_range("battery_percent", battery) and not fields["external_power"]
        yield Telemetry({"battery_percent": battery} if known else {})
    elif envelope.event == "join":
        yield Event(kind="joined", attributes=words)
    elif envelope.event in OUTCOMES:
        outcome = OUTCOMES[envelope.event] if fields.get("acknowledged", True) else "refused"
        yield Event(kind="answer", attributes=words | {"outcome": outcome})
    elif envelope.event == "log" and fields["code"] in SECURITY_CODES:
        text = f"{fields['code']}: {fields['description']}"
        yield Alarm(kind="network_intrusion", description=clean(text))
    elif envelope.event == "location":
        place = _place(fields)
        if place:
            yield place
    else:
        yield Event(kind="unknown_report", attributes=words | {"event": clean(envelope.event)})


def _place(fields: Fields) -> Position | None:
    """0/0 is no place."""
    longitude, latitude = fields.get("longitude", 0), fields.get("latitude", 0)
    if not (longitude or latitude) or abs(longitude) > 180 or abs(latitude) > 90:
        return None
    own = "geofence_status" in fields  # the tracker's own fix; the server solves from the gateways that heard it
    return Position(longitude=longitude, latitude=latitude, fix="gnss" if own else "network")


FAMILY = MessageFamily(
    name="lorawan",
    title="LoRaWAN sensors behind ChirpStack v4 or The Things Stack v3",
    native_id="the DevEUI, 16 hex digits in lower case",
    native_id_pattern=r"[0-9a-f]{16}",
    example=Example("24e12422115a212f", {"topics": ["application/+/device/+/event/+"]}),
    links=("mqtt", "http_server"),
    integrity="",  # the network server checks each frame's MIC
    message_bytes_max=MESSAGE_BYTES_MAX,
    silence_s_max=90_000,
    settings=Settings,
    open_session=Session,
    strangers_told=False,  # a network server stops a hook that is refused again and again, and with it everyone
    unreadable_told=False,
    commands=COMMANDS,
)
