"""TETRA short data as a terminal's PEI (AT commands on a serial port) prints it, and location reports in it (LIP, ETSI
EN 300 392-18-1). What they mean stands in tetra.py.

    +CTSDSR: service,[calling],[type],[called],[type],bits CR LF hex digits CR LF     service 12: SDS type 4, 13: status
    +CTICN: instance,status,service,[type],[calling],...,[priority]                   an incoming call
SDS type 4: protocol(8) | [SDS-TL header, protocols from 0x80 on] | content
    SDS-TL: type(4)=0 TRANSFER, report wanted(2) selection(1) storage(1) reference(8)
            type(4)=1 REPORT, acknowledgement wanted(1) reserved(2) storage(1) delivery status(8) reference(8)
LIP short report, 76 bits:
    type(2)=0 elapsed(2) longitude(25) latitude(24) error(3) speed(7) direction(4) kind(1) additional(8)
LIP immediate report request: type(2)=1 extension(4)=1 response(1)=0 report type(2)=3 (short) destination(4)=0 (none);
    one who will not answers with response(1)=1 result(8)
"""

import re

from msgspec import Struct

SDS, STATUS = 12, 13
TEXT, LOCATION_SYSTEM, LIP = 0x02, 0x03, 0x0A
TL = 0x80
# Protocol identifier with SDS-TL -> what it carries. 0x83 is what most terminals send for LIP.
CARRIED = {0x82: TEXT, 0x83: LIP, 0x8A: LIP}
TRANSFER, REPORT = 0, 1
DELIVERED_MAX = 0x1F  # delivery status up to here: it arrived
UCS2, LATIN = 0x1A, 0x01
TEXT_BYTES_MAX = 200
LINE_BYTES_MAX = 4_096
# Pass on: LIP without and with SDS-TL, text, status.
SET_UP = (b"AT+CTSP=1,3,10\r\n", b"AT+CTSP=1,3,131\r\n", b"AT+CTSP=1,3,130\r\n", b"AT+CTSP=1,2,20\r\n")
RESULT = re.compile(r"OK|ERROR|\+CM[ES] ERROR:.{0,80}", re.ASCII)

SHORT_BITS = 76
ERRORS = ("<2m", "<20m", "<200m", "<2km", "<20km", "<=200km", ">200km", "unknown")
ERROR_M = (2.0, 20.0, 200.0, 2_000.0, 20_000.0, 200_000.0, None, None)
UNKNOWN_SPEED, LINEAR_SPEEDS = 127, 29
LOCATION_REQUEST = bytes((LIP, 0b01_0001_0_1, 0b1_0000_000))

DATA_HEAD = re.compile(r"\+CTSDSR: *(?P<fields>[0-9A-Za-z,+ ]{1,120})", re.ASCII)
CALL = re.compile(r"\+CTICN: *(?P<fields>[0-9A-Za-z,+ ]{1,200})", re.ASCII)
CALL_FIELDS, CALL_PRIORITY_AT, CALL_CALLING_AT = 13, 12, 4
HEX = re.compile(r"[0-9A-Fa-f]+", re.ASCII)
# What a terminal prints besides: results, echoes, other indications.
QUIET = re.compile(r"OK|ERROR|RING|AT.{0,80}|\+C(?!TSDSR|TICN)[A-Z]{2,6}:?.{0,200}", re.ASCII)
# A whole identity: country(4) network(5) number(8); a short one is the number alone.
WHOLE_IDENTITY = re.compile(r"(?P<mcc>\d{4})(?P<mnc>\d{5})(?P<issi>\d{8})", re.ASCII)
ISSI_MAX = 0xFFFFFF


class Head(Struct, frozen=True):
    """The line in front of the data. `calling` as it is printed."""

    service: int
    calling: str
    bits: int


class Sds(Struct, frozen=True):
    """SDS type 4. `protocol` is what is carried, `identifier` the byte that said so; `reference` -1: without SDS-TL."""

    identifier: int
    protocol: int
    message_type: int
    report_wanted: bool
    reference: int
    content: bytes
    status: int = 0  # of a REPORT


class ShortReport(Struct, frozen=True):
    elapsed: int  # 0 up to 5 s, 1 up to 5 minutes, 2 up to 30 minutes, 3 unknown
    longitude: float
    latitude: float
    error: int
    speed_kmh: float | None
    course_deg: float
    user_defined: bool
    additional: int


def read_head(line: str) -> Head | None:
    found = DATA_HEAD.fullmatch(line)
    fields = [field.strip() for field in found["fields"].split(",")] if found else []
    if len(fields) < 3 or not fields[0].isdigit() or not fields[-1].isdigit() or len(fields[-1]) > 5:
        return None
    return Head(int(fields[0]), fields[1], int(fields[-1]))


