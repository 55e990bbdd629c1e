"""A process that plays many devices at once: it has their bytes ready and writes them as fast as they are read.

`python -m bench.load FRAMES [again]` reads link -> port as a JSON object from stdin and says "ready"; on a line it
writes all frames over many connections and says "sent"; on another line it hangs up. With "again" it begins anew when
it is through, until it is killed. What the other side answers is thrown away. A port named RELAY gets what the same
frames mean: one observation, encoded as it travels, a line.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime

from devices.envelope import encode
from devices.families import FAMILIES
from devices.observation import Observation
from tests.devices import frames

RELAY = "relay"
TERMINALS, BANDS = 40, 40
OBSERVATIONS_PER_FRAME = 2  # a Position and its Telemetry
PIECE_BYTES = 16_384

_reading: set["asyncio.Future[None]"] = set()


def terminal_id(number: int) -> str:
    return f"1390000{number:04d}"


def band_id(number: int) -> str:
    return f"88000{number:05d}"


def terminal_frames(number: int, count: int) -> bytes:
    phone = f"0{terminal_id(number)}"
    return b"".join(frames.jt808("0200", frames.LOCATION_BODY, phone, serial) for serial in range(count))


def band_frames(number: int, count: int) -> bytes:
    fields = frames.UD_CONTENT.split(",")
    steps = fields.index("100")
    made = []
    for walked in range(count):
        fields[steps] = str(walked)
        made.append(frames.watch(",".join(fields), band_id(number)))
    return b"".join(made)


def meaning(family: str, native_id: str, data: bytes) -> bytes:
    """The observations in these frames, a line each."""
    session = FAMILIES[family].open_session(FAMILIES[family].settings(), frozenset({native_id}))
    found = session.receive(data, datetime.now(UTC))
    return b"".join(encode(one) + b"\n" for one in found if isinstance(one, Observation))


def devices(each: int) -> list[tuple[str, str, bytes]]:
    """(family, native id, frames) of every device."""
    found = [("jt808", terminal_id(number), terminal_frames(number, each)) for number in range(TERMINALS)]
    return found + [("watch", band_id(number), band_frames(number, each)) for number in range(BANDS)]


async def play(port: int, data: bytes, again: bool) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    _reading.add(asyncio.ensure_future(_ignore(reader)))
    while True:
        for start in range(0, len(data), PIECE_BYTES):
            writer.write(data[start : start + PIECE_BYTES])
            await writer.drain()
        if not again:
            return writer


async def _ignore(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        pass


async def main(count: int, again: bool) -> None:
    ports = json.loads(sys.stdin.readline())
    lines = []
    for family, native_id, data in devices(count // (TERMINALS + BANDS)):
        relayed = RELAY in ports
        lines.append((ports[RELAY if relayed else family], meaning(family, native_id, data) if relayed else data))
    print("ready", flush=True)
    sys.stdin.readline()
    lines_open = await asyncio.gather(*[play(port, data, again) for port, data in lines])
    print("sent", flush=True)
    sys.stdin.readline()
    for writer in lines_open:
        writer.transport.abort()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), "again" in sys.argv[2:]))
