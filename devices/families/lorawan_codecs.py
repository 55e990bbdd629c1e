"""What LoRaWAN devices put into a payload, by the vendors' names. The codec is named by the installer, never guessed.

    Netvox, fPort 6       01 | device type | report type | voltage x 0.1 V, bit 7 low battery | values
                          report type 00: software x 0.1 | hardware | date code 4 BCD
            fPort 7       command | device type | values; 01, 02, .. asks, 81, 82, .. answers
            fPort 13      01 | 02 asks, 81 | 82 answers for the pressing time
    Dragino, fPort 10     bit 15 door open, bit 14 water, 14 bits mV | mode | times 3 | last duration 3 (min) | alarm
    GS524N, fPort 85      version, protocol | type, message | battery % | smoke % | Celsius | sum of all is 0 mod 256
    TG563A, fPort 1       message | settings | Celsius | status 2 | with additional data: see _TG563A_LONG

Big-endian, but TG563A. Netvox and Dragino: TheThingsNetwork/lorawan-devices; GS524N: Milesight's payload table; TG563A:
its technical reference. The other Milesight devices stand in lorawan_milesight.py.
"""

from collections.abc import Callable
from functools import partial

from devices.families.lorawan_milesight import MODELS
from devices.families.lorawan_tlv import Fields, Table
from devices.families.lorawan_tlv import read as read_tlv

Codec = Callable[[int, bytes, bool], Fields]  # (fPort, payload, sent to the device) -> fields, or `error`

UNKNOWN_PORT: Fields = {"error": "unknown_fport"}
TOO_SHORT: Fields = {"error": "invalid_size"}
MILESIGHT_PORT = 85


def _int16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], signed=True)


def _uint(data: bytes, at: int, size: int = 2) -> int:
    return int.from_bytes(data[at : at + size])


# --- Netvox ---------------------------------------------------------------------------------------

NETVOX_BYTES = 11
NETVOX_COMMANDS = {1: "ConfigReport", 2: "ReadConfigReport"}
NETVOX_OWN_COMMANDS = {
    "RB11E": {3: "SetIRDisableTime", 4: "GetIRDisableTime"},
    "RA02A": {3: "SetAlarmThreshold", 4: "GetAlarmThreshold"},
}
ALARM_WORDS = ("No Alarm", "Alarm")
KEYS = {0: "others", 1: "fuctionkey1", 2: "fuctionkey2"}  # spelt as the vendor spells them


def _netvox_contact(data: bytes) -> Fields:
    return {"OnOff": data[4]}


def _netvox_room(data: bytes) -> Fields:
    found = {"Temp": _int16(data, 4) / 100, "Illuminance": _uint(data, 6)}
    return found | {"Occupy": data[8], "DisassembledAlarm": data[9]}


def _netvox_smoke(data: bytes) -> Fields:
    found = {"FireAlarm": ALARM_WORDS[data[4] > 0], "HighTempAlarm": ALARM_WORDS[data[5] > 0]}
    return found | {"Temp": _int16(data, 6) / 10}


def _netvox_leak(data: bytes) -> Fields:
    return {"WaterLeak": "Leak" if data[4] else "NoLeak"}


def _netvox_button(data: bytes) -> Fields:
    return {"Alarm": data[4], "FunctionKeyTrigger": KEYS.get(data[5], "unknown")}


NETVOX: dict[str, tuple[int, Callable[[bytes], Fields]]] = {
    "R311A": (0x02, _netvox_contact),
    "R718F": (0x02, _netvox_contact),
    "RB11E": (0x03, _netvox_room),
    "RA02A": (0x0A, _netvox_smoke),
    "R718WB": (0x12, _netvox_leak),
    "R312A": (0x4D, _netvox_button),
}


