"""Elder and child bands of the "3G" family (SeTracker, Beesure, 4P-touch), over TCP. Frames: watch_wire.py.

What is answered: LK, AL…, INIT, TKQ, TKQ2, CONFIG and voice parts, with vendor, id and index as they came; a band
without answers reboots (LK) or repeats itself (AL).

What it means
- UD…, WT: a Position and the band's counters. V is no satellite fix: 0/0 is no position, anything else is approximate
  (`fix` "network"). 0/0 with a fix is none either.
- The status word's alarm bits are Alarms, in AL… and in UD… alike. AL… without any bit is `unspecified_alarm`: someone
  pressed something. An AL… with the alarms of the one before it, made and received within REPEAT of it, is the band
  that was not answered yet: answered again, no new Alarm.
- A fence that was left or entered is told once, though its bit stays set in the positions that follow.
- SOS and fall are never cleared by the band. `low_battery` and `off_wrist` are, by a later position without them; after
  a reconnect the first such position clears both.
- UD2 was kept while there was no network: flag BACKLOG.
- Zeros and unreadable numbers of health measurements are no measurement.
- Times of positions are UTC. What has no time, or an impossible one, is observed when it is received.

What a band can be asked, and how it answers: watch_commands.py.

There is no authentication in this protocol: bands are bound to enrolled ids, nothing more.
"""

from collections.abc import Container, Iterator
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct, field

from devices.asked import Asked, Waiting, until
from devices.dictionary import in_range
from devices.families import watch_commands as commands
from devices.families import watch_wire as wire
from devices.families.watch_wire import Fields, Frame
from devices.family import CommandRefused, DeviceCommand, Example, Family
from devices.framing import Framer
from devices.local_time import hour_of_doubt, observed
from devices.observation import (
    BACKLOG,
    Alarm,
    Body,
    CommandAnswer,
    DeviceId,
    Observation,
    Position,
    Rejected,
    Result,
    Telemetry,
    digest,
    rejected,
)

DEVICES_MAX = 10_000  # of one link, remembered for clearing and commands
KEPT = "UD2"
MEDIA = frozenset({"TK", "TK2", "img", "IMG"})
BATTERY_GOOD_PERCENT = 20
REPEAT = timedelta(seconds=60)
WORD_S_MAX = 15.0  # a band that has not sent the word back by then has not heard it
VOICE_PARTS_MAX = 9_999

KIND_OF_ALARM = {
    "sos": "sos",
    "fall": "fall",
    "removed": "off_wrist",
    "low_battery": "low_battery",
    "power_cut": "power_fault",
    "left_fence": "left_fence",
    "entered_fence": "entered_fence",
}
FENCES = frozenset({"left_fence", "entered_fence"})
CLEARED_BY_BAND = ("low_battery", "off_wrist")

