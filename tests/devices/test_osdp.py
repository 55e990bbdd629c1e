"""OSDP: packets, the secure channel, what a control panel asks, and what readers' answers mean."""

from datetime import timedelta

import msgspec
import pytest

from devices.families import osdp, osdp_wire
from devices.families.osdp_secure import DEFAULT_KEY, Channel
from devices.families.osdp_wire import Packet
from devices.family import CommandRefused, DeviceCommand
from devices.observation import Alarm, CommandAnswer, Event, Observation, Rejected, Result, Telemetry
from tests.devices.frames import NOW
from tests.devices.frames import osdp as frame

KEY = bytes(range(16))
IDENTITY = bytes.fromhex("A1A2A3B1C1D1D2D3D4E1E2E3")
TICK = timedelta(milliseconds=50)
CARD_68_41551 = "00100010010100010010011111"


def listening() -> osdp.Session:
    return osdp.Session(osdp.Settings(), {"bus/5"})


def panel(key: str = "", **reader: object) -> osdp.Session:
    settings = {"readers": [{"address": 5, "key": key, **reader}]}
    return osdp.Session(msgspec.convert(settings, osdp.Settings), {"bus/5"}, lambda count: b"\xb0" * count)


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def news(found: list[Result]) -> list[object]:
    return [body for body in bodies(found) if body != Telemetry({})]


