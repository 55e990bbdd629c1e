"""What every family promises, whatever the bytes: see devices/family.py. `make fuzz` runs this fifty times deeper."""

import re
from binascii import crc_hqx
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import families as registry
from devices.dictionary import ALARMS, EVENTS, METRICS
from devices.envelope import decode_observation, encode
from devices.family import AnyFamily, Asking, CommandRefused, DeviceCommand, Everyone, Family, Message, Session
from devices.framing import crc16, xor8
from devices.observation import (
    REJECTED_BYTES_MAX,
    Alarm,
    CommandAnswer,
    Event,
    Observation,
    Rejected,
    Result,
    Telemetry,
)
from gridward.family_words import unsaid
from tests.devices.frames import COMMANDS, GOOD, MARKS, NOW, SAID, SILENT
from tests.vectors import SHARED, lines_of

OBSERVATION_BYTES_MAX = 10_000

FAMILIES = tuple(family for family in registry.FAMILIES.values() if isinstance(family, Family))
ALL_MARKS = [mark for marks in MARKS.values() for mark in marks]
VECTORS = (
    "cot_tak",
    "gbt26875",
    "jt808",
    "nmea0183",
    "osdp",
    "sia_dc09",
    "watch",
)
families = st.sampled_from(FAMILIES)
asking = st.sampled_from([one for one in FAMILIES if isinstance(one.open_session(one.settings(), ()), Asking)])
commanded = st.sampled_from([family for family in FAMILIES if family.name in COMMANDS])


def real_frames() -> list[bytes]:
    """What devices of the field sent, where the shared vectors are beside this checkout."""
    paths = [SHARED / f"{name}.jsonl" for name in VECTORS]
    lines = [line for path in paths if path.exists() for line in lines_of(path)]
    frames = [
        bytes.fromhex(line["frame_hex"]) if "frame_hex" in line else line["frame_text"].encode()
        for line in lines
        if "frame_json" not in line
    ]
    return [frame for frame in frames if len(frame) <= 400]


FRAMES = [*(frame for _, frame in GOOD.values()), *SAID, *real_frames()]


@st.composite
def noise(draw: st.DrawFn) -> bytes:
    """Bytes with pieces of good frames and marks among them."""
    pieces = st.one_of(
        st.binary(max_size=40),
        st.sampled_from(ALL_MARKS),
        st.sampled_from(FRAMES),
        st.sampled_from(FRAMES).flatmap(lambda frame: st.integers(1, len(frame)).map(lambda end: frame[:end])),
        st.sampled_from(FRAMES).flatmap(_flipped),
        st.tuples(st.sampled_from(FRAMES), st.integers(0, 60), st.binary(max_size=6)).map(_sealed),
    )
    return b"".join(draw(st.lists(pieces, max_size=8)))


def _flipped(frame: bytes) -> st.SearchStrategy[bytes]:
    return st.tuples(st.integers(0, len(frame) - 1), st.integers(1, 255)).map(
        lambda change: frame[: change[0]] + bytes((frame[change[0]] ^ change[1],)) + frame[change[0] + 1 :]
    )


def _sealed(change: tuple[bytes, int, bytes]) -> bytes:
    """A frame with other bytes in it whose checksum or length fits again, so that they reach the readers behind it."""
    frame, at, put = change
    changed = frame[:at] + put + frame[at + len(put) :]
    if changed.startswith(b"@@") and changed.endswith(b"##"):
        return changed[:-3] + bytes((sum(changed[2:-3]) & 0xFF,)) + b"##"
    if changed[:1] == changed[-1:] == b"\x7e":
        inner = changed[1:-2].replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
        sealed = inner + bytes((xor8(inner),))
        return b"\x7e" + sealed.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02") + b"\x7e"
    if changed[:2] == b"\xff\x53" and len(changed) > 8:
        return changed[:-2] + crc_hqx(changed[1:-2], 0x1D0F).to_bytes(2, "little")
    if changed[:1] == b"[" and changed[-1:] == b"]" and changed.count(b"*") >= 3:
        *head, _, content = changed[:-1].split(b"*", 3)
        return b"*".join([*head, b"%04X" % len(content), content]) + b"]"
    if changed.startswith(b"\xa5\x5a") and len(changed) > 9:
        return changed[:-4] + crc16(changed[:-4], 0xFFFF).to_bytes(2) + b"\x55\xaa"
    if changed.count(b"$") == 1 and changed[-5:-4] == b"*" and changed.endswith(b"\r\n"):
        head, _, counted = changed[:-5].partition(b"$")
        return b"%b$%b*%02X\r\n" % (head, counted, xor8(counted))
    if changed[:1] == b"\n" and changed[-1:] == b"\r":
        counted = changed[9:-1].replace(b"\r", b" ").replace(b"\n", b" ")
        return b"\n%04X%04X%b\r" % (crc16(counted), len(counted), counted)
    return changed


def open_session(family: Family) -> Session:
    return family.open_session(family.settings(), Everyone())


