"""SIA DC-09 with pysiaalarm, a receiver as we are: both read a frame, and each reads the answer of the other."""

from datetime import UTC, datetime
from typing import Any

import pytest

from devices.families import sia_dc09, sia_dc09_wire
from devices.observation import Alarm, Observation
from tests.devices.frames import sia_dc09 as frame

pysiaalarm: Any = pytest.importorskip("pysiaalarm", reason="pysiaalarm is the other receiver")
event_module: Any = pytest.importorskip("pysiaalarm.event", reason="pysiaalarm is the other receiver")

KEY = "AbcdefghIjklmnop"
FIRE = "#1234|Nri2/FA017"
ALARM = Alarm(kind="fire", component="2-017")


def theirs(data: bytes, key: str | None = None) -> Any:
    account = pysiaalarm.SIAAccount("1234", key)
    return event_module.SIAEvent.from_line(data.decode().strip(), {"1234": account})


def ours(data: bytes, key: str = "") -> tuple[list[object], bytes]:
    """What our session makes of the frame, and its answer."""
    session = sia_dc09.Session(sia_dc09.Settings(keys={"1234": key} if key else {}), {"1234"})
    found = session.receive(data, datetime.now(UTC))
    return [one.body for one in found if isinstance(one, Observation)], session.to_send()


def stamp() -> str:
    return f"_{datetime.now(UTC):%H:%M:%S,%m-%d-%Y}"


def test_a_clear_frame_gets_the_same_answer_from_both() -> None:
    sent = frame(f'"SIA-DCS"0008R0L0#1234[{FIRE}]{stamp()}')
    event = theirs(sent)
    assert event.valid_message and (event.code, event.ri) == ("FA", "2")
    bodies, answer = ours(sent)
    assert bodies == [ALARM] and answer == event.create_response()


def test_what_pysiaalarm_encrypted_is_read_and_answered_encrypted() -> None:
    event = theirs(frame(f'"SIA-DCS"0008R0L0#1234[{FIRE}]{stamp()}'), KEY)
    cipher = event.encrypt_content(f"|{FIRE.partition('|')[2]}]{stamp()}")
    bodies, answer = ours(frame(f'"*SIA-DCS"0008R0L0#1234[{cipher}'), KEY)
    assert bodies == [ALARM]
    read = sia_dc09_wire.read_frame(answer)
    assert read is not None and (read.id, read.encrypted, read.sequence) == ("ACK", True, "0008")
    event.encrypted_content = read.cipher
    event.decrypt_content()
    assert event.content.strip("0").startswith("|]_"), "pysiaalarm opens our answer"


def test_what_we_encrypt_pysiaalarm_reads_and_its_answer_is_read() -> None:
    cipher = sia_dc09_wire.encrypt(f"|{FIRE.partition('|')[2]}]{stamp()}", KEY.encode())
    event = theirs(frame(f'"*SIA-DCS"0008R0L0#1234[{cipher}'), KEY)
    assert event.valid_message and event.valid_timestamp and (event.code, event.ri) == ("FA", "2")
    read = sia_dc09_wire.read_frame(event.create_response())
    assert read is not None and read.crc_ok and read.length_ok and (read.id, read.encrypted) == ("ACK", True)
    opened = sia_dc09_wire.decrypt(read, KEY.encode())
    assert opened is not None and opened.time is not None


def test_a_frame_with_another_key_is_not_read() -> None:
    cipher = sia_dc09_wire.encrypt(f"|{FIRE.partition('|')[2]}]{stamp()}", b"another key 1234")
    bodies, answer = ours(frame(f'"*SIA-DCS"0008R0L0#1234[{cipher}'), KEY)
    assert bodies == [] and b'"DUH"' in answer
