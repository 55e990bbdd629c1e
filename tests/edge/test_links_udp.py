"""UDP links with real sockets: answered when durable, a session a peer, bounded, one crash costs one session."""

import asyncio
import socket
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from devices.families import sia_dc09
from devices.family import Family
from devices.observation import Alarm
from edge.flow import LinkError
from edge.links_udp import UdpServer
from tests.devices import frames
from tests.edge.site import until
from tests.edge.wired import ROWS_MAX, Behind, behind

FAMILY = sia_dc09.FAMILY
ACCOUNT = "1234"
PEERS_MAX = 8


class Peer(asyncio.DatagramProtocol):
    """A device's end."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received.append(data)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def send(self, data: bytes) -> None:
        self.transport.sendto(data)


@asynccontextmanager
async def peer(port: int) -> AsyncIterator[Peer]:
    loop = asyncio.get_running_loop()
    transport, made = await loop.create_datagram_endpoint(Peer, remote_addr=("127.0.0.1", port))
    try:
        yield made
    finally:
        transport.close()


@asynccontextmanager
async def link(made: Behind, family: Family = FAMILY, **options: Any) -> AsyncIterator[UdpServer]:
    options = {"host": "127.0.0.1", "port": 0, "peers_max": PEERS_MAX, **options}
    server = UdpServer(made.wiring(family.settings(), ACCOUNT), family, **options)
    await server.open()
    try:
        yield server
    finally:
        server.stop_reading()
        await server.close()


def fire(sequence: int = 1) -> bytes:
    return frames.sia_dc09(f'"ADM-CID"{sequence:04d}L0#{ACCOUNT}[#{ACCOUNT}|1110 00 {sequence:03d}]')


async def test_an_alarm_is_stored_and_then_answered(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as server, peer(server.port) as panel:
        made.disk_full(True)
        panel.send(fire())
        await until(lambda: made.spool.failing, "the disk refuses")
        await until(lambda: not server.connections, "its session is forgotten: it thinks that it has told")
        assert panel.received == []
        made.disk_full(False)
        panel.send(fire())
        await until(lambda: panel.received, "answered")
        assert b'"ACK"0001' in panel.received[0]
        [row] = made.rows()
        assert isinstance(row.body, Alarm) and row.body.kind == "fire"


async def test_what_the_disk_refused_meets_a_session_that_knows_nothing_of_it(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as server, peer(server.port) as panel:
        panel.send(fire(1))
        await until(lambda: panel.received, "known")
        made.disk_full(True)
        panel.send(fire(2))
        await until(lambda: made.spool.failing, "the disk refuses")
        assert server.connections == 0


async def test_each_peer_has_its_answer(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as server, peer(server.port) as one, peer(server.port) as two:
        one.send(fire(1))
        two.send(fire(2))
        await until(lambda: one.received and two.received, "both are answered")
        assert b'"ACK"0001' in one.received[0] and b'"ACK"0002' in two.received[0]
        assert server.connections == 2


async def test_half_a_frame_does_not_wait_for_the_next_datagram(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as server, peer(server.port) as panel:
        panel.send(fire()[:20])
        panel.send(fire())
        await until(lambda: panel.received, "answered")
        assert len(made.rows()) == 1


async def test_peers_are_bounded_and_an_enrolled_one_stays(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as server, peer(server.port) as panel:
        panel.send(fire())
        await until(lambda: panel.received, "known")
        for number in range(3 * PEERS_MAX):
            async with peer(server.port) as stranger:
                stranger.send(b"%d" % number)
                await until(lambda: server.connections, "heard")
        await until(lambda: server.connections == PEERS_MAX, "full")
        assert len(server._enrolled) == 1


async def test_a_crash_costs_one_session(tmp_path: Path) -> None:
    class Crashing(sia_dc09.Session):
        def receive(self, data: bytes, now: Any) -> Any:
            if data == b"crash":
                raise RuntimeError("a bug")
            return super().receive(data, now)

    def opened(settings: Any, enrolled: Container[str]) -> Crashing:
        return Crashing(settings, enrolled)

    family = replace(FAMILY, open_session=opened)
    async with behind(tmp_path) as made, link(made, family) as server, peer(server.port) as panel:
        panel.send(b"crash")
        panel.send(fire())
        await until(lambda: panel.received, "answered after it")


async def test_a_link_that_holds_drops_and_goes_on_when_the_disk_is_there_again(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as server, peer(server.port) as panel:
        held = server.flow.deliver(ROWS_MAX + 1)
        panel.send(fire())
        await until(lambda: server.dropped == 1, "dropped")
        server.flow.settle(held)
        panel.send(fire())
        await until(lambda: panel.received, "answered")


async def test_a_multicast_group_is_heard(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made, group="239.2.3.1") as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            sender.sendto(fire(), ("239.2.3.1", server.port))
        await until(made.rows, "stored")


async def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as server:
        with pytest.raises(LinkError, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already in use"):
            async with link(made, port=server.port):
                pass
