"""BTHome v2 service data (UUID FCD2). Layout and object ids: bthome.io, "Format"; encryption: "Encryption".

    info 1 | { object id 1 | value }*                          info: bit 0 encrypted, bit 2 sent when something happens,
    info 1 | the same, encrypted | counter 4 | check 4               bits 5-7 version (2)

Little-endian, the id gives the size. An id that is not known ends the reading; what was read is kept. The same id twice
is a second instance. AES-CCM under the device's key of 16 bytes, nonce = address 6 | D2 FC | info | counter.
"""

from struct import calcsize, unpack_from
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from msgspec import Struct

UUID = "fcd2"
VERSION = 2
KEY_BYTES, CHECK_BYTES, COUNTER_BYTES = 16, 4, 4
BYTES_MAX = 255

U24, TEXT, RAW, FLAG = "u24", "text", "raw", "flag"  # formats that struct does not have


class Object(Struct, frozen=True):
    name: str
    format: str
    factor: float = 1


# id: name, format, factor
_NUMBERS: dict[int, tuple[str, str, float]] = {
    0x00: ("packet_id", "B", 1),
    0x01: ("battery", "B", 1),
    0x02: ("temperature", "h", 0.01),
    0x03: ("humidity", "H", 0.01),
    0x04: ("pressure", U24, 0.01),
    0x05: ("illuminance", U24, 0.01),
    0x06: ("mass", "H", 0.01),
    0x07: ("mass", "H", 0.01),  # pounds
    0x08: ("dew_point", "h", 0.01),
    0x09: ("count", "B", 1),
    0x0A: ("energy", U24, 0.001),
    0x0B: ("power", U24, 0.01),
    0x0C: ("voltage", "H", 0.001),
    0x0D: ("pm25", "H", 1),
    0x0E: ("pm10", "H", 1),
    0x12: ("carbon_dioxide", "H", 1),
    0x13: ("volatile_organic_compounds", "H", 1),
    0x14: ("moisture", "H", 0.01),
    0x2E: ("humidity", "B", 1),
    0x2F: ("moisture", "B", 1),
    0x3D: ("count", "H", 1),
    0x3E: ("count", "I", 1),
    0x3F: ("rotation", "h", 0.1),
    0x40: ("distance", "H", 1),  # millimetres
    0x41: ("distance", "H", 0.1),  # metres
    0x42: ("duration", U24, 0.001),
    0x43: ("current", "H", 0.001),
    0x44: ("speed", "H", 0.01),
    0x45: ("temperature", "h", 0.1),
    0x46: ("uv_index", "B", 0.1),
    0x47: ("volume", "H", 0.1),
    0x48: ("volume", "H", 1),  # millilitres
    0x49: ("volume_flow_rate", "H", 0.001),
    0x4A: ("voltage", "H", 0.1),
    0x4B: ("gas", U24, 0.001),
    0x4C: ("gas", "I", 0.001),
    0x4D: ("energy", "I", 0.001),
    0x4E: ("volume", "I", 0.001),
    0x4F: ("water", "I", 0.001),
    0x50: ("timestamp", "I", 1),
    0x51: ("acceleration", "H", 0.001),
    0x52: ("gyroscope", "H", 0.001),
    0x53: ("text", TEXT, 1),
    0x54: ("raw", RAW, 1),
    0x55: ("volume_storage", "I", 0.001),
    0x56: ("conductivity", "H", 1),
    0x57: ("temperature", "b", 1),
    0x58: ("temperature", "b", 0.35),
    0x59: ("count", "b", 1),
    0x5A: ("count", "h", 1),
    0x5B: ("count", "i", 1),
    0x5C: ("power", "i", 0.01),
    0x5D: ("current", "h", 0.001),
    0x5E: ("direction", "H", 0.01),
    0x5F: ("precipitation", "H", 0.1),
    0x60: ("channel", "B", 1),
    0x61: ("rotational_speed", "H", 1),
    0x62: ("speed", "i", 1e-6),
    0x63: ("acceleration", "i", 1e-6),
    0x64: ("light_level", "B", 1),
    0x65: ("settings_revision", "B", 1),
    0xF0: ("device_type_id", "H", 1),
    0xF1: ("firmware_version", "I", 1),
    0xF2: ("firmware_version", U24, 1),
}
_FLAGS: dict[int, str] = {
    0x0F: "generic",
    0x10: "power",
    0x11: "opening",
    0x15: "battery",
    0x16: "battery_charging",
    0x17: "carbon_monoxide",
    0x18: "cold",
    0x19: "connectivity",
    0x1A: "door",
    0x1B: "garage_door",
    0x1C: "gas",
    0x1D: "heat",
    0x1E: "light",
    0x1F: "lock",
    0x20: "moisture",
    0x21: "motion",
    0x22: "moving",
    0x23: "occupancy",
    0x24: "plug",
    0x25: "presence",
    0x26: "problem",
    0x27: "running",
    0x28: "safety",
    0x29: "smoke",
    0x2A: "sound",
    0x2B: "tamper",
    0x2C: "vibration",
    0x2D: "window",
}
OBJECTS = {id_: Object(*row) for id_, row in _NUMBERS.items()} | {
    id_: Object(name, FLAG) for id_, name in _FLAGS.items()
}
OBJECTS[0x3B] = Object("command", TEXT)
BUTTON, COMMAND, DIMMER = 0x3A, 0x3B, 0x3C
COMMANDS = dict(enumerate(("off", "on", "toggle", "step_up", "step_down")))
PRESSES = {
    0x00: "",
    0x01: "press",
    0x02: "double_press",
    0x03: "triple_press",
    0x04: "long_press",
    0x05: "long_double_press",
    0x06: "long_triple_press",
    0x80: "hold_press",
    0x81: "hold_release",
    0xFE: "hold_press",  # Shelly
}
TURNS = {0: "", 1: "rotate_left", 2: "rotate_right"}


