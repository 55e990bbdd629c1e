"""The payloads of Milesight sensors (fPort 85): how they are read. The models stand in lorawan_milesight.py.

    { channel 1 | type 1 | value }*                  little-endian, no length: the model says how long a value is

A pair that the model does not have ends the reading: what was read is kept, the rest is given as `rest_hex`. The same
pair means other things in other models (03 00 is a door, a movement or an input), so the model must be known.

A line of a table is `pair fields`, a field `name:format/divisor=words`. The format is one of struct's (B b H h I i f e)
or one of SPECIAL; `words` names a list of WORDS, counted from 0. Fields behind `@name` make one entry of the list
`name`; those behind `+@name` that are plain measurements (no underscore) are values of the device as well.
"""

from collections.abc import Callable, Iterator
from struct import calcsize, unpack_from
from typing import Any

from msgspec import Struct

Fields = dict[str, Any]

WORDS: dict[str, dict[int, str]] = {
    name: dict(enumerate(text.split(",")))
    for name, text in {
        "onoff": "off,on",
        "class": "Class A,Class B,Class C,Class CtoB",
        "pir": "idle,trigger",
        "motion": "normal,trigger",
        "light": "dim,bright",
        "magnet": "close,open",
        "level": "low,high",
        "gpioalarm": "gpio alarm release,gpio alarm",
        "wateralarm": "unknown,water outage timeout alarm,water outage timeout alarm release,"
        "water flow timeout alarm,water flow timeout alarm release",
        "underscored": "threshold_alarm_release,threshold_alarm",
        "analog": "unknown,threshold alarm,value change alarm",
        "overheat": "threshold alarm release,threshold alarm,overheat alarm",
        "roomreport": "temperature threshold alarm release,temperature threshold alarm,pir idle,pir trigger,period",
        "unit": "celsius,fahrenheit",
        "blind": "blind alarm release,blind alarm,no target,sensor exception",
        "probefault": "collection_failed,over_range,under_range",
        "removed": "installed,uninstalled",
        "leak": "normal,leak",
        "occupied": "vacant,occupied",
        "tilt": "normal,tilt",
        "alarm": "threshold alarm release,threshold alarm,mutation alarm",
        "hot": "threshold alarm release,threshold alarm,unknown,high temperature alarm,high temperature alarm release",
        "hotter": "temperature threshold alarm release,temperature threshold alarm",
        "abnormal": "normal,abnormal",
        "moved": "unknown,device_abnormal_movement",
        "pair": "counting_anomaly,node_device_without_response,devices_misaligned",
        "release": "alarm_release,alarm",
        "gas": "normal,alarm",
        "gasevent": "power off,power on,device fault,device fault recovered,device will be invalid soon,device invalid",
        "liquid": "uncalibrated,full,critical liquid level alert",
        "liquidalarm": "critical liquid level alarm release,critical liquid level alarm",
        "calibration": "failed,success",
        "sensor": "read error,out of range",
        "install": "install,uninstall",
        "occlusion": "alarm_released,alarm_triggered",
        "press": "unknown,short press,long press,double press",
    }.items()
}
WORDS["liquid"][0xFF] = "error"
_LIMITS = ("above", "below", "between", "outside")
WORDS["channelalarm"] = dict(
    enumerate([*(f"{limit}_threshold_alarm{end}" for limit in _LIMITS for end in ("", "_release")), "mutation_alarm"])
)
WORDS["brightness"] = WORDS["light"] | {0xFE: "disable"}
MOVING = {0: "unknown", 1: "start", 2: "moving", 3: "stop"}
GEOFENCE = {0: "inside", 1: "outside", 2: "unset", 3: "unknown"}


class Field(Struct, frozen=True):
    name: str
    format: str
    divisor: float
    words: dict[int, str] | None


class Item(Struct, frozen=True):
    """What follows one pair. `entry` names the list that the fields make an entry of; `both`: and values as well."""

    fields: tuple[Field, ...]
    entry: str = ""
    both: bool = False


Taken = tuple[int, Fields] | None  # None when bytes are missing
Reader = Callable[[bytes], Taken]
Table = dict[int, Item | Reader]


def _item(text: str) -> Item:
    first, *others = text.split()
    entry = first.partition("@")[2] if "@" in first else ""
    fields = tuple(_field(word) for word in (others if entry else (first, *others)))
    return Item(fields, entry, first.startswith("+@"))


def _field(text: str) -> Field:
    head, _, words = text.partition("=")
    name, _, rest = head.partition(":")
    format_, _, divisor = rest.partition("/")
    return Field(name, format_, float(divisor or 1), WORDS[words] if words else None)


def table(text: str, **readers: Reader) -> Table:
    """`readers` are called after their pair: _08DB for 08 DB."""
    found: Table = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        pair, _, fields = line.partition(" ")
        found[int(pair, 16)] = _item(fields)
    return found | {int(name[1:], 16): reader for name, reader in readers.items()}


