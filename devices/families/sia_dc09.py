"""Intrusion and fire panels over IP, ANSI/SIA DC-09 (Contact ID and SIA-DCS), and Hengbo's dialect of it. We are the
receiver. Frames: sia_dc09_wire.py, codes: sia_dc09_codes.py.

What is answered: every good frame of an enrolled account with ACK; DUH when its content cannot be used (unreadable, no
key for it, sent in clear although a key is set); NAK with our clock when its time stamp is outside the window. A wrong
CRC is not answered: the panel repeats. ACK, NAK, DUH and RSP are never answered. Encrypted frames are answered
encrypted, with a time stamp.

What it means
- Contact ID: qualifier 1 raises the code's alarm, 3 ends it, 6 says that it is still there. In SIA-DCS the code says
  which. The component is partition-zone ("01-057") or area-point ("2-017").
- Opening and closing are the Events `disarmed` and `armed` (arming in part is told with either qualifier); bypasses are
  `shielded` Alarms of the zone; tests, resets, programming and passages are Events. A code that is not read is an
  `unknown_report` with the code.
- NULL (supervision) is Telemetry without values; panels are to be set to send it at least every minute. ACK, NAK, DUH
  and RSP say nothing, as we ask nothing.
- The native id is the account in the frame's head; the one inside the data counts only when the head has none.
- Two deliveries of a report have the same sequence number, data and time stamp: the same frame id, answered again. A
  sequence number that always is 0000 without a time stamp tells no two reports apart: no frame id.

Times are UTC (quirk `local_time`); no or an impossible one is replaced by the time of receiving and flagged.

The window (20 s ahead, 40 s behind) is kept by accounts with a key, where it stops replays, and for all with
`strict_time`: without encryption anyone can write the right time, and a panel whose clock is wrong would lose alarms.

The head of an encrypted frame is in clear text: an account inside that is another one is refused, and the sequence
number does not make a frame that was recorded a new report.

There are no commands: DC-09 only reports. Panels that can be armed and disarmed over their maker's own additions want
a user's password in clear text for it.

Clear text is neither secret nor authentic: without a key accounts are bound to enrolled ids, nothing more.
"""

from collections.abc import Container
from datetime import datetime

from msgspec import Struct

from devices.families import sia_dc09_codes as codes
from devices.families import sia_dc09_wire as wire
from devices.families.sia_dc09_wire import Fields, Frame
from devices.family import Example, Family
from devices.framing import Framer
from devices.local_time import LocalClock, hour_of_doubt, observed
from devices.observation import (
    TEXT_CHARS_MAX,
    Alarm,
    Body,
    DeviceId,
    Event,
    Observation,
    Rejected,
    Result,
    Telemetry,
    digest,
    rejected,
)

AHEAD_S_MAX, BEHIND_S_MAX = 20, 40
EVENTS_MAX = 32  # of one SIA-DCS block
EXTENDED_MAX, EXTENDED_CHARS_MAX = 8, 200
PASSAGE, ARMING = "access", frozenset({"armed", "disarmed"})


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`keys`: account -> key (16, 24 or 32 characters, or `hex:` and digits), "*" for all others. `local_time`: quirk
    of panels that send their wall clock in `time_zone`. `strict_time`: the window also for accounts without a key.
    `any_time`: impossible times are flagged, but kept (recordings, `gridward decode`)."""

    keys: dict[str, str] = {}
    time_zone: str = "Asia/Shanghai"
    local_time: bool = False
    strict_time: bool = False
    any_time: bool = False

    def __post_init__(self) -> None:
        LocalClock(self.time_zone)
        for key in self.keys.values():
            wire.read_key(key)


class Session:
    """See devices.family.Session."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._clock = LocalClock(settings.time_zone if settings.local_time else "UTC")
        self._keys = {account.upper(): wire.read_key(key) for account, key in settings.keys.items()}
        self._framer = Framer(wire.cut, wire.FRAME_BYTES_MAX)
        self._replies: list[bytes] = []

    def receive(self, data: bytes, now: datetime) -> list[Result]:
        return self._read(self._framer.feed(data), now)

    def idle(self, now: datetime) -> list[Result]:
        return self._read(self._framer.idle(), now)

    def to_send(self) -> bytes:
        replies, self._replies = b"".join(self._replies), []
        return replies

    def _read(self, pieces: list[bytes | Rejected], now: datetime) -> list[Result]:
        found: list[Result] = []
        for piece in pieces:
            found.extend([piece] if isinstance(piece, Rejected) else self._frame(piece, now))
        return found

    def _frame(self, raw: bytes, now: datetime) -> list[Result]:
        frame = wire.read_frame(raw)
        native_id = (frame.account or frame.inner_account) if frame else ""
        if frame is None or not native_id:
            return [rejected("frame unreadable" if frame is None else "no account", raw)]
        device = DeviceId(f"sia_dc09:{native_id}")
        if native_id not in self._enrolled:
            return [rejected("not enrolled", raw, device)]
        if frame.id in wire.ANSWERS:
            return []
        key = self._keys.get(native_id, self._keys.get("*"))
        opened = wire.decrypt(frame, key) if frame.encrypted and key else None
        if refusal := _refusal(frame, opened, key):
            self._replies.append(wire.write_answer("DUH", frame))
            return [rejected(refusal, raw, device)]
        return self._content(opened or frame, key, raw, device, now)

    def _content(self, frame: Frame, key: bytes | None, raw: bytes, device: DeviceId, now: datetime) -> list[Result]:
        claimed = self._clock.utc(frame.time)
        shown = self._clock.local(now)
        if (key or self._settings.strict_time) and not _in_window(claimed, now):
            self._replies.append(wire.write_nak(shown))
            return [rejected("time stamp outside the window", raw, device)]
        bodies = _bodies(frame)
        answer = "DUH" if bodies is None else "ACK"
        self._replies.append(wire.write_answer(answer, frame, shown if key else None, key))
        if bodies is None:
            return [rejected("data unreadable", raw, device)]
        at, flags = observed(claimed, now, self._settings.any_time) if frame.time_given else (now, ())
        doubt = hour_of_doubt(claimed, now)
        sequence = "" if key else frame.sequence
        name = digest(*(text.encode() for text in (device, sequence, frame.data, str(frame.time))), doubt)
        named = frame.data and (claimed is not None or frame.sequence != "0000")
        return [
            Observation(
                device=device,
                observed_at=at,
                received_at=now,
                body=body,
                frame_id=f"{name}.{number}" if named else "",
                flags=flags,
            )
            for number, body in enumerate(bodies)
        ]


