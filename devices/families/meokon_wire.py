"""Frames of MEOKON wireless terminals, protocol V3.0 (upward), read into plain values. What they mean: meokon.py.

    A5 5A | command 00 | length(2) | id(12 ASCII) | battery | signal dBm | interval s(2) | records n(2) | type | alarms
          | low limit(2) | high limit(2) | now(2) | time(4, UTC) | record(2) * n, oldest first | CRC(2) | 55 AA
The other generation has `interval s(2) | records n(1) | type | digits | alarms` in the place of `interval` to `alarms`:
which of the two a frame is, its length says. Values then have so many digits behind the dot, in the type's unit.
Everything is big-endian; length counts the whole frame; the CRC is that of Modbus over everything before it. Battery:
bit 7 external supply, bits 4-0 steps of 5 %. Types 0, 1 and 2 are pressures with values of two bytes, as drawn; other
types have other values and are not read behind `alarms`.
"""

import re
from struct import Struct as Layout

from msgspec import Struct
from msgspec.structs import replace

from devices.framing import Cut, crc16

MARK, END = b"\xa5\x5a", b"\x55\xaa"
HEAD = Layout(">2sBH12sBbHHBB")
HEAD_WITH_DIGITS = Layout(">2sBH12sBbHBBBB")
PRESSURE = Layout(">hhhI")
TAIL_BYTES = 4
LENGTH_MIN, FRAME_BYTES_MAX = HEAD.size + TAIL_BYTES, 2_600
IDENTIFIER = re.compile(rb"[0-9A-Za-z]{12}")
NOISE = re.compile(rb"[^\xa5]+")
UPLOAD = 0
# Type -> name of the metric, its size in the type's unit (kPa, MPa, bar), and how many digits are behind the dot.
TYPES = {0: ("pressure_kpa", 1, 1), 1: ("pressure_mpa", 1, 3), 2: ("pressure_kpa", 100, 2)}
DIGITS_MAX = 4
BATTERY_STEP_PERCENT = 5
ALARMS = (
    "pressure_low",
    "pressure_high",
    "battery_low",
    "sensor_fault",
    "hardware_fault",
    "second_low",
    "second_high",
    "third_alarm",
)


class Report(Struct, frozen=True):
    """Values are raw steps; None and () where the type is not read. `digits`: None where the type says it."""

    id: str
    battery: int
    signal_dbm: int
    interval_s: int
    record_count: int
    type: int
    alarms: int
    low: int | None = None
    high: int | None = None
    now: int | None = None
    epoch: int = 0
    records: tuple[int, ...] = ()
    digits: int | None = None

    @property
    def alarm_names(self) -> list[str]:
        return [name for bit, name in enumerate(ALARMS) if self.alarms >> bit & 1]

    def value(self, raw: int) -> float:
        """In the unit of the type's metric."""
        _, size, usual = TYPES[self.type]
        digits = usual if self.digits is None else self.digits
        return round(raw * size / 10.0**digits, digits)


def cut(buffer: bytes, final: bool) -> Cut:
    if buffer[0] != MARK[0]:
        noise = NOISE.match(buffer)
        return Cut(noise.end() if noise else 1, reason="start mark missing")
    if len(buffer) < 5:
        return Cut(1, reason="frame incomplete") if final else Cut(0)
    length = int.from_bytes(buffer[3:5])
    if not buffer.startswith(MARK) or not LENGTH_MIN <= length <= FRAME_BYTES_MAX:
        return Cut(1, reason="start mark missing")
    if len(buffer) < length:
        return Cut(1, reason="frame incomplete") if final else Cut(0)
    frame = buffer[:length]
    if not frame.endswith(END) or crc16(frame[:-TAIL_BYTES], 0xFFFF) != int.from_bytes(frame[-4:-2]):
        return Cut(len(MARK), reason="checksum wrong")
    return Cut(length, frame=frame)


def read_report(frame: bytes) -> Report | None:
    """A frame as the cutter gave it; None when it is no upload or its parts do not fit."""
    _, command, _, id_, battery, signal, interval, count, type_, alarms = HEAD.unpack_from(frame)
    if command != UPLOAD or not IDENTIFIER.fullmatch(id_):
        return None
    start, digits = HEAD.size + PRESSURE.size, None
    held = len(frame) - start - TAIL_BYTES
    *_, short_count, other_type, told, other_alarms = HEAD_WITH_DIGITS.unpack_from(frame)
    if held == 2 * short_count != 2 * count and other_type in TYPES:
        if told > DIGITS_MAX:
            return None
        count, type_, digits, alarms = short_count, other_type, told, other_alarms
    report = Report(id_.decode(), battery, signal, interval, count, type_, alarms, digits=digits)
    if type_ not in TYPES:
        return report
    if held != 2 * count:
        return None
    low, high, now, epoch = PRESSURE.unpack_from(frame, HEAD.size)
    return replace(
        report, low=low, high=high, now=now, epoch=epoch, records=Layout(f">{count}h").unpack_from(frame, start)
    )


def battery_percent(battery: int) -> float | None:
    """None on an external supply."""
    return None if battery & 0x80 else (battery & 31) * BATTERY_STEP_PERCENT


def write_frame(report: Report) -> bytes:
    """For simulators and tests."""
    count = len(report.records)
    length = HEAD.size + PRESSURE.size + 2 * count + TAIL_BYTES
    layout, told = (HEAD, ()) if report.digits is None else (HEAD_WITH_DIGITS, (report.digits,))
    head = layout.pack(
        MARK,
        UPLOAD,
        length,
        report.id.encode(),
        report.battery,
        report.signal_dbm,
        report.interval_s,
        count,
        report.type,
        *told,
        report.alarms,
    )
    body = head + PRESSURE.pack(report.low, report.high, report.now, report.epoch)
    body += Layout(f">{count}h").pack(*report.records)
    return body + crc16(body, 0xFFFF).to_bytes(2) + END
