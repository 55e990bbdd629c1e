"""What the vendors' names of LoRaWAN payloads mean in the dictionary. Tables; the codecs give the names.

A measurement of one line, region or channel carries that as its component (`line_1`, `chn2`). What no table names stays
a word of the vendor's: told as a `state` event when it changes.
"""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from devices.dictionary import in_range
from devices.families.lorawan_tlv import Fields

# vendor's name -> metric, factor
VALUES: dict[str, tuple[str, float]] = {
    "battery": ("battery_percent", 1),
    "battery_main": ("battery_percent", 1),
    "temperature": ("temperature_c", 1),
    "temperature_c": ("temperature_c", 1),
    "Temp": ("temperature_c", 1),
    "humidity": ("humidity_percent", 1),
    "moisture": ("soil_moisture_percent", 1),
    "co2": ("co2_ppm", 1),
    "nh3": ("nh3_ppm", 1),
    "h2s": ("h2s_ppm", 1),
    "hcho": ("formaldehyde_mg_m3", 1),
    "pm2_5": ("pm2_5_ug_m3", 1),
    "pm10": ("pm10_ug_m3", 1),
    "pressure": ("pressure_kpa", 0.1),
    "illuminance": ("illuminance_lx", 1),
    "illumination": ("illuminance_lx", 1),
    "Illuminance": ("illuminance_lx", 1),
    "distance": ("distance_m", 0.001),
    "depth": ("height_m", 0.01),
    "wind_speed": ("wind_speed_m_s", 1),
    "wind_direction": ("wind_direction_deg", 1),
    "rainfall_total": ("rainfall_mm", 1),
    "concentration": ("smoke_percent", 1),
    "voltage": ("voltage_v", 1),
    "Volt": ("voltage_v", 1),
    "BAT_V": ("voltage_v", 1),
    "current": ("current_a", 1),
    "active_power": ("power_w", 1),
    "power_consumption": ("energy_kwh", 0.001),
    "people_count_all": ("people_count", 1),
    "count": ("people_count", 1),
    "people_total_in": ("people_in", 1),
    "people_total_out": ("people_out", 1),
    "total_in": ("people_in", 1),
    "total_out": ("people_out", 1),
    "total_counter_in": ("people_in", 1),
    "total_counter_out": ("people_out", 1),
}
# Models that use a name for another unit.
VALUES_OF: dict[str, dict[str, tuple[str, float]]] = {
    "milesight/em500-pp": {"pressure": ("pressure_kpa", 1)},
    **{
        f"milesight/{socket}": {"current": ("current_a", 0.001), "total_current": ("current_a", 0.001)}
        for socket in ("ws513", "ws515", "ws522", "ws523", "ws525", "ws558")
    },
    **{
        f"milesight/{valves}": dict.fromkeys(("pressure", "pressure_1", "pressure_2"), ("pressure_kpa", 1.0))
        for valves in ("uc511", "uc512", "uc521")
    },
}
PLACE = re.compile(r"(?:(?P<place>(?:line|region)_\d+)_)?(?P<name>.+?)(?:_(?P<channel>chn\d))?")

Told = dict[Any, tuple[tuple[str, bool], ...]]  # value -> alarm kinds and whether they are raised by it


def _alarm(kind: str, raised: Any, cleared: Any) -> Told:
    return {raised: ((kind, True),), cleared: ((kind, False),)}


