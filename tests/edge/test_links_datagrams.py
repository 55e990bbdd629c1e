"""Datagram links with real sockets: answers come from the port that was called, what was refused is told anew."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devices.families import dmr
from devices.families import dmr_hytera as hytera
from devices.family import CommandRefused, DeviceCommand
from devices.observation import Alarm, CommandAnswer
from edge import clock
from edge.flow import LinkError
from edge.links_datagrams import DatagramLink
from tests.devices import messages
from tests.edge.site import until
from tests.edge.test_links_udp import Peer, peer
from tests.edge.wired import ROWS_MAX, Behind, behind

RADIO, EMERGENCY = messages.GOOD_MESSAGES["dmr"].native_id, messages.GOOD_MESSAGES["dmr"].message.data

PLACE = messages.EMERGENCY_LP[5:]


@asynccontextmanager
async def link(made: Behind, *ports: int, settings: dmr.Settings | None = None) -> AsyncIterator[DatagramLink]:
    wiring = made.wiring(settings or dmr.Settings(), RADIO, "1")
    found = DatagramLink(wiring, dmr.FAMILY, host="127.0.0.1", ports=ports or (0, 0))
    await found.open()
    try:
        yield found
    finally:
        found.stop_reading()
        await found.close()


def emergencies(made: Behind) -> int:
    return len([row for row in made.rows() if row.body == Alarm(kind="sos")])


async def test_an_emergency_is_stored_and_answered_from_its_port(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as found, peer(max(found._open)) as radio:
        radio.send(EMERGENCY)
        await until(lambda: emergencies(made) == 1, "stored")
        assert found.connections == 2


async def test_what_the_disk_refused_is_told_when_it_comes_again(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as found, peer(found.port) as radio:
        made.disk_full(True)
        radio.send(EMERGENCY)
        await until(lambda: made.spool.failing, "the disk refuses")
        assert radio.received == []
        made.disk_full(False)
        radio.send(EMERGENCY)
        await until(lambda: emergencies(made) == 1, "stored")


async def test_a_link_that_holds_drops_and_counts(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as found, peer(found.port) as radio:
        held = found.flow.deliver(ROWS_MAX + 1)
        radio.send(EMERGENCY)
        await until(lambda: found.dropped == 1, "dropped")
        found.flow.settle(held)
        radio.send(EMERGENCY)
        await until(lambda: emergencies(made) == 1, "stored")


async def test_a_port_in_use_closes_the_others(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as found:
        taken = found.port
        with pytest.raises(LinkError, match=f"cannot listen on 127.0.0.1:{taken}: Address already in use"):
            async with link(made, 0, taken):
                pass
        loop = asyncio.get_running_loop()
        with pytest.raises(OSError):
            await loop.create_datagram_endpoint(Peer, local_addr=("127.0.0.1", taken))


async def test_a_radio_is_asked_and_confirms(tmp_path: Path) -> None:
    asked = DeviceCommand(nonce="n", native_id=RADIO, action="locate")
    async with behind(tmp_path) as made, link(made) as found, peer(found.port) as radio:
        with pytest.raises(CommandRefused, match="has not been heard yet"):
            found.command(asked, clock.now())
        radio.send(EMERGENCY)
        await until(lambda: emergencies(made) == 1, "heard")
        found.command(asked, clock.now())
        await until(lambda: radio.received, "asked")
        [request] = hytera.read_messages(radio.received[0]) or []
        assert (request.service, request.opcode) == (hytera.LP, hytera.LP_REQUEST)
        radio.send(hytera.write_message(hytera.LP, 0xA002, request.payload + b"\0\0" + PLACE))
        await until(lambda: made.answers == [CommandAnswer(nonce="n", result="confirmed")], "it confirms")


async def test_what_would_go_out_of_a_port_that_is_not_open_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    settings = dmr.Settings(ars_port=port)
    async with behind(tmp_path) as made, link(made, port, settings=settings) as found, peer(port) as radio:
        radio.send(bytes.fromhex("0007F0200231310000"))
        await until(lambda: radio.received, "registered")
        with pytest.raises(CommandRefused, match="port 4001 is not one of this link"):
            found.command(DeviceCommand(nonce="n", native_id="1", action="locate"), clock.now())
        found.command(DeviceCommand(nonce="n", native_id="1", action="ping"), clock.now())
