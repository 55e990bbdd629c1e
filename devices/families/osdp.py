"""Access readers on RS-485 over OSDP: we are the control panel, or listen on the line. Packets: osdp_wire.py.

With `readers` the session asks them (osdp_panel.py) and needs its link to call `idle` about every 50 ms while the line
is silent: that is its clock. Without readers it only listens (a tap); a secure channel then hides what it carries.

What it means
- LSTATR: tamper and power of the reader, RSTATR: tamper of what hangs on it, ISTATR: inputs, OSTATR: outputs.
- A card or code that is presented is an `access` Event, undecided: the reader does not know who may pass. Numbers and
  codes stay here: of a card its format is told, of a code nothing but that there was one. Bits go through the reader's
  Wiegand formats (devices/wiegand.py): parities wrong is a `read_error`, never a card; unknown lengths are noise.
- A reader that cannot prove its key, answers in clear although it has one, or seals wrongly: `network_intrusion`.
- States are told when they change; what has no news is a sign of life every ALIVE_EVERY.
- There is no time in OSDP: everything is observed when it is received.

A device is `bus`/address. Commands: LED, buzzer, outputs; ACK is accepted, NAK refused, an output that reports itself
on is confirmed.
"""

import secrets
from collections.abc import Callable, Container, Iterator
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from devices import wiegand
from devices.conditions import Conditions
from devices.families import osdp_wire as wire
from devices.families.osdp_panel import COMMANDS_MAX, Answer, Doubt, Panel, Question, Reader
from devices.families.osdp_secure import KEY_BYTES
from devices.family import CommandKind, CommandRefused, DeviceCommand, Example, Family
from devices.framing import Framer
from devices.observation import (
    Alarm,
    Body,
    CommandAnswer,
    DeviceId,
    Event,
    Observation,
    Rejected,
    Result,
    Telemetry,
    digest,
    rejected,
)

ALIVE_EVERY = timedelta(seconds=10)
READERS_MAX = 126
SECONDS_MAX, TONES_MAX, OUTPUTS_MAX = 600, 20, 16
READER_STATES = {0: (False, False), 1: (False, True), 2: (True, False)}  # RSTATR -> (tamper, fault)


class ReaderSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`key`: 32 hex digits, "" for a reader in clear text. `install`: a reader that does not know `key` yet is given
    it, under the standard's default key, which is public: only on the bench, and to be taken out when it is done.
    `formats` of cards: H10301 (26 bits), H10306 or WG34 or WG34-reversed (34), H10304 or H10302 (37), C1000-35
    (35), UID32."""

    address: Annotated[int, Meta(ge=0, le=126)]
    key: str = ""
    install: bool = False
    formats: tuple[str, ...] = wiegand.USUAL

    def __post_init__(self) -> None:
        unknown = [name for name in self.formats if name not in wiegand.BY_NAME]
        if unknown:
            raise ValueError(f"formats: {unknown[0]!r} is unknown; known: {', '.join(sorted(wiegand.BY_NAME))}")
        if self.key and len(read_key(self.key)) != KEY_BYTES:
            raise ValueError("key: expected 32 hex digits")
        if self.install and not self.key:
            raise ValueError("install: needs the key that is to be set")


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`bus`: names the line. `readers`: who is asked; none, and the line is only listened to. `reply_s`: how long a
    reader may take; 0.2 on a line, about 1 through a TCP converter. `any_time`: is there for recordings and means
    nothing here."""

    bus: str = "bus"
    readers: Annotated[tuple[ReaderSettings, ...], Meta(max_length=READERS_MAX)] = ()
    reply_s: Annotated[float, Meta(ge=0.05, le=5)] = 0.2
    any_time: bool = False

    def __post_init__(self) -> None:
        addresses = [reader.address for reader in self.readers]
        if len(set(addresses)) < len(addresses):
            raise ValueError("readers: an address occurs twice")
        if not self.bus.isprintable() or not 0 < len(self.bus) <= 64 or "/" in self.bus:
            raise ValueError(f"bus: {self.bus!r} is no name")