SMOKE_OVER = (("smoke", False), ("fault", False), ("low_battery", False))
ALARMS: dict[str, Told] = {
    "FireAlarm": _alarm("smoke", "Alarm", "No Alarm"),
    "HighTempAlarm": _alarm("heat", "Alarm", "No Alarm"),
    "WaterLeak": _alarm("water_leak", "Leak", "NoLeak"),
    "WATER_LEAK_STATUS": _alarm("water_leak", 1, 0),
    "leakage_status": _alarm("water_leak", "leak", "normal"),
    "gas_status": _alarm("gas", "alarm", "normal"),
    "DisassembledAlarm": _alarm("tamper", 1, 0),
    "disassembly_alarm": {"device_abnormal_movement": (("tamper", True),)},
    "Alarm": {1: (("sos", True),)},  # of an emergency button; people clear it
    "ALARM": _alarm("supervisory", 1, 0),
    "position": _alarm("supervisory", "tilt", "normal"),
    "tilt_status": _alarm("supervisory", "tilt", "normal"),
    "tamper_status": {
        **_alarm("tamper", "uninstalled", "installed"),
        **_alarm("tamper", "uninstall", "install"),
    },
    **{f"threshold_{axis}": _alarm("supervisory", "trigger", "normal") for axis in "xyz"},
    "liquid": {
        "critical liquid level alert": (("supervisory", True),),
        "full": (("supervisory", False),),
        "error": (("fault", True),),
    },
    "alarm": {
        "power off": (("power_fault", True),),
        "power on": (("power_fault", False),),
        "device fault": (("fault", True),),
        "device fault recovered": (("fault", False),),
        "device will be invalid soon": (("fault", True),),
        "device invalid": (("fault", True),),
    },
    "event": {
        "alarm": (("smoke", True),),
        "silent": (("smoke", True),),  # muted by hand, still smoke
        "low battery": (("low_battery", True),),
        "failover": (("fault", True),),
        "normal": SMOKE_OVER,
        "removed": (("tamper", True),),
        "installed": (("tamper", False),),
    },
}
SUPERVISED = frozenset({"position", "tilt_status", "liquid", "threshold_x", "threshold_y", "threshold_z"})
SENSOR_FAULTS = frozenset({"read error", "out of range", "device error", "read failed", "over range alarm"})
SENSOR_FAULTS |= {"collection_failed", "over_range", "under_range"}
THRESHOLD = re.compile(r"(?P<what>.+)_alarm")
RELEASED = ("release", "normal", "alarm_released")

TG563A_ALARMS = {"smoke_alarm": "smoke", "low_battery": "low_battery"}
TG563A_FAULTS = ("chamber_fault", "fouling", "ultrasonic", "ir", "buzzer")
TG563A_SUPERVISED = ("obstacle", "inlet_covered", "temperature_out_of_range")

# States: vendor's name -> (value -> event kind and attributes).
State = tuple[str, dict[str, str]]
DOORS: dict[str, dict[Any, State]] = {
    name: {opened: ("door_opened", {}), closed: ("door_closed", {})}
    for name, opened, closed in (
        ("magnet_status", "open", "close"),
        ("magnet", "open", "close"),
        ("OnOff", 1, 0),
        ("DOOR_OPEN_STATUS", 1, 0),
    )
}
MOVEMENTS: dict[str, dict[Any, State]] = {
    name: {seen: ("motion", {"seen": "yes"}), unseen: ("motion", {"seen": "no"})}
    for name, seen, unseen in (("pir", "trigger", "idle"), ("occupancy", "occupied", "vacant"), ("Occupy", 1, 0))
}
MOVEMENTS["pir"]["normal"] = ("motion", {"seen": "no"})
STATES = DOORS | MOVEMENTS
HAPPENED = {
    "testing alarm with normal battery": "self_test",
    "testing alarm with low battery": "self_test",
}
UNTOLD = frozenset({"history", "wifi", "rest_hex", "error", "sn", "mac"})


class Meaning(Struct):
    """`values` by component; alarms and states by (component, name); `happened` is told each time."""

    values: dict[str, dict[str, float]]
    alarms: dict[tuple[str, str], bool]
    states: dict[tuple[str, str], State]
    happened: list[State]


