"""Positions and weather of APRS packets (APRS Protocol Reference 1.0.1, chapters 6 to 12), read into plain values.

    plain       ddmm.mmN T dddmm.mmW S [ccc/sss | PHG.... | RNG....] comment     T symbol table, S symbol
    compressed  T YYYY XXXX S cs t comment                                        base 91
    Mic-E       the six characters of the destination: latitude, message, hemisphere; then lll sss S T comment
    comment     /A=feet   !DAO! more digits   |telemetry in base 91|
Spaces in place of digits are ambiguity: the middle of the box is meant. Names and units of the values are those of the
shared vectors: km/h, metres, degrees Celsius, hPa, mm.
"""

import re
from typing import Any

KMH_OF_KNOT, M_OF_FOOT, KM_OF_MILE, KMH_OF_M_S = 1.852, 0.3048, 1.609344, 3.6
MM_OF_INCH, M_S_OF_MPH = 25.4, 0.44704
PLAIN = re.compile(
    r"(?P<lat>\d\d[\d ]{2}\.[\d ]{2})(?P<ns>[NSns])(?P<table>[/\\0-9A-Z])"
    r"(?P<lon>\d\d\d[\d ]{2}\.[\d ]{2})(?P<ew>[EWew])(?P<symbol>[!-~])",
    re.ASCII,
)
COMPRESSED = re.compile(
    r"(?P<table>[/\\A-Za-j])(?P<lat>[!-|]{4})(?P<lon>[!-|]{4})(?P<symbol>[!-~])(?P<cs>[ -{]{2})(?P<t>.)"
)
AMBIGUITIES = frozenset({"    ", "   ", "  ", " ", ""})
COURSE_SPEED = re.compile(
    r"(?P<course>\d{3}| {3}|\.{3})/(?P<speed>\d{3}| {3}|\.{3})(?:/(?P<bearing>\d{3})/(?P<nrq>\d{3}))?",
    re.ASCII,
)
RANGE = re.compile(r"(?:PHG(?P<phg>\d[!-~]\d{2})|RNG(?P<rng>\d{4}))", re.ASCII)
ALTITUDE = re.compile(r"/A=(-\d{5}|\d{6})", re.ASCII)
TELEMETRY = re.compile(r"\|([!-{]{4,14})\|")
DAO = re.compile(r"!([\x21-\x7b])([\x20-\x7b])([\x20-\x7b])!")
WEATHER = re.compile(r"(?P<what>[csgtrpPhbLl#])(?P<value>\d{2,5}|-\d{1,2}|[. ]{2,5})", re.ASCII)
# Letter -> name, digits, how it becomes a value.
WEATHER_FIELDS: dict[str, tuple[str, int]] = {
    "c": ("wind_direction", 3),
    "s": ("wind_speed", 3),
    "g": ("wind_gust", 3),
    "t": ("temperature", 3),
    "r": ("rain_1h", 3),
    "p": ("rain_24h", 3),
    "P": ("rain_since_midnight", 3),
    "h": ("humidity", 2),
    "b": ("pressure", 5),
    "L": ("luminosity", 3),
    "l": ("luminosity", 3),
    "#": ("rain_raw", 3),
}
MIC_E = re.compile(r"[0-9A-LP-Z]{3}[0-9LP-Z]{3}", re.ASCII)
MIC_E_TYPES = (
    "Emergency",
    "M6: Priority",
    "M5: Special",
    "M4: Committed",
    "M3: Returning",
    "M2: In Service",
    "M1: En Route",
    "M0: Off Duty",
)
CUSTOM_TYPES = (
    "Emergency",
    "C6: Custom-6",
    "C5: Custom-5",
    "C4: Custom-4",
    "C3: Custom-3",
    "C2: Custom-2",
    "C1: Custom-1",
    "C0: Custom-0",
)
MIC_E_ALTITUDE = re.compile(r"([!-{]{3})\}")

Fields = dict[str, Any]


def read_position(text: str) -> Fields | None:
    """A plain or compressed position and what stands behind it; None when there is none."""
    found = PLAIN.match(text)
    if found:
        return _plain(found, text[found.end() :])
    found = COMPRESSED.match(text)
    return _compressed(found, text[found.end() :]) if found else None


# --- plain ---


def _plain(found: re.Match[str], rest: str) -> Fields | None:
    latitude = _degrees(found["lat"], found["ns"].upper() == "S", 90)
    longitude = _degrees(found["lon"], found["ew"].upper() == "W", 180)
    if latitude is None or longitude is None or latitude[1] != longitude[1]:
        return None
    fields: Fields = {
        "format": "uncompressed",
        "posambiguity": latitude[1],
        "symbol": found["symbol"],
        "symbol_table": found["table"],
        "latitude": latitude[0],
        "longitude": longitude[0],
    }
    extension, rest = _extension(rest)
    fields |= extension
    if found["symbol"] == "_":
        weather, rest = read_weather(rest, wind_told="speed" in fields)
        fields["weather"] = _wind(fields) | weather
    return fields | read_comment(fields, rest)


