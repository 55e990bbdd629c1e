"""TCP-client links with real sockets: the edge dials, dials again, and answers on the connection it made."""

import asyncio
import os
import pty
import ssl
import tty
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from structlog.testing import capture_logs

from devices.families import gbt26875
from devices.family import Family
from devices.observation import Alarm, Result
from edge.link_config import Serial, TcpClient
from edge.link_kinds import build
from edge.links_dialled import Connect, DialledLink, over_tcp
from edge.links_serial import over_serial
from edge.turns import Turns
from tests.authority import DAY, Authority
from tests.edge import site
from tests.edge.site import until
from tests.edge.wired import ROWS_MAX, Behind, behind

FAMILY = gbt26875.FAMILY
SERIAL: dict[str, Any] = {"name": "line", "family": "gbt26875"}


def link(made: Behind, port: int) -> AbstractAsyncContextManager[DialledLink]:
    return dialled(made, over_tcp("127.0.0.1", port))


class FarEnd:
    """What the edge dials: `say` to every connection that is there."""

    def __init__(self) -> None:
        self.received = b""
        self.lines: list[asyncio.StreamWriter] = []
        self.dialled = 0

    async def open(self, port: int = 0, tls: ssl.SSLContext | None = None) -> int:
        self._server = await asyncio.start_server(self._joined, "127.0.0.1", port, ssl=tls)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        self._server.close()
        self.hang_up()

    def say(self, data: bytes) -> None:
        for line in self.lines:
            line.write(data)

    def hang_up(self) -> None:
        while self.lines:
            self.lines.pop().transport.abort()

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines.append(writer)
        self.dialled += 1
        try:
            while data := await reader.read(65_536):
                self.received += data
        except OSError:
            return


@asynccontextmanager
async def dialled(made: Behind, connect: Connect, family: Family = FAMILY) -> AsyncIterator[DialledLink]:
    client = DialledLink(made.wiring(FAMILY.settings(), "889"), family, Turns(), connect)
    await client.open()
    try:
        yield client
    finally:
        client.stop_reading()
        await client.close()


def smokes(made: Behind) -> int:
    """How many raised ones are stored (a first report also tells what is over)."""
    return len([row for row in made.rows() if isinstance(row.body, Alarm) and row.body.raised])


async def test_what_the_other_side_says_is_stored_and_answered(tmp_path: Path) -> None:
    far = FarEnd()
    async with behind(tmp_path) as made, link(made, await far.open()) as client:
        await until(lambda: far.lines, "dialled")
        far.say(site.smoke())
        await until(lambda: far.received, "answered")
        assert smokes(made) == 1 and made.siren.read_text() == "1"
        assert client.connections == 1
        await far.close()


async def test_it_dials_again_when_the_other_side_hangs_up_and_says_so_once(tmp_path: Path) -> None:
    far = FarEnd()
    with capture_logs() as logs:
        async with behind(tmp_path) as made, link(made, await far.open()):
            for times in (1, 2, 3):
                await until(lambda: far.dialled == times and far.lines, "dialled")  # noqa: B023
                far.say(site.smoke(times, times))
                await until(lambda: smokes(made) == times, "stored")  # noqa: B023
                far.hang_up()
            await until(lambda: far.dialled == 4, "dialled again")
            await far.close()
    said = [line["event"] for line in logs if line["event"].startswith("link_")]
    assert said[:2] == ["link_lost", "link_recovered"]
    assert all(one != other for one, other in pairwise(said)), "each outage is two lines"


async def test_a_far_end_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    far = FarEnd()
    port = await far.open()
    await far.close()
    with capture_logs() as logs:
        async with behind(tmp_path) as made, link(made, port):
            await until(lambda: [line for line in logs if line["event"] == "link_lost"], "told")
            await far.open(port)
            await until(lambda: far.lines, "dialled")
            await far.close()
    assert [line["event"] for line in logs].count("link_recovered") == 1


