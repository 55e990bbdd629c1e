"""Multipart streams without end, as cameras and door terminals write their events into one HTTP answer. Pure; no I/O.

    --boundary CR LF
    Content-Type: application/json CR LF      header lines; Content-Length often there, sometimes wrong
    CR LF
    body [CR LF]
    --boundary ...                            --boundary-- ends the stream

Rules
- The boundary is taken from the stream: what the Content-Type header of the answer says about it varies in its quotes
  and dashes.
- A part ends with its Content-Length, so that an event need not wait for the next one; without one at the next
  delimiter, or when nothing comes any more. A delimiter before that end goes before the length.
- Pictures are dropped as they come and never held: of such a part only the headers come out. They end at the next
  delimiter, whatever their length says.
- Bytes between parts are noise. A part of more than PART_BYTES_MAX is none.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from devices.framing import Cut, Framer
from devices.observation import Rejected

PART_BYTES_MAX = 131_072
HEADERS_BYTES_MAX = 4_096
PICTURE_BYTES_MAX = 8_388_608
PICTURES = ("image/", "video/", "audio/", "application/octet-stream")
BLANKS = b" \t\r\n\0"
NOISE = re.compile(rb"[^ \t\r\n\0-]+")
DELIMITER = re.compile(rb"--([0-9A-Za-z'()+_,./:=?-]{1,70}?)(--)?[ \t]*(\r?\n|\Z)")
# What cannot become one any more: a boundary too long, none at all, or something behind it.
NO_DELIMITER = re.compile(
    rb"--(?:[0-9A-Za-z'()+_,./:=?-]{73}|[^0-9A-Za-z'()+_,./:=?-]"
    rb"|[0-9A-Za-z'()+_,./:=?-]++[ \t]*+(?:\r[^\n]|[^\r\n]))"
)
HEADERS_END = re.compile(rb"\n\r?\n")


class Part(Struct, frozen=True):
    """`headers` have lower-case names. `body` is b"" where a picture was dropped."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def is_picture(self) -> bool:
        return self.headers.get("content-type", "").lower().startswith(PICTURES)


class Cutter:
    """Cuts a stream into parts; give `cut` to a Framer of PART_BYTES_MAX. `wrong_length`: quirk of devices whose
    Content-Length is not to be believed. `pictures`: they are wanted; then they count as parts like others."""

    def __init__(self, wrong_length: bool = False, pictures: bool = False) -> None:
        self._wrong_length = wrong_length
        self._pictures = pictures
        self._skipping = b""  # the delimiter that ends the picture being dropped
        self._skipped = 0

    def cut(self, buffer: bytes, final: bool) -> Cut:
        if self._skipping:
            return self._skip(buffer, final)
        if buffer[0] in BLANKS:
            return Cut(len(buffer) - len(buffer.lstrip(BLANKS)))
        if not buffer.startswith(b"-"):
            noise = NOISE.match(buffer)
            return Cut(noise.end() if noise else 1, reason="delimiter missing")
        delimiter = DELIMITER.match(buffer)
        if delimiter is None or (not delimiter[3] and not final):
            begun = b"--".startswith(buffer[:2]) and not NO_DELIMITER.match(buffer)
            return Cut(0) if begun and not final else Cut(1, reason="delimiter missing")
        if delimiter[2] or not delimiter[3]:
            return Cut(delimiter.end())
        return self._part(buffer, delimiter, final)

    def _part(self, buffer: bytes, delimiter: re.Match[bytes], final: bool) -> Cut:
        """The part behind a delimiter, or the wait for its end."""
        headers = HEADERS_END.search(buffer, delimiter.end() - 1, delimiter.end() + HEADERS_BYTES_MAX)
        if headers is None:
            broken = final or len(buffer) >= delimiter.end() + HEADERS_BYTES_MAX
            return Cut(2, reason="headers unreadable") if broken else Cut(0)
        start, ending = headers.end(), b"\n--" + delimiter[1]
        part = read_part(buffer[:start])
        if part.is_picture and not self._pictures:
            self._skipping, self._skipped = ending, 0
            return Cut(start - 1, frame=buffer[:start])  # the last line break belongs to an ending right behind it
        length = None if self._wrong_length else _length(part)
        stop = len(buffer) if length is None else min(len(buffer), start + length)
        end = buffer.find(ending, start - 1, stop)
        if end >= 0:
            return Cut(end + 1, frame=buffer[: end + 1])
        if length is not None and stop == start + length:
            return Cut(stop, frame=buffer[:stop])
        if not final:
            return Cut(0)
        return Cut(len(buffer), frame=buffer) if length is None else Cut(2, reason="frame incomplete")

    def _skip(self, buffer: bytes, final: bool) -> Cut:
        end = buffer.find(self._skipping)
        taken = end + 1 if end >= 0 else len(buffer) if final else max(len(buffer) - len(self._skipping) + 1, 0)
        self._skipped += taken
        if end >= 0 or final or self._skipped > PICTURE_BYTES_MAX:
            self._skipping = b""
        return Cut(taken)


def _length(part: Part) -> int | None:
    said = part.headers.get("content-length", "").strip()
    return int(said) if said.isascii() and said.isdecimal() and len(said) <= 9 else None


def read_part(frame: bytes) -> Part:
    """A frame as the cutter gave it: delimiter, headers, body."""
    first = frame.find(b"\n")
    end = HEADERS_END.search(frame, first)
    assert end is not None, "frames come from the cutter"
    lines = frame[first + 1 : end.start()].decode("utf-8", "replace").splitlines()
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Part(headers, frame[end.end() :].rstrip(b"\r\n"))


def parts_of(data: bytes, bytes_max: int) -> list[Part]:
    """All parts of one whole message, pictures too; what cannot be read is left out."""
    framer = Framer(Cutter(pictures=True).cut, bytes_max)
    pieces = [*framer.feed(data), *framer.idle()]
    return [read_part(piece) for piece in pieces if not isinstance(piece, Rejected)]