def _wind(fields: Fields) -> Fields:
    """A weather station does not move: its course and speed are the wind's."""
    found: Fields = {"wind_direction": fields["course"]} if "course" in fields else {}
    return found | ({"wind_speed": fields["speed"] / KMH_OF_M_S} if "speed" in fields else {})


def _degrees(text: str, negative: bool, limit: int) -> tuple[float, int] | None:
    """Signed degrees and how many digits were left out, from the back."""
    degrees, digits = text[:-5], text[-5:].replace(".", "")
    known = digits.rstrip(" ")
    if " " in known or not degrees.isdigit():
        return None
    minutes = float((known + ("5" if len(known) in (1, 3) else "")).ljust(4, "0")) / 100
    if not known:
        minutes = 30.0
    elif len(known) == 2:
        minutes += 0.5
    value = int(degrees) + minutes / 60
    if minutes >= 60 or value > limit:
        return None
    return -value if negative else value, 4 - len(known)


def _extension(rest: str) -> tuple[Fields, str]:
    if found := COURSE_SPEED.match(rest):
        fields: Fields = {}
        if found["course"].isdigit() and 1 <= int(found["course"]) <= 360:
            fields["course"] = int(found["course"])
        if found["speed"].isdigit():
            fields["speed"] = int(found["speed"]) * KMH_OF_KNOT
        if found["bearing"]:
            fields |= {"bearing": int(found["bearing"]), "nrq": int(found["nrq"])}
        return fields, rest[found.end() :]
    if found := RANGE.match(rest):
        if found["phg"]:
            return {"phg": found["phg"]}, rest[found.end() :]
        return {"rng": int(found["rng"]) * KM_OF_MILE}, rest[found.end() :]
    return {}, rest


def read_weather(text: str, wind_told: bool = False) -> tuple[Fields, str]:
    """What was measured, and the text behind it. Dots and spaces: not measured.

    The letter s is the wind's speed; once that was told (before the text, too: `wind_told`) it is snow.
    """
    fields: Fields = {}
    at = 0
    while found := WEATHER.match(text, at):
        name, digits = WEATHER_FIELDS[found["what"]]
        raw = found["value"][:digits]
        if len(raw) < digits and not raw.startswith("-"):
            break
        at += 1 + len(raw)
        if not raw.lstrip("-").isdigit():
            continue
        if found["what"] == "s" and (wind_told or name in fields):
            fields["snow"] = int(raw) * MM_OF_INCH
        else:
            fields[name] = _weather_value(found["what"], int(raw))
    return fields, text[at:]


def _weather_value(what: str, raw: int) -> float:
    if what in "sg":
        return raw * M_S_OF_MPH
    if what == "t":
        return (raw - 32) / 1.8
    if what in "rpP":
        return raw * MM_OF_INCH / 100
    if what == "h":
        return raw or 100
    if what == "b":
        return raw / 10
    return raw + 1000 if what == "l" else raw


# --- compressed ---


def base91(text: str) -> int:
    value = 0
    for letter in text:
        value = value * 91 + ord(letter) - 33
    return value


def _compressed(found: re.Match[str], rest: str) -> Fields | None:
    latitude = 90 - base91(found["lat"]) / 380_926
    longitude = -180 + base91(found["lon"]) / 190_463
    if abs(latitude) > 90 or abs(longitude) > 180:
        return None
    fields: Fields = {
        "format": "compressed",
        "symbol": found["symbol"],
        "symbol_table": found["table"],
        "latitude": latitude,
        "longitude": longitude,
    }
    kind = ord(found["t"]) - 33
    first, second = (ord(letter) - 33 for letter in found["cs"])
    if first < 0:
        fields["gpsfixstatus"] = int(bool(kind >= 0 and kind & 0x20))
    elif second >= 0:
        if kind & 0x18 == 0x10:
            fields["altitude"] = 1.002 ** (first * 91 + second) * M_OF_FOOT
        elif found["cs"][0] == "{":
            fields["radiorange"] = 2 * 1.08**second * KM_OF_MILE
        elif first < 90:
            fields |= {"course": first * 4 or 360, "speed": (1.08**second - 1) * KMH_OF_KNOT}
    if found["symbol"] == "_":
        weather, rest = read_weather(rest, wind_told="speed" in fields)
        fields["weather"] = _wind(fields) | weather
    return fields | read_comment(fields, rest)


# --- the text behind a position ---


