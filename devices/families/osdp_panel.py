"""The control panel's side of one OSDP bus: who is asked what, and whether an answer may be believed. Pure.

    ID → CAP → [CHLNG → SCRYPT → [KEYSET →]] LSTAT → POLL, POLL, ...      sequence 0, then 1 2 3 1 2 3 ...

Rules
- One question at a time on the whole bus, readers in turn. No answer within `reply_s`: the same bytes again, twice;
  then the reader begins anew after a wait that doubles up to BACKOFF_S_MAX.
- An answer counts when address and sequence are those of the question. A busy reader is asked the same again, BUSY_MAX
  times at most: the others wait. After an event the reader is asked on at once.
- Commands are for readers that answer now. When one begins anew, what it was to do is given up: done minutes later it
  would be somebody else's door.
- A reader with a key is believed inside the secure channel only: clear text, a wrong MAC or cryptogram ends its
  session. The default key (in the standard, so known to everyone) is used in install mode only, to set the unique key;
  there both keys are tried in turn.
- A reader that does not agree on the state of the link (NAK 1, 4, 5, 6) begins anew.
"""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct

from devices.families import osdp_wire as wire
from devices.families.osdp_secure import DEFAULT_KEY, RANDOM_BYTES, Channel, same
from devices.families.osdp_wire import Packet

RETRIES_MAX = 2
BACKOFF_S_MAX = 8.0
BUSY_MAX = 20
POLL_EVERY = timedelta(seconds=0.1)
COMMANDS_MAX = 10
DEFAULT, UNIQUE = b"\x00", b"\x01"  # which key a handshake is about


class Question(Struct, frozen=True, kw_only=True):
    """What a reader is asked. `nonce` names the command of a person that it carries out, "" for none."""

    code: int
    data: bytes = b""
    block: bytes | None = None
    nonce: str = ""


class Answer(Struct, frozen=True):
    """A believed answer: `data` is plain."""

    address: int
    question: Question
    code: int
    data: bytes


class Doubt(Struct, frozen=True):
    """An answer that is not believed. `attack`: noise on the line cannot explain it."""

    address: int
    reason: str
    attack: bool = False


class Reader:
    """What the panel knows of one reader."""

    def __init__(self, address: int, key: bytes, install: bool) -> None:
        self.address = address
        self.key = key
        self.install = install
        self.by_default = install  # which key is tried
        self.commands: deque[Question] = deque()
        self.failures = 0
        self.not_before: datetime | None = None
        self.begin()

    def begin(self) -> None:
        """Anew: the reader forgets its state at sequence 0."""
        self.sequence = 0
        self.step = wire.ID
        self.channel: Channel | None = None
        self.secure = False
        self.random = b""

    @property
    def used_key(self) -> bytes:
        return DEFAULT_KEY if self.by_default else self.key

    @property
    def which_key(self) -> bytes:
        return DEFAULT if self.by_default else UNIQUE

    def question(self, random: Callable[[int], bytes]) -> Question:
        """What comes next."""
        if self.step == wire.CHLNG:
            self.random = random(RANDOM_BYTES)
            return Question(code=wire.CHLNG, data=self.random, block=b"\x11" + self.which_key)
        if self.step == wire.SCRYPT:
            assert self.channel is not None, "the cryptogram was checked"
            return Question(code=wire.SCRYPT, data=self.channel.server_cryptogram, block=b"\x13" + self.which_key)
        if self.step == wire.KEYSET:
            return Question(code=wire.KEYSET, data=bytes((1, len(self.key))) + self.key)
        if self.step == wire.POLL and self.commands:
            return self.commands.popleft()
        return Question(code=self.step, data=b"\x00" if self.step in (wire.ID, wire.CAP) else b"")


