"""Layouts of advertisements that need more than places: numbers packed together, masks, values behind values.

Each reads the data of one maker's devices into Theengs' property names. Facts from the makers' and Theengs'
descriptions. The rows of ble_models.py say which data is given to which, and how long it is at least.
"""

from struct import unpack_from

from devices.families import ble_bthome
from devices.families.ble_advert import Advert, Fields, Reader, address, get, properties


def govee(advert: Advert) -> Fields:
    """Temperature and humidity in one number, both x 10; the highest bit is the sign."""
    word = int.from_bytes(advert.manufacturer[4:7])
    size, sign = word & 0x7FFFFF, -1 if word >> 23 else 1
    return {"tempc": sign * (size // 1000) / 10, "hum": size % 1000 / 10}


def govee_pair(advert: Advert) -> Fields:
    """The same from byte 3; below zero Theengs keeps the digits of the humidity in the temperature."""
    word = int.from_bytes(advert.manufacturer[3:6])
    size = word & 0x7FFFFF
    return {"tempc": -size / 10_000 if word >> 23 else size // 1000 / 10, "hum": size % 1000 / 10}


def govee_air(advert: Advert) -> Fields:
    word = int.from_bytes(advert.manufacturer[4:8])
    size, sign = word & 0x7FFFFFFF, -1 if word >> 31 else 1
    return {"tempc": sign * (size // 1_000_000) / 10, "hum": size // 1000 % 1000 / 10, "pm25": size % 1000}


def ruuvi_1(advert: Advert) -> Fields:
    data = advert.manufacturer
    celsius = (data[4] & 0x7F) + data[5] / 100
    pressure = (int.from_bytes(data[6:8]) + 50_000) / 100
    axes = unpack_from(">hhh", data, 8)
    found = {"hum": data[3] / 2, "tempc": -celsius if data[4] & 0x80 else celsius, "pres": pressure}
    return found | {f"acc{axis}": value * 9.80665 / 10_000 for axis, value in zip("xyz", axes, strict=True)}


def ruuvi_2(advert: Advert) -> Fields:
    celsius, humidity, pressure, x, y, z, power, moved, number = unpack_from(">hHHhhhHBH", advert.manufacturer, 3)
    found = {"tempc": celsius / 200, "hum": humidity / 400, "pres": (pressure + 50_000) / 100}
    found |= {name: value * 9.80665 / 10_000 for name, value in (("accx", x), ("accy", y), ("accz", z))}
    volt, transmit = ((power >> 5) + 1600) / 1000, (power & 31) * 2 - 40
    return found | {"volt": volt, "tx": transmit, "mov": moved, "seq": number}


def sensirion(advert: Advert) -> Fields:
    celsius, humidity = unpack_from("<HH", advert.manufacturer, 6)
    found = {"tempc": -45 + 175 * celsius / 65_535}
    if advert.manufacturer[3] == 0x06:
        return found | {"hum": -6 + 125 * humidity / 65_535}
    return found | {"hum": 100 * humidity / 65_535, "co2": int.from_bytes(advert.manufacturer[10:12], "little")}


def jaalee(advert: Advert) -> Fields:
    celsius, humidity = unpack_from(">HH", advert.manufacturer, 20)
    return {"tempc": -45 + 175 * celsius / 65_535, "hum": 100 * humidity / 65_535}


TILT_COLORS = dict(enumerate(("red", "green", "black", "purple", "orange", "blue", "yellow", "pink"), 1))


def tilt(advert: Advert) -> Fields:
    fahrenheit, gravity, power = unpack_from(">hHb", advert.manufacturer, 20)
    color = TILT_COLORS.get(advert.manufacturer[7] >> 4, "unknown")
    found = {"color": color, "tempf": fahrenheit, "tempc": (fahrenheit - 32) * 5 / 9, "gravity": gravity / 1000}
    return found | ({"txpower": power} if power < 0 else {})


def beacon(advert: Advert) -> Fields:
    """The last byte of an iBeacon is the strength at one metre, dBm; some put their battery there, x 10 V."""
    power = int.from_bytes(advert.manufacturer[24:25], signed=True)
    return {"txpower": power} if power < 0 else {"volt": power / 10}


def inkbird(advert: Advert) -> Fields:
    """A probe for temperature alone has no humidity; `tps` has no socket for another probe."""
    celsius, humidity, probe, battery = unpack_from("<hHB2xB", advert.manufacturer)
    found: Fields = {"tempc": celsius / 100}
    if advert.name.startswith("sps"):
        found["extprobe"] = bool(probe & 15)
    if humidity not in (0, 0xFFFF):
        found["hum"] = humidity / 100
    return found | ({"batt": battery} if battery < 0xE0 else {})


def switchbot_meter(source: str, at: int) -> Reader:
    """From `at`: tenths, sign and whole degrees, humidity."""

    def read(advert: Advert) -> Fields:
        data = advert.manufacturer if source == "m" else advert.service
        celsius = (data[at + 1] & 0x7F) + (data[at] & 15) / 10
        found: Fields = {"tempc": celsius if data[at + 1] & 0x80 else -celsius, "hum": data[at + 2] & 0x7F}
        return found | ({"batt": data[2] & 0x7F} if source == "s" else {})

    return read


def switchbot_motion(advert: Advert) -> Fields:
    data = advert.service
    return {
        "motion": bool(data[1] & 0x40),
        "led": bool(data[5] & 0x20),
        "scopetested": bool(data[1] & 0x80),
        "sensingdistance": ("long", "middle", "short", "unknown")[data[5] >> 2 & 3],
        "lightlevel": "bright" if data[5] & 2 else "dark",
        "batt": data[2] & 0x7F,
    }


def switchbot_contact(advert: Advert) -> Fields:
    data = advert.service
    return {
        "contact": ("closed", "open", "timeout not closed", "timeout not closed")[data[3] >> 1 & 3],
        "motion": bool(data[1] & 0x40),
        "lightlevel": "bright" if data[3] & 1 else "dark",
        "scopetested": bool(data[1] & 0x80),
        "in_ct": data[8] >> 6,
        "out_ct": data[8] >> 4 & 3,
        "push_ct": data[8] & 15,
        "batt": data[2] & 0x7F,
    }


def eddystone(advert: Advert) -> Fields:
    """The temperature is a whole number and 256ths; 8000 is none."""
    raw = int.from_bytes(advert.service[4:6], signed=True)
    return {} if raw == -0x8000 else {"tempc": round(raw / 256, 2)}


def apple(advert: Advert) -> Fields:
    return {"unlocked": advert.manufacturer[4] & 15 == 0xB}


def moko(advert: Advert) -> Fields:
    kind = advert.service[0]
    places = {0x40: {"volt": "s3:>H/1000"}, 0x70: {"tempc": "s3:>h/10", "hum": "s5:>H/10", "volt": "s7:>H/1000"}}
    axes = {f"{axis}_axis": f"s{6 + 2 * number}:>h/10000" for number, axis in enumerate("xyz")}
    places[0x60] = axes | {"volt": "s12:>H/1000"}
    found = {name: get(advert, place) for name, place in places.get(kind, {}).items()}
    return {
        name: value * 9.80665 if name.endswith("_axis") else value for name, value in found.items() if value is not None
    }


def moko_plain(advert: Advert) -> Fields:
    axes = ((f"{axis}_axis", get(advert, f"s{7 + 2 * number}:>h/10000")) for number, axis in enumerate("xyz"))
    return {name: value * 9.80665 for name, value in axes if value is not None}


def kkm(advert: Advert) -> Fields:
    """A mask says what follows: volt 1, temperature 2 (8.8), humidity 4 (8.8), acceleration 8."""
    data, at, found = advert.service, 3, Fields()
    mask = data[2]
    for bit, name in ((1, "volt"), (2, "tempc"), (4, "hum")):
        if mask & bit and at + 2 <= len(data):
            high, low = unpack_from(">bB", data, at)
            found[name] = int.from_bytes(data[at : at + 2]) / 1000 if bit == 1 else high + low * 100 // 256 / 100
            at += 2
    if mask & 8 and at + 6 <= len(data):
        found |= {f"acc{axis}": value for axis, value in zip("xyz", unpack_from(">hhh", data, at), strict=True)}
    return found


def sensor_easy_magnet(advert: Advert) -> Fields:
    return {"open": not advert.service[0] & 1}


FEASY_MODELS = {0x15: "BP102", 0x19: "BP109", 0x1A: "BP103", 0x1B: "BP104", 0x1C: "BP201", 0x1D: "BP106"}
FEASY_MODELS |= {0x1E: "BP101", 0x24: "BP120", 0x27: "BP108", 0x28: "BP108N", 0x29: "BP103B"}


def feasy(advert: Advert) -> Fields:
    plugged = advert.service[10] == 0x65
    found: Fields = {"beaconmodel": FEASY_MODELS.get(advert.service[0], "unknown")}
    found |= {"plugged-in": plugged, "plugged_in": plugged}  # it was renamed
    return found | ({} if plugged else {"batt": advert.service[10] & 0x7F})


NIU_PRESSES = {1: 1, 2: 2, 3: 9, 4: 10, 5: 3, 6: 4, 7: 5}
NIU_COLORS = dict(enumerate(("White", "TechBlue", "CozyGrey", "Wazabi", "Lagoon", "Softberry"), 2))


def niu(advert: Advert) -> Fields:
    color, press = int.from_bytes(advert.service[10:12]), advert.service[15]
    found = {"batt": advert.service[12] & 0x7F, "color": NIU_COLORS.get(color, "unknown")}
    return found | ({"button": NIU_PRESSES[press]} if press in NIU_PRESSES else {})


SHELLY_PRESSES = {"": 0, "press": 1, "double_press": 2, "triple_press": 3, "long_press": 9, "hold_press": 11}


def shelly(advert: Advert) -> Fields:
    packet = ble_bthome.read(advert.service)
    values = {one.name: one.value for one in packet.readings}
    found = {"packet": values.get("packet_id"), "batt": values.get("battery")}
    several = len(packet.happened) > 1
    for one in packet.happened:
        found[f"button{one.instance}" if several else "button"] = SHELLY_PRESSES.get(one.what, 0)
    return {name: value for name, value in found.items() if value is not None}


SHELLY_NAMES = {
    "packet_id": "packet",
    "battery": "batt",
    "illuminance": "lux",
    "temperature": "tempc",
    "humidity": "hum",
    "window": "open",
    "motion": "motion",
    "rotation": "rot",
}


def shelly_plain(advert: Advert) -> Fields:
    """BTHome by Theengs' names. A thermometer has a button, too."""
    packet = ble_bthome.read(advert.service)
    found = {SHELLY_NAMES[one.name]: one.value for one in packet.readings if one.name in SHELLY_NAMES}
    if advert.name.startswith("SBHT"):
        presses = [SHELLY_PRESSES.get(one.what, 0) for one in packet.happened]
        found["button"] = presses[0] if presses else 0
    return found


def shelly_encrypted(advert: Advert) -> Fields:
    data = advert.service
    return {"encr": 2, "cipher": data[1:-8].hex(), "ctr": data[-8:-4].hex(), "mic": data[-4:].hex()}


# --- Xiaomi MiBeacon (FE95): control 2 | product 2 | counter 1 | [address 6] | [capability 1] | object ---------------

XIAOMI_HAS_ADDRESS, XIAOMI_HAS_CAPABILITY, XIAOMI_HAS_OBJECT, XIAOMI_ENCRYPTED = 0x10, 0x20, 0x40, 0x08
XIAOMI_LIGHT = 0x1007  # three bytes
XIAOMI_OBJECTS = {
    0x0003: "motion=s0:?",
    0x1004: "tempc=s0:h/10",
    0x1006: "hum=s0:H/10",
    0x1008: "moi=s0:B",
    0x1009: "fer=s0:H",
    0x100A: "batt=s0:B",
    0x100D: "tempc=s0:h/10 hum=s2:H/10",
    0x1010: "for=s0:H/100",
}


def xiaomi(advert: Advert) -> Fields:
    data, found, at = advert.service, Fields(), 5
    if data[0] & XIAOMI_ENCRYPTED:
        return found
    if data[0] & XIAOMI_HAS_ADDRESS:
        if len(data) < at + 6:
            return found
        found["mac"] = address(data[at : at + 6][::-1])
        at += 6
    at += bool(data[0] & XIAOMI_HAS_CAPABILITY)
    kind = int.from_bytes(data[at : at + 2], "little")
    if data[0] & XIAOMI_HAS_OBJECT and len(data) > at + 2:
        value = data[at + 3 : at + 3 + data[at + 2]]
        found |= properties(Advert(service=value), XIAOMI_OBJECTS.get(kind, ""))
        if kind == XIAOMI_LIGHT:
            found["lux"] = int.from_bytes(value[:3], "little")
    return found


def xiaomi_lamp(advert: Advert) -> Fields:
    """A movement, or who it is."""
    if advert.service[0] & XIAOMI_HAS_ADDRESS:
        return xiaomi(advert)
    motion = len(advert.service) >= 9 and advert.service[5:8] == b"\x03\x00\x01"
    return {"motion": advert.service[8] != 0, "darkness": advert.service[4]} if motion else {}


# --- Qingping (FDCD): kind 1 | product 1 | address 6 reversed | { type 1 | length 1 | value }* ------------------------

QINGPING_VALUES = {
    0x01: "tempc=s0:h/10 hum=s2:H/10",
    0x02: "batt=s0:B",
    0x04: "shut=s0:B",
    0x07: "pres=s0:H/10",
    0x08: "motion=s0:?",
    0x11: "motion=s0:?",
    0x12: "pm25=s0:H pm10=s2:H",
    0x13: "co2=s0:H",
}
QINGPING_DOOR = 0x04


def qingping(advert: Advert) -> Fields:
    data, at = advert.service, 8
    found: Fields = {"mac": address(data[2:8][::-1])}
    while at + 2 <= len(data):
        kind, value = data[at], data[at + 2 : at + 2 + data[at + 1]]
        found |= properties(Advert(service=value), QINGPING_VALUES.get(kind, ""))
        if kind in (0x08, 0x09):  # movement and light, light alone
            found["lux"] = int.from_bytes(value[1:] if kind == 0x08 else value, "little")
        at += 2 + data[at + 1]
    if "batt" in found:
        found["batt"] &= 0x7F
    if data[1] == QINGPING_DOOR:  # the last value, or that of type 04
        shut = data[10] if data[0] & 0x40 and len(data) > 10 else data[-1]
        found["open"] = not shut & 15
    return found