# --- values that are no plain numbers -------------------------------------------------------------


def _version(raw: bytes) -> str:
    return f"v{raw[0]:x}.{raw[1] >> 4}"


SPECIAL: dict[str, tuple[int, Callable[[bytes], Any]]] = {
    "ipso": (1, lambda raw: f"v{raw[0] >> 4}.{raw[0] & 15}"),
    "hardware": (2, _version),
    "firmware": (2, lambda raw: f"v{raw[0]:x}.{raw[1]:x}"),
    "dotted": (4, lambda raw: ".".join(map(str, raw))),
    "v-dotted": (4, lambda raw: "v" + ".".join(map(str, raw))),
    "v-plain": (2, lambda raw: "v" + ".".join(map(str, raw))),
    "plain": (2, lambda raw: ".".join(map(str, raw))),
    "tsl": (2, lambda raw: f"v{raw[0]}.{raw[1]}"),
    "serial6": (6, bytes.hex),
    "serial8": (8, bytes.hex),
    "on": (1, lambda _: "on"),
    "reset": (1, lambda _: "reset"),
    "skip": (1, lambda _: None),
}


def _read(fields: tuple[Field, ...], data: bytes) -> tuple[int, Fields] | None:
    at, found = 0, Fields()
    for field in fields:
        size, special = SPECIAL.get(field.format, (0, None))
        size = size or calcsize(field.format)
        if at + size > len(data):
            return None
        value = special(data[at : at + size]) if special else unpack_from("<" + field.format, data, at)[0]
        at += size
        if field.words is not None:
            value = field.words.get(value, "unknown")
        elif field.divisor != 1:
            value /= field.divisor
        if value is not None:
            found[field.name] = value
    return at, found


def bits(pair_fields: dict[str, tuple[int, str]]) -> Reader:
    """One byte of flags: name -> (bit, words)."""

    def read(data: bytes) -> tuple[int, Fields] | None:
        if not data:
            return None
        return 1, {name: WORDS_OF_BITS[words][data[0] >> bit & 1] for name, (bit, words) in pair_fields.items()}

    return read


WORDS_OF_BITS = {"onoff": ("off", "on"), "yes": ("no", "yes")}


def switches(data: bytes) -> tuple[int, Fields] | None:
    return bits(
        {f"switch_{key}": (key - 1, "onoff") for key in (1, 2, 3)}
        | {f"switch_{key}_change": (key + 3, "yes") for key in (1, 2, 3)}
    )(data)


def button(data: bytes) -> tuple[int, Fields] | None:
    return (1, {"button_event": {"status": WORDS["press"].get(data[0], "unknown")}}) if data else None


def daylight(data: bytes) -> tuple[int, Fields] | None:
    return (1, {"daylight": WORDS["light"].get(data[0], "unknown"), "daylight_raw": data[0]}) if data else None


def tilt(data: bytes) -> tuple[int, Fields] | None:
    if len(data) < 7:
        return None
    angles = unpack_from("<hhh", data)
    found: Fields = {f"angle_{axis}": angle / 100 for axis, angle in zip("xyz", angles, strict=True)}
    states = WORDS["motion"]
    return 7, found | {f"threshold_{axis}": states[data[6] >> bit & 1] for bit, axis in enumerate("xyz")}


def tilt_flagged(data: bytes) -> tuple[int, Fields] | None:
    """The lowest bit of each angle says whether its limit was crossed."""
    if len(data) < 6:
        return None
    raw = dict(zip("xyz", unpack_from("<hhh", data), strict=True))
    found: Fields = {f"angle_{axis}": (angle >> 1) / 100 for axis, angle in raw.items()}
    return 6, found | {f"threshold_{axis}": WORDS["motion"][angle & 1] for axis, angle in raw.items()}


def _moved(status: int) -> Fields:
    if status & 15 in (4, 5):
        return {"tilt_status": WORDS["tilt"][status - 4 & 1]}
    return {"motion_status": MOVING.get(status & 15, "unknown")}


def wifi(data: bytes) -> tuple[int, Fields] | None:
    if len(data) < 9:
        return None
    moved = _moved(data[8])
    if data[1:7] == b"\xff" * 6:
        return 9, moved | {"wifi_scan_result": "timeout"}
    rssi = data[7] - 256 if data[7] > 127 else data[7]
    seen = {"group": data[0], "mac": data[1:7].hex(":"), "rssi": rssi} | moved
    return 9, moved | {"wifi_scan_result": "finish", "@wifi": seen}


def location(data: bytes) -> tuple[int, Fields] | None:
    if len(data) < 9:
        return None
    latitude, longitude, status = unpack_from("<iiB", data)
    found = {"latitude": latitude / 1e6, "longitude": longitude / 1e6} | _moved(status)
    return 9, found | {"geofence_status": GEOFENCE.get(status >> 4, "unknown")}