def read_comment(fields: Fields, text: str) -> Fields:
    """Altitude, more digits of the place and telemetry are taken out of it."""
    found: Fields = {}
    if altitude := ALTITUDE.search(text):
        found["altitude"] = int(altitude[1]) * M_OF_FOOT
        text = text[: altitude.start()] + text[altitude.end() :]
    telemetry = TELEMETRY.search(text)
    if telemetry and len(telemetry[1]) % 2 == 0:
        found["telemetry"] = _telemetry(telemetry[1])
        text = text[: telemetry.start()] + text[telemetry.end() :]
    if dao := DAO.search(text):
        found |= _more_digits(fields, dao)
        text = text[: dao.start()] + text[dao.end() :]
    return found | {"comment": text.strip()}


def _telemetry(text: str) -> Fields:
    numbers = [base91(text[at : at + 2]) for at in range(0, len(text), 2)]
    values, flags = (numbers[1:6] + [0] * 5)[:5], numbers[6] if len(numbers) > 6 else 0
    return {"seq": numbers[0], "vals": values, "bits": f"{flags & 0xFF:08b}"[::-1]}


def _more_digits(fields: Fields, dao: re.Match[str]) -> Fields:
    """Thousandths of a minute as digits (datum in upper case), or parts in base 91 (lower case)."""
    datum, *letters = dao.groups()
    if datum.isupper() and all(letter.isdigit() for letter in letters):
        parts = [int(letter) / 1000 for letter in letters]
    elif datum.islower() and "".join(letters) != "  ":
        parts = [max(base91(letter), 0) / 91 / 100 for letter in letters]
    else:
        return {"daodatumbyte": datum.upper()}
    moved = {
        name: fields[name] + (part / 60 if fields[name] >= 0 else -part / 60)
        for name, part in zip(("latitude", "longitude"), parts, strict=True)
    }
    return moved | {"daodatumbyte": datum.upper()}


# --- Mic-E ---


def read_mic_e(destination: str, text: str) -> Fields | None:
    """None when destination or text cannot be."""
    place = destination.partition("-")[0]
    codes = [ord(letter) - 28 for letter in text[:6]]
    if not MIC_E.fullmatch(place) or len(text) < 8 or min(codes) < 0:
        return None
    digits = "".join(_digit(letter) for letter in place)
    latitude = _degrees(f"{digits[:4]}.{digits[4:]}", place[3] in "0123456789L", 90)
    longitude = _mic_e_longitude(codes, place[4] >= "P", place[5] >= "P", 4 - len(digits[2:].rstrip(" ")))
    if latitude is None or longitude is None:
        return None
    speed = codes[3] * 10 + codes[4] // 10
    course = codes[4] % 10 * 100 + codes[5]
    course -= 400 if course >= 400 else 0
    fields: Fields = {
        "format": "mic-e",
        "symbol": text[6],
        "symbol_table": text[7],
        "posambiguity": latitude[1],
        "latitude": latitude[0],
        "longitude": longitude,
        "speed": (speed - 800 if speed >= 800 else speed) * KMH_OF_KNOT,
        **({"course": course} if course <= 360 else {}),
        **_mic_e_type(place[:3]),
    }
    return fields | _mic_e_comment(fields, text[8:])


def _digit(letter: str) -> str:
    """A digit of the latitude; K, L, Z: left out."""
    if letter in "KLZ":
        return " "
    return chr(ord(letter) - (17 if "A" <= letter <= "J" else 32 if letter >= "P" else 0))


def _mic_e_longitude(codes: list[int], hundred: bool, west: bool, ambiguity: int) -> float | None:
    degrees = codes[0] + (100 if hundred else 0)
    if 180 <= degrees <= 189:
        degrees -= 80
    elif 190 <= degrees <= 199:
        degrees -= 190
    minutes = codes[1] - 60 if codes[1] >= 60 else codes[1]
    if not (10 <= codes[0] <= 99 and degrees <= 179 and 10 <= codes[1] <= 69 and codes[2] <= 99):
        return None
    text = f"{degrees:03d}{minutes:02d}.{codes[2]:02d}"
    kept = text[3:5] + text[6:]
    kept = kept[: 4 - ambiguity].ljust(4)
    found = _degrees(f"{text[:3]}{kept[:2]}.{kept[2:]}", west, 180)
    return found[0] if found else None


def _mic_e_type(letters: str) -> Fields:
    """Three bits (2: a custom one, letters A to K), and what they say."""
    bits = "".join("0" if letter in "0123456789L" else "1" if letter >= "P" else "2" for letter in letters)
    names = CUSTOM_TYPES if "2" in bits else MIC_E_TYPES
    return {"mbits": bits, "mtype": names[int(bits.replace("2", "1"), 2)]}


def _mic_e_comment(fields: Fields, text: str) -> Fields:
    found: Fields = {}
    if altitude := MIC_E_ALTITUDE.search(text):
        found["altitude"] = base91(altitude[1]) - 10_000
        text = text[: altitude.start()] + text[altitude.end() :]
    return read_comment(fields, text) | found
