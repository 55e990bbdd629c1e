"""Values of Bluetooth GATT characteristics: heart rate, thermometer, oximeter, blood pressure, battery, climate.

Layouts: Bluetooth SIG, "GATT Specification Supplement". Numbers: IEEE 11073-20601, little-endian, two's complement:

    SFLOAT 16    exponent 4 | mantissa 12        value = mantissa x 10^exponent
    FLOAT  32    exponent 8 | mantissa 24

The special mantissas (not a number, no resolution, infinities) are looked for before the sign is. Readers give a dict
of what was measured, or {"error": ...}; they never raise.
"""

from collections.abc import Callable
from math import isfinite
from struct import unpack_from
from typing import Any

Fields = dict[str, Any]

TOO_SHORT: Fields = {"error": "too_short"}
SPECIAL_16 = {0x7FF: "nan", 0x800: "nres", 0x7FE: "+inf", 0x802: "-inf", 0x801: "reserved"}
SPECIAL_32 = {0x7FFFFF: "nan", 0x800000: "nres", 0x7FFFFE: "+inf", 0x800002: "-inf", 0x800001: "reserved"}
BODY_LOCATIONS = dict(enumerate(("other", "chest", "wrist", "finger", "hand", "ear_lobe", "foot")))
THERMOMETER_SITES = dict(
    enumerate(("armpit", "body", "ear", "finger", "gastrointestinal", "mouth", "rectum", "toe", "tympanum"), 1)
)
KPA_IN_MMHG = 7.500_617
POUND_IN_KG = 0.453_592_37


def medical_float(data: bytes, bits: int) -> Fields:
    """SFLOAT (`bits` 12) or FLOAT (24): {"value", "precision_text"} or {"special"}."""
    size = 2 if bits == 12 else 4
    if len(data) < size:
        return TOO_SHORT
    word = int.from_bytes(data[:size], "little")
    mantissa, exponent = word & (1 << bits) - 1, word >> bits
    special = (SPECIAL_16 if bits == 12 else SPECIAL_32).get(mantissa)
    if special:
        return {"special": special}
    mantissa -= mantissa >> bits - 1 << bits
    width = size * 8 - bits
    exponent -= exponent >> width - 1 << width
    value = mantissa * 10.0**exponent if exponent >= 0 else mantissa / 10.0**-exponent
    return {"value": value, "precision_text": _precise(mantissa, exponent)}


def _precise(mantissa: int, exponent: int) -> str:
    """With as many digits as the sender vouches for."""
    if exponent >= 0:
        return f"{mantissa}{'0' * exponent}"
    digits = f"{abs(mantissa):0{1 - exponent}d}"
    return f"{'-' if mantissa < 0 else ''}{digits[:exponent]}.{digits[exponent:]}"


def _sfloat(data: bytes, at: int) -> float | None:
    """None for a special value."""
    value = medical_float(data[at : at + 2], 12).get("value")
    return value if value is not None and isfinite(value) else None


def _time(data: bytes, at: int) -> str | None:
    """Seven bytes of the device's own wall clock as ISO 8601 without zone; None when it was never set."""
    year, month, day, hour, minute, second = unpack_from("<HBBBBB", data, at)
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60 and year >= 1582):
        return None
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"


def _known(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}


def heart_rate(data: bytes) -> Fields:
    """2A37: flags 1 | rate 1 or 2 | [energy kJ 2] | {RR interval 2, 1/1024 s}*"""
    flags = data[0] if data else 0
    size = 2 if flags & 1 else 1
    if len(data) < 1 + size:
        return TOO_SHORT
    contact = ("not_detected", "detected")[flags >> 1 & 1] if flags & 4 else "not_supported"
    found: Fields = {"heart_rate": int.from_bytes(data[1 : 1 + size], "little"), "contact": contact}
    at = 1 + size
    if flags & 8:
        if len(data) < at + 2:
            return TOO_SHORT
        found["energy_kj"] = int.from_bytes(data[at : at + 2], "little")
        at += 2
    if flags & 16:
        found["rr_s"] = [unpack_from("<H", data, place)[0] / 1024 for place in range(at, len(data) - 1, 2)]
    return found


