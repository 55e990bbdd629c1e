"""Zigbee devices behind zigbee2mqtt: smoke, gas, leak, door, lock, motion, emergency buttons, sirens. MQTT.

Topics and payloads: zigbee2mqtt_wire.py. A device is known by its friendly name, the bridge as `bridge`.

- Only what changed may be in a message: what is missing says nothing, null is unknown and says nothing. A raised alarm
  is told with each message that has it, a cleared one and states (door, lock, output) when they change.
- `contact` true is a closed door. A bolt that is `not_fully_locked` is a lock_fault.
- Pressed buttons (`action`) are momentary: an empty action ends the one before. Emergency actions are `sos`. A retained
  action is old and is left out. Codes and users of keypads and locks are never kept.
- `voltage` is mV in battery devices and V in plugs: the unit is that of the bridge's inventory, else mV for a device
  that tells its battery with it, else the value is left out.
- Times: `last_seen` (ISO 8601 or epoch milliseconds) when the installation adds it, else the time of receiving.
  Without it two equal messages cannot be told apart and have no frame_id.
- Liveness: availability offline is `lost_contact`; zigbee2mqtt waits 10 minutes for mains devices and 25 hours for
  batteries, so life-safety devices need an own rule at the site.
- A device that joins is `network_intrusion`, unless `joining_expected` (maintenance).
- Commands: COMMANDS. A lock or switch confirms with its next fresh state, the bridge answers by transaction; a siren
  answers nothing.

There is no authentication in this protocol: who may publish is the broker's business.
"""

from collections.abc import Container, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from devices.conditions import DEVICES_MAX, Conditions, frame_id
from devices.dictionary import in_range
from devices.families import zigbee2mqtt_wire as wire
from devices.families.zigbee2mqtt_wire import Fields, Report
from devices.family import CommandKind, CommandRefused, DeviceCommand, Example, Message, MessageFamily
from devices.json_text import clean
from devices.local_time import observed
from devices.observation import (
    Alarm,
    Body,
    CommandAnswer,
    DeviceId,
    Event,
    Observation,
    Result,
    Telemetry,
    digest,
    rejected,
)

MESSAGE_BYTES_MAX = 2_000_000  # the inventory of a large network
NAME_CHARS_MAX = 200