class Reading(Struct, frozen=True):
    """One object: `value` is a number, a flag or text; `instance` counts objects of one id from 1."""

    id: int
    name: str
    value: Any
    instance: int = 1


class Happening(Struct, frozen=True):
    """A press or turn; "" for none. `instance` is the button's number."""

    what: str
    instance: int
    steps: int = 0


class Packet(Struct, frozen=True):
    """`error` says why nothing could be read; `rest` is what was left when an id was not known."""

    readings: tuple[Reading, ...] = ()
    happened: tuple[Happening, ...] = ()
    packet_id: int | None = None
    counter: int | None = None
    rest: bytes = b""
    error: str = ""


def is_encrypted(data: bytes) -> bool:
    return bool(data and data[0] & 1)


def read(data: bytes, address: bytes = b"", key: bytes | None = None) -> Packet:
    """`address` are the six bytes of the device's address, as written; `key` is its bind key."""
    if not data or data[0] >> 5 != VERSION:
        return Packet(error="no BTHome v2")
    if not is_encrypted(data):
        if key is not None:
            return Packet(error="not encrypted, though the device has a key")
        return _objects(data[1:], None)
    if key is None:
        return Packet(error="encrypted, no key for this device")
    if len(data) < 1 + COUNTER_BYTES + CHECK_BYTES:
        return Packet(error="too short")
    cipher, tail = data[1 : -COUNTER_BYTES - CHECK_BYTES], data[-COUNTER_BYTES - CHECK_BYTES :]
    counter, check = tail[:COUNTER_BYTES], tail[COUNTER_BYTES:]
    nonce = address + bytes.fromhex(UUID)[::-1] + data[:1] + counter
    try:
        plain = AESCCM(key, tag_length=CHECK_BYTES).decrypt(nonce, cipher + check, None)
    except InvalidTag:
        return Packet(error="wrong key or forged")
    return _objects(plain, int.from_bytes(counter, "little"))


def _objects(data: bytes, counter: int | None) -> Packet:
    readings: list[Reading] = []
    happened: list[Happening] = []
    seen: dict[int, int] = {}
    at = 0
    while at < len(data):
        id_ = data[at]
        taken, value = _value(id_, data[at + 1 :])
        if taken < 0:
            break
        at += 1 + taken
        seen[id_] = seen.get(id_, 0) + 1
        if isinstance(value, Happening):
            happened.append(Happening(value.what, seen[id_], value.steps))
        else:
            readings.append(Reading(id_, OBJECTS[id_].name, value, seen[id_]))
    packet_id = next((one.value for one in readings if one.id == 0), None)
    return Packet(tuple(readings), tuple(happened), packet_id, counter, data[at:])


def _value(id_: int, data: bytes) -> tuple[int, Any]:
    """Bytes taken and the value; -1 when the id is not known or bytes are missing."""
    if id_ == BUTTON:
        return (1, Happening(PRESSES.get(data[0], "unknown"), 1)) if data else (-1, None)
    if id_ == DIMMER:
        return (2, Happening(TURNS.get(data[0], "unknown"), 1, data[1])) if len(data) > 1 else (-1, None)
    if id_ == COMMAND:  # length of its arguments, code, arguments
        size = 2 + (data[0] & 0x1F) if data else 0
        return (size, COMMANDS.get(data[1], "unknown")) if 0 < size <= len(data) else (-1, None)
    known = OBJECTS.get(id_)
    if known is None or not data:
        return -1, None
    if known.format in (TEXT, RAW):
        size, content = 1 + data[0], data[1 : 1 + data[0]]
        value: Any = content.decode("utf-8", "replace") if known.format == TEXT else content.hex()
        return (size, value) if size <= len(data) else (-1, None)
    if known.format == FLAG:
        return 1, data[0] != 0
    if known.format == U24:
        return (3, _scaled(int.from_bytes(data[:3], "little"), known.factor)) if len(data) > 2 else (-1, None)
    size = calcsize(known.format)
    return (size, _scaled(unpack_from("<" + known.format, data)[0], known.factor)) if size <= len(data) else (-1, None)


def _scaled(value: int, factor: float) -> float:
    """0.1 * 3 is 0.3 here: the factors have few digits."""
    return value if factor == 1 else round(value * factor, 6)