# Health reports by type in lower case: metrics of the fields behind the type.
HEALTH: dict[str, tuple[str, ...]] = {
    "bphrt": ("systolic_mmhg", "diastolic_mmhg", "heart_rate_bpm"),
    "blood": ("systolic_mmhg", "diastolic_mmhg"),
    "heart": ("heart_rate_bpm",),
    "pulse": ("heart_rate_bpm",),
    "temp": ("body_temperature_c",),
    "btemp2": ("", "body_temperature_c"),
}
# What may stand in a Position; beyond it a band makes things up.
PLACE_RANGES = {
    "altitude_m": (-1_000, 20_000),
    "accuracy_m": (0, 100_000),
    "speed_kmh": (0, 1_500),
    "satellites": (0, 255),
}
LINK_METRICS = ("steps", "tumbles", "battery_percent")
POSITION_METRICS = {
    "battery_pct": "battery_percent",
    "steps": "steps",
    "tumbles": "tumbles",
    "gsm_signal": "cell_signal_percent",
}


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`strict_length`: frames whose length field is wrong are dropped (quirk of bands that send broken frames).
    `allow_monitor`: the command `monitor` may be given, which listens to a person unheard: only where the law and the
    wearer allow it. `any_time`: impossible times are flagged, but kept (recordings, `gridward decode`)."""

    strict_length: bool = False
    allow_monitor: bool = False
    any_time: bool = False


class Pressed(Struct, frozen=True):
    """The last AL… that became alarms."""

    kinds: frozenset[str]
    report: str
    claimed: datetime
    received: datetime


class Held(Struct):
    """What is remembered of one band: how it writes its frames, kinds that it may still have raised, its last AL…, and
    what its last report said of its fences."""

    vendor: str
    numbered: bool = False
    raised: set[str] = field(default_factory=lambda: set(CLEARED_BY_BAND))
    pressed: Pressed | None = None
    fences: frozenset[str] = frozenset()


class Session:
    """See devices.family.Session and Commanded."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._enrolled = enrolled
        self._any_time = settings.any_time
        self._may_monitor = settings.allow_monitor
        self._framer = Framer(wire.cutter(settings.strict_length), wire.FRAME_BYTES_MAX)
        self._replies: list[bytes] = []
        self._bands: dict[str, Held] = {}
        self._index = 0
        self._waiting: Waiting[tuple[str, str]] = Waiting()  # (id, word that comes back)
        self._accepted: Waiting[tuple[str, str]] = Waiting()  # (id, type of report that shows it done)

    def receive(self, data: bytes, now: datetime) -> list[Result]:
        return self._read(self._framer.feed(data), now)

    def idle(self, now: datetime) -> list[Result]:
        return self._read(self._framer.idle(), now)

    def to_send(self) -> bytes:
        replies, self._replies = b"".join(self._replies), []
        return replies

    def command(self, command: DeviceCommand, now: datetime) -> None:
        """See devices.family.Commanded."""
        band = self._bands.get(command.native_id)
        if band is None:
            raise CommandRefused(f"{command.native_id} has not shown itself on this link")
        if command.action == "monitor" and not self._may_monitor:
            raise CommandRefused("monitor: this link does not allow to listen to people (setting allow_monitor)")
        request = commands.request(command)
        key = (command.native_id, request.word)
        if self._waiting.find(key, now) is not None:
            raise CommandRefused(f"{command.action}: the band has not answered the one before yet")
        self._index = (self._index + 1) & 0xFFFF
        index = f"{self._index:04X}" if band.numbered else ""
        self._replies.append(wire.write_frame(band.vendor, command.native_id, index, request.content))
        self._waiting.add(key, Asked(command.nonce, command.action, until(now, WORD_S_MAX)))
        for kind in request.shown_by:
            self._accepted.add((command.native_id, kind), Asked(command.nonce, command.action, until(now)))

    def _read(self, pieces: list[bytes | Rejected], now: datetime) -> list[Result]:
        found: list[Result] = []
        for piece in pieces:
            found.extend([piece] if isinstance(piece, Rejected) else self._frame(piece, now))
        return found

    def _frame(self, raw: bytes, now: datetime) -> list[Result]:
        frame = wire.read_frame(raw)
        device = DeviceId(f"watch:{frame.device}")
        if frame.device not in self._enrolled:
            return [rejected("not enrolled", raw, device)]
        held = self._held(frame)
        if answer := answer_to(frame):
            self._replies.append(wire.write_frame(frame.vendor, frame.device, frame.index, answer))
        if is_position(frame.type):
            found = self._position(frame, held, raw, device, now)
        else:
            body = Telemetry(_measured(frame))
            found = [Observation(device=device, observed_at=now, received_at=now, body=body)]
        return [*found, *self._answers(frame, found, now)] if len(self._waiting) or len(self._accepted) else found

    def _answers(self, frame: Frame, found: list[Result], now: datetime) -> list[CommandAnswer]:
        """What the band says to commands. A word that is also a type of report is an answer when nothing follows it."""
        kind = frame.type.lower()
        bodies = [result.body for result in found if isinstance(result, Observation)]
        if kind.startswith("ud") and frame.type.upper() != KEPT:
            kind, shown = "ud", any(isinstance(body, Position) for body in bodies)
        else:
            shown = any(isinstance(body, Telemetry) and body.values for body in bodies)
        if shown and (asked := self._accepted.take((frame.device, kind), now)):
            self._waiting.forget(asked.nonce)
            self._accepted.forget(asked.nonce)
            return [asked.answer("confirmed")]
        if kind in HEALTH and frame.fields:
            return []
        asked = self._waiting.take((frame.device, frame.type.upper()), now)
        return [asked.answer("accepted")] if asked else []

    def _position(self, frame: Frame, held: Held, raw: bytes, device: DeviceId, now: datetime) -> list[Result]:
        fields = wire.read_position(frame.fields)
        alarm = frame.type.upper().startswith("AL")
        if fields is None:
            found: list[Result] = [rejected("position unreadable", raw, device)]
            if alarm:  # someone pressed something, wherever it was
                body = Alarm(kind="unspecified_alarm")
                found.append(Observation(device=device, observed_at=now, received_at=now, body=body))
            return found
        claimed: datetime = fields["time"]
        at, flags = observed(claimed, now, self._any_time)
        if frame.type.upper() == KEPT:
            flags = (*flags, BACKLOG)
        report = digest(frame.device.encode(), frame.content, hour_of_doubt(claimed, now) if alarm else b"")
        raised = frozenset(KIND_OF_ALARM[name] for name in fields["alarms"])
        fences = raised & FENCES
        if alarm:
            raised = _pressed(held, raised or frozenset({"unspecified_alarm"}), report, claimed, now)
        else:
            raised -= held.fences
        held.fences = fences
        return [
            Observation(
                device=device,
                observed_at=at,
                received_at=now,
                body=body,
                frame_id=f"{report}.{number}",
                flags=flags,
            )
            for number, body in enumerate(_bodies(held, fields, raised, alarm))
        ]

    def _held(self, frame: Frame) -> Held:
        """A band not heard before on this link may have anything raised."""
        held = self._bands.get(frame.device)
        if held is None:
            if len(self._bands) >= DEVICES_MAX:
                del self._bands[next(iter(self._bands))]
            held = self._bands[frame.device] = Held(frame.vendor)
        held.vendor, held.numbered = frame.vendor, bool(frame.index)
        return held


