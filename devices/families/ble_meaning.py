"""What Bluetooth values, BTHome objects and Theengs properties mean in the dictionary. Tables."""

from typing import Any

from msgspec import Struct, field

from devices.dictionary import in_range
from devices.families import ble_bthome
from devices.families.ble_advert import Fields
from devices.families.ble_gatt import KPA_IN_MMHG

State = tuple[str, dict[str, str]]


class Meaning(Struct):
    """Alarms and states by (component, name); presses as (button, how)."""

    values: dict[str, float] = field(default_factory=dict)
    alarms: dict[tuple[str, str], bool] = field(default_factory=dict)
    states: dict[tuple[str, str], State] = field(default_factory=dict)
    presses: list[tuple[str, str]] = field(default_factory=list)

    def measure(self, metric: str, value: Any) -> None:
        """Kept when it is a number that the metric may have."""
        if isinstance(value, int | float) and not isinstance(value, bool) and in_range(metric, value):
            self.values[metric] = value

    def press(self, button: str, how: str, asks_for_help: bool) -> None:
        self.presses.append((button, how))
        if asks_for_help:
            self.alarms[("", "sos")] = True


# --- GATT -----------------------------------------------------------------------------------------

GATT_VALUES = {
    "battery_pct": "battery_percent",
    "spo2": "spo2_percent",
    "pulse_rate": "heart_rate_bpm",
    "humidity_pct": "humidity_percent",
    "weight_kg": "weight_kg",
}
PRESSURES = {"systolic": "systolic_mmhg", "diastolic": "diastolic_mmhg", "mean": "mean_arterial_mmhg"}


def of_gatt(fields: Fields) -> Meaning:
    found = Meaning()
    for name, metric in GATT_VALUES.items():
        found.measure(metric, fields.get(name))
    factor = KPA_IN_MMHG if fields.get("unit") == "kPa" else 1
    for name, metric in PRESSURES.items():
        if name in fields:
            found.measure(metric, round(fields[name] * factor, 1))
    if "temperature_c" in fields:  # a thermometer's has a unit; that of the surroundings has none
        found.measure("body_temperature_c" if "unit" in fields else "temperature_c", fields["temperature_c"])
    if "pressure_hpa" in fields:
        found.measure("pressure_kpa", fields["pressure_hpa"] / 10)
    contact = fields.get("contact")
    if contact in ("detected", "not_detected"):
        found.alarms[("", "off_wrist")] = contact == "not_detected"
    if contact != "not_detected":
        found.measure("heart_rate_bpm", fields.get("heart_rate", fields.get("pulse_rate")))
    if "location" in fields:
        found.states[("", "location")] = ("state", {"worn_at": fields["location"]})
    return found


# --- BTHome ---------------------------------------------------------------------------------------

# object id -> metric, factor
BTHOME_VALUES: dict[int, tuple[str, float]] = {
    0x01: ("battery_percent", 1),
    0x02: ("temperature_c", 1),
    0x45: ("temperature_c", 1),
    0x57: ("temperature_c", 1),
    0x58: ("temperature_c", 1),
    0x03: ("humidity_percent", 1),
    0x2E: ("humidity_percent", 1),
    0x04: ("pressure_kpa", 0.1),
    0x05: ("illuminance_lx", 1),
    0x06: ("weight_kg", 1),
    0x07: ("weight_kg", 0.453_592_37),
    0x0A: ("energy_kwh", 1),
    0x4D: ("energy_kwh", 1),
    0x0B: ("power_w", 1),
    0x5C: ("power_w", 1),
    0x0C: ("voltage_v", 1),
    0x4A: ("voltage_v", 1),
    0x0D: ("pm2_5_ug_m3", 1),
    0x0E: ("pm10_ug_m3", 1),
    0x12: ("co2_ppm", 1),
    0x13: ("voc_ug_m3", 1),
    0x14: ("soil_moisture_percent", 1),
    0x2F: ("soil_moisture_percent", 1),
    0x40: ("distance_m", 0.001),
    0x41: ("distance_m", 1),
    0x43: ("current_a", 1),
    0x5D: ("current_a", 1),
    0x46: ("uv_index", 1),
    0x5F: ("rainfall_mm", 1),
}
BTHOME_ALARMS = {
    0x15: "low_battery",
    0x17: "carbon_monoxide",
    0x1C: "gas",
    0x1D: "heat",
    0x20: "water_leak",
    0x26: "fault",
    0x29: "smoke",
    0x2B: "tamper",
}
SAFE, LOCK = 0x28, 0x1F
BTHOME_DOORS = frozenset({0x11, 0x1A, 0x1B, 0x2D})
BTHOME_MOVEMENTS = frozenset({0x21, 0x22, 0x23, 0x25})


