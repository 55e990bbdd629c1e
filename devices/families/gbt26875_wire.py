"""GB/T 26875.3-2011 frames and application data, read into plain values. What they mean stands in gbt26875.py.

    40 40 | SS SS | VV VV | TT*6 | FF*6 | DD*6 | LL LL | C | application data (L) | K | 23 23     (little endian)

S serial   V main and user version   T second minute hour day month year-2000   F source   D destination   L 0..1024
C command  K sum of all bytes between start mark and K, modulo 256. There is no escaping: frames are cut by length.

    application data = type 1 | object count 1 | objects         empty in a heartbeat, a confirm and a deny

Clauses: frame 7.1, commands 7.2, types and objects 8.2 and 8.3, bit tables and codes of 8.3. All times are the device's
own wall clock.
"""

from collections.abc import Callable
from datetime import datetime
from struct import Struct as Packer
from typing import Any

from msgspec import Struct

from devices.framing import Cut, sum8

MARK, END = b"@@", b"##"
HEADER = Packer("<2sH2B6s6s6sHB")
FRAME_BYTES_MIN = 30
UNIT_BYTES_MAX = 1024
FRAME_BYTES_MAX = FRAME_BYTES_MIN + UNIT_BYTES_MAX

CONTROL, SEND_DATA, CONFIRM, REQUEST, RESPONSE, DENY = range(1, 7)
COMMANDS = {1: "control", 2: "send_data", 3: "confirm", 4: "request", 5: "response", 6: "deny"}

SYSTEM_STATE = (
    "normal fire_alarm fault shielded supervised started feedback delay main_power_fault backup_power_fault bus_fault "
    "manual configuration_changed reset"
).split()
COMPONENT_STATE = "normal fire_alarm fault shielded supervised started feedback delay power_fault".split()
DEVICE_STATE = (
    "normal fire_alarm fault main_power_fault backup_power_fault communication_fault detection_line_fault"
).split()
OPERATIONS = "reset mute manual_alarm alarm_cleared self_test confirm test".split()

# Analog quantity -> (name, unit of the last digit). Table 5 of the standard.
QUANTITIES: dict[int, tuple[str, float]] = {
    1: ("component_event_count", 1),
    2: ("height_m", 0.01),
    3: ("temperature_c", 0.1),
    4: ("pressure_mpa", 0.1),
    5: ("pressure_kpa", 0.1),
    6: ("gas_percent_lel", 0.1),
    7: ("time_s", 1),
    8: ("voltage_v", 0.1),
    9: ("current_a", 0.1),
    10: ("flow_l_s", 0.1),
    11: ("air_flow_m3_min", 0.1),
    12: ("wind_speed_m_s", 1),
}

Fields = dict[str, Any]


class Frame(Struct, frozen=True):
    """`time` is None when the six bytes are no date. `unit`: the application data as it came."""

    serial: int
    main_version: int
    user_version: int
    time: datetime | None
    source: int
    destination: int
    command: int
    unit: bytes


class Unit(Struct, frozen=True):
    """`error`: why objects are missing. `trailing`: bytes behind the declared objects, which some devices leave."""

    type: int
    count: int
    objects: list[Fields]
    error: str = ""
    trailing: int = 0


def cut(buffer: bytes, final: bool) -> Cut:
    """See devices.framing. Bytes up to the next mark are noise; a broken frame gives up one byte only."""
    if not buffer.startswith(MARK):
        return _noise(buffer)
    if len(buffer) < FRAME_BYTES_MIN:
        return Cut(0)
    length = buffer[24] | buffer[25] << 8
    if length > UNIT_BYTES_MAX:
        return Cut(1, reason="application data too long")
    total = FRAME_BYTES_MIN + length
    if len(buffer) < total:
        return Cut(0)
    frame = buffer[:total]
    if not frame.endswith(END):
        return Cut(1, reason="end mark missing")  # not the whole mark: "@@@" may hold the true one
    if sum8(frame[2:-3]) != frame[-3]:
        return Cut(1, frame=frame, reason="checksum wrong")
    return Cut(total, frame=frame)


def _noise(buffer: bytes) -> Cut:
    at = buffer.find(MARK)
    if at < 0:
        at = len(buffer) - buffer.endswith(MARK[:1])  # the last byte may be half a mark
    return Cut(at, reason="start mark missing")