def read_key(written: str) -> bytes:
    try:
        return bytes.fromhex(written)
    except ValueError:
        return b""


class Session:
    """See devices.family.Session and Commanded."""

    def __init__(
        self, settings: Settings, enrolled: Container[str], random: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._bus = settings.bus
        self._enrolled = enrolled
        self._formats = {reader.address: reader.formats for reader in settings.readers}
        readers = [Reader(one.address, read_key(one.key), one.install) for one in settings.readers]
        self._panel = Panel(readers, settings.reply_s, random) if readers else None
        self._framer = Framer(wire.cut, wire.FRAME_BYTES_MAX)
        self._told = Conditions()
        self._since: dict[str, datetime] = {}  # state -> when it became what it is
        self._alive: dict[int, datetime] = {}

    def receive(self, data: bytes, now: datetime) -> list[Result]:
        return [*self._read(self._framer.feed(data), now), *self._go_on(now)]

    def idle(self, now: datetime) -> list[Result]:
        return [*self._read(self._framer.idle(), now), *self._go_on(now)]

    def to_send(self) -> bytes:
        return self._panel.to_send() if self._panel else b""

    def command(self, command: DeviceCommand, now: datetime) -> None:
        reader = self._panel.reader(command.native_id.removeprefix(f"{self._bus}/")) if self._panel else None
        if reader is None:
            raise CommandRefused(f"no reader {command.native_id!r} on this line")
        code, data = question_of(command)
        if reader.step != wire.POLL:
            raise CommandRefused(f"{command.native_id} does not answer")
        if len(reader.commands) >= COMMANDS_MAX:
            raise CommandRefused("too many commands wait for this reader")
        reader.commands.append(Question(code=code, data=data, nonce=command.nonce))

    def _go_on(self, now: datetime) -> list[Result]:
        lost = self._panel.go_on(now) if self._panel else []
        return [CommandAnswer(nonce=question.nonce, result="refused", reason="no answer") for question in lost]

    def _read(self, pieces: list[bytes | Rejected], now: datetime) -> list[Result]:
        found: list[Result] = []
        for piece in pieces:
            found.extend([piece] if isinstance(piece, Rejected) else self._frame(piece, now))
        return found

    def _frame(self, frame: bytes, now: datetime) -> list[Result]:
        packet = wire.read_packet(frame)
        if packet is None:
            return [rejected("packet unreadable", frame)]
        if not packet.reply:
            return []
        device = self._device(packet.address)
        if not self._is_enrolled(packet.address):
            return [rejected("not enrolled", frame[:5], device)]
        if self._panel is None:
            if packet.encrypted:
                return self._life(packet.address, now)
            answer = Answer(packet.address, Question(code=wire.POLL), packet.code, packet.data)
            return self._answer(answer, now)
        found = self._panel.answered(frame, packet, now)
        if isinstance(found, Doubt):
            return self._doubt(found, now)
        return self._answer(found, now) if found else []

    def _device(self, address: int) -> DeviceId:
        return DeviceId(f"osdp:{self._bus}/{address}")

    def _is_enrolled(self, address: int) -> bool:
        return f"{self._bus}/{address}" in self._enrolled

    def _doubt(self, doubt: Doubt, now: datetime) -> list[Result]:
        device = self._device(doubt.address)
        found: list[Result] = [rejected(doubt.reason, b"", device)]
        if doubt.attack:
            found += self._alarms(doubt.address, {("", "network_intrusion"): True}, now)
        return found

    def _answer(self, answer: Answer, now: datetime) -> list[Result]:
        found: list[Result] = list(self._commanded(answer))
        fields = wire.read_data(answer.code, True, answer.data)
        states = dict(_states(answer.code, fields))
        if answer.question.code == wire.SCRYPT:  # both sides have proved their key
            states["", "network_intrusion"] = False
        found += self._alarms(answer.address, states, now)
        for body in self._happened(answer, fields):
            found.append(self._observation(answer.address, body, now))
        if answer.code == wire.RAW:
            found += self._card(answer.address, fields, now)
        return [*found, *self._life(answer.address, now)]

    def _commanded(self, answer: Answer) -> Iterator[CommandAnswer]:
        question, code = answer.question, answer.code
        if not question.nonce:
            return
        if code == wire.NAK:
            reason = wire.NAKS.get(answer.data[0] if answer.data else 0, "NAK")
            yield CommandAnswer(nonce=question.nonce, result="refused", reason=reason)
            return
        number = question.data[0] if question.code == wire.OUT else len(answer.data)
        on = code == wire.OSTATR and number < len(answer.data) and answer.data[number] == (question.data[1] != 1)
        yield CommandAnswer(nonce=question.nonce, result="confirmed" if on else "accepted")

    def _alarms(self, address: int, states: dict[tuple[str, str], bool], now: datetime) -> list[Result]:
        """A state is told when it changes; while it stays, it keeps the name of its report."""
        device = self._device(address)
        found: list[Result] = []
        for (component, kind), raised in states.items():
            name = f"{address} {component} {kind}"
            changed = self._told.changed(str(address), f"{component} {kind}", str(raised))
            since = self._since[name] = now if changed else self._since.get(name, now)
            if changed or raised:
                report = digest(device.encode(), name.encode(), str(raised).encode(), since.isoformat().encode())
                body = Alarm(kind=kind, raised=raised, component=component)
                found.append(Observation(device=device, observed_at=now, received_at=now, body=body, frame_id=report))
        return found

    def _happened(self, answer: Answer, fields: wire.Fields) -> Iterator[Body]:
        code, states = answer.code, fields.get("states", [])
        if code == wire.PDID and fields:
            told = {name: str(fields[name]) for name in ("vendor", "model", "version", "serial", "firmware")}
            if self._told.changed(str(answer.address), "identity", str(told)):
                yield Event(kind="attributes", attributes=told)
        if code == wire.OSTATR:
            for number, state in enumerate(states[:OUTPUTS_MAX]):
                word = "yes" if state else "no"
                if self._told.changed(str(answer.address), f"output {number}", word):
                    yield Event(kind="output", component=f"output {number}", attributes={"state": word})
        if code == wire.FMT and fields:
            yield _presented("card", fields["reader"])
        if code == wire.KEYPAD and fields.get("keys", b"").endswith(b"\r"):  # # ends a code
            yield _presented("code", fields["reader"])

    def _card(self, address: int, fields: wire.Fields, now: datetime) -> list[Result]:
        read = wiegand.read(fields.get("bits", ""), self._formats.get(address, wiegand.USUAL))
        if isinstance(read, wiegand.ReadError) and read.reason == "unknown length":
            return [rejected("card of unknown length", b"", self._device(address))]
        body: Body = Event(kind="read_error", component=f"reader {fields.get('reader', 0)}")
        if isinstance(read, wiegand.Card):
            body = _presented("card", fields["reader"], read.format)
        elif isinstance(read, wiegand.Key):
            return []
        return [self._observation(address, body, now)]

    def _life(self, address: int, now: datetime) -> list[Result]:
        last = self._alive.get(address)
        if last is not None and timedelta() <= now - last < ALIVE_EVERY:
            return []
        self._alive[address] = now
        return [self._observation(address, Telemetry({}), now)]

    def _observation(self, address: int, body: Body, now: datetime) -> Observation:
        return Observation(device=self._device(address), observed_at=now, received_at=now, body=body)


def _states(code: int, fields: wire.Fields) -> Iterator[tuple[tuple[str, str], bool]]:
    """(component, alarm kind) -> whether it is so."""
    if code == wire.LSTATR and fields:
        yield ("", "tamper"), fields["tamper"] != 0
        yield ("", "power_fault"), fields["power"] != 0
    for number, state in enumerate(fields.get("states", [])[:OUTPUTS_MAX]):
        if code == wire.ISTATR:
            yield (f"input {number}", "input_active"), state != 0
        elif code == wire.RSTATR and state in READER_STATES:
            tamper, fault = READER_STATES[state]
            yield (f"reader {number}", "tamper"), tamper
            yield (f"reader {number}", "fault"), fault


def _presented(credential: str, reader: int, written: str = "") -> Event:
    """Something was shown to a reader; what it says stays here."""
    attributes = {"granted": "undecided", "credential": credential} | ({"format": written} if written else {})
    return Event(kind="access", component=f"reader {reader}", attributes=attributes)


# --- commands ------------------------------------------------------------------------------------

COMMANDS = (
    CommandKind(
        name="led",
        meaning="show a colour",
        args={"colour": ", ".join(wire.COLOURS), "seconds": f"1-{SECONDS_MAX}"},
    ),
    CommandKind(name="buzzer", meaning="sound tones", args={"count": f"1-{TONES_MAX}"}),
    CommandKind(
        name="output_on",
        meaning="switch an output on for a while",
        args={"output": f"0-{OUTPUTS_MAX - 1}", "seconds": f"1-{SECONDS_MAX}"},
    ),
    CommandKind(name="output_off", meaning="switch an output off", args={"output": f"0-{OUTPUTS_MAX - 1}"}),
)


def question_of(command: DeviceCommand) -> tuple[int, bytes]:
    """Code and data for the reader; raises CommandRefused."""
    args = command.args
    match command.action:
        case "led":
            colour = args.get("colour", "")
            if colour not in wire.COLOURS:
                raise CommandRefused(f"colour: expected one of {', '.join(wire.COLOURS)}")
            return wire.LED, wire.led(colour, 10 * _whole(args.get("seconds", ""), "seconds", 1, SECONDS_MAX))
        case "buzzer":
            return wire.BUZ, wire.buzzer(_whole(args.get("count", ""), "count", 1, TONES_MAX))
        case "output_on":
            number = _whole(args.get("output", ""), "output", 0, OUTPUTS_MAX - 1)
            return wire.OUT, wire.output(number, 10 * _whole(args.get("seconds", ""), "seconds", 1, SECONDS_MAX))
        case "output_off":
            return wire.OUT, wire.output_off(_whole(args.get("output", ""), "output", 0, OUTPUTS_MAX - 1))
    raise CommandRefused(f"osdp readers do not know {command.action!r}")


def _whole(written: str, name: str, low: int, high: int) -> int:
    value = int(written) if written.isascii() and written.isdecimal() and len(written) <= 5 else -1
    if not low <= value <= high:
        raise CommandRefused(f"{name}: expected {low} to {high}")
    return value


def _lacks(settings: Settings, native_id: str) -> str:
    """Only readers that are named are asked; with none named all that speak are heard."""
    bus, _, address = native_id.partition("/")
    known = {str(reader.address) for reader in settings.readers}
    if bus != settings.bus:
        return f"bus {bus}"
    return f"readers: address {address}" if known and address not in known else ""


FAMILY = Family(
    name="osdp",
    title="Access readers, OSDP v2",
    links=("serial", "tcp_client"),
    integrity="CRC-16 (or an 8 bit sum), with a key also a MAC",
    frame_bytes_max=wire.FRAME_BYTES_MAX,
    silence_s_max=30,
    asks_every_s=0.05,
    settings=Settings,
    open_session=Session,
    commands=COMMANDS,
    native_id="`bus` and the reader's address, parted by a slash",
    example=Example("bus/1", settings={"readers": [{"address": 1}]}),
    lacks=_lacks,
)