def _pressed(held: Held, kinds: frozenset[str], report: str, claimed: datetime, now: datetime) -> frozenset[str]:
    """The alarms of an AL… that are news."""
    last = held.pressed
    soon = last is not None and abs(claimed - last.claimed) < REPEAT and abs(now - last.received) < REPEAT
    if soon and last is not None and last.kinds == kinds and last.report != report:
        return frozenset()
    held.pressed = Pressed(kinds, report, claimed, now)
    return kinds


def _bodies(held: Held, fields: Fields, raised: frozenset[str], alarm: bool) -> Iterator[Body]:
    """Alarms first: they are what the siren waits for."""
    for kind in sorted(raised):
        yield Alarm(kind=kind)
    for kind in _cleared(held, raised, fields, alarm):
        yield Alarm(kind=kind, raised=False)
    if fields["latitude"] or fields["longitude"]:
        yield _place(fields)
    values = {metric: fields[name] for name, metric in POSITION_METRICS.items() if name in fields}
    yield Telemetry({metric: value for metric, value in values.items() if in_range(metric, value)})


def _cleared(held: Held, raised: frozenset[str], fields: Fields, alarm: bool) -> list[str]:
    """What this position shows to be over."""
    held.raised |= raised
    over: set[str] = set()
    if not alarm:
        if fields.get("battery_pct", 0) >= BATTERY_GOOD_PERCENT:
            over.add("low_battery")
        if not fields["status"] >> wire.WORN_STATE_BIT & 1:
            over.add("off_wrist")
    over = (over & held.raised) - raised
    held.raised -= over
    return sorted(over)


def is_position(kind: str) -> bool:
    return kind.upper().startswith(("UD", "AL", "WT"))


def answer_to(frame: Frame) -> str:
    """The content of the answer, "" for none."""
    kind = frame.type.upper()
    if kind == "LK" or kind in ("TKQ", "TKQ2"):
        return frame.type
    if kind.startswith("AL"):
        return "AL"
    if kind in ("INIT", "CONFIG"):
        return f"{frame.type},1"
    return "JXTKR,1" if voice_chunk(frame) else ""


def voice_chunk(frame: Frame) -> dict[str, Any] | None:
    """Which part of a voice text this is; None when it is none. The sound itself is not kept."""
    fields = frame.content.split(b",", 5)
    if frame.type.upper() != "JXTK" or len(fields) < 6:
        return None
    part, parts = (wire.number(text.decode("ascii", "replace")) for text in fields[3:5])
    if part is None or parts is None or not 0 <= part <= parts <= VOICE_PARTS_MAX:
        return None
    return {"media_name": fields[2].decode("utf-8", "replace"), "chunk": int(part), "chunks_total": int(parts)}


def _measured(frame: Frame) -> dict[str, float]:
    """Metrics of a report without position; nothing measured is a sign of life."""
    kind, fields = frame.type.lower(), frame.fields
    if kind == "lk":
        return _numbers(LINK_METRICS, fields, zero_is_value=True) if len(fields) == len(LINK_METRICS) else {}
    if kind == "oxygen":
        return _numbers(("spo2_percent",), fields[-1:])
    if kind == "btemp2" and fields[:1] != ["1"]:
        return {}
    return _numbers(HEALTH.get(kind, ()), fields)


def _numbers(metrics: tuple[str, ...], fields: list[str], zero_is_value: bool = False) -> dict[str, float]:
    found = {metric: wire.number(text) for metric, text in zip(metrics, fields, strict=False) if metric}
    return {
        metric: value
        for metric, value in found.items()
        if value is not None and (value or zero_is_value) and in_range(metric, value)
    }


def _place(fields: Fields) -> Position:
    course = fields.get("course")
    within = {
        name: fields[name] for name, (low, high) in PLACE_RANGES.items() if low <= fields.get(name, high + 1) <= high
    }
    return Position(
        longitude=fields["longitude"],
        latitude=fields["latitude"],
        fix="gnss" if fields["gps_valid"] else "network",
        altitude_m=within.get("altitude_m"),
        accuracy_m=within.get("accuracy_m"),
        speed_kmh=within.get("speed_kmh"),
        course_deg=course % 360 if course is not None else None,
        satellites=int(within["satellites"]) if "satellites" in within else None,
    )


FAMILY = Family(
    name="watch",
    title="Health band, 3G/SG/CS/ZJ text protocol",
    native_id="the band's number, ten digits",
    native_id_pattern=r"\d+",
    example=Example("8800000015", {"port": 9002}),
    links=("tcp_server",),
    integrity="",
    frame_bytes_max=wire.FRAME_BYTES_MAX,
    silence_s_max=1440,
    settings=Settings,
    open_session=Session,
    one_connection=True,
    commands=commands.COMMANDS,
)
