"""What a transmission device of GB/T 26875.3-2011 can be asked: application data of commands 1 (control), 4 (request).

    the device itself     81 state  85 version  86 configuration  88 time  89 initialise      type | 1 | 00
                          84 operation records             type | 1 | count 1 | since 6
                          90 set the clock                 type | 1 | time 6
                          91 duty check                    type | 1 | minutes 1
    a system              61 state  65 version  66 configuration  68 time    type | 1 | system type 1 | address 1
                          64 operation records       type | 1 | system type 1 | address 1 | count 1 | since 6
    a component           62 state  63 value  67 configuration
                                             type | 1 | system type 1 | address 1 | component address 4 (little endian)

Clauses 8.2 and 8.3 (downward types). People name systems and components as our observations do: "1-3" is system 3 of
type 1, "1-3-0x00000012" a component of it, nothing the transmission device itself.

What the device says to it: a denial (command 6) is refused; a confirmation (3) is accepted; the response (5) with what
was asked for is confirmed. A duty check is confirmed by the operation record of the person who pressed the key, a clock
by the first frame that shows the right time.
"""

import re
from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from devices.asked import ANSWER_S_MAX, check_args, whole
from devices.families import gbt26875_wire as wire
from devices.families.gbt26875_wire import Fields
from devices.family import CommandKind, CommandRefused, DeviceCommand
from devices.local_time import LocalClock, read_iso

OF = {"of": 'a system such as "1-3" or a component such as "1-3-0x00000012"; empty: the device itself'}
NAMED = re.compile(r"(\d{1,3})-(\d{1,3})(?:-(0x[0-9a-f]{1,8}|\d{1,10}))?", re.ASCII | re.IGNORECASE)
RECORDS_MAX, DUTY_MINUTES_MAX = 100, 60

COMMANDS = (
    CommandKind(name="read_state", meaning="have the state told", args=OF),
    CommandKind(name="read_value", meaning="have the measured value of a component told", args=OF),
    CommandKind(name="read_version", meaning="have the software version told", args=OF),
    CommandKind(name="read_configuration", meaning="have the configuration told", args=OF),
    CommandKind(name="read_time", meaning="have the clock told", args=OF),
    CommandKind(
        name="read_records",
        meaning="have what was done at the panel told",
        args={**OF, "count": f"1 to {RECORDS_MAX}", "since": "ISO 8601, local time of the site without a zone"},
    ),
    CommandKind(name="set_time", meaning="set the clock to the gateway's"),
    CommandKind(name="initialise", meaning="restart the transmission device with its initial state"),
    CommandKind(
        name="duty_check",
        meaning="ask whoever is on duty to press the key",
        args={"minutes": f"how long they may take, 1 to {DUTY_MINUTES_MAX}"},
    ),
)
KINDS = {kind.name: kind for kind in COMMANDS}

# action -> types to ask (the device itself, a system, a component; 0: cannot be asked) and the types that answer it
READS: dict[str, tuple[tuple[int, int, int], frozenset[int]]] = {
    "read_state": ((81, 61, 62), frozenset({1, 2, 21})),
    "read_value": ((0, 0, 63), frozenset({3})),
    "read_version": ((85, 65, 0), frozenset({5, 25})),
    "read_configuration": ((86, 66, 67), frozenset({6, 7, 26})),
    "read_time": ((88, 68, 0), frozenset({8, 28})),
    "read_records": ((84, 64, 0), frozenset({4, 24})),
}
SET_TIME, DUTY_CHECK = "set_time", "duty_check"
CONFIRMED_LATER = frozenset({SET_TIME, DUTY_CHECK})
SET_CLOCK, INITIALISE, CHECK_DUTY = 90, 89, 91


class Request(Struct, frozen=True):
    """What to send, and for how long an answer counts."""

    command: int
    unit: bytes
    patience_s: float = ANSWER_S_MAX


def request(command: DeviceCommand, now: datetime, clock: LocalClock) -> Request:
    """Raises CommandRefused."""
    check_args(KINDS, command)
    args = command.args
    if command.action in READS:
        return Request(wire.REQUEST, _read(command.action, args, clock))
    if command.action == SET_TIME:
        return Request(wire.CONTROL, set_clock(clock.local(now)))
    if command.action == DUTY_CHECK:
        minutes = whole(args, "minutes", 1, DUTY_MINUTES_MAX)
        unit = write_unit(CHECK_DUTY, {"timeout_minutes": minutes})
        return Request(wire.CONTROL, unit, ANSWER_S_MAX + 60.0 * minutes)
    return Request(wire.CONTROL, write_unit(INITIALISE, {"reserved": 0}))


def set_clock(local: datetime) -> bytes:
    return write_unit(SET_CLOCK, {"time": local})


def write_unit(kind: int, *objects: Fields) -> bytes:
    """Application data of a downward type; the fields are those that gbt26875_wire.read_unit gives."""
    return bytes((kind, len(objects))) + b"".join(map(_written, objects))


def _written(fields: Fields) -> bytes:
    system = [fields[name] for name in ("system_type", "system_address") if name in fields]
    component = fields["component_address"].to_bytes(4, "little") if "component_address" in fields else b""
    single = [fields[name] for name in ("record_count", "reserved", "timeout_minutes") if name in fields]
    times = [wire.write_time(fields[name]) for name in ("start_time", "time") if name in fields]
    return bytes(system) + component + bytes(single) + b"".join(times)


def _read(action: str, args: Mapping[str, str], clock: LocalClock) -> bytes:
    asked = _named(args.get("of", ""))
    depth = len(asked) and len(asked) - 1  # nothing, a system's two fields, a component's three
    kind = READS[action][0][depth]
    if not kind:
        raise CommandRefused(f"{action} cannot be asked of {('the device itself', 'a system', 'a component')[depth]}")
    if action == "read_records":
        since = read_iso(args.get("since", ""), clock)
        if since is None:
            raise CommandRefused(f"since: {args.get('since', '')!r} is no time such as 2026-11-24T20:00:00")
        asked |= {"record_count": whole(args, "count", 1, RECORDS_MAX, 10), "start_time": clock.local(since)}
    return write_unit(kind, asked or {"reserved": 0})


def _named(of: str) -> Fields:
    """The fields that name a system or a component; none for the device itself."""
    if not of:
        return {}
    named = NAMED.fullmatch(of)
    if named is not None:
        system, component = (int(named[1]), int(named[2])), _number(named[3] or "0")
        if max(system) <= 0xFF and component <= 0xFFFFFFFF:
            found: Fields = {"system_type": system[0], "system_address": system[1]}
            return found | ({"component_address": component} if named[3] else {})
    raise CommandRefused(f"of: {of!r} is no system such as 1-3 and no component such as 1-3-0x00000012")


def _number(text: str) -> int:
    return int(text, 16) if text[:2].lower() == "0x" else int(text)
