"""Values in the payloads of Milesight sensors that need more than a row of a table: readings that may be missing, kept
readings of several shapes, valves. The models stand in lorawan_milesight.py, the reading itself in lorawan_tlv.py.

A reader gets the bytes behind its pair and gives how many it took and the values by the vendor's names, or None when
bytes are missing. Facts from the vendor's payload definitions.
"""

from struct import unpack_from

from devices.families.lorawan_tlv import WORDS, Fields, Reader, Taken

GAS_MISSING = {0xFFFE: "polarizing", 0xFFFF: "device error"}
CURRENT_MISSING = {0xFFFD: "over range alarm", 0xFFFF: "read failed"}
PROBES = {1: "DS18B20", 2: "SHT4X"}
CHANNEL_PROBES = {1: "PT100", 2: "SHT4X", 3: "DS18B20", 4: "MAGNET"}
PROBE_STATES = dict(enumerate(("normal", "read error", "out of range")))
PROBE_REASONS = {
    1: "periodic",
    2: "temperature alarm (threshold or mutation)",
    3: "temperature alarm release",
    4: "humidity alarm (threshold or mutation)",
    5: "humidity alarm release",
    6: "immediate",
}
CHANNEL_REASONS = dict(
    enumerate(
        ("none", *WORDS["channelalarm"].values(), "period_report", "magnet_alarm", "abnormal_alarm", "button_trigger"),
    )
)
NO_READING, MAGNET_CLOSED, MAGNET_OPEN, OVER_RANGE = -999, -1000, -1001, -1002
SECOND_UNIT, BALL_TURNED = 1, 100


def maybe(name: str, divisor: int, missing: dict[int, str], signed: bool = False) -> Reader:
    """Two bytes, or why there is no reading: as `NAME_sensor_status`."""

    def read(data: bytes) -> Taken:
        if len(data) < 2:
            return None
        raw = int.from_bytes(data[:2], "little")
        if raw in missing:
            return 2, {f"{name}_sensor_status": missing[raw]}
        return 2, {name: int.from_bytes(data[:2], "little", signed=signed) / divisor}

    return read


def sound(data: bytes) -> Taken:
    """The weights name the levels: LAF, LAeq, LAFmax."""
    if len(data) < 7:
        return None
    weights, level, mean, highest = unpack_from("<BHHH", data)
    by_frequency, by_time = "ZAC?"[weights & 3], "IFS?"[weights >> 2 & 3]
    name = f"L{by_frequency}"
    return 7, {f"{name}{by_time}": level / 10, f"{name}eq": mean / 10, f"{name}{by_time}max": highest / 10}


def eight_switches(data: bytes) -> Taken:
    if len(data) < 2:
        return None
    return 2, {f"switch_{number + 1}": WORDS["onoff"][data[1] >> number & 1] for number in range(8)}


# --- probes and channels --------------------------------------------------------------------------


def probe_log(data: bytes) -> Taken:
    if len(data) < 9:
        return None
    time, kind, celsius, humidity, reason = unpack_from("<IBhBB", data)
    states = {"temperature_sensor_status": PROBE_STATES.get(reason >> 6, "unknown")}
    entry: Fields = {"timestamp": time, "sensor_type": PROBES.get(kind, "unknown"), "temperature": celsius / 10}
    if kind == 2:
        entry["humidity"] = humidity / 2
        states["humidity_sensor_status"] = PROBE_STATES.get(reason >> 4 & 3, "unknown")
    entry["event"] = {"event_type": PROBE_REASONS.get(reason & 15, "unknown")} | states
    return 9, {"@history": entry}


def probe_id(kinds: dict[int, str], name: str, first: int) -> Reader:
    """`name` has a place for the channel's number."""

    def read(data: bytes) -> Taken:
        if len(data) < 9:
            return None
        place = name.format((data[0] >> 4) + first)
        return 9, {f"{place}_type": kinds.get(data[0] & 15, "unknown"), f"{place}_sn": data[1:9].hex()}

    return read


def channel_log(channel: int) -> Reader:
    """Humidity and temperature of a channel; a magnet stands where its reading would."""

    def read(data: bytes) -> Taken:
        if len(data) < 9:
            return None
        time, reasons, humidity, celsius = unpack_from("<IBhh", data)
        entry: Fields = {"timestamp": time}
        for name, value, reason in (("temperature", celsius, reasons >> 4), ("humidity", humidity, reasons & 15)):
            told = CHANNEL_REASONS.get(reason, "unknown")
            if value in (MAGNET_CLOSED, MAGNET_OPEN):
                word = "open" if value == MAGNET_OPEN else "close"
                entry |= {f"magnet_chn{channel}": word, f"chn{channel}_event": told}
            elif value != NO_READING:
                entry[f"{name}_chn{channel}"] = "over_range" if value == OVER_RANGE else value / 10
                entry[f"{name}_chn{channel}_event"] = told
        return 9, {"@history": entry}

    return read


# --- counters and controllers ---------------------------------------------------------------------

PULSE_ALARMS = dict(
    enumerate(
        (
            "none",
            *("water outage timeout alarm", "water outage timeout alarm release"),
            *("water flow timeout alarm", "water flow timeout alarm release"),
            *("gpio alarm", "gpio alarm release"),
        )
    )
)
PULSE_KINDS = {1: "gpio", 2: "counter"}


