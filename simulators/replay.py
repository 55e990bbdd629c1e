"""Sending the frames of a vector file down a real link: `--replay FILE --host H --port P`.

Lines are JSON objects with `frame_hex` or `frame_text` (see gridward decode); `direction` "down" is left out. What
comes back is shown, so that a person sees whether and how each frame is answered.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

READ_BYTES = 65536
ANSWER_S_MAX = 0.3


class ReplayError(Exception):
    """The file cannot be read, or nobody listens; the text is the one line to show."""


class Line(Struct, frozen=True):
    id: str = ""
    direction: str = "up"
    frame_hex: str | None = None
    frame_text: str | None = None
    layer: str = ""


def frames_of(path: Path) -> Iterator[tuple[str, bytes]]:
    """(id, bytes) of each whole frame that a device sends; raises ReplayError."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ReplayError(f"{path}: {error.strerror}") from error
    for number, text in enumerate(lines, start=1):
        try:
            line = msgspec.json.decode(text, type=Line)
            frame = bytes.fromhex(line.frame_hex) if line.frame_hex else (line.frame_text or "").encode()
        except (msgspec.DecodeError, ValueError) as error:
            raise ReplayError(f"{path}:{number}: {error}") from error
        if frame and line.direction != "down" and not line.layer:
            yield line.id or str(number), frame


async def replay(path: Path, host: str, port: int, tell: Callable[[str], None]) -> int:
    """How many frames were sent; raises ReplayError, also for a file without any."""
    frames = list(frames_of(path))
    if not frames:
        raise ReplayError(f"{path}: no frames: lines of JSON with frame_hex or frame_text are sent")
    try:
        reader, writer = await asyncio.open_connection(host, port)
        for given_id, frame in frames:
            writer.write(frame)
            await writer.drain()
            tell(f"{given_id}: {len(frame)} bytes, answered {await _answer(reader)}")
        writer.close()
    except OSError as error:
        raise ReplayError(f"{host}:{port}: {error}") from error
    return len(frames)


async def _answer(reader: asyncio.StreamReader) -> str:
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            data = await reader.read(READ_BYTES)
    except TimeoutError:
        return "nothing"
    return data.hex() if data else "by hanging up"