ALARMS = {
    "smoke": "smoke",
    "gas": "gas",
    "carbon_monoxide": "carbon_monoxide",
    "water_leak": "water_leak",
    "tamper": "tamper",
    "battery_low": "low_battery",
    "sos": "sos",
}
SOS_ACTIONS = frozenset({"emergency", "panic", "sos"})
VALUES: dict[str, tuple[str, float]] = {
    "battery": ("battery_percent", 1),
    "temperature": ("temperature_c", 1),
    "humidity": ("humidity_percent", 1),
    "soil_moisture": ("soil_moisture_percent", 1),
    "pressure": ("pressure_kpa", 0.1),
    "illuminance": ("illuminance_lx", 1),
    "illuminance_lux": ("illuminance_lx", 1),
    "co": ("co_ppm", 1),
    "co2": ("co2_ppm", 1),
    "pm25": ("pm2_5_ug_m3", 1),
    "pm10": ("pm10_ug_m3", 1),
    "voc": ("voc_ug_m3", 1),
    "power": ("power_w", 1),
    "energy": ("energy_kwh", 1),
    "current": ("current_a", 1),
    "linkquality": ("link_quality", 1),
}
VOLTS = {"V": 1.0, "mV": 0.001}
MOVEMENTS = ("occupancy", "presence", "moving", "vibration")
BOLTS = {"locked": "locked", "unlocked": "unlocked", "LOCK": "locked", "UNLOCK": "unlocked"}


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`base_topic` as in zigbee2mqtt's configuration. `joining_expected`: devices may join (maintenance), no alarm.
    `any_time`: impossible times are flagged, but kept (recordings, `gridward decode`)."""

    base_topic: str = "zigbee2mqtt"
    joining_expected: bool = False
    any_time: bool = False

    def __post_init__(self) -> None:
        if not self.base_topic or set("+#\0") & set(self.base_topic) or self.base_topic.endswith("/"):
            raise ValueError(f"base_topic: {self.base_topic!r} is no topic: no + or #, no / at its end")


COMMANDS = (
    CommandKind(name="lock", meaning="drive the bolt out"),
    CommandKind(name="unlock", meaning="draw the bolt in"),
    CommandKind(name="switch_on", meaning="switch a plug, relay or lamp on"),
    CommandKind(name="switch_off", meaning="switch it off"),
    CommandKind(
        name="siren",
        meaning="sound a siren, or stop it",
        args={"mode": "stop, burglar, fire or emergency", "duration_s": "seconds, 1 to 1800"},
    ),
    CommandKind(name="read", meaning="have a value told now", args={"attribute": "its name, such as state"}),
    CommandKind(name="permit_join", meaning="open the network (bridge only)", args={"time_s": "seconds, 0 closes it"}),
)
SIREN_MODES = ("stop", "burglar", "fire", "emergency")
WAITING_MAX = 1_000

# action -> (what the state calls it, the words that confirm it)
CONFIRMED_BY = {
    "lock": ("bolt", ("locked", "LOCK")),
    "unlock": ("bolt", ("unlocked", "UNLOCK")),
    "switch_on": ("output", ("ON",)),
    "switch_off": ("output", ("OFF",)),
}


class Waiting(Struct, frozen=True):
    """A command that the device has not answered yet."""

    nonce: str
    words: tuple[str, ...]


class Session:
    """See devices.family.MessageSession and Commanded."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._conditions = Conditions()
        self._units: dict[str, dict[str, str]] = {}
        self._sending: list[Message] = []
        self._waiting: dict[tuple[str, str], Waiting] = {}

    def to_send(self) -> list[Message]:
        """Commands only: who arms or disarms at a keypad is the hub's business."""
        sending, self._sending = self._sending, []
        return sending

    def command(self, command: DeviceCommand, now: datetime) -> None:
        """See devices.family.Commanded."""
        if command.native_id not in self._enrolled:
            raise CommandRefused(f"{command.native_id} is not enrolled")
        self._sending.append(_message(self._settings.base_topic, command))
        if command.action in CONFIRMED_BY:
            what, words = CONFIRMED_BY[command.action]
            self._wait((command.native_id, what), Waiting(command.nonce, words))
        elif command.action == "permit_join":
            self._wait(("bridge", command.nonce), Waiting(command.nonce, ("ok",)))

    def _wait(self, key: tuple[str, str], waiting: Waiting) -> None:
        if len(self._waiting) >= WAITING_MAX:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[key] = waiting

    def receive(self, message: Message, now: datetime) -> list[Result]:
        report = wire.read(self._settings.base_topic, message.channel, message.data)
        if report is None or len(report.name) > NAME_CHARS_MAX or "\0" in report.name:
            return [rejected("message unreadable", message.data)]
        if report.kind == "sent":
            return []
        device = DeviceId(f"zigbee2mqtt:{report.name}")
        if report.name not in self._enrolled:
            return [rejected("not enrolled", message.data, device)]
        retained = message.headers.get("retained") == "1"
        seen = report.fields.get("last_seen")
        at, flags = observed(_time(seen), now, self._settings.any_time) if seen is not None else (now, ())
        name = digest(message.channel.encode(), message.data) if seen is not None else ""
        answers: list[Result] = [] if retained else list(self._answers(report))
        return answers + [
            Observation(
                device=device,
                observed_at=at,
                received_at=now,
                body=body,
                frame_id=frame_id(name, body),
                flags=(*flags, "retained") if retained else flags,
            )
            for body in self._bodies(report, retained)
        ]

    def _answers(self, report: Report) -> Iterator[CommandAnswer]:
        """What a message says to the commands that wait."""
        fields = report.fields
        if report.kind == "response":
            waiting = self._waiting.pop(("bridge", fields["transaction"]), None)
            if waiting:
                refused = fields["status"] != "ok"
                yield CommandAnswer(nonce=waiting.nonce, result="refused" if refused else "confirmed")
        for what, word in (("bolt", fields.get("lock_state", fields.get("state"))), ("output", fields.get("state"))):
            waiting = self._waiting.get((report.name, what)) if report.kind == "state" else None
            if waiting and word in waiting.words:
                del self._waiting[(report.name, what)]
                yield CommandAnswer(nonce=waiting.nonce, result="confirmed")

    def _bodies(self, report: Report, retained: bool) -> Iterator[Body]:
        fields = report.fields
        if report.kind == "state":
            yield from self._state(report.name, fields, retained)
        elif report.kind in ("availability", "bridge_state"):
            yield from self._conditions.alarms(report.name, {("", "lost_contact"): not fields["online"]})
        elif report.kind == "bridge_devices":
            self._units = dict(list(fields["units"].items())[:DEVICES_MAX])
            yield Telemetry({})
        elif report.kind == "bridge_event":
            yield from self._bridge_event(fields)
        elif report.kind == "response":
            outcome = "accepted" if fields["status"] == "ok" else "refused"
            words = {name: clean(value) for name, value in fields.items() if value}
            yield Event(kind="answer", attributes=words | {"outcome": outcome})
        else:
            yield Telemetry({})

    def _bridge_event(self, fields: Fields) -> Iterator[Body]:
        who = clean(fields.get("friendly_name", "") or fields.get("ieee_address", ""))
        if fields["type"] == "device_joined":
            if not self._settings.joining_expected:
                yield Alarm(kind="network_intrusion", description=f"joined: {who}"[:NAME_CHARS_MAX])
            yield Event(kind="joined", attributes={"name": who})
        elif fields["type"] == "device_leave":
            yield Event(kind="left", attributes={"name": who})
        else:
            yield Telemetry({})

    def _state(self, name: str, fields: Fields, retained: bool) -> Iterator[Body]:
        """Alarms first: they are what the siren waits for."""
        alarms = {("", kind): fields[key] for key, kind in ALARMS.items() if isinstance(fields.get(key), bool)}
        bolt = fields.get("lock_state")
        if bolt in ("not_fully_locked", "locked", "unlocked"):
            alarms[("", "lock_fault")] = bolt == "not_fully_locked"
        action = fields.get("action")
        pressed = action if isinstance(action, str) and not retained else ""
        if pressed in SOS_ACTIONS:
            alarms[("", "sos")] = True
        yield from self._conditions.alarms(name, alarms)
        if pressed:
            yield Event(kind="button", attributes={"press": clean(pressed)})
        yield from self._changes(name, fields)
        yield Telemetry(self._values(name, fields))

    def _changes(self, name: str, fields: Fields) -> Iterator[Event]:
        """Events of states that are not the ones told last."""
        for what, kind, attributes in _states(fields):
            if self._conditions.changed(name, what, f"{kind} {attributes}"):
                yield Event(kind=kind, attributes=attributes)
        if fields.get("test") is True or fields.get("self_test") is True:
            yield Event(kind="self_test")

    def _values(self, name: str, fields: Fields) -> dict[str, float]:
        found = {
            metric: fields[key] * factor for key, (metric, factor) in VALUES.items() if _is_number(fields.get(key))
        }
        battery = "mV" if "battery" in fields else ""
        unit = self._units.get(name, {}).get("voltage", battery)
        if unit in VOLTS and _is_number(fields.get("voltage")):
            found["voltage_v"] = fields["voltage"] * VOLTS[unit]
        return {metric: value for metric, value in found.items() if in_range(metric, value)}