def feed(family: Family, data: bytes, chunk: int) -> tuple[list[Result], bytes]:
    """Results and replies of a new link that is given `data` in chunks, then silence."""
    session = open_session(family)
    found: list[Result] = []
    replies = b""
    for at in range(0, len(data), chunk):
        found += session.receive(data[at : at + chunk], NOW)
        replies += session.to_send()
    found += session.idle(NOW)
    return found, replies + session.to_send()


@given(family=families, data=noise(), chunk=st.integers(1, 60))
def test_chunking_does_not_matter_and_nothing_raises(family: Family, data: bytes, chunk: int) -> None:
    assert feed(family, data, max(len(data), 1)) == feed(family, data, chunk)


@given(family=asking, data=noise(), status=st.sampled_from(["200", "400", "401", "500", ""]))
def test_whatever_comes_back_to_what_a_session_asks(family: Family, data: bytes, status: str) -> None:
    """It never raises, keeps to the device, and comes to an end."""
    native_id, _ = GOOD[family.name]
    session: Any = family.open_session(family.settings(), {native_id})
    session.begin(NOW)
    for _ in range(10):
        for request in session.requests():
            for result in session.answered(request, Message(request.channel, data, {"status": status}), NOW):
                assert not isinstance(result, Observation) or result.device == f"{family.name}:{native_id}"
    assert session.requests() == []


@given(family=families, data=noise())
def test_results_keep_to_the_dictionary_and_travel(family: Family, data: bytes) -> None:
    for result in feed(family, data, 17)[0]:
        if isinstance(result, Rejected):
            assert result.reason
            assert len(result.frame) <= 64
            continue
        body = result.body
        assert result.device.startswith(f"{family.name}:")
        assert unsaid(family, body) == "", "its page in docs/families does not tell"
        assert not isinstance(body, Alarm) or body.kind in ALARMS
        assert not isinstance(body, Event) or body.kind in EVENTS
        assert not isinstance(body, Telemetry) or set(body.values) <= set(METRICS)
        encoded = encode(result)
        assert decode_observation(encoded) == result
        assert b"\\u0000" not in encoded  # PostgreSQL cannot hold it
        assert len(encoded) < OBSERVATION_BYTES_MAX


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_its_page_tells_all_that_a_family_says(family: Family) -> None:
    said = [
        result.body
        for frame in FRAMES
        for result in feed(family, frame, len(frame))[0]
        if isinstance(result, Observation)
    ]
    assert said
    assert {unsaid(family, body) for body in said} == {""}


@given(family=families, data=noise())
def test_a_good_frame_comes_out_after_noise(family: Family, data: bytes) -> None:
    _, frame = GOOD[family.name]
    session = open_session(family)
    session.receive(data, NOW)
    session.idle(NOW)
    found = [*session.receive(frame, NOW), *session.idle(NOW)]
    assert any(isinstance(result, Observation) and isinstance(result.body, Alarm) for result in found)


@given(family=families, data=noise())
def test_a_device_that_is_not_enrolled_makes_no_observation(family: Family, data: bytes) -> None:
    session = family.open_session(family.settings(), frozenset())
    found = [*session.receive(data + GOOD[family.name][1], NOW), *session.idle(NOW)]
    assert not any(isinstance(result, Observation) for result in found)


@pytest.mark.parametrize("year", [1970, 1999, 2026, 2300, 9999])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_gateway_whose_own_clock_is_wrong_still_hears_alarms(family: Family, year: int) -> None:
    """A board without a clock battery starts in 1970."""
    for now in (datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)):
        session = open_session(family)
        found = [*session.receive(GOOD[family.name][1], now), *session.idle(now)]
        assert any(isinstance(result, Observation) and isinstance(result.body, Alarm) for result in found)
        assert bool(session.to_send()) == (family.name not in SILENT)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_stranger_is_named_and_not_answered_as_a_friend(family: Family) -> None:
    native_id, frame = GOOD[family.name]
    session = family.open_session(family.settings(), frozenset({"another"}))
    [stranger] = [*session.receive(frame, NOW), *session.idle(NOW)]
    assert isinstance(stranger, Rejected)
    assert (stranger.reason, stranger.device) == ("not enrolled", f"{family.name}:{native_id}")
    assert session.to_send() == b""


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_same_report_twice_has_the_same_ids(family: Family) -> None:
    frame = GOOD[family.name][1]
    session = open_session(family)
    once, again = (
        {result.frame_id for result in [*session.receive(frame, NOW), *session.idle(NOW)] if _alarm(result)}
        for _ in range(2)
    )
    assert once == again
    assert "" not in once


def _alarm(result: Result) -> bool:
    return isinstance(result, Observation) and isinstance(result.body, Alarm) and result.body.raised


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_reading_time_grows_with_the_bytes_not_faster(family: Family) -> None:
    """Steps of the cutter, not seconds: marks without end must not make each byte cost the whole buffer."""
    session = open_session(family)
    for mark in ALL_MARKS:
        session.receive(mark * 20_000, NOW)
        session.idle(NOW)