def pulse_log(data: bytes) -> Taken:
    if len(data) < 13:
        return None
    time, celsius, humidity, kind, level, pulses = unpack_from("<IhBBBI", data)
    return 13, {"@history": _pulses(time, celsius, humidity, kind, level) | ({"pulse": pulses} if kind == 2 else {})}


def water_log(data: bytes) -> Taken:
    if len(data) < 18:
        return None
    time, celsius, humidity, alarm, kind, level, water, pulse, total = unpack_from("<IhBBBBHHf", data)
    entry = _pulses(time, celsius, humidity, kind, level) | {"alarm": PULSE_ALARMS.get(alarm, "unknown")}
    flow = {"water_conv": water / 10, "pulse_conv": pulse / 10, "water": total}
    return 18, {"@history": entry | (flow if kind == 2 else {})}


def _pulses(time: int, celsius: int, humidity: int, kind: int, level: int) -> Fields:
    entry: Fields = {"timestamp": time, "temperature": celsius / 10, "humidity": humidity / 2}
    entry["gpio_type"] = PULSE_KINDS.get(kind, "unknown")
    return entry | ({"gpio": WORDS["level"].get(level, "unknown")} if kind == 1 else {})


def inputs_log(data: bytes) -> Taken:
    if len(data) < 22:
        return None
    time, kind_1, input_1, kind_2, input_2, analog_1, analog_2 = unpack_from("<IBIBIii", data)
    entry: Fields = {"timestamp": time}
    for number, kind, value in ((1, kind_1, input_1), (2, kind_2, input_2)):
        if kind < 2:
            entry[f"gpio_{('input', 'output')[kind]}_{number}"] = WORDS["onoff"].get(value, "unknown")
        elif kind == 2:
            entry[f"gpio_counter_{number}"] = value
    return 22, {"@history": entry | {"analog_input_1": analog_1 / 1000, "analog_input_2": analog_2 / 1000}}


def modbus_log(data: bytes) -> Taken:
    channels = _channels(data)
    size = 6 + 5 * len(channels)
    if len(data) < size:
        return None
    entry: Fields = {"timestamp": int.from_bytes(data[:4], "little")}
    for at, channel in enumerate(channels):
        kind = data[6 + 5 * at] & 7
        entry[f"modbus_chn_{channel}"] = unpack_from("<f" if kind in (5, 7) else "<I", data, 7 + 5 * at)[0]
    return size, {"@history": entry}


def texts_log(data: bytes) -> Taken:
    channels = _channels(data)
    size = 6 + 36 * len(channels)
    if len(data) < size:
        return None
    entry: Fields = {"timestamp": int.from_bytes(data[:4], "little")}
    for at, channel in enumerate(channels):
        text = data[6 + 36 * at : 42 + 36 * at].split(b"\0")[0]
        entry[f"sdi12_{channel}"] = text.decode("ascii", "replace")
    return size, {"@history": entry}


def _channels(data: bytes) -> list[int]:
    mask = int.from_bytes(data[4:6], "little")
    return [number + 1 for number in range(16) if mask >> number & 1]


def modbus_failed(data: bytes) -> Taken:
    return (1, {f"modbus_chn_{data[0] - 6}_alarm": "read error"}) if data else None


def analog_kind(data: bytes) -> Taken:
    kinds = {0: "current", 1: "voltage"}
    return (1, {f"analog_input_{data[0] >> 4}_type": kinds.get(data[0] & 15, "unknown")}) if data else None


def valve(number: int) -> Reader:
    def read(data: bytes) -> Taken:
        if not data:
            return None
        if data[0] == 0xFF:
            return 1, {f"valve_{number}_result": "failed"}
        return 1, {f"valve_{number}": WORDS["magnet"].get(data[0], "unknown")}

    return read


def valve_log(data: bytes) -> Taken:
    """Bits: open, counts pulses, input, -, the second valve."""
    if len(data) < 9:
        return None
    time, state, pulses = unpack_from("<IBI", data)
    number = (state >> 4 & 1) + 1
    entry: Fields = {"timestamp": time, "mode": "counter" if state & 2 else "gpio"}
    entry[f"valve_{number}"] = WORDS["magnet"][state & 1]
    if state & 2:
        return 9, {"@history": entry | {f"valve_{number}_pulse": pulses}}
    return 9, {"@history": entry | {f"gpio_{number}": WORDS["onoff"][state >> 2 & 1]}}


def ball_valve(number: int) -> Reader:
    """How far it is open in percent; a valve with three ways says to which side by adding 100."""

    def read(data: bytes) -> Taken:
        if len(data) < 2:
            return None
        name, opening = f"valve_{number}", data[1]
        if data[0] != SECOND_UNIT:
            return 2, {f"{name}_type": "2-way ball valve", f"{name}_opening": opening}
        right = opening > BALL_TURNED
        found: Fields = {f"{name}_type": "3-way ball valve", f"{name}_direction": "right" if right else "left"}
        return 2, found | {f"{name}_opening": opening - BALL_TURNED if right else opening}

    return read