def raw(bits: str, reader: int = 0) -> bytes:
    padded = bits + "0" * (-len(bits) % 8)
    data = int(padded, 2).to_bytes(len(padded) // 8)
    return bytes((reader, 0)) + len(bits).to_bytes(2, "little") + data


class FakeReader:
    """The reader's side: it answers what the panel sends, in the secure channel when it has a key."""

    def __init__(self, key: bytes = b"") -> None:
        self.key = key
        self.channel: Channel | None = None
        self.secure = False
        self.events: list[tuple[int, bytes]] = []
        self.heard: list[int] = []
        self.sealed: list[bool] = []
        self.answers = {osdp_wire.ID: (0x45, IDENTITY), osdp_wire.CAP: (0x46, b"\x09\x01\x01")}
        self.answers |= {osdp_wire.LSTAT: (0x48, b"\0\0")}

    def __call__(self, data: bytes) -> bytes:
        packet = osdp_wire.read_packet(data[1:])
        assert packet is not None
        self.heard.append(packet.code)
        self.sealed.append(packet.secured)
        plain = packet.data
        if packet.sequence == 0:
            self.channel, self.secure = None, False
        if packet.secured and self.channel:
            assert self.channel.holds(data[1:-6], packet.mac, reply=False)
            opened = self.channel.decrypt(plain, reply=False) if packet.encrypted else plain
            assert opened is not None
            plain = opened
        code, answer, block = self._say(packet, plain)
        return self._write(packet, code, answer, block)

    def _say(self, packet: Packet, plain: bytes) -> tuple[int, bytes, bytes | None]:
        if packet.code == osdp_wire.CHLNG:
            assert packet.block is not None
            if bool(self.key) == (packet.block[1:] == b"\x00"):  # the key that is asked for is not the one it has
                return 0x41, b"\x06", None
            key = self.key if packet.block[1:] == b"\x01" else DEFAULT_KEY
            self.channel = Channel(key, plain, b"\xa0" * 8)
            return 0x76, b"cuid-123" + b"\xa0" * 8 + self.channel.client_cryptogram, b"\x12" + packet.block[1:]
        if packet.code == osdp_wire.SCRYPT:
            assert self.channel is not None
            assert plain == self.channel.server_cryptogram
            return 0x78, self.channel.r_mac, b"\x14\x01"
        if packet.code == osdp_wire.KEYSET:
            self.key = plain[2:]
        if packet.code == osdp_wire.POLL and self.events:
            return *self.events.pop(0), None
        return *self.answers.get(packet.code, (0x40, b"")), None

    def _write(self, packet: Packet, code: int, answer: bytes, block: bytes | None) -> bytes:
        seal = None
        if self.secure and self.channel is not None:
            channel = self.channel
            block = b"\x18" if answer else b"\x16"
            answer = channel.encrypt(answer, reply=True) if answer else b""
            seal = lambda data: channel.seal(data, reply=True)  # noqa: E731
        self.secure = self.secure or code == osdp_wire.RMAC_I
        reply = Packet(
            address=packet.address, reply=True, sequence=packet.sequence, code=code, data=answer, block=block
        )
        return osdp_wire.write_packet(reply, seal)


class Line:
    """A panel and a reader; time goes on in ticks of the link."""

    def __init__(self, session: osdp.Session, reader: FakeReader) -> None:
        self.session, self.reader = session, reader
        self.now = NOW

    def run(self, ticks: int = 40) -> list[Result]:
        found: list[Result] = []
        for _ in range(ticks):
            found += self.session.idle(self.now)
            while sent := self.session.to_send():
                found += self.session.receive(self.reader(sent), self.now)
            self.now += TICK
        return found


# --- packets ---


def test_every_flipped_bit_is_caught() -> None:
    good = frame(0x48, b"\x01\x00")
    for bit in range(8, len(good) * 8):  # the mark is no part of the packet
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        link = listening()
        assert not bodies([*link.receive(bytes(flipped), NOW), *link.idle(NOW)])


def test_a_packet_with_a_checksum_is_read() -> None:
    packet = Packet(address=5, reply=True, sequence=2, code=0x48, data=b"\x01\x00", crc=False)
    assert Alarm(kind="tamper") in bodies(listening().receive(osdp_wire.write_packet(packet), NOW))


@pytest.mark.parametrize("block", [b"", b"\x01", b"\xff" * 9])
def test_a_security_block_that_does_not_fit_is_refused(block: bytes) -> None:
    inside = block + b"\x40"
    head = b"\x53\x85" + (5 + len(inside) + 2).to_bytes(2, "little") + b"\x0d" + inside
    whole = head + osdp_wire.crc(head).to_bytes(2, "little")
    link = listening()
    assert not bodies([*link.receive(whole, NOW), *link.idle(NOW)])


@pytest.mark.parametrize(
    ("code", "data", "expected"),
    [
        (osdp_wire.CAP, "00", "FF53001E000E021762D14EB7AD982CC5F9AA25318A7EAED6260F6A2AA73870"),
        (osdp_wire.ID, "00", "FF53001E000E021761D14EB7AD982CC5F9AA25318A7EAED6269AE995731983"),
        (osdp_wire.POLL, "", "FF53000E000E0215604B32767773B6"),
    ],
)
def test_mac_and_encryption_are_those_of_others(code: int, data: str, expected: str) -> None:
    """Packets of OSDP.Net's tests (Apache-2.0), made with keys and MACs of zeros."""
    channel = Channel(KEY, bytes(8), bytes(8))
    channel.s_enc = channel.s_mac1 = channel.s_mac2 = channel.r_mac = bytes(16)
    plain = bytes.fromhex(data)
    sealed = channel.encrypt(plain, reply=False) if plain else b""
    block = b"\x17" if plain else b"\x15"
    packet = Packet(address=0, reply=False, sequence=2, code=code, data=sealed, block=block)
    assert osdp_wire.write_packet(packet, lambda frame: channel.seal(frame, reply=False)).hex().upper() == expected


# --- listening ---


def test_what_a_secure_channel_hides_is_not_guessed() -> None:
    hidden = Packet(address=5, reply=True, sequence=1, code=0x48, data=b"\1" * 16, block=b"\x18", mac=b"\0" * 4)
    assert bodies(listening().receive(osdp_wire.write_packet(hidden), NOW)) == [Telemetry({})]


def test_tamper_and_power_of_a_reader() -> None:
    link = listening()
    first = news(link.receive(frame(0x48, b"\x01\x00"), NOW))
    assert first == [Alarm(kind="tamper"), Alarm(kind="power_fault", raised=False)]
    assert news(link.receive(frame(0x48, b"\x00\x01"), NOW)) == [
        Alarm(kind="tamper", raised=False),
        Alarm(kind="power_fault"),
    ]


def test_inputs_outputs_and_what_hangs_on_the_reader() -> None:
    link = listening()
    assert Alarm(kind="input_active", component="input 1") in news(link.receive(frame(0x49, b"\x00\x01"), NOW))
    assert news(link.receive(frame(0x4A, b"\x01"), NOW)) == [
        Event(kind="output", component="output 0", attributes={"state": "yes"})
    ]
    assert Alarm(kind="tamper", component="reader 0") in news(link.receive(frame(0x4B, b"\x02"), NOW))
    assert Alarm(kind="fault", component="reader 0") in news(link.receive(frame(0x4B, b"\x01"), NOW))


def test_a_card_is_presented_and_its_number_stays_here() -> None:
    found = listening().receive(frame(0x50, raw(CARD_68_41551)), NOW)
    attributes = {"granted": "undecided", "credential": "card", "format": "H10301"}
    assert news(found) == [Event(kind="access", component="reader 0", attributes=attributes)]
    assert not [word for word in (b"41551", b"4497999") if word in msgspec.json.encode(found)]


def test_a_card_that_is_not_whole_is_no_card() -> None:
    flipped = "1" + CARD_68_41551[1:]
    assert news(listening().receive(frame(0x50, raw(flipped)), NOW)) == [Event(kind="read_error", component="reader 0")]
    found = listening().receive(frame(0x50, raw("1" * 25)), NOW)
    assert [one.reason for one in found if isinstance(one, Rejected)] == ["card of unknown length"]
    assert not news(listening().receive(frame(0x50, b"\0\0\xff\xff\x01"), NOW))


def test_a_code_is_told_once_and_without_its_digits() -> None:
    link = listening()
    assert news(link.receive(frame(0x53, b"\x00\x0412\x0034"), NOW)) == []
    assert news(link.receive(frame(0x53, b"\x00\x0234"), NOW)) == []
    found = link.receive(frame(0x53, b"\x00\x015\r"), NOW)  # one digit; what follows does not count
    done = link.receive(frame(0x53, b"\x00\x01\r"), NOW)
    assert news(done) == [
        Event(kind="access", component="reader 0", attributes={"granted": "undecided", "credential": "code"})
    ]
    assert news(found) == []


def test_commands_and_strangers_on_the_line() -> None:
    link = listening()
    command = Packet(address=5, reply=False, sequence=1, code=osdp_wire.POLL)
    assert link.receive(osdp_wire.write_packet(command), NOW) == []
    [stranger] = link.receive(frame(0x40, address=6), NOW)
    assert isinstance(stranger, Rejected)
    assert (stranger.reason, stranger.device) == ("not enrolled", "osdp:bus/6")
    assert link.to_send() == b""


def test_signs_of_life_are_rare() -> None:
    link = listening()
    found = [link.receive(frame(0x40), NOW + TICK * number) for number in range(220)]  # eleven seconds
    assert len([body for one in found for body in bodies(one)]) == 2


# --- control panel ---


def test_a_reader_in_clear_text_is_asked_in_order() -> None:
    line = Line(panel(), FakeReader())
    found = line.run()
    assert line.reader.heard[:4] == [osdp_wire.ID, osdp_wire.CAP, osdp_wire.LSTAT, osdp_wire.POLL]
    assert set(line.reader.heard[3:]) == {osdp_wire.POLL}
    told = {"vendor": "A1A2A3", "model": "177", "version": "193", "serial": "3570651857", "firmware": "225.226.227"}
    assert Event(kind="attributes", attributes=told) in bodies(found)
    assert not any(line.reader.sealed)


def test_a_reader_with_a_key_is_asked_inside_the_secure_channel() -> None:
    line = Line(panel(KEY.hex()), FakeReader(KEY))
    line.reader.events = [(0x50, raw(CARD_68_41551)), (0x48, b"\x01\x00")]
    found = line.run()
    assert line.reader.heard[:5] == [osdp_wire.ID, osdp_wire.CAP, osdp_wire.CHLNG, osdp_wire.SCRYPT, osdp_wire.LSTAT]
    assert all(line.reader.sealed[4:])
    kinds = [body.kind for body in news(found) if isinstance(body, Alarm | Event)]
    assert "access" in kinds
    assert Alarm(kind="tamper") in news(found)
    assert not [one for one in found if isinstance(one, Rejected)]


def test_the_default_key_only_sets_the_unique_one() -> None:
    line = Line(panel(KEY.hex(), install=True), FakeReader())
    line.run()
    assert line.reader.key == KEY
    assert line.reader.heard.count(osdp_wire.KEYSET) == 1
    assert line.reader.heard.count(osdp_wire.CHLNG) == 2  # the second with the unique key
    assert line.reader.heard[-1] == osdp_wire.POLL
    assert line.reader.secure


def test_a_reader_that_has_its_key_needs_no_installing_again() -> None:
    """The edge starts anew, and `install` still stands in its file."""
    line = Line(panel(KEY.hex(), install=True), FakeReader(KEY))
    found = line.run(100)
    assert line.reader.heard[-1] == osdp_wire.POLL and line.reader.secure
    assert osdp_wire.KEYSET not in line.reader.heard
    assert Alarm(kind="network_intrusion") not in bodies(found)


def test_a_reader_with_another_key_is_an_alarm_and_is_not_believed() -> None:
    line = Line(panel(KEY.hex()), FakeReader(b"another key 1234"))
    line.reader.events = [(0x50, raw(CARD_68_41551))]
    found = line.run(200)
    assert Alarm(kind="network_intrusion") in bodies(found)
    assert osdp_wire.POLL not in line.reader.heard
    assert line.reader.heard.count(osdp_wire.CHLNG) < 10  # later and later
    line.reader.key = KEY
    assert Alarm(kind="network_intrusion", raised=False) in bodies(line.run(400))


def test_clear_text_from_a_reader_with_a_key_is_an_alarm() -> None:
    line = Line(panel(KEY.hex()), FakeReader(KEY))
    line.run()
    line.session.idle(line.now + TICK * 3)
    sent = osdp_wire.read_packet(line.session.to_send()[1:])
    assert sent is not None
    found = line.session.receive(frame(0x50, raw(CARD_68_41551), sequence=sent.sequence), line.now)
    assert bodies(found) == [Alarm(kind="network_intrusion")]


def test_a_wrong_mac_ends_the_session_of_the_reader() -> None:
    line = Line(panel(KEY.hex()), FakeReader(KEY))
    line.run()
    line.session.idle(line.now + TICK * 3)
    sent = osdp_wire.read_packet(line.session.to_send()[1:])
    assert sent is not None
    forged = Packet(address=5, reply=True, sequence=sent.sequence, code=0x40, block=b"\x16", mac=b"\0\0\0\0")
    found = line.session.receive(osdp_wire.write_packet(forged), line.now)
    assert [one.reason for one in found if isinstance(one, Rejected)] == ["MAC wrong"]
    line.run()
    assert line.reader.heard.count(osdp_wire.ID) == 2


def test_silence_is_asked_again_with_the_same_bytes_and_then_from_the_start() -> None:
    session = panel()
    sent = []
    for number in range(60):
        session.idle(NOW + TICK * number)
        if data := session.to_send():
            sent.append((number, data))
    assert [number for number, _ in sent[:3]] == [0, 4, 8]  # 0.2 s apart
    assert sent[0][1] == sent[1][1] == sent[2][1]
    packets = [osdp_wire.read_packet(data[1:]) for _, data in sent]
    assert {(packet.code, packet.sequence) for packet in packets if packet} == {(osdp_wire.ID, 0)}
    assert len(sent) < 12


def test_late_and_foreign_answers_do_not_count() -> None:
    session = panel()
    session.idle(NOW)
    session.to_send()
    assert session.receive(frame(0x45, IDENTITY, sequence=1), NOW) == []
    session.receive(frame(0x45, IDENTITY, sequence=0), NOW)
    [asked] = [osdp_wire.read_packet(session.to_send()[1:])]
    assert asked is not None
    assert (asked.code, asked.sequence) == (osdp_wire.CAP, 1)


def test_a_busy_reader_is_asked_the_same_again() -> None:
    session = panel()
    session.idle(NOW)
    first = session.to_send()
    session.receive(frame(0x79, sequence=0), NOW)
    assert session.to_send() == b""
    session.idle(NOW + TICK * 5)
    assert session.to_send() == first


def test_a_reader_that_is_always_busy_does_not_stop_the_line() -> None:
    settings = {"readers": [{"address": 5}, {"address": 6}]}
    session = osdp.Session(msgspec.convert(settings, osdp.Settings), {"bus/5", "bus/6"})
    now, asked, found = NOW, set(), []
    for _ in range(400):
        found += session.idle(now)
        if sent := osdp_wire.read_packet(session.to_send()[1:] or frame(0x40)[1:]):
            asked.add(sent.address)
            found += session.receive(frame(osdp_wire.BUSY, address=5, sequence=sent.sequence), now)
        now += TICK
    assert 6 in asked
    assert "busy for too long" in [one.reason for one in found if isinstance(one, Rejected)]


def test_a_clock_that_jumps_does_not_stop_the_line() -> None:
    line = Line(panel(), FakeReader())
    line.run()
    for jump in (timedelta(days=-400), timedelta(days=800)):
        line.now += jump
        before = len(line.reader.heard)
        line.run()
        assert len(line.reader.heard) > before + 5


# --- commands ---


def command(action: str, **args: str) -> DeviceCommand:
    return DeviceCommand(nonce="n-1", native_id="bus/5", action=action, args=args)


@pytest.mark.parametrize(
    ("asked", "answer", "result"),
    [
        (command("led", colour="green", seconds="3"), (0x40, b""), "accepted"),
        (command("buzzer", count="2"), (0x41, b"\x03"), "refused"),
        (command("output_on", output="0", seconds="5"), (0x40, b""), "accepted"),
        (command("output_on", output="0", seconds="5"), (0x4A, b"\x01"), "confirmed"),
        (command("output_off", output="0"), (0x4A, b"\x00"), "confirmed"),
        (command("output_off", output="0"), (0x4A, b"\x01"), "accepted"),
    ],
)
def test_commands(asked: DeviceCommand, answer: tuple[int, bytes], result: str) -> None:
    line = Line(panel(KEY.hex()), FakeReader(KEY))
    line.run()
    for code in (osdp_wire.LED, osdp_wire.BUZ, osdp_wire.OUT):
        line.reader.answers[code] = answer
    line.session.command(asked, line.now)
    said = [(one.nonce, one.result) for one in line.run() if isinstance(one, CommandAnswer)]
    assert said == [("n-1", result)]


def test_a_command_to_a_reader_that_is_gone_is_refused() -> None:
    line = Line(panel(), FakeReader())
    line.run()
    line.session.command(command("buzzer", count="1"), line.now)
    found: list[Result] = []
    for number in range(30):
        found += line.session.idle(line.now + TICK * number)
        line.session.to_send()
    assert [one for one in found if isinstance(one, CommandAnswer)] == [
        CommandAnswer(nonce="n-1", result="refused", reason="no answer")
    ]


def test_no_command_waits_for_a_reader_that_is_away() -> None:
    """A door that opens minutes after someone asked for it opens for somebody else."""
    line = Line(panel(), FakeReader())
    asked = command("output_on", output="0", seconds="5")
    with pytest.raises(CommandRefused, match="does not answer"):
        line.session.command(asked, line.now)
    line.run()
    found: list[Result] = []
    for _ in range(3):
        line.session.command(asked, line.now)
    for number in range(30):  # it falls silent
        found += line.session.idle(line.now + TICK * number)
        line.session.to_send()
    answers = [(one.result, one.reason) for one in found if isinstance(one, CommandAnswer)]
    assert answers == [("refused", "no answer")] * 3
    with pytest.raises(CommandRefused, match="does not answer"):
        line.session.command(asked, line.now)
    line.now += timedelta(minutes=5)
    line.run(100)
    assert line.reader.heard[-1] == osdp_wire.POLL and osdp_wire.OUT not in line.reader.heard


def test_a_command_that_a_reader_answers_with_doubt_is_refused() -> None:
    line = Line(panel(), FakeReader())
    line.run()
    line.reader.answers[osdp_wire.BUZ] = (0x41, b"\x04")  # NAK: the sequence is not the one it waits for
    line.session.command(command("buzzer", count="1"), line.now)
    assert [one.result for one in line.run() if isinstance(one, CommandAnswer)] == ["refused"]


@pytest.mark.parametrize(
    "asked",
    [
        command("led", colour="pink", seconds="1"),
        command("led", colour="red", seconds="0"),
        command("buzzer", count="x"),
        command("output_on", output="16", seconds="1"),
        command("fly"),
        DeviceCommand(nonce="n", native_id="bus/6", action="buzzer", args={"count": "1"}),
        DeviceCommand(nonce="n", native_id="bus/x", action="buzzer", args={"count": "1"}),
        DeviceCommand(nonce="n", native_id="bus/" + "5" * 5_000, action="buzzer", args={"count": "1"}),
    ],
)
def test_commands_that_cannot_be_sent(asked: DeviceCommand) -> None:
    with pytest.raises(CommandRefused):
        panel().command(asked, NOW)


def test_commands_do_not_pile_up() -> None:
    line = Line(panel(), FakeReader())
    line.run()
    for _ in range(10):
        line.session.command(command("buzzer", count="1"), line.now)
    with pytest.raises(CommandRefused, match="too many"):
        line.session.command(command("buzzer", count="1"), line.now)


@pytest.mark.parametrize(
    "settings",
    [
        {"readers": [{"address": 127}]},
        {"readers": [{"address": 1}, {"address": 1}]},
        {"readers": [{"address": 1, "key": "00"}]},
        {"readers": [{"address": 1, "key": "zz" * 16}]},
        {"readers": [{"address": 1, "install": True}]},
        {"readers": [{"address": 1, "formats": ["H1"]}]},
        {"bus": "a/b"},
    ],
)
def test_settings_that_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, osdp.Settings)
