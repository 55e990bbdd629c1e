"""Parameters of JT/T 808 terminals: set by 0x8103, asked for by 0x8104 (all) and 0x8106, told by 0x0104.

    {id 4 | length 1 | value}        numbers big endian, texts GBK        JT/T 808-2019 table 12

People name the parameters of PARAMETERS by name, any other by its number and the hex of its value (0x0029: 0000003C).
Telephone numbers, access point passwords and what has no name here are never told: they may be secret.
"""

from collections.abc import Mapping

from devices.families.jt808_wire import read_text
from devices.family import CommandRefused

BYTE, WORD, DWORD, TEXT = 1, 2, 4, 0
VALUE_BYTES_MAX = 255

PARAMETERS: dict[int, tuple[str, int]] = {
    0x0001: ("heartbeat_s", DWORD),
    0x0002: ("tcp_answer_s", DWORD),
    0x0003: ("tcp_tries", DWORD),
    0x0004: ("udp_answer_s", DWORD),
    0x0005: ("udp_tries", DWORD),
    0x0010: ("access_point", TEXT),
    0x0013: ("server", TEXT),
    0x0017: ("backup_server", TEXT),
    0x0018: ("tcp_port", DWORD),
    0x0019: ("udp_port", DWORD),
    0x0020: ("report_strategy", DWORD),
    0x0021: ("report_scheme", DWORD),
    0x0022: ("report_logged_out_s", DWORD),
    0x0027: ("report_asleep_s", DWORD),
    0x0028: ("report_emergency_s", DWORD),
    0x0029: ("report_s", DWORD),
    0x002C: ("report_m", DWORD),
    0x002D: ("report_logged_out_m", DWORD),
    0x002E: ("report_asleep_m", DWORD),
    0x002F: ("report_emergency_m", DWORD),
    0x0030: ("turn_deg", DWORD),
    0x0031: ("illegal_movement_m", WORD),
    0x0050: ("alarm_mask", DWORD),
    0x0054: ("alarm_key_flags", DWORD),
    0x0055: ("speed_max_kmh", DWORD),
    0x0056: ("speed_max_s", DWORD),
    0x0057: ("driving_max_s", DWORD),
    0x0058: ("day_driving_max_s", DWORD),
    0x0059: ("rest_min_s", DWORD),
    0x005A: ("parking_max_s", DWORD),
    0x0080: ("mileage_tenth_km", DWORD),
    0x0081: ("province", WORD),
    0x0082: ("city", WORD),
    0x0083: ("plate", TEXT),
    0x0084: ("plate_colour", BYTE),
}
ID_OF = {name: id_ for id_, (name, _) in PARAMETERS.items()}


def id_of(name: str) -> int:
    """Raises CommandRefused."""
    digits = name[2:] if name[:2].lower() == "0x" else ""
    if name in ID_OF:
        return ID_OF[name]
    if 0 < len(digits) <= 8 and all(digit in "0123456789abcdefABCDEF" for digit in digits):
        return int(digits, 16)
    raise CommandRefused(f"no parameter {name!r}; a number such as 0x0029, or one of {', '.join(ID_OF)}")


def written(args: Mapping[str, str]) -> dict[int, bytes]:
    """The values to set, by id; raises CommandRefused."""
    found: dict[int, bytes] = {}
    for name, text in args.items():
        id_ = id_of(name)
        if id_ in found:
            raise CommandRefused(f"parameter 0x{id_:04X} stands there twice")
        found[id_] = _value(name, text)
    if not found:
        raise CommandRefused("which parameters?")
    return found


def _value(name: str, text: str) -> bytes:
    size = PARAMETERS[ID_OF[name]][1] if name in ID_OF else None
    try:
        if size is None:
            value = bytes.fromhex(text)
        elif size == TEXT:
            value = text.encode("gbk")
        else:
            value = int(text).to_bytes(size) if text.isascii() and text.isdigit() and len(text) <= 10 else b""
    except (ValueError, OverflowError):  # UnicodeEncodeError is a ValueError
        value = b""
    if not value or len(value) > VALUE_BYTES_MAX:
        kind = "hex" if size is None else f"text of {VALUE_BYTES_MAX} bytes in GBK" if size == TEXT else "such number"
        raise CommandRefused(f"{name}: {text!r} is no {kind}")
    return value


def items(values: Mapping[int, bytes]) -> bytes:
    """Body of 0x8103."""
    each = (id_.to_bytes(4) + bytes((len(value),)) + value for id_, value in values.items())
    return bytes((len(values),)) + b"".join(each)


def told(params: list[list[str]]) -> dict[str, str]:
    """What may be told of the [id, value] hex pairs of 0x0104."""
    found: dict[str, str] = {}
    for id_, value in params:
        name, size = PARAMETERS.get(int(id_, 16), ("", TEXT))
        raw = bytes.fromhex(value)
        if name and size in (TEXT, len(raw)):
            found[name] = str(int.from_bytes(raw)) if size else read_text(raw)
    return found
