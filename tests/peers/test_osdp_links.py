"""An access reader made with libosdp behind a real link of the edge, on a serial line and behind a converter to TCP: it
is found, asked, and answers the commands of people."""

import asyncio
import os
import pty
import socket
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devices.families import osdp
from devices.family import CommandRefused, DeviceCommand
from devices.observation import Event
from edge import clock
from edge.link_config import Serial
from edge.links_dialled import Connect, DialledLink, over_tcp
from edge.links_serial import over_serial
from edge.turns import Turns
from tests.edge.site import until
from tests.edge.wired import Behind, behind

peer: Any = pytest.importorskip("osdp", reason="libosdp is the reader; it has wheels for Linux only")

KEY = bytes(range(16))
CAPABILITIES = [
    (peer.Capability.OutputControl, 1, 1),
    (peer.Capability.LEDControl, 1, 1),
    (peer.Capability.AudibleControl, 1, 1),
    (peer.Capability.CommunicationSecurity, 1, 1),
]
KINDS = (peer.Command.LED, peer.Command.Buzzer, peer.Command.Output)
ASKED: tuple[tuple[str, dict[str, str]], ...] = (
    ("led", {"colour": "green", "seconds": "5"}),
    ("buzzer", {"count": "3"}),
    ("output_on", {"output": "0", "seconds": "5"}),
    ("output_off", {"output": "0"}),
)


class Line(peer.Channel):
    """What the reader reads and writes without waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.heard, self.said = bytearray(), bytearray()

    def read(self, max_bytes: int) -> bytes:
        taken = bytes(self.heard[:max_bytes])
        del self.heard[:max_bytes]
        return taken

    def write(self, buf: bytes) -> int:
        self.said += buf
        return len(buf)

    def flush(self) -> None:
        self.heard.clear()


class Reader:
    """`move` carries bytes between the reader and the edge's end of its line."""

    def __init__(self, move: Callable[[Line], None]) -> None:
        self.line = Line()
        self.commands: list[dict[str, Any]] = []
        info = peer.PDInfo(5, self.line, scbk=KEY, flags=[peer.LibFlag.EnforceSecure])
        capabilities = peer.PDCapabilities(CAPABILITIES)
        self.made = peer.PeripheralDevice(info, capabilities, log_level=peer.LogLevel.Critical)
        self.made.set_command_handler(self._told)
        self._move = move

    async def live(self) -> None:
        while True:
            self._move(self.line)
            self.made.ctx.refresh()
            self._move(self.line)
            await asyncio.sleep(0.005)  # it has a clock of its own

    def _told(self, command: dict[str, Any]) -> tuple[int, None]:
        self.commands.append(command)
        return 0, None


def move(line: Line, end: int) -> None:
    """What is there, to and from the edge's end of the line."""
    with suppress(BlockingIOError):
        line.heard += os.read(end, 1_000)
    if line.said:
        os.write(end, bytes(line.said))
        line.said.clear()


@contextmanager
def on_a_serial_line() -> Iterator[tuple[Reader, Connect]]:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    try:
        yield (
            Reader(lambda line: move(line, ours)),
            over_serial(Serial(name="line", family="osdp", path=os.ttyname(theirs))),
        )
    finally:
        os.close(ours)
        os.close(theirs)


@contextmanager
def behind_a_converter() -> Iterator[tuple[Reader, Connect]]:
    dialled: list[socket.socket] = []

    def carry(line: Line) -> None:
        with suppress(BlockingIOError):
            dialled.append(converter.accept()[0])
            dialled[-1].setblocking(False)
        if dialled:
            move(line, dialled[-1].fileno())

    with socket.create_server(("127.0.0.1", 0)) as converter:
        converter.setblocking(False)
        yield Reader(carry), over_tcp("127.0.0.1", converter.getsockname()[1])
        for one in dialled:
            one.close()


def told(made: Behind, kind: str) -> list[Event]:
    bodies = [row.body for row in made.rows()]
    return [body for body in bodies if isinstance(body, Event) and body.kind == kind]


def taken(link: DialledLink, asked: DeviceCommand) -> bool:
    """A reader that is not asked on yet takes none."""
    with suppress(CommandRefused):
        link.command(asked, clock.now())
        return True
    return False


@pytest.mark.parametrize("line", [on_a_serial_line, behind_a_converter])
async def test_a_reader_does_what_people_ask_of_it(tmp_path: Path, line: Any) -> None:
    settings = msgspec.convert({"reply_s": 1, "readers": [{"address": 5, "key": KEY.hex()}]}, osdp.Settings)
    with line() as (reader, connect):
        async with behind(tmp_path) as made, asyncio.TaskGroup() as tasks:
            living = tasks.create_task(reader.live())
            link = DialledLink(made.wiring(settings, "bus/5"), osdp.FAMILY, Turns(), connect)
            await link.open()
            await until(lambda: told(made, "attributes") and reader.made.is_sc_active(), "found and secure")
            for number, (action, args) in enumerate(ASKED):
                asked = DeviceCommand(nonce=str(number), native_id="bus/5", action=action, args=args)
                await until(lambda: taken(link, asked), "taken")  # noqa: B023
                await until(lambda: len(made.answers) > number, "answered")  # noqa: B023
            assert [(answer.nonce, answer.result) for answer in made.answers] == [
                (str(number), "accepted") for number in range(len(ASKED))
            ]
            assert [command["command"] for command in reader.commands if command["command"] in KINDS] == [
                *KINDS,
                KINDS[-1],
            ]
            on, off = reader.commands[-2:]
            assert (on["output_no"], on["control_code"], on["timer_count"]) == (0, 5, 50), "on for a while, then off"
            assert (off["output_no"], off["control_code"]) == (0, 1), "off for good"
            link.stop_reading()
            await link.close()
            living.cancel()