def read_frame(frame: bytes, bcd_time: bool = False) -> Frame:
    """A frame as `cut` gave it (or the start of one, at least its header)."""
    _, serial, main, user, time, source, destination, _, command = HEADER.unpack_from(frame)
    return Frame(
        serial,
        main,
        user,
        read_time(time, bcd_time),
        int.from_bytes(source, "little"),
        int.from_bytes(destination, "little"),
        command,
        frame[HEADER.size : -3],
    )


def write_frame(frame: Frame, time: datetime) -> bytes:
    """The bytes of a frame; `time` in the device's wall clock."""
    head = HEADER.pack(
        MARK,
        frame.serial,
        frame.main_version,
        frame.user_version,
        write_time(time),
        frame.source.to_bytes(6, "little"),
        frame.destination.to_bytes(6, "little"),
        len(frame.unit),
        frame.command,
    )
    return head + frame.unit + bytes((sum8(head[2:] + frame.unit),)) + END


def read_time(raw: bytes, bcd: bool = False) -> datetime | None:
    """Six bytes, second first, as wall-clock time without a zone; None when that date does not exist."""
    second, minute, hour, day, month, year = map(_bcd, raw) if bcd else raw
    try:
        return datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001 - the wire has no zone
    except ValueError:
        return None


def write_time(at: datetime) -> bytes:
    year = min(max(at.year - 2000, 0), 255)  # a gateway without a clock battery starts in 1970
    return bytes((at.second, at.minute, at.hour, at.day, at.month, year))


def read_text(raw: bytes) -> str:
    """GB18030 up to the first NUL (devices leave garbage behind it); what cannot be read never drops an alarm."""
    return raw.partition(b"\0")[0].decode("gb18030", "replace").strip()


def flags(state: int, names: list[str]) -> list[str]:
    """Names of the set bits, lowest first; reserved bits have none."""
    return [name for bit, name in enumerate(names) if state >> bit & 1]


def read_unit(data: bytes, bcd_time: bool = False) -> Unit:
    """Application data of at least one byte. Never raises: what is short or unknown is said in `error`."""
    kind = data[0]
    if len(data) < 2:
        return Unit(kind, 0, [], "short")
    count = data[1]
    reader = READERS.get(kind)
    if reader is None:
        return Unit(kind, count, [], "unknown type")
    objects: list[Fields] = []
    at = 2
    for _ in range(count):
        taken = reader(data, at, objects, bcd_time)
        if not taken:
            return Unit(kind, count, objects, "short")
        at += taken
    return Unit(kind, count, objects, "", len(data) - at)


# --- objects: (data, offset, found, bcd) -> bytes taken, 0 when they do not suffice ---------------

Reader = Callable[[bytes, int, list[Fields], bool], int]

_COMPONENT = Packer("<3BI")
_COMPONENT_STATE = Packer("<3BIH31s6s")
_ANALOG = Packer("<3BIBh6s")
_SYSTEM_STATE = Packer("<2BH6s")
_QUERY_COMPONENT = Packer("<2BI")


def _bcd(byte: int) -> int:
    return (byte >> 4) * 10 + (byte & 15)


def _system_state(data: bytes, at: int, found: list[Fields], bcd: bool) -> int:
    if len(data) < at + 10:
        return 0
    system, address, state, time = _SYSTEM_STATE.unpack_from(data, at)
    found.append(
        {
            "system_type": system,
            "system_address": address,
            "status": state,
            "flags": flags(state, SYSTEM_STATE),
            "time": read_time(time, bcd),
        }
    )
    return 10


def _component_state(data: bytes, at: int, found: list[Fields], bcd: bool) -> int:
    if len(data) < at + 46:
        return 0
    system, address, kind, component, state, text, time = _COMPONENT_STATE.unpack_from(data, at)
    found.append(
        {
            "system_type": system,
            "system_address": address,
            "component_type": kind,
            "component_address": component,
            "zone": component >> 16,  # by convention: loop in the high half, point in the low one
            "position": component & 0xFFFF,
            "status": state,
            "flags": flags(state, COMPONENT_STATE),
            "description": read_text(text),
            "time": read_time(time, bcd),
        }
    )
    return 46


def _analog(data: bytes, at: int, found: list[Fields], bcd: bool) -> int:
    if len(data) < at + 16:
        return 0
    system, address, kind, component, quantity, raw, time = _ANALOG.unpack_from(data, at)
    name, digit = QUANTITIES.get(quantity, ("", 1))
    found.append(
        {
            "system_type": system,
            "system_address": address,
            "component_type": kind,
            "component_address": component,
            "analog_type": quantity,
            "raw_value": raw,
            "quantity": name,
            "value": round(raw * digit, 2),
            "time": read_time(time, bcd),
        }
    )
    return 16


