"""Frames of MEOKON wireless terminals, protocol V3.0 (upward), read into plain values. What they mean: meokon.py.

    A5 5A | command 00 | length(2) | id(12 ASCII) | battery | signal dBm | interval s(2) | records n(2) | type | alarms
          | low limit(2) | high limit(2) | now(2) | time(4, UTC) | record(2) * n, oldest first | CRC(2) | 55 AA
Everything is big-endian; length counts the whole frame; the CRC is that of Modbus over everything before it. Battery:
bit 7 external supply, bits 4-0 steps of 5 %. Types 0, 1 and 2 are pressures with values of two bytes, as drawn; other
types have other values and are not read behind `alarms`.
"""

import re
from struct import Struct as Layout

from msgspec import Struct

from devices.framing import Cut, crc16

MARK, END = b"\xa5\x5a", b"\x55\xaa"
HEAD = Layout(">2sBH12sBbHHBB")
PRESSURE = Layout(">hhhI")
TAIL_BYTES = 4
LENGTH_MIN, FRAME_BYTES_MAX = HEAD.size + TAIL_BYTES, 2_600
IDENTIFIER = re.compile(rb"[0-9A-Za-z]{12}")
NOISE = re.compile(rb"[^\xa5]+")
UPLOAD = 0
# Type -> name of the metric, size of one step, and how many digits behind the dot that makes.
TYPES = {0: ("pressure_kpa", 0.1, 1), 1: ("pressure_mpa", 0.001, 3), 2: ("pressure_kpa", 1.0, 0)}
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
    """Values are raw steps; None and () where the type is not read."""

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

    @property
    def alarm_names(self) -> list[str]:
        return [name for bit, name in enumerate(ALARMS) if self.alarms >> bit & 1]

    def value(self, raw: int) -> float:
        """In the unit of the type's metric."""
        _, step, digits = TYPES[self.type]
        return round(raw * step, digits)


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
    report = Report(id_.decode(), battery, signal, interval, count, type_, alarms)
    if type_ not in TYPES:
        return report
    start = HEAD.size + PRESSURE.size
    if len(frame) != start + 2 * count + TAIL_BYTES:
        return None
    low, high, now, epoch = PRESSURE.unpack_from(frame, HEAD.size)
    records = Layout(f">{count}h").unpack_from(frame, start)
    return Report(report.id, battery, signal, interval, count, type_, alarms, low, high, now, epoch, records)


def battery_percent(battery: int) -> float | None:
    """None on an external supply."""
    return None if battery & 0x80 else (battery & 31) * BATTERY_STEP_PERCENT


def write_frame(report: Report) -> bytes:
    """For simulators and tests."""
    count = len(report.records)
    length = HEAD.size + PRESSURE.size + 2 * count + TAIL_BYTES
    head = HEAD.pack(
        MARK,
        UPLOAD,
        length,
        report.id.encode(),
        report.battery,
        report.signal_dbm,
        report.interval_s,
        count,
        report.type,
        report.alarms,
    )
    body = head + PRESSURE.pack(report.low, report.high, report.now, report.epoch)
    body += Layout(f">{count}h").pack(*report.records)
    return body + crc16(body, 0xFFFF).to_bytes(2) + END