def _message(base: str, command: DeviceCommand) -> Message:
    name, args = command.native_id, command.args
    if (name == "bridge") != (command.action == "permit_join"):
        raise CommandRefused(f"{name} does not take {command.action}")
    if command.action in ("lock", "unlock"):
        return wire.lock(base, name, command.action == "lock")
    if command.action in ("switch_on", "switch_off"):
        return wire.switch(base, name, command.action == "switch_on")
    if command.action == "read" and args.get("attribute", "") in wire.ATTRIBUTES:
        return wire.ask(base, name, args["attribute"])
    if command.action == "siren" and args.get("mode") in SIREN_MODES:
        return wire.siren(base, name, args["mode"], _seconds(args.get("duration_s", "30"), 1, 1_800))
    if command.action == "permit_join":
        return wire.permit_join(base, _seconds(args.get("time_s", ""), 0, 254), command.nonce)
    raise CommandRefused(f"no command {command.action} with {dict(args)}")


def _seconds(text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9 and low <= int(text) <= high):
        raise CommandRefused(f"{text!r} is no number of seconds from {low} to {high}")
    return int(text)


def _states(fields: Fields) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(what, event kind, attributes) of each state that the message tells."""
    contact = fields.get("contact")
    if isinstance(contact, bool):
        yield "contact", "door_closed" if contact else "door_opened", {}
    state = fields.get("state")
    for word in (fields.get("lock_state"), state):
        if isinstance(word, str) and word in BOLTS:
            yield "bolt", BOLTS[word], {}
            break
    if state in ("ON", "OFF"):
        yield "output", "output", {"state": "on" if state == "ON" else "off"}
    for what in MOVEMENTS:
        if isinstance(fields.get(what), bool):
            yield what, "motion", {"seen": "yes" if fields[what] else "no", "by": what}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _time(seen: Any) -> datetime | None:
    """Aware UTC of ISO 8601 with a zone or of epoch milliseconds; None for anything else."""
    try:
        if _is_number(seen):
            return datetime.fromtimestamp(seen / 1000, UTC)
        time = msgspec.convert(seen, datetime, strict=False)
        return time.astimezone(UTC) if time.tzinfo else None
    except (msgspec.ValidationError, OverflowError, ValueError, OSError):
        return None


FAMILY = MessageFamily(
    name="zigbee2mqtt",
    title="Zigbee devices behind zigbee2mqtt",
    native_id="the friendly name; `bridge` for the bridge",
    example=Example("hall/smoke_1", {"topics": ["zigbee2mqtt/#"]}),
    links=("mqtt",),
    integrity="",
    message_bytes_max=MESSAGE_BYTES_MAX,
    silence_s_max=93_600,
    settings=Settings,
    open_session=Session,
    commands=COMMANDS,
)