def _operation(lead: int) -> Reader:
    """Operation record of the fire system (lead 2: its type and address) or of the transmission device (lead 0)."""

    def read(data: bytes, at: int, found: list[Fields], bcd: bool) -> int:
        if len(data) < at + lead + 8:
            return 0
        operation, operator = data[at + lead], data[at + lead + 1]
        found.append(
            {
                **_system(data, at, lead),
                "operation": operation,
                "flags": flags(operation, OPERATIONS),
                "operator": operator,
                "time": read_time(data[at + lead + 2 : at + lead + 8], bcd),
            }
        )
        return lead + 8

    return read


def _version(lead: int) -> Reader:
    def read(data: bytes, at: int, found: list[Fields], bcd: bool) -> int:
        if len(data) < at + lead + 2:
            return 0
        found.append({**_system(data, at, lead), "version": f"{data[at + lead]}.{data[at + lead + 1]}"})
        return lead + 2

    return read


def _configuration(lead: int) -> Reader:
    def read(data: bytes, at: int, found: list[Fields], bcd: bool) -> int:
        start = at + lead + 1
        if len(data) < start or len(data) < start + data[start - 1]:
            return 0
        length = data[start - 1]
        found.append({**_system(data, at, lead), "config": read_text(data[start : start + length])})
        return lead + 1 + length

    return read


def _component_configuration(data: bytes, at: int, found: list[Fields], bcd: bool) -> int:
    if len(data) < at + 38:
        return 0
    system, address, kind, component = _COMPONENT.unpack_from(data, at)
    found.append(
        {
            "system_type": system,
            "system_address": address,
            "component_type": kind,
            "component_address": component,
            "config": read_text(data[at + 7 : at + 38]),
        }
    )
    return 38


def _clock(lead: int) -> Reader:
    def read(data: bytes, at: int, found: list[Fields], bcd: bool) -> int:
        if len(data) < at + lead + 6:
            return 0
        found.append({**_system(data, at, lead), "time": read_time(data[at + lead : at + lead + 6], bcd)})
        return lead + 6

    return read


def _device_state(data: bytes, at: int, found: list[Fields], bcd: bool) -> int:
    if len(data) < at + 7:
        return 0
    state = data[at]
    found.append({"status": state, "flags": flags(state, DEVICE_STATE), "time": read_time(data[at + 1 : at + 7], bcd)})
    return 7


def _system(data: bytes, at: int, lead: int) -> Fields:
    return {"system_type": data[at], "system_address": data[at + 1]} if lead else {}


def _query_system(data: bytes, at: int, found: list[Fields], bcd: bool) -> int:
    if len(data) < at + 2:
        return 0
    found.append(_system(data, at, 2))
    return 2


def _query_component(data: bytes, at: int, found: list[Fields], bcd: bool) -> int:
    if len(data) < at + 6:
        return 0
    system, address, component = _QUERY_COMPONENT.unpack_from(data, at)
    found.append({"system_type": system, "system_address": address, "component_address": component})
    return 6


def _query_records(lead: int) -> Reader:
    def read(data: bytes, at: int, found: list[Fields], bcd: bool) -> int:
        if len(data) < at + lead + 7:
            return 0
        time = read_time(data[at + lead + 1 : at + lead + 7], bcd)
        found.append({**_system(data, at, lead), "record_count": data[at + lead], "start_time": time})
        return lead + 7

    return read


def _one_byte(name: str) -> Reader:
    def read(data: bytes, at: int, found: list[Fields], bcd: bool) -> int:
        if len(data) < at + 1:
            return 0
        found.append({name: data[at]})
        return 1

    return read


READERS: dict[int, Reader] = {
    1: _system_state,
    2: _component_state,
    3: _analog,
    4: _operation(2),
    5: _version(2),
    6: _configuration(2),
    7: _component_configuration,
    8: _clock(2),
    21: _device_state,
    24: _operation(0),
    25: _version(0),
    26: _configuration(0),
    28: _clock(0),
    **dict.fromkeys((61, 65, 66, 68), _query_system),
    **dict.fromkeys((62, 63, 67), _query_component),
    64: _query_records(2),
    84: _query_records(0),
    **dict.fromkeys((81, 85, 86, 88, 89), _one_byte("reserved")),
    90: _clock(0),
    91: _one_byte("timeout_minutes"),
}