@given(family=families, data=st.lists(noise(), max_size=40).map(b"".join), chunk=st.integers(1, 500))
def test_a_session_never_holds_more_than_a_frame(family: Family, data: bytes, chunk: int) -> None:
    session: Any = open_session(family)
    for at in range(0, len(data), chunk):
        session.receive(data[at : at + chunk], NOW)
        assert session._framer.waiting < family.frame_bytes_max
        assert len(session._framer._noise) <= REJECTED_BYTES_MAX
    session.idle(NOW)
    assert session._framer.waiting == 0


def asked_session(family: Family) -> Any:
    """A link whose device has shown itself and was asked everything in COMMANDS; that is written already."""
    session: Any = open_session(family)
    native_id, frame = GOOD[family.name]
    session.receive(frame, NOW)
    session.idle(NOW)
    session.to_send()
    for action, args in COMMANDS[family.name]:
        session.command(DeviceCommand(nonce=action, native_id=native_id, action=action, args=args), NOW)
        assert session.to_send()
    return session


@given(family=commanded, data=noise(), chunk=st.integers(1, 60))
def test_nothing_raises_while_commands_wait_and_only_they_are_answered(family: Family, data: bytes, chunk: int) -> None:
    whole, cut = asked_session(family), asked_session(family)
    found = [*whole.receive(data, NOW), *whole.idle(NOW)]
    pieces = [data[at : at + chunk] for at in range(0, len(data), chunk)]
    assert found == [result for piece in pieces for result in cut.receive(piece, NOW)] + cut.idle(NOW)
    assert whole.to_send() == cut.to_send()
    answers = [result for result in found if isinstance(result, CommandAnswer)]
    assert {answer.nonce for answer in answers} <= {action for action, _ in COMMANDS[family.name]}
    final = [answer.nonce for answer in answers if answer.result != "accepted"]
    assert len(final) == len(set(final)), "each is answered for good once"
    for answer in answers:
        assert len(answer.reason) < 100


@given(family=commanded, data=st.data())
def test_any_arguments_are_sent_or_refused_with_a_text(family: Family, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(family.commands))
    names = st.sampled_from([*kind.args, "other", "0x0001"])
    texts = st.one_of(
        st.text(max_size=30), st.integers(-10, 70_000).map(str), st.sampled_from(["1-3", "on", "1,1 2,3"])
    )
    args = data.draw(st.dictionaries(names, texts, max_size=6))
    session = asked_session(family)
    command = DeviceCommand(nonce="n", native_id=GOOD[family.name][0], action=kind.name, args=args)
    try:
        session.command(command, NOW)
    except CommandRefused as error:
        assert str(error)
        assert session.to_send() == b""
    else:
        assert 0 < len(session.to_send()) <= family.frame_bytes_max


@pytest.mark.parametrize(
    "family", [family for family in FAMILIES if family.name in COMMANDS], ids=lambda family: family.name
)
def test_a_device_that_has_not_shown_itself_is_not_asked(family: Family) -> None:
    session: Any = family.open_session(family.settings(), Everyone())
    action, args = COMMANDS[family.name][0]
    command = DeviceCommand(nonce="n", native_id=GOOD[family.name][0], action=action, args=args)
    with pytest.raises(CommandRefused, match="has not shown itself on this link"):
        session.command(command, NOW)
    strange: Any = family.open_session(family.settings(), frozenset())
    strange.receive(GOOD[family.name][1], NOW)
    with pytest.raises(CommandRefused, match="has not shown itself on this link"):
        strange.command(command, NOW)


def test_families_are_complete_and_settings_refuse_unknown_keys() -> None:
    assert {family.name for family in FAMILIES} == set(GOOD) >= set(SILENT)
    assert {family.name for family in FAMILIES if family.commands} >= set(COMMANDS)
    for family in FAMILIES:
        assert family.links
        assert family.frame_bytes_max > 0
        assert family.silence_s_max > 0
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"unknown": 1}, family.settings)


PATTERNED = [family for family in registry.FAMILIES.values() if family.native_id_pattern]


@pytest.mark.parametrize("family", PATTERNED, ids=lambda family: family.name)
def test_ids_look_as_the_family_says(family: AnyFamily) -> None:
    """Its example, and every device of the shared vectors: `--check` must not call a good id a slip."""
    ids = {family.example.native_id}
    file = SHARED / f"{family.name}.jsonl"
    if isinstance(family, Family) and file.exists():
        for line in lines_of(file):
            session = family.open_session(family.settings(), Everyone())
            raw = bytes.fromhex(line["frame_hex"]) if line.get("frame_hex") else str(line.get("frame_text")).encode()
            found = session.receive(raw, NOW)
            ids |= {one.device.partition(":")[2] for one in found if isinstance(one, Observation)}
    assert [one for one in ids if not re.fullmatch(family.native_id_pattern, one, re.ASCII)] == []