class Panel:
    """`random` gives bytes nobody can guess; the secure channel needs them."""

    def __init__(self, readers: list[Reader], reply_s: float, random: Callable[[int], bytes]) -> None:
        self._readers = deque(readers)
        self._reply = timedelta(seconds=reply_s)
        self._random = random
        self._asked: tuple[Reader, Question, bytes] | None = None
        self._asked_at: datetime | None = None
        self._tries = self._busy = 0
        self._lost: list[Question] = []
        self._to_send = b""

    def reader(self, address: str) -> Reader | None:
        return next((reader for reader in self._readers if str(reader.address) == address), None)

    def to_send(self) -> bytes:
        data, self._to_send = self._to_send, b""
        return data

    def go_on(self, now: datetime) -> list[Question]:
        """Ask what is due; returns commands that are given up because their reader does not answer."""
        waits = self._asked_at is not None and timedelta() <= now - self._asked_at < self._reply
        if self._asked is not None and not waits:
            self._not_answered(now)
        if self._asked is None:
            self._ask(now)
        lost, self._lost = self._lost, []
        return lost

    def _not_answered(self, now: datetime) -> None:
        assert self._asked is not None, "something was asked"
        reader, _, frame = self._asked
        if self._tries < RETRIES_MAX:
            self._tries += 1
            self._to_send, self._asked_at = frame, now
        else:
            self._fail(reader, now)

    def _fail(self, reader: Reader, now: datetime) -> None:
        """The reader begins anew, later and later."""
        asked = [self._asked[1]] if self._asked else []
        self._lost += [question for question in (*asked, *reader.commands) if question.nonce]
        reader.commands.clear()
        self._asked = None
        if reader.install and reader.step == wire.CHLNG:
            reader.by_default = not reader.by_default
        wait_s = min(2.0**reader.failures / 4, BACKOFF_S_MAX)
        reader.failures = min(reader.failures + 1, 10)
        reader.not_before = now + timedelta(seconds=wait_s)
        reader.begin()

    def _ask(self, now: datetime) -> None:
        for _ in range(len(self._readers)):
            reader = self._readers[0]
            self._readers.rotate(-1)
            wait_s = (reader.not_before - now).total_seconds() if reader.not_before else 0.0
            waits = 0 < wait_s <= BACKOFF_S_MAX  # more: the clock was set back
            if not waits or (reader.commands and reader.step == wire.POLL):
                self._put(reader, reader.question(self._random), now)
                return

    def _put(self, reader: Reader, question: Question, now: datetime) -> None:
        block, data, seal = question.block, question.data, None
        channel = reader.channel if reader.secure else None
        if channel is not None:
            block = b"\x17" if data else b"\x15"
            data = channel.encrypt(data, reply=False) if data else b""
            seal = _sealing(channel)
        packet = Packet(
            address=reader.address, reply=False, sequence=reader.sequence, code=question.code, data=data, block=block
        )
        frame = wire.write_packet(packet, seal)
        self._asked, self._asked_at, self._tries, self._busy = (reader, question, frame), now, 0, 0
        self._to_send = frame

    # --- answers ---

    def answered(self, frame: bytes, packet: Packet, now: datetime) -> Answer | Doubt | None:
        """What a reply says; None when nobody asked for it (a late one, a reader of another panel)."""
        if self._asked is None:
            return None
        reader, question, _ = self._asked
        if packet.code == wire.BUSY and packet.address == reader.address:
            self._asked_at, self._tries, self._busy = now, 0, self._busy + 1
            if self._busy <= BUSY_MAX:
                return None
            self._fail(reader, now)
            return Doubt(reader.address, "busy for too long")
        if packet.address != reader.address or packet.sequence != reader.sequence:
            return None
        plain = self._plain(reader, frame, packet)
        if isinstance(plain, Doubt):
            self._fail(reader, now)
            return plain
        if packet.code == wire.NAK and plain and plain[0] in wire.LINK_NAKS:
            self._fail(reader, now)
            return Doubt(reader.address, f"NAK {wire.NAKS[plain[0]]}")
        self._asked = None
        reader.sequence = reader.sequence % 3 + 1
        doubt = self._step(reader, packet.code, plain)
        if doubt:
            self._fail(reader, now)
            return doubt
        at_once = reader.step != wire.POLL or (question.code == wire.POLL and packet.code != wire.ACK)
        reader.failures = 0 if reader.step == wire.POLL else reader.failures
        reader.not_before = None if at_once else now + POLL_EVERY
        return Answer(reader.address, question, packet.code, plain)

    def _plain(self, reader: Reader, frame: bytes, packet: Packet) -> bytes | Doubt:
        """The data, checked and decrypted as the state of the reader demands it."""
        channel = reader.channel
        if not reader.secure or channel is None:
            return packet.data
        if not packet.secured:
            link_lost = packet.code == wire.NAK and packet.data[:1] in (b"\x05", b"\x06")
            return packet.data if link_lost else Doubt(reader.address, "clear text from a reader with a key", True)
        sealed = frame[: len(frame) - wire.MAC_BYTES - (2 if packet.crc else 1)]
        if not channel.holds(sealed, packet.mac, reply=True):
            return Doubt(reader.address, "MAC wrong", True)
        plain = channel.decrypt(packet.data, reply=True) if packet.encrypted else packet.data
        return Doubt(reader.address, "padding wrong", True) if plain is None else plain

    def _step(self, reader: Reader, code: int, data: bytes) -> Doubt | None:
        """One step on, when the answer is the one that this step waits for."""
        if reader.step == wire.ID and code == wire.PDID:
            reader.step = wire.CAP
        elif reader.step == wire.CAP:  # some readers do not know the question
            reader.step = wire.CHLNG if reader.used_key else wire.LSTAT
        elif reader.step == wire.CHLNG:
            return self._challenged(reader, code, data)
        elif reader.step == wire.SCRYPT:
            return self._proved(reader, code, data)
        elif reader.step == wire.KEYSET:
            reader.by_default = reader.install = reader.install and code != wire.ACK
            reader.begin()
        elif reader.step == wire.LSTAT:
            reader.step = wire.POLL
        elif reader.step == wire.ID:
            return Doubt(reader.address, "identity not told")
        return None

    def _challenged(self, reader: Reader, code: int, data: bytes) -> Doubt | None:
        found = wire.read_data(code, True, data) if code == wire.CCRYPT else {}
        if not found:
            return Doubt(reader.address, "secure channel not known to the reader")
        channel = Channel(reader.used_key, reader.random, found["random"])
        if not same(channel.client_cryptogram, found["cryptogram"]):
            return Doubt(reader.address, "key of the reader wrong", attack=not reader.install)
        reader.channel, reader.step = channel, wire.SCRYPT
        return None

    def _proved(self, reader: Reader, code: int, data: bytes) -> Doubt | None:
        found = wire.read_data(code, True, data) if code == wire.RMAC_I else {}
        if not found or reader.channel is None or not same(found["rmac"], reader.channel.r_mac):
            return Doubt(reader.address, "key of the panel refused", bool(found))
        reader.secure = True
        reader.install = reader.by_default  # else it has its key by now
        reader.step = wire.KEYSET if reader.install else wire.LSTAT
        return None


def _sealing(channel: Channel) -> Callable[[bytes], bytes]:
    return lambda frame: channel.seal(frame, reply=False)
