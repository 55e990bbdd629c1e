"""Sentences of NMEA 0183, read into plain values. What they mean stands in nmea.py.

    [identifier] $ talker(2) type(3) , field , field ... [* checksum(2 hex)] [, text of the tracker] CR LF
                   ^------------------------------- exclusive or of these ^
    `!` instead of `$`: encapsulated (AIS). `$P...`: of a maker, talker "P".
Positions are ddmm.mmmm and dddmm.mmmm: the two digits in front of the dot and what follows are minutes. An empty field
is unknown (None here), never 0. Tolerated: no `$`, no checksum, one digit in it, blanks around it (counted or not) and
around the line.
Lines that name the unit: `$IMEI=`, `IMEI `, 15 digits alone, `$GPFID,ID…`, `$PGID,…`, `$PCPTI,name,…`.
"""

import re
from collections.abc import Callable
from datetime import date, time
from math import isfinite
from typing import Any

from msgspec import Struct

from devices.framing import xor8

FRAME_BYTES_MAX = 1_024
FIELDS_MAX = 100

SENTENCE = re.compile(
    r"(?:(?P<prefix>[^$!*\x00-\x1f]*)(?P<mark>[$!])|)(?P<body>(?P<address>P[A-Z0-9]{3,8}|[A-Z]{2}[A-Z][A-Z0-9]{2}),[^*\x00-\x1f]*)"
    r"(?:\* *(?P<check>[0-9A-Fa-f]{1,2}) *(?P<trailing>,[^\x00-\x1f]*)?)?",
    re.ASCII,
)
LOGINS = (
    re.compile(r"\$?IMEI[=: ](\d{14,16})", re.ASCII),
    re.compile(r"(\d{15})", re.ASCII),
    re.compile(r"\$GPFID,([0-9A-Za-z_-]{1,32})(?:\*[0-9A-Fa-f]{2})?", re.ASCII),
    re.compile(r"\$PGID,([0-9A-Za-z_-]{1,32})(?:\*[0-9A-Fa-f]{2})?", re.ASCII),
    re.compile(r"\$PCPTI,([^,*]{1,32})(?:,.*)?", re.ASCII),
)
IDENTIFIER_CHARS_MAX = 32
IMEI = re.compile(r"\b\d{15}\b", re.ASCII)
IDENTIFIER = re.compile(r"[0-9A-Za-z_-]+", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
TIME = re.compile(r"(\d\d)(\d\d)(\d\d)(?:\.(\d{0,9}))?", re.ASCII)
DATE = re.compile(r"(\d\d)(\d\d)(\d\d)", re.ASCII)
DEGREES = re.compile(r"(\d{0,3})(\d\d(?:\.\d{0,12})?)", re.ASCII)
CENTURY_OF_1980 = 80
SATELLITES_MAX = 255
RMC_FIELDS, RMC_FIELDS_MIN = 9, 6  # to the date, to the place

Fields = dict[str, Any]


class Sentence(Struct, frozen=True):
    """`check` is "" when the line has no checksum; `fields` stand behind the address."""

    prefix: str
    talker: str
    type: str
    fields: tuple[str, ...]
    check: str
    check_ok: bool
    trailing: str
    enclosed: bool  # begins with `!`

    @property
    def identifier(self) -> str:
        """The unit's name in front of the sentence, of several (`4711/022789000688081/`) the last, or its IMEI behind
        the checksum; "" for none."""
        names: list[str] = IDENTIFIER.findall(self.prefix) or IMEI.findall(self.trailing) or [""]
        return names[-1][:IDENTIFIER_CHARS_MAX]


def read_login(line: bytes) -> str:
    """The unit that a line names; "" when it is no such line."""
    text = line.decode("utf-8", "replace").strip()
    for pattern in LOGINS:
        if found := pattern.fullmatch(text):
            return found[1]
    return ""


def read_sentence(line: bytes) -> Sentence | None:
    """None when the line is no sentence."""
    text = line.decode("latin-1").strip()
    found = SENTENCE.fullmatch(text)
    if found is None:
        return None
    body = found["body"].rstrip(" ")
    address, *fields = body.split(",", FIELDS_MAX)
    proprietary = address.startswith("P") and found["mark"] != "!"
    check = (found["check"] or "").upper()
    return Sentence(
        prefix=found["prefix"] or "",
        talker="P" if proprietary else address[:2],
        type=address[1:] if proprietary else address[2:],
        fields=tuple(fields),
        check=check,
        check_ok=check != "" and int(check, 16) in (xor8(text.encode("latin-1")) for text in (body, found["body"])),
        trailing=found["trailing"] or "",
        enclosed=found["mark"] == "!",
    )


# --- fields ---


def number(text: str) -> float | None:
    value = float(text) if NUMBER.fullmatch(text) else None
    return value if value is not None and isfinite(value) else None


def whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def read_time(text: str) -> time | None:
    found = TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = (int(part) for part in found.groups()[:3])
    try:
        return time(hour, minute, second, int((found[4] or "").ljust(6, "0")[:6]))
    except ValueError:
        return None


def read_date(text: str) -> date | None:
    """ddMMyy; years from 80 on are of the last century."""
    found = DATE.fullmatch(text)
    if found is None:
        return None
    day, month, year = (int(part) for part in found.groups())
    try:
        return date(year + (1900 if year >= CENTURY_OF_1980 else 2000), month, day)
    except ValueError:
        return None


def degrees(text: str, letter: str, limit: int) -> float | None:
    """Signed degrees of a latitude (limit 90) or longitude (180); None when unknown or off the globe."""
    found = DEGREES.fullmatch(text)
    if found is None or letter not in ("N", "S", "E", "W"):
        return None
    minutes = float(found[2])
    value = int(found[1] or 0) + minutes / 60
    if minutes >= 60 or value > limit:
        return None
    return -value if letter in ("S", "W") else value


def _place(fields: tuple[str, ...]) -> Fields:
    return {"latitude": degrees(fields[0], fields[1], 90), "longitude": degrees(fields[2], fields[3], 180)}


def _text(fields: tuple[str, ...]) -> str:
    """The rest of a sentence, which may hold commas; some devices write UTF-8."""
    return ",".join(fields).encode("latin-1").decode("utf-8", "replace")


# --- sentences: what is behind the address, at least so many fields -> values ---


def _rmc(fields: tuple[str, ...]) -> Fields:
    """One that ends before its date tells its place; the last field may be half of what it was."""
    if len(fields) < RMC_FIELDS:
        fields = (*fields[: max(len(fields) - 1, RMC_FIELDS_MIN)], "", "", "")
    found = {
        "time": read_time(fields[0]),
        "status": fields[1],
        **_place(fields[2:6]),
        "speed_knots": number(fields[6]),
        "course": number(fields[7]),
        "date": read_date(fields[8]),
    }
    if len(fields) > 11:
        found["mode"] = fields[11]
    if len(fields) > 12:
        found["nav_status"] = fields[12]
    return found | {"fix_valid": fields[1] == "A" and found.get("mode") != "N"}


def _gga(fields: tuple[str, ...]) -> Fields:
    quality, satellites = whole(fields[5]), whole(fields[6])
    return {
        "time": read_time(fields[0]),
        **_place(fields[1:5]),
        "quality": quality,
        "satellites": satellites if satellites is None or satellites <= SATELLITES_MAX else None,
        "hdop": number(fields[7]),
        "altitude_m": number(fields[8]),
        "geoid_sep_m": number(fields[10]) if len(fields) > 10 else None,
        "fix_valid": bool(quality),
    }


def _gll(fields: tuple[str, ...]) -> Fields:
    found = {**_place(fields[:4]), "time": read_time(fields[4]), "status": fields[5]}
    if len(fields) > 6:
        found["mode"] = fields[6]
    return found | {"fix_valid": fields[5] == "A" and found.get("mode") != "N"}


def _vtg(fields: tuple[str, ...]) -> Fields:
    """The old form ends behind the knots."""
    found: Fields = {"course_true": number(fields[0]), "course_magnetic": number(fields[2])}
    found |= {"speed_knots": number(fields[4]), "speed_kmh": number(fields[6]) if len(fields) > 6 else None}
    return found | ({"mode": fields[8]} if len(fields) > 8 else {})


def _gsa(fields: tuple[str, ...]) -> Fields:
    names = ("pdop", "hdop", "vdop")
    found: Fields = {"selection": fields[0], "fix_type": whole(fields[1])}
    found["satellite_ids"] = [text for text in fields[2:14] if text]
    found |= {name: number(text) for name, text in zip(names, fields[14:17], strict=True)}
    return found | ({"system_id": fields[17]} if len(fields) > 17 else {})


def _gsv(fields: tuple[str, ...]) -> Fields:
    rest = fields[3:]
    satellites = [
        {
            "id": rest[at],
            "elevation": number(rest[at + 1]),
            "azimuth": number(rest[at + 2]),
            "snr": number(rest[at + 3]),
        }
        for at in range(0, len(rest) - 3, 4)
        if rest[at]
    ]
    found: Fields = {"messages": whole(fields[0]), "message": whole(fields[1]), "satellites_in_view": whole(fields[2])}
    found["satellites"] = satellites
    return found | ({"signal_id": rest[-1]} if len(rest) % 4 == 1 else {})


def _zda(fields: tuple[str, ...]) -> Fields:
    day, month, year = (whole(text) for text in fields[1:4])
    zone = [number(text) for text in (*fields[4:6], "", "")][:2]
    found: Fields = {"time": read_time(fields[0]), "day": day, "month": month, "year": year}
    try:
        found["date"] = date(year or 0, month or 0, day or 0)
    except ValueError:
        found["date"] = None
    return found | {"zone_hours": zone[0], "zone_minutes": zone[1]}


def _gst(fields: tuple[str, ...]) -> Fields:
    names = ("rms", "std_major", "std_minor", "orientation", "std_lat", "std_lon", "std_alt")
    return {"time": read_time(fields[0])} | {name: number(text) for name, text in zip(names, fields[1:8], strict=True)}


def _txt(fields: tuple[str, ...]) -> Fields:
    total, index, severity = (whole(text) for text in fields[:3])
    return {"total": total, "index": index, "severity": severity, "text": _text(fields[3:])}


def _alr(fields: tuple[str, ...]) -> Fields:
    return {
        "time": read_time(fields[0]),
        "alarm_number": fields[1],
        "condition": fields[2],
        "acknowledged": fields[3],
        "text": _text(fields[4:]),
    }


def _hbt(fields: tuple[str, ...]) -> Fields:
    return {"interval": number(fields[0]), "status": fields[1], "sequence": whole(fields[2])}


def _xdr(fields: tuple[str, ...]) -> Fields:
    groups = [fields[at : at + 4] for at in range(0, len(fields) - 3, 4)]
    return {"transducers": [{"type": a, "value": number(b), "units": c, "id": d} for a, b, c, d in groups]}


READERS: dict[str, tuple[int, Callable[[tuple[str, ...]], Fields]]] = {
    "RMC": (RMC_FIELDS_MIN, _rmc),
    "GGA": (9, _gga),
    "GLL": (6, _gll),
    "VTG": (5, _vtg),
    "GSA": (17, _gsa),
    "GSV": (3, _gsv),
    "ZDA": (4, _zda),
    "GST": (8, _gst),
    "TXT": (4, _txt),
    "ALR": (4, _alr),
    "HBT": (3, _hbt),
    "XDR": (4, _xdr),
}


def read_fields(sentence: Sentence) -> Fields | None:
    """The values of a sentence; None when it is cut short, {} when its type is not read."""
    if sentence.talker == "P" or sentence.enclosed:
        return {}
    least, reader = READERS.get(sentence.type, (0, None))
    if reader is None:
        return {}
    return reader(sentence.fields) if len(sentence.fields) >= least else None
