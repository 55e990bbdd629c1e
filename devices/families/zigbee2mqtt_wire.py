"""Zigbee devices as zigbee2mqtt publishes them. Topics and payloads: zigbee2mqtt documentation, "MQTT topics and
messages"; sources of the values: "Exposes".

    BASE/NAME                  JSON state; only what changed may be in it, null is unknown
    BASE/NAME/ATTRIBUTE        one value, when the installation publishes attributes by themselves
    BASE/NAME/availability     {"state": "online" | "offline"}, or the bare word (older versions)
    BASE/NAME/set | get        to a device
    BASE/bridge/state          as availability
    BASE/bridge/event          {"type": "device_joined" | ..., "data": {...}}
    BASE/bridge/devices        the inventory: friendly name, address, what each device exposes and in which unit
    BASE/bridge/response/X     {"status": "ok" | "error", "transaction", "data", "error"}
    BASE/bridge/request/X      asks the bridge

A NAME may have slashes in it, so known endings are matched first.
"""

from typing import Any

import msgspec
from msgspec import Struct

from devices.family import Message
from devices.json_text import read_json

Fields = dict[str, Any]

# Values that a device may publish on a topic of their own; another ending belongs to the device's name.
ATTRIBUTES = frozenset(
    {
        *("action", "battery", "battery_low", "carbon_monoxide", "co", "co2", "contact", "current", "energy", "gas"),
        *("humidity", "illuminance", "illuminance_lux", "last_seen", "linkquality", "lock_state", "moving"),
        *("occupancy", "pm10", "pm25", "power", "presence", "pressure", "smoke", "soil_moisture", "state"),
        *("tamper", "temperature", "test", "vibration", "voc", "voltage", "water_leak"),
    }
)
UNREAD = frozenset({"info", "groups", "definitions", "extensions", "logging", "config", "health", "converters"})
JSON_WORDS = {b"true": True, b"false": False, b"null": None}


class Report(Struct, frozen=True):
    """`kind`: state, availability, bridge_state, bridge_event, bridge_devices, response, bridge (of no use here), sent
    (somebody's message to a device). `name` is the device's friendly name, "bridge" for the bridge itself."""

    kind: str
    name: str
    fields: Fields = {}


def read(base: str, channel: str, data: bytes) -> Report | None:
    """None for what is not of this installation, or cannot be read."""
    if not channel.startswith(f"{base}/"):
        return None
    path = channel[len(base) + 1 :].split("/")
    if path[0] == "bridge" and len(path) > 1:
        return _bridge(path[1:], data)
    if path[-1] in ("set", "get") or (len(path) > 2 and path[-2] in ("set", "get")):
        return Report("sent", "")
    name = "/".join(path[:-1])
    if path[-1] == "availability" and name:
        return _online("availability", name, data)
    if path[-1] in ATTRIBUTES and name and not data.lstrip().startswith(b"{"):
        return Report("state", name, {path[-1]: _value(data)})
    state = read_json(data, dict[str, Any])
    whole = "/".join(path)
    return None if state is None or not whole else Report("state", whole, state)


def _bridge(path: list[str], data: bytes) -> Report | None:
    if path == ["state"]:
        return _online("bridge_state", "bridge", data)
    if path == ["devices"]:
        devices = read_json(data, list[Any])
        return None if devices is None else Report("bridge_devices", "bridge", {"units": _units(devices)})
    if path[0] in UNREAD or path[0] == "request":
        return Report("bridge", "bridge")
    said = read_json(data, dict[str, Any])
    if said is None:
        return None
    if path == ["event"]:
        inner = said.get("data")
        about = inner if isinstance(inner, dict) else {}
        names = {name: about[name] for name in ("friendly_name", "ieee_address", "status") if _text(about.get(name))}
        return Report("bridge_event", "bridge", {"type": _text(said.get("type"))} | names)
    if path[0] == "response":
        words = {name: _text(said.get(name)) for name in ("status", "transaction", "error")}
        return Report("response", "bridge", {"request": "/".join(path[1:])} | words)
    return Report("bridge", "bridge")


def _online(kind: str, name: str, data: bytes) -> Report | None:
    said = read_json(data, dict[str, Any])
    word = said.get("state") if said is not None else data.decode("ascii", "replace").strip('" ')
    return Report(kind, name, {"online": word == "online"}) if word in ("online", "offline") else None


def _value(data: bytes) -> Any:
    """A value on a topic of its own: a number or JSON word, else text."""
    if data.strip() in JSON_WORDS:
        return JSON_WORDS[data.strip()]
    number = read_json(data, float)
    return data.decode("utf-8", "replace") if number is None else number


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _units(devices: list[Any]) -> dict[str, dict[str, str]]:
    """Friendly name -> property -> unit. What is not as documented is passed over."""
    found: dict[str, dict[str, str]] = {}
    for device in devices:
        listed = read_json(msgspec.json.encode(device), _Listed)
        if listed is not None and listed.definition is not None:
            units = {one.property: one.unit for one in listed.definition.exposes if one.property and one.unit}
            found[listed.friendly_name] = units
    return found


class _Exposed(Struct):
    property: str = ""
    unit: str = ""


class _Definition(Struct):
    exposes: list[_Exposed] = []


class _Listed(Struct):
    friendly_name: str
    definition: _Definition | None = None


def _sent(channel: str, body: Fields) -> Message:
    return Message(channel, msgspec.json.encode(body))


def lock(base: str, name: str, locked: bool) -> Message:
    """What is published to drive a lock."""
    return _sent(f"{base}/{name}/set", {"state": "LOCK" if locked else "UNLOCK"})


def switch(base: str, name: str, on: bool) -> Message:
    """A plug, relay or lamp."""
    return _sent(f"{base}/{name}/set", {"state": "ON" if on else "OFF"})


def siren(base: str, name: str, mode: str, duration_s: int) -> Message:
    """`mode`: stop, burglar, fire, emergency (and others that the device exposes)."""
    warning = {"mode": mode, "level": "high", "strobe": mode != "stop", "duration": duration_s}
    return _sent(f"{base}/{name}/set", {"warning": warning})


def ask(base: str, name: str, attribute: str) -> Message:
    """Have a device tell a value now."""
    return _sent(f"{base}/{name}/get", {attribute: ""})


def keypad_answer(base: str, name: str, mode: str, transaction: int) -> Message:
    """What a keypad waits for after arm_*, disarm: the mode that holds now, or `invalid_code`."""
    return _sent(f"{base}/{name}/set", {"arm_mode": {"mode": mode, "transaction": transaction}})


def permit_join(base: str, time_s: int, transaction: str) -> Message:
    """`time_s` 0 closes the network."""
    return _sent(f"{base}/bridge/request/permit_join", {"time": time_s, "transaction": transaction})