def _netvox(name: str, port: int, data: bytes, down: bool) -> Fields:
    type_, read = NETVOX[name]
    if port == 13 and name == "R312A":
        return _netvox_press_time(data, down)
    if port not in (6, 7):
        return UNKNOWN_PORT
    if len(data) != NETVOX_BYTES:
        return TOO_SHORT
    if data[1] != type_:
        return {"error": "wrong_device"}
    if port == 7:
        return {"Device": name} | _netvox_configuration(name, data)
    if data[2] == 0:
        versions = {"SWver": data[3] / 10, "HWver": data[4], "Datecode": data[5:9].hex()}
        return {"Device": name} | versions
    if data[2] != 1:
        return {"error": "unknown_report"}
    volts = (data[3] & 0x7F) / 10
    return {"Device": name, "Volt": f"{volts:g}(low battery)" if data[3] & 0x80 else volts} | read(data)


def _netvox_configuration(name: str, data: bytes) -> Fields:
    asks = data[0] < 0x80
    command = (NETVOX_COMMANDS | NETVOX_OWN_COMMANDS.get(name, {})).get(data[0] & 0x7F)
    if command is None:
        return {"error": "unknown_command"}
    sets = not command.startswith(("Read", "Get"))
    found: Fields = {"Cmd": command + ("Req" if asks else "Rsp")}
    if sets != asks:  # a set that is answered says how it went, a question says nothing
        return found | ({} if asks else {"Status": "Failure" if data[2] else "Success"})
    if command.endswith("AlarmThreshold"):
        return found | {"AlarmThreshold": data[2]}
    if command.endswith("IRDisableTime"):
        return found | {"IRDisableTime": _uint(data, 2), "IRDetectionTime": _uint(data, 4)}
    found |= {"MinTime": _uint(data, 2), "MaxTime": _uint(data, 4), "BatteryChange": data[6] / 10}
    if name == "RB11E":
        found |= {"TempChange": _uint(data, 7) / 100, "IlluminanceChange": _uint(data, 9)}
    return found


def _netvox_press_time(data: bytes, down: bool) -> Fields:
    if len(data) < 2 or data[0] & 0x7F not in (1, 2) or down != (data[0] < 0x80):
        return TOO_SHORT if len(data) < 2 else {"error": "unknown_command"}
    sets, asks = data[0] & 1 == 1, data[0] < 0x80
    found: Fields = {"Cmd": f"{'Set' if sets else 'Get'}ButtonPressTime{'Req' if asks else 'Rsp'}"}
    if sets == asks:
        return found | {"PressTime": data[1]}
    return found if asks else found | {"Status": "Failure" if data[1] else "Success"}


# --- Dragino --------------------------------------------------------------------------------------

DOOR, WATER, BOTH = 1, 2, 3


def _dragino(port: int, data: bytes, down: bool) -> Fields:
    """Frames that are cut short keep what is whole in them."""
    if port != 10 or down:
        return UNKNOWN_PORT
    if len(data) < 3:
        return TOO_SHORT
    word, mode = _uint(data, 0), data[2]
    found: Fields = {"BAT_V": (word & 0x3FFF) / 1000, "MOD": mode}
    if mode in (DOOR, BOTH):
        found["DOOR_OPEN_STATUS"] = word >> 15
    if mode in (WATER, BOTH):
        found["WATER_LEAK_STATUS"] = word >> 14 & 1
    name = {DOOR: "DOOR_OPEN", WATER: "WATER_LEAK"}.get(mode)
    if name and len(data) >= 6:
        found[f"{name}_TIMES"] = _uint(data, 3, 3)
    if name and len(data) >= 9:
        found[f"LAST_{name}_DURATION"] = _uint(data, 6, 3)
    if mode in (DOOR, BOTH):
        found["ALARM"] = data[9] & 1 if len(data) > 9 else 0
    return found


# --- Milesight GS524N -----------------------------------------------------------------------------

GS524N_MESSAGES = {
    1: "alarm",
    2: "silent",
    4: "low battery",
    5: "failover",
    7: "normal",
    10: "removed",
    11: "installed",
    14: "testing alarm with normal battery",
    15: "testing alarm with low battery",
}


def _gs524n(port: int, data: bytes, down: bool) -> Fields:
    if port != MILESIGHT_PORT or down:
        return UNKNOWN_PORT
    if len(data) != 6:
        return TOO_SHORT
    if sum(data) & 0xFF:
        return {"error": "checksum"}
    return {
        "version": data[0] >> 4,
        "protocol": data[0] & 15,
        "type": "smoke sensor" if data[1] >> 4 == 1 else "unknown",
        "event": GS524N_MESSAGES.get(data[1] & 15, "unknown"),
        "battery": data[2],
        "concentration": data[3],
        "temperature": int.from_bytes(data[4:5], signed=True),
    }