def read(codec: str, fields: Fields, sos_presses: frozenset[str]) -> Meaning:
    """`sos_presses`: the presses of a plain button that ask for help."""
    found = Meaning({}, {}, {}, [])
    for name, value in _flat(fields):
        _read_one(found, codec, name, value)
    if "button_event" in fields:
        press = fields["button_event"]["status"]
        found.happened.append(("button", {"press": press}))
        if press in sos_presses:
            found.alarms[("", "sos")] = True
    if codec == "tg563a":
        found.alarms |= _tg563a(fields)
    return found


def measured(codec: str, fields: Fields) -> dict[str, dict[str, float]]:
    """Values alone, by component: of a reading that the device kept."""
    found = Meaning({}, {}, {}, [])
    for name, value in fields.items():
        _read_value(found, codec, name, value)
    return found.values


def _flat(fields: Fields) -> Iterator[tuple[str, Any]]:
    """Fields, and those of the `event` entries that some models make."""
    for name, value in fields.items():
        if name == "event" and isinstance(value, list):
            for entry in value:
                yield from entry.items()
        else:
            yield name, value


def _read_one(found: Meaning, codec: str, name: str, value: Any) -> None:
    place, plain = _place(name)
    if isinstance(value, str) and value in HAPPENED:
        found.happened.append((HAPPENED[value], {"says": value}))
    elif plain == "Volt" and isinstance(value, str):
        found.alarms[(place, "low_battery")] = True
        _read_value(found, codec, name, float(value.removesuffix("(low battery)")))
    elif plain in ALARMS and isinstance(value, str | int) and value in ALARMS[plain]:
        found.alarms |= {(_component(place, plain), kind): raised for kind, raised in ALARMS[plain][value]}
    elif plain in STATES and isinstance(value, str | int) and value in STATES[plain]:
        found.states[(place, plain)] = STATES[plain][value]
    elif isinstance(value, dict) and name.endswith("_alarm"):
        found.alarms[(name.removesuffix("_alarm"), "supervisory")] = "yes" in (
            word for flag, word in value.items() if flag.endswith("_alarm")
        )
    elif isinstance(value, str):
        _read_word(found, place, plain, value)
    else:
        _read_value(found, codec, name, value)
        if plain == "Volt":
            found.alarms[(place, "low_battery")] = False


def _read_value(found: Meaning, codec: str, name: str, value: Any) -> None:
    place, plain = _place(name)
    metric, factor = VALUES_OF.get(codec, {}).get(plain) or VALUES.get(plain) or ("", 1)
    if metric and isinstance(value, int | float) and in_range(metric, value * factor):
        found.values.setdefault(place, {})[metric] = value * factor


def _read_word(found: Meaning, place: str, plain: str, value: str) -> None:
    threshold = THRESHOLD.fullmatch(plain)
    if threshold:
        what = f"{place}.{threshold['what']}" if place else threshold["what"]
        found.alarms[(what, "supervisory")] = not value.endswith(RELEASED)
    elif plain.endswith("_sensor_status"):
        found.alarms[(plain.removesuffix("_sensor_status"), "fault")] = value in SENSOR_FAULTS
    elif plain not in UNTOLD:
        found.states[(place, plain)] = ("state", {plain: value})


def _tg563a(fields: Fields) -> dict[tuple[str, str], bool]:
    """The status bits, and the message that says why it was sent."""
    said = {*fields.get("status", ()), fields.get("message_type", "")}
    if "status" not in fields:
        return {}
    found = {("", kind): name in said for name, kind in TG563A_ALARMS.items()}
    found |= {(name, "fault"): name in said for name in TG563A_FAULTS}
    found |= {(name, "supervisory"): name in said for name in TG563A_SUPERVISED}
    return found | {("", "tamper"): "mounted" not in said}


def _place(name: str) -> tuple[str, str]:
    found = PLACE.fullmatch(name)
    assert found is not None, "every name has a plain part"
    return found["place"] or found["channel"] or "", found["name"]


def _component(place: str, plain: str) -> str:
    """Supervised conditions of one device are told apart by what they are about."""
    return place or (plain if plain in SUPERVISED else "")