def regions(data: bytes) -> tuple[int, Fields] | None:
    if len(data) < 4:
        return None
    people, count, states = unpack_from(">BBH", data)
    regions = {f"region_{number + 1}": states >> number & 1 for number in range(min(count, 16))}
    return 4, {"people_count_all": people, "region_count": count} | regions


def serial_6_or_8(data: bytes) -> tuple[int, Fields] | None:
    """Eight bytes in newer firmware; a serial number never has an FF, the next pair begins with one."""
    long = len(data) >= 8 and data[6] != 0xFF and data[8:9] in (b"", b"\xff")
    size = 8 if long else 6
    return (size, {"sn": data[:size].hex()}) if len(data) >= size else None


def dwell(child: str) -> Reader:
    def read(data: bytes) -> tuple[int, Fields] | None:
        if len(data) < 5:
            return None
        region, average, longest = unpack_from("<BHH", data)
        name = f"region_{region}{child}"
        return 5, {f"{name}_avg_dwell": average, f"{name}_max_dwell": longest}

    return read


def people_history(data: bytes) -> tuple[int, Fields] | None:
    """Type 0 has the counters of the period, type 1 the totals as well."""
    names = ["period_in", "period_out", "total_in", "total_out"][: 4 if data[4:5] == b"\x01" else 2]
    size = 5 + 2 * len(names)
    if len(data) < size or data[4] > 1:
        return None
    counts = unpack_from(f"<{len(names)}H", data, 5)
    entry = {"timestamp": int.from_bytes(data[:4], "little")} | dict(zip(names, counts, strict=True))
    return size, {"@history": entry}


def current_alarm(name: str, divisor: int) -> Reader:
    """Extremes, the value, and flags that say which limit was crossed."""

    def read(data: bytes) -> tuple[int, Fields] | None:
        if len(data) < 7:
            return None
        highest, lowest, current, flags = unpack_from("<HHHB", data)
        kinds = ("threshold_alarm", "threshold_alarm_release", "over_range_alarm", "over_range_alarm_release")
        alarm = {f"current_{kind}": WORDS_OF_BITS["yes"][flags >> bit & 1] for bit, kind in enumerate(kinds)}
        values = {f"{name}_max": highest / divisor, f"{name}_min": lowest / divisor, name: current / divisor}
        return 7, values | {f"{name}_alarm": alarm}

    return read


def text_36(data: bytes) -> tuple[int, Fields] | None:
    if len(data) < 37:
        return None
    return 37, {f"sdi12_{data[0] + 1}": data[1:37].split(b"\0")[0].decode("ascii", "replace")}


def modbus(with_alarm: bool) -> Reader:
    formats = {0: "B", 1: "B", 2: "H", 3: "H", 4: "I", 6: "I", 5: "f", 7: "f"}

    def read(data: bytes) -> tuple[int, Fields] | None:
        format_ = formats[data[1] & 7] if len(data) > 1 else "B"
        size = 2 + calcsize(format_)
        if len(data) < size + with_alarm:
            return None
        name = f"modbus_chn_{data[0] - 6}"
        value = unpack_from("<" + format_, data, 2)[0]
        found: Fields = {name: WORDS_OF_BITS["onoff"][value & 1] if format_ == "B" else value}
        if with_alarm:
            alarms = {1: "threshold alarm", 2: "value change alarm"}
            found[f"{name}_alarm"] = alarms.get(data[size], "unknown")
        return size + with_alarm, found

    return read


def read(table: Table, data: bytes) -> Fields:
    """The values of a payload by the vendor's names; `rest_hex` is what could not be read."""
    found = Fields()
    at = 0
    while at + 2 <= len(data):
        pair = int.from_bytes(data[at : at + 2])
        item = table.get(pair)
        taken = _take(item, data[at + 2 :]) if item else None
        if taken is None:
            break
        at += 2 + taken[0]
        for name, value in taken[1]:
            _add(found, name, value)
    return found | ({"rest_hex": data[at:].hex().upper()} if at < len(data) else {})


def _take(item: Item | Reader, data: bytes) -> tuple[int, list[tuple[str, Any]]] | None:
    if not isinstance(item, Item):
        taken = item(data)
        return taken and (taken[0], list(taken[1].items()))
    taken = _read(item.fields, data)
    return taken and (taken[0], list(_placed(item, taken[1])))


def _placed(item: Item, values: Fields) -> Iterator[tuple[str, Any]]:
    if item.entry:
        yield f"@{item.entry}", values
    if item.both or not item.entry:
        yield from ((name, value) for name, value in values.items() if not item.both or "_" not in name)


def _add(found: Fields, name: str, value: Any) -> None:
    if name.startswith("@"):
        found.setdefault(name[1:], []).append(value)
    else:
        found[name] = value
