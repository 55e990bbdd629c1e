"""`gridward decode`: what a device's bytes mean, before it is connected to anything.

Input is hex or the device's own text, one frame or one stream. A line of a JSON Lines file is an object with
`frame_hex` or `frame_text` (the shape of our test vectors); `id`, when it is there, is carried into the output.
Output is one JSON object a line: {"observation": …} or {"rejected": …}. A device need not be enrolled here, and a time
that no edge would believe is kept, flagged `time_invalid`. Every frame is read as the first of a new connection, so a
report also shows what it clears.
"""

import binascii
import re
from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from devices.families import BYTE_FAMILIES_TO_COME, FAMILIES
from devices.family import Everyone, Family
from devices.observation import Observation, Result


class DecodeError(Exception):
    """The person's input cannot be read: the text says where and why."""


class Line(msgspec.Struct, frozen=True):
    """One line of input; fields that vectors carry besides these are ignored."""

    frame_hex: str | None = None
    frame_text: str | None = None
    id: str = ""


def family_named(name: str) -> Family:
    known = {family.name: family for family in FAMILIES + BYTE_FAMILIES_TO_COME}
    if name not in known:
        raise DecodeError(f"no family {name!r}; known: {', '.join(sorted(known))}")
    return known[name]


def from_hex(text: str) -> bytes:
    """Bytes of hex as people paste it: spaces, colons, commas, line breaks and 0x are ignored."""
    compact = "".join(re.sub(r"0[xX]|[:,]", "", text).split())
    if not compact:
        raise DecodeError("nothing to decode")
    try:
        return binascii.unhexlify(compact)
    except binascii.Error as error:
        raise DecodeError(f"not hex: {text[:40]!r}: {str(error).lower()}") from error


def lines_of(text: Iterable[str], where: str) -> Iterator[tuple[str, bytes]]:
    """(id, bytes) of each line: a JSON object, or hex. Empty lines are left out; raises DecodeError."""
    number = 0
    for number, line in enumerate(text, start=1):
        if line.strip():
            try:
                yield _read(line)
            except (msgspec.DecodeError, DecodeError) as error:
                raise DecodeError(f"{where}:{number}: {error}") from error
    if not number:
        raise DecodeError(f"{where}: nothing to decode")


def _read(line: str) -> tuple[str, bytes]:
    if not line.lstrip().startswith("{"):
        return "", from_hex(line)
    found = msgspec.json.decode(line, type=Line)
    if found.frame_hex is not None:
        return found.id, from_hex(found.frame_hex)
    if found.frame_text is None:
        raise DecodeError("neither frame_hex nor frame_text")
    return found.id, found.frame_text.encode()


def decode(family: Family, data: bytes, now: datetime, given_id: str = "") -> list[str]:
    """One JSON text for every observation and rejection in `data`, read as one stream of a new link."""
    session = family.open_session(msgspec.convert({"any_time": True}, family.settings), Everyone())
    results = [*session.receive(data, now), *session.idle(now)]
    return [_line(result, given_id) for result in results]


def _line(result: Result, given_id: str) -> str:
    name = "observation" if isinstance(result, Observation) else "rejected"
    head = {"id": given_id} if given_id else {}
    body = msgspec.to_builtins(result)
    if not isinstance(result, Observation):
        body["frame"] = result.frame.hex()
    return msgspec.json.encode({**head, name: body}).decode()
