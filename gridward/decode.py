"""`gridward decode`: what a device's bytes mean, before it is connected to anything.

Input is hex or the device's own text, one frame or one stream. A line of a JSON Lines file is an object with
`frame_hex`, `frame_text` or `frame_json` (the shape of our test vectors); `id`, when it is there, is carried into the
output. For families of whole messages `topic` or `channel` (or the option) says where the message came, `content_type`
what it is.
Output is one JSON object a line: {"observation": …} or {"rejected": …}. A device need not be enrolled here, and a time
that no edge would believe is kept, flagged `time_invalid`. Every frame is read as the first of a new connection, so a
report also shows what it clears.
"""

import binascii
import re
from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec
from msgspec.structs import replace

from devices.families import FAMILIES
from devices.family import AnyFamily, Everyone, Message, MessageFamily
from devices.observation import CommandAnswer, Observation, Rejected, Result

_NAMES = {Observation: "observation", Rejected: "rejected", CommandAnswer: "command_answer"}


class DecodeError(Exception):
    """The person's input cannot be read: the text says where and why."""


class Line(msgspec.Struct, frozen=True):
    """One line of input; fields that vectors carry besides these are ignored."""

    frame_hex: str | None = None
    frame_text: str | None = None
    frame_json: msgspec.Raw = msgspec.Raw()
    id: str = ""
    topic: str = ""
    channel: str = ""
    content_type: str = ""
    media_type: str = ""
    retained: bool = False


class Given(msgspec.Struct, frozen=True):
    """What a person gave: bytes, and for families of messages the message they are in."""

    id: str
    message: Message


def family_named(name: str) -> AnyFamily:
    if name not in FAMILIES:
        raise DecodeError(f"no family {name!r}; known: {', '.join(sorted(FAMILIES))}")
    return FAMILIES[name]


def from_hex(text: str) -> bytes:
    """Bytes of hex as people paste it: spaces, colons, commas, line breaks and 0x are ignored."""
    compact = "".join(re.sub(r"0[xX]|[:,]", "", text).split())
    if not compact:
        raise DecodeError("nothing to decode")
    try:
        return binascii.unhexlify(compact)
    except ValueError as error:  # also of a letter that is not ASCII
        raise DecodeError(f"not hex: {text[:40]!r}: {str(error).lower()}") from error


def plain(data: bytes, given_id: str = "") -> Given:
    return Given(given_id, Message("", data))


def at(given: Given, channel: str) -> Given:
    """The same, from `channel` when it does not say where it came from."""
    return given if given.message.channel or not channel else Given(given.id, replace(given.message, channel=channel))


def lines_of(text: Iterable[str], where: str) -> Iterator[Given]:
    """Each line: a JSON object, or hex. Empty lines are left out; raises DecodeError."""
    number = 0
    for number, line in enumerate(text, start=1):
        if line.strip():
            try:
                yield _read(line)
            except (msgspec.DecodeError, DecodeError) as error:
                raise DecodeError(f"{where}:{number}: {error}") from error
    if not number:
        raise DecodeError(f"{where}: nothing to decode")


def _read(line: str) -> Given:
    if not line.lstrip().startswith("{"):
        return plain(from_hex(line))
    found = msgspec.json.decode(line, type=Line)
    kinds = {"content-type": found.content_type or found.media_type, "retained": "1" if found.retained else ""}
    headers = {name: value for name, value in kinds.items() if value}
    return Given(found.id, Message(found.topic or found.channel, _bytes_of(found), headers))


def _bytes_of(line: Line) -> bytes:
    if line.frame_hex is not None:
        return from_hex(line.frame_hex)
    if bytes(line.frame_json):
        return bytes(line.frame_json)
    if line.frame_text is None:
        raise DecodeError("neither frame_hex nor frame_text")
    return line.frame_text.encode()


def settings_of(family: AnyFamily, toml: str) -> msgspec.Struct:
    """The family's settings from a person's TOML ("" for none); raises DecodeError."""
    try:
        return msgspec.convert({"any_time": True} | msgspec.toml.decode(toml), family.settings)
    except msgspec.DecodeError as error:
        raise DecodeError(f"settings of {family.name}: {error}") from error


def decode(family: AnyFamily, given: Given, now: datetime, settings: msgspec.Struct) -> list[str]:
    """One JSON text for every observation and rejection, read as the first of a new link."""
    if isinstance(family, MessageFamily):
        results = family.open_session(settings, Everyone()).receive(given.message, now)
    else:
        session = family.open_session(settings, Everyone())
        results = [*session.receive(given.message.data, now), *session.idle(now)]
    return [line_of(result, given.id) for result in results]


def line_of(result: Result, given_id: str = "") -> str:
    """One observation, rejection or answer as JSON."""
    name = _NAMES[type(result)]
    head = {"id": given_id} if given_id else {}
    body = msgspec.to_builtins(result)
    if isinstance(result, Rejected):
        body["frame"] = result.frame.hex()
    return msgspec.json.encode({**head, name: body}).decode()