def _milesight(table: Table, port: int, data: bytes, down: bool) -> Fields:
    return read_tlv(table, data) if port == MILESIGHT_PORT and not down else UNKNOWN_PORT


# --- TG563A ---------------------------------------------------------------------------------------

TG563A_SIZES = (5, 33, 35)  # the additional data of newer firmware has two bytes more
TG563A_ADDITIONAL = 15
TG563A_PERIODS_H = (1, 2, 4, 6, 8, 12, 24, 48)
TG563A_MESSAGES = (
    *("periodic", "smoke_alarm", "low_battery", "chamber_fault", "fouling", "ultrasonic", "ir"),
    *("buzzer", "obstacle", "inlet_covered"),
)
TG563A_STATUS = (
    *("mounted", "brightness", "temperature_out_of_range", "", "obstacle", "inlet_covered", "inactive", "unmounted"),
    *("smoke_alarm", "low_battery", "chamber_fault", "fouling", "ultrasonic", "ir", "buzzer", ""),
)
# name, first byte, kind of the additional data
_TG563A_LONG = (
    *(("serial", 6, "serial"), ("production_date", 10, "date"), ("installation_date", 12, "date")),
    *(("running_s", 14, "time"), ("smoke_alarm_s", 16, "time"), ("test_alarm_s", 18, "time"), ("fault_s", 20, "time")),
    *(("smoke_alarms", 22, "count"), ("test_alarms", 23, "count"), ("smoke_errors", 24, "count")),
    *(("low_batteries", 25, "count"), ("alarm_deactivations", 26, "count"), ("fault_deactivations", 27, "count")),
    *(("mountings", 28, "count"), ("energy_usage", 29, "count"), ("dirtiness", 30, "count"), ("fouling", 31, "count")),
    *(("temperature_min_c", 32, "celsius"), ("temperature_max_c", 33, "celsius")),
)
_UNIT_S = (1, 60, 3_600, 86_400)


def _tg563a(port: int, data: bytes, down: bool) -> Fields:
    if port != 1 or down:
        return {"error": "invalid_fport"}
    additional = data[:1] and data[0] & 15 == TG563A_ADDITIONAL
    if len(data) not in TG563A_SIZES or (len(data) > 5) != bool(additional):
        return TOO_SHORT
    kind = data[0] & 15
    status = int.from_bytes(data[3:5], "little")
    found: Fields = {
        "message_type": "long_message" if additional else dict(enumerate(TG563A_MESSAGES)).get(kind, "unknown"),
        "tx_period_h": TG563A_PERIODS_H[data[1] & 7],
        "temperature_c": int.from_bytes(data[2:3], signed=True),
        "status": [name for bit, name in enumerate(TG563A_STATUS) if name and status >> bit & 1],
    }
    if additional:
        found["voltage"] = data[5] / 100 + 1
        found |= {name: _tg563a_value(data, at, kind) for name, at, kind in _TG563A_LONG if at < len(data)}
    return found


def _tg563a_value(data: bytes, at: int, kind: str) -> int | str:
    word = int.from_bytes(data[at : at + 2], "little")
    if kind == "serial":
        return data[at : at + 4][::-1].hex()
    if kind == "date":
        return f"{2000 + (word >> 9):04}-{word >> 5 & 15:02}-{word & 31:02}"
    if kind == "time":
        return (word >> 2) * _UNIT_S[word & 3]
    return int.from_bytes(data[at : at + 1], signed=kind == "celsius")


CODECS: dict[str, Codec] = {
    **{f"milesight/{model}": partial(_milesight, table) for model, table in MODELS.items()},
    "milesight/gs524n": _gs524n,
    **{f"netvox/{name.lower()}": partial(_netvox, name) for name in NETVOX},
    "dragino/lds02": _dragino,
    "dragino/lwl02": _dragino,
    "tg563a": _tg563a,
}