def read_call(line: str) -> tuple[str, int] | None:
    """Who calls, and the priority (15: emergency); None when the line is no incoming call or does not say."""
    found = CALL.fullmatch(line)
    fields = [field.strip() for field in found["fields"].split(",")] if found else []
    if len(fields) != CALL_FIELDS or not re.fullmatch(r"\d{1,2}", fields[CALL_PRIORITY_AT], re.ASCII):
        return None
    return fields[CALL_CALLING_AT], int(fields[CALL_PRIORITY_AT])


def read_identity(text: str, mcc: str, mnc: str) -> str:
    """The number, with its network in front when that is not ours (mcc, mnc); "" for what is none."""
    whole = WHOLE_IDENTITY.fullmatch(text)
    number = whole["issi"] if whole else text
    if not (number.isascii() and number.isdigit() and len(number) <= 8 and 0 < int(number) <= ISSI_MAX):
        return ""
    short = str(int(number))
    if whole is None or (int(whole["mcc"]), int(whole["mnc"])) == (int(mcc or 0), int(mnc or 0)):
        return short
    return f"{int(whole['mcc'])}-{int(whole['mnc'])}-{short}"


def read_hex(line: str) -> bytes | None:
    """The data line; the last half byte may be missing. None when it is none."""
    return bytes.fromhex(line + "0" * (len(line) % 2)) if HEX.fullmatch(line) else None


def read_sds(data: bytes) -> Sds | None:
    """None when it is cut short."""
    if not data:
        return None
    if data[0] < TL:
        return Sds(data[0], data[0], TRANSFER, False, -1, data[1:])
    if len(data) < 3:
        return None
    message_type, wanted = data[1] >> 4, data[1] >> 2 & 3
    protocol = CARRIED.get(data[0], data[0])
    if message_type == REPORT:
        return Sds(data[0], protocol, REPORT, False, data[3], b"", data[2]) if len(data) > 3 else None
    return Sds(data[0], protocol, message_type, message_type == TRANSFER and wanted > 0, data[2], data[3:])


def read_short_report(content: bytes) -> ShortReport | None:
    """None when it is another LIP document, or cut short."""
    if len(content) * 8 < SHORT_BITS:
        return None
    bits = int.from_bytes(content[: (SHORT_BITS + 7) // 8]) >> -SHORT_BITS % 8
    at = SHORT_BITS

    def take(count: int) -> int:
        nonlocal at
        at -= count
        return bits >> at & (1 << count) - 1

    if take(2):
        return None
    elapsed, longitude, latitude = take(2), _signed(take(25), 25), _signed(take(24), 24)
    error, speed, course, kind, additional = take(3), take(7), take(4), take(1), take(8)
    return ShortReport(
        elapsed=elapsed,
        longitude=longitude * 360 / 2**25,
        latitude=latitude * 180 / 2**24,
        error=error,
        speed_kmh=_speed(speed),
        course_deg=course * 22.5,
        user_defined=bool(kind),
        additional=additional,
    )


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


def _speed(step: int) -> float | None:
    """km/h up to 28, then each step 3.8 % more."""
    if step == UNKNOWN_SPEED:
        return None
    return float(step) if step < LINEAR_SPEEDS else float(16 * 1.038 ** (step - 13))


def read_text(content: bytes) -> str:
    """Text behind its coding scheme byte (bit 7: a time stamp of 3 bytes follows)."""
    if not content:
        return ""
    start = 4 if content[0] & 0x80 else 1
    encoding = "utf-16-be" if content[0] & 0x7F == UCS2 else "latin-1"
    return content[start:].decode(encoding, "replace").replace("\0", "")


def read_refusal(content: bytes) -> int:
    """The result of an immediate report request that is answered without a report; 0 for anything else."""
    head = int.from_bytes(content[:2].ljust(2, b"\0"))
    return head >> 1 & 0xFF if head >> 9 == 0b01_0001_1 else 0


def write_location_request(to: str) -> bytes:
    return _sent(to, LOCATION_REQUEST)


def write_report(to: str, sds: Sds) -> bytes:
    """SDS-REPORT "received" for a TRANSFER, as the AT command that sends it; `to` as it was printed."""
    return _sent(to, bytes((sds.identifier, REPORT << 4, 0, sds.reference)))


def write_text(to: str, reference: int, text: str) -> bytes | None:
    """A TRANSFER of text that asks for a report of its arrival; None when it is too long for one message."""
    try:
        content = bytes((LATIN,)) + text.encode("latin-1")
    except UnicodeEncodeError:
        content = bytes((UCS2,)) + text.encode("utf-16-be")
    if not text or len(content) > TEXT_BYTES_MAX:
        return None
    return _sent(to, bytes((TL | TEXT, TRANSFER << 4 | 1 << 2, reference)) + content)


def _sent(to: str, data: bytes) -> bytes:
    return b"AT+CMGS=%b,%d\r\n%b\x1a" % (to.encode(), len(data) * 8, data.hex().upper().encode())
