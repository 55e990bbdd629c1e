"""Positions of radios, handhelds, routers and vehicles as NMEA 0183 sentences. Sentences: nmea_wire.py. Nothing is
answered: these devices expect nothing.

Which device: the identifier in front of the sentence (or an IMEI behind its checksum), else the one that the last
log-in line of this link named, else the setting `device`, else the talker ("GP"): one receiver on a link of its own.

What it means
- RMC is a Position; satellites and altitude come from the GGA of the same second before it. GGA and GLL are Positions
  only where no RMC came from this device for RMC_LEADS_S: a receiver tells one fix three times.
- A fix is status A (quality above 0) and mode not N. The navigation status is not looked at: receivers without
  integrity send V with a perfect fix. No fix, or 0/0, is a sign of life without a Position.
- GGA: satellites. XDR: temperature, humidity, air pressure by transducer. ALR: a `fault` Alarm of that number, raised
  (condition A) or ended (V). HBT and log-in lines are signs of life. All else is read by receivers, not by us.
- Flags: `no_checksum`; `weak_fix` (fewer than 4 satellites or HDOP above 10); `jump` (more than 1,200 km/h since the
  fix before). The datum is WGS-84.
- Times are UTC. GGA, GLL and ALR have no date: the nearest such time to receiving (in recordings, which `any_time`
  says, the date of the last RMC or ZDA). A date that is exactly 1024 or 2048 weeks old is an old receiver's counter:
  corrected, flagged `week_rollover`.
A wrong checksum is refused (quirk `edited`: the source changes sentences and keeps the checksum); a missing one is
accepted and flagged. There is no authentication: anyone who reaches the link can be any enrolled device.
"""

from collections.abc import Container
from datetime import UTC, date, datetime, time, timedelta
from math import cos, hypot, radians

from msgspec import Struct

from devices.dictionary import in_range
from devices.families import nmea_wire as wire
from devices.families.nmea_wire import Fields, Sentence
from devices.family import Example, Family
from devices.framing import Framer, cut_line
from devices.local_time import hour_of_doubt, observed
from devices.observation import (
    TEXT_CHARS_MAX,
    Alarm,
    Body,
    DeviceId,
    Observation,
    Position,
    Rejected,
    Result,
    Telemetry,
    digest,
    rejected,
)

DEVICES_MAX = 1_000  # of one link, remembered
RMC_LEADS_S = 30
KMH_OF_KNOT = 1.852
SATELLITES_MIN, HDOP_MAX = 4, 10.0
JUMP_KMH, JUMP_M_MIN = 1_200.0, 500.0
METRES_OF_DEGREE = 111_195.0
HALF_DAY, DAY = timedelta(hours=12), timedelta(days=1)
WEEKS = timedelta(weeks=1024)
YEAR_MAX = 9_900  # the calendar ends in 9999
ROLLOVER_WITHIN = timedelta(days=2)
ALTITUDE_M = (-1_000.0, 20_000.0)
SPEED_KMH_MAX = 1_500.0

# XDR (type, units) -> metric and factor.
TRANSDUCERS = {
    ("C", "C"): ("temperature_c", 1.0),
    ("H", "P"): ("humidity_percent", 1.0),
    ("P", "B"): ("pressure_kpa", 100.0),
    ("P", "P"): ("pressure_kpa", 0.001),
}


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`device`: native id for lines that name none. `edited`: quirk of sources that change sentences and keep their
    checksums: wrong ones are accepted and flagged. `any_time`: impossible times are flagged, but kept."""

    device: str = ""
    edited: bool = False
    any_time: bool = False


class Fix(Struct, frozen=True):
    at: datetime
    longitude: float
    latitude: float


class Known(Struct):
    """What is remembered of one device."""

    day: date | None = None
    rmc_at: datetime | None = None  # when its last RMC came
    gga: Fields = {}
    fix: Fix | None = None


class Report(Struct, frozen=True):
    """A sentence's common part while it is read."""

    device: DeviceId
    sentence: Sentence
    fields: Fields
    known: Known
    flags: tuple[str, ...]
    now: datetime