def _refusal(frame: Frame, opened: Frame | None, key: bytes | None) -> str:
    """Why the frame's content cannot be used; "" when it can."""
    if frame.encrypted and key is None:
        return "encrypted, and no key for this account"
    if frame.encrypted and opened is None:
        return "wrong key"
    if key is not None and not frame.encrypted:
        return "not encrypted, but there is a key for this account"
    if opened is not None and opened.inner_account not in ("", frame.account or opened.inner_account):
        return "encrypted for another account"
    if frame.id not in wire.KNOWN_IDS:
        return "unknown kind of frame"
    return "" if frame.readable else "frame unreadable"


def _in_window(claimed: datetime | None, now: datetime) -> bool:
    return claimed is not None and -BEHIND_S_MAX <= (claimed - now).total_seconds() <= AHEAD_S_MAX


# --- meaning ---


def _bodies(frame: Frame) -> list[Body] | None:
    """None when the data cannot be read."""
    if frame.id == "NULL" or not frame.data:
        return [Telemetry({})] if frame.id == "NULL" else None
    if frame.id in wire.CONTACT_IDS:
        event = wire.read_contact_id(frame.data)
        return [_contact_id(event, frame)] if event else None
    return [_dcs(event, frame) for event in wire.read_dcs(frame.data)[:EVENTS_MAX]] or None


def _contact_id(event: Fields, frame: Frame) -> Body:
    code, qualifier, zone = event["event_code"], event["qualifier"], event["zone"]
    hengbo = frame.id == "HENG-BO"
    component = f"{event['partition']}-{zone}"
    attributes = {"code": code, "qualifier": qualifier, "meaning": meaning(code, hengbo)} | _beside(frame)
    private = codes.EVENT_OF_HENGBO.get(code) if hengbo else None
    if private:
        return Event(kind=private, component=component, attributes=attributes)
    kind = codes.KIND_OF_HENGBO.get(code) if hengbo else None
    kind = kind or codes.KIND_OF_CID.get(code)
    if kind:
        return Alarm(kind=kind, raised=qualifier != "restore", component=component, description=attributes["meaning"])
    if code in codes.OPENINGS:
        opened = "armed" if qualifier == "restore" or code in codes.ARMED_ALWAYS else "disarmed"
        return Event(kind=opened, component=event["partition"], attributes=attributes | {"user": zone})
    told = codes.EVENT_OF_CID.get(code, "unknown_report")
    if told == PASSAGE:  # its zone is a user
        return _passage(code, event["partition"])
    return Event(kind=told, component=component, attributes=attributes)


def meaning(code: str, hengbo: bool = False) -> str:
    private = codes.MEANING_HENGBO.get(code) if hengbo else None
    return private or codes.MEANING.get(code, "")


def _dcs(event: Fields, frame: Frame) -> Body:
    code, area = event["code"], event.get("area", "")
    component = "-".join(part for part in (area, event["point"]) if part)
    text = event.get("text", "")[:TEXT_CHARS_MAX]
    if code in codes.KIND_OF_SIA:
        kind, raised = codes.KIND_OF_SIA[code]
        return Alarm(kind=kind, raised=raised, component=component, description=text)
    kind = codes.EVENT_OF_SIA.get(code, "unknown_report")
    if kind == PASSAGE:
        return _passage(code, component)
    if kind in ARMING:  # its point is a user
        event, component = {"user": event["point"]} | event, area
    told = {name: event[name][:TEXT_CHARS_MAX] for name in ("code", "user", "text") if event.get(name)}
    return Event(kind=kind, component=component, attributes=told | _beside(frame))


def _passage(code: str, component: str) -> Event:
    """Where, and whether it was granted; never who."""
    return Event(kind=PASSAGE, component=component, attributes={"granted": codes.GRANTED.get(code, "no"), "code": code})


def _beside(frame: Frame) -> dict[str, str]:
    """What the frame says besides its data: a place, a link, another account."""
    found = {f"x_{name.lower()}": value[:EXTENDED_CHARS_MAX] for name, value in frame.extended[:EXTENDED_MAX]}
    return found | ({"account": frame.inner_account} if frame.inner_account not in ("", frame.account) else {})


FAMILY = Family(
    name="sia_dc09",
    title="Alarm panel over IP, SIA DC-09 (Contact ID, SIA-DCS), Hengbo",
    native_id="the account number in the head of the frame",
    example=Example("1234", {"port": 9004}),
    links=("tcp_server", "udp_server"),
    integrity="CRC-16 of the text",
    frame_bytes_max=wire.FRAME_BYTES_MAX,
    silence_s_max=180,
    settings=Settings,
    open_session=Session,
)