def thermometer(data: bytes) -> Fields:
    """2A1C: flags 1 | FLOAT | [time 7] | [site 1]"""
    flags = data[0] if data else 0
    if len(data) < 5 + 7 * (flags >> 1 & 1) + (flags >> 2 & 1):
        return TOO_SHORT
    value = medical_float(data[1:5], 24)
    if "special" in value:
        return {"no_data": True, "special": value["special"]}
    measured = value["value"]
    celsius = (measured - 32) / 1.8 if flags & 1 else measured
    found: Fields = {"temperature": measured, "unit": "F" if flags & 1 else "C", "temperature_c": round(celsius, 4)}
    if flags & 2:
        found |= _known({"time": _time(data, 5)})
    if flags & 4:
        found["site"] = THERMOMETER_SITES.get(data[12 if flags & 2 else 5], "unknown")
    return found


def blood_pressure(data: bytes) -> Fields:
    """2A35, 2A36: flags 1 | systolic, diastolic, mean SFLOAT | [time 7] | [pulse SFLOAT] | [user 1] | [status 2]"""
    flags = data[0] if data else 0
    if len(data) < 7 + 7 * (flags >> 1 & 1) + 2 * (flags >> 2 & 1):
        return TOO_SHORT
    names = ("systolic", "diastolic", "mean")
    found = _known({name: _sfloat(data, 1 + 2 * number) for number, name in enumerate(names)})
    found["unit"] = "kPa" if flags & 1 else "mmHg"
    at = 7
    if flags & 2:
        found |= _known({"time": _time(data, at)})
        at += 7
    return found | (_known({"pulse_rate": _sfloat(data, at)}) if flags & 4 else {})


def oximeter_spot(data: bytes) -> Fields:
    """2A5E: flags 1 | SpO2, pulse SFLOAT | [time 7] | ..."""
    if len(data) < 5 or (data[0] & 1 and len(data) < 12):
        return TOO_SHORT
    found = _known({"spo2": _sfloat(data, 1), "pulse_rate": _sfloat(data, 3)})
    return found | (_known({"time": _time(data, 5)}) if data[0] & 1 else {})


def oximeter(data: bytes) -> Fields:
    """2A5F: flags 1 | SpO2, pulse SFLOAT | ..."""
    if len(data) < 5:
        return TOO_SHORT
    return _known({"spo2": _sfloat(data, 1), "pulse_rate": _sfloat(data, 3)})


def weight(data: bytes) -> Fields:
    """2A9D: flags 1 | weight 2, x 0.005 kg or x 0.01 lb | [time 7] | ..."""
    if len(data) < 3 or (data[0] & 2 and len(data) < 10):
        return TOO_SHORT
    raw = int.from_bytes(data[1:3], "little")
    kilograms = raw * 0.01 * POUND_IN_KG if data[0] & 1 else raw * 0.005
    return {"weight_kg": round(kilograms, 4)} | (_known({"time": _time(data, 3)}) if data[0] & 2 else {})


def _number(name: str, size: int, factor: float, signed: bool, unknown: int | None) -> Callable[[bytes], Fields]:
    def read(data: bytes) -> Fields:
        if len(data) < size:
            return TOO_SHORT
        raw = int.from_bytes(data[:size], "little", signed=signed)
        return {"no_data": True} if raw == unknown else {name: round(raw * factor, 6)}

    return read


def _battery(data: bytes) -> Fields:
    if not data:
        return TOO_SHORT
    return {"battery_pct": data[0]} if data[0] <= 100 else {"error": "out_of_range"}


def _location(data: bytes) -> Fields:
    return {"location": BODY_LOCATIONS.get(data[0], "unknown")} if data else TOO_SHORT


CHARACTERISTICS: dict[str, Callable[[bytes], Fields]] = {
    "2a19": _battery,
    "2a1c": thermometer,
    "2a1e": thermometer,
    "2a35": blood_pressure,
    "2a36": blood_pressure,
    "2a37": heart_rate,
    "2a38": _location,
    "2a5e": oximeter_spot,
    "2a5f": oximeter,
    "2a6d": _number("pressure_hpa", 4, 0.001, signed=False, unknown=None),
    "2a6e": _number("temperature_c", 2, 0.01, signed=True, unknown=-0x8000),
    "2a6f": _number("humidity_pct", 2, 0.01, signed=False, unknown=0xFFFF),
    "2a9d": weight,
}