def of_bthome(packet: ble_bthome.Packet, asks_for_help: bool) -> Meaning:
    found = Meaning()
    for one in packet.readings:
        component = str(one.instance) if one.instance > 1 else ""
        metric, factor = BTHOME_VALUES.get(one.id, ("", 1))
        if metric and not component:  # of several instances the first: which is which only the installer knows
            found.measure(metric, one.value * factor)
        elif one.id in BTHOME_ALARMS:
            found.alarms[(component, BTHOME_ALARMS[one.id])] = one.value
        elif one.id == SAFE:
            found.alarms[(component, "supervisory")] = not one.value
        elif one.id == LOCK:
            found.states[(component, one.name)] = ("unlocked" if one.value else "locked", {})
        elif one.id in BTHOME_DOORS:
            found.states[(component, one.name)] = ("door_opened" if one.value else "door_closed", {"what": one.name})
        elif one.id in BTHOME_MOVEMENTS:
            found.states[(component, one.name)] = ("motion", {"seen": "yes" if one.value else "no", "by": one.name})
        elif isinstance(one.value, bool):
            found.states[(component, one.name)] = ("state", {one.name: "on" if one.value else "off"})
    for happening in packet.happened:
        if happening.what:
            pressed = not happening.what.startswith("rotate") and happening.what != "hold_release"
            found.press(str(happening.instance), happening.what, asks_for_help and pressed)
    return found


# --- Theengs --------------------------------------------------------------------------------------

PROPERTIES: dict[str, tuple[str, float]] = {
    "tempc": ("temperature_c", 1),
    "hum": ("humidity_percent", 1),
    "batt": ("battery_percent", 1),
    "volt": ("voltage_v", 1),
    "pres": ("pressure_kpa", 0.1),
    "lux": ("illuminance_lx", 1),
    "bpm": ("heart_rate_bpm", 1),
    "co2": ("co2_ppm", 1),
    "pm25": ("pm2_5_ug_m3", 1),
    "pm10": ("pm10_ug_m3", 1),
    "moi": ("soil_moisture_percent", 1),
    "for": ("formaldehyde_mg_m3", 1),
}
PRESSES = {1: "single", 2: "double", 3: "triple", 9: "long", 10: "release", 11: "hold"}
RELEASED = 10


def of_properties(fields: Fields, asks_for_help: bool) -> Meaning:
    """Properties may come from a gateway: a value of another kind says nothing."""
    found = Meaning()
    for name, (metric, factor) in PROPERTIES.items():
        value = fields.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found.measure(metric, value * factor)
    opened, contact = fields.get("open"), fields.get("contact")
    if contact in ("open", "timeout not closed", "closed"):
        opened = contact != "closed"
        found.alarms[("", "door_held_open")] = contact == "timeout not closed"
    if isinstance(opened, bool):
        found.states[("", "open")] = ("door_opened" if opened else "door_closed", {})
    motion = fields.get("motion")
    if isinstance(motion, bool):
        found.states[("", "motion")] = ("motion", {"seen": "yes" if motion else "no"})
    for name in ("button", "button1", "button2", "button3", "button4"):
        press = fields.get(name)
        if isinstance(press, int) and not isinstance(press, bool) and press:
            how = PRESSES.get(press, str(press)[:20])
            found.press(name.removeprefix("button") or "1", how, asks_for_help and press != RELEASED)
    return found