async def test_a_link_that_holds_reads_nothing(tmp_path: Path) -> None:
    far = FarEnd()
    async with behind(tmp_path) as made, link(made, await far.open()) as client:
        await until(lambda: client.connections, "connected")
        held = client.flow.deliver(ROWS_MAX + 1)
        far.say(site.smoke())
        await until(lambda: not far.lines[0].transport.get_write_buffer_size(), "sent")
        [connection] = client.lines.connections
        assert not connection._transport.is_reading()  # type: ignore[union-attr]
        client.flow.settle(held)
        await until(lambda: far.received, "read and answered")
        await far.close()


class Asking(gbt26875.Session):
    """Speaks first."""

    def __init__(self, settings: Any, enrolled: Any) -> None:
        super().__init__(settings, enrolled)
        self.asked = 0

    def idle(self, now: datetime) -> list[Result]:
        self.asked += 1
        return []

    def to_send(self) -> bytes:
        asked, self.asked = self.asked, 0
        return b"?" * asked


async def test_a_session_that_speaks_first_is_given_its_clock(tmp_path: Path) -> None:
    far = FarEnd()
    family = replace(FAMILY, asks_every_s=0.02, open_session=Asking)
    async with behind(tmp_path) as made, dialled(made, over_tcp("127.0.0.1", await far.open()), family) as link:
        await until(lambda: len(far.received) >= 5, "asked again and again")
        assert set(far.received) == {ord("?")}
        held = link.flow.deliver(ROWS_MAX + 1)
        await until(lambda: link.flow.holding, "held")
        before = len(far.received)
        [connection] = link.lines.connections
        connection._ask()
        connection._ask()
        assert connection._session.asked == 0, "nobody is asked for what cannot be taken"  # type: ignore[attr-defined]
        link.flow.settle(held)
        await until(lambda: len(far.received) > before + 2, "asked again")
        await far.close()


# --- serial lines ---


async def test_a_serial_line_is_read_and_answered(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    try:
        async with (
            behind(tmp_path) as made,
            dialled(made, over_serial(Serial(**SERIAL, path=os.ttyname(theirs)))) as line,
        ):
            await until(lambda: line.connections, "open")
            os.write(ours, site.smoke())
            await until(lambda: smokes(made) == 1, "stored")
            answer = await asyncio.get_running_loop().run_in_executor(None, os.read, ours, 1_000)
            assert answer.startswith(b"@@")
    finally:
        os.close(ours)
        os.close(theirs)


async def test_a_serial_line_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "tty"
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    with capture_logs() as logs:
        async with behind(tmp_path) as made, dialled(made, over_serial(Serial(**SERIAL, path=str(path)))) as line:
            await until(lambda: [one for one in logs if one["event"] == "link_lost"], "told")
            path.symlink_to(os.ttyname(theirs))
            await until(lambda: line.connections, "open")
            os.write(ours, site.smoke())
            await until(lambda: smokes(made) == 1, "stored")
    os.close(ours)
    os.close(theirs)
    assert "link_recovered" in [one["event"] for one in logs]


async def test_both_sides_show_a_certificate(tmp_path: Path) -> None:
    """As a TAK server wants it; its own certificate bears a name, not its address."""
    authority, now = Authority(tmp_path), datetime.now(UTC)
    pem = authority.sign(now - DAY, now + DAY, "192.0.2.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    far = FarEnd()
    port = await far.open(tls=context)
    tls = {"tls": True, "tls_ca_file": str(authority.file), "tls_server_name": "192.0.2.1"}
    ours = {"tls_certificate_file": str(pem), "tls_key_file": str(pem)}
    async with behind(tmp_path) as made:
        for more, taken in (({**ours, "tls_server_name": ""}, False), ({}, False), (ours, True)):
            config = msgspec.convert({**SERIAL, "host": "127.0.0.1", "port": port, **tls, **more}, TcpClient)
            with capture_logs() as logs:
                link = build(config, made.wiring(FAMILY.settings(), "889"), FAMILY, Turns(), "gw")
                await link.open()
                await until(
                    lambda logs=logs: far.lines or [one for one in logs if one["event"] == "link_lost"], "tried"
                )
                assert bool(far.lines) is taken
                if taken:
                    far.say(site.smoke())
                    await until(lambda: smokes(made) == 1, "stored")
                link.stop_reading()
                await link.close()
    await far.close()