class Session:
    """See devices.family.Session."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._framer = Framer(cut_line, wire.FRAME_BYTES_MAX)
        self._unit = ""  # named by the last log-in line
        self._known: dict[str, Known] = {}

    def receive(self, data: bytes, now: datetime) -> list[Result]:
        return self._read(self._framer.feed(data), now)

    def idle(self, now: datetime) -> list[Result]:
        return self._read(self._framer.idle(), now)

    def to_send(self) -> bytes:
        return b""

    def _read(self, pieces: list[bytes | Rejected], now: datetime) -> list[Result]:
        found: list[Result] = []
        for piece in pieces:
            found.extend([piece] if isinstance(piece, Rejected) else self._line(piece, now))
        return found

    def _line(self, line: bytes, now: datetime) -> list[Result]:
        if unit := wire.read_login(line):
            self._unit = unit
            device = DeviceId(f"nmea:{unit}")
            return [_heard(device, now) if unit in self._enrolled else rejected("not enrolled", line, device)]
        sentence = wire.read_sentence(line)
        if sentence is None:
            return [rejected("no sentence", line)]
        native_id = sentence.identifier or self._unit or self._settings.device or sentence.talker
        device = DeviceId(f"nmea:{native_id}")
        if sentence.check and not sentence.check_ok and not self._settings.edited:
            return [rejected("checksum wrong", line)]
        if native_id not in self._enrolled:
            return [rejected("not enrolled", line, device)]
        fields = wire.read_fields(sentence)
        if fields is None:
            return [rejected("sentence cut short", line, device)]
        flags = () if sentence.check_ok else ("no_checksum",)
        return self._meaning(Report(device, sentence, fields, self._of(native_id), flags, now), line)

    def _of(self, native_id: str) -> Known:
        known = self._known.get(native_id)
        if known is None:
            if len(self._known) >= DEVICES_MAX:
                del self._known[next(iter(self._known))]
            known = self._known[native_id] = Known()
        return known

    def _meaning(self, report: Report, line: bytes) -> list[Result]:
        kind, fields, known = report.sentence.type, report.fields, report.known
        if not fields:
            return []  # not read, or a maker's own, whatever it is called
        if fields.get("date"):
            known.day = fields["date"]
        if kind == "RMC":
            known.rmc_at = report.now
        if kind in ("RMC", "GGA", "GLL"):
            return self._fix(report, line)
        if kind == "ALR":
            return [self._observation(report, line, _fault(fields))]
        if kind == "XDR":
            return [self._observation(report, line, body) for body in _transducers(fields)]
        return [_heard(report.device, report.now)] if kind == "HBT" else []

    def _fix(self, report: Report, line: bytes) -> list[Result]:
        fields, known = report.fields, report.known
        second_telling = report.sentence.type != "RMC" and _led(known, report.now)
        if report.sentence.type == "GGA":
            known.gga = fields
        if second_telling:
            return []
        if report.sentence.type == "RMC" and known.gga.get("time") == fields["time"] is not None:
            fields = {**known.gga, **fields}
        bodies: list[Body] = []
        if fields["fix_valid"] and (fields["latitude"] or fields["longitude"]):
            if fields["latitude"] is None or fields["longitude"] is None:
                return [rejected("position unreadable", line, report.device)]
            bodies.append(_place(fields))
        satellites = fields.get("satellites")
        if satellites is not None:
            bodies.append(Telemetry({"gnss_satellites": satellites}))
        elif not bodies:
            bodies.append(Telemetry({}))
        return [self._observation(report, line, body, number, fields) for number, body in enumerate(bodies)]

    def _observation(
        self, report: Report, line: bytes, body: Body, number: int = 0, fields: Fields | None = None
    ) -> Observation:
        claimed, more = _claimed(report, self._settings.any_time)
        at, flags = observed(claimed, report.now, self._settings.any_time) if claimed else (report.now, ())
        if isinstance(body, Position):
            flags += _doubts(report.known, fields or {}, Fix(at, body.longitude, body.latitude))
        name = digest(report.device.encode(), line, hour_of_doubt(claimed, report.now))
        return Observation(
            device=report.device,
            observed_at=at,
            received_at=report.now,
            body=body,
            frame_id=f"{name}.{number}" if claimed else "",
            flags=(*report.flags, *more, *flags),
        )


def _heard(device: DeviceId, now: datetime) -> Observation:
    """A sign of life."""
    return Observation(device=device, observed_at=now, received_at=now, body=Telemetry({}))


def _led(known: Known, now: datetime) -> bool:
    return known.rmc_at is not None and (now - known.rmc_at).total_seconds() < RMC_LEADS_S


def _claimed(report: Report, recorded: bool) -> tuple[datetime | None, tuple[str, ...]]:
    """When the sentence says it was, and flags; None when it has no time."""
    clock: time | None = report.fields.get("time")
    if clock is None:
        return None, ()
    day = report.fields.get("date")
    if not day:
        if recorded and report.known.day:
            return datetime.combine(report.known.day, clock, UTC), ()
        return _near(datetime.combine(report.now.date(), clock, UTC), report.now), ()
    claimed = datetime.combine(day, clock, UTC)
    for weeks in (WEEKS, 2 * WEEKS):
        if abs(report.now - claimed - weeks) <= ROLLOVER_WITHIN and claimed.year < YEAR_MAX:
            return claimed + weeks, ("week_rollover",)
    return claimed, ()


def _near(claimed: datetime, now: datetime) -> datetime:
    """The same time of day, nearest to now: midnight may lie between."""
    try:
        for day in (claimed, claimed - DAY, claimed + DAY):
            if abs(now - day) <= HALF_DAY:
                return day
    except OverflowError:
        return claimed
    return claimed


def _doubts(known: Known, fields: Fields, fix: Fix) -> tuple[str, ...]:
    before, known.fix = known.fix, fix
    satellites, hdop = fields.get("satellites"), fields.get("hdop")
    weak = (satellites is not None and satellites < SATELLITES_MIN) or (hdop is not None and hdop > HDOP_MAX)
    return (("weak_fix",) if weak else ()) + (("jump",) if before and _jumped(before, fix) else ())


def _jumped(before: Fix, fix: Fix) -> bool:
    east = (fix.longitude - before.longitude + 180) % 360 - 180
    metres = METRES_OF_DEGREE * hypot(east * cos(radians(fix.latitude)), fix.latitude - before.latitude)
    hours = abs((fix.at - before.at).total_seconds()) / 3600
    return metres > JUMP_M_MIN and metres / 1000 > JUMP_KMH * hours


def _place(fields: Fields) -> Position:
    speed, course, altitude = fields.get("speed_knots"), fields.get("course"), fields.get("altitude_m")
    kmh = speed * KMH_OF_KNOT if speed is not None else None
    return Position(
        longitude=fields["longitude"],
        latitude=fields["latitude"],
        altitude_m=altitude if altitude is not None and ALTITUDE_M[0] <= altitude <= ALTITUDE_M[1] else None,
        speed_kmh=kmh if kmh is not None and 0 <= kmh <= SPEED_KMH_MAX else None,
        course_deg=course % 360 if course is not None else None,
        satellites=fields.get("satellites"),
    )


def _fault(fields: Fields) -> Alarm:
    return Alarm(
        kind="fault",
        raised=fields["condition"] == "A",
        component=fields["alarm_number"][:TEXT_CHARS_MAX],
        description=fields["text"][:TEXT_CHARS_MAX],
    )


def _transducers(fields: Fields) -> list[Body]:
    found: list[Body] = []
    for one in fields["transducers"]:
        metric, factor = TRANSDUCERS.get((one["type"], one["units"]), ("", 0.0))
        if metric and one["value"] is not None and in_range(metric, one["value"] * factor):
            found.append(Telemetry({metric: one["value"] * factor}, one["id"][:TEXT_CHARS_MAX]))
    return found


FAMILY = Family(
    name="nmea",
    title="Positions of radios, handhelds and vehicles, NMEA 0183",
    native_id="the identifier in front of the sentence, that of the log-in line, or the setting `device`",
    example=Example("4711", {"port": 10110}),
    links=("tcp_server", "tcp_client", "udp_server", "serial"),
    integrity="exclusive or of the characters, where a sentence has it",
    frame_bytes_max=wire.FRAME_BYTES_MAX,
    silence_s_max=180,
    settings=Settings,
    open_session=Session,
)
